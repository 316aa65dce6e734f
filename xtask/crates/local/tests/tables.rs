//! DynamoDB through the gateway, which gives guarantees of DynamoDB that the emulator does not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use support::{Account, Response, shared};

/// The number of clients, and of rounds: enough for their writes to overlap.
const WRITERS: usize = 8;
const ROUNDS: usize = 10;
/// Makes the emulator take so long between check and write that writers overlap.
const ATTRIBUTES: usize = 80;

async fn dynamodb(account: &Account, action: &str, input: Value) -> Response {
    let target = format!("DynamoDB_20120810.{action}");
    let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.0")];
    account.call("dynamodb", "POST", &account.gateway, &headers, input.to_string().into()).await
}

async fn table(account: &Account, name: &str) {
    let table = json!({
        "TableName": name, "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
    });
    let made = dynamodb(account, "CreateTable", table).await;
    assert_eq!(made.status, 200, "{}", made.text());
}

async fn item(account: &Account, table: &str, id: &str) -> Value {
    let key = json!({ "TableName": table, "Key": { "id": { "S": id } } });
    dynamodb(account, "GetItem", key).await.json()["Item"].clone()
}

/// Lets all writers write one item; returns the numbers of those that succeeded.
async fn race(
    account: &Arc<Account>,
    action: &'static str,
    refusal: &str,
    write: impl Fn(usize) -> Value,
) -> Vec<usize> {
    let barrier = Arc::new(tokio::sync::Barrier::new(WRITERS));
    let writers = (0..WRITERS).map(|number| {
        let (account, barrier, input) = (Arc::clone(account), Arc::clone(&barrier), write(number));
        tokio::spawn(async move {
            barrier.wait().await;
            dynamodb(&account, action, input).await
        })
    });
    let mut won = Vec::new();
    for (number, writer) in writers.collect::<Vec<_>>().into_iter().enumerate() {
        let response = writer.await.unwrap();
        match response.status {
            200 => won.push(number),
            _ => assert!(response.text().contains(refusal), "{}", response.text()),
        }
    }
    won
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_conditional_writes_of_an_item_one_wins() {
    let Some(shared) = shared().await else { return };
    let account = Arc::new(Account::enter(&shared.state, "120000000001").await);
    table(&account, "race").await;
    for round in 0..ROUNDS {
        let id = format!("item-{round}");
        let refused = "ConditionalCheckFailedException";
        let won = race(&account, "PutItem", refused, |number| {
            json!({
                "TableName": "race", "ConditionExpression": "attribute_not_exists(id)",
                "Item": { "id": { "S": id }, "by": { "N": number.to_string() }, "state": { "S": "open" } },
            })
        })
        .await;
        assert_eq!(won.len(), 1, "{id}");
        assert_eq!(item(&account, "race", &id).await["by"]["N"], won[0].to_string());

        let much: String = (0..ATTRIBUTES).map(|number| format!("a{number} = :by, ")).collect();
        let won = race(&account, "UpdateItem", refused, |number| {
            json!({
                "TableName": "race", "Key": { "id": { "S": id } },
                "ConditionExpression": "#state = :open",
                "UpdateExpression": format!("SET {much}#state = :done, ended = :by"),
                "ExpressionAttributeNames": { "#state": "state" },
                "ExpressionAttributeValues": {
                    ":open": { "S": "open" }, ":done": { "S": "done" }, ":by": { "N": number.to_string() },
                },
            })
        })
        .await;
        assert_eq!(won.len(), 1, "{id}");
        assert_eq!(item(&account, "race", &id).await["ended"]["N"], won[0].to_string());

        let won = race(&account, "TransactWriteItems", "TransactionCanceledException", |number| {
            let once = json!({
                "TableName": "race", "Key": { "id": { "S": id } },
                "ConditionExpression": "#state = :done",
                "UpdateExpression": "SET #state = :closed, closed = :by",
                "ExpressionAttributeNames": { "#state": "state" },
                "ExpressionAttributeValues": {
                    ":done": { "S": "done" }, ":closed": { "S": "closed" }, ":by": { "N": number.to_string() },
                },
            });
            let beside = json!({
                "TableName": "race", "Item": { "id": { "S": format!("{id}-by-{number}") } },
            });
            json!({ "TransactItems": [{ "Put": beside }, { "Update": once }] })
        })
        .await;
        assert_eq!(won.len(), 1, "{id}");
        assert_eq!(item(&account, "race", &id).await["closed"]["N"], won[0].to_string());
        for number in 0..WRITERS {
            let beside = item(&account, "race", &format!("{id}-by-{number}")).await;
            assert_eq!(beside.is_object(), number == won[0], "{id} {number}: {beside}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_counter_counts_every_write_and_a_failed_transaction_loses_none() {
    let Some(shared) = shared().await else { return };
    let account = Arc::new(Account::enter(&shared.state, "120000000002").await);
    table(&account, "counter").await;
    table(&account, "other").await;
    for batch in 0..2 {
        let puts = (0..25).map(
            |number| json!({ "PutRequest": { "Item": { "id": { "S": format!("{batch}-{number}") } } } }),
        );
        let puts = json!({ "RequestItems": { "counter": puts.collect::<Vec<_>>() } });
        let put = dynamodb(&account, "BatchWriteItem", puts).await;
        assert_eq!(put.status, 200, "{}", put.text());
    }
    let add = json!({
        "TableName": "counter", "Key": { "id": { "S": "all" } }, "UpdateExpression": "ADD seen :one",
        "ExpressionAttributeValues": { ":one": { "N": "1" } },
    });
    let fails = json!({ "TransactItems": [
        { "Put": { "TableName": "other", "Item": { "id": { "S": "x" } } } },
        { "ConditionCheck": {
            "TableName": "counter", "Key": { "id": { "S": "all" } },
            "ConditionExpression": "attribute_exists(never)",
        } },
    ] });
    let clients = (0..WRITERS).map(|number| {
        let (account, add, fails) = (Arc::clone(&account), add.clone(), fails.clone());
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                let (action, input, expected) = match number % 2 {
                    0 => ("UpdateItem", &add, 200),
                    _ => ("TransactWriteItems", &fails, 400),
                };
                let response = dynamodb(&account, action, input.clone()).await;
                assert_eq!(response.status, expected, "{}", response.text());
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    assert_eq!(item(&account, "counter", "all").await["seen"]["N"], (WRITERS / 2 * ROUNDS).to_string());
    assert_eq!(item(&account, "other", "x").await, Value::Null);
}

//! Aliases and versions through the gateway, which gives guarantees of Lambda that the emulator does not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use std::sync::Arc;
use support::{Account, Response, artifact, shared};

/// Creates a function with the versions 1 to 3 and an alias `live` on the first.
async fn function(account: &Account, name: &str) -> Value {
    account.function(name, &artifact(name), json!({})).await;
    for (version, memory) in [("2", 512), ("3", 1024)] {
        // A version is published only after a change.
        let configuration = json!({ "MemorySize": memory });
        let path = format!("/{name}/configuration");
        assert_eq!(account.lambda("PUT", &path, configuration).await.status, 200);
        let published = account.lambda("POST", &format!("/{name}/versions"), json!({})).await;
        assert_eq!(published.json()["Version"], version, "{}", published.text());
    }
    let alias = json!({ "Name": "live", "FunctionVersion": "1" });
    let made = account.lambda("POST", &format!("/{name}/aliases"), alias).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()
}

fn refused(response: &Response, status: u16, kind: &str) {
    let found = (response.status, response.header("x-amzn-errortype"));
    assert_eq!(found, (status, Some(kind)), "{}", response.text());
}

#[tokio::test]
async fn a_revision_that_is_not_the_last_moves_nothing() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "120000000001").await;
    let made = function(&account, "revised").await;
    let read = async || account.lambda("GET", "/revised/aliases/live", Value::Null).await.json();
    let first = made["RevisionId"].clone();
    assert_eq!(read().await, made);
    let list = account.lambda("GET", "/revised/aliases", Value::Null).await.json();
    assert_eq!(list["Aliases"], json!([made]));

    let point = async |version: &str, revision: Option<&Value>| {
        let mut body = json!({ "FunctionVersion": version });
        if let Some(revision) = revision {
            body["RevisionId"] = revision.clone();
        }
        account.lambda("PUT", "/revised/aliases/live", body).await
    };
    let moved = point("2", Some(&first)).await;
    assert_eq!((moved.status, &moved.json()["FunctionVersion"]), (200, &json!("2")));
    assert_eq!(read().await, moved.json());
    let second = moved.json()["RevisionId"].clone();
    assert_ne!(first, second);
    refused(&point("3", Some(&first)).await, 412, "PreconditionFailedException");
    assert_eq!(read().await["FunctionVersion"], "2");
    // An alias that points to its former version again has another revision.
    let back = point("1", None).await;
    assert_eq!(back.status, 200);
    assert_ne!(back.json()["RevisionId"], first);
    refused(&point("2", Some(&first)).await, 412, "PreconditionFailedException");
    refused(&point("2", Some(&second)).await, 412, "PreconditionFailedException");
    // A missing alias has no revision.
    let body = json!({ "FunctionVersion": "1", "RevisionId": "x" });
    let absent = account.lambda("PUT", "/revised/aliases/absent", body).await;
    refused(&absent, 404, "ResourceNotFoundException");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_moves_of_one_revision_one_wins() {
    let Some(shared) = shared().await else { return };
    let account = Arc::new(Account::enter(&shared.state, "120000000002").await);
    let mut last = function(&account, "raced").await;
    for round in 0..10 {
        let moves = (0..8).map(|number| {
            let account = Arc::clone(&account);
            let version = (number % 3 + 1).to_string();
            let body = json!({ "FunctionVersion": version, "RevisionId": last["RevisionId"] });
            tokio::spawn(async move { account.lambda("PUT", "/raced/aliases/live", body).await })
        });
        let mut won = Vec::new();
        for response in moves.collect::<Vec<_>>() {
            let response = response.await.unwrap();
            match response.status {
                200 => won.push(response.json()),
                _ => refused(&response, 412, "PreconditionFailedException"),
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        last = account.lambda("GET", "/raced/aliases/live", Value::Null).await.json();
        assert_eq!(last, won[0]);
    }
}

#[tokio::test]
async fn an_alias_points_only_to_versions_and_holds_them() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "120000000003").await;
    let made = function(&account, "held").await;
    let live = "/held/aliases/live";
    let weights = |version: &str| json!({ "AdditionalVersionWeights": { version: 0.1 } });
    for (body, status, kind) in [
        (json!({ "FunctionVersion": "9" }), 404, "ResourceNotFoundException"),
        (json!({ "RoutingConfig": weights("9") }), 404, "ResourceNotFoundException"),
        (json!({ "FunctionVersion": "live" }), 400, "ValidationException"),
    ] {
        refused(&account.lambda("PUT", live, body.clone()).await, status, kind);
        let mut new = body;
        new["Name"] = "other".into();
        new["FunctionVersion"] = new.get("FunctionVersion").cloned().unwrap_or("1".into());
        refused(&account.lambda("POST", "/held/aliases", new).await, status, kind);
        let other = account.lambda("GET", "/held/aliases/other", Value::Null).await;
        assert_eq!(other.status, 404);
    }
    assert_eq!(account.lambda("GET", live, Value::Null).await.json(), made);

    let body = json!({ "FunctionVersion": "1", "RoutingConfig": weights("2") });
    assert_eq!(account.lambda("PUT", live, body).await.status, 200);
    let exists = async |version: &str| {
        let path = format!("/held?Qualifier={version}");
        account.lambda("GET", &path, Value::Null).await.status == 200
    };
    for used in ["/held?Qualifier=1", "/held?Qualifier=2", "/held%3A2"] {
        let refusal = account.lambda("DELETE", used, Value::Null).await;
        refused(&refusal, 409, "ResourceConflictException");
        assert!(refusal.text().contains("[live]"), "{}", refusal.text());
    }
    assert!(exists("1").await && exists("2").await && exists("3").await);
    assert_eq!(account.lambda("DELETE", "/held?Qualifier=3", Value::Null).await.status, 204);
    assert!(!exists("3").await);
    // A version that no alias uses can be deleted, and an alias is deleted with its function.
    let body = json!({ "RoutingConfig": { "AdditionalVersionWeights": {} } });
    assert_eq!(account.lambda("PUT", live, body).await.status, 200);
    assert_eq!(account.lambda("DELETE", "/held?Qualifier=2", Value::Null).await.status, 204);
    assert!(account.lambda("DELETE", live, Value::Null).await.status < 300);
    assert_eq!(account.lambda("DELETE", "/held?Qualifier=1", Value::Null).await.status, 204);
    assert_eq!(account.lambda("DELETE", "/held", Value::Null).await.status, 204);
    assert_eq!(account.lambda("GET", "/held", Value::Null).await.status, 404);
}

//! Event source mappings through the gateway: records of the emulator's streams invoke functions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::time::Duration;
use support::{Account, Shared, eventually, shared, zip};

const MAPPINGS: &str = "/2015-03-31/event-source-mappings/";

/// Logs the numbers of each batch. The record `always` makes it fail; `bad` is reported as failed.
const APP: &str = "
import base64, json
def handle(event, context):
    records = [(record, json.loads(base64.b64decode(record['kinesis']['data']))) for record in event['Records']]
    print('BATCH', json.dumps([data['n'] for _, data in records]), flush=True)
    if any(data.get('show') for _, data in records):
        print('EVENT', json.dumps(event), context.invoked_function_arn, flush=True)
    if any(data.get('always') for _, data in records):
        raise ValueError('poison')
    bad = [record['kinesis']['sequenceNumber'] for record, data in records if data.get('bad')]
    return {'batchItemFailures': [{'itemIdentifier': number} for number in bad]}
";

/// A function with an alias, and a stream.
struct Bench<'a> {
    account: Account,
    shared: &'a Shared,
    name: String,
}

impl<'a> Bench<'a> {
    async fn new(shared: &'a Shared, id: &str, name: &str) -> Self {
        let account = Account::enter(&shared.state, id).await;
        let python = json!({ "Runtime": "python3.13", "Handler": "app.handle" });
        account.function(name, &zip(&[("app.py", APP)]), python).await;
        account.live(name, "1").await;
        let stream = json!({ "StreamName": name, "ShardCount": 1, "Tags": { "Stack": "bench" } });
        account.json("kinesis", "Kinesis_20131202.CreateStream", stream).await;
        Self { account, shared, name: name.to_owned() }
    }

    fn stream_arn(&self) -> String {
        format!("arn:aws:kinesis:{}:{}:stream/{}", support::REGION, self.account.id, self.name)
    }

    fn function_arn(&self) -> String {
        format!("arn:aws:lambda:{}:{}:function:{}:live", support::REGION, self.account.id, self.name)
    }

    fn input(&self, more: Value) -> Value {
        let mut input = json!({
            "EventSourceArn": self.stream_arn(), "FunctionName": self.function_arn(), "StartingPosition": "TRIM_HORIZON",
        });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    }

    async fn map(&self, more: Value) -> Value {
        let made = self.account.rest("lambda", "POST", MAPPINGS, self.input(more)).await;
        assert_eq!(made.status, 202, "{}", made.text());
        assert_eq!(made.json()["State"], "Creating");
        made.json()
    }

    async fn update(&self, mapping: &Value, change: Value) -> Value {
        let path = format!("{MAPPINGS}{}", mapping["UUID"].as_str().unwrap());
        let changed = self.account.rest("lambda", "PUT", &path, change).await;
        assert_eq!(changed.status, 202, "{}", changed.text());
        changed.json()
    }

    async fn state(&self, mapping: &Value, wanted: &str) -> Value {
        let path = format!("{MAPPINGS}{}", mapping["UUID"].as_str().unwrap());
        eventually(10, async || {
            let description = self.account.rest("lambda", "GET", &path, Value::Null).await.json();
            if description["State"] == wanted { Ok(description) } else { Err(description.to_string()) }
        })
        .await
    }

    async fn put(&self, records: &[Value]) {
        for data in records {
            let data = BASE64_STANDARD.encode(data.to_string());
            let input = json!({ "StreamName": self.name, "PartitionKey": "p", "Data": data });
            self.account.json("kinesis", "Kinesis_20131202.PutRecord", input).await;
        }
    }

    /// Returns the batches that the function got so far.
    fn batches(&self) -> Vec<Vec<u64>> {
        let log = self.shared.log(&self.name);
        let lines = log.lines().filter_map(|line| line.strip_prefix("BATCH "));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn got(&self, wanted: &[&[u64]]) {
        eventually(20, async || {
            let batches = self.batches();
            if batches == wanted { Ok(()) } else { Err(format!("{}: {batches:?}", self.name)) }
        })
        .await;
    }
}

fn numbers(numbers: std::ops::RangeInclusive<u64>) -> Vec<Value> {
    numbers.map(|n| json!({ "n": n })).collect()
}

#[tokio::test]
async fn records_reach_the_alias_in_order_and_in_the_documented_form() {
    let Some(shared) = shared().await else { return };
    let bench = Bench::new(&shared, "310000000001", "ordered").await;
    bench.put(&[json!({ "n": 1, "show": true })]).await;
    bench.put(&numbers(2..=5)).await;
    let mapping = bench.map(json!({ "BatchSize": 2 })).await;
    let description = bench.state(&mapping, "Enabled").await;
    assert_eq!(description["FunctionArn"], bench.function_arn());
    bench.got(&[&[1, 2], &[3, 4], &[5]]).await;
    bench.put(&numbers(6..=6)).await;
    bench.got(&[&[1, 2], &[3, 4], &[5], &[6]]).await;
    let description = bench.state(&mapping, "Enabled").await;
    assert_eq!(description["LastProcessingResult"], "OK");

    let log = shared.log("ordered");
    let line = log.lines().find_map(|line| line.strip_prefix("EVENT ")).unwrap();
    let (event, invoked) = line.rsplit_once(' ').unwrap();
    assert_eq!(invoked, bench.function_arn());
    let event: Value = serde_json::from_str(event).unwrap();
    let record = &event["Records"][0];
    let arrived = record["kinesis"]["approximateArrivalTimestamp"].as_f64().unwrap();
    let now = jiff::Timestamp::now().as_second() as f64;
    assert!((now - 60.0..=now + 1.0).contains(&arrived), "{arrived}");
    let number = record["kinesis"]["sequenceNumber"].as_str().unwrap();
    assert_eq!(
        *record,
        json!({
            "kinesis": {
                "kinesisSchemaVersion": "1.0", "partitionKey": "p", "sequenceNumber": number,
                "data": BASE64_STANDARD.encode(r#"{"n":1,"show":true}"#), "approximateArrivalTimestamp": arrived,
            },
            "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record",
            "eventID": format!("shardId-000000000000:{number}"), "awsRegion": support::REGION,
            "eventSourceARN": bench.stream_arn(),
            "invokeIdentityArn": format!("arn:aws:iam::{}:role/ordered", bench.account.id),
        })
    );
}

#[tokio::test]
async fn what_a_function_reports_is_tried_again_and_then_sent_away() {
    let Some(shared) = shared().await else { return };
    let bench = Bench::new(&shared, "310000000002", "partial").await;
    let queue = bench.account.json("sqs", "AmazonSQS.CreateQueue", json!({ "QueueName": "dead" })).await;
    let arn = format!("arn:aws:sqs:{}:{}:dead", support::REGION, bench.account.id);
    bench
        .put(&[json!({ "n": 1 }), json!({ "n": 2 }), json!({ "n": 3, "bad": true }), json!({ "n": 4 })])
        .await;
    let more = json!({
        "MaximumRetryAttempts": 1, "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "DestinationConfig": { "OnFailure": { "Destination": arn } },
    });
    let mapping = bench.map(more).await;
    bench.got(&[&[1, 2, 3, 4], &[3, 4]]).await;
    let message = eventually(10, async || {
        let input = json!({ "QueueUrl": queue["QueueUrl"] });
        let response = bench.account.json("sqs", "AmazonSQS.ReceiveMessage", input).await;
        let body = response["Messages"][0]["Body"].as_str().map(str::to_owned);
        body.ok_or_else(|| response.to_string())
    })
    .await;
    let message: Value = serde_json::from_str(&message).unwrap();
    assert_eq!(message["requestContext"]["condition"], "RetryAttemptsExhausted");
    assert_eq!(message["requestContext"]["functionArn"], bench.function_arn());
    assert_eq!(message["requestContext"]["approximateInvokeCount"], 2);
    assert_eq!(message["responseContext"]["executedVersion"], "1");
    let batch = &message["KinesisBatchInfo"];
    assert_eq!((&batch["batchSize"], &batch["streamArn"]), (&json!(2), &json!(bench.stream_arn())));
    assert_eq!(
        (&batch["startSequenceNumber"], &batch["endSequenceNumber"], &batch["shardId"]),
        (&json!("3"), &json!("4"), &json!("shardId-000000000000"))
    );
    // Later records are processed.
    bench.put(&numbers(5..=5)).await;
    bench.got(&[&[1, 2, 3, 4], &[3, 4], &[5]]).await;
    bench.state(&mapping, "Enabled").await;
}

#[tokio::test]
async fn halving_finds_the_one_record_that_fails() {
    let Some(shared) = shared().await else { return };
    let bench = Bench::new(&shared, "310000000003", "halved").await;
    bench
        .put(&[json!({ "n": 1 }), json!({ "n": 2 }), json!({ "n": 3, "always": true }), json!({ "n": 4 })])
        .await;
    let mapping = bench.map(json!({ "BisectBatchOnFunctionError": true, "MaximumRetryAttempts": 1 })).await;
    bench.got(&[&[1, 2, 3, 4], &[1, 2], &[3, 4], &[3], &[3], &[4]]).await;
    let description = bench.state(&mapping, "Enabled").await;
    assert_eq!(description["LastProcessingResult"], "OK");
}

#[tokio::test]
async fn a_mapping_that_is_disabled_delivers_nothing_until_it_is_enabled() {
    let Some(shared) = shared().await else { return };
    let bench = Bench::new(&shared, "310000000004", "switched").await;
    let mapping = bench.map(json!({ "Enabled": false })).await;
    bench.state(&mapping, "Disabled").await;
    bench.put(&numbers(1..=2)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.batches(), Vec::<Vec<u64>>::new());
    assert_eq!(bench.update(&mapping, json!({ "Enabled": true })).await["State"], "Enabling");
    bench.got(&[&[1, 2]]).await;

    assert_eq!(bench.update(&mapping, json!({ "Enabled": false })).await["State"], "Disabling");
    bench.state(&mapping, "Disabled").await;
    bench.put(&numbers(3..=3)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(bench.batches().len(), 1);
    // It continues after its checkpoint, and delivers no record twice.
    bench.update(&mapping, json!({ "Enabled": true })).await;
    bench.got(&[&[1, 2], &[3]]).await;
}

#[tokio::test]
async fn records_that_no_filter_lets_through_are_passed_over() {
    let Some(shared) = shared().await else { return };
    let bench = Bench::new(&shared, "310000000005", "filtered").await;
    let filters = json!({ "FilterCriteria": { "Filters": [{ "Pattern": "{\"data\":{\"n\":[{\"numeric\":[\">\",2]}]}}" }] } });
    bench.put(&numbers(1..=2)).await;
    bench.map(filters).await;
    bench.put(&numbers(3..=3)).await;
    bench.got(&[&[3]]).await;
}

#[tokio::test]
async fn latest_begins_with_the_mapping_and_a_window_gathers() {
    let Some(shared) = shared().await else { return };
    let bench = Bench::new(&shared, "310000000006", "gathered").await;
    bench.put(&numbers(1..=1)).await;
    bench.map(json!({ "StartingPosition": "LATEST", "MaximumBatchingWindowInSeconds": 4 })).await;
    bench.put(&numbers(2..=2)).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    bench.put(&numbers(3..=3)).await;
    bench.got(&[&[2, 3]]).await;
}

#[tokio::test]
async fn mappings_are_made_found_and_refused_as_lambda_does() {
    let Some(shared) = shared().await else { return };
    let bench = Bench::new(&shared, "310000000007", "described").await;
    let tags = bench.account.json(
        "kinesis",
        "Kinesis_20131202.ListTagsForStream",
        json!({ "StreamName": "described" }),
    );
    assert_eq!(tags.await["Tags"], json!([{ "Key": "Stack", "Value": "bench" }]));
    let first = bench.map(json!({ "Tags": { "Owner": "a" }, "MaximumRetryAttempts": 3 })).await;
    let uuid = first["UUID"].as_str().unwrap();
    let description = bench.state(&first, "Enabled").await;
    for (name, value) in [
        ("BatchSize", json!(100)),
        ("MaximumBatchingWindowInSeconds", json!(0)),
        ("ParallelizationFactor", json!(1)),
        ("BisectBatchOnFunctionError", json!(false)),
        ("MaximumRetryAttempts", json!(3)),
        ("MaximumRecordAgeInSeconds", json!(-1)),
        ("StartingPosition", json!("TRIM_HORIZON")),
        ("FunctionResponseTypes", json!([])),
        ("DestinationConfig", json!({ "OnFailure": {} })),
        ("EventSourceArn", json!(bench.stream_arn())),
    ] {
        assert_eq!(description[name], value, "{name}");
    }
    assert!(description["LastModified"].is_f64());

    let refused = async |more: Value, status: u16, kind: &str, named: &str| {
        let response = bench.account.rest("lambda", "POST", MAPPINGS, bench.input(more)).await;
        let found = (response.status, response.header("x-amzn-errortype"));
        assert_eq!(found, (status, Some(kind)), "{}", response.text());
        assert!(response.text().contains(named), "{}", response.text());
    };
    let parameter = "InvalidParameterValueException";
    refused(json!({}), 409, "ResourceConflictException", uuid).await;
    refused(json!({ "FunctionName": "absent" }), 404, "ResourceNotFoundException", "absent").await;
    refused(json!({ "FunctionName": "described:absent" }), 404, "ResourceNotFoundException", "absent").await;
    refused(json!({ "FunctionName": "described:7" }), 404, "ResourceNotFoundException", ":7").await;
    let absent = format!("{}x", bench.stream_arn());
    refused(json!({ "EventSourceArn": absent }), 400, parameter, &absent).await;
    refused(json!({ "BatchSize": 0 }), 400, parameter, "BatchSize").await;

    // Another qualifier is another mapping, and a page has the requested length.
    let second = bench.map(json!({ "FunctionName": "described:1", "Enabled": false })).await;
    let list = async |query: &str| {
        let path = format!("{MAPPINGS}?{query}");
        let description = bench.account.rest("lambda", "GET", &path, Value::Null).await.json();
        let mappings = description["EventSourceMappings"].as_array().unwrap();
        let ids: Vec<String> = mappings.iter().map(|one| one["UUID"].as_str().unwrap().to_owned()).collect();
        (ids, description["NextMarker"].as_str().map(str::to_owned))
    };
    assert_eq!(list(&format!("EventSourceArn={}", bench.stream_arn())).await.0.len(), 2);
    assert_eq!(list(&format!("FunctionName={}", bench.function_arn())).await.0, [uuid]);
    assert_eq!(list("FunctionName=described:1").await.0, [second["UUID"].as_str().unwrap()]);
    assert!(list("EventSourceArn=other").await.0.is_empty());
    let (page, marker) = list("MaxItems=1").await;
    let (rest, end) = list(&format!("MaxItems=1&Marker={}", marker.unwrap())).await;
    assert_eq!((page.len(), rest.len(), end), (1, 1, None));
    assert_ne!(page, rest);

    let arn = description["EventSourceMappingArn"].as_str().unwrap().replace(':', "%3A");
    let tags = format!("/2017-03-31/tags/{arn}");
    let read = async || bench.account.rest("lambda", "GET", &tags, Value::Null).await.json()["Tags"].clone();
    assert_eq!(read().await, json!({ "Owner": "a" }));
    let added = bench.account.rest("lambda", "POST", &tags, json!({ "Tags": { "Stack": "b" } })).await;
    assert_eq!(added.status, 204);
    let removed = bench.account.rest("lambda", "DELETE", &format!("{tags}?tagKeys=Owner"), Value::Null).await;
    assert_eq!((removed.status, read().await), (204, json!({ "Stack": "b" })));

    // Another account does not see the mapping.
    let other = Account::enter(&shared.state, "310000000008").await;
    let path = format!("{MAPPINGS}{uuid}");
    assert_eq!(other.rest("lambda", "GET", &path, Value::Null).await.status, 404);
    assert_eq!(other.rest("lambda", "DELETE", &path, Value::Null).await.status, 404);
    let deleted = bench.account.rest("lambda", "DELETE", &path, Value::Null).await;
    assert_eq!((deleted.status, &deleted.json()["State"]), (202, &json!("Deleting")));
    for method in ["GET", "DELETE"] {
        let gone = bench.account.rest("lambda", method, &path, Value::Null).await;
        assert_eq!((gone.status, gone.header("x-amzn-errortype")), (404, Some("ResourceNotFoundException")));
    }
    bench.put(&numbers(1..=1)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(bench.batches().is_empty());
}

#[tokio::test]
async fn a_tables_stream_feeds_a_function() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "310000000009").await;
    let app = "import json\ndef handle(event, context):\n    for record in event['Records']:\n        print('RECORD', json.dumps(record), flush=True)\n";
    let python = json!({ "Runtime": "python3.13", "Handler": "app.handle" });
    account.function("changes", &zip(&[("app.py", app)]), python).await;
    let table = json!({
        "TableName": "t", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_IMAGE" },
    });
    let made = account.json("dynamodb", "DynamoDB_20120810.CreateTable", table).await;
    let arn = made["TableDescription"]["LatestStreamArn"].as_str().unwrap();
    let input =
        json!({ "EventSourceArn": arn, "FunctionName": "changes", "StartingPosition": "TRIM_HORIZON" });
    let mapped = account.rest("lambda", "POST", MAPPINGS, input).await;
    assert_eq!(mapped.status, 202, "{}", mapped.text());
    let item = json!({ "TableName": "t", "Item": { "id": { "S": "a" } } });
    account.json("dynamodb", "DynamoDB_20120810.PutItem", item).await;
    let record = eventually(20, async || {
        let log = shared.log("changes");
        let line = log.lines().find_map(|line| line.strip_prefix("RECORD ")).map(str::to_owned);
        line.ok_or(log)
    })
    .await;
    let record: Value = serde_json::from_str(&record).unwrap();
    assert_eq!((&record["eventName"], &record["eventSourceARN"]), (&json!("INSERT"), &json!(arn)));
    assert_eq!(record["dynamodb"]["NewImage"], json!({ "id": { "S": "a" } }));
}

//! Versions are published only after a change, as in Lambda; the emulator alone publishes after every update.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::{Account, BUCKET, artifact, artifact_key, shared};

async fn versions(account: &Account, name: &str) -> Vec<String> {
    let list = account.lambda("GET", &format!("/{name}/versions"), Value::Null).await.json();
    let versions = list["Versions"].as_array().unwrap().iter();
    versions.map(|version| version["Version"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn unchanged_code_and_configuration_give_the_newest_version_again() {
    let shared = require!(shared().await);
    let account = Account::enter(&shared.state, "130000000001").await;
    let (first, second) = (artifact("first"), artifact("second"));
    account.create_function("published", &first, json!({})).await;
    account.store(&artifact_key(&second), &second).await;
    let update = async |zip: &[u8], publish: bool| {
        let code = json!({ "S3Bucket": BUCKET, "S3Key": artifact_key(zip), "Publish": publish });
        let updated = account.lambda("PUT", "/published/code", code).await;
        assert_eq!(updated.status, 200, "{}", updated.text());
        updated.json()["Version"].clone()
    };
    let publish = async || {
        let published = account.lambda("POST", "/published/versions", json!({})).await;
        assert_eq!(published.status, 201, "{}", published.text());
        published.json()["Version"].clone()
    };
    let configure = async |settings: Value| {
        let configured = account.lambda("PUT", "/published/configuration", settings).await;
        assert_eq!(configured.status, 200, "{}", configured.text());
    };
    // The same code, by each of the two calls and by both.
    assert_eq!(update(&first, true).await, "1");
    assert_eq!(publish().await, "1");
    update(&first, false).await;
    assert_eq!(publish().await, "1");
    // Other code, and back: a third version with the code of the first.
    assert_eq!(update(&second, true).await, "2");
    assert_eq!(publish().await, "2");
    update(&first, false).await;
    assert_eq!(publish().await, "3");
    // A configuration counts, a description doesn't; what the emulator does not show counts as well.
    configure(json!({ "MemorySize": 512 })).await;
    assert_eq!(publish().await, "4");
    configure(json!({ "MemorySize": 512, "Description": "as it was" })).await;
    assert_eq!(publish().await, "4");
    configure(json!({ "Environment": { "Variables": { "LEVEL": "debug" } } })).await;
    assert_eq!(update(&first, true).await, "5");
    configure(json!({ "TracingConfig": { "Mode": "Active" } })).await;
    assert_eq!(publish().await, "6");
    assert_eq!(publish().await, "6");
    configure(json!({ "DeadLetterConfig": { "TargetArn": "arn:aws:sqs:eu-central-1:130000000001:lost" } }))
        .await;
    assert_eq!(publish().await, "7");
    assert_eq!(versions(&account, "published").await, ["$LATEST", "1", "2", "3", "4", "5", "6", "7"]);
    // A failed update publishes nothing.
    let image = json!({ "ImageUri": "localhost:1/shop/hello:1.0.0", "Publish": true });
    assert_eq!(account.lambda("PUT", "/published/code", image).await.status, 400);
    assert_eq!(versions(&account, "published").await.len(), 8);
}

#[tokio::test]
async fn publications_at_once_give_one_version() {
    let shared = require!(shared().await);
    let account = Account::enter(&shared.state, "130000000002").await;
    account.create_function("raced", &artifact("raced"), json!({})).await;
    account.lambda("PUT", "/raced/configuration", json!({ "MemorySize": 512 })).await;
    let publishing = (0..8).map(|_| {
        let account = account.clone();
        tokio::spawn(async move { account.lambda("POST", "/raced/versions", json!({})).await.json() })
    });
    for published in publishing.collect::<Vec<_>>() {
        assert_eq!(published.await.unwrap()["Version"], "2");
    }
    assert_eq!(versions(&account, "raced").await, ["$LATEST", "1", "2"]);
}

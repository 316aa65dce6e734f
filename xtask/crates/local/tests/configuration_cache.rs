//! The gateway's cache of function configurations: a warm Invoke sends no request to the emulator, and a change is visible
//! at once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::folder::Folder;
use support::{Account, artifact, artifact_key, moto_server, options, shared, up};

/// Counts the requests about a function that reached the emulator.
fn request_count(log: &std::path::Path, function: &str) -> usize {
    let log = std::fs::read_to_string(log).unwrap();
    log.lines().filter(|line| line.contains(&format!("/functions/{function}"))).count()
}

async fn label(account: &Account, function: &str) -> String {
    let response = account.invoke(function, json!({})).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["label"].as_str().unwrap().to_owned()
}

async fn publish(account: &Account, function: &str, label: &str) {
    let code = artifact(label);
    account.store(&artifact_key(&code), &code).await;
    let code = json!({ "S3Bucket": support::BUCKET, "S3Key": artifact_key(&code), "Publish": true });
    let updated = account.lambda("PUT", &format!("/{function}/code"), code).await;
    assert_eq!(updated.status, 200, "{}", updated.text());
}

#[tokio::test]
async fn warm_call_of_an_alias_or_version_sends_no_request_to_the_emulator() {
    let shared = require!(shared().await);
    let account = Account::enter(&shared.state, "340000000001").await;
    account.create_function("warm", &artifact("one"), json!({})).await;
    account.create_live_alias("warm", "1").await;
    let log = &shared.state.emulator.log;
    let mut before = request_count(log, "warm");
    assert_eq!(label(&account, "warm:live").await, "one");
    assert!(request_count(log, "warm") > before, "the emulator's log shows no request");
    // A change to any function at the same moment, by another test, delays caching.
    for _ in 0..10 {
        before = request_count(log, "warm");
        for function in ["warm:live", "warm:1"].repeat(5) {
            assert_eq!(label(&account, function).await, "one");
        }
        if request_count(log, "warm") == before {
            break;
        }
    }
    assert_eq!(request_count(log, "warm"), before);
    // The unpublished version may change at any time.
    assert_eq!(label(&account, "warm").await, "one");
    assert_eq!(request_count(log, "warm"), before + 1);
}

#[tokio::test]
async fn change_is_visible_to_the_next_call() {
    let shared = require!(shared().await);
    let account = Account::enter(&shared.state, "340000000002").await;
    account.create_function("moved", &artifact("one"), json!({})).await;
    account.create_live_alias("moved", "1").await;
    publish(&account, "moved", "two").await;
    assert_eq!(label(&account, "moved:live").await, "one");
    assert_eq!(label(&account, "moved:2").await, "two");
    for version in ["2", "1", "2"] {
        let alias = json!({ "FunctionVersion": version });
        let moved = account.lambda("PUT", "/moved/aliases/live", alias).await;
        assert_eq!(moved.status, 200, "{}", moved.text());
        let response = account.invoke("moved:live", json!({})).await;
        assert_eq!(response.header("x-amz-executed-version"), Some(version));
    }
    assert_eq!(account.lambda("PUT", "/moved/code", json!({ "ZipFile": "AAAA" })).await.status, 200);
    assert_eq!(label(&account, "moved:live").await, "two");

    assert_eq!(label(&account, "moved:1").await, "one");
    assert_eq!(account.lambda("DELETE", "/moved?Qualifier=1", Value::Null).await.status, 204);
    assert_eq!(account.invoke("moved:1", json!({})).await.status, 404);
    assert!(account.lambda("DELETE", "/moved/aliases/live", Value::Null).await.status < 300);
    assert_eq!(account.invoke("moved:live", json!({})).await.status, 404);

    // A new function of the same name is not the cached one, though its version has the same number.
    assert_eq!(account.lambda("DELETE", "/moved", Value::Null).await.status, 204);
    assert_eq!(account.invoke("moved:2", json!({})).await.status, 404);
    let code = artifact("new");
    account.store(&artifact_key(&code), &code).await;
    let input = json!({
        "FunctionName": "moved", "Runtime": "provided.al2023", "Handler": "bootstrap", "Publish": true,
        "Role": "arn:aws:iam::340000000002:role/moved",
        "Code": { "S3Bucket": support::BUCKET, "S3Key": artifact_key(&code) },
    });
    let made = account.lambda("POST", "", input).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(label(&account, "moved:1").await, "new");
}

#[tokio::test]
async fn accounts_are_isolated() {
    let shared = require!(shared().await);
    let one = Account::enter(&shared.state, "340000000003").await;
    let other = Account::enter(&shared.state, "340000000004").await;
    let stranger = Account::enter(&shared.state, "340000000005").await;
    for (account, label) in [(&one, "one"), (&other, "other")] {
        account.create_function("same", &artifact(label), json!({})).await;
        account.create_live_alias("same", "1").await;
    }
    for _ in 0..2 {
        assert_eq!(label(&one, "same:live").await, "one");
        assert_eq!(label(&other, "same:live").await, "other");
        assert_eq!(stranger.invoke("same:live", json!({})).await.status, 404);
        assert_eq!(stranger.invoke("340000000003:function:same:1", json!({})).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_during_an_alias_move_cache_no_stale_version() {
    let shared = require!(shared().await);
    let account = Account::enter(&shared.state, "340000000006").await;
    account.create_function("race", &artifact("one"), json!({})).await;
    account.create_live_alias("race", "1").await;
    publish(&account, "race", "two").await;
    let caller = account.clone();
    let calls = tokio::spawn(async move {
        let mut seen = BTreeSet::new();
        for _ in 0..60 {
            seen.insert(label(&caller, "race:live").await);
        }
        seen
    });
    for round in 0..20 {
        let version = ["2", "1"][round % 2];
        let moved = account.lambda("PUT", "/race/aliases/live", json!({ "FunctionVersion": version })).await;
        assert_eq!(moved.status, 200, "{}", moved.text());
        let response = account.invoke("race:live", json!({})).await;
        assert_eq!(response.header("x-amz-executed-version"), Some(version), "{round}");
    }
    assert!(calls.await.unwrap().contains("two"));
}

#[tokio::test]
async fn cache_is_not_used_for_a_reset_or_shared_emulator() {
    let moto = require!(moto_server());
    let (theirs, ours) = (Folder::new(), Folder::new());
    let (state, _) = up(&options(theirs.path(), &moto, "340000000007")).await.unwrap();
    let mut attached = options(ours.path(), &moto, "340000000007");
    attached.emulator = slipway_local::supervisor::Emulator::Attach { url: state.emulator.url.clone() };
    let (attached, _) = up(&attached).await.unwrap();

    let account = Account::enter(&state, "340000000007").await;
    account.create_function("gone", &artifact("one"), json!({})).await;
    account.create_live_alias("gone", "1").await;
    publish(&account, "gone", "two").await;
    let mut beside = account.clone();
    beside.gateway.clone_from(&attached.gateway.url);
    assert_eq!(label(&account, "gone:live").await, "one");
    assert_eq!(label(&beside, "gone:live").await, "one");
    // The other gateway is not notified of this one's changes.
    let alias = json!({ "FunctionVersion": "2" });
    assert_eq!(account.lambda("PUT", "/gone/aliases/live", alias).await.status, 200);
    assert_eq!(label(&beside, "gone:live").await, "two");

    let reset = format!("{}/moto-api/reset", account.gateway);
    assert_eq!(support::send("POST", &reset, &[], "").await.status, 200);
    assert_eq!(account.invoke("gone:live", json!({})).await.status, 404);
    assert_eq!(account.invoke("gone:1", json!({})).await.status, 404);
    for folder in [ours.path(), theirs.path()] {
        slipway_local::supervisor::down(folder).await.unwrap();
    }
}

//! Keys, origins, and what needs neither.

use std::time::Duration;

use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tracer::Api;

use crate::world::{KEY, World, hurry, request, send};

const LIST: &str = "/api/projects/shop/traces";

async fn with_key(api: &Api, key: Option<&str>) -> crate::world::Answer {
    let mut event = request("GET", LIST, None);
    event["headers"] = key.map_or(json!({}), |key| json!({ "x-api-key": key }));
    send(api, &event).await
}

#[tokio::test]
async fn every_key_lets_in_and_nothing_else_does() {
    let Some(world) = World::new().await else { return };
    for key in
        [None, Some(""), Some("wrong-key-altogether"), Some("key-of-the-test"), Some("KEY-OF-THE-TESTS")]
    {
        with_key(&world.api, key).await.is_error(401, "unauthorized", None);
    }
    for key in [KEY, "another-key"] {
        with_key(&world.api, Some(key)).await.ok(200);
    }
    // A path is checked before the key, everything else after it.
    for (method, path, status) in [
        ("GET", "/api/nothing", 404),
        ("DELETE", "/api/traces/t1", 405),
        ("GET", "/api/traces/%2F", 401),
        ("POST", "/api/traces", 401),
    ] {
        let mut event = request(method, path, Some("no json".to_owned()));
        event["headers"] = json!({});
        assert_eq!(send(&world.api, &event).await.status, status, "{method} {path}");
    }
    send(&world.api, &request("GET", "/api/traces/%2F", None)).await.is_error(
        400,
        "invalid_id",
        Some("trace_id"),
    );
    let answer = send(&world.api, &request("DELETE", "/api/traces/t1", None)).await;
    answer.is_error(405, "method_not_allowed", None);
    assert_eq!(answer.header("allow"), Some("GET"));
}

#[tokio::test]
async fn health_needs_no_key_and_no_secret() {
    let Some(world) = World::without_keys().await else { return };
    let event = json!({ "version": "2.0", "rawPath": "/api/health", "requestContext": { "http": { "method": "GET" } } });
    let answer = send(&world.api, &event).await;
    assert_eq!(answer.header("x-request-id"), Some("request-1"));
    assert_eq!(answer.ok(200), json!({ "status": "ok" }));
}

#[tokio::test]
async fn a_secret_that_is_missing_or_malformed_is_503_until_it_is_put_right() {
    let Some(world) = World::without_keys().await else { return };
    let api = world.again(hurry(10_000, 0));
    with_key(&api, None).await.is_error(401, "unauthorized", None);
    let missing = with_key(&api, Some(KEY)).await;
    missing.is_error(503, "keys_unavailable", None);
    assert_eq!(
        (missing.header("retry-after"), &missing.body["error"]["request_id"]),
        (Some("2"), &json!("request-1"))
    );
    assert!(
        !missing.body.to_string().contains(&world.settings.api_keys_secret),
        "the log names it, not the answer"
    );
    for malformed in ["no json", "[]", "{}", r#"["short"]"#, r#"{"keys": "key-of-the-tests"}"#] {
        world.keep_keys(malformed).await;
        with_key(&api, Some(KEY)).await.is_error(503, "keys_unavailable", None);
    }
    world.keep_keys(&json!({ "keys": [KEY] }).to_string()).await;
    with_key(&api, Some(KEY)).await.ok(200);
}

#[tokio::test]
async fn a_new_key_works_at_once_and_a_revoked_one_not_for_long() {
    let Some(world) = World::new().await else { return };
    let api = world.again(hurry(400, 0));
    with_key(&api, Some(KEY)).await.ok(200);
    world.keep_keys(r#"["the-newer-key"]"#).await;
    // The old key is still known: nobody asked since.
    with_key(&api, Some(KEY)).await.ok(200);
    with_key(&api, Some("the-newer-key")).await.ok(200);
    with_key(&api, Some(KEY)).await.is_error(401, "unauthorized", None);
    world.keep_keys(&json!([KEY]).to_string()).await;
    with_key(&api, Some("the-newer-key")).await.ok(200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    with_key(&api, Some("the-newer-key")).await.is_error(401, "unauthorized", None);
    // A guess right after a reading causes none.
    let slow = world.again(hurry(60_000, 60_000));
    with_key(&slow, Some(KEY)).await.ok(200);
    world.keep_keys(r#"["the-newest-key"]"#).await;
    with_key(&slow, Some("the-newest-key")).await.is_error(401, "unauthorized", None);
}

#[tokio::test]
async fn pages_of_allowed_origins_may_ask() {
    let Some(world) = World::new().await else { return };
    let mut event = request("OPTIONS", LIST, None);
    event["headers"] = json!({ "origin": "https://shop.example", "access-control-request-method": "GET" });
    let answer = send(&world.api, &event).await;
    assert_eq!((answer.status, &answer.body), (204, &Value::Null));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET"));
    event["headers"]["origin"] = json!("https://evil.example");
    assert_eq!(send(&world.api, &event).await.header("access-control-allow-origin"), None);
    // Refusals are marked too: a page is to read why.
    let mut event = request("GET", LIST, None);
    event["headers"] = json!({ "origin": "https://shop.example" });
    let answer = send(&world.api, &event).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (401, Some("https://shop.example"))
    );
}

#[tokio::test]
async fn an_event_that_is_no_request_is_a_function_error() {
    let Some(world) = World::new().await else { return };
    for event in [json!({ "Records": [] }), json!(null), json!({ "version": "1.0", "httpMethod": "GET" })] {
        let error = world.api.handle(LambdaEvent::new(event, Context::default())).await.unwrap_err();
        let diagnostic = lambda_runtime::Diagnostic::from(error);
        assert_eq!(diagnostic.error_type, "InvalidEvent");
        assert!(diagnostic.error_message.contains("payload format 2.0"), "{}", diagnostic.error_message);
    }
}

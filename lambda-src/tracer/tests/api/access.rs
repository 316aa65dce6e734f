//! API keys, CORS, and requests that need no key.

use std::time::Duration;

use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tracer::Api;

use crate::fixture::{Fixture, KEY, cache_pace, request, send};
use crate::require;

const LIST: &str = "/api/projects/shop/traces";

async fn list_with_key(api: &Api, key: Option<&str>) -> crate::fixture::Response {
    let mut event = request("GET", LIST, None);
    event["headers"] = key.map_or(json!({}), |key| json!({ "x-api-key": key }));
    send(api, &event).await
}

#[tokio::test]
async fn only_configured_keys_are_accepted() {
    let fixture = require!(Fixture::new().await);
    for key in
        [None, Some(""), Some("wrong-key-altogether"), Some("key-of-the-test"), Some("KEY-OF-THE-TESTS")]
    {
        list_with_key(&fixture.api, key).await.assert_error(401, "unauthorized", None);
    }
    for key in [KEY, "another-key"] {
        list_with_key(&fixture.api, Some(key)).await.ok(200);
    }
    // The path is checked before the key, everything else after it.
    for (method, path, status) in [
        ("GET", "/api/nothing", 404),
        ("DELETE", "/api/traces/t1", 405),
        ("GET", "/api/traces/%2F", 401),
        ("POST", "/api/traces", 401),
    ] {
        let mut event = request(method, path, Some("no json".to_owned()));
        event["headers"] = json!({});
        assert_eq!(send(&fixture.api, &event).await.status, status, "{method} {path}");
    }
    send(&fixture.api, &request("GET", "/api/traces/%2F", None)).await.assert_error(
        400,
        "invalid_id",
        Some("trace_id"),
    );
    let response = send(&fixture.api, &request("DELETE", "/api/traces/t1", None)).await;
    response.assert_error(405, "method_not_allowed", None);
    assert_eq!(response.header("allow"), Some("GET"));
}

#[tokio::test]
async fn bound_key_reaches_its_projects_alone() {
    let fixture = require!(Fixture::without_keys().await);
    let keys = json!([KEY, { "key": "key-of-the-shop", "projects": ["shop"] }]);
    fixture.set_keys(&keys.to_string()).await;
    let send_as = async |key: &str, method: &str, path: &str, body: Value| {
        let body = (!body.is_null()).then(|| body.to_string());
        let mut event = request(method, path, body);
        event["headers"]["x-api-key"] = json!(key);
        send(&fixture.api, &event).await
    };
    let shop =
        async |method: &str, path: &str, body: Value| send_as("key-of-the-shop", method, path, body).await;
    for (trace, project) in [("t-shop", "shop"), ("t-blog", "blog")] {
        let body = json!({ "trace_id": trace, "project_id": project, "name": "checkout" });
        send_as(KEY, "POST", "/api/traces", body).await.ok(201);
        let span = json!({ "span_id": format!("s-{project}"), "name": "answer" });
        send_as(KEY, "POST", &format!("/api/traces/{trace}/spans"), span).await.ok(201);
    }

    // Its own project.
    shop("POST", "/api/traces", json!({ "project_id": "shop", "name": "checkout" })).await.ok(201);
    shop("POST", "/api/traces/t-shop/spans", json!({ "name": "answer" })).await.ok(201);
    shop("GET", "/api/traces/t-shop", Value::Null).await.ok(200);
    shop("PATCH", "/api/spans/s-shop/complete", Value::Null).await.ok(200);
    shop("PATCH", "/api/traces/t-shop/complete", Value::Null).await.ok(200);
    shop("GET", "/api/projects/shop/traces", Value::Null).await.ok(200);

    // Another project: refused by its name, and unknown by its ids.
    let blog = json!({ "project_id": "blog", "name": "checkout" });
    shop("POST", "/api/traces", blog).await.assert_error(403, "forbidden", None);
    shop("GET", "/api/projects/blog/traces", Value::Null).await.assert_error(403, "forbidden", None);
    for (method, path, body) in [
        ("POST", "/api/traces/t-blog/spans", json!({ "name": "answer" })),
        ("GET", "/api/traces/t-blog", Value::Null),
        ("PATCH", "/api/spans/s-blog/complete", Value::Null),
        ("PATCH", "/api/traces/t-blog/complete", Value::Null),
    ] {
        let other = path.replace("blog", "none");
        let refused = shop(method, path, body.clone()).await;
        let absent = shop(method, &other, body).await;
        refused.assert_error(404, "not_found", None);
        assert_eq!(refused.body, absent.body, "{method} {path} tells that there is one");
    }
    let trace = send_as(KEY, "GET", "/api/traces/t-blog", Value::Null).await.ok(200);
    assert_eq!((&trace["status"], trace["spans"].as_array().map(Vec::len)), (&json!("running"), Some(1)));
}

#[tokio::test]
async fn health_needs_no_key_and_no_secret() {
    let fixture = require!(Fixture::without_keys().await);
    let event = json!({ "version": "2.0", "rawPath": "/api/health", "requestContext": { "http": { "method": "GET" } } });
    let response = send(&fixture.api, &event).await;
    assert_eq!(response.header("x-request-id"), Some("request-1"));
    assert_eq!(response.ok(200), json!({ "status": "ok" }));
}

#[tokio::test]
async fn missing_or_malformed_secret_gives_503_until_it_is_fixed() {
    let fixture = require!(Fixture::without_keys().await);
    let api = fixture.second_instance(cache_pace(10_000, 0));
    list_with_key(&api, None).await.assert_error(401, "unauthorized", None);
    let missing = list_with_key(&api, Some(KEY)).await;
    missing.assert_error(503, "keys_unavailable", None);
    assert_eq!(
        (missing.header("retry-after"), &missing.body["error"]["request_id"]),
        (Some("2"), &json!("request-1"))
    );
    assert!(
        !missing.body.to_string().contains(&fixture.settings.api_keys_secret),
        "only the log names the secret"
    );
    for malformed in ["no json", "[]", "{}", r#"["short"]"#, r#"{"keys": "key-of-the-tests"}"#] {
        fixture.set_keys(malformed).await;
        list_with_key(&api, Some(KEY)).await.assert_error(503, "keys_unavailable", None);
    }
    fixture.set_keys(&json!({ "keys": [KEY] }).to_string()).await;
    list_with_key(&api, Some(KEY)).await.ok(200);
}

#[tokio::test]
async fn new_key_works_at_once_and_a_revoked_key_expires_soon() {
    let fixture = require!(Fixture::new().await);
    let api = fixture.second_instance(cache_pace(400, 0));
    list_with_key(&api, Some(KEY)).await.ok(200);
    fixture.set_keys(r#"["the-newer-key"]"#).await;
    // The old key is still cached: the secret was not read since.
    list_with_key(&api, Some(KEY)).await.ok(200);
    list_with_key(&api, Some("the-newer-key")).await.ok(200);
    list_with_key(&api, Some(KEY)).await.assert_error(401, "unauthorized", None);
    fixture.set_keys(&json!([KEY]).to_string()).await;
    list_with_key(&api, Some("the-newer-key")).await.ok(200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    list_with_key(&api, Some("the-newer-key")).await.assert_error(401, "unauthorized", None);
    // An unknown key right after a read of the secret causes no other read.
    let slow = fixture.second_instance(cache_pace(60_000, 60_000));
    list_with_key(&slow, Some(KEY)).await.ok(200);
    fixture.set_keys(r#"["the-newest-key"]"#).await;
    list_with_key(&slow, Some("the-newest-key")).await.assert_error(401, "unauthorized", None);
}

#[tokio::test]
async fn cors_allows_only_configured_origins() {
    let fixture = require!(Fixture::new().await);
    let mut event = request("OPTIONS", LIST, None);
    event["headers"] = json!({ "origin": "https://shop.example", "access-control-request-method": "GET" });
    let response = send(&fixture.api, &event).await;
    assert_eq!((response.status, &response.body), (204, &Value::Null));
    assert_eq!(response.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(response.header("access-control-allow-methods"), Some("GET"));
    event["headers"]["origin"] = json!("https://evil.example");
    assert_eq!(send(&fixture.api, &event).await.header("access-control-allow-origin"), None);
    // Errors have CORS headers too, so that a page can read them.
    let mut event = request("GET", LIST, None);
    event["headers"] = json!({ "origin": "https://shop.example" });
    let response = send(&fixture.api, &event).await;
    assert_eq!(
        (response.status, response.header("access-control-allow-origin")),
        (401, Some("https://shop.example"))
    );
}

#[tokio::test]
async fn event_that_is_not_a_request_is_a_function_error() {
    let fixture = require!(Fixture::new().await);
    for event in [json!({ "Records": [] }), json!(null), json!({ "version": "1.0", "httpMethod": "GET" })] {
        let error = fixture.api.handle(LambdaEvent::new(event, Context::default())).await.unwrap_err();
        let diagnostic = lambda_runtime::Diagnostic::from(error);
        assert_eq!(diagnostic.error_type, "InvalidEvent");
        assert!(diagnostic.error_message.contains("payload format 2.0"), "{}", diagnostic.error_message);
    }
}

//! How faults of AWS are reported, and the content of the log.

use std::io::{self, Read as _, Write};
use std::net::TcpListener;

use serde_json::{Value, json};
use tracer::{Api, Settings};

use crate::fixture::{Fixture, KEY, aws, cache_pace, request, send};
use crate::require;

/// Starts a DynamoDB that always sends this error, since moto does not throttle; returns its endpoint.
fn server_responding_with(status: &'static str, error: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _read = stream.read(&mut [0; 1 << 16]).unwrap();
            let body = format!(
                "{{\"__type\":\"com.amazonaws.dynamodb.v20120810#{error}\",\"message\":\"so it is\"}}"
            );
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.0\r\nConnection: close\r\n\
                 x-amzn-requestid: AWS-REQUEST-7\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    endpoint
}

fn create() -> Value {
    let body = json!({ "trace_id": "t1", "project_id": "shop", "name": "private words" });
    request("POST", "/api/traces", Some(body.to_string()))
}

#[tokio::test]
async fn throttling_and_timeouts_are_retryable_and_denials_are_not() {
    let fixture = require!(Fixture::new().await);
    let busy = fixture
        .with_tables_at(&server_responding_with("400 Bad Request", "ProvisionedThroughputExceededException"));
    let response = send(&busy, &create()).await;
    response.assert_error(503, "throttled", None);
    assert_eq!(
        (response.header("retry-after"), &response.body["error"]["request_id"]),
        (Some("2"), &json!("request-1"))
    );
    let broken =
        fixture.with_tables_at(&server_responding_with("500 Internal Server Error", "InternalServerError"));
    send(&broken, &create()).await.assert_error(503, "storage_unavailable", None);
    let denied = fixture.with_tables_at(&server_responding_with("400 Bad Request", "AccessDeniedException"));
    let response = send(&denied, &create()).await;
    response.assert_error(502, "storage_failed", None);
    assert_eq!(response.header("retry-after"), None);
    assert!(!response.body.to_string().contains("so it is"), "AWS's message is only for the log");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = fixture.with_tables_at(&format!("http://{closed}"));
    send(&silent, &create()).await.assert_error(503, "storage_unavailable", None);
    let settings = Settings { traces_table: "nowhere".to_owned(), ..fixture.settings.clone() };
    send(&Api::new(settings), &create()).await.assert_error(502, "storage_failed", None);
}

#[tokio::test]
async fn cached_keys_survive_an_unreachable_secrets_manager() {
    let fixture = require!(Fixture::new().await);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap();
    // Forwards one connection to moto, and closes after that.
    let moto = fixture.settings.aws.dynamodb_endpoint.clone().unwrap();
    let moto = moto.trim_start_matches("http://").to_owned();
    std::thread::spawn(move || {
        let (mut near, _) = listener.accept().unwrap();
        drop(listener);
        let mut far = std::net::TcpStream::connect(moto).unwrap();
        let (mut back, mut forth) = (far.try_clone().unwrap(), near.try_clone().unwrap());
        std::thread::spawn(move || io::copy(&mut back, &mut forth).is_ok());
        let mut once = [0; 1 << 16];
        let length = near.read(&mut once).unwrap();
        far.write_all(&once[..length]).unwrap();
        // The next request finds a closed connection.
        let _second = near.read(&mut once).unwrap();
        near.shutdown(std::net::Shutdown::Both).unwrap();
    });
    let mut settings = Settings { pace: cache_pace(0, 0), ..fixture.settings.clone() };
    settings.aws.secrets_endpoint = Some(format!("http://{proxy}"));
    let api = Api::new(settings);
    let event = request("GET", "/api/projects/shop/traces", None);
    send(&api, &event).await.ok(200);
    send(&api, &event).await.ok(200);
    let mut wrong_key = event;
    wrong_key["headers"]["x-api-key"] = json!("wrong-key-altogether");
    send(&api, &wrong_key).await.assert_error(401, "unauthorized", None);
    // An instance that never read the keys cannot check a request.
    let mut fresh = fixture.settings.clone();
    fresh.aws.secrets_endpoint = Some(format!("http://{proxy}"));
    let response = send(&Api::new(fresh), &wrong_key).await;
    response.assert_error(503, "keys_unavailable", None);
}

#[tokio::test]
async fn log_describes_requests_without_keys_or_bodies() {
    let fixture = require!(Fixture::without_keys().await);
    let api = fixture.second_instance(cache_pace(60_000, 0));
    assert_eq!(send(&api, &create()).await.status, 503);
    fixture.set_keys(&json!([KEY]).to_string()).await;
    assert_eq!(send(&api, &create()).await.status, 201);
    let mut wrong = create();
    wrong["headers"]["x-api-key"] = json!("wrong-key-altogether");
    assert_eq!(send(&api, &wrong).await.status, 401);
    let denied = fixture.with_tables_at(&server_responding_with("400 Bad Request", "AccessDeniedException"));
    assert_eq!(send(&denied, &create()).await.status, 502);
    let log = crate::log::lines();
    for secret in [KEY, "wrong-key-altogether", "private words", "\"t1\""] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_others = |line: &&Value| line["level"] == "DEBUG" || line["level"] == "TRACE";
    assert_eq!(lines.iter().find(is_others), None, "debug lines of the SDK and the runtime are logged");
    let answered: Vec<&Value> = lines.iter().filter(|line| line["message"] == "answered").collect();
    let seen: Vec<(&Value, &Value, &Value)> =
        answered.iter().map(|line| (&line["route"], &line["status"], &line["level"])).collect();
    let route = &json!("/api/traces");
    let line = |status: u16, level: &str| (json!(status), json!(level));
    let expected = [line(503, "ERROR"), line(201, "INFO"), line(401, "WARN"), line(502, "ERROR")];
    let expected: Vec<(&Value, &Value, &Value)> =
        expected.iter().map(|(status, level)| (route, status, level)).collect();
    assert_eq!(seen, expected);
    assert!(answered.iter().all(|line| line["duration_ms"].as_f64().is_some_and(|time| time > 0.0)));
    let secret = &fixture.settings.api_keys_secret;
    assert!(answered[0]["cause"].as_str().is_some_and(|cause| cause.contains(secret)), "{}", answered[0]);
    let cause = answered[3]["cause"].as_str().unwrap();
    assert!(
        cause.contains("PutItem: AccessDeniedException: so it is") && cause.contains("AWS-REQUEST-7"),
        "{cause}"
    );
}

#[test]
fn debug_output_hides_credentials() {
    assert!(!format!("{:?}", aws("http://127.0.0.1:1")).contains("secret"));
}

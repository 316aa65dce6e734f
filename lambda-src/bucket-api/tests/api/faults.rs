//! How faults of S3 are reported, and the content of the log.

use std::io::{self, Read as _, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use bucket_api::{Api, LOGGED_AS, Settings};
use function_log::json_lines;
use lambda_runtime::tracing::subscriber::filter::LevelFilter;
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};

use crate::fixture::{Fixture, aws, request, send};
use crate::require;

/// Returns an API whose S3 always sends this response, since moto does not throttle.
fn server_responding_with(status: &'static str, code: &'static str) -> Api {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1 << 16];
            let length = stream.read(&mut request).unwrap();
            let body = format!("<Error><Code>{code}</Code><Message>so it is</Message></Error>");
            // The response to HEAD has the length of a body that is not sent.
            let sent = if request[..length].starts_with(b"HEAD") { "" } else { &body };
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nConnection: close\r\n\
                 x-amz-request-id: S3-REQUEST-7\r\nContent-Length: {}\r\n\r\n{sent}",
                body.len()
            )
            .unwrap();
        }
    });
    api_at(&endpoint)
}

fn api_at(endpoint: &str) -> Api {
    Api::new(Settings { bucket: "objects".to_owned(), aws: aws(endpoint) })
}

#[tokio::test]
async fn throttling_and_timeouts_are_retryable_and_denials_are_not() {
    let list = request("GET", "/objects");
    let one = request("GET", "/objects/private-key.txt");
    let busy = server_responding_with("503 Slow Down", "SlowDown");
    let response = send(&busy, &list).await;
    response.assert_error(503, "throttled", None);
    let seen = (response.header("retry-after"), &response.body["error"]["request_id"]);
    assert_eq!(seen, (Some("2"), &json!("request-1")));
    send(&busy, &one).await.assert_error(503, "storage_unavailable", None);
    let broken = server_responding_with("500 Internal Server Error", "InternalError");
    send(&broken, &list).await.assert_error(503, "storage_unavailable", None);
    let denied = server_responding_with("403 Forbidden", "AccessDenied");
    for event in [&list, &one] {
        let response = send(&denied, event).await;
        response.assert_error(502, "storage_failed", None);
        assert_eq!(
            (response.header("retry-after"), response.header("x-request-id")),
            (None, Some("request-1"))
        );
        assert_eq!(response.body["error"]["request_id"], "request-1");
        assert!(!response.body.to_string().contains("so it is"), "S3's message is only for the log");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    send(&api_at(&format!("http://{closed}")), &list).await.assert_error(503, "storage_unavailable", None);
    // The health check does not use S3.
    assert_eq!(
        send(&api_at(&format!("http://{closed}")), &request("GET", "/health")).await.ok(),
        json!({ "status": "ok" })
    );
}

#[tokio::test]
async fn missing_bucket_is_a_server_error() {
    let fixture = require!(Fixture::new().await);
    let settings = Settings { bucket: "nowhere".to_owned(), ..fixture.settings.clone() };
    send(&Api::new(settings), &request("GET", "/objects")).await.assert_error(502, "storage_failed", None);
}

#[tokio::test]
async fn event_that_is_not_a_request_is_a_function_error() {
    let api = api_at("http://127.0.0.1:1");
    for event in
        [json!({}), json!([]), json!({ "Records": [] }), json!({ "version": "1.0", "httpMethod": "GET" })]
    {
        let error = api.handle(LambdaEvent::new(event.clone(), Context::default())).await.unwrap_err();
        assert!(error.to_string().contains("payload format 2.0"), "{event}: {error}");
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn log_describes_requests_without_object_keys() {
    let fixture = require!(Fixture::new().await);
    fixture.put("private-key.txt", "private words").await;
    let shared = Shared::default();
    let writer = shared.clone();
    // With a single subscriber, a log line that a thread of another test without a subscriber reaches first is disabled
    // forever. With two subscribers it is not.
    let _second = json_lines(LOGGED_AS, LevelFilter::TRACE, io::sink).set_default();
    let guard = json_lines(LOGGED_AS, LevelFilter::TRACE, move || writer.clone()).set_default();
    assert_eq!(fixture.get("/objects?prefix=private-key").await.status, 200);
    assert_eq!(fixture.get("/objects/private-key.txt").await.status, 200);
    assert_eq!(fixture.get("/objects/private-key.md").await.status, 404);
    assert_eq!(fixture.get("/private-key").await.status, 404);
    assert_eq!(send(&fixture.api, &request("private-key", "/objects")).await.status, 405);
    let denied = server_responding_with("403 Forbidden", "AccessDenied");
    assert_eq!(send(&denied, &request("GET", "/objects?prefix=private-key")).await.status, 502);
    assert_eq!(send(&denied, &request("GET", "/objects/private-key.txt")).await.status, 502);
    drop(guard);
    let log = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
    assert!(!log.to_lowercase().contains("private"), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_others = |line: &&Value| line["level"] == "DEBUG" || line["level"] == "TRACE";
    assert_eq!(lines.iter().find(is_others), None, "debug lines of the SDK and the runtime are logged");
    let answered: Vec<&Value> = lines.iter().filter(|line| line["message"] == "answered").collect();
    let seen: Vec<(&str, &str, u64, &str)> = answered
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap();
            (text("method"), text("route"), line["status"].as_u64().unwrap(), text("level"))
        })
        .collect();
    let expected = [
        ("GET", "/objects", 200, "INFO"),
        ("GET", "/objects/{key}", 200, "INFO"),
        ("GET", "/objects/{key}", 404, "WARN"),
        ("GET", "none", 404, "WARN"),
        ("other", "/objects", 405, "WARN"),
        ("GET", "/objects", 502, "ERROR"),
        ("GET", "/objects/{key}", 502, "ERROR"),
    ];
    assert_eq!(seen, expected);
    assert!(answered.iter().all(|line| line["duration_ms"].as_f64().is_some_and(|time| time > 0.0)));
    let cause = answered[5]["cause"].as_str().unwrap();
    assert_eq!(cause, "ListObjectsV2: 403 AccessDenied: so it is (S3's request S3-REQUEST-7)");
    let cause = answered[6]["cause"].as_str().unwrap();
    assert!(cause.starts_with("HeadObject: 403 ") && cause.contains("S3-REQUEST-7"), "{cause}");
}

#[test]
fn debug_output_hides_credentials() {
    assert!(!format!("{:?}", aws("http://127.0.0.1:1")).contains("secret"));
}

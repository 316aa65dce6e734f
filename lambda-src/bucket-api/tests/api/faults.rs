//! What S3's own faults become, and what the log holds.

use std::io::{self, Read as _, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use bucket_api::{Api, LOGGED_AS, Settings};
use http_function::logging::json_lines;
use lambda_runtime::tracing::subscriber::filter::LevelFilter;
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};

use crate::world::{World, aws, request, send};

/// Answers every request of a client of S3 in the same way: moto throttles nobody.
fn answering(status: &'static str, code: &'static str) -> Api {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 1 << 16];
            let length = stream.read(&mut asked).unwrap();
            let body = format!("<Error><Code>{code}</Code><Message>so it is</Message></Error>");
            // An answer to HEAD tells how long its body would be, and has none.
            let sent = if asked[..length].starts_with(b"HEAD") { "" } else { &body };
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nConnection: close\r\n\
                 x-amz-request-id: S3-REQUEST-7\r\nContent-Length: {}\r\n\r\n{sent}",
                body.len()
            )
            .unwrap();
        }
    });
    at(&endpoint)
}

fn at(endpoint: &str) -> Api {
    Api::new(Settings { bucket: "objects".to_owned(), aws: aws(endpoint) })
}

#[tokio::test]
async fn throttling_and_silence_may_be_tried_again_and_refusals_not() {
    let list = request("GET", "/objects");
    let one = request("GET", "/objects/private-key.txt");
    let busy = answering("503 Slow Down", "SlowDown");
    let answer = send(&busy, &list).await;
    answer.is_error(503, "throttled", None);
    let told = (answer.header("retry-after"), &answer.body["error"]["request_id"]);
    assert_eq!(told, (Some("2"), &json!("request-1")));
    send(&busy, &one).await.is_error(503, "storage_unavailable", None);
    let broken = answering("500 Internal Server Error", "InternalError");
    send(&broken, &list).await.is_error(503, "storage_unavailable", None);
    let denied = answering("403 Forbidden", "AccessDenied");
    for event in [&list, &one] {
        let answer = send(&denied, event).await;
        answer.is_error(502, "storage_failed", None);
        assert_eq!((answer.header("retry-after"), answer.header("x-request-id")), (None, Some("request-1")));
        assert_eq!(answer.body["error"]["request_id"], "request-1");
        assert!(!answer.body.to_string().contains("so it is"), "S3's words are for the log");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    send(&at(&format!("http://{closed}")), &list).await.is_error(503, "storage_unavailable", None);
    // Nobody is asked.
    assert_eq!(
        send(&at(&format!("http://{closed}")), &request("GET", "/health")).await.ok(),
        json!({ "status": "ok" })
    );
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_no_fault_of_the_callers() {
    let Some(world) = World::new().await else { return };
    let settings = Settings { bucket: "nowhere".to_owned(), ..world.settings.clone() };
    send(&Api::new(settings), &request("GET", "/objects")).await.is_error(502, "storage_failed", None);
}

#[tokio::test]
async fn an_event_that_is_no_request_is_a_function_error() {
    let api = at("http://127.0.0.1:1");
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
async fn the_log_tells_what_happened_and_no_keys() {
    let Some(world) = World::new().await else { return };
    world.put("private-key.txt", "private words").await;
    let shared = Shared::default();
    let writer = shared.clone();
    // With one subscriber alone, a line that is first met by a thread of another test, which has none, counts as
    // unwanted for ever. With two it is asked of both.
    let _second = json_lines(LOGGED_AS, LevelFilter::TRACE, io::sink).set_default();
    let guard = json_lines(LOGGED_AS, LevelFilter::TRACE, move || writer.clone()).set_default();
    assert_eq!(world.get("/objects?prefix=private-key").await.status, 200);
    assert_eq!(world.get("/objects/private-key.txt").await.status, 200);
    assert_eq!(world.get("/objects/private-key.md").await.status, 404);
    assert_eq!(world.get("/private-key").await.status, 404);
    assert_eq!(send(&world.api, &request("private-key", "/objects")).await.status, 405);
    let denied = answering("403 Forbidden", "AccessDenied");
    assert_eq!(send(&denied, &request("GET", "/objects?prefix=private-key")).await.status, 502);
    assert_eq!(send(&denied, &request("GET", "/objects/private-key.txt")).await.status, 502);
    drop(guard);
    let log = String::from_utf8(shared.0.lock().unwrap().clone()).unwrap();
    assert!(!log.to_lowercase().contains("private"), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_others = |line: &&Value| line["level"] == "DEBUG" || line["level"] == "TRACE";
    assert_eq!(lines.iter().find(is_others), None, "lines of the SDK's and the runtime's own are left out");
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
fn credentials_stay_out_of_what_is_shown() {
    assert!(!format!("{:?}", aws("http://127.0.0.1:1")).contains("secret"));
}

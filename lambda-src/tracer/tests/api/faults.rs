//! What AWS's own faults become, and what the log holds.

use std::io::{self, Read as _, Write};
use std::net::TcpListener;

use serde_json::{Value, json};
use tracer::{Api, Settings};

use crate::world::{KEY, World, aws, hurry, request, send};

/// Answers every request of a client of DynamoDB in the same way: moto throttles nobody.
fn answering(status: &'static str, error: &'static str) -> String {
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
async fn throttling_and_silence_may_be_tried_again_and_refusals_not() {
    let Some(world) = World::new().await else { return };
    let busy = world.with_tables_at(&answering("400 Bad Request", "ProvisionedThroughputExceededException"));
    let answer = send(&busy, &create()).await;
    answer.is_error(503, "throttled", None);
    assert_eq!(
        (answer.header("retry-after"), &answer.body["error"]["request_id"]),
        (Some("2"), &json!("request-1"))
    );
    let broken = world.with_tables_at(&answering("500 Internal Server Error", "InternalServerError"));
    send(&broken, &create()).await.is_error(503, "storage_unavailable", None);
    let denied = world.with_tables_at(&answering("400 Bad Request", "AccessDeniedException"));
    let answer = send(&denied, &create()).await;
    answer.is_error(502, "storage_failed", None);
    assert_eq!(answer.header("retry-after"), None);
    assert!(!answer.body.to_string().contains("so it is"), "AWS's words are for the log");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = world.with_tables_at(&format!("http://{closed}"));
    send(&silent, &create()).await.is_error(503, "storage_unavailable", None);
    let settings = Settings { traces_table: "nowhere".to_owned(), ..world.settings.clone() };
    send(&Api::new(settings), &create()).await.is_error(502, "storage_failed", None);
}

#[tokio::test]
async fn keys_outlive_a_secrets_manager_that_is_silent() {
    let Some(world) = World::new().await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = listener.local_addr().unwrap();
    // Passes one connection's bytes on to moto, and is gone after that.
    let moto = world.settings.aws.dynamodb_endpoint.clone().unwrap();
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
        // The next request finds the connection closed.
        let _second = near.read(&mut once).unwrap();
        near.shutdown(std::net::Shutdown::Both).unwrap();
    });
    let mut settings = Settings { pace: hurry(0, 0), ..world.settings.clone() };
    settings.aws.secrets_endpoint = Some(format!("http://{proxy}"));
    let api = Api::new(settings);
    let event = request("GET", "/api/projects/shop/traces", None);
    send(&api, &event).await.ok(200);
    send(&api, &event).await.ok(200);
    let mut stranger = event;
    stranger["headers"]["x-api-key"] = json!("wrong-key-altogether");
    send(&api, &stranger).await.is_error(401, "unauthorized", None);
    // Whoever never had keys can't tell who may call.
    let mut fresh = world.settings.clone();
    fresh.aws.secrets_endpoint = Some(format!("http://{proxy}"));
    let answer = send(&Api::new(fresh), &stranger).await;
    answer.is_error(503, "keys_unavailable", None);
}

#[tokio::test]
async fn the_log_tells_what_happened_and_neither_keys_nor_bodies() {
    let Some(world) = World::without_keys().await else { return };
    let api = world.again(hurry(60_000, 0));
    assert_eq!(send(&api, &create()).await.status, 503);
    world.keep_keys(&json!([KEY]).to_string()).await;
    assert_eq!(send(&api, &create()).await.status, 201);
    let mut wrong = create();
    wrong["headers"]["x-api-key"] = json!("wrong-key-altogether");
    assert_eq!(send(&api, &wrong).await.status, 401);
    let denied = world.with_tables_at(&answering("400 Bad Request", "AccessDeniedException"));
    assert_eq!(send(&denied, &create()).await.status, 502);
    let log = crate::log::lines();
    for secret in [KEY, "wrong-key-altogether", "private words", "\"t1\""] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_others = |line: &&Value| line["level"] == "DEBUG" || line["level"] == "TRACE";
    assert_eq!(lines.iter().find(is_others), None, "lines of the SDK's and the runtime's own are left out");
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
    let secret = &world.settings.api_keys_secret;
    assert!(answered[0]["cause"].as_str().is_some_and(|cause| cause.contains(secret)), "{}", answered[0]);
    let cause = answered[3]["cause"].as_str().unwrap();
    assert!(
        cause.contains("PutItem: AccessDeniedException: so it is") && cause.contains("AWS-REQUEST-7"),
        "{cause}"
    );
}

#[test]
fn credentials_stay_out_of_what_is_shown() {
    assert!(!format!("{:?}", aws("http://127.0.0.1:1")).contains("secret"));
}

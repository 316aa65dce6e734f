//! Which writes the gateway serializes, in front of an emulator that is slow between its check and its write.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use slipway_local::gateway::{self, GatewayConfig};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::send;

/// How long the emulator takes from its check to its write.
const GAP: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Objects {
    existing: Mutex<HashSet<String>>,
    checks: Mutex<Vec<String>>,
}

/// Writes unless the object exists; without a lock, as an emulator does.
async fn write(State(objects): State<Arc<Objects>>, request: Request) -> StatusCode {
    let path = request.uri().path().to_owned();
    let taken = objects.existing.lock().unwrap().contains(&path);
    objects.checks.lock().unwrap().push(path.clone());
    tokio::time::sleep(GAP).await;
    objects.existing.lock().unwrap().insert(path);
    if taken { StatusCode::PRECONDITION_FAILED } else { StatusCode::OK }
}

/// Starts such an emulator and a gateway in front of it; returns the emulator's state and the gateway's address.
async fn start(folder: &tempfile::TempDir) -> (Arc<Objects>, String) {
    let objects = Arc::new(Objects::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let emulator_url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(write).with_state(Arc::clone(&objects));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = GatewayConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        emulator_url,
        store_bucket: support::BUCKET.to_owned(),
        work_folder: folder.path().join("work"),
        registry_folder: folder.path().join("registry"),
        log_folder: folder.path().join("logs"),
        ready_file: None,
        exclusive_emulator: false,
        supervisor_folder: None,
    };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let listening = move |address| sender.send(address).unwrap();
    tokio::spawn(gateway::serve(config, listening, std::future::pending()));
    (objects, format!("http://{}", receiver.await.unwrap()))
}

async fn send_all(url: &str, method: &'static str, paths: impl IntoIterator<Item = String>) -> Vec<u16> {
    let sent = paths.into_iter().map(|path| {
        let url = format!("{url}{path}");
        tokio::spawn(async move { send(method, &url, &[("if-none-match", "*")], "body").await.status })
    });
    let mut statuses = Vec::new();
    for response in sent.collect::<Vec<_>>() {
        statuses.push(response.await.unwrap());
    }
    statuses.sort_unstable();
    statuses
}

#[tokio::test]
async fn writes_of_one_object_are_serialized_and_others_run_in_parallel() {
    let folder = tempfile::tempdir().unwrap();
    let (_, url) = start(&folder).await;
    let one = send_all(&url, "PUT", vec!["/store/key".to_owned(); 4]).await;
    assert_eq!(one, [200, 412, 412, 412]);

    let begun = Instant::now();
    let others = send_all(&url, "PUT", (0..8).map(|number| format!("/store/other/{number}"))).await;
    assert_eq!(others, [200; 8]);
    assert!(begun.elapsed() < 4 * GAP, "{:?}", begun.elapsed());
    // Reads do not wait.
    let begun = Instant::now();
    send_all(&url, "GET", vec!["/store/key".to_owned(); 8]).await;
    assert!(begun.elapsed() < 4 * GAP, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn disconnected_client_keeps_its_lock_until_its_write_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (objects, url) = start(&folder).await;
    let first = format!("{url}/store/key");
    let gone = tokio::spawn(async move { send("PUT", &first, &[], "body").await });
    while objects.checks.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    gone.abort();
    assert!(gone.await.is_err());
    assert_eq!(send_all(&url, "PUT", ["/store/key".to_owned()]).await, [412]);
}

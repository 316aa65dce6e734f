//! Shared by the tests: the emulator, an HTTP client, and a function to invoke.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod folder;
pub mod image;
#[path = "../../../../../tests/support/programs.rs"]
pub mod programs;
pub mod signed;
#[path = "../../../../../tests/support/skip.rs"]
pub mod skip;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use skip::Missing;
use slipway_local::State;
use slipway_local::supervisor::{self, Emulator, Event, Options};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

pub const BUCKET: &str = "store";
pub const REGION: &str = "eu-central-1";

/// A function with its own Lambda runtime, which does what the event's `do` says.
pub const BOOTSTRAP: &str = include_str!("bootstrap.py");

/// Returns moto's executable.
#[expect(clippy::disallowed_methods, reason = "a test binary has no settings but the environment")]
pub fn moto_server() -> Result<PathBuf, Missing> {
    let executable = std::env::var_os("SLIPWAY_MOTO_SERVER").map(PathBuf::from);
    executable.ok_or_else(|| Missing::new("SLIPWAY_MOTO_SERVER does not name moto's executable"))
}

pub fn options(folder: &Path, moto_server: &Path, account: &str) -> Options {
    Options {
        folder: folder.to_owned(),
        emulator: Emulator::Start { moto_server: moto_server.to_owned(), port: None },
        gateway_port: None,
        gateway_command: vec![env!("CARGO_BIN_EXE_slipway-gateway").into()],
        account: account.to_owned(),
        region: REGION.to_owned(),
        store_bucket: BUCKET.to_owned(),
    }
}

/// Starts the environment; returns its state and the supervisor's events.
pub async fn up(options: &Options) -> Result<(State, Vec<Event>), supervisor::Error> {
    let events = Mutex::new(Vec::new());
    let state = supervisor::up(options, &|event| events.lock().unwrap().push(event)).await?;
    Ok((state, events.into_inner().unwrap()))
}

/// Servers that all tests of a binary share; the last test that uses them stops them.
pub struct Shared {
    pub state: State,
    folder: tempfile::TempDir,
}

static SHARED: tokio::sync::Mutex<Weak<Shared>> = tokio::sync::Mutex::const_new(Weak::new());

pub async fn shared() -> Result<Arc<Shared>, Missing> {
    let moto_server = moto_server()?;
    let mut shared = SHARED.lock().await;
    if let Some(running) = shared.upgrade() {
        return Ok(running);
    }
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = up(&options(folder.path(), &moto_server, "999999999999")).await.unwrap();
    let started = Arc::new(Shared { state, folder });
    *shared = Arc::downgrade(&started);
    Ok(started)
}

impl Shared {
    /// The folder of the registry that all accounts share.
    pub fn registry(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    pub fn log(&self, function: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(format!("logs/{function}.log"))).unwrap_or_default()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let folder = self.folder.path().to_owned();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(supervisor::down(&folder)).unwrap();
        })
        .join()
        .unwrap();
    }
}

pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Response {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The end of the log, as Invoke returns it.
    pub fn tail(&self) -> String {
        let tail = BASE64_STANDARD.decode(self.header("x-amz-log-result").unwrap()).unwrap();
        String::from_utf8(tail).unwrap()
    }
}

pub async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let rest = url.strip_prefix("http://").unwrap();
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    let mut all = vec![("host", authority)];
    all.extend(headers);
    send_to(method, url, &all, body).await
}

/// Sends a request whose headers include `host`.
pub async fn send_to(method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let rest = url.strip_prefix("http://").unwrap();
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = (&rest[..at], &rest[at..]);
    let mut request = Request::builder().method(method).uri(if path.is_empty() { "/" } else { path });
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let stream = tokio::net::TcpStream::connect(authority).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(request.body(body.into()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// One account of the emulator, with calls to its services.
#[derive(Clone)]
pub struct Account {
    pub emulator: String,
    pub gateway: String,
    pub id: String,
    key: String,
}

impl Account {
    /// Gets credentials for an account; each test uses its own.
    pub async fn enter(state: &State, id: &str) -> Self {
        let (emulator, gateway) = (state.emulator.url.clone(), state.gateway.url.clone());
        let mut account =
            Self { emulator, gateway, id: id.to_owned(), key: "AKIA0000000000000000".to_owned() };
        let role = format!("arn:aws:iam::{id}:role/tester");
        let form = format!("Action=AssumeRole&Version=2011-06-15&RoleArn={role}&RoleSessionName=tester");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let response = account.call("sts", "POST", &account.emulator, &headers, form.into()).await.text();
        account.key = between(&response, "<AccessKeyId>", "</AccessKeyId>").to_owned();
        account
    }

    pub fn authorization(&self, service: &str) -> String {
        let key = &self.key;
        format!(
            "AWS4-HMAC-SHA256 Credential={key}/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
        )
    }

    pub async fn call(
        &self,
        service: &str,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Response {
        let authorization = self.authorization(service);
        let mut headers = headers.to_vec();
        headers.push(("authorization", &authorization));
        send(method, url, &headers, body).await
    }

    /// Calls a service of the JSON protocol through the gateway; the target is `<service version>.<action>`.
    pub async fn json(&self, service: &str, target: &str, input: serde_json::Value) -> serde_json::Value {
        let kind = if service == "sqs" { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" };
        let headers = [("x-amz-target", target), ("content-type", kind)];
        let response = self.call(service, "POST", &self.gateway, &headers, input.to_string().into()).await;
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        serde_json::from_slice(&response.body).unwrap_or_default()
    }

    /// Sends a request to Lambda or API Gateway through the gateway.
    pub async fn rest(&self, service: &str, method: &str, path: &str, body: serde_json::Value) -> Response {
        let url = format!("{}{path}", self.gateway);
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.call(service, method, &url, &[("content-type", "application/json")], body).await
    }

    /// Creates the alias `live` of a function, on a version.
    pub async fn create_live_alias(&self, function: &str, version: &str) {
        let alias = serde_json::json!({ "Name": "live", "FunctionVersion": version });
        let made = self.lambda("POST", &format!("/{function}/aliases"), alias).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }

    /// Calls Lambda through the gateway.
    pub async fn lambda(&self, method: &str, path: &str, body: serde_json::Value) -> Response {
        let url = format!("{}/2015-03-31/functions{path}", self.gateway);
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        self.call("lambda", method, &url, &[("content-type", "application/json")], body).await
    }

    pub async fn invoke(&self, function: &str, event: serde_json::Value) -> Response {
        self.invoke_with(function, &[("x-amz-log-type", "Tail")], event.to_string()).await
    }

    pub async fn invoke_with(
        &self,
        function: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response {
        let (name, query) = function
            .split_once('?')
            .map_or((function, String::new()), |(name, query)| (name, format!("?{query}")));
        let name = name.replace(':', "%3A");
        let url = format!("{}/2015-03-31/functions/{name}/invocations{query}", self.gateway);
        self.call("lambda", "POST", &url, headers, body.into()).await
    }

    /// Puts an object into the store; creates the store's bucket if it is missing.
    pub async fn store(&self, key: &str, bytes: &[u8]) {
        let bucket = format!("{}/{BUCKET}", self.emulator);
        let location = format!(
            "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
        );
        self.call("s3", "PUT", &bucket, &[], location.into()).await;
        let put = self.call("s3", "PUT", &format!("{bucket}/{key}"), &[], bytes.to_vec().into()).await;
        assert_eq!(put.status, 200, "{}", put.text());
    }

    /// Stores a zip under its digest and creates a function of it, as Slipway and Terraform do.
    pub async fn create_function(&self, name: &str, zip: &[u8], more: serde_json::Value) -> Response {
        let key = artifact_key(zip);
        self.store(&key, zip).await;
        let role = format!("arn:aws:iam::{}:role/{name}", self.id);
        let form = format!(
            "Action=CreateRole&Version=2010-05-08&RoleName={name}&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D"
        );
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let made = self.call("iam", "POST", &self.emulator, &headers, form.into()).await;
        assert_eq!(made.status, 200, "{}", made.text());
        let mut input = serde_json::json!({
            "FunctionName": name, "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": role,
            "Code": { "S3Bucket": BUCKET, "S3Key": key }, "Publish": true, "Timeout": 10, "MemorySize": 256,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            input[key] = value.clone();
        }
        let made = self.lambda("POST", "", input).await;
        assert_eq!(made.status, 201, "{}", made.text());
        made
    }
}

/// Waits until `look` succeeds; panics with its last error.
pub async fn eventually<T>(seconds: u64, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(std::time::Instant::now() < until, "{seen}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

pub fn artifact_key(zip: &[u8]) -> String {
    format!("artifacts/sha256/{}.zip", hex::encode(Sha256::digest(zip)))
}

pub fn zip(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The artifact of a function, distinguished by its label.
pub fn artifact(label: &str) -> Vec<u8> {
    zip(&[("bootstrap", BOOTSTRAP), ("label", label)])
}

pub fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}"));
    rest.split_once(end).unwrap().0
}

/// Returns whether a process runs; a zombie does not.
pub fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'))
}

/// Kills a process and waits until it is dead.
pub fn kill(number: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(number).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    while runs(number) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

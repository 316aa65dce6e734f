//! One moto for the test run, and helpers that set it up.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::scripted::{ScriptedServer, forward};
use crate::skip::Missing;
use slipway_cloud::{AssumeRole, Call, Credentials, ObjectStore, Observer, Session, SessionConfig};

/// A running moto. Its shell stops it when this process ends, however that ends, since its standard input closes.
pub struct Moto {
    pub endpoint: String,
    port: u16,
    _shell: Child,
}

/// Returns the moto of this test run, which is started on first use.
pub fn moto() -> Result<&'static Moto, Missing> {
    static MOTO: OnceLock<Option<Moto>> = OnceLock::new();
    let moto = MOTO.get_or_init(|| variable("SLIPWAY_MOTO_SERVER").map(|executable| start(&executable)));
    moto.as_ref().ok_or_else(|| Missing::new("SLIPWAY_MOTO_SERVER does not name moto's executable"))
}

/// Static credentials of moto's first account.
pub fn target(endpoint: &str) -> SessionConfig {
    SessionConfig {
        region: "eu-central-1".into(),
        credentials: Credentials::Static {
            access_key_id: "AKIAEXAMPLE".into(),
            secret_access_key: "secret".into(),
            session_token: None,
        },
        assume_role: None,
        endpoint: Some(endpoint.into()),
        lambda_endpoint: None,
    }
}

pub async fn session(endpoint: &str) -> Session {
    Session::open(target(endpoint), None).await.unwrap()
}

/// A session in another account.
pub async fn session_in(endpoint: &str, account: &str, observer: Option<Observer>) -> Session {
    let role = AssumeRole {
        arn: format!("arn:aws:iam::{account}:role/deploy"),
        session_name: "slipway-test".into(),
        external_id: Some("slipway-jenkins".into()),
    };
    Session::open(SessionConfig { assume_role: Some(role), ..target(endpoint) }, observer).await.unwrap()
}

/// Moto behind a server that corrects two of its faults: moto checks whether a key exists and writes it in two steps,
/// so that sometimes two conditional writes both succeed; and its list of parts has a root element that S3's clients
/// do not know.
pub fn moto_with_s3_semantics(moto: &'static Moto) -> ScriptedServer {
    let conditional = Mutex::new(());
    ScriptedServer::start(move |_, request| {
        let lock = request.header("if-none-match").map(|_| conditional.lock().unwrap());
        let mut response = forward(moto.port, request);
        drop(lock);
        if request.method == "GET" && request.path.contains("uploadId=") {
            let text = String::from_utf8(response.body).unwrap();
            response.body = text.replace("ListPartsResponse", "ListPartsResult").into_bytes();
        }
        response
    })
}

/// Creates a bucket.
pub async fn bucket(moto: &Moto, name: &str) -> ObjectStore {
    let store = session(&moto.endpoint).await.store(name, None);
    assert!(store.create_bucket(true).await.unwrap());
    store
}

/// Collects what an observer sees.
pub fn observer() -> (Observer, Arc<Mutex<Vec<Call>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    (Arc::new(move |call| into.lock().unwrap().push(call)), seen)
}

/// The operations of the calls seen so far.
pub fn operations(seen: &Mutex<Vec<Call>>) -> Vec<&'static str> {
    seen.lock().unwrap().iter().map(|call| call.operation).collect()
}

impl Moto {
    /// Creates a role, which moto needs to create a function.
    pub fn create_role(&self, name: &str) -> String {
        let body = format!(
            "Action=CreateRole&Version=2010-05-08&RoleName={name}&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D"
        );
        let headers = "Content-Type: application/x-www-form-urlencoded\r\nAuthorization: AWS4-HMAC-SHA256 \
            Credential=AKIAEXAMPLE/20261122/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0\r\n";
        let response = post(self.port, "/", headers, &body).unwrap();
        assert!(response.contains("200 OK") || response.contains("EntityAlreadyExists"), "{response}");
        format!("arn:aws:iam::123456789012:role/{name}")
    }
}

#[expect(clippy::disallowed_methods, reason = "a test binary has no settings but the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "only this function starts another program")]
fn start(executable: &str) -> Moto {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script =
        r#""$0" -H 127.0.0.1 -p "$1" >/dev/null 2>&1 </dev/null & moto=$!; cat >/dev/null; kill $moto"#;
    let shell = std::process::Command::new("sh")
        .args(["-c", script, executable, &port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let config = r#"{"lambda":{"use_docker":false}}"#;
    let json = "Content-Type: application/json\r\n";
    while !post(port, "/moto-api/config", json, config).is_ok_and(|response| response.contains("201")) {
        assert!(started.elapsed() < Duration::from_secs(60), "moto did not start");
        std::thread::sleep(Duration::from_millis(100));
    }
    Moto { endpoint: format!("http://127.0.0.1:{port}"), port, _shell: shell }
}

fn post(port: u16, path: &str, headers: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

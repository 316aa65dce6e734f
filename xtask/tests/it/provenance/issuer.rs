//! An OpenID Connect issuer on this machine: its discovery document, its keys, and the tokens that a CI system gives a job.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::Generate as _;
use serde_json::{Value, json};

/// What a job shows to get a token.
pub(super) const SHOWN: &str = "shown-by-the-job";

/// An issuer that serves until the test ends.
pub(super) struct Issuer {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    key: SigningKey,
    other: SigningKey,
    claims: Mutex<Value>,
    /// Whether tokens are signed by a key that is not among those that the issuer names.
    wrong_key: AtomicBool,
}

impl Issuer {
    pub(super) fn start() -> Self {
        let key = || SigningKey::try_generate().expect("random numbers");
        let shared = Shared {
            key: key(),
            other: key(),
            claims: Mutex::new(Value::Null),
            wrong_key: AtomicBool::new(false),
        };
        let shared = Arc::new(shared);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let serving = shared.clone();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that leaves early is its own business.
                let _ = serving.answer(stream, port);
            }
        });
        Self { port, shared }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The address that GitHub names in ACTIONS_ID_TOKEN_REQUEST_URL.
    pub(super) fn request_url(&self) -> String {
        format!("{}/token?api-version=2.0", self.url())
    }

    /// Sets the claims of the next tokens.
    pub(super) fn gives(&self, claims: &Value) {
        self.shared.claims.lock().expect("a lock").clone_from(claims);
    }

    pub(super) fn sign_with_another_key(&self, wrong: bool) {
        self.shared.wrong_key.store(wrong, Ordering::Relaxed);
    }

    /// The claims of a run of the release workflow on main that builds a commit.
    pub(super) fn claims(&self, commit: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        json!({
            "iss": self.url(), "aud": "slipway", "sub": "repo:acme/shop:environment:release",
            "exp": now + 300, "nbf": now - 5, "iat": now, "jti": "1",
            "repository": "acme/shop", "repository_id": "74", "ref": "refs/heads/main", "sha": commit,
            "run_id": "1658821493", "run_attempt": "1", "actor": "octocat", "environment": "release",
            "workflow_ref": "acme/shop/.github/workflows/release.yml@refs/heads/main",
            "job_workflow_ref": "acme/shop/.github/workflows/release.yml@refs/heads/main",
        })
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream, port: u16) -> std::io::Result<()> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let path = head.split_whitespace().nth(1).unwrap_or_default();
        let url = format!("http://127.0.0.1:{port}");
        let may_ask = head.to_ascii_lowercase().contains(&format!("authorization: bearer {SHOWN}"));
        let (status, body) = match path.split('?').next().unwrap_or_default() {
            "/.well-known/openid-configuration" => {
                ("200 OK", json!({ "issuer": url, "jwks_uri": format!("{url}/keys") }))
            }
            "/keys" => ("200 OK", self.keys()),
            "/token" if may_ask && path.ends_with("api-version=2.0&audience=slipway") => {
                ("200 OK", json!({ "count": 1, "value": self.token() }))
            }
            _ => ("404 Not Found", json!({})),
        };
        let body = body.to_string();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    fn keys(&self) -> Value {
        let point = self.key.verifying_key().to_sec1_point(false);
        let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = (part(&point.as_bytes()[1..33]), part(&point.as_bytes()[33..]));
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k1", "x": x, "y": y }] })
    }

    fn token(&self) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = self.claims.lock().expect("a lock").clone();
        let signed = format!("{}.{}", part(&json!({ "alg": "ES256", "kid": "k1" })), part(&claims));
        let key = if self.wrong_key.load(Ordering::Relaxed) { &self.other } else { &self.key };
        let signature: Signature = key.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }
}

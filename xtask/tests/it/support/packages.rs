//! A package index on this machine, with one package of one wheel.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

/// The wheel's file name.
pub const WHEEL: &str = "shop_common-1.2.0-py3-none-any.whl";
/// The password of the user `ada`.
pub const TOKEN: &str = "s3same";

/// An index of the package `shop-common`: open below `/simple/`, with a password below `/private/`, and without any package
/// below `/empty/`; the wheel is also below `/files/`.
pub struct PackageIndex {
    port: u16,
    /// The wheel's bytes.
    pub wheel: Vec<u8>,
}

impl PackageIndex {
    /// Starts to serve on a free port, until the tests end.
    pub fn start() -> Self {
        let wheel = wheel();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let served = Arc::new(wheel.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let served = Arc::clone(&served);
                std::thread::spawn(move || answer(client, &served));
            }
        });
        Self { port, wheel }
    }

    /// Returns the URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// Answers the requests of a connection.
fn answer(client: TcpStream, wheel: &[u8]) {
    let mut lines = BufReader::new(client.try_clone().expect("a connection")).lines();
    while let Some(Ok(request)) = lines.next() {
        let mut authorized = false;
        while let Some(Ok(line)) = lines.next() {
            if line.is_empty() {
                break;
            }
            let credentials = BASE64_STANDARD.encode(format!("ada:{TOKEN}"));
            authorized |= line.to_ascii_lowercase().starts_with("authorization:")
                && line.ends_with(&format!("Basic {credentials}"));
        }
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (open, path) = match path.strip_prefix("/private") {
            Some(path) => (authorized, path),
            None => (true, path),
        };
        let (status, kind, body) = match path {
            _ if !open => ("401 Unauthorized\r\nWWW-Authenticate: Basic", "text/plain", Vec::new()),
            "/simple/shop-common/" => ("200 OK", "text/html", page(wheel)),
            path if path.strip_prefix("/files/").or(path.strip_prefix("/simple/files/")) == Some(WHEEL) => {
                ("200 OK", "application/octet-stream", wheel.to_vec())
            }
            _ => ("404 Not Found", "text/plain", Vec::new()),
        };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut client = &client;
        let body = if method == "HEAD" { &[] } else { body.as_slice() };
        if client.write_all(head.as_bytes()).and_then(|()| client.write_all(body)).is_err() {
            return;
        }
    }
}

/// The page of the package: <https://packaging.python.org/en/latest/specifications/simple-repository-api/>.
fn page(wheel: &[u8]) -> Vec<u8> {
    let digest: String = Sha256::digest(wheel).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("<!DOCTYPE html><a href=\"../files/{WHEEL}#sha256={digest}\">{WHEEL}</a>").into_bytes()
}

fn wheel() -> Vec<u8> {
    let info = "shop_common-1.2.0.dist-info";
    let mut tree = slipway_archive::Tree::new();
    let mut record = String::new();
    for (name, text) in [
        ("shop_common/__init__.py".to_owned(), "RATE = 3\n"),
        (format!("{info}/METADATA"), "Metadata-Version: 2.1\nName: shop-common\nVersion: 1.2.0\n"),
        (format!("{info}/WHEEL"), "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
    ] {
        tree.add_bytes(&name, false, text.as_bytes().to_vec()).expect("a file of the wheel");
        record.push_str(&format!("{name},,\n"));
    }
    record.push_str(&format!("{info}/RECORD,,\n"));
    tree.add_bytes(&format!("{info}/RECORD"), false, record.into_bytes()).expect("the record");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(WHEEL);
    slipway_archive::write_zip(&tree, &file, &|_| ()).expect("a wheel");
    std::fs::read(file).expect("the wheel")
}

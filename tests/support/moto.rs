//! One moto for the tests of a Lambda function.
//!
//! `SLIPWAY_MOTO_SERVER` names moto's executable; without it, the one that Slipway installed in the repository's
//! `target/slipway/tools` is used. Where there is none, the tests are skipped.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::skip::Missing;

/// A running moto. Its shell stops it when this process ends, however that ends, since its standard input closes.
pub struct Moto {
    pub endpoint: String,
    _shell: Child,
}

/// Returns the moto of this test run, which is started on first use.
pub fn moto() -> Result<&'static Moto, Missing> {
    static MOTO: OnceLock<Option<Moto>> = OnceLock::new();
    let moto = MOTO.get_or_init(|| executable().map(|executable| start(&executable)));
    moto.as_ref().ok_or_else(|| {
        Missing::new("SLIPWAY_MOTO_SERVER does not name moto's executable, and target/slipway/tools has none")
    })
}

fn executable() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a test binary has no settings but the environment")]
    if let Some(named) = std::env::var_os("SLIPWAY_MOTO_SERVER") {
        return Some(PathBuf::from(named));
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/slipway/tools");
    let mut found: Vec<PathBuf> = std::fs::read_dir(tools)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("moto-")))
        .map(|folder| folder.join("venv/bin/moto_server"))
        .filter(|server| server.exists())
        .collect();
    found.sort();
    found.pop()
}

#[expect(clippy::disallowed_methods, reason = "only this function starts another program")]
fn start(executable: &Path) -> Moto {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script =
        r#""$0" -H 127.0.0.1 -p "$1" >/dev/null 2>&1 </dev/null & moto=$!; cat >/dev/null; kill $moto"#;
    let shell = std::process::Command::new("sh")
        .args(["-c", script])
        .arg(executable)
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !responds(port) {
        assert!(started.elapsed() < Duration::from_secs(60), "moto did not start");
        std::thread::sleep(Duration::from_millis(100));
    }
    Moto { endpoint: format!("http://127.0.0.1:{port}"), _shell: shell }
}

fn responds(port: u16) -> bool {
    let request = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.write_all(b"GET /moto-api/ HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).ok()?;
        response.contains("200").then_some(())
    };
    request().is_some()
}

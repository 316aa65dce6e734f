//! One moto for the test run.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A running moto. It ends with this process, however that ends: it waits for its standard input to close.
pub struct Moto {
    pub endpoint: String,
    _shell: Child,
}

/// Gives the moto of this run, or `None` where the tests are left out.
pub fn moto() -> Option<&'static Moto> {
    static MOTO: OnceLock<Option<Moto>> = OnceLock::new();
    MOTO.get_or_init(|| match executable() {
        Some(executable) => Some(start(&executable)),
        None => {
            let words = "no moto: SLIPWAY_MOTO_SERVER is not set, and target/slipway/tools has none";
            assert!(variable("CI").as_deref() != Some("true"), "{words}");
            // Past the capture of tests' output: a test that is left out has to say so.
            std::io::stderr()
                .write_all(format!("{words}; the tests against it are left out\n").as_bytes())
                .unwrap();
            None
        }
    })
    .as_ref()
}

fn executable() -> Option<PathBuf> {
    if let Some(named) = variable("SLIPWAY_MOTO_SERVER") {
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

#[expect(clippy::disallowed_methods, reason = "the tests' one look at the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "the tests' one door to another program")]
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
    while !answers(port) {
        assert!(started.elapsed() < Duration::from_secs(60), "moto did not start");
        std::thread::sleep(Duration::from_millis(100));
    }
    Moto { endpoint: format!("http://127.0.0.1:{port}"), _shell: shell }
}

fn answers(port: u16) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.write_all(b"GET /moto-api/ HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains("200").then_some(())
    };
    ask().is_some()
}

//! What the tests of one process share: the emulated AWS and the folder of their sandboxes, and their cleanup.
//!
//! A shell waits for its standard input to close, which happens when this process ends, however it ends. Then it stops
//! moto and every server that a sandbox left running (found by the mark that servers carry), and removes the folder.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::http;
use super::machine::{Machine, machine, repository};
use super::process;
use super::skip::Missing;

/// Shared by all tests of this process.
pub struct TestRun {
    pub machine: &'static Machine,
    /// The folder of all sandboxes.
    pub folder: PathBuf,
    /// moto's port.
    pub port: u16,
    _cleanup: Child,
}

/// $0: moto's interpreter, $1: port, $2: the sandboxes' folder, $3: the script that starts moto.
const RUN_MOTO_AND_CLEAN_UP: &str = r#"
MOTO_IAM_LOAD_MANAGED_POLICIES=true "$0" "$3" -H 127.0.0.1 -p "$1" >"$2/moto.log" 2>&1 </dev/null &
moto=$!
cat >/dev/null
for process in /proc/[0-9]*; do
  if tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -q "^SLIPWAY_LOCAL_SERVER_OF=$2/"; then
    kill "${process#/proc/}" 2>/dev/null
  fi
done
kill $moto
wait $moto 2>/dev/null
rm -rf "$2"
"#;

impl TestRun {
    /// Returns the test run of this process, which starts on first use.
    pub fn shared() -> Result<&'static Self, Missing> {
        static RUN: OnceLock<Result<TestRun, Missing>> = OnceLock::new();
        RUN.get_or_init(|| machine().map(start)).as_ref().map_err(Clone::clone)
    }

    /// Returns a test run with an emulator of its own, for a test that turns on the emulator's IAM checks: they are on for everybody.
    pub fn separate() -> Result<&'static Self, Missing> {
        machine().map(|machine| &*Box::leak(Box::new(start(machine))))
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the end of the emulator's log, without successful requests.
    pub fn emulator_errors(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("moto.log")).unwrap_or_default();
        // Requests that succeeded or that the emulator refused are not errors of the emulator.
        let handled = |line: &&str| line.contains(" HTTP/1.1") && !line.contains(" 50");
        let lines: Vec<&str> = log.lines().filter(|line| !handled(line)).collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

fn start(machine: &'static Machine) -> TestRun {
    let folder =
        tempfile::Builder::new().prefix("slipway-it-").tempdir().expect("a folder for the sandboxes").keep();
    // Canonical, so that the cleanup's comparison with the marks works.
    let folder = folder.canonicalize().expect("the sandboxes' folder");
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let mut command = process::command(Path::new("sh"));
    command
        .arg("-c")
        .arg(RUN_MOTO_AND_CLEAN_UP)
        .arg(machine.moto.with_file_name("python"))
        .arg(port.to_string())
        .arg(&folder)
        .arg(repository().join("xtask/crates/local/src/supervisor/start_moto.py"))
        .env("PATH", &machine.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Ctrl-C in a terminal ends the tests, and the shell must outlive them to clean up.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let cleanup = command.spawn().expect("a shell");
    let started = Instant::now();
    // The backend must be chosen before the first function is created: choosing it drops all functions.
    while !http::send(
        port,
        "POST",
        "/moto-api/config",
        &[("Content-Type", "application/json")],
        br#"{"lambda":{"use_docker":false}}"#,
    )
    .is_ok_and(|response| response.status == 201)
    {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "moto did not start: {}",
            std::fs::read_to_string(folder.join("moto.log")).unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    TestRun { machine, folder, port, _cleanup: cleanup }
}

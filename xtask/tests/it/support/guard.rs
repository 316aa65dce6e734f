//! One emulated AWS for the test run, and the end of all that the run started.
//!
//! A shell waits for its standard input to close, which happens when this process ends, however it ends. Then it stops
//! moto, every server that a world left (found by the mark that servers carry), and removes the worlds' folder.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::http;
use super::process;
use super::surroundings::{Surroundings, repository, surroundings};

/// What the test run shares.
pub struct Run {
    pub machine: &'static Surroundings,
    /// The folder of all worlds.
    pub folder: PathBuf,
    /// moto's port.
    pub port: u16,
    _guard: Child,
}

/// $0: moto's interpreter, $1: port, $2: the worlds' folder, $3: the script that starts moto.
const GUARD: &str = r#"
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

/// Returns what the test run shares, or nothing where tests are left out.
pub fn run() -> Option<&'static Run> {
    static RUN: OnceLock<Option<Run>> = OnceLock::new();
    RUN.get_or_init(|| surroundings().map(start)).as_ref()
}

impl Run {
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Gives the end of what the emulator logged of its own faults.
    pub fn faults(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("moto.log")).unwrap_or_default();
        // Requests that went well, or that the emulator refused, are nobody's fault.
        let well = |line: &&str| line.contains(" HTTP/1.1") && !line.contains(" 50");
        let lines: Vec<&str> = log.lines().filter(|line| !well(line)).collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

fn start(machine: &'static Surroundings) -> Run {
    let folder =
        tempfile::Builder::new().prefix("slipway-it-").tempdir().expect("a folder for the worlds").keep();
    // As the kernel writes it, so that the guard's comparison with marks holds.
    let folder = folder.canonicalize().expect("the worlds' folder");
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let mut command = process::command(Path::new("sh"));
    command
        .arg("-c")
        .arg(GUARD)
        .arg(machine.moto.with_file_name("python"))
        .arg(port.to_string())
        .arg(&folder)
        .arg(repository().join("xtask/crates/local/src/supervisor/start_moto.py"))
        .env("PATH", &machine.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // A terminal's Ctrl-C ends the tests, and the guard must outlive them to clean up.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let guard = command.spawn().expect("a shell");
    let begun = Instant::now();
    // The backend must be chosen before the first function: choosing it drops all there are.
    while !http::send(
        port,
        "POST",
        "/moto-api/config",
        &[("Content-Type", "application/json")],
        br#"{"lambda":{"use_docker":false}}"#,
    )
    .is_ok_and(|answer| answer.status == 201)
    {
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "moto did not start: {}",
            std::fs::read_to_string(folder.join("moto.log")).unwrap_or_default()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    Run { machine, folder, port, _guard: guard }
}

//! Starts servers and function instances, and ends them. No other module of this crate starts programs.
//!
//! Each program gets its own process group: a terminal's Ctrl-C does not reach it, and one signal reaches all processes
//! that it started. Errors: the program is missing, not executable, or built for another machine.

use rustix::process::{Pid, PidfdFlags, Signal};
use slipway_runner::process::{self, ProcessIdentity};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// The environment variable that marks every process of a local environment; its value is the environment's folder.
///
/// Child processes inherit it, so processes that were left behind are found. Users never set it.
pub(crate) const MARKER: &str = "SLIPWAY_LOCAL_SERVER_OF";

/// Variables of the user's shell that would change how the servers behave.
const REMOVED_VARIABLES: [&str; 14] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "INITIAL_NO_AUTH_ACTION_COUNT",
    "MOTO_ACCOUNT_ID",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
];

/// A command line.
pub(crate) struct CommandLine {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) variables: Vec<(OsString, OsString)>,
    /// The value of [`MARKER`].
    pub(crate) marker: Option<PathBuf>,
}

impl CommandLine {
    /// Starts a server that outlives this process. It inherits the environment without its credentials, which a function of the same
    /// user could read there; its output goes to a file.
    #[expect(clippy::disallowed_methods, reason = "names alone, of what the server would inherit")]
    pub(crate) fn spawn_server(self, log: File) -> io::Result<Child> {
        let mut command = self.command();
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(slipway_runner::credentials::is_credential) {
                command.env_remove(name);
            }
        }
        for name in REMOVED_VARIABLES {
            command.env_remove(name);
        }
        let errors = log.try_clone()?;
        command.envs(self.variables).stdout(log).stderr(errors).spawn()
    }

    /// Starts a function instance that ends with its handle. It inherits nothing; its output goes to a pipe.
    pub(crate) fn spawn_instance(self, folder: &Path, output: io::PipeWriter) -> io::Result<Child> {
        let mut command = self.command();
        command.env_clear();
        if let Some(folder) = &self.marker {
            command.env(MARKER, folder);
        }
        let errors = output.try_clone()?;
        command
            .envs(self.variables)
            .current_dir(folder)
            .stdout(output)
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
    }

    /// Runs a program to its end and returns its stdout. Errors: it fails or takes too long.
    pub(crate) async fn output(self, within: Duration) -> io::Result<Vec<u8>> {
        let mut command = self.command();
        command.envs(self.variables).kill_on_drop(true);
        let output = tokio::time::timeout(within, command.output()).await??;
        match output.status.success() {
            true => Ok(output.stdout),
            false => {
                let stderr = String::from_utf8_lossy(&output.stderr);
                let last = stderr.trim().lines().last().map(|line| format!(": {line}")).unwrap_or_default();
                let program = self.program.display();
                Err(io::Error::other(format!("{program} ended with {}{last}", output.status)))
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the only place in this crate that starts programs")]
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).process_group(0);
        if let Some(folder) = &self.marker {
            command.env(MARKER, folder);
        }
        command
    }
}

/// Returns the PATH of this machine.
pub(crate) fn search_path() -> OsString {
    variable("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

/// Reads an environment variable that says where this machine keeps its interpreters.
#[expect(clippy::disallowed_methods, reason = "these variables say where interpreters are")]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// How a process ended after a request to end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessEnd {
    /// It had ended before.
    AlreadyGone,
    /// It ended after SIGTERM.
    Terminated,
    /// It ended after SIGKILL.
    Killed,
}

/// Ends a process and its group: SIGTERM, then SIGKILL after `grace`. A later process with the same number is not ended.
pub(crate) async fn end(identity: ProcessIdentity, grace: Duration) -> io::Result<ProcessEnd> {
    let Some(pid) = i32::try_from(identity.pid).ok().and_then(Pid::from_raw) else {
        return Ok(ProcessEnd::AlreadyGone);
    };
    // While the descriptor is open, no other process can get this number.
    let descriptor = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        Err(rustix::io::Errno::SRCH) => return Ok(ProcessEnd::AlreadyGone),
        Err(error) => return Err(error.into()),
    };
    if !identity.is_alive() {
        return Ok(ProcessEnd::AlreadyGone);
    }
    let is_group_leader = process::group(identity.pid) == Some(identity.pid);
    let signal = |signal: Signal| -> io::Result<()> {
        let sent = match is_group_leader {
            true => rustix::process::kill_process_group(pid, signal),
            false => rustix::process::pidfd_send_signal(&descriptor, signal),
        };
        match sent {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    };
    signal(Signal::TERM)?;
    if ends_within(identity, grace).await {
        return Ok(ProcessEnd::Terminated);
    }
    signal(Signal::KILL)?;
    match ends_within(identity, Duration::from_secs(5)).await {
        true => Ok(ProcessEnd::Killed),
        false => Err(io::Error::other(format!("process {} still runs after SIGKILL", identity.pid))),
    }
}

/// Kills a process group at once. The leader must be a child of this process that was not reaped, so that the number is
/// still its own.
pub(crate) fn kill_group(leader: u32) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // The group may have ended already.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

async fn ends_within(identity: ProcessIdentity, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    while identity.is_alive() {
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

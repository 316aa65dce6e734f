//! The one door to programs: starts servers and function instances, and ends them.
//!
//! Each gets a process group of its own, so that a terminal's Ctrl-C misses it and one signal reaches all it
//! started. What can go wrong: the program is missing, not executable, or made for another machine.

use crate::procfs::{self, Identity};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// Marks every process that belongs to a folder of the local environment; its value is the folder.
///
/// It is inherited, so that whatever was left behind is found. Never set by hand.
pub(crate) const MARKER: &str = "SLIPWAY_LOCAL_SERVER_OF";

/// What would make a server of ours behave otherwise in one person's shell than in another's.
const UNWANTED: [&str; 14] = [
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

/// What is to be started and how.
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) variables: Vec<(OsString, OsString)>,
    pub(crate) marker: Option<PathBuf>,
}

impl Launch {
    /// Starts a server that outlives us: our environment, output to a file.
    pub(crate) fn server(self, log: File) -> io::Result<Child> {
        let mut command = self.command();
        for name in UNWANTED {
            command.env_remove(name);
        }
        let errors = log.try_clone()?;
        command.envs(self.variables).stdout(log).stderr(errors).spawn()
    }

    /// Starts a function instance that dies with its handle: its own environment only, output to a pipe.
    pub(crate) fn instance(self, folder: &Path, output: io::PipeWriter) -> io::Result<Child> {
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

    /// Runs a program to its end and gives what it wrote to stdout; an error where it fails or takes too long.
    pub(crate) async fn output(self, within: Duration) -> io::Result<Vec<u8>> {
        let mut command = self.command();
        command.envs(self.variables).kill_on_drop(true);
        let output = tokio::time::timeout(within, command.output()).await??;
        match output.status.success() {
            true => Ok(output.stdout),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                let said = said.trim().lines().last().map(|line| format!(": {line}")).unwrap_or_default();
                let program = self.program.display();
                Err(io::Error::other(format!("{program} ended with {}{said}", output.status)))
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the local environment starts its own servers and functions, here and nowhere else"
    )]
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).process_group(0);
        if let Some(folder) = &self.marker {
            command.env(MARKER, folder);
        }
        command
    }
}

/// Tells where this machine's programs are looked for; functions run by an interpreter need it.
pub(crate) fn search_path() -> OsString {
    variable("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

/// Reads one of the host's variables, of those that say where the host keeps its interpreters.
#[expect(clippy::disallowed_methods, reason = "the host's interpreters are found as the host says")]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// How a process ended that was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It had ended before.
    Gone,
    /// It ended by itself after SIGTERM.
    Terminated,
    /// It had to be killed.
    Killed,
}

/// Ends a process and its group: SIGTERM, a while to comply, SIGKILL. Only ever that very process.
pub(crate) async fn end(identity: Identity, grace: Duration) -> io::Result<End> {
    let Some(pid) = i32::try_from(identity.pid).ok().and_then(Pid::from_raw) else {
        return Ok(End::Gone);
    };
    // The descriptor keeps the number from meaning another process between the check and the signal.
    let descriptor = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => descriptor,
        Err(rustix::io::Errno::SRCH) => return Ok(End::Gone),
        Err(error) => return Err(error.into()),
    };
    if !identity.alive() {
        return Ok(End::Gone);
    }
    let leads = procfs::group(identity.pid) == Some(identity.pid);
    let signal = |signal: Signal| -> io::Result<()> {
        let sent = match leads {
            true => rustix::process::kill_process_group(pid, signal),
            false => rustix::process::pidfd_send_signal(&descriptor, signal),
        };
        match sent {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    };
    signal(Signal::TERM)?;
    if wait(identity, grace).await {
        return Ok(End::Terminated);
    }
    signal(Signal::KILL)?;
    match wait(identity, Duration::from_secs(5)).await {
        true => Ok(End::Killed),
        false => Err(io::Error::other(format!("process {} survives SIGKILL", identity.pid))),
    }
}

/// Kills a group at once; for one that we lead the life of and whose number is therefore still its own.
pub(crate) fn kill_group(leader: u32) {
    if let Some(pid) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // It may be gone already, and that is all we want.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

async fn wait(identity: Identity, limit: Duration) -> bool {
    let until = Instant::now() + limit;
    while identity.alive() {
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

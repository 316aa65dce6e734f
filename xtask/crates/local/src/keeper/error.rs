//! What can go wrong in keeping the local environment, in words that name the server, port, file or process.

use crate::emulator::EmulatorError;
use crate::state::StateError;
use std::path::PathBuf;

/// What can go wrong in keeping the local environment.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for makes no sense.
    #[error("the local environment cannot be set up: {0}")]
    Options(String),
    /// The folder cannot be made or locked.
    #[error("{path}", path = path.display())]
    Folder {
        /// The folder or a file in it.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The state file cannot be used.
    #[error("the state of the local environment cannot be used")]
    State(#[from] StateError),
    /// A port that was asked for is taken.
    #[error("port {port}, asked for {what}, is taken by {holder}", holder = holder.as_deref().unwrap_or("another process"))]
    PortTaken {
        /// `moto` or `gateway`.
        what: &'static str,
        /// The port.
        port: u16,
        /// `name (pid)`, where /proc tells.
        holder: Option<String>,
    },
    /// The emulator runs, but elsewhere than asked for, and moving it would lose everything in it.
    #[error(
        "moto runs at {running}, not on port {asked} as asked; moving it would lose what is in it: stop it first"
    )]
    Elsewhere {
        /// Where it runs.
        running: String,
        /// The port asked for.
        asked: u16,
    },
    /// A program cannot be started.
    #[error("{what} cannot be started: {program}", program = program.display())]
    Spawn {
        /// `moto` or `gateway`.
        what: &'static str,
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A server did not come up.
    #[error("{what} did not come up: {why}; the end of {log}:\n{tail}", log = log.display())]
    Start {
        /// `moto` or `gateway`.
        what: &'static str,
        /// What was seen.
        why: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The emulator to attach to does not answer.
    #[error("no emulator answers at {url}: {why}")]
    Attach {
        /// Where.
        url: String,
        /// What was seen.
        why: String,
    },
    /// The emulator did not do as asked.
    #[error("the emulator could not be prepared")]
    Emulator(#[from] EmulatorError),
    /// The emulator's credentials lead elsewhere.
    #[error("the emulator's credentials lead into account {got}, not {asked}")]
    Account {
        /// The account asked for.
        asked: String,
        /// The account they lead into.
        got: String,
    },
    /// A process does not end.
    #[error("{what}, process {pid}, cannot be ended")]
    End {
        /// What it is.
        what: &'static str,
        /// Its process number.
        pid: u32,
        /// What the system said.
        source: std::io::Error,
    },
}

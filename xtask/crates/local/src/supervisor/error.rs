//! The supervisor's errors. Each names the server, port, file or process.

use crate::emulator::EmulatorError;
use crate::state::{Component, StateError};
use std::path::PathBuf;

/// Why the local environment cannot be started, found or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option is missing or invalid.
    #[error("the local environment's options are invalid: {0}")]
    Options(String),
    /// The folder or a file in it cannot be used.
    #[error("cannot use {path}", path = path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The state file cannot be used.
    #[error("the state of the local environment cannot be used")]
    State(#[from] StateError),
    /// The gateway could open too few files.
    #[error(
        "a process may open {limit} files here, too few for the Lambda gateway: raise the limit (ulimit -n 1024)"
    )]
    OpenFiles {
        /// The hard limit.
        limit: u64,
    },
    /// A requested port is taken.
    #[error("port {port}, requested for {component}, is taken by {holder}", holder = holder.as_deref().unwrap_or("another process"))]
    PortTaken {
        /// The server.
        component: Component,
        /// The port.
        port: u16,
        /// `name (pid)`, if /proc shows it.
        holder: Option<String>,
    },
    /// The emulator runs on another port than requested, and moving it would lose everything in it.
    #[error(
        "moto runs at {running}, but port {requested} was requested; stop it first: moving it would lose what is in it"
    )]
    OtherPort {
        /// Its address.
        running: String,
        /// The requested port.
        requested: u16,
    },
    /// A program cannot be started.
    #[error("cannot start {component}: {program}", program = program.display())]
    Spawn {
        /// The server.
        component: Component,
        /// The program.
        program: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A server did not become ready.
    #[error("{component} did not start: {reason}; the end of {log}:\n{tail}", log = log.display())]
    Start {
        /// The server.
        component: Component,
        /// The problem.
        reason: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The emulator to attach to does not respond.
    #[error("no emulator responds at {url}: {reason}")]
    Attach {
        /// Its address.
        url: String,
        /// The problem.
        reason: String,
    },
    /// A call to the emulator failed.
    #[error("the emulator could not be prepared")]
    Emulator(#[from] EmulatorError),
    /// The emulator's credentials are for another account.
    #[error("the emulator's credentials are for account {actual}; {expected} was requested")]
    Account {
        /// The requested account.
        expected: String,
        /// The account of the credentials.
        actual: String,
    },
    /// A process cannot be ended.
    #[error("cannot end {component}, process {pid}")]
    End {
        /// The kind of process.
        component: Component,
        /// Its process number.
        pid: u32,
        /// The system's error.
        source: std::io::Error,
    },
}

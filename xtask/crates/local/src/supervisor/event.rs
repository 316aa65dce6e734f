//! What the supervisor reports: the progress of a start, and the processes that it ended.

use crate::programs::ProcessEnd;
use crate::state::Component;
use std::path::PathBuf;
use std::time::Duration;

/// A step of [`super::up`], reported as it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Another command holds the lock; this one waits for it.
    Waiting {
        /// The lock file.
        lock: PathBuf,
    },
    /// A server is starting.
    Starting {
        /// The server.
        component: Component,
    },
    /// A server is ready.
    Started {
        /// The server.
        component: Component,
        /// Its address.
        url: String,
        /// The time from the start of its process to its first response.
        took: Duration,
    },
    /// A server was running already.
    Reused {
        /// The server.
        component: Component,
        /// Its address.
        url: String,
    },
    /// A process of an earlier start was ended.
    Cleaned {
        /// The kind of process.
        component: Component,
        /// Its process number.
        pid: u32,
        /// Why it was ended, and what is lost with it.
        reason: String,
    },
}

/// A process that [`super::down`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppedProcess {
    /// The kind of process.
    pub component: Component,
    /// Its process number.
    pub pid: u32,
    /// How it ended.
    pub end: ProcessEnd,
}

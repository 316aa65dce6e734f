//! Runs programs and graphs of work: processes, signals, progress events. Knows nothing of functions and releases.

pub mod exec;
pub mod graph;
pub mod interrupt;
pub mod process;
pub mod progress;

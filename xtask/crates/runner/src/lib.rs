//! Runs programs, command lines and graphs of tasks: processes, signals, progress events. Knows nothing of functions and
//! releases.

pub mod command_lines;
pub mod credentials;
pub mod exec;
pub mod graph;
pub mod interrupt;
pub mod process;
pub mod progress;

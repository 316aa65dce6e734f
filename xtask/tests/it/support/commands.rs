//! The commands that most tests run: on the local environment, without questions.

/// Releases what changed.
pub const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];

/// Rolls back the newest deployment.
pub const ROLLBACK: [&str; 4] = ["rollback", "--env", "local", "--yes"];

//! Programs of this machine that tests run.

use std::path::PathBuf;

use super::skip::Missing;

/// Finds a program on the PATH.
#[expect(clippy::disallowed_methods, reason = "a test binary has no settings but the environment")]
pub fn find_program(name: &str) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| Missing::new(format!("{name} is not on the PATH")))
}

//! The programs that Slipway runs, each behind a file that knows its command line and its words.

pub(crate) mod cargo;
pub(crate) mod cargo_tree;
pub(crate) mod exec;
pub(crate) mod install;
pub(crate) mod terraform;
pub(crate) mod uv;

use std::path::{Path, PathBuf};

/// Finds a program on a PATH, or takes a path as it is.
pub(crate) fn find_program(name: &str, path: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let runs = |file: &Path| {
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|file| runs(file));
    }
    path.split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join(name))
        .find(|file| runs(file))
}

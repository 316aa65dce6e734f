//! The files in the folder of a local environment.
//!
//! An environment that an earlier version started must still be found and stopped: these names never change.

use std::path::{Path, PathBuf};

/// Returns the file with the servers' addresses, processes and credentials.
pub(crate) fn state(folder: &Path) -> PathBuf {
    folder.join("state.json")
}

/// Returns the file that is locked while a command changes the environment.
pub(crate) fn lock(folder: &Path) -> PathBuf {
    folder.join("lock")
}

/// Returns the folder in which the gateway unpacks functions.
pub(crate) fn functions(folder: &Path) -> PathBuf {
    folder.join("functions")
}

/// Returns the folder of the functions' logs.
pub(crate) fn function_logs(folder: &Path) -> PathBuf {
    folder.join("logs")
}

/// Returns the folder of the image registry, and of what the gateway persists beside it.
pub(crate) fn registry(folder: &Path) -> PathBuf {
    folder.join("registry")
}

/// Returns the gateway's configuration file.
pub(crate) fn gateway_config(folder: &Path) -> PathBuf {
    folder.join("gateway.json")
}

/// Returns the file to which the gateway writes its address once it listens.
pub(crate) fn gateway_ready(folder: &Path) -> PathBuf {
    folder.join("gateway.ready")
}

/// Returns the gateway's log.
pub(crate) fn gateway_log(folder: &Path) -> PathBuf {
    folder.join("gateway.log")
}

/// Returns moto's log.
pub(crate) fn moto_log(folder: &Path) -> PathBuf {
    folder.join("moto.log")
}

/// Returns the script that starts moto.
pub(crate) fn moto_script(folder: &Path) -> PathBuf {
    folder.join("start_moto.py")
}

//! The state of a local environment: `<folder>/state.json`, readable by its owner only.
//!
//! It is written as soon as a server's process exists, before the server is ready. A supervisor that is killed meanwhile
//! therefore leaves a record of the process.

use crate::layout;
use serde::{Deserialize, Serialize};
use slipway_values::partition::EcrHost;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The version of the state file's format.
pub(crate) const SCHEMA: &str = "slipway.local/1";

/// The servers of one environment and the credentials for its account.
///
/// While there are no credentials, the emulator is starting; while it has no address, a server is starting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The format of this file: `slipway.local/1`.
    pub schema: String,
    /// 12 digits.
    pub account: String,
    /// Such as `eu-central-1`.
    pub region: String,
    /// The access key that the emulator maps to the account.
    pub access_key_id: String,
    /// The secret of the access key. The emulator does not check it by default.
    pub secret_access_key: String,
    /// The session token of the access key.
    pub session_token: Option<String>,
    /// moto.
    pub emulator: Server,
    /// The Lambda gateway.
    pub gateway: Server,
    /// When the emulator was started or attached to.
    pub started_at: jiff::Timestamp,
}

impl State {
    /// Returns host and port of the image registry, to which images are pushed over plain HTTP.
    pub fn registry(&self) -> &str {
        self.gateway.url.trim_start_matches("http://")
    }

    /// Returns the host in image URIs: `<account>.dkr.ecr.<region>.amazonaws.com`, as in the cloud.
    ///
    /// It is not the registry's address, because the port may change, and a changed URI is a change in Terraform's plan.
    /// The gateway finds an image by repository and digest and ignores the host.
    pub fn image_host(&self) -> String {
        EcrHost::new(&self.account, &self.region).to_string()
    }
}

/// One server of the local environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// `http://127.0.0.1:<port>`; empty while the server is starting.
    pub url: String,
    /// Its process; `None` for a server that Slipway did not start.
    pub pid: Option<u32>,
    /// The start time of the process in clock ticks since boot, which tells it from a later one with the same number.
    pub start_ticks: Option<u64>,
    /// The file with its output.
    pub log: PathBuf,
}

/// A kind of process that belongs to a local environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// moto.
    Emulator,
    /// The Lambda gateway.
    Gateway,
    /// Any other process, such as a function's.
    Process,
}

impl fmt::Display for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Emulator => "moto",
            Self::Gateway => "gateway",
            Self::Process => "process",
        })
    }
}

/// Whether a local environment is running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Both servers respond.
    Running(State),
    /// There is no environment.
    Stopped,
    /// There is an environment, but a server does not respond or is still starting.
    Broken {
        /// The state file.
        state: State,
        /// The servers that do not respond.
        dead: Vec<DeadServer>,
    },
}

/// A server that does not respond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadServer {
    /// The emulator or the gateway.
    pub component: Component,
    /// Why it counts as dead.
    pub reason: String,
}

/// Reads the state of an environment; `None` if there is none, or if it is another folder's and was copied with it.
pub(crate) fn read(folder: &Path) -> Result<Option<State>, StateError> {
    let path = layout::state(folder);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::File { path, source }),
    };
    let state: State = serde_json::from_slice(&bytes)
        .map_err(|source| StateError::Format { path: path.clone(), reason: source.to_string() })?;
    if state.schema != SCHEMA {
        let reason = format!("its format is `{}`, this program reads `{SCHEMA}`", state.schema);
        return Err(StateError::Format { path, reason });
    }
    Ok(Some(state).filter(|state| !is_of_another_folder(state, folder)))
}

/// Returns whether a state describes the servers of another folder, which is still there: nobody may stop them from a copy.
fn is_of_another_folder(state: &State, folder: &Path) -> bool {
    let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let own = canonical(folder);
    [&state.gateway.log, &state.emulator.log]
        .into_iter()
        .filter_map(|log| log.parent())
        .any(|of_log| layout::state(of_log).is_file() && canonical(of_log) != own)
}

/// Replaces the state of an environment atomically.
pub(crate) fn write(folder: &Path, state: &State) -> Result<(), StateError> {
    let path = layout::state(folder);
    let written = || -> std::io::Result<()> {
        // Temporary files are made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, state)?;
        file.write_all(b"\n")?;
        file.persist(&path)?;
        Ok(())
    };
    written().map_err(|source| StateError::File { path: path.clone(), source })
}

/// Removes the state of an environment.
pub(crate) fn remove(folder: &Path) -> Result<(), StateError> {
    let path = layout::state(folder);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(StateError::File { path, source })
        }
        _ => Ok(()),
    }
}

/// Why the state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read or written.
    #[error("cannot read or write {path}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It is not a state file of this format.
    #[error("{path} is not a state file of the local environment: {reason}", path = path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The problem.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn state_file_of_an_earlier_version_is_read_and_written_unchanged() {
        let server = |pid: u32| {
            serde_json::json!({
                "url": "http://127.0.0.1:5000", "pid": pid, "start_ticks": 9, "log": "/local/moto.log",
            })
        };
        let stored = serde_json::json!({
            "schema": "slipway.local/1",
            "account": "111111111111",
            "region": "eu-central-1",
            "access_key_id": "key",
            "secret_access_key": "secret",
            "session_token": "token",
            "emulator": server(7),
            "gateway": server(8),
            "started_at": "2026-01-01T00:00:00Z",
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("state.json"), stored.to_string()).unwrap();
        let state = read(folder.path()).unwrap().unwrap();
        assert_eq!(serde_json::to_value(state).unwrap(), stored);
    }

    #[test]
    fn state_that_was_copied_with_its_folder_is_the_other_folders() {
        let folder = tempfile::tempdir().unwrap();
        let (first, copy) = (folder.path().join("first"), folder.path().join("copy"));
        for folder in [&first, &copy] {
            std::fs::create_dir(folder).unwrap();
        }
        let state = State {
            schema: SCHEMA.to_owned(),
            account: "111111111111".to_owned(),
            region: "eu-central-1".to_owned(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
            session_token: None,
            emulator: Server::default(),
            gateway: Server { log: layout::gateway_log(&first), ..Server::default() },
            started_at: jiff::Timestamp::UNIX_EPOCH,
        };
        for folder in [&first, &copy] {
            write(folder, &state).unwrap();
        }
        assert_eq!(read(&first).unwrap(), Some(state.clone()));
        assert_eq!(read(&copy).unwrap(), None);
        // The folder was moved.
        std::fs::remove_dir_all(&first).unwrap();
        assert_eq!(read(&copy).unwrap(), Some(state));
    }

    #[test]
    fn state_file_is_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        let state = State {
            schema: SCHEMA.to_owned(),
            account: "111111111111".to_owned(),
            region: "eu-central-1".to_owned(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
            session_token: None,
            emulator: Server { pid: Some(7), start_ticks: Some(9), ..Server::default() },
            gateway: Server::default(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
        };
        write(folder.path(), &state).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(state.clone()));
        let mode = std::fs::metadata(layout::state(folder.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        write(folder.path(), &State { schema: "slipway.local/9".to_owned(), ..state }).unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("slipway.local/9"), "{error}");
        remove(folder.path()).unwrap();
        remove(folder.path()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
    }
}

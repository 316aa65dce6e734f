//! What the keeper remembers of the servers it keeps: `<folder>/state.json`, readable by its owner alone.
//!
//! It is written before a server is waited for, so that whatever ends the keeper leaves a trace.

use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The version of the state file's form.
pub(crate) const SCHEMA: &str = "slipway.local/1";

/// The servers of one folder and the credentials that lead into its account.
///
/// Without credentials the emulator is not ready yet; without an address the gateway is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The form of this file: `slipway.local/1`.
    pub schema: String,
    /// The account's twelve digits.
    pub account: String,
    /// The region, e.g. `eu-central-1`.
    pub region: String,
    /// The key that the emulator maps to the account.
    pub access_key_id: String,
    /// Its secret; the emulator never checks it.
    pub secret_access_key: String,
    /// Its session token.
    pub session_token: Option<String>,
    /// moto.
    pub emulator: Server,
    /// The Lambda gateway.
    pub gateway: Server,
    /// When the emulator was started (or attached to).
    pub started_at: jiff::Timestamp,
}

impl State {
    /// Gives host and port of the registry, which speaks plain HTTP; images are pushed there.
    pub fn registry(&self) -> &str {
        self.gateway.url.trim_start_matches("http://")
    }

    /// Gives the host that stands in image URIs: `<account>.dkr.ecr.<region>.amazonaws.com`, as in the cloud.
    ///
    /// The registry's port may be another one tomorrow, and a URI that changes is a change in Terraform's plan. The
    /// gateway finds an image by repository and digest, whatever the host.
    pub fn image_host(&self) -> String {
        let top = if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("{}.dkr.ecr.{}.{top}", self.account, self.region)
    }
}

/// One server of the local environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// `http://127.0.0.1:<port>`; empty while it is being started.
    pub url: String,
    /// Its process; `None` where it is somebody else's.
    pub pid: Option<u32>,
    /// The start time of that process in clock ticks since boot, which tells it from a later one with its number.
    pub start_ticks: Option<u64>,
    /// Where its output goes.
    pub log: PathBuf,
}

/// What [`crate::keeper::find`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Both servers answer.
    Running(State),
    /// Nothing is kept there.
    Stopped,
    /// Something is kept there, and not all of it answers (or a start is under way).
    Broken {
        /// What the state file says.
        state: State,
        /// What does not answer, and why.
        dead: Vec<Dead>,
    },
}

/// A server that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// `moto` or `gateway`.
    pub what: &'static str,
    /// Why it counts as dead.
    pub why: String,
}

/// Reads a folder's state; `None` where there is none.
pub(crate) fn read(folder: &Path) -> Result<Option<State>, StateError> {
    let path = path(folder);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::File { path, source }),
    };
    let state: State = serde_json::from_slice(&bytes)
        .map_err(|source| StateError::Form { path: path.clone(), why: source.to_string() })?;
    if state.schema != SCHEMA {
        let why = format!("it has the form `{}`, this program knows `{SCHEMA}`", state.schema);
        return Err(StateError::Form { path, why });
    }
    Ok(Some(state))
}

/// Writes a folder's state so that a reader sees the old or the new one, never a part.
pub(crate) fn write(folder: &Path, state: &State) -> Result<(), StateError> {
    let path = path(folder);
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

/// Forgets a folder's state.
pub(crate) fn remove(folder: &Path) -> Result<(), StateError> {
    let path = path(folder);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(StateError::File { path, source })
        }
        _ => Ok(()),
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("state.json")
}

/// What is wrong with a state file.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read or written.
    #[error("{path}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not a state.
    #[error("{path} is not a state of the local environment: {why}", path = path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_state_is_kept_for_its_owner_alone() {
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
        let mode = std::fs::metadata(path(folder.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        write(folder.path(), &State { schema: "slipway.local/9".to_owned(), ..state }).unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("slipway.local/9"), "{error}");
        remove(folder.path()).unwrap();
        remove(folder.path()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
    }
}

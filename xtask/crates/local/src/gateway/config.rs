//! The gateway's configuration file, and the errors that keep a gateway from serving.

use crate::http::HttpError;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The path of the gateway's own health check.
pub const HEALTH_PATH: &str = "/_slipway/health";

/// The configuration of a gateway; the supervisor writes it as a JSON file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// The address to listen on; port 0 takes any free port.
    pub listen: SocketAddr,
    /// The emulator: `http://host:port`.
    pub emulator_url: String,
    /// The bucket that holds `artifacts/sha256/<hex>.zip`.
    pub store_bucket: String,
    /// The folder in which artifacts and images are unpacked.
    pub work_folder: PathBuf,
    /// The folder of the image registry. It lives as long as the emulator.
    pub registry_folder: PathBuf,
    /// The folder in which `<function>.log` is written.
    pub log_folder: PathBuf,
    /// A file that gets `host:port` as soon as the gateway listens.
    #[serde(default)]
    pub ready_file: Option<PathBuf>,
    /// Whether the supervisor started the emulator, so that only this gateway changes it.
    #[serde(default, rename = "sole")]
    pub exclusive_emulator: bool,
    /// The supervisor's folder; it marks the functions' processes, so that the supervisor finds those left behind.
    #[serde(default, rename = "kept_in")]
    pub supervisor_folder: Option<PathBuf>,
}

impl GatewayConfig {
    /// Reads a configuration file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        serde_json::from_slice(&bytes).map_err(|source| Error::Config { path: path.to_owned(), source })
    }
}

/// Why a gateway cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration file is invalid.
    #[error("{path} is not a gateway configuration", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The JSON error.
        source: serde_json::Error,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot read or write {path}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The address cannot be bound.
    #[error("the gateway cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// The emulator's address is invalid.
    #[error("the emulator's address is invalid")]
    Address(#[from] HttpError),
    /// The server failed, or signals cannot be received.
    #[error("the gateway failed")]
    Server(#[source] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_file_of_an_earlier_version_is_read_and_written_unchanged() {
        let stored = serde_json::json!({
            "listen": "127.0.0.1:0",
            "emulator_url": "http://127.0.0.1:5000",
            "store_bucket": "store",
            "work_folder": "/local/functions",
            "registry_folder": "/local/registry",
            "log_folder": "/local/logs",
            "ready_file": "/local/gateway.ready",
            "sole": true,
            "kept_in": "/local",
        });
        let config: GatewayConfig = serde_json::from_value(stored.clone()).unwrap();
        assert!(config.exclusive_emulator && config.supervisor_folder.is_some());
        assert_eq!(serde_json::to_value(config).unwrap(), stored);
    }
}

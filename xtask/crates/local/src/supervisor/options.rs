//! The options of a local environment.

use super::error::Error;
use crate::http;
use std::ffi::OsString;
use std::path::PathBuf;

/// Which emulator to use.
#[derive(Debug, Clone)]
pub enum Emulator {
    /// One that the supervisor starts and stops.
    Start {
        /// The program `moto_server`.
        moto_server: PathBuf,
        /// The port to listen on; `None` for any free port.
        port: Option<u16>,
    },
    /// One that is running already. The supervisor neither starts nor stops it.
    Attach {
        /// `http://host:port`.
        url: String,
    },
}

/// The options of [`super::up`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder for state, logs and unpacked functions; it is created if it is missing.
    pub folder: PathBuf,
    /// Which emulator to use.
    pub emulator: Emulator,
    /// The gateway's port; `None` for any free port.
    pub gateway_port: Option<u16>,
    /// The gateway's program and arguments; the path of its configuration file is appended.
    pub gateway_command: Vec<OsString>,
    /// 12 digits.
    pub account: String,
    /// Such as `eu-central-1`.
    pub region: String,
    /// The bucket of the artifact store.
    pub store_bucket: String,
}

impl Options {
    /// Fails if an option is missing or invalid.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.account.len() != 12 || !self.account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::Options(format!("the account `{}` is not 12 digits", self.account)));
        }
        if self.region.is_empty() {
            return Err(Error::Options("the region is missing".to_owned()));
        }
        if self.store_bucket.is_empty() {
            return Err(Error::Options("the store's bucket is missing".to_owned()));
        }
        if self.gateway_command.is_empty() {
            return Err(Error::Options("the gateway's command is missing".to_owned()));
        }
        if let Emulator::Attach { url } = &self.emulator {
            http::authority(url).map_err(|error| Error::Options(error.to_string()))?;
        }
        Ok(())
    }
}

//! Files that `cargo lambda watch` and `invoke` would use for TLS: kept as paths, never read here.

use crate::serialize_some;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Names the files of a TLS identity.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
pub struct TlsOptions {
    /// Path to a TLS certificate file.
    #[arg(long, conflicts_with = "remote")]
    #[serde(default)]
    pub tls_cert: Option<PathBuf>,
    /// Path to a TLS key file.
    #[arg(long, conflicts_with = "remote")]
    #[serde(default)]
    pub tls_key: Option<PathBuf>,
    /// Path to a TLS CA file.
    #[arg(long, conflicts_with = "remote")]
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
}

impl TlsOptions {
    /// Counts the fields that [`Self::serialize_fields`] writes.
    pub fn count_fields(&self) -> usize {
        usize::from(self.tls_cert.is_some())
            + usize::from(self.tls_key.is_some())
            + usize::from(self.tls_ca.is_some())
    }

    /// Writes the fields that are set into an outer struct.
    pub fn serialize_fields<S: serde::Serializer>(
        &self,
        state: &mut S::SerializeStruct,
    ) -> Result<(), S::Error> {
        serialize_some::<S, _>(state, "tls_cert", &self.tls_cert)?;
        serialize_some::<S, _>(state, "tls_key", &self.tls_key)?;
        serialize_some::<S, _>(state, "tls_ca", &self.tls_ca)
    }
}

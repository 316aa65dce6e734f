//! The digest of everything that a plan depends on: while it is unchanged, planning again would show the same.

use std::path::Path;

use super::configuration::Configuration;
use super::state::StateVersion;
use crate::digest::{Digest, DigestBuilder};
use crate::failure::Result;

/// How long a verified deployment replaces a plan, in hours: changes outside Terraform are found after that at the latest.
pub(crate) const FRESH_HOURS: i64 = 24;

/// Returns the digest of a plan's inputs: files with their modes, var-files, backend, Terraform's settings and version,
/// state. `identity` is what [`Infrastructure::identity`](super::Infrastructure::identity) returns.
///
/// `None` if a plan may change by itself: a data source that reads the cloud, a module from a registry, a path that only
/// the plan knows.
pub(crate) fn fingerprint(
    configuration: &Configuration,
    identity: &[(String, String)],
    state: Option<&StateVersion>,
) -> Result<Option<Digest>> {
    let sources = configuration.planned_sources();
    let Some(state) = state else { return Ok(None) };
    if !sources.volatile.is_empty() || !sources.remote_modules.is_empty() {
        return Ok(None);
    }
    let mut digest = DigestBuilder::new("slipway.plan-inputs/2");
    digest.part("configuration", sources.digest().bytes());
    for file in configuration.var_files.iter().chain([&configuration.backend_file]) {
        digest.part(&name_of(file), read(file)?);
    }
    for (name, value) in identity {
        digest.part(name, value);
    }
    digest.part("state", format!("{} {}", state.lineage, state.serial));
    Ok(Some(digest.finish()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| crate::failure::io("read", path, error))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

//! What is read once for several functions: what cargo, the compiler and version commands say of the whole project.
//!
//! A run that chooses versions asks each program once, whatever the number of functions. Nothing is kept beyond that: a check
//! after a build reads everything anew.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;

use super::cargo_config::{self, CargoConfig};
use super::cargo_metadata::{CargoMetadata, CargoPackage, Wanted};
use super::workspace::Workspace;
use crate::failure::Result;
use crate::settings::ProcessEnvironment;

/// Readings that are the same for all functions of a project.
#[derive(Default)]
pub(crate) struct SharedReadings {
    workspace: OnceCell<Workspace>,
    metadata: OnceCell<CargoMetadata>,
    config: OnceCell<CargoConfig>,
    compiler: OnceCell<String>,
    tools: RefCell<BTreeMap<String, String>>,
}

impl SharedReadings {
    /// Returns the workspace's manifest and lock file.
    pub(super) fn workspace(&self, root: &Path) -> Result<&Workspace> {
        once(&self.workspace, || Workspace::read(root))
    }

    /// Returns what cargo says about a package.
    pub(super) fn package(
        &self,
        root: &Path,
        process_env: &ProcessEnvironment,
        wanted: Wanted<'_>,
    ) -> Result<CargoPackage> {
        once(&self.metadata, || CargoMetadata::read(root, process_env))?.package(wanted)
    }

    /// Returns cargo's configuration.
    pub(super) fn config(&self, root: &Path, process_env: &ProcessEnvironment) -> Result<&CargoConfig> {
        once(&self.config, || CargoConfig::read(root, process_env))
    }

    /// Returns the compiler's version.
    pub(super) fn compiler(&self, root: &Path, process_env: &ProcessEnvironment) -> Result<&str> {
        once(&self.compiler, || cargo_config::compiler(root, process_env)).map(String::as_str)
    }

    /// Returns what a command line prints about the version of a tool.
    pub(super) fn tool(&self, line: &str, read: impl FnOnce() -> Result<String>) -> Result<String> {
        if let Some(known) = self.tools.borrow().get(line) {
            return Ok(known.clone());
        }
        let version = read()?;
        self.tools.borrow_mut().insert(line.to_owned(), version.clone());
        Ok(version)
    }
}

/// Returns a value that is read at the first call; a failure is not kept.
fn once<T>(cell: &OnceCell<T>, read: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(known) = cell.get() {
        return Ok(known);
    }
    let value = read()?;
    Ok(cell.get_or_init(|| value))
}

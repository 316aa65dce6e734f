//! Source: a function's inputs at a commit, and the digest of everything that decides the bytes of its build.
//!
//! In: the project and the git repository around it. Out: [`Source`] for a function, [`Head`] for the repository. Goes wrong:
//! no repository, no commit yet, a repository that git does not trust, a broken manifest.

mod committed;
mod git;
mod inputs;
mod requirements;
#[cfg(test)]
pub(crate) mod tests;
mod text_file;
mod toml_file;

pub(crate) use committed::{
    Uncommitted, is_protected, promoted_from, refuse_uncommitted, uncommitted_settings,
};
pub(crate) use git::{
    CommitLine, CommitMessage, Containment, FileContent, FileKind, Gap, Lineage, NotCommitted, Repository,
};
pub(crate) use inputs::{SharedReadings, SourceInputs, differences};
pub(crate) use requirements::{DEFAULT_LOCK, PythonLock, PythonRequirements};

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::failure::Result;
use crate::name::FunctionName;
use crate::settings::{ProcessEnvironment, Project};

/// A function's source: its commit, and the digest of everything that decides its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// HEAD, 40 hex characters.
    pub(crate) commit: String,
    /// The branch, where HEAD is on one.
    pub(crate) branch: Option<String>,
    /// HEAD's committer time.
    pub(crate) committed_at: jiff::Timestamp,
    /// Whether an input differs from HEAD: changed, staged, deleted or untracked.
    pub(crate) dirty: bool,
    /// The remote's address without credentials.
    pub(crate) repository: Option<String>,
    /// The inputs behind the digest.
    pub(crate) inputs: SourceInputs,
    /// The digest of all inputs.
    pub(crate) inputs_digest: Digest,
}

impl Source {
    /// Reads a function's inputs from the work tree.
    pub(crate) fn read(
        project: &Project,
        process_env: &ProcessEnvironment,
        repository: &Repository,
        function: &FunctionName,
    ) -> Result<Self> {
        Self::read_with(project, process_env, repository, function, &SharedReadings::default())
    }

    /// Reads the inputs of several functions. What is the same for all of them is read once; each function's files are read
    /// from the disk.
    pub(crate) fn read_all(
        project: &Project,
        process_env: &ProcessEnvironment,
        repository: &Repository,
        functions: &[FunctionName],
    ) -> Result<Vec<Self>> {
        let readings = SharedReadings::default();
        let parents: BTreeSet<String> = functions
            .iter()
            .filter_map(|function| project.functions.get(function)?.folder.parent())
            .map(|parent| parent.to_string_lossy().into_owned())
            .collect();
        // One function alone has less to list than the folder of all.
        let shared = if functions.len() > 1 {
            Some(repository.share_listing(&parents.into_iter().collect::<Vec<_>>())?)
        } else {
            None
        };
        let read = |function| Self::read_with(project, process_env, repository, function, &readings);
        let sources = functions.iter().map(read).collect();
        drop(shared);
        sources
    }

    fn read_with(
        project: &Project,
        process_env: &ProcessEnvironment,
        repository: &Repository,
        function: &FunctionName,
        readings: &SharedReadings,
    ) -> Result<Self> {
        let head = repository.head()?;
        let inputs = SourceInputs::collect(project, process_env, repository, function, readings)?;
        Ok(Self {
            commit: head.commit,
            branch: head.branch,
            committed_at: head.committed_at,
            dirty: !inputs.changed.is_empty(),
            repository: head.repository,
            inputs_digest: inputs.digest(),
            inputs,
        })
    }
}

//! Source: a function's inputs at a commit, and the digest of all that goes into its build.
//!
//! In: the project and the git repository around it. Out: [`Source`] for a function, [`Checkout`] for the tree.
//! Goes wrong: no repository, no commit yet, a repository that git refuses to trust, a broken manifest.

mod git;
mod inputs;
mod requirements;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use git::{Change, FileContent, Repository};
pub(crate) use inputs::Inputs;
pub(crate) use requirements::{HEADER, Lock, lock, wanted};

use crate::digest::Digest;
use crate::failure::Result;
use crate::name::FunctionName;
use crate::settings::Project;

/// A function's source: where it stands in git, and the digest of everything that decides its bytes.
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
    /// What went into the digest.
    pub(crate) inputs: Inputs,
    /// The digest of all inputs.
    pub(crate) inputs_digest: Digest,
}

impl Source {
    /// Looks at a function's inputs as they lie in the work tree.
    pub(crate) fn look(project: &Project, repository: &Repository, function: &FunctionName) -> Result<Self> {
        let settings = project.function(function)?;
        let checkout = repository.checkout()?;
        let inputs = Inputs::collect(project, repository, function, settings)?;
        Ok(Self {
            commit: checkout.commit,
            branch: checkout.branch,
            committed_at: checkout.committed_at,
            dirty: inputs.dirty,
            repository: checkout.repository,
            inputs_digest: inputs.digest(),
            inputs,
        })
    }
}

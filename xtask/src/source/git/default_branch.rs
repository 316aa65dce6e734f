//! The branch that reviewed commits are on, and whether the commit that is checked out is one of them.

use git2::{BranchType, ErrorCode};

use super::Repository;
use crate::failure::{Failure, Result};

/// Where the commit that is checked out is, compared with the default branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DefaultBranch {
    /// The default branch.
    pub(crate) name: String,
    /// The branch that is checked out; nothing for a commit alone.
    pub(crate) current: Option<String>,
    /// Whether the commit is on the default branch.
    pub(crate) holds_head: bool,
}

/// Names of default branches, where no remote says which one it is.
const USUAL: [&str; 2] = ["main", "master"];

impl Repository {
    /// Compares the commit that is checked out with the default branch: that of the remote `origin`, or else `main` or `master`.
    ///
    /// A commit without a branch, as CI checks out, is on it if the remote's branch has it.
    pub(crate) fn default_branch(&self) -> Result<DefaultBranch> {
        let failed =
            |error| Failure::failed("the branches of the repository cannot be read").caused_by(error);
        let head = self.head()?;
        let of_remote = match self.git.find_reference("refs/remotes/origin/HEAD") {
            Ok(reference) => reference
                .symbolic_target()
                .ok()
                .flatten()
                .and_then(|target| target.strip_prefix("refs/remotes/origin/").map(str::to_owned)),
            Err(error) if error.code() == ErrorCode::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let exists = |name: &str| {
            let places =
                [(name.to_owned(), BranchType::Local), (format!("origin/{name}"), BranchType::Remote)];
            places.iter().any(|(name, kind)| self.git.find_branch(name, *kind).is_ok())
        };
        let usual = || USUAL.into_iter().find(|name| exists(name)).unwrap_or(USUAL[0]).to_owned();
        let name = of_remote.unwrap_or_else(usual);
        let by_name = head.branch.as_deref() == Some(name.as_str());
        let in_remote = || -> Result<bool> {
            let Ok(branch) = self.git.find_branch(&format!("origin/{name}"), BranchType::Remote) else {
                return Ok(false);
            };
            let tip = branch.get().peel_to_commit().map_err(failed)?.id();
            let commit = git2::Oid::from_str(&head.commit).map_err(failed)?;
            Ok(tip == commit || self.git.graph_descendant_of(tip, commit).map_err(failed)?)
        };
        let holds_head = by_name || in_remote()?;
        Ok(DefaultBranch { name, current: head.branch, holds_head })
    }
}

//! What tells one repository, and one project in it, from others: the remote's address, and the commits that only it has.

use super::{Repository, without_credentials};

/// Where each project has its settings, relative to its folder.
const PROJECT_FILE: &str = "pipelines/project.toml";

impl Repository {
    /// Returns the address of the remote `origin` without credentials.
    pub(crate) fn remote(&self) -> Option<String> {
        self.git.find_remote("origin").ok().and_then(|remote| remote.url().ok().map(without_credentials))
    }

    /// Returns whether a commit can be only this project's: the repository has it, and no other project.
    pub(crate) fn alone_has_commit(&self, commit: &str) -> bool {
        let Ok(id) = git2::Oid::from_str(commit) else { return false };
        self.git.find_commit(id).is_ok() && self.has_one_project()
    }

    /// Returns whether git tracks the settings of exactly one project.
    pub(crate) fn has_one_project(&self) -> bool {
        let Ok(index) = self.git.index() else { return false };
        let is_project = |path: &[u8]| match path.strip_suffix(PROJECT_FILE.as_bytes()) {
            Some(folder) => folder.is_empty() || folder.ends_with(b"/"),
            None => false,
        };
        index.iter().filter(|entry| is_project(&entry.path)).count() == 1
    }
}

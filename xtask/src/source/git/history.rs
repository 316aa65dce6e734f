//! The history of HEAD: which commits changed some paths, and what HEAD descends from.

use std::path::Path;

use git2::{Oid, Sort};

use super::{CommitMessage, Repository};
use crate::failure::{Failure, Result};

impl Repository {
    /// Lists the commits after `base` (all, where none is given) that changed any of the paths, newest first.
    pub(crate) fn changes(&self, base: Option<&str>, paths: &[String]) -> Result<Vec<CommitMessage>> {
        let failed = |error| Failure::failed("the git history cannot be walked").caused_by(error);
        let mut walk = self.git.revwalk().map_err(failed)?;
        walk.set_sorting(Sort::TOPOLOGICAL).map_err(failed)?;
        walk.push_head().map_err(failed)?;
        if let Some(base) = base {
            walk.hide(Oid::from_str(base).map_err(failed)?).map_err(failed)?;
        }
        let mut found = Vec::new();
        for id in walk {
            let commit = self.git.find_commit(id.map_err(failed)?).map_err(failed)?;
            if commit.parent_count() < 2 && self.is_changed_by(&commit, paths).map_err(failed)? {
                found.push(CommitMessage {
                    commit: commit.id().to_string(),
                    message: String::from_utf8_lossy(commit.message_bytes()).into_owned(),
                });
            }
        }
        Ok(found)
    }

    /// Returns whether a commit is in this repository and HEAD descends from it, or is it.
    pub(crate) fn head_descends_from(&self, commit: &str) -> bool {
        let (Ok(id), Ok(head)) =
            (Oid::from_str(commit), self.git.head().and_then(|head| head.peel_to_commit()))
        else {
            return false;
        };
        id == head.id()
            || (self.git.find_commit(id).is_ok()
                && self.git.graph_descendant_of(head.id(), id).unwrap_or(false))
    }

    /// Returns whether only a part of the history was cloned.
    pub(crate) fn is_shallow(&self) -> bool {
        self.git.is_shallow()
    }

    /// Returns whether a commit changed any of the paths against its first parent.
    fn is_changed_by(&self, commit: &git2::Commit<'_>, paths: &[String]) -> Result<bool, git2::Error> {
        let tree = commit.tree()?;
        let parent = commit.parents().next().map(|parent| parent.tree()).transpose()?;
        // Comparing the entries of each path is far cheaper than a diff of the whole trees.
        let entry = |tree: &git2::Tree<'_>, path: &str| {
            tree.get_path(Path::new(path)).ok().map(|entry| (entry.id(), entry.filemode()))
        };
        Ok(paths.iter().any(|path| {
            let path = format!("{}{path}", self.prefix);
            let path = path.trim_end_matches('/');
            if path.is_empty() {
                return parent.as_ref().is_none_or(|parent| parent.id() != tree.id());
            }
            entry(&tree, path) != parent.as_ref().and_then(|parent| entry(parent, path))
        }))
    }
}

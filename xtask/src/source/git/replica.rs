//! A second work tree of the same repository, somewhere else: for a build that is to prove something.
//!
//! In: a commit and an empty folder. Out: a repository there that borrows this one's objects, its work tree at the
//! commit; on demand what differs from HEAD here is carried over. Nothing of this repository is changed. Goes wrong: the
//! commit is not here (a shallow clone, a history that was rewritten), the disk is full.

use std::path::{Path, PathBuf};

use git2::Oid;
use git2::build::CheckoutBuilder;

use super::Repository;
use crate::failure::{self, Failure, Result};

impl Repository {
    /// Checks a commit out into a folder and returns the project's folder in it.
    pub(crate) fn replicate(&self, commit: &str, to: &Path) -> Result<PathBuf> {
        let failed = |error: git2::Error| {
            Failure::failed(format!("commit {} cannot be checked out", short(commit))).caused_by(error)
        };
        let id = Oid::from_str(commit).map_err(failed)?;
        if self.git.find_commit(id).is_err() {
            let fetch = if self.is_shallow() {
                "git fetch --unshallow (in GitHub Actions: fetch-depth: 0)".to_owned()
            } else {
                format!("git fetch origin {commit}")
            };
            return Err(Failure::failed(format!("commit {} is not in this repository", short(commit)))
                .unchanged("Nothing was built.")
                .hint(format!("bring it here: {fetch}")));
        }
        let fresh = git2::Repository::init(to).map_err(failed)?;
        let own = fresh.path().to_path_buf();
        drop(fresh);
        let common = self.git.commondir();
        let objects = common.join("objects");
        let objects = objects.canonicalize().map_err(|error| failure::io("find", &objects, error))?;
        write(&own.join("objects/info/alternates"), &format!("{}\n", objects.display()))?;
        if self.is_shallow() {
            let shallow = common.join("shallow");
            std::fs::copy(&shallow, own.join("shallow"))
                .map_err(|error| failure::io("copy", &shallow, error))?;
        }
        // Opened again: the borrowed objects are looked for when a repository is opened.
        let replica = git2::Repository::open(to).map_err(failed)?;
        replica.set_head_detached(id).map_err(failed)?;
        replica.checkout_head(Some(CheckoutBuilder::new().force())).map_err(failed)?;
        Ok(to.join(&self.prefix))
    }

    /// Makes a replica of HEAD equal to this work tree: changed and untracked files are copied, deleted ones removed.
    pub(crate) fn carry_changes(&self, project: &Path) -> Result<()> {
        let tree = self.work_tree(&[String::new()])?;
        for path in &tree.changed {
            let (from, to) = (self.full(&format!("{}{path}", self.prefix)), project.join(path));
            if tree.files.contains_key(path) {
                copy(&from, &to)?;
            } else if to.symlink_metadata().is_ok() {
                std::fs::remove_file(&to).map_err(|error| failure::io("remove", &to, error))?;
            }
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(|error| failure::io("create", parent, error))?;
    let _ = std::fs::remove_file(to);
    let is_link = from.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
    let copied = if is_link {
        std::fs::read_link(from).and_then(|target| std::os::unix::fs::symlink(target, to))
    } else {
        std::fs::copy(from, to).map(drop)
    };
    copied.map_err(|error| failure::io("copy", from, error))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| failure::io("write", path, error))
}

fn short(commit: &str) -> &str {
    &commit[..commit.len().min(7)]
}

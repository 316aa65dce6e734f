//! A copy of the repository in another folder, for builds that check reproducibility.
//!
//! In: a commit and an empty folder. Out: a repository there that uses this one's objects, with the commit checked out; on
//! request also the changes that are not committed. This repository is not changed. Goes wrong: the commit is not here (a
//! shallow clone, a rewritten history), the disk is full.

use std::path::{Path, PathBuf};

use git2::Oid;
use git2::build::CheckoutBuilder;

use super::Repository;
use crate::failure::{self, Failure, Result};

impl Repository {
    /// Checks a commit out into a folder; returns the project's folder in it.
    pub(crate) fn check_out_copy(&self, commit: &str, to: &Path) -> Result<PathBuf> {
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
                .hint(format!("fetch it: {fetch}")));
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
        // Opened again: alternates are read when a repository is opened.
        let copy = git2::Repository::open(to).map_err(failed)?;
        copy.set_head_detached(id).map_err(failed)?;
        copy.checkout_head(Some(CheckoutBuilder::new().force())).map_err(failed)?;
        Ok(to.join(&self.prefix))
    }

    /// Copies the changes that are not committed into a copy of HEAD: changed and untracked files are copied, deleted files
    /// are removed.
    pub(crate) fn copy_changes_to(&self, project: &Path) -> Result<()> {
        let tree = self.work_tree(&[String::new()])?;
        for path in &tree.changed {
            let (from, to) = (self.full(&format!("{}{path}", self.prefix)), project.join(path));
            if tree.files.contains_key(path) {
                copy_file(&from, &to)?;
            } else if to.symlink_metadata().is_ok() {
                std::fs::remove_file(&to).map_err(|error| failure::io("remove", &to, error))?;
            }
        }
        Ok(())
    }
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
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

//! A copy of the repository in another folder, for builds that check reproducibility.
//!
//! In: a commit and an empty folder. Out: a repository there that uses this one's objects, with the commit checked out; on
//! request also the changes that are not committed. This repository is not changed. Goes wrong: the commit is not here (a
//! shallow clone, a rewritten history), the disk is full.

use std::path::{Path, PathBuf};

use git2::Oid;
use git2::build::CheckoutBuilder;

use super::Repository;
use crate::exec;
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
        check_out(&self.git, id, to)?;
        Ok(to.join(&self.prefix))
    }

    /// Copies the changes that are not committed into a copy of HEAD: changed and untracked files are copied, deleted files
    /// are removed.
    pub(crate) fn copy_changes_to(&self, project: &Path) -> Result<()> {
        let tree = self.work_tree(&[String::new()])?;
        for path in &tree.changed {
            let (from, to) = (self.on_disk(format!("{}{path}", self.prefix)), project.join(path));
            if from.join(".git").exists() {
                // A submodule at another commit than HEAD's.
                let submodule = git2::Repository::open(&from).and_then(|submodule| {
                    let head = submodule.head()?.peel_to_commit()?.id();
                    Ok((submodule, head))
                });
                let (submodule, head) = submodule.map_err(|error| {
                    Failure::failed(format!("the submodule {path} cannot be opened")).caused_by(error)
                })?;
                if to.exists() {
                    std::fs::remove_dir_all(&to).map_err(|error| failure::io("remove", &to, error))?;
                }
                check_out(&submodule, head, &to)?;
                continue;
            }
            if tree.files.contains_key(path) {
                copy_file(&from, &to)?;
            } else if to.symlink_metadata().is_ok() {
                std::fs::remove_file(&to).map_err(|error| failure::io("remove", &to, error))?;
            }
        }
        Ok(())
    }
}

/// Checks a commit of a repository out into a folder, with its submodules. The copy uses the repository's objects.
fn check_out(git: &git2::Repository, id: Oid, to: &Path) -> Result<()> {
    let failed = |error: git2::Error| {
        Failure::failed(format!("commit {} cannot be checked out", short(&id.to_string()))).caused_by(error)
    };
    let fresh = git2::Repository::init(to).map_err(failed)?;
    let own = fresh.path().to_path_buf();
    share_configuration(git, &fresh).map_err(failed)?;
    drop(fresh);
    let common = git.commondir();
    let objects = common.join("objects");
    let objects = objects.canonicalize().map_err(|error| failure::io("find", &objects, error))?;
    write(&own.join("objects/info/alternates"), &format!("{}\n", objects.display()))?;
    if git.is_shallow() {
        let shallow = common.join("shallow");
        std::fs::copy(&shallow, own.join("shallow")).map_err(|error| failure::io("copy", &shallow, error))?;
    }
    // Opened again: alternates are read when a repository is opened.
    let copy = git2::Repository::open(to).map_err(failed)?;
    copy.set_head_detached(id).map_err(failed)?;
    // Git itself runs filters, libgit2 does not.
    let checkout = super::program::git(to).args(["-c", "core.autocrlf=false", "reset", "--quiet", "--hard"]);
    match exec::output(&checkout, &[]) {
        Ok(_) => {}
        Err(failure) if exec::is_program_missing(&failure) => {
            copy.checkout_head(Some(CheckoutBuilder::new().force())).map_err(failed)?;
        }
        Err(failure) => {
            return Err(failure.unchanged("Nothing was built.").hint(
                "in a clone that lacks objects, fetch them: git fetch --refetch (partial clone), git lfs fetch --all",
            ));
        }
    }
    let tree = copy.find_commit(id).and_then(|commit| commit.tree()).map_err(failed)?;
    for (path, commit) in submodules(&tree).map_err(failed)? {
        let folder = super::folder_of(git).join(&path);
        let submodule = git2::Repository::open(&folder)
            .ok()
            .filter(|submodule| submodule.find_commit(commit).is_ok())
            .ok_or_else(|| {
                Failure::failed(format!(
                    "commit {} of the submodule {path} is not in this clone",
                    short(&commit.to_string())
                ))
                .unchanged("Nothing was built.")
                .hint(format!("git submodule update --init --recursive {path}; git -C {path} fetch"))
            })?;
        check_out(&submodule, commit, &to.join(&path))?;
    }
    Ok(())
}

/// Gives a copy what a checkout needs besides the objects: filters, and where Git LFS keeps its files.
fn share_configuration(from: &git2::Repository, to: &git2::Repository) -> Result<(), git2::Error> {
    let mut own = to.config()?;
    let snapshot = from.config()?.snapshot()?;
    let mut entries = snapshot.entries(Some("^filter\\..*"))?;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if let (Ok(name), Ok(value)) = (entry.name(), entry.value()) {
            own.set_str(name, value)?;
        }
    }
    let lfs = from.commondir().join("lfs");
    if lfs.is_dir() {
        own.set_str("lfs.storage", &lfs.to_string_lossy())?;
    }
    Ok(())
}

/// Lists the submodules of a tree: path and commit.
fn submodules(tree: &git2::Tree<'_>) -> Result<Vec<(String, Oid)>, git2::Error> {
    let mut found = Vec::new();
    tree.walk(git2::TreeWalkMode::PreOrder, |folder, entry| {
        if entry.kind() == Some(git2::ObjectType::Commit) {
            let name = String::from_utf8_lossy(entry.name_bytes());
            found.push((format!("{folder}{name}"), entry.id()));
        }
        git2::TreeWalkResult::Ok
    })?;
    Ok(found)
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

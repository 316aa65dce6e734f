//! The git repository: HEAD, its history by path, the work tree's files with their content, and tags.
//!
//! What a file contains is what its bytes on disk are, read in this run; git says which files there are, and what HEAD holds.

mod conversion;
mod default_branch;
mod head_files;
mod history;
mod identity;
mod library;
mod lineage;
mod program;
mod replica;
mod shared;
mod tags;
mod work_tree;

pub(super) use work_tree::WorkTree;
pub(crate) use work_tree::{FileContent, FileKind};

use std::path::{Path, PathBuf};

use git2::ErrorCode;

pub(crate) use self::head_files::NotCommitted;
pub(crate) use self::history::{CommitMessage, Containment, Gap};
pub(crate) use self::lineage::{CommitLine, Lineage};
use crate::failure::{Failure, Result};

/// The repository around the project.
pub(crate) struct Repository {
    git: git2::Repository,
    /// The project's folder inside the repository, with a trailing slash, or nothing.
    prefix: String,
    /// What git lists, where it was read for several functions.
    shared: shared::Shared,
}

/// The commit that is checked out.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// 40 hex characters.
    pub(crate) commit: String,
    /// The branch, where HEAD is on one.
    pub(crate) branch: Option<String>,
    /// Committer time.
    pub(crate) committed_at: jiff::Timestamp,
    /// The remote's address without credentials.
    pub(crate) repository: Option<String>,
}

impl Repository {
    /// Opens the repository around the project's folder.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let git = git2::Repository::discover(root).map_err(|error| match error.code() {
            ErrorCode::NotFound => Failure::usage(format!("no git repository around {}", root.display()))
                .hint(
                    "Slipway names releases after commits: run git init, git add --all and git commit first",
                ),
            ErrorCode::Owner => Failure::usage(format!(
                "git does not trust the repository at {}: it belongs to another user",
                root.display()
            ))
            .hint(format!("git config --global --add safe.directory {}", root.display())),
            _ => not_opened(root, error),
        })?;
        let workdir = git.workdir().ok_or_else(|| {
            Failure::usage(format!(
                "{} is a bare repository: there is no tree to release from",
                git.path().display()
            ))
        })?;
        let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let relative =
            canonical(root).strip_prefix(canonical(workdir)).map(Path::to_path_buf).unwrap_or_default();
        let prefix = if relative.as_os_str().is_empty() {
            String::new()
        } else {
            format!("{}/", relative.to_string_lossy())
        };
        Ok(Self { git, prefix, shared: shared::Shared::default() })
    }

    /// Reads the commit that is checked out.
    pub(crate) fn head(&self) -> Result<Head> {
        let head = self.git.head().map_err(|error| match error.code() {
            ErrorCode::UnbornBranch | ErrorCode::NotFound => {
                Failure::usage("this repository has no commit yet")
                    .hint("commit the tree first: a release is named after the commit that it was built from")
            }
            _ => Failure::failed("HEAD cannot be read").caused_by(error),
        })?;
        let commit = head
            .peel_to_commit()
            .map_err(|error| Failure::failed("HEAD is not a commit").caused_by(error))?;
        let branch = head.is_branch().then(|| head.shorthand().ok().map(str::to_owned)).flatten();
        Ok(Head {
            commit: commit.id().to_string(),
            branch,
            committed_at: time_of(&commit)?,
            repository: self.remote(),
        })
    }

    /// Returns a file that git tracks below a project-relative folder, where there is one.
    pub(crate) fn tracked_file_below(&self, folder: &str) -> Result<Option<String>> {
        let listing = library::listing(&self.git, &[format!("{}{folder}", self.prefix)])?;
        Ok(listing.index.into_keys().next().map(|path| self.in_project(&path)))
    }

    /// Lists the files that HEAD's commit has below a project-relative folder.
    pub(crate) fn committed_below(&self, folder: &str) -> Result<Vec<String>> {
        let listing = library::listing(&self.git, &[format!("{}{folder}", self.prefix)])?;
        Ok(listing.head.into_keys().map(|path| self.in_project(&path)).collect())
    }

    /// Returns whether `git add` would add a file: it is inside the work tree, and not ignored.
    pub(crate) fn would_be_added(&self, file: &Path) -> bool {
        let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let Some(workdir) = self.git.workdir() else { return false };
        let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else { return false };
        // Only the part of the path that exists can be made canonical.
        let existing = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder);
        let below = folder.strip_prefix(existing).unwrap_or(Path::new(""));
        let place = canonical(existing).join(below).join(name);
        match place.strip_prefix(canonical(workdir)) {
            Ok(relative) => !self.git.is_path_ignored(relative).unwrap_or(false),
            Err(_) => false,
        }
    }

    /// Returns where a path of the repository is on the disk.
    fn on_disk(&self, path: impl AsRef<Path>) -> PathBuf {
        folder_of(&self.git).join(path)
    }

    fn in_project(&self, path: &str) -> String {
        path.strip_prefix(&self.prefix).unwrap_or(path).to_owned()
    }
}

/// Returns the folder of a repository's files.
fn folder_of(git: &git2::Repository) -> &Path {
    git.workdir().unwrap_or_else(|| git.path())
}

/// Returns the failure of a path that cannot be written into a record.
fn not_utf8(path: &[u8]) -> Failure {
    let path = String::from_utf8_lossy(path);
    Failure::usage(format!("the name of {path} is not UTF-8")).hint("rename the file")
}

/// Returns the failure to open a repository, with the command that helps where the format is known.
fn not_opened(root: &Path, error: git2::Error) -> Failure {
    let message = error.message().to_lowercase();
    let failure = |what: &str| {
        Failure::usage(format!("the git repository around {} {what}", root.display()))
            .unchanged("Nothing was changed.")
    };
    if message.contains("refstorage") {
        return failure("keeps its references in the reftable format, which Slipway does not read")
            .hint("git refs migrate --ref-format=files");
    }
    if message.contains("objectformat") || message.contains("object format") || message.contains("oid type") {
        return failure("names its objects by SHA-256, which Slipway does not read").hint(
            "git init --object-format=sha1 in another folder, then git fast-export --all in this one and git fast-import there",
        );
    }
    Failure::failed(format!("the git repository around {} cannot be opened", root.display())).caused_by(error)
}

fn time_of(commit: &git2::Commit<'_>) -> Result<jiff::Timestamp> {
    jiff::Timestamp::from_second(commit.time().seconds()).map_err(|error| {
        Failure::failed(format!("the time of commit {} is out of range", commit.id())).caused_by(error)
    })
}

/// Removes user and password from `https://user:password@host/…`; `git@host:…` is not changed.
fn without_credentials(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            format!("{scheme}://{}{path}", authority.rsplit('@').next().unwrap_or(authority))
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_removed_from_a_remote_address() {
        assert_eq!(
            without_credentials("https://me:token@example.com/a/b.git"),
            "https://example.com/a/b.git"
        );
        assert_eq!(without_credentials("https://example.com/a@b"), "https://example.com/a@b");
        assert_eq!(without_credentials("git@example.com:a/b.git"), "git@example.com:a/b.git");
    }
}

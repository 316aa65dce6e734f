//! The git repository: HEAD, its history by path, the work tree's files with their content, and tags.
//!
//! Content is named by git's object ids. The index has them for all unchanged files; only changed files are read.

mod head_files;
mod history;
mod identity;
mod replica;
mod tags;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Oid, StatusOptions};

pub(crate) use self::head_files::NotCommitted;
pub(crate) use self::history::{CommitMessage, Containment};
use crate::failure::{Failure, Result};

/// The repository around the project.
pub(crate) struct Repository {
    git: git2::Repository,
    /// The project's folder inside the repository, with a trailing slash, or nothing.
    prefix: String,
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

/// The work tree's files below some folders: project-relative path -> object id and whether executable.
#[derive(Debug, Default)]
pub(crate) struct WorkTree {
    /// By project-relative path.
    pub(crate) files: BTreeMap<String, FileContent>,
    /// Project-relative paths that differ from HEAD.
    pub(crate) changed: Vec<String>,
}

/// A file's content, by git's object id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileContent {
    /// Hex object id of the blob.
    pub(crate) blob: String,
    /// Whether the file is executable.
    pub(crate) executable: bool,
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
            _ => Failure::failed(format!("the git repository around {} cannot be opened", root.display()))
                .caused_by(error),
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
        Ok(Self { git, prefix })
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
        let remote =
            self.git.find_remote("origin").ok().and_then(|remote| remote.url().ok().map(without_credentials));
        Ok(Head {
            commit: commit.id().to_string(),
            branch,
            committed_at: time_of(&commit)?,
            repository: remote,
        })
    }

    /// Lists the files below some project-relative folders or files, with their content; all files for `[""]`.
    pub(crate) fn work_tree(&self, below: &[String]) -> Result<WorkTree> {
        let failed = |error| Failure::failed("the git index or work tree cannot be read").caused_by(error);
        let places: Vec<String> = below.iter().map(|path| format!("{}{path}", self.prefix)).collect();
        let mut tree = WorkTree::default();
        let mut index = self.git.index().map_err(failed)?;
        index.read(false).map_err(failed)?;
        for entry in index.iter() {
            let path = String::from_utf8_lossy(&entry.path);
            if is_below(&path, &places) && entry.mode != 0o160_000 {
                tree.files.insert(
                    self.in_project(&path),
                    FileContent { blob: entry.id.to_string(), executable: entry.mode & 0o111 != 0 },
                );
            }
        }
        // One status call for each place: with several, libgit2 misses some where one name begins like another (`api`,
        // `api-image`), because it visits them in an order that is not that of a tree.
        let queries = match places.iter().any(String::is_empty) {
            true => vec![None],
            false => places.iter().map(|place| Some(place.as_str())).collect(),
        };
        for place in queries {
            let mut options = StatusOptions::new();
            options
                .include_untracked(true)
                .recurse_untracked_dirs(true)
                .exclude_submodules(true)
                // The index is only read: another git may hold its lock.
                .disable_pathspec_match(true);
            place.into_iter().for_each(|place| {
                options.pathspec(place);
            });
            for status in self.git.statuses(Some(&mut options)).map_err(failed)?.iter() {
                let Ok(path) = status.path() else { continue };
                let name = self.in_project(path);
                if !is_below(path, &places) || tree.changed.contains(&name) {
                    continue;
                }
                match self.read_file(path)? {
                    Some(content) => {
                        tree.files.insert(name.clone(), content);
                    }
                    None => {
                        tree.files.remove(&name);
                    }
                }
                tree.changed.push(name);
            }
        }
        Ok(tree)
    }

    /// Returns a file that git tracks below a project-relative folder, where there is one.
    pub(crate) fn tracked_file_below(&self, folder: &str) -> Result<Option<String>> {
        let failed = |error| Failure::failed("the git index cannot be read").caused_by(error);
        let places = [format!("{}{folder}", self.prefix)];
        let mut index = self.git.index().map_err(failed)?;
        index.read(false).map_err(failed)?;
        let paths = index.iter().map(|entry| String::from_utf8_lossy(&entry.path).into_owned());
        Ok(paths.into_iter().find(|path| is_below(path, &places)).map(|path| self.in_project(&path)))
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

    fn read_file(&self, path: &str) -> Result<Option<FileContent>> {
        let full = self.full(path);
        let failed = |error: git2::Error| Failure::failed(format!("{path} cannot be read")).caused_by(error);
        let Ok(metadata) = full.symlink_metadata() else {
            return Ok(None);
        };
        if metadata.is_symlink() {
            let target = std::fs::read_link(&full)
                .map_err(|error| crate::failure::io("read the link", &full, error))?;
            let id =
                Oid::hash_object(ObjectType::Blob, target.as_os_str().as_encoded_bytes()).map_err(failed)?;
            return Ok(Some(FileContent { blob: id.to_string(), executable: false }));
        }
        if !metadata.is_file() {
            return Ok(None);
        }
        use std::os::unix::fs::PermissionsExt as _;
        let id = Oid::hash_file(ObjectType::Blob, &full).map_err(failed)?;
        Ok(Some(FileContent { blob: id.to_string(), executable: metadata.permissions().mode() & 0o111 != 0 }))
    }

    fn full(&self, path: &str) -> PathBuf {
        self.git.workdir().unwrap_or_else(|| self.git.path()).join(path)
    }

    fn in_project(&self, path: &str) -> String {
        path.strip_prefix(&self.prefix).unwrap_or(path).to_owned()
    }
}

fn is_below(path: &str, places: &[String]) -> bool {
    places.iter().any(|place| {
        let place = place.trim_end_matches('/');
        place.is_empty()
            || path == place
            || (path.starts_with(place) && path.as_bytes().get(place.len()) == Some(&b'/'))
    })
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

    #[test]
    fn is_below_matches_the_folder_and_not_names_that_begin_like_it() {
        let places = vec!["lambda-src/hello".to_owned()];
        assert!(is_below("lambda-src/hello/src/main.rs", &places));
        assert!(is_below("lambda-src/hello", &places));
        assert!(!is_below("lambda-src/hello-two/src/main.rs", &places));
        assert!(is_below("anything", &[String::new()]));
    }
}

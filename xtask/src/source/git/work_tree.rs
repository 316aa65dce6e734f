//! The work tree's files with the bytes that they have on disk, compared with HEAD's.
//!
//! Git says which files there are: those of HEAD and of the index, and the untracked ones that it does not ignore. What a file
//! contains is read from the disk each time, because git's own answer can be wrong about that: an index entry may be marked
//! as unchanged, a time stamp may be kept, a filter may convert the content. A file differs from HEAD if its bytes do, unless
//! git converts it and says that the converted content is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use git2::{ObjectType, Oid};

use super::conversion::{Attributes, Conversion, ConvertedFile, LFS_POINTER, judge_converted};
use super::{Repository, folder_of, library};
use crate::digest::Digest;
use crate::failure::{self, Failure, Result};

/// The work tree's files below some folders.
#[derive(Debug, Default)]
pub(crate) struct WorkTree {
    /// Project-relative path -> content.
    pub(crate) files: BTreeMap<String, FileContent>,
    /// Project-relative paths that differ from HEAD.
    pub(crate) changed: Vec<String>,
    /// Changed files that `git status` does not show, with what hides them.
    pub(crate) hidden: BTreeMap<String, HiddenBy>,
    /// Files that git calls unchanged although a checkout of HEAD would write other bytes, with the reason.
    pub(crate) converted: BTreeMap<String, String>,
    /// Files of HEAD that a sparse checkout left out.
    pub(crate) left_out: Vec<String>,
    /// Submodules that are not checked out.
    pub(crate) missing_submodules: Vec<String>,
    /// Files whose content is kept by Git LFS and was not fetched.
    pub(crate) lfs_pointers: Vec<String>,
    /// Repositories inside this one that are not its submodules.
    pub(crate) embedded: Vec<String>,
}

/// The content of a file on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileContent {
    /// SHA-256 of the bytes; of a link, of its target's text.
    pub(crate) sha256: Digest,
    /// What kind of file it is.
    pub(crate) kind: FileKind,
}

/// What decides how a file is packed, besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A file.
    Plain,
    /// A file that may be executed.
    Executable,
    /// A symbolic link.
    Link,
}

impl WorkTree {
    /// Refuses files whose content on this machine is not what the commit says, or is not known. `used_by` says what each
    /// decides, such as "`hello` is built from it".
    pub(crate) fn refuse_unknown_content(&self, used_by: &str) -> Result<()> {
        let refused = |message: String| Failure::refused(message).unchanged("Nothing was changed.");
        if let Some(path) = self.missing_submodules.first() {
            return Err(refused(format!("{path} is a submodule that is not checked out, and {used_by}"))
                .hint(format!("git submodule update --init --recursive {path}")));
        }
        if let Some(path) = self.embedded.first() {
            return Err(refused(format!(
                "{path} is a repository of its own: git does not know its files, and {used_by}"
            ))
            .hint(
                "make it a submodule (git submodule add), or remove its .git folder and commit its files",
            ));
        }
        if let Some(path) = self.left_out.first() {
            let folder = Path::new(path).parent().unwrap_or(Path::new("")).display();
            return Err(refused(format!("a sparse checkout left out {path}, and {used_by}"))
                .hint(format!("git sparse-checkout add {folder}, or git sparse-checkout disable")));
        }
        if let Some((path, reason)) = self.converted.iter().next() {
            return Err(refused(format!("{path} is not as a checkout of the commit writes it: {reason}"))
                .detail("git status", "does not show it: git compares the converted content")
                .hint(format!("keep a copy of your changes, then: git config core.autocrlf false; rm {path}; git checkout -- {path}")));
        }
        if let Some(path) = self.lfs_pointers.first() {
            return Err(refused(format!("{path} is a Git LFS pointer, not the file itself, and {used_by}"))
                .hint("git lfs pull"));
        }
        Ok(())
    }
}

impl FileContent {
    /// Returns the content of bytes.
    pub(crate) fn of(bytes: &[u8], kind: FileKind) -> Self {
        Self { sha256: Digest::of(bytes), kind }
    }

    /// Returns whether the file may be executed.
    pub(crate) fn executable(&self) -> bool {
        self.kind == FileKind::Executable
    }

    /// Returns the content as records and digests name it: the hex digest, ` x` for an executable file, ` l` for a link.
    pub(crate) fn to_text(&self) -> String {
        let kind = match self.kind {
            FileKind::Plain => "",
            FileKind::Executable => " x",
            FileKind::Link => " l",
        };
        format!("{}{kind}", self.sha256.hex())
    }
}

/// A flag of git's index that hides a change from `git status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HiddenBy {
    /// `git update-index --assume-unchanged`.
    AssumeUnchanged,
    /// `git update-index --skip-worktree`.
    SkipWorktree,
}

impl HiddenBy {
    /// Returns the command that takes the flag away.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::AssumeUnchanged => "git update-index --no-assume-unchanged",
            Self::SkipWorktree => "git update-index --no-skip-worktree",
        }
    }
}

/// What git says about the files at some places; paths are the repository's.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// HEAD's files and submodules.
    pub(super) head: BTreeMap<String, TreeEntry>,
    /// The index's files and submodules.
    pub(super) index: BTreeMap<String, IndexEntry>,
    /// Files that are neither known nor ignored; a repository in a folder of its own ends with a slash.
    pub(super) untracked: BTreeSet<String>,
}

/// A file or submodule of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TreeEntry {
    /// The hex object id.
    pub(super) id: String,
    /// Git's mode: 100644, 100755, 120000 for a link, 160000 for a submodule.
    pub(super) mode: u32,
}

/// A file or submodule of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexEntry {
    /// The hex object id.
    pub(super) id: String,
    /// Git's mode.
    pub(super) mode: u32,
    /// The flag that hides its changes.
    pub(super) hidden: Option<HiddenBy>,
    /// Whether a merge left it unresolved.
    pub(super) conflicted: bool,
}

/// A file as it is on disk.
struct OnDisk {
    content: FileContent,
    mode: u32,
    blob: String,
    is_lfs_pointer: bool,
    has_carriage_return: bool,
}

impl Repository {
    /// Reads the files below some project-relative folders or files; all files for `[""]`.
    pub(crate) fn work_tree(&self, below: &[String]) -> Result<WorkTree> {
        self.work_tree_where(below, &|_| true)
    }

    /// Reads the files below some project-relative folders that a condition on their path selects.
    pub(crate) fn work_tree_where(&self, below: &[String], keep: &dyn Fn(&str) -> bool) -> Result<WorkTree> {
        let places: Vec<String> = below.iter().map(|path| format!("{}{path}", self.prefix)).collect();
        let mut tree = WorkTree::default();
        let listing = self.listing(&places)?;
        read_into(&mut tree, &self.git, listing, "", &places, &|path| self.in_project(path), keep)?;
        tree.changed.sort();
        tree.changed.dedup();
        Ok(tree)
    }
}

/// Git's mode of a link.
const LINK: u32 = 0o120_000;

/// Reads a repository's files into a tree. `at` is where the repository lies in the outermost one, with a slash at its end.
fn read_into(
    tree: &mut WorkTree,
    git: &git2::Repository,
    listing: Listing,
    at: &str,
    places: &[String],
    in_project: &dyn Fn(&str) -> String,
    keep: &dyn Fn(&str) -> bool,
) -> Result<()> {
    let root = folder_of(git);
    let name = |path: &str| in_project(&format!("{at}{path}"));
    let mut attributes = Attributes::of(git, root);
    let mut paths: BTreeSet<&str> = listing.head.keys().map(String::as_str).collect();
    paths.extend(listing.index.keys().map(String::as_str));
    paths.extend(listing.untracked.iter().map(String::as_str));
    let mut converted = Vec::new();
    for path in paths {
        let (head, index) = (listing.head.get(path), listing.index.get(path));
        if index.is_some_and(|index| index.mode == library::SUBMODULE) {
            read_submodule(tree, git, at, path, (head, index), places, in_project, keep)?;
            continue;
        }
        let in_project = name(path);
        if head.is_some_and(|head| head.mode == library::SUBMODULE) {
            tree.changed.push(in_project);
            continue;
        }
        if !keep(&in_project) {
            continue;
        }
        if path.ends_with('/') {
            tree.embedded.push(in_project);
            continue;
        }
        if index.is_none() && !listing.untracked.contains(path) {
            // Removed from the index, and ignored if it is still on disk.
            tree.changed.push(in_project);
            continue;
        }
        let on_disk = read_file(&root.join(path))?;
        let hidden = index.and_then(|index| index.hidden);
        let Some(on_disk) = on_disk else {
            if hidden == Some(HiddenBy::SkipWorktree) {
                tree.left_out.push(in_project);
            } else {
                tree.changed.push(in_project);
            }
            continue;
        };
        tree.files.insert(in_project.clone(), on_disk.content);
        if on_disk.is_lfs_pointer && library::conversion(git, path)? == Conversion::Filter("lfs".into()) {
            tree.lfs_pointers.push(in_project.clone());
        }
        let (Some(head), Some(index)) = (head, index) else {
            tree.changed.push(in_project);
            continue;
        };
        let staged = index.id != head.id || index.mode != head.mode || index.conflicted;
        let same = on_disk.blob == head.id;
        // Git converts no links.
        let may_be_converted = on_disk.mode == head.mode
            && on_disk.mode != LINK
            && !staged
            && hidden.is_none()
            && (!same || attributes.apply_to(path));
        if may_be_converted {
            let conversion = library::conversion(git, path)?;
            let stays = same && conversion.keeps_line_feeds() && !on_disk.has_carriage_return;
            if conversion != Conversion::None && !stays {
                converted.push(ConvertedFile {
                    path: path.to_owned(),
                    blob: head.id.clone(),
                    mode: head.mode,
                    conversion,
                });
                continue;
            }
        }
        if same && on_disk.mode == head.mode {
            if staged {
                tree.changed.push(in_project);
            }
            continue;
        }
        if let Some(hidden) = hidden {
            tree.hidden.insert(in_project.clone(), hidden);
        }
        tree.changed.push(in_project);
    }
    judge_converted(tree, git, &converted, &name)
}

/// Reads a submodule's files. It differs from HEAD if another commit is checked out there, or if its own files differ.
#[expect(clippy::too_many_arguments, reason = "one step of a recursion over repositories")]
fn read_submodule(
    tree: &mut WorkTree,
    git: &git2::Repository,
    at: &str,
    path: &str,
    (head, index): (Option<&TreeEntry>, Option<&IndexEntry>),
    places: &[String],
    in_project: &dyn Fn(&str) -> String,
    keep: &dyn Fn(&str) -> bool,
) -> Result<()> {
    let name = in_project(&format!("{at}{path}"));
    let folder = folder_of(git).join(path);
    if !folder.join(".git").exists() {
        tree.missing_submodules.push(name);
        return Ok(());
    }
    let inner = git2::Repository::open(&folder).map_err(|error| {
        Failure::failed(format!("the submodule {name} cannot be opened")).caused_by(error)
    })?;
    let checked_out =
        inner.head().and_then(|head| head.peel_to_commit()).map(|commit| commit.id().to_string());
    let committed = head.map(|head| head.id.as_str());
    let moved = checked_out.ok().as_deref() != committed || index.map(|index| index.id.as_str()) != committed;
    let inside: Vec<String> = places
        .iter()
        .filter_map(|place| {
            let place = place.trim_end_matches('/');
            if is_below(path, &[place]) {
                Some(String::new())
            } else {
                place.strip_prefix(path)?.strip_prefix('/').map(str::to_owned)
            }
        })
        .collect();
    let before = tree.files.len() + tree.changed.len();
    let listing = library::listing(&inner, &inside)?;
    read_into(tree, &inner, listing, &format!("{at}{path}/"), &inside, in_project, keep)?;
    // Where it is at another commit matters only to those who use a file of it.
    if moved && (keep(&name) || tree.files.len() + tree.changed.len() > before) {
        tree.changed.push(name);
    }
    Ok(())
}

/// Reads a file; nothing where there is no file or link.
fn read_file(path: &Path) -> Result<Option<OnDisk>> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(failure::io("read", path, error)),
    };
    let (bytes, kind, mode) = if metadata.is_symlink() {
        let target = std::fs::read_link(path).map_err(|error| failure::io("read the link", path, error))?;
        (target.into_os_string().into_encoded_bytes(), FileKind::Link, LINK)
    } else if metadata.is_file() {
        let bytes = std::fs::read(path).map_err(|error| failure::io("read", path, error))?;
        match metadata.permissions().mode() & 0o111 {
            0 => (bytes, FileKind::Plain, 0o100_644),
            _ => (bytes, FileKind::Executable, 0o100_755),
        }
    } else {
        return Ok(None);
    };
    let blob = Oid::hash_object(ObjectType::Blob, &bytes)
        .map_err(|error| Failure::failed(format!("{} cannot be hashed", path.display())).caused_by(error))?;
    Ok(Some(OnDisk {
        content: FileContent::of(&bytes, kind),
        mode,
        blob: blob.to_string(),
        is_lfs_pointer: bytes.starts_with(LFS_POINTER),
        has_carriage_return: bytes.contains(&b'\r'),
    }))
}

/// Returns whether a path is one of some places or lies below one; everything lies below `""`.
pub(super) fn is_below(path: &str, places: &[impl AsRef<str>]) -> bool {
    places.iter().any(|place| {
        let place = place.as_ref().trim_end_matches('/');
        place.is_empty()
            || path == place
            || (path.starts_with(place) && path.as_bytes().get(place.len()) == Some(&b'/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_below_matches_the_folder_and_not_names_that_begin_like_it() {
        let places = ["lambda-src/hello"];
        assert!(is_below("lambda-src/hello/src/main.rs", &places));
        assert!(is_below("lambda-src/hello", &places));
        assert!(!is_below("lambda-src/hello-two/src/main.rs", &places));
        assert!(is_below("anything", &[""]));
    }
}

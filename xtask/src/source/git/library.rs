//! What libgit2 says about a repository's files: HEAD's, the index's, the untracked ones, and attributes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use git2::{AttrCheckFlags, AttrValue, ObjectType, StatusOptions, StatusShow, TreeWalkMode, TreeWalkResult};

use super::conversion::Conversion;
use super::work_tree::{HiddenBy, IndexEntry, Listing, TreeEntry, is_below};
use super::{folder_of, not_utf8};
use crate::failure::{Failure, Result};

/// The mode of an entry that is a commit of another repository.
pub(super) const SUBMODULE: u32 = 0o160_000;

/// Lists the files at or below some places, paths of the repository; everything for `""`.
///
/// An index that libgit2 does not read (split, sparse) is read by the program `git`.
pub(super) fn listing(git: &git2::Repository, places: &[String]) -> Result<Listing> {
    if let Err(error) = git.index().and_then(|mut index| index.read(false)) {
        let root = folder_of(git);
        return super::program::listing(root, places).map_err(|failure| {
            if crate::exec::is_program_missing(&failure) { index_not_read(error) } else { failure }
        });
    }
    Ok(Listing { head: head(git, places)?, index: index(git, places)?, untracked: untracked(git, places)? })
}

fn index_not_read(error: git2::Error) -> Failure {
    Failure::failed("the git index has a form that can only be read by the program git, which is not installed")
        .caused_by(error)
        .hint("install git, or write the index in its common form on a machine that has it: git update-index --no-split-index; git sparse-checkout reapply --no-sparse-index")
}

fn failed(error: git2::Error) -> Failure {
    Failure::failed("the git index or work tree cannot be read").caused_by(error)
}

/// Lists HEAD's files.
fn head(git: &git2::Repository, places: &[String]) -> Result<BTreeMap<String, TreeEntry>> {
    let mut found = BTreeMap::new();
    let Ok(head) = git.head() else { return Ok(found) };
    let tree = head.peel_to_tree().map_err(failed)?;
    for place in places.iter().map(|place| place.trim_end_matches('/')) {
        if place.is_empty() {
            walk(&tree, "", &mut found)?;
            continue;
        }
        // A place inside a submodule is not in this tree: the submodule's entry is.
        for ancestor in Path::new(place).ancestors() {
            let Ok(entry) = tree.get_path(ancestor) else { continue };
            let path = ancestor.to_string_lossy().into_owned();
            if entry.kind() == Some(ObjectType::Tree) {
                if path == place {
                    let below = entry.to_object(git).and_then(|object| object.peel_to_tree());
                    walk(&below.map_err(failed)?, &format!("{path}/"), &mut found)?;
                }
            } else {
                found.insert(path, tree_entry(&entry));
            }
            break;
        }
    }
    Ok(found)
}

fn walk(tree: &git2::Tree<'_>, prefix: &str, found: &mut BTreeMap<String, TreeEntry>) -> Result<()> {
    tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        if entry.kind() != Some(ObjectType::Tree) {
            let name = String::from_utf8_lossy(entry.name_bytes());
            found.insert(format!("{prefix}{}{name}", folder), tree_entry(entry));
        }
        TreeWalkResult::Ok
    })
    .map_err(failed)
}

fn tree_entry(entry: &git2::TreeEntry<'_>) -> TreeEntry {
    TreeEntry { id: entry.id().to_string(), mode: u32::try_from(entry.filemode()).unwrap_or_default() }
}

/// Lists the index's files. Places inside a submodule give the submodule's entry.
fn index(git: &git2::Repository, places: &[String]) -> Result<BTreeMap<String, IndexEntry>> {
    let mut index = git.index().map_err(failed)?;
    index.read(false).map_err(failed)?;
    let mut found = BTreeMap::new();
    for entry in index.iter() {
        let path = String::from_utf8(entry.path).map_err(|error| not_utf8(error.as_bytes()))?;
        let holds_a_place = entry.mode == SUBMODULE && places.iter().any(|place| is_below(place, &[&path]));
        if !is_below(&path, places) && !holds_a_place {
            continue;
        }
        let hidden = if entry.flags & ASSUME_UNCHANGED != 0 {
            Some(HiddenBy::AssumeUnchanged)
        } else if entry.flags_extended & SKIP_WORKTREE != 0 {
            Some(HiddenBy::SkipWorktree)
        } else {
            None
        };
        let stage = (entry.flags >> 12) & 3;
        found.insert(
            path,
            IndexEntry { id: entry.id.to_string(), mode: entry.mode, hidden, conflicted: stage != 0 },
        );
    }
    Ok(found)
}

/// Flags of an index entry: <https://git-scm.com/docs/index-format#_index_entry>.
const ASSUME_UNCHANGED: u16 = 0x8000;
const SKIP_WORKTREE: u16 = 0x4000;

/// Lists the files that git does not know and does not ignore; a repository in its own folder has a slash at its end.
///
/// Git itself is asked where it is installed: libgit2 takes a link to a folder for a folder, and so for ignored where a
/// pattern ends with a slash.
fn untracked(git: &git2::Repository, places: &[String]) -> Result<BTreeSet<String>> {
    let root = folder_of(git);
    match super::program::untracked(root, places) {
        Err(failure) if crate::exec::is_program_missing(&failure) => {}
        listed => return listed,
    }
    let mut found = BTreeSet::new();
    each_status(git, places, StatusShow::Workdir, true, &mut |status, path| {
        if status.is_wt_new() {
            found.insert(path.to_owned());
        }
    })?;
    Ok(found)
}

/// Returns which of these files differ from HEAD, after git's own conversions. Filters that are programs are not run.
pub(super) fn changed(git: &git2::Repository, paths: &[String]) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    each_status(git, paths, StatusShow::IndexAndWorkdir, false, &mut |_, path| {
        found.insert(path.to_owned());
    })?;
    Ok(found)
}

fn each_status(
    git: &git2::Repository,
    places: &[String],
    show: StatusShow,
    untracked: bool,
    take: &mut dyn FnMut(git2::Status, &str),
) -> Result<()> {
    // One call for each place: with several, libgit2 misses some where one name begins like another (`api`, `api-image`),
    // because it visits them in an order that is not that of a tree.
    let queries = match places.iter().any(String::is_empty) {
        true => vec![None],
        false => places.iter().map(|place| Some(place.as_str())).collect(),
    };
    for place in queries {
        let mut options = StatusOptions::new();
        options
            .show(show)
            .include_untracked(untracked)
            .recurse_untracked_dirs(untracked)
            .exclude_submodules(true)
            // The index is only read: another git may hold its lock.
            .disable_pathspec_match(true);
        place.into_iter().for_each(|place| {
            options.pathspec(place);
        });
        for status in git.statuses(Some(&mut options)).map_err(failed)?.iter() {
            let path = status.path().map_err(|_| not_utf8(status.path_bytes()))?;
            if is_below(path, places) {
                take(status.status(), path);
            }
        }
    }
    Ok(())
}

/// Returns how git converts a file between the repository and the work tree, by the rules of
/// <https://git-scm.com/docs/gitattributes>.
pub(super) fn conversion(git: &git2::Repository, path: &str) -> Result<Conversion> {
    let readable = git.index().is_ok();
    // As `git check-attr` says it: `set`, `unset` or a value; nothing where it is not specified.
    let attribute = |name: &str| -> Result<Option<String>> {
        if !readable {
            let value = super::program::attribute(folder_of(git), name, path)?;
            return Ok(value.filter(|value| value != "unspecified"));
        }
        let value = git.get_attr(Path::new(path), name, AttrCheckFlags::FILE_THEN_INDEX).map_err(failed)?;
        Ok(match AttrValue::from_string(value) {
            AttrValue::True => Some("set".to_owned()),
            AttrValue::False => Some("unset".to_owned()),
            AttrValue::String(value) => Some(value.to_owned()),
            AttrValue::Bytes(_) | AttrValue::Unspecified => None,
        })
    };
    let applied = |name: &str| Ok::<_, Failure>(attribute(name)?.filter(|value| value != "unset"));
    if let Some(filter) = applied("filter")? {
        return Ok(Conversion::Filter(filter));
    }
    for name in ["working-tree-encoding", "ident"] {
        if applied(name)?.is_some() {
            return Ok(Conversion::Attribute(name));
        }
    }
    let text = match attribute("text")? {
        None => attribute("crlf")?,
        text => text,
    };
    if text.as_deref() == Some("unset") {
        // Then neither `eol` nor the configuration converts line endings.
        return Ok(Conversion::None);
    }
    match applied("eol")?.as_deref() {
        Some("lf") => return Ok(Conversion::LineFeeds),
        Some(_) => return Ok(Conversion::Attribute("eol")),
        None => {}
    }
    let converts = git
        .config()
        .and_then(|mut config| config.snapshot())
        .and_then(|config| config.get_string("core.autocrlf"))
        .is_ok_and(|value| value != "false");
    Ok(if converts || text.is_some() { Conversion::LineEndings } else { Conversion::None })
}

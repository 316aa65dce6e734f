//! Questions to the program `git`, for what libgit2 does not do: indexes that are split or sparse, filters that
//! are programs, and checkouts as git writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::conversion::ConvertedFile;
use super::library::SUBMODULE;
use super::work_tree::{HiddenBy, IndexEntry, Listing, TreeEntry, is_below};
use super::{folder_of, not_utf8};
use crate::exec::{self, Program};
use crate::failure::Result;

/// How many paths go into one command line.
const PATHS_AT_ONCE: usize = 500;

/// Variables that would have git look at another repository than the one of its folder. Hooks run with them.
const PLACES: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// Returns git's command line in a folder.
pub(super) fn git(folder: &Path) -> Program {
    let program = Program::new("git", folder)
        // A monitor's answer is not evidence.
        .args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false"])
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_LITERAL_PATHSPECS", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C");
    PLACES.iter().fold(program, |program, name| program.without_env(name))
}

/// Returns which of these files differ from HEAD as git sees it, filters included; nothing where git is not installed.
///
/// Git's own index would answer by the times that it noted, which say nothing of an attribute that was added since. So it is
/// asked with an index without any times.
pub(super) fn changed(
    repository: &git2::Repository,
    files: &[ConvertedFile],
) -> Result<Option<BTreeSet<String>>> {
    let root = folder_of(repository);
    let folder =
        tempfile::tempdir().map_err(|error| crate::failure::io("create", &std::env::temp_dir(), error))?;
    let index = folder.path().join("index").to_string_lossy().into_owned();
    let entries: String =
        files.iter().map(|file| format!("{:o} {} 0\t{}\0", file.mode, file.blob, file.path)).collect();
    let fill = git(root).env("GIT_INDEX_FILE", &index).args(["update-index", "-z", "--index-info"]);
    match exec::output(&fill, entries.as_bytes()) {
        Ok(_) => {}
        Err(failure) if exec::is_program_missing(&failure) => return Ok(None),
        Err(failure) => return Err(failure),
    }
    let mut found = BTreeSet::new();
    for files in files.chunks(PATHS_AT_ONCE) {
        let program = git(root)
            .env("GIT_INDEX_FILE", &index)
            .args(["status", "--porcelain=v2", "-z", "--untracked-files=no", "--no-renames", "--"])
            .args(files.iter().map(|file| file.path.as_str()));
        // `1 XY sub mH mI mW hH hI path`, `u XY sub m1 m2 m3 mW h1 h2 h3 path`.
        for line in String::from_utf8_lossy(&exec::output(&program, &[])?).split('\0') {
            let fields = match line.get(..2) {
                Some("1 ") => 9,
                Some("u ") => 11,
                _ => continue,
            };
            found.extend(line.splitn(fields, ' ').nth(fields - 1).map(str::to_owned));
        }
    }
    Ok(Some(found))
}

/// Returns the first of these files that has other bytes than a checkout of HEAD would write; nothing if there is none, or
/// where git is not installed.
///
/// One program for all of them. Its answer does not say how long a converted file is: the answers up to the first that
/// differs are divided by what is expected of them.
pub(super) fn differs_from_checkout<'a>(
    repository: &git2::Repository,
    files: &[&'a ConvertedFile],
) -> Result<Option<&'a ConvertedFile>> {
    let root = folder_of(repository);
    // A line of the question ends at a line break, which a path can have.
    if let Some(file) = files.iter().find(|file| file.path.contains('\n')) {
        return Ok(Some(file));
    }
    let questions: String = files.iter().map(|file| format!("{} {}\n", file.blob, file.path)).collect();
    let program = git(root).args(["cat-file", "--filters", "--batch=%(rest)"]);
    let written = match exec::output(&program, questions.as_bytes()) {
        Ok(written) => written,
        Err(failure) if exec::is_program_missing(&failure) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let mut rest = written.as_slice();
    for file in files {
        let path = root.join(&file.path);
        let bytes = std::fs::read(&path).map_err(|error| crate::failure::io("read", &path, error))?;
        let expected = [file.path.as_bytes(), b"\n", &bytes, b"\n"].concat();
        match rest.strip_prefix(expected.as_slice()) {
            Some(others) => rest = others,
            None => return Ok(Some(file)),
        }
    }
    Ok(None)
}

/// Lists the files at or below some places; everything for `""`.
pub(super) fn listing(root: &Path, places: &[String]) -> Result<Listing> {
    // `H 100644 <id> 0<tab>path`; a small letter is assume-unchanged, S is skip-worktree.
    let mut index = BTreeMap::new();
    for line in records(&exec::output(&git(root).args(["ls-files", "-z", "-v", "--stage"]), &[])?)? {
        let Some((entry, path)) = line.split_once('\t') else { continue };
        let fields: Vec<&str> = entry.split(' ').collect();
        let [tag, mode, id, stage] = fields[..] else { continue };
        let mode = u32::from_str_radix(mode, 8).unwrap_or_default();
        let holds_a_place = mode == SUBMODULE && places.iter().any(|place| is_below(place, &[path]));
        if !is_below(path, places) && !holds_a_place {
            continue;
        }
        let hidden = match tag {
            "S" | "s" => Some(HiddenBy::SkipWorktree),
            tag if tag.starts_with(char::is_lowercase) => Some(HiddenBy::AssumeUnchanged),
            _ => None,
        };
        index.insert(
            path.to_owned(),
            IndexEntry { id: id.to_owned(), mode, hidden, conflicted: stage != "0" },
        );
    }
    // `100644 blob <id><tab>path`.
    let mut head = BTreeMap::new();
    let submodules = index.iter().filter(|(_, entry)| entry.mode == SUBMODULE).map(|(path, _)| path.clone());
    let tree = git(root).args(["ls-tree", "-r", "-z", "--full-tree", "HEAD", "--"]);
    let tree = match is_everything(places) {
        true => tree,
        false => tree.args(without_slash(places)).args(submodules),
    };
    for line in records(&exec::output(&tree, &[])?)? {
        let Some((entry, path)) = line.split_once('\t') else { continue };
        let fields: Vec<&str> = entry.split(' ').collect();
        let [mode, _, id] = fields[..] else { continue };
        let mode = u32::from_str_radix(mode, 8).unwrap_or_default();
        head.insert(path.to_owned(), TreeEntry { id: id.to_owned(), mode });
    }
    Ok(Listing { head, index, untracked: untracked(root, places)? })
}

/// Lists the files that git does not know and does not ignore; a repository in its own folder has a slash at its end.
pub(super) fn untracked(root: &Path, places: &[String]) -> Result<BTreeSet<String>> {
    let program = git(root).args(["ls-files", "-z", "--others", "--exclude-standard", "--"]);
    let program = match is_everything(places) {
        true => program,
        false => program.args(without_slash(places)),
    };
    Ok(records(&exec::output(&program, &[])?)?.into_iter().collect())
}

fn is_everything(places: &[String]) -> bool {
    places.iter().any(String::is_empty)
}

fn without_slash(places: &[String]) -> impl Iterator<Item = &str> {
    places.iter().map(|place| place.trim_end_matches('/'))
}

/// Returns the value of an attribute of a file.
pub(super) fn attribute(root: &Path, name: &str, path: &str) -> Result<Option<String>> {
    let output = exec::output(&git(root).args(["check-attr", "-z", name, "--", path]), &[])?;
    // Path, attribute, value.
    Ok(records(&output)?.into_iter().nth(2))
}

/// Splits the output of `-z`.
fn records(output: &[u8]) -> Result<Vec<String>> {
    output
        .split(|byte| *byte == 0)
        .filter(|record| !record.is_empty())
        .map(|record| String::from_utf8(record.to_vec()).map_err(|_| not_utf8(record)))
        .collect()
}

//! The places of a function's inputs, each with the reason for which it is one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::super::git::{FileKind, Repository, WorkTree};
use crate::failure::{Failure, Result};

/// Folders and files of the project, each with a reason.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// Project-relative path -> why it is an input; `""` is the whole project.
    reasons: BTreeMap<String, String>,
}

impl Places {
    /// Adds a place; the first reason stays.
    pub(super) fn add(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.reasons.entry(path.into()).or_insert_with(|| reason.into());
    }

    /// Lists the places.
    pub(super) fn paths(&self) -> Vec<String> {
        self.reasons.keys().cloned().collect()
    }

    /// Returns why a file is an input: the reason of the nearest place above it.
    pub(super) fn reason(&self, file: &str) -> Option<&str> {
        let above = Path::new(file).ancestors().map(|place| place.to_string_lossy().into_owned());
        above.into_iter().find_map(|place| self.reasons.get(&place)).map(String::as_str)
    }
}

/// Reads the files of some places, and those that links among them lead to, until no new place is found.
///
/// A link is followed inside the project: what it leads to decides the bytes. Outside the project nothing is known to git.
pub(super) fn read(
    root: &Path,
    repository: &Repository,
    places: &mut Places,
    keep: &dyn Fn(&str) -> bool,
) -> Result<WorkTree> {
    let mut followed = BTreeSet::new();
    loop {
        let tree = repository.work_tree_where(&places.paths(), keep)?;
        let links: Vec<&String> = tree
            .files
            .iter()
            .filter(|(path, content)| content.kind == FileKind::Link && !followed.contains(*path))
            .map(|(path, _)| path)
            .collect();
        if links.is_empty() {
            return Ok(tree);
        }
        for link in links {
            if let Some(target) = target_of(root, link)? {
                places.add(target, format!("the link {link} leads there"));
            }
            followed.insert(link.clone());
        }
    }
}

/// Returns what a link leads to, relative to the project; nothing where that does not exist.
fn target_of(root: &Path, link: &str) -> Result<Option<String>> {
    let full = root.join(link);
    let Ok(target) = full.canonicalize() else { return Ok(None) };
    let project = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    match target.strip_prefix(&project) {
        Ok(path) => Ok(Some(path.to_string_lossy().into_owned())),
        Err(_) => Err(Failure::refused(format!(
            "{link} is a link to {}, outside the project",
            target.display()
        ))
        .unchanged("Nothing was built.")
        .hint("a release belongs to a commit, which cannot contain that file: put a copy into the project")),
    }
}

/// Resolves `.` and `..` without looking at the disk.
pub(super) fn normalised(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

//! Reads the edges between modules from the sources: each `crate::<module>` outside comments and tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::TESTS;

/// A source file: the top-level module that it belongs to, its path and its text without comments and tests.
pub(super) struct Source {
    pub(super) module: String,
    pub(super) path: PathBuf,
    pub(super) text: String,
}

pub(super) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(&root).unwrap().to_path_buf();
            let first = relative.components().next().unwrap().as_os_str().to_string_lossy();
            let module = first.trim_end_matches(".rs").to_owned();
            let stem = relative.file_stem().unwrap().to_string_lossy();
            if TESTS.contains(&module.as_str())
                || ["tests", "model", "schemas"].contains(&stem.as_ref())
                || module == "main"
            {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = without_tests(&std::fs::read_to_string(&path).unwrap());
                sources.push(Source { module, path: relative, text });
            }
        }
    }
    sources
}

/// Leaves out comments, and everything from the module of tests on, which comes last.
fn without_tests(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(code).collect::<Vec<_>>().join("\n")
}

/// Finds what follows `crate::`: one name, or those of a group in braces.
pub(super) fn uses(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(names_of_group(group)),
            None => found.extend([name_at(rest)]),
        }
    }
    found
}

fn names_of_group(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (0_u32, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(name_at(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(name_at(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn name_at(text: &str) -> String {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text[..end].to_owned()
}

#[test]
fn reader_finds_edges_in_groups_and_paths_but_not_in_comments() {
    let text = without_tests(
        "use crate::{a, b::{c, d}, e::f};\n// use crate::never;\nfn x() { crate::g::h(); mycrate::never(); }\n#[cfg(test)]\nmod tests {\n use crate::never;",
    );
    assert_eq!(uses(&text), ["a", "b", "e", "g"].map(str::to_owned).into());
}

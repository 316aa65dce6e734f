//! Checks that the modules of the crate do not depend on each other in a circle.
//!
//! A module is a source file. It depends on every module that its code names by path: `crate::…`, `super::…`, or the name
//! of a module that it declares. Declaring a module is no dependency, so a parent may only use children that do not use it.
//! Comments and tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Dependencies by module; a module is named by its path, such as `gateway::router`, the crate's root by an empty name.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Reads the modules in a folder, with their code.
fn read_modules(folder: &Path) -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(current) = folders.pop() {
        for entry in current.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(folder).unwrap().with_extension("");
            let names: Vec<_> = relative.iter().map(|name| name.to_str().unwrap()).collect();
            match names.as_slice() {
                ["bin"] | ["module_graph"] | [.., "tests"] => {}
                _ if path.is_dir() => folders.push(path),
                _ if path.extension().is_none_or(|extension| extension != "rs") => {}
                ["lib"] => drop(modules.insert(String::new(), code_of(&path))),
                names => drop(modules.insert(names.join("::"), code_of(&path))),
            }
        }
    }
    modules
}

/// Returns the code of a file without comments and tests, which come last.
fn code_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(code).collect::<Vec<_>>().join("\n")
}

/// Returns the modules that each module depends on.
fn dependencies(modules: &BTreeMap<String, String>) -> Graph {
    let dependencies_of = |(module, code): (&String, &String)| {
        let paths = paths(code).into_iter().filter_map(|path| resolve(&path, module, modules));
        (module.clone(), paths.filter(|other| other != module).collect())
    };
    modules.iter().map(dependencies_of).collect()
}

/// Returns the paths in the code, with each path of a group in braces written out. Visibilities do not count.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut at = 0;
    while let Some(start) = code[at..].find(|c: char| c.is_alphabetic() || c == '_') {
        let start = at + start;
        let path = path_at(&code[start..]);
        at = start + path.len();
        match (path.strip_suffix("::"), code[at..].strip_prefix('{')) {
            (Some(prefix), Some(group)) => {
                let group = &group[..group_length(group)];
                paths.extend(group_items(group).iter().map(|item| format!("{prefix}::{item}")));
                at += group.len();
            }
            _ if path.contains("::") && !code[..start].ends_with("pub(in ") => paths.push(path.to_owned()),
            _ => {}
        }
    }
    paths
}

/// Returns the path at the beginning of the code, which may end in `::`.
fn path_at(code: &str) -> &str {
    let mut end = 0;
    while let Some(c) = code[end..].chars().next() {
        match c {
            _ if c.is_alphanumeric() || c == '_' => end += c.len_utf8(),
            ':' if code[end..].starts_with("::") => end += 2,
            _ => break,
        }
    }
    &code[..end]
}

/// Returns the length of a group in braces, whose opening brace comes before it.
fn group_length(group: &str) -> usize {
    let mut depth = 1;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    group.len()
}

/// Returns the paths in a group; a nested group counts as its prefix.
fn group_items(group: &str) -> Vec<String> {
    let (mut items, mut depth, mut item) = (Vec::new(), 0, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(std::mem::take(&mut item)),
            c if depth == 0 && !c.is_whitespace() => item.push(c),
            _ => {}
        }
    }
    items.push(item);
    items.retain(|item| !item.is_empty());
    items
}

/// Returns the module that a path in a module names: the longest one of which it is a part.
fn resolve(path: &str, module: &str, modules: &BTreeMap<String, String>) -> Option<String> {
    let mut names: Vec<&str> = module.split("::").filter(|name| !name.is_empty()).collect();
    let mut parts = path.split("::").filter(|name| !name.is_empty()).peekable();
    match parts.peek()? {
        &"crate" => names.clear(),
        &"super" | &"self" => {}
        // Any other name counts only if it is that of a declared module.
        child => {
            names.push(child);
            if !modules.contains_key(&names.join("::")) {
                return None;
            }
            names.pop();
        }
    }
    for part in parts {
        match part {
            "crate" | "self" => {}
            "super" => drop(names.pop()),
            name => {
                names.push(name);
                if !modules.contains_key(&names.join("::")) {
                    names.pop();
                    break;
                }
            }
        }
    }
    Some(names.join("::"))
}

/// Returns the modules of circles, and those between circles: what is left after removing, again and again, the modules
/// that depend on none, and those that none depends on.
fn circles(graph: &Graph) -> Graph {
    let mut left = graph.clone();
    loop {
        let used: BTreeSet<String> = left.values().flatten().cloned().collect();
        let names: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|module, dependencies| {
            dependencies.retain(|other| names.contains(other));
            used.contains(module) && !dependencies.is_empty()
        });
        if left.len() == names.len() {
            return left;
        }
    }
}

#[test]
fn modules_have_no_circular_dependencies() {
    let modules = read_modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let graph = dependencies(&modules);
    assert!(graph.len() > 60, "{}", graph.len());
    assert!(graph["gateway::router"].contains("gateway::aliases"));
    assert!(graph["gateway::event_sources::api"].contains("gateway::event_sources"));
    let circles = circles(&graph);
    let lines: Vec<String> =
        circles.iter().map(|(module, uses)| format!("`{module}` uses {uses:?}")).collect();
    assert!(lines.is_empty(), "modules in circles:\n{}", lines.join("\n"));
}

#[test]
fn circular_dependencies_are_found() {
    let modules = [
        ("", "mod a; mod b; use a::c::D;"),
        ("a", "mod c; pub(crate) use crate::b::{self, B};"),
        ("a::c", "use super::super::b::{x::{Y}, Z}; pub(in crate::a) fn f() { http::go() }"),
        ("b", "use crate::{a::c, d::E};"),
        ("d", "pub(super) struct E;"),
    ];
    let modules = modules.map(|(module, code)| (module.to_owned(), code.to_owned())).into();
    let graph = dependencies(&modules);
    let uses = |module: &str| graph[module].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!((uses(""), uses("a"), uses("a::c")), (vec!["a::c"], vec!["b"], vec!["b"]));
    assert_eq!((uses("b"), uses("d")), (vec!["a::c", "d"], vec![]));
    let circles = circles(&graph);
    assert_eq!(circles.keys().map(String::as_str).collect::<Vec<_>>(), ["a::c", "b"]);
}

//! The table of allowed edges between the top-level modules, and a test that reads them from the sources.
//!
//! A stage uses earlier stages' values and the ports, and nothing above it: who changes that changes this table, and
//! has to say why in a commit. Left out: tests, and what only they use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Module and what it may use, from the ground up. What is not in the list may use nothing.
const ALLOWED: &[(&str, &[&str])] = &[
    // The ground: what went wrong, what things are called, what is happening. They know nothing of releases.
    ("words", &[]),
    ("process", &[]),
    ("name", &[]),
    ("failure", &[]),
    ("progress", &[]),
    ("interrupt", &["failure"]),
    ("graph", &["failure", "interrupt"]),
    ("settings", &["failure", "name"]),
    // The ports speak of plans: Terraform's values are the plan's.
    ("ports", &["failure", "name", "plan"]),
    // The way through, in its order.
    ("source", &["failure", "name", "settings", "tools"]),
    (
        "artifact",
        &["failure", "interrupt", "name", "ports", "progress", "settings", "source", "tools", "words"],
    ),
    ("release", &["failure", "name", "ports", "progress", "settings", "source", "words"]),
    (
        "plan",
        &[
            "failure",
            "interrupt",
            "ledger",
            "name",
            "ports",
            "process",
            "progress",
            "release",
            "settings",
            "words",
        ],
    ),
    ("verification", &["failure", "interrupt", "name", "plan", "ports", "release", "settings", "words"]),
    ("rollout", &["failure", "ledger", "ports", "verification"]),
    ("ledger", &["failure", "name", "ports", "process"]),
    // Beside the way: the programs that are run, the checks, the emulated AWS.
    ("tools", &["failure", "interrupt", "name", "plan", "ports", "progress", "words"]),
    (
        "checks",
        &["failure", "graph", "interrupt", "name", "progress", "settings", "source", "tools", "words"],
    ),
    ("emulator", &["failure", "progress", "settings", "tools", "words"]),
    // The only module that knows the order.
    (
        "delivery",
        &[
            "failure",
            "graph",
            "interrupt",
            "ledger",
            "name",
            "plan",
            "ports",
            "progress",
            "release",
            "rollout",
            "settings",
            "verification",
            "words",
        ],
    ),
    // Before anything is delivered: what an account is to have.
    ("bootstrap", &["failure", "name", "plan", "ports", "settings"]),
    // What people see.
    ("output", &["failure", "progress", "words"]),
    // The composition root.
    (
        "world",
        &[
            "bootstrap",
            "delivery",
            "emulator",
            "failure",
            "interrupt",
            "ledger",
            "name",
            "output",
            "plan",
            "ports",
            "progress",
            "release",
            "settings",
            "source",
            "tools",
            "words",
        ],
    ),
    // The verbs may use everything but the command line; `output` needs to know whether dotenv was asked for.
    (
        "commands",
        &[
            "artifact",
            "bootstrap",
            "checks",
            "cli",
            "delivery",
            "emulator",
            "failure",
            "graph",
            "interrupt",
            "ledger",
            "name",
            "output",
            "plan",
            "ports",
            "progress",
            "release",
            "rollout",
            "settings",
            "source",
            "tools",
            "verification",
            "words",
            "world",
        ],
    ),
    ("cli", &["commands", "emulator", "failure", "output", "settings", "world"]),
    ("lib", &["cli"]),
];

/// The modules that may name a leaf crate; all others go through the ports.
const LEAVES: &[(&str, &[&str])] = &[
    ("slipway_archive", &["artifact", "plan", "release", "source"]),
    ("slipway_cloud", &["ports", "world"]),
    ("slipway_local", &["commands", "emulator", "world"]),
    ("aws_", &[]),
];

/// Modules that exist for tests alone.
const TESTS: &[&str] = &["memory", "module_edges", "cli_tests"];

/// A source file: the top-level module that it belongs to, its path and its text without comments and tests.
struct Source {
    module: String,
    path: PathBuf,
    text: String,
}

fn sources() -> Vec<Source> {
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
fn uses(text: &str) -> BTreeSet<String> {
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
fn no_module_uses_what_stands_above_it() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut used: BTreeSet<(String, String)> = BTreeSet::new();
    for Source { module, path, text } in sources() {
        for name in uses(&text) {
            if name == module || TESTS.contains(&name.as_str()) {
                continue;
            }
            if !allowed.get(module.as_str()).is_some_and(|allowed| allowed.contains(&name.as_str())) {
                wrong.push(format!("{}: `{module}` may not use `{name}`", path.display()));
            }
            used.insert((module.clone(), name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The ground stays the ground, whatever is added to the table.
    for module in ["words", "name", "failure", "progress"] {
        assert!(used.iter().all(|(from, _)| from != module), "`{module}` uses something");
    }
}

#[test]
fn the_leaf_crates_have_few_doors() {
    for Source { module, path, text } in sources() {
        for (leaf, doors) in LEAVES {
            let named = text.match_indices(leaf).any(|(at, _)| {
                let before = text[..at].chars().next_back();
                text[at..].split_once("::").is_some_and(|(name, _)| {
                    name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                }) && before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '"')
            });
            assert!(
                !named || doors.contains(&module.as_str()),
                "{}: `{module}` may not name {leaf}",
                path.display()
            );
        }
    }
}

#[test]
fn no_command_calls_another_and_no_stage_prints() {
    let all = sources();
    let verbs: Vec<String> = all
        .iter()
        .filter(|source| source.path.parent() == Some(Path::new("commands")))
        .map(|source| source.path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(verbs.len() > 10, "{verbs:?}");
    for Source { module, path, text } in &all {
        if module == "commands" {
            for verb in &verbs {
                for way in
                    [format!("super::{verb}::"), format!("commands::{verb}::"), format!("super::{{{verb}::")]
                {
                    assert!(!text.contains(&way), "{}: one command calls another: {way}", path.display());
                }
            }
        }
        if !["cli", "commands", "output", "world"].contains(&module.as_str()) {
            assert!(!uses(text).contains("output"), "{}: `{module}` writes for people", path.display());
        }
    }
}

#[test]
fn edges_are_read_from_groups_and_paths_and_not_from_comments() {
    let text = without_tests(
        "use crate::{a, b::{c, d}, e::f};\n// use crate::never;\nfn x() { crate::g::h(); mycrate::never(); }\n#[cfg(test)]\nmod tests {\n use crate::never;",
    );
    assert_eq!(uses(&text), ["a", "b", "e", "g"].map(str::to_owned).into());
}

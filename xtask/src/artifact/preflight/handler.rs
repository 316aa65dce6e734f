//! Checks that the handler that the settings name is in the artifact.
//!
//! In: settings and tree. Out: a finding, if the handler is missing. Handlers of `provided.*`, Python and Node.js are
//! checked; those of other runtimes are not, nor those that the settings say lie in a layer.

use std::path::Path;

use slipway_archive::{Entry, Tree};

use super::PreflightFinding;
use crate::failure::{self, Result};
use crate::runtime::RuntimeFamily;
use crate::settings::FunctionSettings;

const PROVIDED: &str = "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html";
const PYTHON: &str = "https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html";
const NODE: &str = "https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html";

/// Returns what is wrong with the handler.
pub(super) fn handler_problem(settings: &FunctionSettings, tree: &Tree) -> Result<Option<PreflightFinding>> {
    if settings.handler_in_layer {
        return Ok(None);
    }
    let (problem, rule) = match settings.runtime.family() {
        Some(RuntimeFamily::Custom) => (bootstrap(tree)?, PROVIDED),
        Some(RuntimeFamily::Python) => (python(&settings.handler, tree)?, PYTHON),
        Some(RuntimeFamily::Node) => (node(&settings.handler, tree)?, NODE),
        Some(RuntimeFamily::Java | RuntimeFamily::DotNet | RuntimeFamily::Ruby) | None => (None, ""),
    };
    let subject = if settings.runtime.is_custom() {
        "bootstrap".to_owned()
    } else {
        format!("handler {}", settings.handler)
    };
    Ok(problem.map(|problem| PreflightFinding {
        of_handler: true,
        ..PreflightFinding::new(subject, problem, rule)
    }))
}

fn bootstrap(tree: &Tree) -> Result<Option<String>> {
    let Some(entry) = find(tree, "bootstrap") else {
        return Ok(Some("is missing: the runtime starts a file of that name at the artifact's top".into()));
    };
    let bytes = bytes_of(entry)?;
    Ok(if bytes.is_empty() {
        Some("is empty (0 bytes)".into())
    } else if !entry.executable() {
        Some("is not executable (chmod +x)".into())
    } else if !bytes.starts_with(b"\x7fELF") && !bytes.starts_with(b"#!") {
        Some("is neither a program for Linux (ELF) nor a script that begins with #!".into())
    } else {
        None
    })
}

fn python(handler: &str, tree: &Tree) -> Result<Option<String>> {
    let Some((module, name)) = handler.rsplit_once('.') else {
        return Ok(Some("is not written as module.function".into()));
    };
    let path = module.replace('.', "/");
    let compiled = format!("{path}.");
    if tree.iter().any(|entry| entry.name().starts_with(&compiled) && entry.name().ends_with(".so")) {
        return Ok(None);
    }
    let places = [format!("{path}/__init__.py"), format!("{path}.py")];
    let Some(entry) = places.iter().find_map(|place| find(tree, place)) else {
        return Ok(Some(format!(
            "its module is not in the artifact: neither {} nor {}",
            places[1], places[0]
        )));
    };
    let bytes = bytes_of(entry)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(if bytes.is_empty() {
        Some(format!("{} is empty (0 bytes)", entry.name()))
    } else if !mentions(&text, name) && !text.contains("import *") {
        Some(format!("{} has no `{name}`", entry.name()))
    } else {
        None
    })
}

fn node(handler: &str, tree: &Tree) -> Result<Option<String>> {
    // The export begins after the first dot behind the last slash.
    let file = handler.rfind('/').map_or(0, |slash| slash + 1);
    let Some(dot) = handler[file..].find('.').map(|dot| file + dot) else {
        return Ok(Some("is not written as file.export".into()));
    };
    let places = ["js", "mjs", "cjs"].map(|extension| format!("{}.{extension}", &handler[..dot]));
    let Some(entry) = places.iter().find_map(|place| find(tree, place)) else {
        return Ok(Some(format!("its file is not in the artifact: {}", places.join(", "))));
    };
    Ok(bytes_of(entry)?.is_empty().then(|| format!("{} is empty (0 bytes)", entry.name())))
}

/// Returns the file of a name, also behind links to folders.
fn find<'tree>(tree: &'tree Tree, name: &str) -> Option<Entry<'tree>> {
    let mut name = name.to_owned();
    // A tree has no circle of links, so that this ends.
    loop {
        if let Some(entry) = tree.iter().find(|entry| entry.name() == name) {
            return Some(entry);
        }
        name = tree.iter().find_map(|entry| {
            let below = name.strip_prefix(entry.name())?.strip_prefix('/')?;
            let folder = Path::new(entry.name()).parent()?.join(entry.link()?);
            Some(format!("{}/{below}", without_parents(&folder)))
        })?;
    }
}

/// Resolves each `..` in the target of a link, which leads to a folder of the tree.
fn without_parents(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.iter().filter_map(|part| part.to_str()) {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

fn bytes_of(entry: Entry<'_>) -> Result<Vec<u8>> {
    // Files of a build are on disk: only tests add bytes to a tree.
    let Some(path) = entry.path() else { return Ok(Vec::new()) };
    std::fs::read(path).map_err(|error| failure::io("read", path, error))
}

/// Returns whether a text has a name as a whole word.
fn mentions(text: &str, name: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(part)
            && !text[at + name.len()..].chars().next().is_some_and(part)
    })
}

//! Files that ask for packages beside a Python function, and that nothing reads: each is refused by its name.
//!
//! Passed over, its packages would be missing from the artifact, which shows only when the function is called.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Value;

use super::super::toml_file;
use crate::failure::{Failure, Result};

const UNDER_PROJECT: &str = "write its packages under [project] dependencies in pyproject.toml (Poetry reads that table as well), then cargo xtask lock";
const INTO_LIST: &str = "write its packages into requirements.in beside it, then cargo xtask lock";

/// Refuses a file in a function's folder that asks for packages and is not read.
///
/// `lock` is the lock that the settings name; `read` is the file whose requirements are read, and all files that were read
/// for them.
pub(super) fn refuse(
    folder: &Path,
    lock: Option<&str>,
    read: Option<(&str, &BTreeSet<PathBuf>)>,
) -> Result<()> {
    let exists = |name: &str| folder.join(name).is_file();
    let refused = |what: &str, hint: String| {
        // The folder's name is the function's.
        let function = folder.file_name().unwrap_or_default().display();
        Err(Failure::usage(format!("nothing reads {what} beside lambda-src/{function}/function.toml"))
            .unchanged("Nothing was built or locked.")
            .hint(hint))
    };
    let file = "requirements.txt";
    let is_read = lock == Some(file) || read.is_some_and(|(_, files)| files.contains(&folder.join(file)));
    if exists(file) && !is_read && asks_for_packages(&folder.join(file)) {
        return refused(
            file,
            match read {
                Some((other, _)) => format!("delete it, or move what it asks for into {other}"),
                None => "git mv requirements.txt requirements.in, then cargo xtask lock; or, if it pins every package with hashes, write lock = \"requirements.txt\" in function.toml"
                    .into(),
            },
        );
    }
    if exists("Pipfile") {
        return refused("Pipfile", INTO_LIST.into());
    }
    let project = folder.join("pyproject.toml");
    let of_project = read.is_some_and(|(file, _)| file == "pyproject.toml");
    if project.is_file()
        && !of_project
        && let Some(unread) = unread_in_project(&project)?
    {
        return refused(&format!("{unread} in pyproject.toml"), UNDER_PROJECT.into());
    }
    if exists("uv.lock") && !of_project && lock != Some("uv.lock") {
        return refused(
            "uv.lock",
            "it is exported where pyproject.toml beside it has [project] dependencies; else delete it".into(),
        );
    }
    if read.is_none() {
        // Tools that write these files read what they ask for from another one.
        for (file, hint) in
            [("poetry.lock", UNDER_PROJECT), ("pdm.lock", UNDER_PROJECT), ("Pipfile.lock", INTO_LIST)]
        {
            if exists(file) && lock != Some(file) {
                return refused(file, hint.into());
            }
        }
        for file in ["setup.cfg", "setup.py"] {
            let text = std::fs::read(folder.join(file)).unwrap_or_default();
            if memchr::memmem::find(&text, b"install_requires").is_some() {
                return refused(file, INTO_LIST.into());
            }
        }
    }
    Ok(())
}

/// Returns what asks for packages in a `pyproject.toml` without dependencies under `[project]`.
fn unread_in_project(path: &Path) -> Result<Option<&'static str>> {
    let table = toml_file::read(path)?;
    let poetry = table.get("tool").and_then(|tool| tool.get("poetry"));
    let poetry = poetry.and_then(|poetry| poetry.get("dependencies")).and_then(Value::as_table);
    if poetry.is_some_and(|list| list.keys().any(|name| name != "python")) {
        return Ok(Some("[tool.poetry.dependencies]"));
    }
    let dynamic = table.get("project").and_then(|project| project.get("dynamic"));
    let mut dynamic = dynamic.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    Ok(dynamic.any(|name| name == "dependencies").then_some("dynamic = [\"dependencies\"]"))
}

/// Returns whether a list has anything but comments; a list that cannot be read counts as one that does.
fn asks_for_packages(list: &Path) -> bool {
    let Ok(text) = std::fs::read(list) else { return true };
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'))
}

//! cargo's configuration and compiler, as far as they decide a binary's bytes.
//!
//! cargo reads `.cargo/config.toml` in the project's folder and in every folder above it, and in its own folder:
//! <https://doc.rust-lang.org/cargo/reference/config.html#hierarchical-structure>. A file inside the project is an input like
//! any other. Of a file outside it, which another machine does not have, the tables that decide bytes are inputs, by their
//! digest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::workspace::canonical;
use super::{INSTALL_RUST, build_program};
use crate::digest::Digest;
use crate::exec;
use crate::failure::Result;
use crate::settings::ProcessEnvironment;
use crate::source::toml_file;

/// Tables that decide where packages come from, how cargo talks and what people type, and no bytes. What `source` replaces is
/// found as a package whose files do not lie in cargo's folder.
const WITHOUT_EFFECT: [&str; 14] = [
    "alias",
    "cache",
    "cargo-new",
    "credential-alias",
    "doc",
    "future-incompat-report",
    "http",
    "include",
    "install",
    "net",
    "registries",
    "registry",
    "source",
    "term",
];

/// Where cargo's configuration comes from.
#[derive(Debug, Default)]
pub(super) struct CargoConfig {
    /// Files inside the project, absolute.
    pub(super) inside: Vec<PathBuf>,
    /// What decides bytes in files outside it: the file's path -> table -> digest.
    pub(super) outside: BTreeMap<PathBuf, BTreeMap<String, String>>,
}

impl CargoConfig {
    /// Reads the configuration files that apply in the project's folder.
    pub(super) fn read(root: &Path, process_env: &ProcessEnvironment) -> Result<Self> {
        let mut found = Self::default();
        let mut files: Vec<PathBuf> =
            root.ancestors().filter_map(|folder| config_in(&folder.join(".cargo"))).collect();
        files.extend(process_env.cargo_home().and_then(|home| config_in(&home)));
        while let Some(file) = files.pop() {
            if found.inside.contains(&file) || found.outside.contains_key(&file) {
                continue;
            }
            let table = toml_file::read(&file)?;
            files.extend(included(&file, &table));
            if file.starts_with(root) {
                found.inside.push(file);
            } else {
                let effective = table.iter().filter(|(name, _)| !WITHOUT_EFFECT.contains(&name.as_str()));
                // By digest: values under [env] may be secrets, and the record of a release's inputs is stored.
                let digests = effective
                    .map(|(name, value)| (name.clone(), Digest::of(canonical(value)).to_string()))
                    .collect();
                found.outside.insert(file, digests);
            }
        }
        Ok(found)
    }

    /// Returns what files outside the project add to the inputs, as text; nothing where they decide no bytes.
    pub(super) fn outside_text(&self) -> Option<String> {
        let mut lines: Vec<String> =
            self.outside.values().flatten().map(|(table, digest)| format!("[{table}] {digest}")).collect();
        lines.sort();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// Returns the configuration file of a folder: the older name wins, as cargo has it.
fn config_in(folder: &Path) -> Option<PathBuf> {
    ["config", "config.toml"].map(|name| folder.join(name)).into_iter().find(|file| file.is_file())
}

/// Lists the files that a configuration includes.
fn included(file: &Path, table: &Table) -> Vec<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let path = |value: &Value| match value {
        Value::String(path) => Some(folder.join(path)),
        Value::Table(table) => table.get("path").and_then(Value::as_str).map(|path| folder.join(path)),
        _ => None,
    };
    let files: Vec<PathBuf> = match table.get("include") {
        Some(Value::Array(list)) => list.iter().filter_map(path).collect(),
        Some(value) => path(value).into_iter().collect(),
        None => Vec::new(),
    };
    files.into_iter().filter(|file| file.is_file()).collect()
}

/// Returns the compiler's version: release, commit and LLVM. The machine that it runs on does not decide the bytes.
pub(super) fn compiler(root: &Path, process_env: &ProcessEnvironment) -> Result<String> {
    let program = build_program("rustc", root, process_env).arg("-vV").hint(INSTALL_RUST);
    let output = exec::output(&program, &[])?;
    let text = String::from_utf8_lossy(&output);
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.starts_with("host:") && !line.starts_with("binary:")).collect();
    Ok(lines.join("\n"))
}

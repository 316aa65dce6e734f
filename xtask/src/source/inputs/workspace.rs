//! The parts of the Cargo workspace that decide a Rust function's bytes.
//!
//! In: the root `Cargo.toml` and `Cargo.lock`, and the packages that a function is compiled from. Out: the parts of those two
//! files that affect it. Goes wrong: a broken manifest, no lock file, a function's folder that cargo treats as a crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::places::normalised;
use super::text_of;
use crate::failure::{Failure, Result};
use crate::source::toml_file;

/// The Cargo workspace at the project's root.
pub(super) struct Workspace {
    root: PathBuf,
    manifest: Table,
    lock: Table,
}

const DEPENDENCY_TABLES: [&str; 2] = ["dependencies", "build-dependencies"];

impl Workspace {
    /// Reads the workspace's manifest and lock file.
    pub(super) fn read(root: &Path) -> Result<Self> {
        Ok(Self {
            root: root.to_path_buf(),
            manifest: read_toml(&root.join("Cargo.toml"))?,
            lock: read_toml(&root.join("Cargo.lock"))?,
        })
    }

    /// Refuses a function's folder that cargo treats as a crate although it has no `Cargo.toml`: every cargo command would
    /// fail.
    pub(super) fn check_members<'a>(&self, folders: impl Iterator<Item = &'a Path>) -> Result<()> {
        let words = |name: &str| -> Vec<String> {
            let workspace = self.manifest.get("workspace");
            let list = workspace.and_then(|workspace| workspace.get(name)).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let (members, mut excluded) = (words("members"), words("exclude"));
        let missing: Vec<(String, String)> = folders
            .filter(|folder| !self.root.join(folder).join("Cargo.toml").is_file())
            .filter(|folder| !excluded.iter().any(|path| folder.starts_with(normalised(Path::new(path)))))
            .filter_map(|folder| {
                let folder = text_of(folder);
                let takes = |member: &&String| {
                    // As cargo reads it: a star matches one name.
                    let glob = globset::GlobBuilder::new(member).literal_separator(true).build();
                    glob.is_ok_and(|glob| glob.compile_matcher().is_match(&folder))
                };
                let member = members.iter().find(takes)?.clone();
                Some((folder, member))
            })
            .collect();
        let Some((folder, member)) = missing.first() else { return Ok(()) };
        let failure = Failure::usage(format!(
            "cargo treats `{folder}` as a crate because of members = [\"{member}\"] in Cargo.toml, but it has no Cargo.toml"
        ));
        excluded.extend(missing.iter().map(|(folder, _)| folder.clone()));
        let list: Vec<String> = excluded.iter().map(|path| format!("{path:?}")).collect();
        Err(failure.hint(format!("write in [workspace] of Cargo.toml: exclude = [{}]", list.join(", "))))
    }

    /// Returns the parts of the workspace's files that decide the bytes of a package. `folders` are those of the local
    /// packages, absolute; `resolved` are name, version and source of all.
    pub(super) fn parts(
        &self,
        folders: &[&Path],
        resolved: &BTreeSet<(String, String, String)>,
    ) -> Result<BTreeMap<String, String>> {
        let mut parts = BTreeMap::new();
        for name in ["profile", "patch", "replace", "cargo-features"] {
            if let Some(value) = self.manifest.get(name) {
                parts.insert(format!("Cargo.toml [{name}]"), canonical(value));
            }
        }
        let workspace = self.manifest.get("workspace").and_then(Value::as_table);
        for name in ["package", "resolver"] {
            if let Some(value) = workspace.and_then(|workspace| workspace.get(name)) {
                parts.insert(format!("Cargo.toml workspace.{name}"), canonical(value));
            }
        }
        for folder in folders {
            let manifest = read_toml(&folder.join("Cargo.toml"))?;
            for (name, dependency) in dependencies(&manifest) {
                if dependency.get("workspace").is_some()
                    && let Some(entry) = self.inherited(name)
                {
                    parts.insert(format!("Cargo.toml workspace.dependencies.{name}"), canonical(entry));
                }
            }
        }
        parts.insert("Cargo.lock".into(), self.locked(resolved));
        Ok(parts)
    }

    fn inherited(&self, name: &str) -> Option<&Value> {
        self.manifest.get("workspace")?.get("dependencies")?.get(name)
    }

    /// Lists packages with version, source and the checksum that `Cargo.lock` has for them.
    fn locked(&self, resolved: &BTreeSet<(String, String, String)>) -> String {
        let packages = self.lock.get("package").and_then(Value::as_array).into_iter().flatten();
        let field = |package: &Value, name: &str| {
            package.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let checksums: BTreeMap<(String, String, String), String> = packages
            .map(|package| {
                let key = (field(package, "name"), field(package, "version"), field(package, "source"));
                (key, field(package, "checksum"))
            })
            .collect();
        let lines = resolved.iter().map(|key| {
            let checksum = checksums.get(key).map(String::as_str).unwrap_or_default();
            format!("{} {} {} {checksum}", key.0, key.1, key.2)
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn dependencies(manifest: &Table) -> impl Iterator<Item = (&String, &Value)> {
    let own = DEPENDENCY_TABLES.iter().filter_map(|table| manifest.get(*table)?.as_table());
    let targets =
        manifest.get("target").and_then(Value::as_table).into_iter().flat_map(|targets| targets.values());
    let by_target = targets
        .flat_map(|target| DEPENDENCY_TABLES.iter().filter_map(move |table| target.get(*table)?.as_table()));
    own.chain(by_target).flatten()
}

/// Formats a TOML value with sorted keys, so that order and comments do not matter.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let sorted: BTreeMap<&String, String> =
                table.iter().map(|(name, value)| (name, canonical(value))).collect();
            format!(
                "{{{}}}",
                sorted.iter().map(|(name, value)| format!("{name:?}={value}")).collect::<Vec<_>>().join(",")
            )
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

fn read_toml(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let failure = crate::failure::io("read", path, error);
        if path.ends_with("Cargo.lock") { failure.hint("commit Cargo.lock: without it a release cannot be rebuilt (cargo generate-lockfile makes one)") } else { failure }
    })?;
    toml_file::parse(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_that_cargo_treats_as_a_crate_is_refused_with_the_line_to_write() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["lambda-src/hello", "lambda-src/ingest", "lambda-src/quote"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        std::fs::write(root.path().join("lambda-src/hello/Cargo.toml"), "").unwrap();
        let check = |workspace: &str| {
            let manifest = format!("[workspace]\n{workspace}").parse().unwrap();
            let workspace = Workspace { root: root.path().to_path_buf(), manifest, lock: Table::new() };
            let folders = ["lambda-src/hello", "lambda-src/ingest", "lambda-src/quote"];
            workspace.check_members(folders.iter().map(Path::new))
        };
        let failure =
            check("members = [\"xtask\", \"lambda-src/*\"]\nexclude = [\"lambda-src/quote\"]").unwrap_err();
        assert!(failure.message().starts_with("cargo treats `lambda-src/ingest` as a crate"), "{failure}");
        assert_eq!(
            failure.report().hint.as_deref(),
            Some(
                "write in [workspace] of Cargo.toml: exclude = [\"lambda-src/quote\", \"lambda-src/ingest\"]"
            )
        );
        check("members = [\"lambda-src/*\"]\nexclude = [\"lambda-src/ingest\", \"lambda-src/quote\"]")
            .unwrap();
        check("members = [\"lambda-src/hello\", \"*\"]").unwrap();
    }
}

//! The parts of the Cargo workspace that decide a Rust function's bytes.
//!
//! In: the root `Cargo.toml` and `Cargo.lock`. Out: the folders of the crates that a function depends on, and the parts of
//! those two files that affect it. Goes wrong: a broken manifest, no lock file, a path dependency outside the repository, a
//! function's folder that cargo treats as a crate.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Component, Path, PathBuf};

use toml::{Table, Value};

use super::text_of;
use crate::failure::{Failure, Result};

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

    /// Lists the folders of a crate's path dependencies, direct and indirect, relative to the project.
    pub(super) fn crates_of(&self, folder: &Path) -> Result<Vec<String>> {
        let mut found = BTreeSet::new();
        let mut queue = VecDeque::from([folder.to_path_buf()]);
        while let Some(folder) = queue.pop_front() {
            let manifest = read_toml(&self.root.join(&folder).join("Cargo.toml"))?;
            for (name, dependency) in dependencies(&manifest) {
                let inherited = dependency.get("workspace").and_then(Value::as_bool).unwrap_or(false);
                let (base, path) = if inherited {
                    (Path::new(""), self.inherited(name).and_then(|entry| entry.get("path")))
                } else {
                    (folder.as_path(), dependency.get("path"))
                };
                let Some(path) = path.and_then(Value::as_str) else {
                    continue;
                };
                let next = normalised(&base.join(path));
                if next.starts_with("..") || next.is_absolute() {
                    return Err(Failure::usage(format!("{}/Cargo.toml: the path dependency `{name}` is outside the repository: {path}", folder.display()))
                        .hint("a release belongs to a commit, which cannot contain that crate: move it into the repository or depend on a published version"));
                }
                if found.insert(text_of(&next)) {
                    queue.push_back(next);
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Returns the parts of the workspace's files that decide the bytes of a package.
    pub(super) fn parts(&self, folders: &[PathBuf], package: &str) -> Result<BTreeMap<String, String>> {
        let mut parts = BTreeMap::new();
        for (name, table) in
            [("profile", self.manifest.get("profile")), ("patch", self.manifest.get("patch"))]
        {
            if let Some(table) = table {
                parts.insert(format!("Cargo.toml [{name}]"), canonical(table));
            }
        }
        let workspace = self.manifest.get("workspace").and_then(Value::as_table);
        for name in ["package", "resolver"] {
            if let Some(value) = workspace.and_then(|workspace| workspace.get(name)) {
                parts.insert(format!("Cargo.toml workspace.{name}"), canonical(value));
            }
        }
        for folder in folders {
            let path = self.root.join(folder).join("Cargo.toml");
            if !path.is_file() {
                continue;
            }
            let manifest = read_toml(&path)?;
            for (name, dependency) in dependencies(&manifest) {
                if dependency.get("workspace").is_some()
                    && let Some(entry) = self.inherited(name)
                {
                    parts.insert(format!("Cargo.toml workspace.dependencies.{name}"), canonical(entry));
                }
            }
        }
        parts.insert("Cargo.lock".into(), self.locked(package)?);
        Ok(parts)
    }

    fn inherited(&self, name: &str) -> Option<&Value> {
        self.manifest.get("workspace")?.get("dependencies")?.get(name)
    }

    /// Lists the dependencies of a package in `Cargo.lock`, direct and indirect, with version, source and checksum.
    fn locked(&self, package: &str) -> Result<String> {
        let packages: Vec<&Table> = self
            .lock
            .get("package")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_table)
            .collect();
        let field = |table: &Table, name: &str| {
            table.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let mut by_name: BTreeMap<String, Vec<&Table>> = BTreeMap::new();
        for table in packages {
            by_name.entry(field(table, "name")).or_default().push(table);
        }
        if !by_name.contains_key(package) {
            return Err(Failure::usage(format!("Cargo.lock has no package `{package}`"))
                .hint("run cargo metadata to update the lock file, or name the package with [build] package in function.toml"));
        }
        let mut lines = BTreeSet::new();
        let mut queue = VecDeque::from([package.to_owned()]);
        let mut seen = BTreeSet::new();
        while let Some(wanted) = queue.pop_front() {
            if !seen.insert(wanted.clone()) {
                continue;
            }
            let mut words = wanted.split(' ');
            let (name, version) = (words.next().unwrap_or_default(), words.next());
            for table in by_name
                .get(name)
                .into_iter()
                .flatten()
                .filter(|table| version.is_none_or(|version| field(table, "version") == version))
            {
                let checksum = field(table, "checksum");
                lines.insert(format!(
                    "{name} {} {} {checksum}",
                    field(table, "version"),
                    field(table, "source")
                ));
                queue.extend(
                    table
                        .get("dependencies")
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten()
                        .filter_map(Value::as_str)
                        .map(str::to_owned),
                );
            }
        }
        Ok(lines.into_iter().collect::<Vec<_>>().join("\n"))
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
fn canonical(value: &Value) -> String {
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
    text.parse().map_err(|error: toml::de::Error| {
        Failure::usage(format!("{} cannot be read as TOML", path.display())).caused_by(error)
    })
}

fn normalised(path: &Path) -> PathBuf {
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

//! The inputs digest: everything that decides a function's bytes, and nothing else of the repository.
//!
//! For a Rust function: its folder, the workspace crates it depends on, its part of `Cargo.lock`, the workspace
//! dependencies it inherits, root `[profile]`, `[patch]` and `[workspace.package]`, `.cargo/config.toml`, the
//! toolchain file, the pinned build tools, and the `inputs` globs of its settings.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Component, Path, PathBuf};

use toml::{Table, Value};

use super::git::{FileContent, Repository};
use crate::failure::{Failure, Outcome};
use crate::name::{Digest, DigestBuilder, FunctionName};
use crate::settings::{BuildSettings, FunctionSettings, Project};

/// What enters a function's digest, kept apart so that two of them can be compared.
#[derive(Debug, Clone)]
pub(crate) struct Inputs {
    /// Project-relative folders and files that commits are matched against.
    pub(crate) paths: Vec<String>,
    /// Files: path -> content.
    pub(crate) files: BTreeMap<String, FileContent>,
    /// Everything that is a part of a file or comes from the tool: name -> text.
    pub(crate) parts: BTreeMap<String, String>,
    /// Whether any input differs from HEAD.
    pub(crate) dirty: bool,
}

/// What of Slipway itself decides the bytes: changing it changes every digest, deliberately.
pub(crate) fn recipe() -> String {
    format!(
        "recipe 1; {}; builder {}; zig {}",
        slipway_archive::compressor(),
        Digest::of(crate::tools::install::BUILDER_LOCK).short(),
        Digest::of(crate::tools::install::ZIG_LOCK).short()
    )
}

impl Inputs {
    /// Collects a function's inputs from the work tree.
    pub(super) fn collect(
        project: &Project,
        repository: &Repository,
        function: &FunctionName,
        settings: &FunctionSettings,
    ) -> Outcome<Self> {
        let mut paths = vec![text_of(&settings.folder)];
        let mut parts = BTreeMap::from([("recipe".to_owned(), recipe())]);
        // What is read in part: its change makes the tree dirty for this function only if that part changed, which
        // cannot be told without HEAD's version, so the digest alone decides there.
        match &settings.build {
            BuildSettings::Cargo { package, .. } => {
                let package = package.clone().unwrap_or_else(|| function.to_string());
                let workspace = Workspace::read(&project.root)?;
                paths.extend(workspace.crates_of(&settings.folder)?);
                for file in ["rust-toolchain.toml", "rust-toolchain", ".cargo/config.toml"] {
                    if project.root.join(file).is_file() {
                        paths.push(file.to_owned());
                    }
                }
                let folders: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
                parts.extend(workspace.parts(&folders, &package)?);
            }
        }
        paths.sort();
        paths.dedup();
        let mut tree = repository.work_tree(&paths)?;
        let globs = settings.build.inputs();
        if !globs.is_empty() {
            let matcher = matcher(function, globs)?;
            let whole = repository.work_tree(&[String::new()])?;
            tree.changed.extend(whole.changed.into_iter().filter(|path| matcher.is_match(path)));
            tree.files.extend(whole.files.into_iter().filter(|(path, _)| matcher.is_match(path)));
            paths.extend(tree.files.keys().filter(|path| matcher.is_match(path)).cloned());
            paths.sort();
            paths.dedup();
        }
        Ok(Self {
            dirty: !tree.changed.is_empty() || dirty_parts(repository, &parts)?,
            paths,
            files: tree.files,
            parts,
        })
    }

    /// Hashes the inputs.
    pub(crate) fn digest(&self) -> Digest {
        let mut digest = DigestBuilder::new("slipway.inputs/1");
        for (path, content) in &self.files {
            digest.part(path, format!("{} {}", content.blob, if content.executable { "x" } else { "-" }));
        }
        for (name, text) in &self.parts {
            digest.part(name, text);
        }
        digest.finish()
    }
}

/// A change to `Cargo.toml` or `Cargo.lock` that reaches this function makes it dirty.
fn dirty_parts(repository: &Repository, parts: &BTreeMap<String, String>) -> Outcome<bool> {
    if !parts.contains_key("Cargo.lock") {
        return Ok(false);
    }
    Ok(!repository.work_tree(&["Cargo.toml".into(), "Cargo.lock".into()])?.changed.is_empty())
}

fn matcher(function: &FunctionName, globs: &[String]) -> Outcome<globset::GlobSet> {
    let wrong = |error: globset::Error| {
        Failure::usage(format!(
            "lambda-src/{function}/function.toml: `inputs` holds a glob that cannot be read"
        ))
        .caused_by(error)
    };
    let mut set = globset::GlobSetBuilder::new();
    for glob in globs {
        set.add(globset::GlobBuilder::new(glob).literal_separator(true).build().map_err(wrong)?);
    }
    set.build().map_err(wrong)
}

/// The Cargo workspace at the project's root, as far as it decides bytes.
struct Workspace {
    root: PathBuf,
    manifest: Table,
    lock: Table,
}

const DEPENDENCY_TABLES: [&str; 2] = ["dependencies", "build-dependencies"];

impl Workspace {
    fn read(root: &Path) -> Outcome<Self> {
        Ok(Self {
            root: root.to_path_buf(),
            manifest: read_toml(&root.join("Cargo.toml"))?,
            lock: read_toml(&root.join("Cargo.lock"))?,
        })
    }

    /// Follows path dependencies from a crate's folder; returns the folders found, project-relative.
    fn crates_of(&self, folder: &Path) -> Outcome<Vec<String>> {
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
                    return Err(Failure::usage(format!("{}/Cargo.toml: the path dependency `{name}` lies outside the repository: {path}", folder.display()))
                        .hint("a release is named after a commit, which cannot hold that crate: move it into the repository or depend on a published version"));
                }
                if found.insert(text_of(&next)) {
                    queue.push_back(next);
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Returns the parts of the workspace's own files that decide the bytes of a package.
    fn parts(&self, folders: &[PathBuf], package: &str) -> Outcome<BTreeMap<String, String>> {
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

    /// Lists every package that a package reaches in `Cargo.lock`, with version, source and checksum.
    fn locked(&self, package: &str) -> Outcome<String> {
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
            return Err(Failure::usage(format!("Cargo.lock does not know the package `{package}`"))
                .hint("run cargo metadata once to bring the lock file up to date, or name the package with [build] package in function.toml"));
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
                // A workspace crate's own version is not part of the lock's say: its manifest is an input file.
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

/// Writes a TOML value with its keys sorted, so that order and comments do not matter.
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

fn read_toml(path: &Path) -> Outcome<Table> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let failure = crate::failure::io("read", path, error);
        if path.ends_with("Cargo.lock") { failure.hint("commit Cargo.lock: without it a release cannot be built again (cargo generate-lockfile makes one)") } else { failure }
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

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

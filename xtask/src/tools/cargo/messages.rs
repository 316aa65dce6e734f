//! cargo's messages: which units a binary was compiled from, and where the compiler's record of each lies.
//!
//! In: the lines that `cargo build --message-format json` prints. Out: [`CompiledUnit`]s, those that cargo found compiled
//! included. Goes wrong: a record is missing where cargo says that it compiled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::dep_info;
use crate::failure::{self, Failure, Result};

/// A unit of a build: a library, a binary, a build script, or the run of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CompiledUnit {
    /// cargo's id of the package.
    pub(crate) package: String,
    /// The package's folder.
    pub(crate) folder: PathBuf,
    /// Files that it was compiled from, or that its build script names; absolute.
    pub(crate) files: Vec<PathBuf>,
    /// Variables that were compiled in, with their values.
    pub(crate) variables: BTreeMap<String, Option<String>>,
    /// Variables that its build script names.
    pub(crate) watched_variables: Vec<String>,
    /// Whether it is the run of a build script that names no file: a change anywhere in the package has it run again.
    pub(crate) watches_package: bool,
}

/// The messages of one build.
#[derive(Debug, Default)]
pub(super) struct Messages {
    artifacts: Vec<Artifact>,
    scripts: Vec<Script>,
}

#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact(Artifact),
    BuildScriptExecuted(Script),
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Artifact {
    package_id: String,
    manifest_path: PathBuf,
    target: Target,
    filenames: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Script {
    package_id: String,
    out_dir: PathBuf,
}

impl Messages {
    /// Takes a line; returns whether it was a message.
    pub(super) fn read(&mut self, line: &str) -> bool {
        if !line.starts_with('{') {
            return false;
        }
        match serde_json::from_str(line) {
            Ok(Message::CompilerArtifact(artifact)) => self.artifacts.push(artifact),
            Ok(Message::BuildScriptExecuted(script)) => self.scripts.push(script),
            Ok(Message::Other) => {}
            Err(_) => return false,
        }
        true
    }

    /// Reads the compiler's records of all units. `root` is the folder that cargo ran in, `binary` where the builder moved the
    /// binary that it made.
    pub(super) fn units(&self, root: &Path, binary: &Path) -> Result<Vec<CompiledUnit>> {
        let folders: BTreeMap<&str, &Path> = self
            .artifacts
            .iter()
            .filter_map(|artifact| Some((artifact.package_id.as_str(), artifact.manifest_path.parent()?)))
            .collect();
        let mut units = Vec::new();
        for artifact in &self.artifacts {
            let folder = artifact.manifest_path.parent().unwrap_or(root);
            let mut unit = CompiledUnit::new(&artifact.package_id, folder);
            let records = artifact.records(binary)?;
            if records.is_empty() {
                return Err(Failure::failed(format!(
                    "cargo compiled {} of {} and left no record of what it read",
                    artifact.target.name, artifact.package_id
                ))
                .unchanged("Nothing was published.")
                .hint("remove target/slipway/cargo and run the same command again"));
            }
            for record in records {
                let text =
                    std::fs::read_to_string(&record).map_err(|error| failure::io("read", &record, error))?;
                let read = dep_info::parse(&text);
                // rustc ran in the workspace's folder for its members, in the package's own for all others.
                let absolute = |file: PathBuf| {
                    let in_root = root.join(&file);
                    if in_root.exists() { in_root } else { folder.join(file) }
                };
                unit.files.extend(read.files.into_iter().map(absolute));
                unit.variables.extend(read.variables);
            }
            units.push(unit);
        }
        for script in &self.scripts {
            let Some(folder) = folders.get(script.package_id.as_str()) else { continue };
            units.push(script.unit(folder)?);
        }
        Ok(units)
    }
}

impl CompiledUnit {
    fn new(package: &str, folder: &Path) -> Self {
        Self {
            package: package.to_owned(),
            folder: folder.to_path_buf(),
            files: Vec::new(),
            variables: BTreeMap::new(),
            watched_variables: Vec::new(),
            watches_package: false,
        }
    }
}

impl Artifact {
    /// Lists the compiler's records of this unit.
    fn records(&self, binary: &Path) -> Result<Vec<PathBuf>> {
        let Some(file) = self.filenames.first() else { return Ok(Vec::new()) };
        let folder = file.parent().unwrap_or(Path::new("/"));
        if self.target.kind.iter().any(|kind| kind == "custom-build") {
            // `build/<package>-<hash>/` holds nothing but one build script.
            return dep_files(folder, &|_| true);
        }
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if folder.ends_with("deps") {
            // `deps/lib<name>-<hash>.rlib` and `deps/<name>-<hash>.d`: asked for by its name, as the folder has those of all.
            let record = folder.join(format!("{}.d", stem.strip_prefix("lib").unwrap_or(&stem)));
            return Ok(Some(record).filter(|record| record.exists()).into_iter().collect());
        }
        // A binary lies above `deps`, as a second name of `deps/<name>-<hash>`.
        let deps = folder.join("deps");
        let prefix = format!("{}-", self.target.name.replace('-', "_"));
        let same_file = |path: &Path| {
            let compiled = path.with_extension("");
            let named = path.file_name().is_some_and(|name| {
                let name = name.to_string_lossy().replace('-', "_");
                name.starts_with(&prefix.replace('-', "_"))
            });
            named && is_same(&compiled, if file.exists() { file } else { binary })
        };
        dep_files(&deps, &same_file)
    }
}

/// Lists the `.d` files of a folder that a condition selects.
fn dep_files(folder: &Path, select: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let entries = folder.read_dir().map_err(|error| failure::io("read", folder, error))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "d") && select(path))
        .collect())
}

/// Returns whether two names are one file, or files of the same bytes.
fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(a), Ok(b)) = (one.metadata(), other.metadata()) else { return false };
    if (a.dev(), a.ino()) == (b.dev(), b.ino()) {
        return true;
    }
    a.len() == b.len()
        && std::fs::read(one).ok().is_some_and(|bytes| std::fs::read(other).ok() == Some(bytes))
}

impl Script {
    /// Reads what a build script printed: <https://doc.rust-lang.org/cargo/reference/build-scripts.html>.
    fn unit(&self, folder: &Path) -> Result<CompiledUnit> {
        let mut unit = CompiledUnit::new(&self.package_id, folder);
        unit.watches_package = true;
        let output = self.out_dir.with_file_name("output");
        let text = std::fs::read(&output).map_err(|error| failure::io("read", &output, error))?;
        for line in String::from_utf8_lossy(&text).lines() {
            let Some(directive) = line.strip_prefix("cargo::").or_else(|| line.strip_prefix("cargo:")) else {
                continue;
            };
            match directive.split_once('=') {
                Some(("rerun-if-changed", path)) => {
                    unit.watches_package = false;
                    // A file that does not exist was not read.
                    unit.files.extend(Some(folder.join(path)).filter(|path| path.exists()));
                }
                Some(("rerun-if-env-changed", name)) => unit.watched_variables.push(name.to_owned()),
                _ => {}
            }
        }
        Ok(unit)
    }
}

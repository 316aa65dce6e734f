//! The inputs digest: everything that decides a function's bytes, and nothing else in the repository.
//!
//! For a Rust function: its folder, the workspace crates it depends on, its part of `Cargo.lock`, the workspace
//! dependencies it inherits, root `[profile]`, `[patch]` and `[workspace.package]`, `.cargo/config.toml`, the
//! toolchain file, the pinned build tools, and the `inputs` globs of its settings. For a Python function: its folder,
//! the lock's content, runtime, architecture, uv's pin and those globs. For a function that a command builds: its folder
//! without the output, and those globs; the command is part of function.toml. Files that git ignores are not inputs.

mod workspace;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::workspace::Workspace;
use super::git::{FileContent, Repository};
use super::requirements::{PythonLock, PythonRequirements};
use crate::digest::{Digest, DigestBuilder};
use crate::failure::{Failure, Result};
use crate::name::FunctionName;
use crate::settings::{BuildSettings, FunctionSettings, Project};

/// The inputs behind a function's digest, each by itself so that two sets can be compared.
#[derive(Debug, Clone)]
pub(crate) struct SourceInputs {
    /// Project-relative folders and files; commits that change them are the function's.
    pub(crate) paths: Vec<String>,
    /// Files: path -> content.
    pub(crate) files: BTreeMap<String, FileContent>,
    /// Parts of files, and what comes from Slipway itself: name -> text.
    pub(crate) parts: BTreeMap<String, String>,
    /// Whether any input differs from HEAD.
    pub(crate) dirty: bool,
}

/// Returns what of Slipway itself decides the bytes of functions that are built this way. A change of it changes the digest
/// of all such functions, deliberately, and of no other.
pub(crate) fn recipe(build: &BuildSettings) -> String {
    let compressor = slipway_archive::compressor();
    let pin = |lock: &str| Digest::of(lock).short();
    match build {
        BuildSettings::Cargo { .. } => format!(
            "recipe 1; {compressor}; builder {}; zig {}",
            pin(crate::pins::RUST_BUILDER_LOCK),
            pin(crate::pins::ZIG_LOCK)
        ),
        BuildSettings::Python { .. } => {
            format!("recipe 1; {compressor}; uv {}", pin(crate::pins::UV_LOCK))
        }
        BuildSettings::Command { .. } => format!("recipe 1; {compressor}"),
    }
}

impl SourceInputs {
    /// Collects a function's inputs from the work tree.
    pub(super) fn collect(
        project: &Project,
        repository: &Repository,
        function: &FunctionName,
        settings: &FunctionSettings,
    ) -> Result<Self> {
        let mut paths = vec![text_of(&settings.folder)];
        let mut parts = BTreeMap::from([("recipe".to_owned(), recipe(&settings.build))]);
        // Of files that are read in part, only the digest of that part counts: whether the part differs from HEAD is not
        // known without HEAD's version of the file.
        match &settings.build {
            BuildSettings::Cargo { package, .. } => {
                let package = package.clone().unwrap_or_else(|| function.to_string());
                let workspace = Workspace::read(&project.root)?;
                workspace
                    .check_members(project.functions.values().map(|settings| settings.folder.as_path()))?;
                paths.extend(workspace.crates_of(&settings.folder)?);
                for file in ["rust-toolchain.toml", "rust-toolchain", ".cargo/config.toml"] {
                    if project.root.join(file).is_file() {
                        paths.push(file.to_owned());
                    }
                }
                let folders: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
                parts.extend(workspace.parts(&folders, &package)?);
            }
            BuildSettings::Python { lock, .. } => {
                paths.extend(settings.build.source_paths(&settings.folder));
                let folder = project.root.join(&settings.folder);
                let requirements = PythonRequirements::read(&folder, &settings.runtime, lock.as_deref())?;
                if let Some(lock) = PythonLock::read(&folder, lock.as_deref())? {
                    lock.check(function, requirements.as_ref())?;
                    parts.insert("lock".into(), Digest::of(&lock.text).to_string());
                } else if let Some(requirements) = requirements {
                    return Err(requirements.missing_lock(function));
                }
                parts.insert("runtime".into(), settings.runtime.to_string());
                parts.insert("architecture".into(), settings.architecture.to_string());
            }
            BuildSettings::Command { .. } => {}
        }
        paths.sort();
        paths.dedup();
        let mut tree = repository.work_tree(&paths)?;
        if let BuildSettings::Command { output, .. } = &settings.build {
            let output = settings.folder.join(output);
            tree.files.retain(|path, _| !Path::new(path).starts_with(&output));
            tree.changed.retain(|path| !Path::new(path).starts_with(&output));
        }
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

/// Returns whether `Cargo.toml` or `Cargo.lock` differ from HEAD, for functions that they decide.
fn dirty_parts(repository: &Repository, parts: &BTreeMap<String, String>) -> Result<bool> {
    if !parts.contains_key("Cargo.lock") {
        return Ok(false);
    }
    Ok(!repository.work_tree(&["Cargo.toml".into(), "Cargo.lock".into()])?.changed.is_empty())
}

fn matcher(function: &FunctionName, globs: &[String]) -> Result<globset::GlobSet> {
    let wrong = |error: globset::Error| {
        Failure::usage(format!("lambda-src/{function}/function.toml: `inputs` has an invalid glob"))
            .caused_by(error)
    };
    let mut set = globset::GlobSetBuilder::new();
    for glob in globs {
        set.add(globset::GlobBuilder::new(glob).literal_separator(true).build().map_err(wrong)?);
    }
    set.build().map_err(wrong)
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

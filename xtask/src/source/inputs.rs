//! The inputs digest: everything that decides a function's bytes, and nothing else in the repository.
//!
//! For a Rust function: the folders of all packages that cargo compiles for it and that no registry keeps, its part of
//! `Cargo.lock`, the workspace dependencies it inherits, what the root manifest says for all packages, cargo's configuration,
//! the compiler, the pinned build tools. For a Python function: its sources and settings, the lock's content, runtime,
//! architecture, uv's pin. For a function that a command builds: its folder without the output; the command is part of
//! function.toml, and what its `tools` print is an input. For each: the `inputs` globs and the variables that `env` names.
//! Files that git ignores are not inputs. docs/what-is-hashed.md has the list.

mod cargo_config;
mod cargo_metadata;
mod places;
mod readings;
mod workspace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::cargo_metadata::Wanted;
pub(crate) use self::places::Places;
pub(crate) use self::readings::SharedReadings;
use super::git::{FileContent, Repository, WorkTree};
use super::requirements::{PythonLock, PythonRequirements};
use crate::digest::{Digest, DigestBuilder};
use crate::exec::{self, Program};
use crate::failure::{Failure, Result};
use crate::name::FunctionName;
use crate::settings::{BuildSettings, FunctionSettings, PackageType, ProcessEnvironment, Project};

/// What to do where cargo or the compiler is missing.
const INSTALL_RUST: &str = "install Rust from https://rustup.rs";

/// The inputs behind a function's digest, each by itself so that two sets can be compared.
#[derive(Debug, Clone)]
pub(crate) struct SourceInputs {
    /// Project-relative folders and files; commits that change them are the function's.
    pub(crate) paths: Vec<String>,
    /// Files: path -> content.
    pub(crate) files: BTreeMap<String, FileContent>,
    /// Parts of files, variables, and what comes from tools and from Slipway itself: name -> text.
    pub(crate) parts: BTreeMap<String, String>,
    /// The inputs that differ from HEAD, with what hides the change from `git status`.
    pub(crate) changed: Vec<String>,
    /// Why each file is an input.
    places: Places,
}

/// Returns what of Slipway itself decides the bytes of functions that are built this way. A change of it changes the digest
/// of all such functions, deliberately, and of no other.
fn recipe(settings: &FunctionSettings) -> String {
    let compressor = match settings.package {
        PackageType::Zip => slipway_archive::compressor(),
        PackageType::Image => slipway_archive::layer_compressor(),
    };
    let pin = |lock: &str| Digest::of(lock).short();
    match &settings.build {
        BuildSettings::Cargo { .. } => format!(
            "recipe 2; {compressor}; builder {}; zig {}",
            pin(crate::pins::RUST_BUILDER_LOCK),
            pin(crate::pins::ZIG_LOCK)
        ),
        BuildSettings::Python { .. } => {
            format!("recipe 1; {compressor}; uv {}", pin(crate::pins::UV_LOCK))
        }
        BuildSettings::Command { .. } => format!("recipe 2; {compressor}"),
    }
}

impl SourceInputs {
    /// Collects a function's inputs from the work tree.
    pub(super) fn collect(
        project: &Project,
        process_env: &ProcessEnvironment,
        repository: &Repository,
        function: &FunctionName,
        readings: &SharedReadings,
    ) -> Result<Self> {
        let settings = project.function(function)?;
        let mut places = Places::default();
        places.add(text_of(&settings.folder), format!("the folder of `{function}`"));
        let mut parts = BTreeMap::from([("recipe".to_owned(), recipe(settings))]);
        for name in settings.build.env() {
            let value = process_env
                .get(name)
                .map_or_else(|| "not set".to_owned(), |value| Digest::of(value).to_string());
            parts.insert(format!("variable {name}"), value);
        }
        match &settings.build {
            BuildSettings::Cargo { package, binary, features, .. } => {
                let package = package.as_deref().unwrap_or(function.as_str());
                let wanted = Wanted { package, binary: binary.as_deref().unwrap_or(package), features };
                add_cargo(project, process_env, wanted, readings, &mut places, &mut parts)?;
            }
            BuildSettings::Python { lock, .. } => {
                add_python(project, function, settings, lock.as_deref(), &mut places, &mut parts)?;
            }
            BuildSettings::Command { tools, .. } => {
                for line in tools {
                    let version =
                        readings.tool(line, || tool_version(project, process_env, function, line))?;
                    parts.insert(format!("tool {line}"), version);
                }
            }
        }
        let output = match &settings.build {
            BuildSettings::Command { output, .. } => Some(settings.folder.join(output)),
            _ => None,
        };
        let keep = |path: &str| output.as_ref().is_none_or(|output| !Path::new(path).starts_with(output));
        let mut tree = places::read(&project.root, repository, &mut places, &keep)?;
        if !settings.build.inputs().is_empty() {
            add_globs(&mut tree, repository, function, settings, &mut places)?;
            // Once more, for links among what the globs name.
            tree = places::read(&project.root, repository, &mut places, &keep)?;
        }
        if matches!(settings.build, BuildSettings::Python { .. }) {
            // They are packed as they are: the preflight of the artifact finds them.
            tree.lfs_pointers.clear();
        }
        tree.refuse_unknown_content(&format!("`{function}` is built from it"))?;
        if parts.contains_key("Cargo.lock") {
            let shared = repository.work_tree(&["Cargo.toml".into(), "Cargo.lock".into()])?;
            // Of files that are read in part, only that part counts: whether it differs from HEAD is not known without
            // HEAD's version of the file.
            tree.changed.extend(shared.changed);
            tree.hidden.extend(shared.hidden);
        }
        let described = |path: &String| match tree.hidden.get(path) {
            Some(hidden) => format!("{path} (git status does not show it: {} {path})", hidden.remedy()),
            None => path.clone(),
        };
        Ok(Self {
            paths: places.paths(),
            changed: tree.changed.iter().map(described).collect(),
            files: tree.files,
            parts,
            places,
        })
    }

    /// Hashes the inputs.
    pub(crate) fn digest(&self) -> Digest {
        let mut digest = DigestBuilder::new("slipway.inputs/2");
        for (path, content) in &self.files {
            digest.part(path, content.to_text());
        }
        for (name, text) in &self.parts {
            digest.part(name, text);
        }
        digest.finish()
    }

    /// Lists how other inputs differ from these: `~`, `-` or `+` with a file's path, or a part's name and line.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let texts = |inputs: &Self| {
            inputs.files.iter().map(|(path, content)| (path.clone(), content.to_text())).collect()
        };
        differences((&texts(self), &self.parts), (&texts(other), &other.parts))
    }

    /// Returns why a file is an input; nothing where it is none.
    pub(crate) fn reason(&self, path: &str) -> Option<&str> {
        self.files.contains_key(path).then(|| self.places.reason(path)).flatten()
    }

    /// Returns how many inputs there are.
    pub(crate) fn count(&self) -> usize {
        self.files.len() + self.parts.len()
    }
}

/// Lists how two sets of inputs, files and parts, differ: `~`, `-` or `+` with a file's path, or a part's name and line.
pub(crate) fn differences(
    (files, parts): (&BTreeMap<String, String>, &BTreeMap<String, String>),
    (other_files, other_parts): (&BTreeMap<String, String>, &BTreeMap<String, String>),
) -> Vec<String> {
    let mut lines = Vec::new();
    let names = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| -> BTreeSet<String> {
        a.keys().chain(b.keys()).cloned().collect()
    };
    for path in names(files, other_files) {
        match (files.get(&path), other_files.get(&path)) {
            (None, Some(_)) => lines.push(format!("+ {path}")),
            (Some(_), None) => lines.push(format!("- {path}")),
            (a, b) if a != b => lines.push(format!("~ {path}")),
            _ => {}
        }
    }
    for name in names(parts, other_parts) {
        let part = |parts: &BTreeMap<String, String>| -> BTreeSet<String> {
            let text = parts.get(&name);
            text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
        };
        let (a, b) = (part(parts), part(other_parts));
        lines.extend(a.difference(&b).map(|line| format!("- {name}: {line}")));
        lines.extend(b.difference(&a).map(|line| format!("+ {name}: {line}")));
    }
    lines
}

/// Adds what a Rust function is compiled from, and with what.
fn add_cargo(
    project: &Project,
    process_env: &ProcessEnvironment,
    wanted: Wanted<'_>,
    readings: &SharedReadings,
    places: &mut Places,
    parts: &mut BTreeMap<String, String>,
) -> Result<()> {
    let root = &project.root;
    let workspace = readings.workspace(root)?;
    workspace.check_members(project.functions.values().map(|settings| settings.folder.as_path()))?;
    let package = readings.package(root, process_env, wanted)?;
    let canonical = root.canonicalize().unwrap_or_else(|_| root.clone());
    let relative = |path: &Path| -> Option<String> {
        let path = places::normalised(path);
        let inside = path.strip_prefix(root).or_else(|_| path.strip_prefix(&canonical));
        inside.ok().map(text_of)
    };
    for local in &package.local {
        let name = &local.name;
        let reason = if name == wanted.package {
            format!("the package `{name}`")
        } else {
            format!("the package `{name}`, which `{}` is compiled with", wanted.package)
        };
        let Some(folder) = relative(&local.folder) else {
            return Err(Failure::usage(format!("the package `{name}` is outside the project"))
                .detail("folder", local.folder.display().to_string())
                .unchanged("Nothing was built.")
                .hint("a release belongs to a commit, which cannot contain that package: move it into the repository or depend on a published version"));
        };
        if folder.is_empty() {
            // The package of the whole project: the other files of the project are not its sources.
            for file in ["Cargo.toml", "build.rs", "src"] {
                places.add(file, &*reason);
            }
        } else {
            places.add(folder.clone(), &*reason);
        }
        for source in &local.sources {
            let file = relative(source).unwrap_or_default();
            if !folder.is_empty() && Path::new(&file).starts_with(&folder) {
                continue;
            }
            // Its modules lie beside it.
            let beside = Path::new(&file).parent().map(text_of).unwrap_or_default();
            places.add(if beside.is_empty() { file } else { beside }, &*reason);
        }
    }
    for file in ["rust-toolchain.toml", "rust-toolchain"] {
        if root.join(file).is_file() {
            places.add(file, "it chooses the Rust toolchain");
        }
    }
    let config = readings.config(root, process_env)?;
    for file in &config.inside {
        places.add(relative(file).unwrap_or_default(), "cargo's configuration");
    }
    if let Some(text) = config.outside_text() {
        parts.insert("cargo configuration outside the project".into(), text);
    }
    parts.insert("rustc".into(), readings.compiler(root, process_env)?.to_owned());
    let folders: Vec<&Path> = package.local.iter().map(|local| local.folder.as_path()).collect();
    parts.extend(workspace.parts(&folders, &package.resolved)?);
    Ok(())
}

/// Adds a Python function's sources and lock, and what its packages are chosen for.
fn add_python(
    project: &Project,
    function: &FunctionName,
    settings: &FunctionSettings,
    lock: Option<&str>,
    places: &mut Places,
    parts: &mut BTreeMap<String, String>,
) -> Result<()> {
    for path in settings.build.source_paths(&settings.folder) {
        places.add(path, format!("`sources` in lambda-src/{function}/function.toml names it"));
    }
    let folder = project.root.join(&settings.folder);
    let requirements = PythonRequirements::read(&folder, &settings.runtime, lock)?;
    if let Some(lock) = PythonLock::read(&folder, lock)? {
        lock.check(function, requirements.as_ref())?;
        parts.insert("lock".into(), Digest::of(&lock.text).to_string());
    } else if let Some(requirements) = requirements {
        return Err(requirements.missing_lock(function));
    }
    parts.insert("runtime".into(), settings.runtime.to_string());
    parts.insert("architecture".into(), settings.architecture.to_string());
    Ok(())
}

/// Adds the files that the `inputs` globs name.
fn add_globs(
    tree: &mut WorkTree,
    repository: &Repository,
    function: &FunctionName,
    settings: &FunctionSettings,
    places: &mut Places,
) -> Result<()> {
    let globs = settings.build.inputs();
    let matcher = matcher(function, globs)?;
    let whole = repository.work_tree_where(&[String::new()], &|path| matcher.is_match(path))?;
    let deleted =
        whole.changed.iter().filter(|path| !whole.files.contains_key(*path) && matcher.is_match(path));
    for path in whole.files.keys().chain(deleted) {
        places.add(path.clone(), format!("`inputs` in lambda-src/{function}/function.toml names it"));
    }
    tree.missing_submodules.extend(whole.missing_submodules);
    Ok(())
}

/// Returns what a command prints about the version of a tool.
fn tool_version(
    project: &Project,
    process_env: &ProcessEnvironment,
    function: &FunctionName,
    line: &str,
) -> Result<String> {
    let words = shlex::split(line).filter(|words| !words.is_empty()).ok_or_else(|| {
        Failure::usage(format!(
            "lambda-src/{function}/function.toml: `tools` has a command line that cannot be split: {line}"
        ))
    })?;
    let program = build_program(&words[0], &project.root, process_env).args(&words[1..]);
    let output = exec::output(&program, &[])?;
    Ok(String::from_utf8_lossy(&output).trim().to_owned())
}

/// Returns the command line of a program that runs in the project's folder with the variables of builds alone.
fn build_program(name: &str, root: &Path, process_env: &ProcessEnvironment) -> Program {
    let program = Program::new(name, root).clean_env();
    process_env.for_builds(&[]).into_iter().fold(program, |program, (name, value)| program.env(name, value))
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

//! What cargo says about a function's package: the packages that it is compiled from, and where their files lie.
//!
//! In: the project's folder and the function's settings. Out: [`CargoPackage`]. Cargo resolves the dependencies, so path
//! dependencies, `[patch]`, `[replace]`, `paths`, vendored sources and inherited dependencies are those that it will compile.
//! Goes wrong: cargo is missing, a manifest is broken, `Cargo.lock` is missing or out of date, the package or binary does not
//! exist.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{INSTALL_RUST, build_program};
use crate::exec;
use crate::failure::{Failure, Result};
use crate::name::nearest;
use crate::settings::ProcessEnvironment;

/// A package, and all that it is compiled from.
#[derive(Debug)]
pub(super) struct CargoPackage {
    /// Packages whose files can change: all that do not come from a registry or a git repository.
    pub(super) local: Vec<LocalPackage>,
    /// Every package: `name version source`, sorted.
    pub(super) resolved: BTreeSet<(String, String, String)>,
}

/// A package whose files are on this machine only because somebody put them there.
#[derive(Debug)]
pub(super) struct LocalPackage {
    /// Its name.
    pub(super) name: String,
    /// Its folder.
    pub(super) folder: PathBuf,
    /// The source files of its targets; they may lie outside its folder.
    pub(super) sources: Vec<PathBuf>,
}

/// A package's binary.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The package.
    pub(super) package: &'a str,
    /// The binary.
    pub(super) binary: &'a str,
    /// The features to build with.
    pub(super) features: &'a [String],
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    #[serde(default)]
    metadata: serde_json::Value,
    resolve: Option<Resolve>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    source: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    #[serde(default)]
    features: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    metadata: serde_json::Value,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
    #[serde(default, rename = "required-features")]
    required_features: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// What cargo says about the whole workspace.
pub(super) struct CargoMetadata {
    metadata: Metadata,
    /// The folders that cargo downloads packages to.
    downloads: Vec<PathBuf>,
}

impl CargoMetadata {
    /// Asks cargo.
    pub(super) fn read(root: &Path, process_env: &ProcessEnvironment) -> Result<Self> {
        let text = metadata(root, process_env)?;
        let metadata: Metadata = serde_json::from_slice(&text)
            .map_err(|error| Failure::failed("what cargo metadata prints cannot be read").caused_by(error))?;
        Ok(Self { metadata, downloads: downloads(process_env) })
    }

    /// Returns a package of the workspace.
    pub(super) fn package(&self, wanted: Wanted<'_>) -> Result<CargoPackage> {
        CargoPackage::of(&self.metadata, wanted, &self.downloads)
    }
}

impl CargoPackage {
    fn of(metadata: &Metadata, wanted: Wanted<'_>, downloads: &[PathBuf]) -> Result<Self> {
        let members: Vec<&Package> = metadata
            .packages
            .iter()
            .filter(|package| metadata.workspace_members.contains(&package.id))
            .collect();
        let Some(package) = members.iter().find(|package| package.name == wanted.package) else {
            let names = members.iter().map(|package| package.name.as_str());
            return Err(Failure::usage(format!("the workspace has no package `{}`", wanted.package))
                .detail("packages", nearest(wanted.package, names, 5).join(", "))
                .unchanged("Nothing was built.")
                .hint("name it with package = \"…\" under [build] in function.toml"));
        };
        check(package, wanted)?;
        check_cargo_lambda_settings(metadata, package, wanted)?;
        let by_id: BTreeMap<&str, &Package> =
            metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
        let nodes: BTreeMap<&str, &Node> = metadata
            .resolve
            .iter()
            .flat_map(|resolve| &resolve.nodes)
            .map(|node| (node.id.as_str(), node))
            .collect();
        let (mut seen, mut queue) = (BTreeSet::new(), VecDeque::from([package.id.as_str()]));
        let mut found = Self { local: Vec::new(), resolved: BTreeSet::new() };
        while let Some(id) = queue.pop_front() {
            if !seen.insert(id) {
                continue;
            }
            let Some(package) = by_id.get(id) else { continue };
            let source = package.source.clone().unwrap_or_default();
            found.resolved.insert((package.name.clone(), package.version.clone(), source));
            let folder = package.manifest_path.parent().unwrap_or(Path::new("/")).to_path_buf();
            // A vendored or replaced package names a registry as its source; its files lie elsewhere.
            if package.source.is_none() || !downloads.iter().any(|place| folder.starts_with(place)) {
                found.local.push(LocalPackage {
                    name: package.name.clone(),
                    sources: sources(package),
                    folder,
                });
            }
            let node = nodes.get(id).into_iter().flat_map(|node| &node.deps);
            // What only tests and examples need is not compiled.
            let compiled = node.filter(|dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"))
            });
            queue.extend(compiled.map(|dependency| dependency.pkg.as_str()));
        }
        Ok(found)
    }
}

/// Lists the source files of what is compiled: libraries, binaries, procedural macros, build scripts.
fn sources(package: &Package) -> Vec<PathBuf> {
    let unbuilt = ["test", "bench", "example"];
    let compiled = package
        .targets
        .iter()
        .filter(|target| !target.kind.iter().any(|kind| unbuilt.contains(&kind.as_str())));
    compiled.map(|target| target.src_path.clone()).collect()
}

/// Refuses a binary or a feature that the package does not have.
fn check(package: &Package, wanted: Wanted<'_>) -> Result<()> {
    let binaries = || package.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "bin"));
    let refused = |message: String| Failure::usage(message).unchanged("Nothing was built.");
    let Some(binary) = binaries().find(|target| target.name == wanted.binary) else {
        let names: Vec<&str> = binaries().map(|target| target.name.as_str()).collect();
        return Err(refused(format!("the package `{}` has no binary `{}`", package.name, wanted.binary))
            .detail("binaries", if names.is_empty() { "none".to_owned() } else { names.join(", ") })
            .hint("name it with binary = \"…\" under [build] in function.toml"));
    };
    if let Some(unknown) = wanted
        .features
        .iter()
        .find(|name| !name.contains('/') && !package.features.contains_key(name.as_str()))
    {
        let names: Vec<&str> = package.features.keys().map(String::as_str).collect();
        return Err(refused(format!("the package `{}` has no feature `{unknown}`", package.name))
            .detail("features", names.join(", ")));
    }
    let enabled = enabled_features(package, wanted.features);
    let missing: Vec<&str> = binary
        .required_features
        .iter()
        .map(String::as_str)
        .filter(|name| !name.contains('/') && !enabled.contains(*name))
        .collect();
    if !missing.is_empty() {
        let list: Vec<String> = wanted
            .features
            .iter()
            .map(String::as_str)
            .chain(missing.iter().copied())
            .map(|name| format!("{name:?}"))
            .collect();
        return Err(refused(format!(
            "the binary `{}` of `{}` requires the features {}",
            binary.name,
            package.name,
            missing.join(", ")
        ))
        .hint(format!("write under [build] in function.toml: features = [{}]", list.join(", "))));
    }
    Ok(())
}

/// Lists the features that are on: the default ones, the requested ones, and those that they turn on.
fn enabled_features<'a>(package: &'a Package, requested: &'a [String]) -> BTreeSet<&'a str> {
    let mut enabled = BTreeSet::new();
    let mut queue: Vec<&str> = requested.iter().map(String::as_str).chain(["default"]).collect();
    while let Some(name) = queue.pop() {
        if let Some(further) = package.features.get(name)
            && enabled.insert(name)
        {
            queue.extend(further.iter().map(String::as_str));
        }
    }
    enabled
}

/// Refuses settings of cargo-lambda that decide what is in the zip: Slipway does not read them. They may be those of the package,
/// of one of its binaries, or of the workspace: <https://www.cargo-lambda.info/guide/configuration.html>.
fn check_cargo_lambda_settings(metadata: &Metadata, package: &Package, wanted: Wanted<'_>) -> Result<()> {
    let of_package = (format!("Cargo.toml of `{}`", package.name), "package", &package.metadata);
    let of_workspace = ("the workspace's Cargo.toml".to_owned(), "workspace", &metadata.metadata);
    for (file, scope, metadata) in [of_package, of_workspace] {
        let lambda = &metadata["lambda"];
        let of_binary = (format!("lambda.bin.{}", wanted.binary), &lambda["bin"][wanted.binary]);
        for (place, settings) in [("lambda".to_owned(), lambda), of_binary] {
            for (table, key) in [("deploy", "include"), ("build", "include"), ("build", "features")] {
                if settings[table][key].is_null() {
                    continue;
                }
                return Err(Failure::usage(format!(
                    "{file} has [{scope}.metadata.{place}.{table}] {key}, which Slipway does not read"
                ))
                .unchanged("Nothing was built.")
                .hint(format!(
                    "write {key} = [\"…\"] under [build] in function.toml, and remove it from Cargo.toml"
                )));
            }
        }
    }
    Ok(())
}

/// Runs `cargo metadata`: without the network where everything is downloaded, else with it.
fn metadata(root: &Path, process_env: &ProcessEnvironment) -> Result<Vec<u8>> {
    let program = build_program("cargo", root, process_env)
        .args(["metadata", "--format-version", "1", "--locked", "--color", "never"])
        .hint(INSTALL_RUST);
    if let Ok(text) = exec::output(&program.clone().arg("--offline"), &[]) {
        return Ok(text);
    }
    exec::output(&program, &[]).map_err(|failure| {
        if exec::is_program_missing(&failure) {
            return failure;
        }
        let body = failure.report().body.unwrap_or_default();
        let hint = if !root.join("Cargo.lock").is_file() {
            "commit Cargo.lock: without it a release cannot be rebuilt (cargo generate-lockfile makes one)"
        } else if body.contains("--locked") {
            "Cargo.lock does not fit the manifests: run cargo metadata, look at the change, and commit it"
        } else {
            "cargo metadata --locked in that folder shows the same error"
        };
        Failure::usage("cargo cannot resolve the packages of this workspace")
            .detail("folder", root.display().to_string())
            .body(body)
            .unchanged("Nothing was built.")
            .hint(hint)
    })
}

/// Lists the folders that cargo fills with downloads, whose content `Cargo.lock` names by checksum or commit.
fn downloads(process_env: &ProcessEnvironment) -> Vec<PathBuf> {
    let Some(home) = process_env.cargo_home() else { return Vec::new() };
    let places = ["registry", "git"].map(|name| home.join(name));
    let canonical = places.iter().filter_map(|place| place.canonicalize().ok()).collect::<Vec<_>>();
    places.into_iter().chain(canonical).collect()
}

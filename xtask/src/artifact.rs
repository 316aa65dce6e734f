//! Artifacts: a function's bytes, built once, with their digests.
//!
//! In: a function's settings and source. Out: [`Artifact`], a zip on disk. Goes wrong: a tool or target is missing, the
//! code does not compile, a package has no wheel, a command fails, the preflight finds what Lambda would refuse. Built bytes
//! are kept by inputs digest, so that a run which was cut off after building does not build again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod cargo;
mod command;
mod difference;
mod elf;
mod image;
mod preflight;
mod python;
mod reproducibility;

pub(crate) use difference::{Content, Difference};
pub(crate) use reproducibility::{build_in, build_twice, content};

use serde::{Deserialize, Serialize};
use slipway_archive::Tree;

use crate::digest::Digest;
use crate::failure::{self, Failure, Result};
use crate::interrupt::Interrupt;
use crate::name::FunctionName;
use crate::ports::{Bases, Image};
use crate::progress::{Progress, Step};
use crate::settings::{BuildSettings, FunctionSettings, PackageType, ProcessEnvironment, Project};
use crate::source::{Repository, Source};
use crate::tools::cargo::RustBuilder;
use crate::tools::uv::Uv;

/// A function's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Artifact {
    /// The zip, relative to the folder that keeps it; of an image, a zip of what its SBOM is made from.
    file: String,
    /// SHA-256 of the zip; of an image, that of its manifest before a release names it.
    pub(crate) sha256: Digest,
    /// Bytes.
    pub(crate) size: u64,
    /// Bytes after unpacking.
    pub(crate) unpacked_size: u64,
    /// Digest of the canonical listing.
    pub(crate) content_digest: Digest,
    /// Versions of all that made it.
    pub(crate) tools: BTreeMap<String, String>,
    /// What an image is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<image::Parts>,
}

/// What building needs from outside.
pub(crate) struct Workshop<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// The process environment.
    pub(crate) process_env: &'a ProcessEnvironment,
    /// The repository.
    pub(crate) repository: &'a Repository,
    /// The Rust builder.
    pub(crate) rust: &'a RustBuilder,
    /// Where base images come from.
    pub(crate) bases: &'a dyn Bases,
    /// The installer of Python packages.
    pub(crate) uv: &'a Uv,
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
    /// Where events go.
    pub(crate) progress: &'a Progress,
}

impl Artifact {
    /// Returns the zip's path below the folder that [`folder`] names.
    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.file)
    }
}

/// Returns a built image with labels, which decide its digest; nothing where the artifact is a zip.
pub(crate) fn image(
    project: &Project,
    function: &FunctionName,
    artifact: &Artifact,
    folder: &Path,
    labels: &BTreeMap<String, String>,
) -> Result<Option<Image>> {
    let assemble = |parts| image::assemble(project, function, parts, folder, labels);
    artifact.image.as_ref().map(assemble).transpose()
}

/// Returns a built artifact as it is looked at: the zip, or an OCI image layout that is written for it.
pub(crate) fn product(
    project: &Project,
    function: &FunctionName,
    artifact: &Artifact,
    folder: &Path,
) -> Result<PathBuf> {
    match &artifact.image {
        Some(parts) => image::write(project, function, parts, folder),
        None => Ok(artifact.path(folder)),
    }
}

/// Lists the tools whose versions differ: name, before, after; `-` for what had no part in it.
pub(crate) fn tools_that_differ(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<(String, String, String)> {
    let version = |tools: &BTreeMap<String, String>, name: &str| {
        tools.get(name).cloned().unwrap_or_else(|| "-".to_owned())
    };
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| (name.clone(), version(before, name), version(after, name)))
        .collect()
}

/// Returns the folder that keeps the bytes of a function built from an inputs digest.
pub(crate) fn folder(project: &Project, function: &FunctionName, inputs: &Digest) -> PathBuf {
    project.work_folder().join("artifacts").join(function.as_str()).join(&inputs.hex()[..16])
}

/// Builds a function, or takes what an earlier run built from the same inputs.
pub(crate) async fn build(
    workshop: &Workshop<'_>,
    function: &FunctionName,
    source: &Source,
    again: bool,
) -> Result<Artifact> {
    let settings = workshop.project.function(function)?;
    let folder = folder(workshop.project, function, &source.inputs_digest);
    if !again && let Some(artifact) = kept(&folder) {
        let step = workshop.progress.step("build", format!("{function}  built before from the same inputs"));
        step.done(crate::format::bytes(artifact.size));
        return Ok(artifact);
    }
    std::fs::create_dir_all(&folder).map_err(|error| failure::io("create", &folder, error))?;
    let step = workshop
        .progress
        .slow_step("build", format!("{function}  {} {}", settings.runtime, settings.architecture));
    let made = match make(workshop, function, settings, source, &folder, &step).await {
        Ok(made) => preflight::check(function, settings, &made.tree).map(|()| made),
        Err(failure) => Err(failure),
    };
    let packed = match made {
        Ok(made) if settings.package == PackageType::Image => {
            pack_image(workshop, function, settings, source, &folder, made, &step).await
        }
        Ok(made) => pack(&made.tree, function, &folder, made.tools, &step),
        Err(failure) => Err(failure),
    };
    let artifact = match packed.and_then(|artifact| keep(artifact, &folder)) {
        Ok(artifact) => artifact,
        Err(failure) => {
            step.failed("failed");
            return Err(failure);
        }
    };
    // Only a saving of space: what was installed is in the zip.
    let _ = std::fs::remove_dir_all(folder.join(python::DEPENDENCIES));
    let size = crate::format::bytes(artifact.size);
    step.done(size);
    Ok(artifact)
}

/// A function's files, gathered.
struct Made {
    /// All files.
    tree: Tree,
    /// The names of those that are its dependencies'.
    dependencies: BTreeSet<String>,
    /// The versions of all that made them.
    tools: BTreeMap<String, String>,
}

/// Gathers a function's files, and the versions of all that made them.
async fn make(
    workshop: &Workshop<'_>,
    function: &FunctionName,
    settings: &FunctionSettings,
    source: &Source,
    folder: &Path,
    step: &Step,
) -> Result<Made> {
    let whole = |(tree, tools)| Made { tree, dependencies: BTreeSet::new(), tools };
    match &settings.build {
        BuildSettings::Cargo { binary, package, .. } => {
            let package = package.clone().unwrap_or_else(|| function.to_string());
            let binary = binary.clone().unwrap_or_else(|| package.clone());
            cargo::build(workshop, settings, source, &package, &binary, folder, step).await.map(whole)
        }
        BuildSettings::Python { sources, lock, .. } => {
            python::build(workshop, settings, source, sources, lock.as_deref(), folder, step).await
        }
        BuildSettings::Command { run, output, within, .. } => {
            let job = command::Job { run: run.lines(), output, within: *within };
            command::build(workshop, function, settings, source, &job, step).await.map(whole)
        }
    }
}

/// Returns what SOURCE_DATE_EPOCH says.
fn epoch(workshop: &Workshop<'_>, source: &Source) -> Result<String> {
    Ok(epoch_seconds(workshop, source)?.to_string())
}

/// Returns when the inputs were last touched, in seconds since 1970; not before 1980, where a zip's time begins.
fn epoch_seconds(workshop: &Workshop<'_>, source: &Source) -> Result<i64> {
    let touched = workshop.repository.last_touched(&source.inputs.paths)?;
    Ok(touched.as_second().max(315_532_800))
}

fn pack(
    tree: &Tree,
    function: &FunctionName,
    folder: &Path,
    mut tools: BTreeMap<String, String>,
    step: &Step,
) -> Result<Artifact> {
    let file = format!("{function}.zip");
    let written = slipway_archive::write_zip(tree, &folder.join(&file), &|done| step.advance(done))
        .map_err(|error| Failure::failed(format!("`{function}` cannot be packed")).caused_by(error))?;
    tools.insert("compressor".into(), slipway_archive::compressor().to_owned());
    let artifact = Artifact {
        file,
        sha256: written.sha256,
        size: written.size,
        unpacked_size: written.unpacked_size,
        content_digest: written.listing.content_digest(),
        tools,
        image: None,
    };
    Ok(artifact)
}

/// Packs an image's layers, and beside them what its SBOM is made from.
async fn pack_image(
    workshop: &Workshop<'_>,
    function: &FunctionName,
    settings: &FunctionSettings,
    source: &Source,
    folder: &Path,
    made: Made,
    step: &Step,
) -> Result<Artifact> {
    let described = made.tree.clone().partition(|name| name.ends_with(".dist-info/METADATA")).0;
    let notes = pack(&described, function, folder, BTreeMap::new(), step)?;
    let (dependencies, code) = made.tree.partition(|name| made.dependencies.contains(name));
    let layers = image::Layers { code, dependencies, epoch: epoch_seconds(workshop, source)? };
    let artifact = image::pack(workshop, function, settings, layers, folder, made.tools, step).await?;
    Ok(Artifact { file: notes.file, ..artifact })
}

/// Writes an artifact's record, last: with it the artifact is whole.
fn keep(artifact: Artifact, folder: &Path) -> Result<Artifact> {
    let record = folder.join("artifact.json");
    let text = serde_json::to_vec_pretty(&artifact).map_err(|error| {
        Failure::defect("an artifact's record cannot be written as JSON").caused_by(error)
    })?;
    std::fs::write(&record, text).map_err(|error| failure::io("write", &record, error))?;
    Ok(artifact)
}

/// Takes what was built before, if its bytes are still what its record says.
fn kept(folder: &Path) -> Option<Artifact> {
    let artifact: Artifact =
        serde_json::from_slice(&std::fs::read(folder.join("artifact.json")).ok()?).ok()?;
    if let Some(parts) = &artifact.image {
        return (artifact.path(folder).is_file() && parts.whole(folder)).then_some(artifact);
    }
    let (sha256, size) = slipway_archive::sha256_file(&artifact.path(folder)).ok()?;
    (sha256 == artifact.sha256 && size == artifact.size).then_some(artifact)
}

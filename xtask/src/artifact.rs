//! Artifacts: a function's bytes, built once, with their digests.
//!
//! In: a function's settings and source. Out: [`Artifact`], a zip or the layers of an image on disk. Goes wrong: a tool or
//! target is missing, the code does not compile, a package has no wheel, a command fails, the preflight finds what Lambda
//! would refuse. Built bytes are cached by inputs digest, so that a run that stopped after building does not build again.

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

pub(crate) use difference::{ArtifactContent, Difference, tool_differences};
#[cfg(test)]
pub(crate) use python::VersionChange;
#[cfg(any(test, fuzzing))]
pub(crate) use python::fuzz_record;
pub(crate) use python::{LockUpdate, update_lock};
pub(crate) use reproducibility::{build_replica, build_twice, content};

use serde::{Deserialize, Serialize};
use slipway_archive::Tree;

use crate::digest::{Digest, DigestBuilder};
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
    /// The zip, relative to the cache folder; for an image, a zip of the files that its SBOM is made from.
    file: String,
    /// SHA-256 of the zip; for an image, of its manifest without labels.
    pub(crate) sha256: Digest,
    /// Bytes.
    pub(crate) size: u64,
    /// Bytes after unpacking.
    pub(crate) unpacked_size: u64,
    /// Digest of the canonical listing.
    pub(crate) content_digest: Digest,
    /// Versions of the tools that built it.
    pub(crate) tools: BTreeMap<String, String>,
    /// The layers of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<image::BuiltLayers>,
}

/// The record of an artifact that is kept: what it was made from, and by which Slipway.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArtifactRecord {
    /// The inputs digest, in full: the folder's name has a part of it.
    inputs: Digest,
    /// Slipway's version.
    slipway: String,
    artifact: Artifact,
}

/// What a build needs: settings, the repository and the tools.
#[derive(Clone, Copy)]
pub(crate) struct BuildContext<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// The process environment.
    pub(crate) process_env: &'a ProcessEnvironment,
    /// The repository.
    pub(crate) repository: &'a Repository,
    /// The Rust builder.
    pub(crate) rust: &'a RustBuilder,
    /// The registries of base images.
    pub(crate) bases: &'a dyn Bases,
    /// The installer of Python packages.
    pub(crate) uv: &'a Uv,
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
    /// Where events go.
    pub(crate) progress: &'a Progress,
}

impl Artifact {
    /// Returns the zip's path below the folder that [`cache_folder`] names.
    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.file)
    }
}

/// A function built from the work tree.
pub(crate) struct WorkTreeBuild {
    /// The source that was built.
    pub(crate) source: Source,
    /// The artifact.
    pub(crate) artifact: Artifact,
    /// The folder of the artifact.
    pub(crate) folder: PathBuf,
}

/// Builds a function from the work tree as it is, with changes that are not committed.
pub(crate) async fn build_work_tree(
    context: &BuildContext<'_>,
    function: &FunctionName,
    force: bool,
) -> Result<WorkTreeBuild> {
    let source = Source::read(context.project, context.process_env, context.repository, function)?;
    let artifact = build(context, function, &source, force).await?;
    let folder = cache_folder(context.project, function, &source.inputs_digest);
    Ok(WorkTreeBuild { source, artifact, folder })
}

/// Returns a built image with labels, which decide its digest; nothing where the artifact is a zip.
pub(crate) fn image_with_labels(
    project: &Project,
    function: &FunctionName,
    artifact: &Artifact,
    folder: &Path,
    labels: &BTreeMap<String, String>,
) -> Result<Option<Image>> {
    let assemble = |layers| image::assemble(project, function, layers, folder, labels);
    artifact.image.as_ref().map(assemble).transpose()
}

/// Returns the path of a built artifact for people: the zip, or an OCI image layout, which this writes.
pub(crate) fn output_path(
    project: &Project,
    function: &FunctionName,
    artifact: &Artifact,
    folder: &Path,
) -> Result<PathBuf> {
    match &artifact.image {
        Some(layers) => image::write_oci_layout(project, function, layers, folder),
        None => Ok(artifact.path(folder)),
    }
}

/// Returns the folder that caches a function's artifact by inputs digest.
pub(crate) fn cache_folder(project: &Project, function: &FunctionName, inputs: &Digest) -> PathBuf {
    project.work_folder().join("artifacts").join(function.as_str()).join(&inputs.hex()[..16])
}

/// Builds a function, or returns the artifact that an earlier run built from the same inputs; `force` always builds.
pub(crate) async fn build(
    context: &BuildContext<'_>,
    function: &FunctionName,
    source: &Source,
    force: bool,
) -> Result<Artifact> {
    let settings = context.project.function(function)?;
    let folder = cache_folder(context.project, function, &source.inputs_digest);
    if !force && let Some(artifact) = cached(&folder, &source.inputs_digest) {
        let step = context.progress.step("build", format!("{function}  built before from the same inputs"));
        step.done(crate::format::bytes(artifact.size));
        return Ok(artifact);
    }
    std::fs::create_dir_all(&folder).map_err(|error| failure::io("create", &folder, error))?;
    let step = context
        .progress
        .slow_step("build", format!("{function}  {} {}", settings.runtime, settings.architecture));
    let collected = match collect_files(context, function, settings, source, &folder, &step).await {
        Ok(files) => preflight::check(function, settings, &files.tree)
            .and_then(|()| refuse_changed_inputs(context, function, source))
            .map(|()| files),
        Err(failure) => Err(failure),
    };
    let packed = match collected {
        Ok(files) if settings.package == PackageType::Image => {
            pack_image(context, function, settings, &folder, files, &step).await
        }
        Ok(files) => pack_zip(&files.tree, function, &folder, files.tools, &step),
        Err(failure) => Err(failure),
    };
    let artifact = match packed.and_then(|artifact| write_record(artifact, source.inputs_digest, &folder)) {
        Ok(artifact) => artifact,
        Err(failure) => {
            step.failed("failed");
            return Err(failure);
        }
    };
    // Only saves space: what was installed is in the zip.
    let _ = std::fs::remove_dir_all(folder.join(python::PREPARED));
    let size = crate::format::bytes(artifact.size);
    step.done(size);
    Ok(artifact)
}

/// Refuses a build whose inputs changed while it ran: its bytes are not those of the digest that names it.
fn refuse_changed_inputs(context: &BuildContext<'_>, function: &FunctionName, source: &Source) -> Result<()> {
    let now = Source::read(context.project, context.process_env, context.repository, function)?;
    if now.inputs_digest == source.inputs_digest {
        return Ok(());
    }
    let changed = source.inputs.differences(&now.inputs);
    Err(Failure::failed(format!("the inputs of `{function}` changed while it was built"))
        .body(changed.join("\n"))
        .unchanged("Nothing was published.")
        .hint("run the same command again; a build that writes into its own sources must write into its output instead"))
}

/// Returns the artifact that another job built from these inputs; it is not built here.
pub(crate) fn prebuilt(project: &Project, function: &FunctionName, source: &Source) -> Result<Artifact> {
    let folder = cache_folder(project, function, &source.inputs_digest);
    cached(&folder, &source.inputs_digest).ok_or_else(|| {
        Failure::refused(format!(
            "`{function}` was not built before from these inputs by this version of Slipway"
        ))
        .detail("looked in", folder.display().to_string())
        .unchanged("Nothing was published.")
        .hint(
            "the build job runs cargo xtask build on the same commit, and hands target/slipway/artifacts on",
        )
    })
}

/// Returns the digest of a set of artifacts: of each function's inputs and bytes.
pub(crate) fn digest_of_set<'a>(
    artifacts: impl IntoIterator<Item = (&'a FunctionName, &'a Digest, &'a Digest)>,
) -> Digest {
    let sorted: BTreeMap<_, _> =
        artifacts.into_iter().map(|(function, inputs, sha256)| (function, (inputs, sha256))).collect();
    let mut digest = DigestBuilder::new("slipway.prebuilt/1");
    for (function, (inputs, sha256)) in sorted {
        digest.part(function.as_str(), inputs.bytes());
        digest.part("sha256", sha256.bytes());
    }
    digest.finish()
}

/// The files of a function, before they are packed.
struct CollectedFiles {
    /// All files.
    tree: Tree,
    /// The names of the files that belong to its dependencies.
    dependencies: BTreeSet<String>,
    /// Versions of the tools that made them.
    tools: BTreeMap<String, String>,
    /// Where they lie, if that is removed after packing.
    _copy: Option<command::InputCopy>,
}

/// Collects a function's files: compiles, installs or runs its command.
async fn collect_files(
    context: &BuildContext<'_>,
    function: &FunctionName,
    settings: &FunctionSettings,
    source: &Source,
    folder: &Path,
    step: &Step,
) -> Result<CollectedFiles> {
    let own = |tree, tools, copy| CollectedFiles { tree, dependencies: BTreeSet::new(), tools, _copy: copy };
    match &settings.build {
        BuildSettings::Cargo { binary, package, features, include, .. } => {
            let package = package.as_deref().unwrap_or(function.as_str());
            let binary = binary.as_deref().unwrap_or(package);
            let wanted = cargo::RustTarget { package, binary, features, include };
            let (tree, tools) = cargo::build(context, settings, source, &wanted, folder, step).await?;
            Ok(own(tree, tools, None))
        }
        BuildSettings::Python { sources, lock, .. } => {
            python::build(context, settings, source, sources, lock.as_deref(), folder, step).await
        }
        BuildSettings::Command { run, output, within, .. } => {
            let build = command::CommandBuild { run: run.lines(), output, time_limit: *within };
            let (tree, copy) = command::build(context, function, settings, source, &build, step).await?;
            Ok(own(tree, BTreeMap::new(), Some(copy)))
        }
    }
}

/// SOURCE_DATE_EPOCH of every build: 1980-01-01, the time of a zip's entries. A time from the history would give the same
/// inputs other bytes in another clone.
const SOURCE_DATE_EPOCH: i64 = 315_532_800;

fn pack_zip(
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

/// Packs an image's layers, and beside them a zip of the files that its SBOM is made from.
async fn pack_image(
    context: &BuildContext<'_>,
    function: &FunctionName,
    settings: &FunctionSettings,
    folder: &Path,
    files: CollectedFiles,
    step: &Step,
) -> Result<Artifact> {
    let metadata = files.tree.clone().partition(|name| name.ends_with(".dist-info/METADATA")).0;
    let for_sbom = pack_zip(&metadata, function, folder, BTreeMap::new(), step)?;
    let (dependencies, code) = files.tree.partition(|name| files.dependencies.contains(name));
    let trees = image::LayerTrees { code, dependencies, epoch: SOURCE_DATE_EPOCH };
    let artifact = image::pack(context, function, settings, trees, folder, files.tools, step).await?;
    Ok(Artifact { file: for_sbom.file, ..artifact })
}

/// Writes an artifact's record. It comes last: an artifact without one is not complete.
fn write_record(artifact: Artifact, inputs: Digest, folder: &Path) -> Result<Artifact> {
    let path = folder.join("artifact.json");
    let record = ArtifactRecord { inputs, slipway: VERSION.to_owned(), artifact };
    let text = serde_json::to_vec_pretty(&record).map_err(|error| {
        Failure::defect("an artifact's record cannot be written as JSON").caused_by(error)
    })?;
    std::fs::write(&path, text).map_err(|error| failure::io("write", &path, error))?;
    Ok(record.artifact)
}

/// Slipway's version: an artifact that another one made is made again.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns the artifact in a cache folder if it was made from these inputs and its bytes are still those of its record.
fn cached(folder: &Path, inputs: &Digest) -> Option<Artifact> {
    let record: ArtifactRecord =
        serde_json::from_slice(&std::fs::read(folder.join("artifact.json")).ok()?).ok()?;
    if record.inputs != *inputs || record.slipway != VERSION {
        return None;
    }
    let artifact = record.artifact;
    if let Some(layers) = &artifact.image {
        return (artifact.path(folder).is_file() && layers.are_intact(folder)).then_some(artifact);
    }
    let (sha256, size) = slipway_archive::sha256_file(&artifact.path(folder)).ok()?;
    (sha256 == artifact.sha256 && size == artifact.size).then_some(artifact)
}

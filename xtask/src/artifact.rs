//! Artifacts: a function's bytes, built once, with their digests.
//!
//! In: a function's settings and source. Out: [`Artifact`], a zip on disk. Goes wrong: a tool or target is missing, the
//! code does not compile, the binary does not fit the runtime. Built bytes are kept by inputs digest, so that a run which
//! was cut off after building does not build again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

mod cargo;
mod elf;

use serde::{Deserialize, Serialize};

use crate::failure::{self, Failure, Outcome};
use crate::name::{Digest, FunctionName};
use crate::progress::{Progress, Step};
use crate::settings::{BuildSettings, Project, Surroundings};
use crate::source::{Repository, Source};
use crate::tools::cargo::RustBuilder;

/// A function's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Artifact {
    /// The zip, relative to the folder that keeps it.
    file: String,
    /// SHA-256 of the zip.
    pub(crate) sha256: Digest,
    /// Bytes.
    pub(crate) size: u64,
    /// Bytes after unpacking.
    pub(crate) unpacked_size: u64,
    /// Digest of the canonical listing.
    pub(crate) content_digest: Digest,
    /// Versions of all that made it.
    pub(crate) tools: BTreeMap<String, String>,
}

/// What building needs from outside.
pub(crate) struct Workshop<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// The process's surroundings.
    pub(crate) surroundings: &'a Surroundings,
    /// The repository.
    pub(crate) repository: &'a Repository,
    /// The Rust builder.
    pub(crate) rust: &'a RustBuilder,
    /// Where events go.
    pub(crate) progress: &'a Progress,
}

impl Artifact {
    /// Returns the zip's path below the folder that [`folder`] names.
    pub(crate) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.file)
    }
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
) -> Outcome<Artifact> {
    let settings = workshop.project.function(function)?;
    let folder = folder(workshop.project, function, &source.inputs_digest);
    if !again && let Some(artifact) = kept(&folder) {
        let step = workshop.progress.step("build", format!("{function}  built before from the same inputs"));
        step.done(crate::words::bytes(artifact.size));
        return Ok(artifact);
    }
    std::fs::create_dir_all(&folder).map_err(|error| failure::io("create", &folder, error))?;
    let step = workshop
        .progress
        .slow_step("build", format!("{function}  {} {}", settings.runtime, settings.architecture));
    let built = match &settings.build {
        BuildSettings::Cargo { binary, package, .. } => {
            let package = package.clone().unwrap_or_else(|| function.to_string());
            let binary = binary.clone().unwrap_or_else(|| package.clone());
            cargo::build(workshop, settings, source, &package, &binary, &folder, &step).await
        }
    };
    let (tree, tools) = match built {
        Ok(built) => built,
        Err(failure) => {
            step.failed("failed");
            return Err(failure);
        }
    };
    let artifact = pack(&tree, function, &folder, tools, &step)?;
    let size = crate::words::bytes(artifact.size);
    step.done(size);
    Ok(artifact)
}

fn pack(
    tree: &slipway_archive::Tree,
    function: &FunctionName,
    folder: &Path,
    mut tools: BTreeMap<String, String>,
    step: &Step,
) -> Outcome<Artifact> {
    let file = format!("{function}.zip");
    let written = slipway_archive::write_zip(tree, &folder.join(&file), &|done| step.advance(done))
        .map_err(|error| Failure::failed(format!("`{function}` cannot be packed")).caused_by(error))?;
    tools.insert("compressor".into(), slipway_archive::compressor().to_owned());
    let artifact = Artifact {
        file,
        sha256: Digest::from_bytes(written.sha256),
        size: written.size,
        unpacked_size: written.unpacked_size,
        content_digest: Digest::from_bytes(written.listing.content_digest()),
        tools,
    };
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
    let (sha256, size) = slipway_archive::sha256_file(&artifact.path(folder)).ok()?;
    (sha256 == artifact.sha256.bytes() && size == artifact.size).then_some(artifact)
}

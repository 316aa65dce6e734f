//! The base of an image: fetched once, by digest, and kept for all functions of the project.
//!
//! In: the base as the settings name it. Out: its manifest and config, its layers on disk as they came. Goes wrong: the
//! registry cannot be reached or has no such image, an index has nothing for the architecture, bytes are not their digest.

use std::path::{Path, PathBuf};

use slipway_archive::image::{Base as BaseImage, blob_path, select_from_index};

use super::super::Workshop;
use crate::architecture::Architecture;
use crate::digest::Digest;
use crate::failure::{self, Failure, Result};
use crate::format;
use crate::ports::Bases;
use crate::progress::Step;
use crate::settings::{BaseReference, Project};

/// What an image stands on.
pub(super) struct Stand {
    /// The digest of its manifest.
    pub(super) manifest: Digest,
    /// Manifest and config.
    pub(super) base: BaseImage,
}

/// Held while a base is fetched, so that of several functions on one base the others find it there.
static FETCHING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const OTHER: &str =
    "name another base in function.toml, or give the function the `architecture` that this one is for";

/// How many indexes may lie in one another.
const DEEPEST: u8 = 4;

/// Returns the folder that keeps bases: `blobs/sha256/<hex>` in it.
pub(in crate::artifact) fn cache(project: &Project) -> PathBuf {
    project.work_folder().join("bases")
}

impl Stand {
    /// Reads a base that was fetched before.
    pub(super) fn read(project: &Project, manifest: &Digest, architecture: Architecture) -> Result<Self> {
        let folder = cache(project);
        let bytes = kept(&folder, manifest)?;
        let config = config_of(&bytes)?;
        let config = kept(&folder, &config.0)?;
        let base = BaseImage::read(&bytes, &config, architecture).map_err(|error| {
            Failure::failed("the base image cannot be used")
                .caused_by(error)
                .unchanged("Nothing was published.")
                .hint(OTHER)
        })?;
        Ok(Self { manifest: *manifest, base })
    }
}

/// Has a base on disk: nothing for `scratch`.
pub(super) async fn fetch(
    workshop: &Workshop<'_>,
    base: &BaseReference,
    architecture: Architecture,
    step: &Step,
) -> Result<Option<Stand>> {
    let _one_at_a_time = FETCHING.lock().await;
    let folder = cache(workshop.project);
    let place = folder.join("blobs/sha256");
    std::fs::create_dir_all(&place).map_err(|error| failure::io("create", &place, error))?;
    let (source, digest) = match base {
        BaseReference::Scratch => return Ok(None),
        BaseReference::Registry(reference) => {
            (Source::Registry(workshop.bases, reference), reference.rsplit('@').next().unwrap_or_default())
        }
        BaseReference::Layout { folder, digest } => {
            (Source::Layout(workshop.project.root.join(folder)), digest.as_str())
        }
    };
    let from = From { source, name: base.to_string(), folder: &folder, step };
    let mut digest = digest_of(digest)?;
    for _ in 0..DEEPEST {
        let bytes = from.manifest(&digest).await?;
        if !is_index(&bytes) {
            let (config, size) = config_of(&bytes)?;
            from.blob(&config, size).await?;
            let stand = Stand::read(workshop.project, &digest, architecture)
                .map_err(|failure| failure.detail("base", base.to_string()))?;
            for layer in stand.base.layers() {
                from.blob(&layer.digest, layer.size).await?;
            }
            return Ok(Some(stand));
        }
        let chosen = select_from_index(&bytes, architecture).map_err(|error| {
            Failure::failed(format!("the base image {base} cannot be used"))
                .caused_by(error)
                .unchanged("Nothing was published.")
                .hint(OTHER)
        })?;
        digest = chosen.digest;
    }
    Err(Failure::failed(format!(
        "the base image {base} cannot be used: more than {DEEPEST} indexes lie in one another"
    )))
}

enum Source<'a> {
    Registry(&'a dyn Bases, &'a str),
    Layout(PathBuf),
}

/// Where a base comes from and where it is kept.
struct From<'a> {
    source: Source<'a>,
    name: String,
    folder: &'a Path,
    step: &'a Step,
}

impl From<'_> {
    async fn manifest(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = blob_path(self.folder, *digest);
        if let Some(bytes) = intact(&path, digest) {
            return Ok(bytes);
        }
        let bytes = match &self.source {
            Source::Registry(bases, reference) => bases.manifest(reference, digest).await?,
            Source::Layout(layout) => read(&blob_path(layout, *digest))?,
        };
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(self.wrong(digest, &found));
        }
        put(self.folder, &path, |part| std::fs::write(part, &bytes))
            .map_err(|error| failure::io("write", &path, error))?;
        Ok(bytes)
    }

    async fn blob(&self, digest: &Digest, size: u64) -> Result<()> {
        let path = blob_path(self.folder, *digest);
        // Written under its name only when its digest was right: its length says whether it is whole.
        if path.metadata().is_ok_and(|metadata| metadata.len() == size) {
            return Ok(());
        }
        self.step.line(format!("base  {}  {}", digest.short(), format::bytes(size)));
        match &self.source {
            Source::Registry(bases, reference) => bases.blob(reference, digest, size, &path).await,
            Source::Layout(layout) => {
                let from = blob_path(layout, *digest);
                let (found, _) = slipway_archive::sha256_file(&from).map_err(|error| {
                    Failure::failed(format!("the base image {} lacks a layer", self.name)).caused_by(error)
                })?;
                if found != *digest {
                    return Err(self.wrong(digest, &found));
                }
                put(self.folder, &path, |part| std::fs::copy(&from, part).map(drop))
                    .map_err(|error| failure::io("copy", &from, error))
            }
        }
    }

    fn wrong(&self, wanted: &Digest, found: &Digest) -> Failure {
        Failure::failed(format!("the base image {} has other bytes than its digest says", self.name))
            .detail("wanted", wanted.to_string())
            .detail("found", found.to_string())
            .unchanged("Nothing was published.")
    }
}

fn intact(path: &Path, digest: &Digest) -> Option<Vec<u8>> {
    std::fs::read(path).ok().filter(|bytes| Digest::of(bytes) == *digest)
}

fn kept(folder: &Path, digest: &Digest) -> Result<Vec<u8>> {
    let path = blob_path(folder, *digest);
    intact(&path, digest).ok_or_else(|| {
        Failure::failed(format!("{digest} of the base image is not kept any more"))
            .hint("run the same command again with --force: it is fetched anew")
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| failure::io("read", path, error))
}

/// Has a file in its place whole or not at all, also where another process has the same in mind.
fn put(folder: &Path, path: &Path, fill: impl FnOnce(&Path) -> std::io::Result<()>) -> std::io::Result<()> {
    let part = tempfile::NamedTempFile::new_in(folder)?;
    fill(part.path())?;
    part.persist(path).map(drop).map_err(|error| error.error)
}

fn is_index(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(bytes).is_ok_and(|document| document["manifests"].is_array())
}

/// Returns the digest and size of the config that a manifest names.
fn config_of(manifest: &[u8]) -> Result<(Digest, u64)> {
    let unusable = || Failure::failed("the base image's manifest names no config");
    let document: serde_json::Value = serde_json::from_slice(manifest)
        .map_err(|error| Failure::failed("the base image's manifest is no JSON").caused_by(error))?;
    let config = &document["config"];
    let digest = config["digest"].as_str().ok_or_else(unusable)?;
    Ok((digest_of(digest)?, config["size"].as_u64().ok_or_else(unusable)?))
}

fn digest_of(text: &str) -> Result<Digest> {
    text.parse().map_err(|error| Failure::usage("the base image has no valid digest").caused_by(error))
}

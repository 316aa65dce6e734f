//! The base of an image: downloaded once, by digest, and cached for all functions of the project.
//!
//! In: the base as the settings name it. Out: its manifest and config, its layers on disk as they were downloaded. Goes
//! wrong: the registry cannot be reached or has no such image, an index has no image for the architecture, the bytes do not
//! have the digest that names them.

use std::path::{Path, PathBuf};

use slipway_archive::image::{Base as ArchiveBase, blob_path, select_from_index};

use super::super::BuildContext;
use crate::architecture::Architecture;
use crate::digest::Digest;
use crate::failure::{self, Failure, Result};
use crate::format;
use crate::ports::Bases;
use crate::progress::Step;
use crate::settings::{BaseReference, Project};

/// A base that is on disk.
pub(super) struct BaseImage {
    /// The digest of its manifest.
    pub(super) digest: Digest,
    /// Manifest and config.
    pub(super) image: ArchiveBase,
}

/// Held while a base is downloaded: other functions on the same base then find it in the cache.
static DOWNLOADING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const ANOTHER_BASE: &str =
    "name another base in function.toml, or set the function's `architecture` to that of this base";

/// How deep indexes may be nested.
const MAX_INDEX_DEPTH: u8 = 4;

/// Returns the folder that caches bases, as `blobs/sha256/<hex>` in it.
pub(in crate::artifact) fn cache(project: &Project) -> PathBuf {
    project.work_folder().join("bases")
}

impl BaseImage {
    /// Reads a base from the cache.
    pub(super) fn read(project: &Project, manifest: &Digest, architecture: Architecture) -> Result<Self> {
        let folder = cache(project);
        let bytes = cached_blob(&folder, manifest)?;
        let config = config_of(&bytes)?;
        let config = cached_blob(&folder, &config.0)?;
        let image = ArchiveBase::read(&bytes, &config, architecture).map_err(|error| {
            Failure::failed("the base image cannot be used")
                .caused_by(error)
                .unchanged("Nothing was published.")
                .hint(ANOTHER_BASE)
        })?;
        Ok(Self { digest: *manifest, image })
    }
}

/// Downloads a base unless it is cached; returns nothing for `scratch`.
pub(super) async fn download(
    context: &BuildContext<'_>,
    base: &BaseReference,
    architecture: Architecture,
    step: &Step,
) -> Result<Option<BaseImage>> {
    let _one_at_a_time = DOWNLOADING.lock().await;
    let folder = cache(context.project);
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).map_err(|error| failure::io("create", &blobs, error))?;
    let (source, digest) = match base {
        BaseReference::Scratch => return Ok(None),
        BaseReference::Registry(reference) => {
            (BaseSource::Registry(context.bases, reference), reference.rsplit('@').next().unwrap_or_default())
        }
        BaseReference::Layout { folder, digest } => {
            (BaseSource::Layout(context.project.root.join(folder)), digest.as_str())
        }
    };
    let download = BaseDownload { source, name: base.to_string(), folder: &folder, step };
    let mut digest = digest_of(digest)?;
    for _ in 0..MAX_INDEX_DEPTH {
        let bytes = download.manifest(&digest).await?;
        if !is_index(&bytes) {
            let (config, size) = config_of(&bytes)?;
            download.blob(&config, size).await?;
            let base = BaseImage::read(context.project, &digest, architecture)
                .map_err(|failure| failure.detail("base", base.to_string()))?;
            for layer in base.image.layers() {
                download.blob(&layer.digest, layer.size).await?;
            }
            return Ok(Some(base));
        }
        let chosen = select_from_index(&bytes, architecture).map_err(|error| {
            Failure::failed(format!("the base image {base} cannot be used"))
                .caused_by(error)
                .unchanged("Nothing was published.")
                .hint(ANOTHER_BASE)
        })?;
        digest = chosen.digest;
    }
    Err(Failure::failed(format!(
        "the base image {base} cannot be used: its indexes are nested more than {MAX_INDEX_DEPTH} deep"
    )))
}

enum BaseSource<'a> {
    Registry(&'a dyn Bases, &'a str),
    Layout(PathBuf),
}

/// Downloads the blobs of one base into the cache.
struct BaseDownload<'a> {
    source: BaseSource<'a>,
    name: String,
    folder: &'a Path,
    step: &'a Step,
}

impl BaseDownload<'_> {
    async fn manifest(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = blob_path(self.folder, *digest);
        if let Some(bytes) = intact_bytes(&path, digest) {
            return Ok(bytes);
        }
        let bytes = match &self.source {
            BaseSource::Registry(bases, reference) => bases.manifest(reference, digest).await?,
            BaseSource::Layout(layout) => read(&blob_path(layout, *digest))?,
        };
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(self.wrong_bytes(digest, &found));
        }
        write_atomically(self.folder, &path, |part| std::fs::write(part, &bytes))
            .map_err(|error| failure::io("write", &path, error))?;
        Ok(bytes)
    }

    async fn blob(&self, digest: &Digest, size: u64) -> Result<()> {
        let path = blob_path(self.folder, *digest);
        // A blob gets its name only after its digest was checked: its length shows whether it is complete.
        if path.metadata().is_ok_and(|metadata| metadata.len() == size) {
            return Ok(());
        }
        self.step.line(format!("base  {}  {}", digest.short(), format::bytes(size)));
        match &self.source {
            BaseSource::Registry(bases, reference) => bases.blob(reference, digest, size, &path).await,
            BaseSource::Layout(layout) => {
                let from = blob_path(layout, *digest);
                let (found, _) = slipway_archive::sha256_file(&from).map_err(|error| {
                    Failure::failed(format!("the base image {} lacks a layer", self.name)).caused_by(error)
                })?;
                if found != *digest {
                    return Err(self.wrong_bytes(digest, &found));
                }
                write_atomically(self.folder, &path, |part| std::fs::copy(&from, part).map(drop))
                    .map_err(|error| failure::io("copy", &from, error))
            }
        }
    }

    fn wrong_bytes(&self, wanted: &Digest, found: &Digest) -> Failure {
        Failure::failed(format!("the base image {} does not have the bytes of its digest", self.name))
            .detail("wanted", wanted.to_string())
            .detail("found", found.to_string())
            .unchanged("Nothing was published.")
    }
}

fn intact_bytes(path: &Path, digest: &Digest) -> Option<Vec<u8>> {
    std::fs::read(path).ok().filter(|bytes| Digest::of(bytes) == *digest)
}

fn cached_blob(folder: &Path, digest: &Digest) -> Result<Vec<u8>> {
    let path = blob_path(folder, *digest);
    intact_bytes(&path, digest).ok_or_else(|| {
        Failure::failed(format!("{digest} of the base image is no longer cached"))
            .hint("run the same command again with --force to download it again")
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| failure::io("read", path, error))
}

/// Writes a file completely or not at all, also where another process writes the same file.
fn write_atomically(
    folder: &Path,
    path: &Path,
    fill: impl FnOnce(&Path) -> std::io::Result<()>,
) -> std::io::Result<()> {
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
        .map_err(|error| Failure::failed("the base image's manifest is not JSON").caused_by(error))?;
    let config = &document["config"];
    let digest = config["digest"].as_str().ok_or_else(unusable)?;
    Ok((digest_of(digest)?, config["size"].as_u64().ok_or_else(unusable)?))
}

fn digest_of(text: &str) -> Result<Digest> {
    text.parse().map_err(|error| Failure::usage("the base image has no valid digest").caused_by(error))
}

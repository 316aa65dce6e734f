//! Pushes images.
//!
//! In: a manifest, its blobs with the sources of their bytes, a repository and a tag. Out: [`PushedImage`]. Several blobs
//! are pushed at the same time, the manifest last, so that the tag always names a complete image. Where the tag names
//! this manifest already, nothing is sent; where it names another, nothing is changed. Errors: a blob or the manifest
//! cannot be pushed. Blobs that were pushed by then stay, which is harmless.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use slipway_values::digest::Digest;

use super::Registry;
use super::blobs::{Pushed, Source};
use crate::error::CloudError;
use crate::store::Put;

/// The source of a blob's bytes.
#[derive(Clone, Debug)]
pub enum BlobSource {
    /// A file.
    File(PathBuf),
    /// Bytes in memory, for configurations.
    Bytes(Bytes),
    /// Another registry, or another repository of this one.
    Registry {
        /// That registry.
        registry: Registry,
        /// The repository in it.
        repository: String,
    },
}

/// A layer or configuration of an image.
#[derive(Clone, Debug)]
pub struct BlobToPush {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The source of its bytes.
    pub from: BlobSource,
    /// A repository of the same registry that may have it, to mount it from.
    pub mount_from: Option<String>,
}

/// An image to push; its configuration is one of the blobs.
#[derive(Clone, Debug)]
pub struct ImageToPush {
    /// Configuration and layers; a blob that is listed twice is sent once.
    pub blobs: Vec<BlobToPush>,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The manifest's media type.
    pub media_type: String,
}

/// Progress of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobProgress {
    /// The blob.
    pub digest: Digest,
    /// The number of bytes sent.
    pub sent: u64,
    /// The size in bytes.
    pub size: u64,
}

/// Result of pushing an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedImage {
    /// The manifest's digest.
    pub digest: Digest,
    /// Whether the tag is new; where it names another image ([`Put::Different`]), nothing was changed.
    pub put: Put,
    /// How each blob got there; empty where the tag existed.
    pub blobs: Vec<(Digest, Pushed)>,
}

impl Registry {
    /// Pushes an image to a repository under a tag, unless the tag exists.
    ///
    /// # Errors
    /// The error of the first blob that failed; the others are cancelled, and the tag is unchanged.
    pub async fn push_image(
        &self,
        repository: &str,
        tag: &str,
        image: &ImageToPush,
        progress: &(dyn Fn(BlobProgress) + Send + Sync),
    ) -> Result<PushedImage, CloudError> {
        let digest = Digest::of(&image.manifest);
        if let Some(there) = self.manifest(repository, tag).await? {
            let put = if there.digest == digest { Put::Same } else { Put::Different };
            return Ok(PushedImage { digest, put, blobs: Vec::new() });
        }
        let mut seen = BTreeSet::new();
        let blobs = image.blobs.iter().filter(|blob| seen.insert(blob.digest));
        let pushing = blobs.map(|blob| self.push_one(repository, blob, progress)).collect::<Vec<_>>();
        let parallel = self.client.options.parallel_blobs.max(1);
        let blobs = futures::stream::iter(pushing).buffered(parallel).try_collect().await?;
        let put = self.push_manifest(repository, tag, &image.manifest, &image.media_type).await?;
        Ok(PushedImage { digest, put, blobs })
    }

    async fn push_one(
        &self,
        repository: &str,
        blob: &BlobToPush,
        progress: &(dyn Fn(BlobProgress) + Send + Sync),
    ) -> Result<(Digest, Pushed), CloudError> {
        let BlobToPush { digest, size, ref from, ref mount_from } = *blob;
        let source = match from {
            BlobSource::File(path) => Source::File(path),
            BlobSource::Bytes(bytes) => Source::Bytes(bytes),
            BlobSource::Registry { registry, repository } => Source::Registry(registry, repository),
        };
        let report = |sent| progress(BlobProgress { digest, sent, size });
        let pushed = self.push(repository, digest, size, source, mount_from.as_deref(), &report).await?;
        Ok((digest, pushed))
    }
}

//! Whole images.
//!
//! In: a manifest, the blobs it names with where their bytes are, a repository and a tag. Out: what it took. Blobs
//! go several at once, the manifest goes last: what is under the tag is whole. Where the tag names this manifest
//! already nothing is sent, where it names another nothing is changed. What can go wrong: one of the blobs or the
//! manifest; blobs that are there by then stay and do no harm.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use slipway_values::digest::Digest;

use super::Registry;
use super::blobs::{Pushed, Source};
use crate::error::CloudError;
use crate::store::Put;

/// Where a blob's bytes are.
#[derive(Clone, Debug)]
pub enum BlobSource {
    /// In a file.
    File(PathBuf),
    /// In memory; for configurations.
    Bytes(Bytes),
    /// In another registry, or in another repository of this one.
    Registry {
        /// That registry.
        registry: Registry,
        /// The repository in it.
        repository: String,
    },
}

/// A layer or configuration that an image needs.
#[derive(Clone, Debug)]
pub struct BlobToPush {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Where its bytes are.
    pub from: BlobSource,
    /// A repository of the same registry that may have it.
    pub mount_from: Option<String>,
}

/// An image: its configuration is one of the blobs.
#[derive(Clone, Debug)]
pub struct ImageToPush {
    /// Configuration and layers; one that is named twice is sent once.
    pub blobs: Vec<BlobToPush>,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The manifest's media type.
    pub media_type: String,
}

/// How far a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobProgress {
    /// The blob.
    pub digest: Digest,
    /// How many bytes are there.
    pub sent: u64,
    /// Of how many.
    pub size: u64,
}

/// What it took to have an image under a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedImage {
    /// The manifest's digest.
    pub digest: Digest,
    /// What became of the tag; where it names another image ([`Put::Different`]), nothing was changed.
    pub put: Put,
    /// What each blob took; empty where the image was there or the tag was taken.
    pub blobs: Vec<(Digest, Pushed)>,
}

impl Registry {
    /// Has an image in a repository under a tag that is never moved.
    ///
    /// # Errors
    /// That of the first blob that failed; the others are given up, and the tag is as it was.
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
        let mut named = BTreeSet::new();
        let blobs = image.blobs.iter().filter(|blob| named.insert(blob.digest));
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
        let tell = |sent| progress(BlobProgress { digest, sent, size });
        let pushed = self.push(repository, digest, size, source, mount_from.as_deref(), &tell).await?;
        Ok((digest, pushed))
    }
}

//! Unpacks each image once, into a folder that is the root file system of functions.
//!
//! In: an [`Image`] of the registry. Out: a folder named by the manifest's digest. Layers are compared with both their
//! digests while they are unpacked into a temporary folder, which is moved to its place at the end. Errors: a layer is
//! missing, is not what was pushed, or cannot be unpacked.

use super::image::{Image, ImageError, Layer};
use super::layer::{LayerError, Layers};
use super::tree::Tree;
use crate::registry::{Digest, Registry};
use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Lambda's limit for an unpacked image, in bytes.
const UNPACKED: u64 = 10 << 30;
/// The mount points in each function's file system. They must be folders, not symlinks to folders.
const MOUNT_POINTS: [&str; 3] = ["dev", "proc", "tmp"];

/// The unpacked images on this machine.
pub(crate) struct RootFileSystems {
    folder: PathBuf,
    unpacking: Mutex<()>,
}

/// Why an image cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    /// The image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A layer was removed from the registry.
    #[error("its layer {0} is no longer in the registry")]
    Missing(Digest),
    /// A layer does not have its digest.
    #[error("its layer {layer} has the digest {actual} instead of {expected}; it was not unpacked")]
    Tampered {
        /// The layer's digest in the manifest.
        layer: Digest,
        /// The digest of the blob or of the tar inside it.
        actual: Digest,
        /// The digest in the manifest or in the config.
        expected: Digest,
    },
    /// A layer cannot be unpacked.
    #[error("its layer {layer} cannot be unpacked")]
    Layer {
        /// The layer's digest in the manifest.
        layer: Digest,
        /// The cause.
        source: LayerError,
    },
    /// A file or folder on this machine cannot be used.
    #[error("{path}", path = .0.display())]
    File(PathBuf, #[source] io::Error),
    /// The work was interrupted.
    #[error("unpacking was interrupted: {0}")]
    Interrupted(String),
}

impl RootFileSystems {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, unpacking: Mutex::new(()) }
    }

    /// Returns the folder with the unpacked image.
    pub(super) async fn unpacked(
        &self,
        registry: &Arc<Registry>,
        image: Image,
    ) -> Result<PathBuf, UnpackError> {
        let ready = self.folder.join(image.digest.hex());
        if ready.is_dir() {
            return Ok(ready);
        }
        let _one_at_a_time = self.unpacking.lock().await;
        if ready.is_dir() {
            return Ok(ready);
        }
        let (registry, work, target) = (Arc::clone(registry), self.folder.clone(), ready.clone());
        let unpacked = tokio::task::spawn_blocking(move || unpack(&registry, &image, &work, &target)).await;
        unpacked.unwrap_or_else(|error| Err(UnpackError::Interrupted(error.to_string()))).map(|()| ready)
    }
}

fn unpack(registry: &Registry, image: &Image, work: &Path, ready: &Path) -> Result<(), UnpackError> {
    let failed = |error| UnpackError::File(work.to_owned(), error);
    fs::create_dir_all(work).map_err(failed)?;
    let temporary = tempfile::Builder::new()
        .prefix(".unpacking-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(work)
        .map_err(failed)?;
    let tree = Tree::open(temporary.path()).map_err(failed)?;
    let mut layers = Layers::new(&tree, UNPACKED);
    for layer in &image.layers {
        unpack_layer(registry, layer, &mut layers)?;
    }
    let root = tree.folder(Path::new(""), false).map_err(failed)?;
    for name in MOUNT_POINTS {
        root.replace_with_folder(name.as_ref()).map_err(failed)?;
    }
    let unpacked = temporary.keep();
    let placed = fs::rename(&unpacked, ready).map_err(|error| UnpackError::File(ready.to_owned(), error));
    if placed.is_err() {
        let _ = fs::remove_dir_all(&unpacked);
        // Another gateway with the same folder was faster.
        return if ready.is_dir() { Ok(()) } else { placed };
    }
    Ok(())
}

/// Unpacks one layer, and compares the blob and the tar inside it with their digests.
fn unpack_layer(registry: &Registry, layer: &Layer, layers: &mut Layers<'_>) -> Result<(), UnpackError> {
    let path = registry.blob_path(&layer.digest);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(UnpackError::Missing(layer.digest));
        }
        Err(error) => return Err(UnpackError::File(path, error)),
    };
    let mut blob = HashingReader::new(BufReader::with_capacity(256 << 10, file));
    let (unpacked, tar_digest) = match layer.gzip {
        true => unpack_tar(layers, MultiGzDecoder::new(&mut blob)),
        false => unpack_tar(layers, &mut blob),
    };
    // The blob's digest is compared first: if it differs, that is the cause of any error in the tar.
    let read = io::copy(&mut blob, &mut io::sink());
    let compare = |actual: Digest, expected: &Digest| match actual == *expected {
        true => Ok(()),
        false => {
            let (layer, expected) = (layer.digest, *expected);
            Err(UnpackError::Tampered { layer, actual, expected })
        }
    };
    read.map_err(|error| UnpackError::File(path, error))?;
    compare(blob.digest(), &layer.digest)?;
    unpacked.map_err(|source| UnpackError::Layer { layer: layer.digest, source })?;
    compare(tar_digest, &layer.tar_digest)
}

/// Unpacks a tar, and returns the digest of all bytes, also of those after its end mark.
pub(super) fn unpack_tar(layers: &mut Layers<'_>, tar: impl Read) -> (Result<(), LayerError>, Digest) {
    let mut tar = HashingReader::new(tar);
    (layers.add(&mut tar), tar.digest())
}

/// A reader that computes the digest of the bytes that it reads.
struct HashingReader<R> {
    inner: R,
    digest: Sha256,
}

impl<R: Read> HashingReader<R> {
    fn new(inner: R) -> Self {
        Self { inner, digest: Sha256::new() }
    }

    fn digest(self) -> Digest {
        Digest::from(self.digest)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.digest.update(&buffer[..length]);
        Ok(length)
    }
}

//! Images on this machine, each unpacked once into a folder that is a function's root file system.
//!
//! In: an [`Image`] of the registry. Out: a folder named by the manifest's digest. Layers are compared with both their
//! digests while they are unpacked, in a folder that is moved to its place when all is well; so what is there is whole.
//! What can go wrong: a layer is missing, is not what was pushed, or is not a tar that can be laid down.

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

/// Lambda's limit for an image, in bytes unpacked.
const UNPACKED: u64 = 10 << 30;
/// What is mounted in every function's file system: it must be a folder, and not a symlink to one.
const MOUNTED: [&str; 3] = ["dev", "proc", "tmp"];

/// Unpacked images.
pub(super) struct RootFileSystems {
    folder: PathBuf,
    unpacking: Mutex<()>,
}

/// Why an image has no folder.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    /// The image is of no use.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A layer is gone from the registry.
    #[error("its layer {0} is not in the registry any more")]
    Missing(Digest),
    /// A layer is not what it is called.
    #[error("its layer {layer} holds {found} where {wanted} was promised; it was not unpacked")]
    Tampered {
        /// As the manifest names it.
        layer: Digest,
        /// What was found.
        found: Digest,
        /// What was promised.
        wanted: Digest,
    },
    /// A layer cannot be laid down.
    #[error("its layer {layer} cannot be unpacked")]
    Layer {
        /// As the manifest names it.
        layer: Digest,
        /// Why.
        source: LayerError,
    },
    /// A file or folder of ours.
    #[error("{path}", path = .0.display())]
    File(PathBuf, #[source] io::Error),
    /// The work was cut off.
    #[error("unpacking broke off: {0}")]
    Broken(String),
}

impl RootFileSystems {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, unpacking: Mutex::new(()) }
    }

    /// Gives the folder that holds the unpacked image.
    pub(super) async fn folder(
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
        unpacked.unwrap_or_else(|error| Err(UnpackError::Broken(error.to_string()))).map(|()| ready)
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
        lay(registry, layer, &mut layers)?;
    }
    let root = tree.folder(Path::new(""), false).map_err(failed)?;
    for name in MOUNTED {
        root.replace_with_folder(name.as_ref()).map_err(failed)?;
    }
    let unpacked = temporary.keep();
    let placed = fs::rename(&unpacked, ready).map_err(|error| UnpackError::File(ready.to_owned(), error));
    if placed.is_err() {
        let _ = fs::remove_dir_all(&unpacked);
        // Another gateway on the same folder was faster.
        return if ready.is_dir() { Ok(()) } else { placed };
    }
    Ok(())
}

/// Unpacks one layer and compares what was pushed and what is inside with their digests.
fn lay(registry: &Registry, layer: &Layer, layers: &mut Layers<'_>) -> Result<(), UnpackError> {
    let path = registry.blob(&layer.digest);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(UnpackError::Missing(layer.digest.clone()));
        }
        Err(error) => return Err(UnpackError::File(path, error)),
    };
    let mut pushed = Hashed::new(BufReader::with_capacity(256 << 10, file));
    let (laid, inside) = match layer.gzip {
        true => hashed(layers, MultiGzDecoder::new(&mut pushed)),
        false => hashed(layers, &mut pushed),
    };
    // Bytes of another origin are told as that, whatever they made of the tar.
    let read = io::copy(&mut pushed, &mut io::sink());
    let compare = |found: Digest, wanted: &Digest| match found == *wanted {
        true => Ok(()),
        false => Err(UnpackError::Tampered { layer: layer.digest.clone(), found, wanted: wanted.clone() }),
    };
    read.map_err(|error| UnpackError::File(path, error))?;
    compare(pushed.digest(), &layer.digest)?;
    laid.map_err(|source| UnpackError::Layer { layer: layer.digest.clone(), source })?;
    compare(inside, &layer.inside)
}

/// Lays a tar and reads on to its very end; a tar may be followed by anything.
fn hashed(layers: &mut Layers<'_>, tar: impl Read) -> (Result<(), LayerError>, Digest) {
    let mut tar = Hashed::new(tar);
    let laid = layers
        .lay(&mut tar)
        .and_then(|()| io::copy(&mut tar, &mut io::sink()).map(drop).map_err(LayerError::Tar));
    (laid, tar.digest())
}

/// A reader that knows the digest of what went through it.
struct Hashed<R> {
    inner: R,
    digest: Sha256,
}

impl<R: Read> Hashed<R> {
    fn new(inner: R) -> Self {
        Self { inner, digest: Sha256::new() }
    }

    fn digest(self) -> Digest {
        Digest::finish(self.digest)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.digest.update(&buffer[..length]);
        Ok(length)
    }
}

//! Writes an image as an OCI image layout, and finds blobs in one.
//!
//! In: an [`Image`], the files of its own layers, a lookup of the base's layers, and a folder. Out: the folder with
//! `oci-layout`, `blobs/sha256/…` and, written last, `index.json`: a run that was killed leaves no image, and the next
//! run keeps the blobs that exist. Errors: a file with another digest than its layer, a full disk, a folder with other
//! content.
//!
//! Source: [image-spec, image-layout.md](https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md).

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use slipway_values::digest::Digest;

use crate::atomic_file::AtomicFile;
use crate::hashing::{CHUNK, chunks};
use crate::image::base::read_document;
use crate::image::index::OCI_INDEX;
use crate::image::json::parse;
use crate::image::{Descriptor, Image, ImageError, LayerDescriptor};
use crate::{Error, sha256_file};

const LAYOUT_FILE: &str = "oci-layout";
const VERSION: &str = "1.0.0";

/// A layout that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The base's layers that are not in the layout, because they are not on this disk. A push mounts or copies them from
    /// the base's registry.
    pub missing: Vec<LayerDescriptor>,
}

impl Layout {
    /// Returns whether all layers are in the layout, so that it can be used without a registry.
    pub const fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Writes an image into a folder as an OCI image layout with this one image, with `name` as its reference if given.
///
/// `own` are the files of the image's own layers, in order. `base_blob` returns the path of a base's layer if it is on
/// this disk. Blobs are copied, except those that exist with their digest. An image on a base with Docker's media types
/// keeps Docker's manifest, which some readers of layouts (skopeo 1.9) do not support.
///
/// # Errors
/// A file has another digest than its layer, or cannot be read or written. The folder's `index.json` is then unchanged.
pub fn write_layout(
    image: &Image,
    own: &[&Path],
    base_blob: &dyn Fn(&LayerDescriptor) -> Option<PathBuf>,
    name: Option<&str>,
    folder: &Path,
) -> Result<Layout, Error> {
    let layers = image.layers.iter().filter(|layer| layer.own).count();
    if layers != own.len() {
        return Err(ImageError::Files { layers, files: own.len() }.into());
    }
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(Error::io("create", &blobs))?;
    let mut files = own.iter();
    let mut missing = Vec::new();
    for layer in &image.layers {
        let from = if layer.own { files.next().map(|file| file.to_path_buf()) } else { base_blob(layer) };
        let to = blob_path(folder, layer.digest);
        if is_stored(&to, layer.digest, layer.size) {
            continue;
        }
        match from {
            Some(from) => copy(&from, layer.digest, &to)?,
            None => missing.push(layer.clone()),
        }
    }
    write(&blob_path(folder, image.config_digest), &image.config)?;
    write(&blob_path(folder, image.digest), &image.manifest)?;
    write(&folder.join(LAYOUT_FILE), json!({ "imageLayoutVersion": VERSION }).to_string().as_bytes())?;
    write(&folder.join("index.json"), index(image, name)?.to_string().as_bytes())?;
    Ok(Layout { missing })
}

/// Returns the path of a blob in a layout.
pub fn blob_path(folder: &Path, digest: Digest) -> PathBuf {
    folder.join("blobs/sha256").join(digest.hex())
}

/// Checks that a folder is a layout of the supported version.
pub(super) fn check_layout(folder: &Path) -> Result<(), Error> {
    let refused = |reason| ImageError::NotALayout { folder: folder.to_owned(), reason };
    let path = folder.join(LAYOUT_FILE);
    if !path.is_file() {
        return Err(refused(format!("it has no file {LAYOUT_FILE:?}")).into());
    }
    let mark = parse(&path.display().to_string(), &read_document(&path)?)?;
    match mark.get("imageLayoutVersion").and_then(Value::as_str) {
        Some(version) if version == VERSION => Ok(()),
        other => Err(refused(format!("{LAYOUT_FILE:?} names the version {other:?}")).into()),
    }
}

fn index(image: &Image, name: Option<&str>) -> Result<Value, Error> {
    let what = format!("the config {}", image.config_digest);
    let config = parse(&what, &image.config)?;
    let manifest = Descriptor {
        media_type: image.media_type.to_owned(),
        digest: image.digest,
        size: image.manifest.len() as u64,
    };
    let mut manifest = manifest.to_json();
    let member = |name| config.get(name).cloned().unwrap_or_default();
    manifest["platform"] = json!({ "architecture": member("architecture"), "os": member("os") });
    if let Some(name) = name {
        manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    }
    Ok(json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [manifest] }))
}

/// Returns whether a blob is stored with its length and its digest.
fn is_stored(path: &Path, digest: Digest, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() == size)
        && sha256_file(path).is_ok_and(|(found, _)| found == digest)
}

/// Copies a file, and refuses one with another digest.
fn copy(from: &Path, expected: Digest, to: &Path) -> Result<(), Error> {
    let mut source = File::open(from).map_err(Error::io("open", from))?;
    let part = AtomicFile::create_beside(to)?;
    let mut out = BufWriter::new(part.file());
    let mut hash = Sha256::new();
    let mut failed_writing = false;
    chunks(&mut source, CHUNK, |chunk| {
        hash.update(chunk);
        out.write_all(chunk).inspect_err(|_| failed_writing = true)
    })
    .map_err(|error| match failed_writing {
        true => Error::io("write", to)(error),
        false => Error::io("read", from)(error),
    })?;
    out.flush().map_err(Error::io("write", to))?;
    drop(out);
    let found = Digest::from(hash);
    if found != expected {
        return Err(ImageError::Digest { what: from.display().to_string(), expected, found }.into());
    }
    part.commit()
}

/// Writes a file, which appears only when it is complete.
fn write(to: &Path, bytes: &[u8]) -> Result<(), Error> {
    let part = AtomicFile::create_beside(to)?;
    part.file().write_all(bytes).map_err(Error::io("write", to))?;
    part.commit()
}

//! Reads a base image: its manifest and its config, never its layers.
//!
//! In: the bytes of both, from a registry or from an OCI image layout on disk. Out: a [`Base`] for images that Lambda
//! accepts. Errors: an index instead of an image, an old manifest format, layers with another compression or family of
//! media types, another platform, a config with another digest than the manifest names.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};
use slipway_values::digest::Digest;

use crate::Error;
use crate::image::index::{is_index, is_index_type, platforms};
use crate::image::json::{Document, member_error, parse};
use crate::image::layout::{blob_path, check_layout};
use crate::image::{Architecture, Descriptor, ImageError, LayerDescriptor, MediaTypes, select_from_index};

/// The largest manifest that registries accept, in bytes
/// ([distribution-spec](https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests)).
const LARGEST_DOCUMENT: u64 = 4 * 1024 * 1024;
/// The largest number of nested indexes.
const MAX_INDEX_DEPTH: u8 = 4;

/// A base image for one architecture: its manifest and config.
#[derive(Debug, Clone)]
pub struct Base {
    media_types: MediaTypes,
    architecture: Architecture,
    digest: Digest,
    config_digest: Digest,
    config: Map<String, Value>,
    layers: Vec<LayerDescriptor>,
}

impl Base {
    /// Reads a base from the bytes of its manifest and its config.
    ///
    /// Missing history entries for layers are added to the config: Lambda has refused images without them
    /// (`UnsupportedImageLayerDetected`).
    ///
    /// # Errors
    /// The manifest is an index, has schema 1 or is not an image's; a layer is not gzip or has a media type of the other
    /// family; the config has another digest than the manifest names, is for another platform, or has another number of
    /// layers.
    pub fn read(manifest: &[u8], config: &[u8], architecture: Architecture) -> Result<Self, Error> {
        let digest = Digest::of(manifest);
        let what = format!("the base image's manifest {digest}");
        let members = parse(&what, manifest)?;
        let (media_types, config_descriptor) = read_manifest(&what, &members)?;
        let layers = read_layers(&Document::new(&what, &members), media_types)?;

        let config_digest = Digest::of(config);
        let what = format!("the base image's config {config_digest}");
        if config_digest != config_descriptor.digest {
            let (expected, found) = (config_descriptor.digest, config_digest);
            return Err(ImageError::Digest { what: "the base image's config".into(), expected, found }.into());
        }
        let mut config = parse(&what, config)?;
        check_config(&Document::new(&what, &config), layers.len(), architecture)?;
        fill_history(&what, &mut config, layers.len())?;
        Ok(Self { media_types, architecture, digest, config_digest, config, layers })
    }

    /// Reads a base from an OCI image layout on disk, and checks the digests of the documents.
    ///
    /// `reference` is the digest (`sha256:…`) of one of the layout's manifests or indexes; without one, the layout must
    /// have one image, or one for the architecture.
    ///
    /// # Errors
    /// The folder is not a layout, the image is missing or ambiguous; and the errors of [`Base::read`].
    pub fn from_layout(
        folder: &Path,
        reference: Option<&str>,
        architecture: Architecture,
    ) -> Result<Self, Error> {
        check_layout(folder)?;
        let mut chosen = match reference {
            Some(text) => text
                .parse()
                .map_err(|_| ImageError::NotSha256 { what: "the reference".into(), digest: text.into() })?,
            None => only_image(folder, architecture)?,
        };
        for _ in 0..MAX_INDEX_DEPTH {
            let manifest = read_blob(folder, chosen)?;
            let members = parse(&chosen.to_string(), &manifest)?;
            if is_index(&members) {
                chosen = select_from_index(&manifest, architecture)?.digest;
                continue;
            }
            let what = format!("the base image's manifest {chosen}");
            let (_, config) = read_manifest(&what, &members)?;
            return Self::read(&manifest, &read_blob(folder, config.digest)?, architecture);
        }
        let reason = format!("it has more than {MAX_INDEX_DEPTH} nested indexes");
        Err(ImageError::NotALayout { folder: folder.to_owned(), reason }.into())
    }

    /// Returns the digest of the base's manifest.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns the digest of the base's config, as it was read.
    pub const fn config_digest(&self) -> Digest {
        self.config_digest
    }

    /// Returns the base's layers, the lowest first.
    pub fn layers(&self) -> &[LayerDescriptor] {
        &self.layers
    }

    /// Returns the family of the base's media types.
    pub const fn media_types(&self) -> MediaTypes {
        self.media_types
    }

    /// Returns the base's architecture.
    pub const fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Returns the config, with its history completed.
    pub(super) const fn config(&self) -> &Map<String, Value> {
        &self.config
    }
}

/// Returns a manifest's family of media types and the descriptor of its config.
fn read_manifest(what: &str, members: &Map<String, Value>) -> Result<(MediaTypes, Descriptor), ImageError> {
    let media_type = members.get("mediaType").and_then(Value::as_str);
    if is_index(members) {
        return Err(ImageError::Index { what: what.to_owned(), platforms: platforms(members) });
    }
    if members.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
        return Err(ImageError::SchemaOne { what: what.to_owned() });
    }
    let refused =
        |media_type: &str| ImageError::MediaType { what: what.to_owned(), media_type: media_type.to_owned() };
    let config = Document::new(what, members).object("config")?.descriptor()?;
    let media_types = [MediaTypes::Oci, MediaTypes::Docker]
        .into_iter()
        .find(|family| family.config() == config.media_type)
        .ok_or_else(|| refused(&config.media_type))?;
    // OCI manifests may leave out their media type.
    match media_type {
        Some(media_type) if media_type == media_types.manifest() => {}
        None if media_types == MediaTypes::Oci => {}
        _ => return Err(refused(media_type.unwrap_or_default())),
    }
    Ok((media_types, config))
}

fn read_layers(manifest: &Document<'_>, media_types: MediaTypes) -> Result<Vec<LayerDescriptor>, ImageError> {
    let read = |layer: Document<'_>| {
        let Descriptor { media_type, digest, size } = layer.descriptor()?;
        if media_type != media_types.layer() {
            return Err(ImageError::LayerMediaType {
                what: manifest.what.to_owned(),
                digest,
                reason: layer_problem(&media_type),
                media_type,
            });
        }
        Ok(LayerDescriptor { media_type, digest, size, own: false, unpacked_size: None })
    };
    manifest.objects("layers")?.into_iter().map(read).collect()
}

fn layer_problem(media_type: &str) -> &'static str {
    if [MediaTypes::Oci, MediaTypes::Docker].iter().any(|family| family.layer() == media_type) {
        "it is of the other family of media types"
    } else if media_type.contains("zstd") {
        "it is compressed with zstd"
    } else if media_type.contains("nondistributable") || media_type.contains("foreign") {
        "it may not be distributed"
    } else if media_type.ends_with("tar") {
        "it is not compressed"
    } else {
        "it is not a known type of layer"
    }
}

fn check_config(config: &Document<'_>, layers: usize, architecture: Architecture) -> Result<(), ImageError> {
    let (os, found) = (config.text("os")?, config.text("architecture")?);
    if os != "linux" || found != architecture.oci_name() {
        return Err(ImageError::Platform {
            what: config.what.to_owned(),
            found: format!("{os}/{found}"),
            wanted: architecture.oci_name(),
        });
    }
    let diff_ids = config.object("rootfs")?.list("diff_ids")?.len();
    if diff_ids != layers {
        return Err(ImageError::Count {
            what: config.what.to_owned(),
            list: "diff_ids",
            found: diff_ids,
            layers,
        });
    }
    Ok(())
}

/// Adds history entries until each layer has one.
fn fill_history(what: &str, config: &mut Map<String, Value>, layers: usize) -> Result<(), ImageError> {
    let created = config.get("created").filter(|created| created.is_string()).cloned();
    let history = config.entry("history").or_insert(Value::Null);
    if history.is_null() {
        *history = json!([]);
    }
    let history = history.as_array_mut().ok_or_else(|| member_error(what, "history", "a list"))?;
    let found = layer_entries(history);
    if found > layers {
        return Err(ImageError::Count {
            what: what.to_owned(),
            list: "layers in its history",
            found,
            layers,
        });
    }
    for _ in found..layers {
        let mut entry = Map::new();
        if let Some(created) = &created {
            entry.insert("created".into(), created.clone());
        }
        entry.insert("created_by".into(), "not recorded in the base image".into());
        history.push(entry.into());
    }
    Ok(())
}

/// Returns the number of history entries for layers.
pub(super) fn layer_entries(history: &[Value]) -> usize {
    history.iter().filter(|entry| entry.get("empty_layer").and_then(Value::as_bool) != Some(true)).count()
}

/// Returns the digest of a layout's only image, or of its only one for the architecture.
fn only_image(folder: &Path, architecture: Architecture) -> Result<Digest, Error> {
    let path = folder.join("index.json");
    let index = read_document(&path)?;
    let what = path.display().to_string();
    let members = parse(&what, &index)?;
    let mut images = Vec::new();
    for manifest in Document::new(&what, &members).objects("manifests")? {
        let platform = manifest.object("platform").ok().and_then(|p| p.text("architecture").ok());
        images.push((manifest.descriptor()?, platform));
    }
    let fitting: Vec<&Descriptor> = images
        .iter()
        .filter(|(image, platform)| {
            is_index_type(&image.media_type) || *platform == Some(architecture.oci_name())
        })
        .map(|(image, _)| image)
        .collect();
    match (images.as_slice(), fitting.as_slice()) {
        ([(only, _)], _) => Ok(only.digest),
        (_, [only]) => Ok(only.digest),
        _ => Err(ImageError::WhichImage {
            folder: folder.to_owned(),
            images: images.iter().map(|(image, _)| image.digest).collect(),
        }
        .into()),
    }
}

/// Returns a document of a layout, after checking its digest.
fn read_blob(folder: &Path, expected: Digest) -> Result<Vec<u8>, Error> {
    let path = blob_path(folder, expected);
    let bytes = read_document(&path)?;
    let found = Digest::of(&bytes);
    if found != expected {
        return Err(ImageError::Digest { what: path.display().to_string(), expected, found }.into());
    }
    Ok(bytes)
}

/// Returns the bytes of a manifest, index or config; a file larger than the limit is refused.
pub(super) fn read_document(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes))
        .map_err(Error::io("read", path))?;
    if bytes.len() as u64 > LARGEST_DOCUMENT {
        return Err(member_error(&path.display().to_string(), "", "shorter than 4 MiB").into());
    }
    Ok(bytes)
}

//! Reads a base image: its manifest and its config, never its layers.
//!
//! In: the bytes of both, from a registry or from an OCI image layout on the disk. Out: a [`Base`] on which images
//! can be made that Lambda accepts. What can go wrong: several images in place of one, an old kind of manifest,
//! layers in another compression or family, another platform, a config that is not the manifest's.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::Error;
use crate::image::index::{is_index, is_index_type, platforms};
use crate::image::json::{Document, parse, wrong};
use crate::image::layout::{blob_path, check_layout};
use crate::image::{
    Architecture, Descriptor, ImageError, LayerDescriptor, MediaTypes, digest_from_text, digest_text,
    select_from_index,
};

/// The most that registries take for a manifest, in bytes
/// ([distribution-spec](https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests)).
const LONGEST_DOCUMENT: u64 = 4 * 1024 * 1024;
/// How many indexes may lie in one another.
const DEEPEST: u8 = 4;

/// A base image for one architecture, by its manifest and config.
#[derive(Debug, Clone)]
pub struct Base {
    media_types: MediaTypes,
    architecture: Architecture,
    digest: [u8; 32],
    config_digest: [u8; 32],
    config: Map<String, Value>,
    layers: Vec<LayerDescriptor>,
}

impl Base {
    /// Reads a base from the bytes of its manifest and its config.
    ///
    /// Where the config's history has fewer entries for layers than there are layers, it is filled up: Lambda has
    /// refused images with missing entries (`UnsupportedImageLayerDetected`).
    ///
    /// # Errors
    /// Where the manifest is an index, of schema 1 or no image's; where a layer is not gzip or of the other family
    /// of media types; where the config does not have the digest that the manifest names, is for another platform,
    /// or has another number of layers.
    pub fn read(manifest: &[u8], config: &[u8], architecture: Architecture) -> Result<Self, Error> {
        let digest: [u8; 32] = Sha256::digest(manifest).into();
        let what = format!("the base image's manifest {}", digest_text(&digest));
        let members = parse(&what, manifest)?;
        let (media_types, config_descriptor) = read_manifest(&what, &members)?;
        let layers = read_layers(&Document::new(&what, &members), media_types)?;

        let config_digest: [u8; 32] = Sha256::digest(config).into();
        let what = format!("the base image's config {}", digest_text(&config_digest));
        if config_digest != config_descriptor.digest {
            let (expected, found) = (digest_text(&config_descriptor.digest), digest_text(&config_digest));
            return Err(ImageError::Digest { what: "the base image's config".into(), expected, found }.into());
        }
        let mut config = parse(&what, config)?;
        check_config(&Document::new(&what, &config), layers.len(), architecture)?;
        fill_history(&what, &mut config, layers.len())?;
        Ok(Self { media_types, architecture, digest, config_digest, config, layers })
    }

    /// Reads a base from an OCI image layout on the disk, and checks the digests of what it reads.
    ///
    /// `reference` is the digest (`sha256:…`) of one of the layout's manifests or indexes; without one, the layout
    /// must hold one image, or one for the architecture.
    ///
    /// # Errors
    /// Where the folder is no layout, where the image is missing or ambiguous, and as for [`Base::read`].
    pub fn from_layout(
        folder: &Path,
        reference: Option<&str>,
        architecture: Architecture,
    ) -> Result<Self, Error> {
        check_layout(folder)?;
        let mut chosen = match reference {
            Some(text) => digest_from_text(text)
                .ok_or_else(|| ImageError::NotSha256 { what: "the reference".into(), digest: text.into() })?,
            None => only_image(folder, architecture)?,
        };
        for _ in 0..DEEPEST {
            let manifest = read_blob(folder, &chosen)?;
            let members = parse(&digest_text(&chosen), &manifest)?;
            if is_index(&members) {
                chosen = select_from_index(&manifest, architecture)?.digest;
                continue;
            }
            let what = format!("the base image's manifest {}", digest_text(&chosen));
            let (_, config) = read_manifest(&what, &members)?;
            return Self::read(&manifest, &read_blob(folder, &config.digest)?, architecture);
        }
        let reason = format!("more than {DEEPEST} indexes lie in one another");
        Err(ImageError::NotALayout { folder: folder.to_owned(), reason }.into())
    }

    /// Returns the digest of the base's manifest.
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Returns the digest of the base's config, as it was read.
    pub const fn config_digest(&self) -> [u8; 32] {
        self.config_digest
    }

    /// Returns the base's layers, from the lowest on.
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

    /// Returns the config, its history filled up.
    pub(super) const fn config(&self) -> &Map<String, Value> {
        &self.config
    }
}

/// Reads a manifest's family and the descriptor of its config.
fn read_manifest(what: &str, members: &Map<String, Value>) -> Result<(MediaTypes, Descriptor), ImageError> {
    let said = members.get("mediaType").and_then(Value::as_str);
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
    // OCI manifests need not say what they are.
    match said {
        Some(said) if said == media_types.manifest() => {}
        None if media_types == MediaTypes::Oci => {}
        _ => return Err(refused(said.unwrap_or_default())),
    }
    Ok((media_types, config))
}

fn read_layers(manifest: &Document<'_>, media_types: MediaTypes) -> Result<Vec<LayerDescriptor>, ImageError> {
    let read = |layer: Document<'_>| {
        let Descriptor { media_type, digest, size } = layer.descriptor()?;
        if media_type != media_types.layer() {
            return Err(ImageError::LayerMediaType {
                what: manifest.what.to_owned(),
                digest: digest_text(&digest),
                reason: what_is_wrong(&media_type),
                media_type,
            });
        }
        Ok(LayerDescriptor { media_type, digest, size, own: false, unpacked_size: None })
    };
    manifest.objects("layers")?.into_iter().map(read).collect()
}

fn what_is_wrong(media_type: &str) -> &'static str {
    if [MediaTypes::Oci, MediaTypes::Docker].iter().any(|family| family.layer() == media_type) {
        "it is of the other family of media types"
    } else if media_type.contains("zstd") {
        "it is compressed by zstd"
    } else if media_type.contains("nondistributable") || media_type.contains("foreign") {
        "it may not be distributed"
    } else if media_type.ends_with("tar") {
        "it is not compressed"
    } else {
        "it is no known kind of layer"
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
    let history = history.as_array_mut().ok_or_else(|| wrong(what, "history", "a list"))?;
    let found = of_layers(history);
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

/// Counts the history entries that stand for a layer.
pub(super) fn of_layers(history: &[Value]) -> usize {
    history.iter().filter(|entry| entry.get("empty_layer").and_then(Value::as_bool) != Some(true)).count()
}

/// Chooses the only image of a layout, or the only one for the architecture.
fn only_image(folder: &Path, architecture: Architecture) -> Result<[u8; 32], Error> {
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
            images: images.iter().map(|(image, _)| digest_text(&image.digest)).collect(),
        }
        .into()),
    }
}

/// Reads a document of a layout by its digest, and checks that it has it.
fn read_blob(folder: &Path, digest: &[u8; 32]) -> Result<Vec<u8>, Error> {
    let path = blob_path(folder, digest);
    let bytes = read_document(&path)?;
    let found: [u8; 32] = Sha256::digest(&bytes).into();
    if found != *digest {
        let (expected, found) = (digest_text(digest), digest_text(&found));
        return Err(ImageError::Digest { what: path.display().to_string(), expected, found }.into());
    }
    Ok(bytes)
}

/// Reads a manifest, index or config; nothing that long is one.
pub(super) fn read_document(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(LONGEST_DOCUMENT + 1).read_to_end(&mut bytes))
        .map_err(Error::io("read", path))?;
    if bytes.len() as u64 > LONGEST_DOCUMENT {
        return Err(wrong(&path.display().to_string(), "", "shorter than 4 MiB").into());
    }
    Ok(bytes)
}

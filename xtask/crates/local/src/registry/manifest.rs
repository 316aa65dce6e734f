//! What a manifest says: the parts that a registry checks and that the gateway runs by.
//!
//! In: JSON of an OCI image manifest or index, or Docker's version 2 schema 2 of them. Out: a [`Manifest`]. See
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md>.

use super::name::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Media types of one image.
const IMAGES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
/// Media types of a list of images.
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LISTS: [&str; 2] = [INDEX, "application/vnd.docker.distribution.manifest.list.v2+json"];

/// A manifest of an image, or an index of several.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u64,
    pub(crate) media_type: Option<String>,
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Option<Descriptor>,
    #[serde(default)]
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default)]
    pub(crate) manifests: Vec<Descriptor>,
    pub(crate) subject: Option<Descriptor>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

/// What a manifest says of something else.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    /// In bytes.
    pub(crate) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

impl Manifest {
    /// Reads a manifest of the media type it came with; the error says what is wrong.
    pub(crate) fn read(bytes: &[u8], media_type: &str) -> Result<Self, String> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("the manifest is malformed: {error}"))?;
        if manifest.schema_version != 2 {
            return Err(format!("the manifest has schemaVersion {}, known is 2", manifest.schema_version));
        }
        if let Some(own) = manifest.media_type.as_deref().filter(|own| *own != media_type) {
            return Err(format!("the manifest says that it is `{own}`, the request `{media_type}`"));
        }
        match (is_image(media_type), is_list(media_type)) {
            (true, _) if manifest.config.is_none() => Err("the image's manifest names no config".to_owned()),
            (true, _) if !manifest.manifests.is_empty() => {
                Err("an image's manifest holds no manifests".to_owned())
            }
            (_, true) if manifest.config.is_some() || !manifest.layers.is_empty() => {
                Err("an index holds neither config nor layers".to_owned())
            }
            (false, false) => Err(format!("manifests of the media type `{media_type}` are not taken")),
            _ => Ok(manifest),
        }
    }
}

/// Says whether a media type is that of one image.
pub(crate) fn is_image(media_type: &str) -> bool {
    IMAGES.contains(&media_type)
}

fn is_list(media_type: &str) -> bool {
    LISTS.contains(&media_type)
}

impl Descriptor {
    /// Reads the digest; `None` where it is none of ours.
    pub(crate) fn digest(&self) -> Option<Digest> {
        Digest::parse(&self.digest)
    }

    /// Says whether the bytes lie elsewhere by right and need not be pushed.
    pub(super) fn foreign(&self) -> bool {
        self.media_type.contains("nondistributable") || self.media_type.contains("foreign")
    }
}

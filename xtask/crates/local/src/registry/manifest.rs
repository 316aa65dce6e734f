//! Manifests: the parts that the registry checks and that the gateway needs to run an image.
//!
//! In: JSON of an OCI image manifest or index, or of Docker's version 2 schema 2. Out: a [`Manifest`]. See
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

/// A reference from a manifest to a blob or another manifest.
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
    /// Reads a manifest that was pushed with a media type; the error describes the problem.
    pub(crate) fn read(bytes: &[u8], media_type: &str) -> Result<Self, String> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("the manifest is malformed: {error}"))?;
        if manifest.schema_version != 2 {
            return Err(format!("the manifest's schemaVersion is {}, not 2", manifest.schema_version));
        }
        if let Some(own) = manifest.media_type.as_deref().filter(|own| *own != media_type) {
            return Err(format!("the manifest's media type is `{own}`, the request's is `{media_type}`"));
        }
        match (is_image(media_type), is_list(media_type)) {
            (true, _) if manifest.config.is_none() => Err("the image's manifest has no config".to_owned()),
            (true, _) if !manifest.manifests.is_empty() => {
                Err("an image's manifest must not list manifests".to_owned())
            }
            (_, true) if manifest.config.is_some() || !manifest.layers.is_empty() => {
                Err("an index must have neither config nor layers".to_owned())
            }
            (false, false) => Err(format!("the media type `{media_type}` is not supported for manifests")),
            _ => Ok(manifest),
        }
    }
}

/// Returns whether a media type is that of one image.
pub(crate) fn is_image(media_type: &str) -> bool {
    IMAGES.contains(&media_type)
}

fn is_list(media_type: &str) -> bool {
    LISTS.contains(&media_type)
}

impl Descriptor {
    /// Returns the digest; `None` if it is not a SHA-256 digest.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.digest.parse().ok()
    }

    /// Returns whether the blob is stored elsewhere and need not be pushed.
    pub(super) fn is_foreign(&self) -> bool {
        self.media_type.contains("nondistributable") || self.media_type.contains("foreign")
    }
}

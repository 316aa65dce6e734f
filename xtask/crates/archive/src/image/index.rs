//! Selects one image of an index by its architecture.
//!
//! In: the bytes of an OCI index or a Docker manifest list. Out: the descriptor of the image for Linux and the
//! architecture. Errors: it is not an index, or has no such image; the error lists its platforms. Manifests of
//! attestations, which builders add with the platform `unknown/unknown`, do not count as images.

use serde_json::{Map, Value};

use crate::Error;
use crate::image::json::{Document, parse};
use crate::image::{Architecture, Descriptor, ImageError};

pub(super) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Returns an index's image for Linux and the architecture; the first, where there are several.
///
/// # Errors
/// The bytes are not an index, or it has no such image; the error then lists its platforms.
pub fn select_from_index(index: &[u8], architecture: Architecture) -> Result<Descriptor, Error> {
    let what = "the index";
    let members = parse(what, index)?;
    if !is_index(&members) {
        let media_type = members.get("mediaType").and_then(Value::as_str).unwrap_or_default().to_owned();
        return Err(ImageError::MediaType { what: what.to_owned(), media_type }.into());
    }
    let index = Document::new(what, &members);
    for manifest in index.objects("manifests")? {
        if platform(&manifest).is_some_and(|(os, found, variant)| {
            // All of Lambda's arm64 processors are v8; a lower variant is another instruction set.
            os == "linux" && found == architecture.oci_name() && matches!(variant, None | Some("v8"))
        }) {
            return Ok(manifest.descriptor()?);
        }
    }
    let (what, wanted) = (what.to_owned(), architecture.oci_name());
    Err(ImageError::NoPlatform { what, wanted, platforms: platforms(&members) }.into())
}

/// Returns whether a document is an index or a manifest list, even without a media type.
pub(super) fn is_index(document: &Map<String, Value>) -> bool {
    match document.get("mediaType").and_then(Value::as_str) {
        Some(media_type) => is_index_type(media_type),
        None => document.contains_key("manifests"),
    }
}

pub(super) fn is_index_type(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_LIST)
}

/// Returns the platforms of an index's images, as `os/architecture`.
pub(super) fn platforms(index: &Map<String, Value>) -> Vec<String> {
    let manifests = index.get("manifests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    manifests
        .iter()
        .filter_map(|manifest| {
            let manifest = Document::new("the index", manifest.as_object()?);
            let (os, architecture, variant) = platform(&manifest)?;
            let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
            (os != "unknown").then(|| format!("{os}/{architecture}{variant}"))
        })
        .collect()
}

fn platform<'a>(manifest: &Document<'a>) -> Option<(&'a str, &'a str, Option<&'a str>)> {
    let platform = manifest.object("platform").ok()?;
    let variant = platform.members.get("variant").and_then(Value::as_str);
    Some((platform.text("os").ok()?, platform.text("architecture").ok()?, variant))
}

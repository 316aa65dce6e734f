//! The formats of stored manifests: a reader and a writer for each schema.
//!
//! A stored manifest is read, written and digested by the schema that it names, whatever newer schemas there are. A new
//! schema is another entry in [`FORMATS`]; the entries before it do not change.

use super::Manifest;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::{FunctionName, Version};
use crate::schema::{schema_of, unknown_schema};

/// The schema of new manifests.
pub(super) const NEWEST: &str = "slipway.release/1";

/// Reads and writes a seal. While it is computed, the manifest has none, for which `slipway.release/1` writes 64 zeros.
pub(super) mod optional_seal {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    use crate::digest::Digest;

    const NONE: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    pub(crate) fn serialize<S: Serializer>(seal: &Option<Digest>, to: S) -> Result<S::Ok, S::Error> {
        match seal {
            Some(digest) => digest.serialize(to),
            None => NONE.serialize(to),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Digest>, D::Error> {
        match String::deserialize(from)?.as_str() {
            NONE => Ok(None),
            text => text.parse().map(Some).map_err(D::Error::custom),
        }
    }
}

/// One format of stored manifests.
#[derive(Clone, Copy)]
pub(super) struct ManifestFormat {
    /// The schema's name.
    pub(super) schema: &'static str,
    /// Reads the bytes; they may have been edited.
    pub(super) read: fn(&[u8]) -> serde_json::Result<Manifest>,
    /// Writes the bytes that `read` reads.
    pub(super) write: fn(&Manifest) -> serde_json::Result<Vec<u8>>,
}

/// All formats, oldest first.
pub(super) const FORMATS: &[ManifestFormat] =
    &[ManifestFormat { schema: "slipway.release/1", read: read_1, write: write_1 }];

fn read_1(bytes: &[u8]) -> serde_json::Result<Manifest> {
    serde_json::from_slice(bytes)
}

fn write_1(manifest: &Manifest) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(manifest)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Returns the seal of a manifest.
pub(super) fn seal(manifest: &Manifest) -> Digest {
    let unsealed = Manifest { seal: None, ..manifest.clone() };
    // A manifest is plain data: writing it cannot fail, and a failure would only make the seals differ.
    Digest::of(serde_json::to_vec(&unsealed).unwrap_or_default())
}

/// Writes a manifest in the format that it names.
pub(super) fn write(formats: &[ManifestFormat], manifest: &Manifest) -> Result<Vec<u8>> {
    let format = formats.iter().find(|format| format.schema == manifest.schema).ok_or_else(|| {
        Failure::defect(format!("no format of release manifests is named {}", manifest.schema))
    })?;
    (format.write)(manifest)
        .map_err(|error| Failure::defect("a release manifest cannot be written as JSON").caused_by(error))
}

/// Reads a manifest in the format that it names; refuses one that was edited or is stored under another name.
pub(super) fn read(
    formats: &[ManifestFormat],
    bytes: &[u8],
    function: &FunctionName,
    version: &Version,
) -> Result<Manifest> {
    let edited = |what: &str| {
        Failure::refused(format!("the manifest of `{function}` {version} was edited: {what}"))
            .unchanged("It was not used; nothing was changed.")
            .hint("restore the object's first version in the store: a manifest never changes once it is written")
    };
    let schema = schema_of(bytes).ok_or_else(|| edited("it is not a release manifest"))?;
    let Some(format) = formats.iter().find(|format| format.schema == schema) else {
        let newest = formats.last().map_or(NEWEST, |format| format.schema);
        return Err(unknown_schema(&format!("the manifest of `{function}` {version}"), &schema, newest));
    };
    let manifest = (format.read)(bytes)
        .map_err(|error| edited(&format!("it is not a manifest of {schema}")).caused_by(error))?;
    if manifest.seal != Some(seal(&manifest)) {
        return Err(edited("its content does not match its seal"));
    }
    // The signature covers the stored bytes: a manifest with the same content but other bytes is another one.
    if write(formats, &manifest)? != bytes {
        return Err(edited("its bytes are not those that were written"));
    }
    if manifest.function != *function || manifest.version != *version {
        return Err(edited(&format!("it is the manifest of `{}` {}", manifest.function, manifest.version)));
    }
    if !manifest.artifact.is_consistent(manifest.package) {
        return Err(edited("its digests do not match each other"));
    }
    Ok(manifest)
}

//! A release that would serve instead of another one: what comparing their commits needs.
//!
//! It may be published already or not be built yet. In: a manifest, or the source that would be built.

use super::inputs_record::InputsRecord;
use super::manifest::Manifest;
use crate::digest::Digest;
use crate::failure::Result;
use crate::name::{FunctionName, Version};
use crate::source::Source;

/// A release that would serve.
#[derive(Debug, Clone)]
pub(crate) struct ReleaseCandidate {
    /// The function.
    pub(crate) function: FunctionName,
    /// The version.
    pub(crate) version: Version,
    /// The commit that it is, or would be, built from.
    pub(crate) commit: String,
    /// The digest of its inputs.
    pub(crate) inputs_digest: Digest,
    /// The inputs, where they are in no store yet.
    pub(crate) inputs: Option<InputsRecord>,
    /// SHA-256 of its manifest, where it is published.
    pub(crate) manifest: Option<Digest>,
}

impl ReleaseCandidate {
    /// Describes a published release.
    pub(crate) fn published(manifest: &Manifest) -> Result<Self> {
        Ok(Self {
            function: manifest.function.clone(),
            version: manifest.version.clone(),
            commit: manifest.source.commit.clone(),
            inputs_digest: manifest.source.inputs_digest,
            inputs: None,
            manifest: Some(manifest.digest()?),
        })
    }

    /// Describes a release that would be built from a source.
    pub(crate) fn of_source(function: &FunctionName, version: &Version, source: &Source) -> Self {
        Self {
            function: function.clone(),
            version: version.clone(),
            commit: source.commit.clone(),
            inputs_digest: source.inputs_digest,
            inputs: Some(InputsRecord::of(&source.inputs)),
            manifest: None,
        }
    }
}

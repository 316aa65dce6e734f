//! Releases: function + version + artifact digest + how it was made. Immutable once the manifest is written.
//!
//! In: a built artifact and its source. Out: a [`Manifest`] in the store's catalogue. The blobs go first, the manifest
//! last: it is the commit point, so a release that was cut off is completed by the next run and never seen half.

mod catalogue;
mod manifest;
mod publish;
#[cfg(test)]
mod tests;
mod version;

pub(crate) use catalogue::Catalogue;
#[cfg(test)]
pub(crate) use manifest::tests::sample as sample_manifest;
pub(crate) use manifest::{ArtifactRecord, Built, Manifest, SmokeRecord, SourceRecord, artifact_key};
pub(crate) use publish::{Published, publish};
pub(crate) use version::{Bump, Choice, Request, choose, tag_prefix};

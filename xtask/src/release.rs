//! Releases: function + version + artifact digest + how it was made. Immutable once the manifest is written.
//!
//! In: a built artifact and its source. Out: a [`Manifest`] in the store's catalogue. The blobs go first, then SBOM and
//! signed provenance, the manifest last: it is the commit point, so a release that was cut off is completed by the next
//! run and never seen half. [`trusted`] and [`whole`] tell whether a release is still what somebody trusted published.

mod catalogue;
mod envelope;
mod key;
mod manifest;
mod provenance;
mod publish;
mod record;
pub(crate) mod sbom;
#[cfg(test)]
mod tests;
mod verify;
mod version;

pub(crate) use catalogue::Catalogue;
pub(crate) use key::{PrivateKey, PublicKey};
#[cfg(test)]
pub(crate) use manifest::tests::sample as sample_manifest;
pub(crate) use manifest::{
    ArtifactRecord, Built, Manifest, RequestRecord, SmokeRecord, SourceRecord, artifact_key,
};
pub(crate) use provenance::Circumstances;
pub(crate) use publish::{Attestor, Content, Published, Statements, publish};
pub(crate) use record::InputsRecord;
#[cfg(test)]
pub(crate) use verify::Examined;
pub(crate) use verify::{Trust, examine, trusted, whole};
pub(crate) use version::{Bump, Choice, Request, choose, tag_prefix};

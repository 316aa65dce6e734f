//! Releases: function + version + artifact digest + how it was built. Immutable once the manifest is written.
//!
//! In: a built artifact and its source. Out: a [`Manifest`] in the store's catalogue. The blobs are written first, then SBOM
//! and signed provenance, the manifest last: it is the commit point. The next run completes a release that was interrupted, and
//! nobody sees half of one. [`check_trust`] and [`check_bytes`] refuse a release that is not what a trusted key
//! signed, or whose bytes changed.

mod attestation;
mod bundle;
mod candidate;
mod catalogue;
mod cosign;
mod envelope;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod inputs_record;
mod key;
mod manifest;
mod owner;
mod provenance;
mod publish;
pub(crate) mod sbom;
mod snapshot;
mod tags;
#[cfg(test)]
mod tests;
mod verify;
mod version;

pub(crate) use attestation::{StoredAttestation, stored_attestation};
pub(crate) use bundle::{AttachedBundle, StoredBundle, attach_bundles, stored_bundle};
pub(crate) use candidate::ReleaseCandidate;
pub(crate) use catalogue::Catalogue;
pub(crate) use cosign::cosign_tags;
pub(crate) use inputs_record::InputsRecord;
pub(crate) use key::{PrivateKey, PublicKey, create_key_pair};
pub(crate) use manifest::{ArtifactRecord, BuildRecord, Manifest, RequestRecord, SmokeRecord, SourceRecord};
#[cfg(test)]
pub(crate) use manifest::{artifact_key, tests::sample as sample_manifest};
pub(crate) use provenance::{BuildInvocation, Material, claims_of_build};
pub(crate) use publish::{ProvenanceSigner, PublishedRelease, ReleaseContent, ReleaseStatements, publish};
pub(crate) use snapshot::RecordedReleases;
pub(crate) use tags::{write_missing_tags, write_tag};
pub(crate) use verify::{ReleaseExamination, TrustPolicy, check_bytes, check_trust, examine};
pub(crate) use version::{VersionBump, VersionChoice, VersionRequest, choose_version};

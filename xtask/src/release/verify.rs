//! Verifying a release: its bytes are those that were published, and a trusted key signed it.
//!
//! In: a manifest from the catalogue, and an environment's [`TrustPolicy`]. Out: a refusal, or nothing; for people, all checks
//! with their results. Goes wrong: objects that are missing or were edited; signatures that are missing, wrong or by a key
//! that is not trusted; provenance without the claims that the environment requires.

mod examination;

#[cfg(test)]
pub(crate) use examination::ReleaseCheck;
pub(crate) use examination::{ReleaseExamination, examine};

use super::catalogue::Catalogue;
use super::envelope::Envelope;
use super::key::PublicKey;
use super::manifest::Manifest;
use super::provenance::Statement;
use super::sbom;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::format;
use crate::name::EnvironmentName;
use crate::ports::DigestComparison;
use crate::settings::ProvenanceClaims;

/// The keys that an environment trusts, and what it requires of a release.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustPolicy {
    /// Whether a release without a signature is refused.
    pub(crate) required: bool,
    /// The trusted keys.
    pub(crate) keys: Vec<PublicKey>,
    /// The claims that the provenance must make.
    pub(crate) claims: ProvenanceClaims,
    /// The issuer of the builder that the claims require.
    pub(crate) issuer: Option<String>,
}

/// Returns the key of a manifest's attestation.
pub(crate) fn attestation_key(manifest: &Digest) -> String {
    format!("attestations/sha256/{}.dsse.json", manifest.hex())
}

/// Why a release is not trusted.
#[derive(Debug)]
pub(super) struct TrustFailure {
    /// The reason, without the release's name.
    pub(super) reason: String,
    /// The ids of the keys that the signatures name.
    pub(super) signed_by: Vec<String>,
}

/// The status of a release's attestation in an environment.
#[derive(Debug)]
pub(super) enum AttestationStatus {
    /// The trusted key with this id signed it.
    Trusted(String),
    /// There is none.
    Unsigned,
    /// There is one, but the environment trusts no key that could verify it.
    Unverified,
}

/// Refuses a release that an environment does not trust.
///
/// Where signatures are optional, a missing one is accepted; a wrong one never is.
pub(crate) async fn check_trust(
    catalogue: &Catalogue,
    manifest: &Manifest,
    policy: &TrustPolicy,
    environment: &EnvironmentName,
) -> Result<()> {
    use AttestationStatus::{Trusted, Unsigned, Unverified};
    let unsigned = |reason: &str| TrustFailure { reason: reason.into(), signed_by: Vec::new() };
    let failure = match attestation_status(catalogue, manifest, policy).await? {
        Ok(Trusted(_)) => return Ok(()),
        Ok(Unsigned | Unverified) if !policy.required => return Ok(()),
        Ok(Unsigned) => unsigned("it has no signature"),
        Ok(Unverified) => unsigned("the environment trusts no key that could have signed it"),
        Err(failure) => failure,
    };
    let (function, version) = (&manifest.function, &manifest.version);
    let hint = if policy.keys.is_empty() {
        format!(
            "terraform/environments/{environment}/environment.toml trusts no key yet: cargo xtask bootstrap --write makes one and writes `trusted_keys`; with a key of your own (cargo xtask key new): trusted_keys = [\"keys/release.pub.pem\"]; to take releases that nobody signed: signatures = \"optional\""
        )
    } else if failure.signed_by.is_empty() {
        format!(
            "release it again with a signing key ([store] signing_key or SLIPWAY_SIGNING_KEY); for details: cargo xtask verify-release {function} {version} --env {environment}"
        )
    } else {
        format!(
            "for details: cargo xtask verify-release {function} {version} --env {environment}; trusted keys are in terraform/environments/{environment}/environment.toml"
        )
    };
    let listed = |ids: &[String]| if ids.is_empty() { "none".to_owned() } else { format::list(ids) };
    let trusted: Vec<String> = policy.keys.iter().map(|key| key.id().to_owned()).collect();
    Err(Failure::refused(format!("{environment} does not trust `{function}` {version}: {}", failure.reason))
        .detail("signed by", listed(&failure.signed_by))
        .detail("trusted", listed(&trusted))
        .hint(hint))
}

/// Returns the status of a release's attestation, or why it is not trusted.
pub(super) async fn attestation_status(
    catalogue: &Catalogue,
    manifest: &Manifest,
    policy: &TrustPolicy,
) -> Result<Result<AttestationStatus, TrustFailure>> {
    let Some(stored) = catalogue.store().get(&attestation_key(&manifest.digest()?)).await? else {
        return Ok(Ok(AttestationStatus::Unsigned));
    };
    let envelope = match Envelope::read(&stored.bytes) {
        Ok(envelope) => envelope,
        Err(error) => {
            let reason = format!("its attestation was edited: {error}");
            return Ok(Err(TrustFailure { reason, signed_by: Vec::new() }));
        }
    };
    let signed_by: Vec<String> = envelope.key_ids().into_iter().map(str::to_owned).collect();
    let failure = |reason: String| Ok(Err(TrustFailure { reason, signed_by: signed_by.clone() }));
    let key = envelope.signed_by(&policy.keys);
    if key.is_none() && !policy.keys.is_empty() {
        let named = policy.keys.iter().any(|key| signed_by.iter().any(|id| id == key.id()));
        return failure(if named {
            "its signature is wrong: other bytes were signed".into()
        } else {
            "no trusted key signed it".into()
        });
    }
    // The payload is read only now: where keys are trusted, one that none of them signed is not parsed.
    let statement = match envelope.payload().and_then(|payload| Statement::read(&payload)) {
        Ok(statement) => statement,
        Err(reason) => return failure(reason),
    };
    let mut wrong = statement.differences(manifest)?;
    wrong.extend(
        statement
            .missing_claims(&policy.claims, policy.issuer.as_deref())
            .into_iter()
            .map(|claim| format!("its provenance does not match: {claim}")),
    );
    if !wrong.is_empty() {
        return failure(wrong.join("; "));
    }
    Ok(Ok(key.map_or(AttestationStatus::Unverified, |key| AttestationStatus::Trusted(key.id().to_owned()))))
}

/// Reads a release's artifact and SBOM, and refuses bytes that do not have the digests in its manifest.
///
/// Without this a signature covers what was published, not what is stored now.
pub(crate) async fn check_bytes(catalogue: &Catalogue, manifest: &Manifest) -> Result<()> {
    let artifact = &manifest.artifact;
    let store = catalogue.store();
    let refused = |what: &str, key: &str| {
        let (function, version) = (&manifest.function, &manifest.version);
        Failure::refused(format!("{what} of `{function}` {version} is not what was released"))
            .detail("object", format!("{}/{key}", store.place()))
            .hint("restore the object's first version in the store, or create a new release")
    };
    match catalogue.compare_artifact(manifest, None).await? {
        DigestComparison::Same => {}
        DigestComparison::Missing => {
            return Err(refused("the artifact", &artifact.key).detail("found", "nothing"));
        }
        DigestComparison::Other(found) => {
            return Err(refused("the artifact", &artifact.key)
                .detail("found", found.to_string())
                .detail("released", artifact.sha256.to_string()));
        }
    }
    if let Some(wanted) = manifest.sbom {
        let key = sbom::key(&artifact.sha256);
        match stored_sbom(catalogue, manifest, &wanted).await? {
            Some(bytes) if Digest::of(&bytes) == wanted => {}
            Some(bytes) => {
                return Err(refused("the SBOM", &key)
                    .detail("found", Digest::of(&bytes).to_string())
                    .detail("released", wanted.to_string()));
            }
            None => return Err(refused("the SBOM", &key).detail("found", "nothing")),
        }
    }
    Ok(())
}

/// Reads a release's SBOM from either of its keys; returns other bytes only where neither has the wanted digest.
pub(super) async fn stored_sbom(
    catalogue: &Catalogue,
    manifest: &Manifest,
    wanted: &Digest,
) -> Result<Option<Vec<u8>>> {
    let artifact = &manifest.artifact.sha256;
    let first = catalogue.store().get(&sbom::key(artifact)).await?.map(|stored| stored.bytes);
    if first.as_ref().is_some_and(|bytes| Digest::of(bytes) == *wanted) {
        return Ok(first);
    }
    let second = catalogue.store().get(&sbom::other_key(artifact, wanted)).await?.map(|stored| stored.bytes);
    Ok(second.or(first))
}

#[cfg(test)]
mod tests;

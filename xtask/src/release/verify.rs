//! Verifying a release: that its bytes are those that were published, and that somebody trusted says so.
//!
//! In: a manifest as the catalogue holds it, and an environment's [`Trust`]. Out: a refusal, or nothing; for people, every
//! check with what was found. Goes wrong: objects that are missing or were edited, signatures that are missing, wrong, or by
//! a key that nobody trusts, provenance that claims something else than the environment demands.

mod examine;

pub(crate) use examine::examine;
#[cfg(test)]
pub(crate) use examine::{Check, Examined};

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
use crate::ports::Held;
use crate::settings::ProvenanceClaims;

/// Whom an environment trusts, and for what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    /// Whether a release without a signature is refused.
    pub(crate) required: bool,
    /// The keys whose signatures count.
    pub(crate) keys: Vec<PublicKey>,
    /// What the provenance must claim.
    pub(crate) claims: ProvenanceClaims,
}

/// Returns the key of a manifest's attestation.
pub(crate) fn attestation_key(manifest: &Digest) -> String {
    format!("attestations/sha256/{}.dsse.json", manifest.hex())
}

/// Why a release is not trusted.
#[derive(Debug)]
pub(super) struct Distrust {
    /// In one sentence, without the release's name.
    pub(super) why: String,
    /// The ids of the keys that signed, as they say.
    pub(super) seen: Vec<String>,
}

/// What an attestation is worth in an environment.
#[derive(Debug)]
pub(super) enum Worth {
    /// A trusted key signed it: its id.
    Trusted(String),
    /// There is none.
    Unsigned,
    /// There is one, and the environment trusts no key at all that it could be held against.
    Unverified,
}

/// Refuses a release that an environment does not trust; nothing of it has been used yet.
///
/// Where signatures are optional a missing one is no reason, a wrong one always is.
pub(crate) async fn trusted(
    catalogue: &Catalogue,
    manifest: &Manifest,
    trust: &Trust,
    environment: &EnvironmentName,
) -> Result<()> {
    let distrust = match worth(catalogue, manifest, trust).await? {
        Ok(Worth::Trusted(_)) => return Ok(()),
        Ok(Worth::Unsigned | Worth::Unverified) if !trust.required => return Ok(()),
        Ok(Worth::Unsigned) => Distrust { why: "it has no signature".into(), seen: Vec::new() },
        Ok(Worth::Unverified) => {
            Distrust { why: "no key is trusted that could have signed it".into(), seen: Vec::new() }
        }
        Err(distrust) => distrust,
    };
    let (function, version) = (&manifest.function, &manifest.version);
    let hint = if distrust.seen.is_empty() {
        format!(
            "release it anew where a signing key is configured ([store] signing_key or SLIPWAY_SIGNING_KEY); look with cargo xtask verify-release {function} {version} --env {environment}"
        )
    } else {
        format!(
            "look with cargo xtask verify-release {function} {version} --env {environment}; trusted keys stand in terraform/environments/{environment}/environment.toml"
        )
    };
    let listed = |ids: &[String]| if ids.is_empty() { "none".to_owned() } else { format::list(ids) };
    let trusted: Vec<String> = trust.keys.iter().map(|key| key.id().to_owned()).collect();
    Err(Failure::refused(format!("{environment} does not trust `{function}` {version}: {}", distrust.why))
        .detail("signed by", listed(&distrust.seen))
        .detail("trusted", listed(&trusted))
        .hint(hint))
}

/// Says what an attestation is worth, or why it is a bad one.
pub(super) async fn worth(
    catalogue: &Catalogue,
    manifest: &Manifest,
    trust: &Trust,
) -> Result<Result<Worth, Distrust>> {
    let Some(stored) = catalogue.store().get(&attestation_key(&manifest.digest()?)).await? else {
        return Ok(Ok(Worth::Unsigned));
    };
    let envelope = match Envelope::read(&stored.bytes) {
        Ok(envelope) => envelope,
        Err(why) => {
            return Ok(Err(Distrust { why: format!("its attestation was edited: {why}"), seen: Vec::new() }));
        }
    };
    let seen: Vec<String> = envelope.key_ids().into_iter().map(str::to_owned).collect();
    let distrust = |why: String| Ok(Err(Distrust { why, seen: seen.clone() }));
    let key = envelope.signed_by(&trust.keys);
    if key.is_none() && !trust.keys.is_empty() {
        let named = trust.keys.iter().any(|key| seen.iter().any(|id| id == key.id()));
        return distrust(if named {
            "its signature is wrong: what was signed is something else".into()
        } else {
            "it is signed by no trusted key".into()
        });
    }
    // Read only now: what nobody trusted has signed is not looked into where somebody could have.
    let statement = match envelope.payload().and_then(|payload| Statement::read(&payload)) {
        Ok(statement) => statement,
        Err(why) => return distrust(why),
    };
    let mut wrong = statement.differences(manifest)?;
    wrong.extend(
        statement
            .missing_claims(&trust.claims)
            .into_iter()
            .map(|claim| format!("its provenance does not fit: {claim}")),
    );
    if !wrong.is_empty() {
        return distrust(wrong.join("; "));
    }
    Ok(Ok(key.map_or(Worth::Unverified, |key| Worth::Trusted(key.id().to_owned()))))
}

/// Reads a release's artifact and SBOM again, and refuses bytes that are not those of its manifest.
///
/// Without this a signature says only what was published, not what is there.
pub(crate) async fn whole(catalogue: &Catalogue, manifest: &Manifest) -> Result<()> {
    let artifact = &manifest.artifact;
    let store = catalogue.store();
    let refused = |what: &str, key: &str| {
        let (function, version) = (&manifest.function, &manifest.version);
        Failure::refused(format!("{what} of `{function}` {version} is not what was released"))
            .detail("object", format!("{}/{key}", store.place()))
            .hint("restore the object's first version in the store, or cut a new release")
    };
    match catalogue.held(manifest, None).await? {
        Held::Same => {}
        Held::Missing => return Err(refused("the artifact", &artifact.key).detail("found", "nothing")),
        Held::Other(found) => {
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

/// Reads a release's SBOM from where it may lie; bytes of another digest only where there are none of this one.
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

//! Publishing: the bytes first, by their digest, then SBOM and provenance; the manifest last, by its version. A run that is
//! killed at any point can be repeated.

use std::path::Path;

use super::catalogue::Catalogue;
use super::cosign;
use super::envelope::Envelope;
use super::key::PublicKey;
use super::manifest::{Manifest, artifact_key};
use super::provenance::{BuildInvocation, Statement};
use super::sbom;
use super::verify::attestation_key;
use super::version::{VersionBump, bumped};
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::Version;
use crate::ports::{Image, Put, Signer};
use crate::progress::Step;

/// A release in the catalogue, after publishing.
#[derive(Debug, Clone)]
pub(crate) enum PublishedRelease {
    /// It was published now.
    New(Manifest),
    /// A release with the same artifact and inputs existed already.
    Existing(Manifest),
}

impl PublishedRelease {
    /// Returns the manifest in the catalogue.
    pub(crate) fn manifest(&self) -> &Manifest {
        match self {
            Self::New(manifest) | Self::Existing(manifest) => manifest,
        }
    }
}

/// The key that signs a release's provenance, and the build that the provenance states.
pub(crate) struct ProvenanceSigner<'a> {
    /// The key.
    pub(crate) signer: &'a dyn Signer,
    /// The build.
    pub(crate) invocation: BuildInvocation,
}

/// The documents that are published with a release's manifest.
#[derive(Default)]
pub(crate) struct ReleaseStatements<'a> {
    /// The SBOM's bytes.
    pub(crate) sbom: Option<Vec<u8>>,
    /// The signer of the provenance; a release without one is not signed.
    pub(crate) provenance: Option<ProvenanceSigner<'a>>,
}

/// Media types of documents that are attached to an image:
/// <https://www.iana.org/assignments/media-types/application/vnd.cyclonedx+json>.
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
/// <https://github.com/secure-systems-lab/dsse/blob/master/envelope.md>
const DSSE: &str = "application/vnd.dsse.envelope.v1+json";

/// How many versions are tried when other runs take them first.
const MAX_ATTEMPTS: usize = 20;

/// A release's bytes.
pub(crate) enum ReleaseContent<'a> {
    /// A zip on disk.
    Zip(&'a Path),
    /// An image, labelled with the release's version.
    Image(&'a Image),
}

/// Publishes a release: the bytes by their digest, SBOM and attestation by digests, then the manifest by its version.
///
/// Where other bytes have the version already: an error if `exact_version`, else the next number is taken. An image has its
/// version in a label, so there it is always an error.
pub(crate) async fn publish(
    catalogue: &Catalogue,
    manifest: Manifest,
    content: ReleaseContent<'_>,
    statements: ReleaseStatements<'_>,
    exact_version: bool,
    step: &Step,
) -> Result<PublishedRelease> {
    let store = catalogue.store();
    let digest = manifest.artifact.sha256;
    let exact_version = exact_version || matches!(content, ReleaseContent::Image(_));
    catalogue.mark(&manifest.function).await?;
    store_content(catalogue, &manifest, &content, step).await?;
    let mut manifest = manifest;
    if let Some(sbom) = statements.sbom {
        if let ReleaseContent::Image(image) = &content {
            catalogue.images()?.attach(manifest.artifact.repository(), image, CYCLONEDX, &sbom).await?;
        }
        manifest.sbom = Some(store_sbom(catalogue, &digest, sbom).await?);
        manifest = manifest.sealed();
    }
    for _ in 0..MAX_ATTEMPTS {
        if let Some(provenance) = &statements.provenance {
            let envelope = store_attestation(catalogue, &manifest, provenance).await?;
            if let ReleaseContent::Image(image) = &content {
                catalogue.images()?.attach(manifest.artifact.repository(), image, DSSE, &envelope).await?;
                cosign::sign_image(catalogue, &manifest, provenance.signer, &envelope).await?;
            }
        }
        match store.put_new(&Manifest::key(&manifest.function, &manifest.version), manifest.bytes()?).await? {
            Put::Created => return Ok(PublishedRelease::New(manifest)),
            Put::Same => return Ok(PublishedRelease::Existing(manifest)),
            Put::Different => {}
        }
        let stored = catalogue.manifest(&manifest.function, &manifest.version).await?;
        if stored.artifact.sha256 == digest && stored.source.inputs_digest == manifest.source.inputs_digest {
            return Ok(PublishedRelease::Existing(stored));
        }
        if exact_version || manifest.version.is_dirty() {
            return Err(version_taken(&manifest, &stored));
        }
        manifest.version = bumped(&manifest.version, VersionBump::Patch);
        manifest = manifest.sealed();
    }
    Err(Failure::failed(format!(
        "`{}`: other runs took {MAX_ATTEMPTS} versions in a row while this release was being published",
        manifest.function
    )))
}

/// Stores the bytes.
async fn store_content(
    catalogue: &Catalogue,
    manifest: &Manifest,
    content: &ReleaseContent<'_>,
    step: &Step,
) -> Result<()> {
    let Manifest { artifact, function, version, .. } = manifest;
    let failure = match content {
        ReleaseContent::Zip(zip) => {
            let store = catalogue.store();
            let key = artifact_key(&artifact.sha256);
            let put = store.put_new_file(&key, zip, artifact.sha256, &|sent| step.advance(sent)).await?;
            if !matches!(put, Put::Different) {
                return Ok(());
            }
            Failure::failed("the store has other bytes under the name of this artifact").hint("somebody replaced or truncated that object: restore or delete it, then run the same command again")
        }
        ReleaseContent::Image(image) => {
            let images = catalogue.images()?;
            let tag = version.to_string();
            let put = images.push(artifact.repository(), &tag, image, &|sent| step.advance(sent)).await?;
            if !matches!(put, Put::Different) {
                return Ok(());
            }
            Failure::refused(format!("the registry has another image of `{function}` under the tag {tag}"))
                .hint("somebody released that version meanwhile, or a run was interrupted: take another version with --bump or --version")
        }
    };
    Err(failure
        .detail("object", catalogue.artifact_address(manifest))
        .detail("built", artifact.sha256.to_string())
        .unchanged("The release was not published; the object was not changed."))
}

/// Stores an SBOM and returns its digest.
async fn store_sbom(catalogue: &Catalogue, artifact: &Digest, bytes: Vec<u8>) -> Result<Digest> {
    let (store, digest) = (catalogue.store(), Digest::of(&bytes));
    // The same bytes may have other dependencies, or another version of Slipway described them: then the earlier document
    // stays, and this one gets a key of its own.
    let first = sbom::key(artifact);
    if !matches!(store.put_new(&first, bytes.clone()).await?, Put::Different) {
        return Ok(digest);
    }
    let second = sbom::other_key(artifact, &digest);
    match store.put_new(&second, bytes).await? {
        Put::Created | Put::Same => Ok(digest),
        Put::Different => Err(replaced_object(catalogue, &second, "SBOM")),
    }
}

/// Signs a release's provenance, stores it by the manifest's digest and returns the stored envelope.
async fn store_attestation(
    catalogue: &Catalogue,
    manifest: &Manifest,
    provenance: &ProvenanceSigner<'_>,
) -> Result<Vec<u8>> {
    let payload = Statement::of(manifest, &provenance.invocation)?.bytes()?;
    let envelope = Envelope::sign(&payload, provenance.signer).await?;
    let public = PublicKey::read_der(&provenance.signer.public_key()?, "the signing key")?;
    let is_signed = |envelope: &Envelope| envelope.signed_by(std::slice::from_ref(&public)).is_some();
    if !is_signed(&envelope) {
        return Err(Failure::failed(format!(
            "the signing key {} made a signature that its public key does not verify",
            public.id()
        ))
        .unchanged("The release was not published.")
        .hint("check that it is an ECDSA key on P-256 that signs with SHA-256"));
    }
    let key = attestation_key(&manifest.digest()?);
    let (store, bytes) = (catalogue.store(), envelope.bytes()?);
    if !matches!(store.put_new(&key, bytes.clone()).await?, Put::Different) {
        return Ok(bytes);
    }
    // Signatures may differ each time: the payload and the key must be the same.
    let stored = store.get(&key).await?.map(|stored| stored.bytes).unwrap_or_default();
    let same = Envelope::read(&stored).is_ok_and(|envelope| {
        envelope.payload().is_ok_and(|stated| stated == payload) && is_signed(&envelope)
    });
    if same { Ok(stored) } else { Err(replaced_object(catalogue, &key, "attestation")) }
}

fn replaced_object(catalogue: &Catalogue, key: &str, what: &str) -> Failure {
    Failure::failed(format!("the store has another {what} under the name of this release's"))
        .detail("object", format!("{}/{key}", catalogue.store().place()))
        .unchanged("The release was not published; the object was not changed.")
        .hint("somebody replaced that object: restore or delete it, then run the same command again")
}

fn version_taken(built: &Manifest, stored: &Manifest) -> Failure {
    let short = |commit: &str| commit.chars().take(7).collect::<String>();
    let (function, version): (_, &Version) = (&built.function, &built.version);
    Failure::refused(format!("`{function}` {version} already exists with other bytes"))
        .detail(
            "stored",
            format!(
                "{}   released {} from {} by {}",
                stored.artifact.sha256,
                stored.built.at.strftime("%Y-%m-%d %H:%M"),
                short(&stored.source.commit),
                stored.built.by
            ),
        )
        .detail("built", format!("{}   now, from {}", built.artifact.sha256, short(&built.source.commit)))
        .unchanged("Nothing was published. A version never changes once it is published.")
        .hint(
            "leave out --version to take the next free version, or list the existing ones: cargo xtask releases "
                .to_owned()
                + function.as_str(),
        )
}

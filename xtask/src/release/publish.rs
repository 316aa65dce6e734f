//! Publishing: bytes first, by their digest, then what is said about them; the manifest last, by its name. Killed at any
//! point, it is run again.

use std::path::Path;

use super::catalogue::Catalogue;
use super::envelope::Envelope;
use super::key::PublicKey;
use super::manifest::{Manifest, artifact_key};
use super::provenance::{Circumstances, Statement};
use super::sbom;
use super::verify::attestation_key;
use super::version::{Bump, bumped};
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::Version;
use crate::ports::{Image, Put, Signer};
use crate::progress::Step;

/// What publishing came to.
#[derive(Debug, Clone)]
pub(crate) enum Published {
    /// The manifest is new.
    New(Manifest),
    /// A release with the same artifact and inputs was there already.
    Existing(Manifest),
}

impl Published {
    /// Returns the release as the catalogue holds it.
    pub(crate) fn manifest(&self) -> &Manifest {
        match self {
            Self::New(manifest) | Self::Existing(manifest) => manifest,
        }
    }
}

/// Who signs, and what is stated.
pub(crate) struct Attestor<'a> {
    /// The key.
    pub(crate) signer: &'a dyn Signer,
    /// The circumstances of the build.
    pub(crate) circumstances: Circumstances,
}

/// What a release says of itself beside its manifest.
#[derive(Default)]
pub(crate) struct Statements<'a> {
    /// The SBOM's bytes.
    pub(crate) sbom: Option<Vec<u8>>,
    /// Who signs the provenance.
    pub(crate) attestor: Option<Attestor<'a>>,
}

/// The kinds of documents that are attached to an image: <https://www.iana.org/assignments/media-types/application/vnd.cyclonedx+json>.
const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
/// <https://github.com/secure-systems-lab/dsse/blob/master/envelope.md>
const DSSE: &str = "application/vnd.dsse.envelope.v1+json";

/// How often the next number is tried when others take it first.
const RACES: usize = 20;

/// A release's bytes.
pub(crate) enum Content<'a> {
    /// A zip on disk.
    Zip(&'a Path),
    /// An image, labelled with the release's version.
    Image(&'a Image),
}

/// Publishes a release: its bytes under their digest, SBOM and attestation under digests, then the manifest under its
/// version.
///
/// Where the version is taken by other bytes: an error if exactly that version was asked for, else the next number. An image
/// carries its version, so there it is always an error.
pub(crate) async fn publish(
    catalogue: &Catalogue,
    manifest: Manifest,
    content: Content<'_>,
    statements: Statements<'_>,
    asked: bool,
    step: &Step,
) -> Result<Published> {
    let store = catalogue.store();
    let digest = manifest.artifact.sha256;
    let asked = asked || matches!(content, Content::Image(_));
    put_content(catalogue, &manifest, &content, step).await?;
    let mut manifest = manifest;
    if let Some(sbom) = statements.sbom {
        if let Content::Image(image) = &content {
            catalogue.images()?.attach(manifest.artifact.repository(), image, CYCLONEDX, &sbom).await?;
        }
        manifest.sbom = Some(keep_sbom(catalogue, &digest, sbom).await?);
        manifest = manifest.sealed();
    }
    for _ in 0..RACES {
        if let Some(attestor) = &statements.attestor {
            let envelope = attest(catalogue, &manifest, attestor).await?;
            if let Content::Image(image) = &content {
                catalogue.images()?.attach(manifest.artifact.repository(), image, DSSE, &envelope).await?;
            }
        }
        match store.put_new(&Manifest::key(&manifest.function, &manifest.version), manifest.bytes()?).await? {
            Put::Created => return Ok(Published::New(manifest)),
            Put::Same => return Ok(Published::Existing(manifest)),
            Put::Different => {}
        }
        let stored = catalogue.manifest(&manifest.function, &manifest.version).await?;
        if stored.artifact.sha256 == digest && stored.source.inputs_digest == manifest.source.inputs_digest {
            return Ok(Published::Existing(stored));
        }
        if asked || manifest.version.is_dirty() {
            return Err(taken(&manifest, &stored));
        }
        manifest.version = bumped(&manifest.version, Bump::Patch);
        manifest = manifest.sealed();
    }
    Err(Failure::failed(format!(
        "`{}`: {RACES} versions in a row were taken by others while this one was being published",
        manifest.function
    )))
}

/// Has the bytes in their place.
async fn put_content(
    catalogue: &Catalogue,
    manifest: &Manifest,
    content: &Content<'_>,
    step: &Step,
) -> Result<()> {
    let Manifest { artifact, function, version, .. } = manifest;
    let failure = match content {
        Content::Zip(zip) => {
            let store = catalogue.store();
            let key = artifact_key(&artifact.sha256);
            let put = store.put_new_file(&key, zip, artifact.sha256, &|sent| step.advance(sent)).await?;
            if !matches!(put, Put::Different) {
                return Ok(());
            }
            Failure::failed("the store holds other bytes under the name of this artifact").hint("somebody replaced or truncated that object: restore or delete it, then run the same command again")
        }
        Content::Image(image) => {
            let images = catalogue.images()?;
            let tag = version.to_string();
            let put = images.push(artifact.repository(), &tag, image, &|sent| step.advance(sent)).await?;
            if !matches!(put, Put::Different) {
                return Ok(());
            }
            Failure::refused(format!("the registry has another image of `{function}` under the tag {tag}"))
                .hint("somebody released that version meanwhile, or a run was cut off before it was whole: --bump or --version takes another number")
        }
    };
    Err(failure
        .detail("object", catalogue.object(manifest))
        .detail("built", artifact.sha256.to_string())
        .unchanged("The release was not published; the object was left as it is."))
}

/// Stores an SBOM and returns its digest.
async fn keep_sbom(catalogue: &Catalogue, artifact: &Digest, bytes: Vec<u8>) -> Result<Digest> {
    let (store, digest) = (catalogue.store(), Digest::of(&bytes));
    // The same bytes may come of other dependencies, or were described by another version of Slipway: then the document of
    // that time stays, and this one lies beside it.
    let first = sbom::key(artifact);
    if !matches!(store.put_new(&first, bytes.clone()).await?, Put::Different) {
        return Ok(digest);
    }
    let second = sbom::other_key(artifact, &digest);
    match store.put_new(&second, bytes).await? {
        Put::Created | Put::Same => Ok(digest),
        Put::Different => Err(edited(catalogue, &second, "SBOM")),
    }
}

/// Signs what is stated about a release, stores it under the manifest's digest and returns what is stored.
async fn attest(catalogue: &Catalogue, manifest: &Manifest, attestor: &Attestor<'_>) -> Result<Vec<u8>> {
    let payload = Statement::of(manifest, &attestor.circumstances)?.bytes()?;
    let envelope = Envelope::seal(&payload, attestor.signer).await?;
    let public = PublicKey::read_der(&attestor.signer.public_key()?, "the signing key")?;
    let of_key = |envelope: &Envelope| envelope.signed_by(std::slice::from_ref(&public)).is_some();
    if !of_key(&envelope) {
        return Err(Failure::failed(format!(
            "the signing key {} made a signature that its own public half does not verify",
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
    // Signatures may differ each time: what counts is that the same key stated the same.
    let stored = store.get(&key).await?.map(|stored| stored.bytes).unwrap_or_default();
    let same = Envelope::read(&stored)
        .is_ok_and(|envelope| envelope.payload().is_ok_and(|stated| stated == payload) && of_key(&envelope));
    if same { Ok(stored) } else { Err(edited(catalogue, &key, "attestation")) }
}

fn edited(catalogue: &Catalogue, key: &str, what: &str) -> Failure {
    Failure::failed(format!("the store holds another {what} under the name of this release's"))
        .detail("object", format!("{}/{key}", catalogue.store().place()))
        .unchanged("The release was not published; the object was left as it is.")
        .hint("somebody replaced that object: restore or delete it, then run the same command again")
}

fn taken(built: &Manifest, stored: &Manifest) -> Failure {
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
        .unchanged("Nothing was published. A version never changes once it is cut.")
        .hint(
            "leave out --version to cut the next free one, or look at what exists: cargo xtask releases "
                .to_owned()
                + function.as_str(),
        )
}

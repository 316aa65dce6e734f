//! A released image's signature and attestation where cosign looks for them: under the tags `sha256-<hex>.sig` and
//! `sha256-<hex>.att` of the image's repository.
//!
//! In: a release whose image is pushed, the signing key, the signed envelope. Out: two small images, each pushed once. One that
//! is there already stays, if the same key made it for this image. Errors: a refusal where something else is there. Formats:
//! <https://github.com/sigstore/cosign/blob/v2.4.1/specs/SIGNATURE_SPEC.md> and
//! <https://github.com/sigstore/cosign/blob/v2.4.1/specs/ATTESTATION_SPEC.md>.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::catalogue::Catalogue;
use super::envelope::Envelope;
use super::key::PublicKey;
use super::manifest::Manifest;
use super::provenance::PREDICATE_TYPE;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::ports::{BlobPlace, Image, ImageBlob, Images, Put, Signer};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const DSSE: &str = "application/vnd.dsse.envelope.v1+json";
/// The annotation of a layer that has its signature, in base64.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What a signature's payload says that it is.
const SIGNATURE_TYPE: &str = "cosign container image signature";

/// The longest document that is read back, in bytes.
const LONGEST: u64 = 4 << 20;

/// A tag beside a released image.
struct Tag<'a> {
    images: &'a dyn Images,
    repository: &'a str,
    name: String,
    /// What it has, for messages.
    what: &'static str,
    /// The media type of its layer.
    media_type: &'static str,
}

/// What a tag names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tagged {
    /// There is no such tag.
    Nothing,
    /// A document that is right.
    Right,
    /// Something else.
    Other,
}

/// A layer of what a tag names, with its bytes.
struct Document {
    layer: Value,
    bytes: Vec<u8>,
}

/// Returns the tags of an image's signature and attestation.
pub(crate) fn cosign_tags(image: &Digest) -> [String; 2] {
    ["sig", "att"].map(|suffix| format!("sha256-{}.{suffix}", image.hex()))
}

/// Signs a released image for cosign and attaches its attestation, where they are not there yet.
pub(super) async fn sign_image(
    catalogue: &Catalogue,
    manifest: &Manifest,
    signer: &dyn Signer,
    envelope: &[u8],
) -> Result<()> {
    let (images, repository) = (catalogue.images()?, manifest.artifact.repository());
    let digest = &manifest.artifact.sha256;
    let public = PublicKey::read_der(&signer.public_key()?, "the signing key")?;
    let [tag_of_signature, tag_of_attestation] = tags(images, repository, digest);
    let is_signature = |document: &Document| is_signature(document, digest, &public);
    if !tag_of_signature.has(is_signature).await? {
        let bytes = simple_signing(&format!("{}/{repository}", images.place()), digest).into_bytes();
        let signature = BASE64_STANDARD.encode(signer.sign(&bytes).await?);
        tag_of_signature.put(bytes, json!({ SIGNATURE: signature }), is_signature).await?;
    }
    // After a run that was killed, this may be the envelope of a manifest that was never published, about the same image.
    let is_attestation = |document: &Document| is_attestation(&document.bytes, digest, &public);
    if !tag_of_attestation.has(is_attestation).await? {
        let annotations = json!({ SIGNATURE: "", "predicateType": PREDICATE_TYPE });
        tag_of_attestation.put(envelope.to_owned(), annotations, is_attestation).await?;
    }
    Ok(())
}

/// Reads what cosign would find for a released image; returns what each tag has, by one of these keys, in the order of
/// [`cosign_tags`].
pub(super) async fn stored_tags(
    catalogue: &Catalogue,
    manifest: &Manifest,
    keys: &[PublicKey],
) -> Result<[(&'static str, Tagged); 2]> {
    let digest = &manifest.artifact.sha256;
    let [signature, attestation] = tags(catalogue.images()?, manifest.artifact.repository(), digest);
    let by_any = |is_right: &dyn Fn(&PublicKey) -> bool| keys.iter().any(is_right);
    let found = [
        signature.look(|document| by_any(&|key| is_signature(document, digest, key))).await?,
        attestation.look(|document| by_any(&|key| is_attestation(&document.bytes, digest, key))).await?,
    ];
    Ok([(signature.what, found[0]), (attestation.what, found[1])])
}

fn tags<'a>(images: &'a dyn Images, repository: &'a str, digest: &Digest) -> [Tag<'a>; 2] {
    let [signature, attestation] = cosign_tags(digest);
    [(signature, "signature", SIMPLE_SIGNING), (attestation, "attestation", DSSE)]
        .map(|(name, what, media_type)| Tag { images, repository, name, what, media_type })
}

/// Returns the payload of a signature: "simple signing", of
/// <https://github.com/containers/image/blob/v5.32.2/docs/containers-signature.5.md#json-data-format>.
fn simple_signing(reference: &str, digest: &Digest) -> String {
    json!({
        "critical": {
            "identity": { "docker-reference": reference },
            "image": { "docker-manifest-digest": digest.to_string() },
            "type": SIGNATURE_TYPE,
        },
        "optional": null,
    })
    .to_string()
}

/// Returns whether a document is a signature of an image by a key.
fn is_signature(document: &Document, digest: &Digest, public: &PublicKey) -> bool {
    let critical = serde_json::from_slice::<Value>(&document.bytes).unwrap_or_default()["critical"].take();
    let signature = document.layer["annotations"][SIGNATURE].as_str().unwrap_or_default();
    let signature = BASE64_STANDARD.decode(signature).unwrap_or_default();
    critical["type"] == SIGNATURE_TYPE
        && critical["image"]["docker-manifest-digest"] == digest.to_string()
        && public.verifies(&document.bytes, &signature)
}

/// Returns whether an envelope is an attestation about an image by a key.
fn is_attestation(envelope: &[u8], digest: &Digest, public: &PublicKey) -> bool {
    let Ok(envelope) = Envelope::read(envelope) else { return false };
    if envelope.signed_by(std::slice::from_ref(public)).is_none() {
        return false;
    }
    let statement: Value =
        serde_json::from_slice(&envelope.payload().unwrap_or_default()).unwrap_or_default();
    let subjects = statement["subject"].as_array().map(Vec::as_slice).unwrap_or_default();
    statement["predicateType"] == PREDICATE_TYPE
        && subjects.iter().any(|subject| subject["digest"]["sha256"] == digest.hex())
}

impl Tag<'_> {
    /// Looks whether the tag has a document that is right.
    async fn look(&self, is_right: impl Fn(&Document) -> bool) -> Result<Tagged> {
        let Some(manifest) = self.images.tagged(self.repository, &self.name).await? else {
            return Ok(Tagged::Nothing);
        };
        let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
        for layer in manifest["layers"].as_array().into_iter().flatten() {
            let size = layer["size"].as_u64().unwrap_or(u64::MAX);
            let digest = layer["digest"].as_str().unwrap_or_default().parse::<Digest>();
            if let (Ok(digest), true, true) = (digest, layer["mediaType"] == self.media_type, size <= LONGEST)
            {
                let bytes = self.images.blob(self.repository, &digest, size).await?;
                if is_right(&Document { layer: layer.clone(), bytes }) {
                    return Ok(Tagged::Right);
                }
            }
        }
        Ok(Tagged::Other)
    }

    /// Returns whether the tag has a document that is right; a refusal where it names something else.
    async fn has(&self, is_right: impl Fn(&Document) -> bool) -> Result<bool> {
        if let found @ (Tagged::Nothing | Tagged::Right) = self.look(is_right).await? {
            return Ok(found == Tagged::Right);
        }
        Err(Failure::refused(format!(
            "the registry has another {} of this image than the release key's",
            self.what
        ))
        .detail("image", format!("{}/{}:{}", self.images.place(), self.repository, self.name))
        .unchanged("The image is in the registry; it was not released, and the tag was not changed.")
        .hint("somebody put it there: look at it, delete that tag, then run the same command again"))
    }

    /// Pushes a document as an image of one layer. Where another run was faster, its document must be right.
    async fn put(
        &self,
        bytes: Vec<u8>,
        annotations: Value,
        is_right: impl Fn(&Document) -> bool,
    ) -> Result<()> {
        let image = image_of(self.media_type, bytes, &annotations);
        match self.images.push_document(self.repository, &self.name, &image).await? {
            Put::Created | Put::Same => Ok(()),
            Put::Different => self.has(is_right).await.map(drop),
        }
    }
}

/// Returns an image with one document as its layer, and the configuration that cosign writes.
fn image_of(media_type: &str, bytes: Vec<u8>, annotations: &Value) -> Image {
    const NEVER: &str = "0001-01-01T00:00:00Z";
    let layer = Digest::of(&bytes);
    let config = json!({
        "architecture": "",
        "created": NEVER,
        "history": [{ "created": NEVER }],
        "os": "",
        "rootfs": { "type": "layers", "diff_ids": [layer.to_string()] },
        "config": {},
    });
    let config = config.to_string().into_bytes();
    let blob = |bytes: Vec<u8>| ImageBlob {
        digest: Digest::of(&bytes),
        size: bytes.len() as u64,
        place: BlobPlace::Bytes(bytes),
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "size": config.len(), "digest": Digest::of(&config).to_string() },
        "layers": [{
            "mediaType": media_type,
            "size": bytes.len(),
            "digest": layer.to_string(),
            "annotations": annotations,
        }],
    });
    let manifest = manifest.to_string().into_bytes();
    Image {
        digest: Digest::of(&manifest),
        manifest,
        media_type: MANIFEST.to_owned(),
        blobs: vec![blob(config), blob(bytes)],
    }
}

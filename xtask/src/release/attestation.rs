//! A release's stored attestation, in the parts that other programs verify.
//!
//! In: a manifest from the catalogue. Out: the envelope, what it signs, its signature and the statement's claims. Errors: the
//! store cannot be read; an envelope that cannot be read is a finding, in words.

use super::catalogue::Catalogue;
use super::envelope::Envelope;
use super::key::PublicKey;
use super::manifest::Manifest;
use super::provenance::Statement;
use super::verify::attestation_key;
use crate::failure::Result;
use crate::identity::VerifiedIdentity;

/// A release's attestation.
pub(crate) struct StoredAttestation {
    /// The envelope as it is stored.
    pub(crate) envelope: Vec<u8>,
    /// The statement.
    pub(crate) payload: Vec<u8>,
    /// The bytes that the signature covers.
    pub(crate) signed: Vec<u8>,
    /// The signature in DER.
    pub(crate) signature: Vec<u8>,
    /// The trusted key that signed it.
    pub(crate) signed_by: Option<PublicKey>,
    /// The builder that the statement names.
    pub(crate) builder: String,
    /// The CI run that a token proved.
    pub(crate) identity: Option<VerifiedIdentity>,
}

/// Reads a release's attestation; nothing where the release is not signed.
pub(crate) async fn stored_attestation(
    catalogue: &Catalogue,
    manifest: &Manifest,
    keys: &[PublicKey],
) -> Result<Option<Result<StoredAttestation, String>>> {
    let Some(stored) = catalogue.store().get(&attestation_key(&manifest.digest()?)).await? else {
        return Ok(None);
    };
    Ok(Some(read(stored.bytes, keys)))
}

fn read(bytes: Vec<u8>, keys: &[PublicKey]) -> Result<StoredAttestation, String> {
    let envelope = Envelope::read(&bytes)?;
    let payload = envelope.payload()?;
    let statement = Statement::read(&payload)?;
    let (signed, signature) = envelope.signed_bytes()?;
    Ok(StoredAttestation {
        signed_by: envelope.signed_by(keys).cloned(),
        builder: statement.builder().to_owned(),
        identity: statement.identity().cloned(),
        payload,
        signed,
        signature,
        envelope: bytes,
    })
}

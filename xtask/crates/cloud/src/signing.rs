//! Signatures by a key that never leaves KMS.
//!
//! In: a key's id, ARN or alias, and messages. Out: its public key and DER-encoded ECDSA signatures over P-256 with
//! SHA-256, which any library verifies without KMS. What can go wrong names the key: there is none, it is of another
//! kind, it is disabled, the credentials may not use it.

use std::fmt;
use std::sync::Arc;

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use slipway_values::digest::Digest;

use crate::call::Calls;
use crate::error::{CloudError, Kind};
use crate::session::Shared;

/// Up to this size in bytes KMS hashes messages itself.
///
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html>
const RAW: usize = 4096;
/// How the DER of every public key of P-256 begins: id-ecPublicKey, prime256v1, an uncompressed point.
///
/// <https://www.rfc-editor.org/rfc/rfc5480#section-2>. Emulators leave out the answer's own words for it.
const P256: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
/// The columns of base64 in a PEM file.
const COLUMNS: usize = 64;

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The X.509 SubjectPublicKeyInfo, in DER.
    pub der: Vec<u8>,
}

/// A signing key in KMS.
#[derive(Clone)]
pub struct KmsKey {
    shared: Arc<Shared>,
    calls: Calls,
    name: String,
}

impl PublicKey {
    /// Writes the key as PEM, as openssl does.
    pub fn pem(&self) -> String {
        let text = BASE64.encode(&self.der);
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, after) = rest.split_at(rest.len().min(COLUMNS));
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        pem
    }
}

impl KmsKey {
    pub(crate) fn new(shared: Arc<Shared>, name: &str) -> Self {
        let calls = shared.calls("KMS");
        Self { shared, calls, name: name.to_owned() }
    }

    /// Names the key as it was named when it was opened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the public half.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such key; a key that does not sign, or is not of P-256, is refused.
    pub async fn public_key(&self) -> Result<PublicKey, CloudError> {
        let request = self.shared.kms().get_public_key().key_id(&self.name);
        let answer = self.calls.run("GetPublicKey", &self.name, request.send()).await?;
        let refused = |message: &str| {
            let origin = self.calls.origin("GetPublicKey", &self.name);
            CloudError::at(&origin, Kind::Other, message)
        };
        let usage = answer.key_usage().map_or("nothing", KeyUsageType::as_str);
        let der = answer.public_key().ok_or_else(|| refused("the answer holds no key"))?;
        if usage != "SIGN_VERIFY" || !der.as_ref().starts_with(&P256) {
            let spec = answer.key_spec().map_or("another curve or algorithm", KeySpec::as_str);
            let wanted = "releases are signed by a key of ECC_NIST_P256 for SIGN_VERIFY";
            return Err(refused(&format!("{wanted}, and this one is of {spec} for {usage}")));
        }
        Ok(PublicKey { der: der.as_ref().to_vec() })
    }

    /// Signs a message with ECDSA over P-256 and SHA-256; gives the signature in DER.
    ///
    /// Messages up to 4,096 bytes are sent as they are, of larger ones the digest.
    pub async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CloudError> {
        let (kind, bytes) = match message.len() {
            0..=RAW => (MessageType::Raw, message.to_vec()),
            _ => (MessageType::Digest, Digest::of(message).bytes().to_vec()),
        };
        let request = self.shared.kms().sign().key_id(&self.name);
        let request = request.signing_algorithm(SigningAlgorithmSpec::EcdsaSha256);
        let request = request.message_type(kind).message(Blob::new(bytes));
        let answer = self.calls.run("Sign", &self.name, request.send()).await?;
        let signature = answer.signature().ok_or_else(|| {
            let origin = self.calls.origin("Sign", &self.name);
            CloudError::at(&origin, Kind::Other, "the answer holds no signature")
        })?;
        Ok(signature.as_ref().to_vec())
    }

    /// Makes a key for signing, under an alias (`alias/shop-release`) that must be new.
    pub(crate) async fn create(shared: Arc<Shared>, alias: &str) -> Result<Self, CloudError> {
        let key = Self::new(shared, alias);
        let refused = |kind, message: String| {
            let origin = key.calls.origin("CreateKey", alias);
            CloudError::at(&origin, kind, message)
        };
        let named = alias.strip_prefix("alias/").filter(|name| !name.is_empty());
        if named.is_none_or(|name| name.starts_with("aws/")) {
            return Err(refused(Kind::Other, "a key's alias is written `alias/<name>`".into()));
        }
        let looked = key.shared.kms().describe_key().key_id(alias);
        match key.calls.run("DescribeKey", alias, looked.send()).await {
            Ok(_) => return Err(refused(Kind::Conflict, "there is a key of this alias".into())),
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
        let request = key.shared.kms().create_key().key_spec(KeySpec::EccNistP256);
        let request = request.key_usage(KeyUsageType::SignVerify).description("Signs releases (Slipway)");
        let answer = key.calls.run("CreateKey", alias, request.send()).await?;
        let id = answer.key_metadata().map(|made| made.key_id().to_owned());
        let id = id.ok_or_else(|| refused(Kind::Other, "the answer names no key".into()))?;
        let request = key.shared.kms().create_alias().alias_name(alias).target_key_id(&id);
        match key.calls.run("CreateAlias", alias, request.send()).await {
            Ok(_) => Ok(key),
            Err(error) => Err(refused(
                error.kind,
                format!("{error}; the new key {id} has no alias: schedule its deletion, or give it one"),
            )),
        }
    }
}

impl fmt::Debug for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsKey").field("name", &self.name).finish_non_exhaustive()
    }
}

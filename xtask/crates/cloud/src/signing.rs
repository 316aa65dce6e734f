//! Signatures by a key in KMS.
//!
//! In: a key's id, ARN or alias, and messages. Out: its public key and DER-encoded ECDSA signatures over P-256 with
//! SHA-256, which any library verifies without KMS. Errors name the key: it does not exist, it is of another type, it is
//! disabled, the credentials may not use it.

use std::fmt;
use std::sync::Arc;

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use slipway_values::digest::Digest;

use crate::call::ServiceCalls;
use crate::error::{CloudError, CloudErrorKind};
use crate::session::Shared;

/// The largest message, in bytes, that KMS hashes itself.
///
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html>
const LARGEST_RAW: usize = 4096;
/// The first bytes of every P-256 public key in DER: id-ecPublicKey, prime256v1, an uncompressed point.
///
/// <https://www.rfc-editor.org/rfc/rfc5480#section-2>. Emulators leave out the key spec in the response.
const P256_PREFIX: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
/// The width of base64 lines in a PEM file.
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
    calls: ServiceCalls,
    name: String,
}

impl PublicKey {
    /// Returns the key as PEM, with the same bytes as openssl.
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

    /// Returns the id, ARN or alias that the key was opened with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the public key.
    ///
    /// # Errors
    /// [`CloudErrorKind::NotFound`] if there is no such key; a key that does not sign, or is not a P-256 key.
    pub async fn public_key(&self) -> Result<PublicKey, CloudError> {
        let request = self.shared.kms().get_public_key().key_id(&self.name);
        let response = self.calls.run("GetPublicKey", &self.name, request.send()).await?;
        let refused = |message: &str| {
            let context = self.calls.context("GetPublicKey", &self.name);
            CloudError::at(&context, CloudErrorKind::Other, message)
        };
        let usage = response.key_usage().map_or("nothing", KeyUsageType::as_str);
        let der = response.public_key().ok_or_else(|| refused("the response has no key"))?;
        if usage != "SIGN_VERIFY" || !der.as_ref().starts_with(&P256_PREFIX) {
            let spec = response.key_spec().map_or("another curve or algorithm", KeySpec::as_str);
            let wanted = "releases are signed by a key of ECC_NIST_P256 for SIGN_VERIFY";
            return Err(refused(&format!("{wanted}; this key is of {spec} for {usage}")));
        }
        Ok(PublicKey { der: der.as_ref().to_vec() })
    }

    /// Signs a message with ECDSA over P-256 and SHA-256; returns the signature in DER.
    ///
    /// Messages up to 4,096 bytes are sent to KMS as they are, larger ones as their digest.
    pub async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CloudError> {
        let (kind, bytes) = match message.len() {
            0..=LARGEST_RAW => (MessageType::Raw, message.to_vec()),
            _ => (MessageType::Digest, Digest::of(message).bytes().to_vec()),
        };
        let request = self.shared.kms().sign().key_id(&self.name);
        let request = request.signing_algorithm(SigningAlgorithmSpec::EcdsaSha256);
        let request = request.message_type(kind).message(Blob::new(bytes));
        let response = self.calls.run("Sign", &self.name, request.send()).await?;
        let signature = response.signature().ok_or_else(|| {
            let context = self.calls.context("Sign", &self.name);
            CloudError::at(&context, CloudErrorKind::Other, "the response has no signature")
        })?;
        Ok(signature.as_ref().to_vec())
    }

    /// Creates a signing key under a new alias (`alias/shop-release`).
    pub(crate) async fn create(shared: Arc<Shared>, alias: &str) -> Result<Self, CloudError> {
        let key = Self::new(shared, alias);
        let refused = |kind, message: String| {
            let context = key.calls.context("CreateKey", alias);
            CloudError::at(&context, kind, message)
        };
        let named = alias.strip_prefix("alias/").filter(|name| !name.is_empty());
        if named.is_none_or(|name| name.starts_with("aws/")) {
            return Err(refused(CloudErrorKind::Other, "a key's alias is written `alias/<name>`".into()));
        }
        let looked = key.shared.kms().describe_key().key_id(alias);
        match key.calls.run("DescribeKey", alias, looked.send()).await {
            Ok(_) => {
                return Err(refused(CloudErrorKind::Conflict, "a key with this alias exists already".into()));
            }
            Err(error) if error.kind == CloudErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let request = key.shared.kms().create_key().key_spec(KeySpec::EccNistP256);
        let request = request.key_usage(KeyUsageType::SignVerify).description("Signs releases (Slipway)");
        let response = key.calls.run("CreateKey", alias, request.send()).await?;
        let id = response.key_metadata().map(|made| made.key_id().to_owned());
        let id = id.ok_or_else(|| refused(CloudErrorKind::Other, "the response has no key id".into()))?;
        let request = key.shared.kms().create_alias().alias_name(alias).target_key_id(&id);
        match key.calls.run("CreateAlias", alias, request.send()).await {
            Ok(_) => Ok(key),
            Err(error) => Err(refused(
                error.kind,
                format!("{error}; the new key {id} has no alias: create one, or schedule the key's deletion"),
            )),
        }
    }
}

impl fmt::Debug for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsKey").field("name", &self.name).finish_non_exhaustive()
    }
}

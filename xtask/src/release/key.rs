//! Keys that sign releases: ECDSA on P-256, as PEM files.
//!
//! In: the text of a PEM file, or the system's random numbers. Out: [`PrivateKey`], which signs, and [`PublicKey`], which
//! verifies and has an id. Goes wrong: the file is not such a key, the system has no random numbers.

mod pair;

pub(crate) use pair::create_key_pair;

use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{DerSignature, Signature, SigningKey, VerifyingKey};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding,
};

use crate::digest::Digest;
use crate::failure::{Failure, Result};

/// A private key that signs releases.
pub(crate) struct PrivateKey(SigningKey);

impl PrivateKey {
    /// Makes a new key from the system's random numbers.
    pub(crate) fn generate() -> Result<Self> {
        SigningKey::try_generate()
            .map(Self)
            .map_err(|error| Failure::failed("the system has no random numbers for a key").caused_by(error))
    }

    /// Reads a PKCS#8 PEM; `place` names it in errors, which never quote it.
    pub(crate) fn read(pem: &str, place: &str) -> Result<Self> {
        SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|error| {
            let hint = if pem.contains("BEGIN EC PRIVATE KEY") {
                "it is in OpenSSL's older format: openssl pkcs8 -topk8 -nocrypt converts it to PKCS#8"
            } else {
                "cargo xtask key new makes such a key"
            };
            Failure::usage(format!("{place} is not a private key on the curve P-256 in PKCS#8 PEM"))
                .caused_by(error)
                .hint(hint)
        })
    }

    /// Returns the key as PKCS#8 PEM with lines of 64 columns.
    pub(crate) fn pem(&self) -> Result<String> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF);
        pem.map(|pem| pem.as_str().to_owned())
            .map_err(|error| Failure::defect("a private key cannot be written as PEM").caused_by(error))
    }

    #[cfg(test)]
    pub(crate) fn of(key: SigningKey) -> Self {
        Self(key)
    }

    /// Returns the public half.
    pub(crate) fn public(&self) -> Result<PublicKey> {
        PublicKey::new(*self.0.verifying_key())
    }

    /// Signs a message, hashed with SHA-256; returns a DER signature.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.0.sign(message);
        signature.to_der().as_bytes().to_vec()
    }
}

/// A public key that verifies releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKey {
    key: VerifyingKey,
    id: String,
}

impl PublicKey {
    /// Reads an SPKI PEM; `place` names it in errors.
    pub(crate) fn read(pem: &str, place: &str) -> Result<Self> {
        let key = VerifyingKey::from_public_key_pem(pem).map_err(|error| {
            let failure = Failure::usage(format!("{place} is not a public key on the curve P-256 in PEM"));
            let failure = failure.caused_by(error);
            if pem.contains("PRIVATE KEY") {
                failure.hint("it is a private key: name the .pub.pem beside it, and keep this file out of the repository")
            } else {
                failure.hint("cargo xtask key new writes such a file beside the private key")
            }
        })?;
        Self::new(key)
    }

    /// Reads an SPKI in DER, as KMS returns it; `place` names it in errors.
    pub(crate) fn read_der(der: &[u8], place: &str) -> Result<Self> {
        let key = VerifyingKey::from_public_key_der(der).map_err(|error| {
            Failure::usage(format!("{place} is not a key on the curve P-256"))
                .caused_by(error)
                .hint("make the key with the key spec ECC_NIST_P256 and the usage SIGN_VERIFY")
        })?;
        Self::new(key)
    }

    fn new(key: VerifyingKey) -> Result<Self> {
        let der = key
            .to_public_key_der()
            .map_err(|error| Failure::defect("a public key cannot be written as DER").caused_by(error))?;
        Ok(Self { key, id: Digest::of(der.as_bytes()).hex() })
    }

    /// Returns the key's id: SHA-256 of its SPKI in DER, 64 hex characters.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the key as SPKI in DER.
    pub(crate) fn der(&self) -> Result<Vec<u8>> {
        let der = self.key.to_public_key_der();
        der.map(|der| der.as_bytes().to_vec())
            .map_err(|error| Failure::defect("a public key cannot be written as DER").caused_by(error))
    }

    /// Returns the key as SPKI PEM with lines of 64 columns.
    pub(crate) fn pem(&self) -> Result<String> {
        self.key
            .to_public_key_pem(LineEnding::LF)
            .map_err(|error| Failure::defect("a public key cannot be written as PEM").caused_by(error))
    }

    /// Returns whether this key made a DER signature of a message.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        DerSignature::from_bytes(signature)
            .is_ok_and(|signature| self.key.verify(message, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    #[test]
    fn keys_are_written_and_read_as_pem() {
        let key = PrivateKey::generate().unwrap();
        let (private, public) = (key.pem().unwrap(), key.public().unwrap().pem().unwrap());
        for pem in [&private, &public] {
            assert!(pem.lines().all(|line| line.len() <= 64) && pem.ends_with("-----\n"), "{pem}");
        }
        assert!(private.lines().any(|line| line.len() == 64));
        let again = PrivateKey::read(&private, "a").unwrap();
        let read = PublicKey::read(&public, "b").unwrap();
        assert_eq!(again.public().unwrap(), read);
        assert_eq!(read.id().len(), 64);
        let signature = again.sign(b"release");
        assert!(read.verifies(b"release", &signature));
        assert!(!read.verifies(b"releasf", &signature));
        assert!(!PrivateKey::generate().unwrap().public().unwrap().verifies(b"release", &signature));
        for at in 0..signature.len() {
            let mut flipped = signature.clone();
            flipped[at] ^= 1;
            assert!(!read.verifies(b"release", &flipped), "byte {at}");
        }
    }

    #[test]
    fn file_that_is_not_a_key_is_named_and_never_quoted() {
        let key = PrivateKey::generate().unwrap();
        let private = key.pem().unwrap();
        let failure = PublicKey::read(&private, "keys/release.key").unwrap_err();
        let report = failure.report();
        assert_eq!(failure.kind(), FailureKind::Usage);
        assert!(report.message.starts_with("keys/release.key is not a public key"), "{}", report.message);
        assert!(report.hint.unwrap().contains("a private key"));
        let secret = private.lines().nth(1).unwrap();
        assert!(!format!("{failure:?} {:?}", report.causes).contains(secret));
        let old = "-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----\n";
        let hint = PrivateKey::read(old, "a").err().unwrap().report().hint.unwrap();
        assert!(hint.contains("openssl pkcs8"), "{hint}");
    }
}

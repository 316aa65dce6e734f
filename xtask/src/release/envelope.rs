//! DSSE envelopes: a payload, its type, and signatures over both.
//!
//! In: a payload and a [`Signer`]; or the bytes of a stored envelope and the trusted keys. Out: the bytes to store; or the
//! payload and the key that signed it. Goes wrong: the bytes are not an envelope, or not the bytes that were written. Rules: <https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md>.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use serde::{Deserialize, Serialize};

use super::key::PublicKey;
use crate::failure::{Failure, Result};
use crate::ports::Signer;

/// The type of a payload that is an in-toto statement.
pub(crate) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// An envelope, as it is stored. Unknown fields are ignored, a key's id may be missing: DSSE's
/// [parsing rules](https://github.com/secure-systems-lab/dsse/blob/v1.0.2/envelope.md#parsing-rules).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Envelope {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<SignatureRecord>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SignatureRecord {
    /// A hint which key to try first, not a claim: the signature does not cover it.
    #[serde(default)]
    keyid: String,
    sig: String,
}

impl Envelope {
    /// Signs a payload that is an in-toto statement.
    pub(crate) async fn sign(payload: &[u8], signer: &dyn Signer) -> Result<Self> {
        let signature = signer.sign(&pre_authentication(PAYLOAD_TYPE, payload)).await?;
        Ok(Self {
            payload: BASE64_STANDARD.encode(payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: vec![SignatureRecord {
                keyid: signer.key_id().to_owned(),
                sig: BASE64_STANDARD.encode(signature),
            }],
        })
    }

    /// Reads an envelope, also one that another tool wrote; the error says why the bytes are not one. Only the payload and its
    /// type are signed, and only they mean anything.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let envelope: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("it is not a DSSE envelope: {error}"))?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(format!("its payload is of the type {}, not {PAYLOAD_TYPE}", envelope.payload_type));
        }
        envelope.payload()?;
        Ok(envelope)
    }

    /// Returns the envelope's bytes as they are stored.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Failure::defect("an envelope cannot be written as JSON").caused_by(error))
    }

    /// Returns the signed bytes.
    pub(crate) fn payload(&self) -> Result<Vec<u8>, String> {
        decode(&self.payload).map_err(|error| format!("its payload is not base64: {error}"))
    }

    /// Lists the ids of the keys that the signatures name.
    pub(crate) fn key_ids(&self) -> Vec<&str> {
        self.signatures.iter().map(|signature| signature.keyid.as_str()).collect()
    }

    /// Returns the first of the keys that made a valid signature, whatever ids the signatures name.
    pub(crate) fn signed_by<'a>(&self, keys: &'a [PublicKey]) -> Option<&'a PublicKey> {
        let message = pre_authentication(&self.payload_type, &self.payload().ok()?);
        self.signatures.iter().find_map(|signature| {
            let der = decode(&signature.sig).ok()?;
            keys.iter().find(|key| key.verifies(&message, &der))
        })
    }

    /// Returns the bytes that the first signature covers, and that signature in DER: what OpenSSL needs to verify it.
    pub(crate) fn signed_bytes(&self) -> Result<(Vec<u8>, Vec<u8>), String> {
        let message = pre_authentication(&self.payload_type, &self.payload()?);
        let first = self.signatures.first().ok_or("it has no signature")?;
        Ok((message, decode(&first.sig).map_err(|error| format!("its signature is not base64: {error}"))?))
    }
}

/// Decodes base64 in either of its alphabets, as DSSE allows.
fn decode(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    BASE64_STANDARD.decode(text).or_else(|error| BASE64_URL_SAFE.decode(text).map_err(|_| error))
}

/// Returns the bytes to sign, PAE(type, payload): the lengths keep type and payload apart.
fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::FakeSigner;
    use crate::release::key::PrivateKey;

    #[test]
    fn pre_authentication_encoding_matches_the_protocols_vector() {
        // The vector of https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md#test-vectors
        let bytes = pre_authentication("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pre_authentication("", b""), b"DSSEv1 0  0 ");
        // Lengths count bytes, not characters.
        assert_eq!(pre_authentication("\u{e9}", b"x"), "DSSEv1 2 \u{e9} 1 x".as_bytes());
    }

    #[test]
    fn signature_matches_the_protocols_example() {
        // The same page's example: the key is given by its scalar, the signature is deterministic, there as r and s.
        let scalar = hex::decode("d73ec437fd6346e3619c5ebfdfff0f6916804955ad32ac9ac492b0ede1f6ffb7").unwrap();
        let key = p256::ecdsa::SigningKey::from_slice(&scalar).unwrap();
        let key = PrivateKey::of(key);
        let message = pre_authentication("http://example.com/HelloWorld", b"hello world");
        let theirs = BASE64_STANDARD
            .decode(
                "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==",
            )
            .unwrap();
        let theirs = p256::ecdsa::Signature::from_slice(&theirs).unwrap().to_der().as_bytes().to_vec();
        assert_eq!(key.sign(&message), theirs);
        assert!(key.public().unwrap().verifies(&message, &theirs));
    }

    #[tokio::test]
    async fn signature_is_valid_only_for_its_key_and_payload() {
        let (signer, public) = FakeSigner::new();
        let other = PrivateKey::generate().unwrap().public().unwrap();
        let envelope = Envelope::sign(b"{\"a\":1}", &*signer).await.unwrap();
        let bytes = envelope.bytes().unwrap();
        assert_eq!(Envelope::read(&bytes).unwrap(), envelope);
        assert_eq!(envelope.payload().unwrap(), b"{\"a\":1}");
        assert_eq!(envelope.key_ids(), [public.id()]);
        assert_eq!(envelope.signed_by(&[other.clone(), public.clone()]), Some(&public));
        assert_eq!(envelope.signed_by(&[other]), None);
        let text = String::from_utf8(bytes.clone()).unwrap();
        let id = text.find(public.id()).unwrap();
        let hint = text.find("keyid").unwrap()..id + public.id().len();
        for at in (0..bytes.len()).filter(|at| !hint.contains(at)) {
            for bit in [1, 4, 32, 128] {
                let mut flipped = bytes.clone();
                flipped[at] ^= bit;
                let accepted = Envelope::read(&flipped).is_ok_and(|envelope| {
                    envelope.signed_by(std::slice::from_ref(&public)).is_some()
                        && envelope.payload().unwrap() != b"{\"a\":1}"
                });
                assert!(!accepted, "byte {at}, bit {bit}: {}", String::from_utf8_lossy(&flipped));
            }
        }
    }

    #[tokio::test]
    async fn envelope_of_another_tool_is_read_by_its_signature_alone() {
        let (signer, public) = FakeSigner::new();
        let other = PrivateKey::generate().unwrap().public().unwrap();
        let bytes = Envelope::sign(b"{}", &*signer).await.unwrap().bytes().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let id = format!("\"keyid\":\"{}\",", public.id());
        for edited in [
            text.replacen("{\"payload\"", "{ \"more\":1,\"payload\"", 1),
            text.replacen(&id, "", 1),
            text.replacen(&id, "\"keyid\":\"\",", 1),
            text.replacen(&id, &format!("\"keyid\":\"{}\",", other.id()), 1),
            text.replacen("\"sig\"", "\"s\\u0069g\"", 1),
        ] {
            assert_ne!(edited, text);
            let envelope = Envelope::read(edited.as_bytes()).unwrap();
            let keys = [other.clone(), public.clone()];
            assert_eq!(envelope.signed_by(&keys), Some(&public), "{edited}");
            assert_eq!(
                envelope.signed_by(std::slice::from_ref(&other)),
                None,
                "a hint is no proof: {edited}"
            );
        }
        for (from, to) in [("vnd.in-toto", "vnd.other"), ("]}", "]},{}")] {
            assert!(Envelope::read(text.replacen(from, to, 1).as_bytes()).is_err());
        }
    }
}

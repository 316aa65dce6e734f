//! Signatures: by moto's KMS, and by a scripted one where moto is wrong (it hashes a digest again).

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use slipway_cloud::CloudErrorKind;

use super::content::{base64, bytes};
use super::moto::{moto, session};
use super::scripted::{ScriptedServer, response};
use crate::require;

#[tokio::test]
async fn kms_signature_verifies_without_kms() {
    let moto = require!(moto());
    let session = session(&moto.endpoint).await;
    let key = session.create_kms_key("alias/shop-release").await.unwrap();
    assert_eq!(key.name(), "alias/shop-release");
    let public = key.public_key().await.unwrap();
    let verifying = VerifyingKey::from_public_key_der(&public.der).unwrap();
    for length in [0_usize, 1, 4095, 4096] {
        let message = bytes(length.max(1), 7);
        let signature = Signature::from_der(&key.sign(&message).await.unwrap()).unwrap();
        verifying.verify(&message, &signature).unwrap();
        let mut other = message.clone();
        other[0] ^= 1;
        verifying.verify(&other, &signature).unwrap_err();
    }
    let pem = public.pem();
    assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n") && pem.ends_with("-----END PUBLIC KEY-----\n"));
    assert!(pem.lines().all(|line| line.len() <= 64), "{pem}");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    assert_eq!(body, base64(&public.der));
    assert_eq!(session.kms_key("alias/shop-release").public_key().await.unwrap(), public);

    let error = session.create_kms_key("alias/shop-release").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Conflict);
    assert!(error.to_string().contains("`alias/shop-release`"), "{error}");
    for wrong in ["shop-release", "alias/", "alias/aws/x"] {
        let error = session.create_kms_key(wrong).await.unwrap_err().to_string();
        assert!(error.contains("`alias/<name>`") && error.contains(wrong), "{error}");
    }
    for error in [
        session.kms_key("alias/absent").public_key().await.unwrap_err(),
        session.kms_key("alias/absent").sign(b"x").await.unwrap_err(),
    ] {
        assert_eq!(error.kind, CloudErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains("`alias/absent`"), "{error}");
    }
}

#[tokio::test]
async fn long_message_is_signed_by_its_digest() {
    let signing = SigningKey::from_slice(&[7; 32]).unwrap();
    let verifying = *signing.verifying_key();
    // As in KMS, a digest is not hashed again.
    let server = ScriptedServer::start(move |_, request| {
        let input: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            (&input["MessageType"], &input["SigningAlgorithm"]),
            (&"DIGEST".into(), &"ECDSA_SHA_256".into())
        );
        use base64::Engine as _;
        let digest =
            base64::engine::general_purpose::STANDARD.decode(input["Message"].as_str().unwrap()).unwrap();
        let signature: Signature = signing.sign_prehash(&digest).unwrap();
        response(200, &serde_json::json!({ "Signature": base64(signature.to_der().as_bytes()) }).to_string())
    });
    let message = bytes(4097, 8);
    let key = session(&server.endpoint).await.kms_key("alias/release");
    let signature = Signature::from_der(&key.sign(&message).await.unwrap()).unwrap();
    verifying.verify(&message, &signature).unwrap();
}

#[tokio::test]
async fn key_of_another_type_is_refused() {
    for (spec, usage) in [("RSA_2048", "SIGN_VERIFY"), ("ECC_NIST_P256", "KEY_AGREEMENT")] {
        let server = ScriptedServer::start(move |_, _| {
            let body = serde_json::json!({ "KeySpec": spec, "KeyUsage": usage, "PublicKey": "AAAA" });
            response(200, &body.to_string())
        });
        let error = session(&server.endpoint).await.kms_key("alias/release").public_key().await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(spec) && text.contains(usage) && text.contains("`alias/release`"), "{text}");
    }
}

//! Reads what is stored of releases, for `crate::fuzzing`.

use std::sync::LazyLock;

use serde::Deserialize;

use super::envelope::Envelope;
use super::key::PublicKey;
use super::manifest::Manifest;
use super::provenance::Statement;
use crate::name::{FunctionName, Version};
use crate::settings::ProvenanceClaims;

/// The name that a manifest says it has.
#[derive(Deserialize)]
struct Named {
    function: FunctionName,
    version: Version,
}

/// A release that an earlier version stored, and the key that signed it.
static RELEASE: LazyLock<(Manifest, PublicKey)> = LazyLock::new(|| {
    let bytes = include_bytes!("tests/stored/releases/echo/1.2.3.json");
    let (function, version) = ("echo".parse().expect("a name"), "1.2.3".parse().expect("a version"));
    let key = include_str!("tests/stored/release.pub.pem");
    let manifest = Manifest::read(bytes, &function, &version).expect("a stored manifest");
    (manifest, PublicKey::read(key, "release.pub.pem").expect("a stored key"))
});

/// Reads a manifest by the name that it says it has. A manifest that is sealed and written is read again, the same.
pub(crate) fn manifest(bytes: &[u8]) {
    let of = |manifest: &Manifest| (manifest.image_labels(), manifest.digest());
    if let Ok(Named { function, version }) = serde_json::from_slice(bytes)
        && let Ok(manifest) = Manifest::read(bytes, &function, &version)
    {
        of(&manifest).1.expect("a digest");
    }
    let Ok(edited) = serde_json::from_slice::<Manifest>(bytes) else { return };
    let sealed = edited.sealed();
    // A schema that is unknown cannot be written.
    let Ok(written) = sealed.bytes() else { return };
    match Manifest::read(&written, &sealed.function, &sealed.version) {
        Ok(read) => assert_eq!(of(&read).0, of(&sealed).0),
        Err(failure) => assert!(
            failure.message().ends_with("its digests do not match each other"),
            "{failure}: {}",
            String::from_utf8_lossy(&written)
        ),
    }
}

/// Reads an envelope, its signatures and its payload; other bytes are read as a payload, whose base64 would hide its structure.
pub(crate) fn envelope(bytes: &[u8]) {
    let (manifest, key) = &*RELEASE;
    let payload = match Envelope::read(bytes) {
        Ok(envelope) => {
            envelope.key_ids();
            envelope.signed_by(std::slice::from_ref(key));
            envelope.payload().expect("a payload that was read once")
        }
        Err(_) => bytes.to_vec(),
    };
    let Ok(statement) = Statement::read(&payload) else { return };
    statement.differences(manifest).expect("a digest");
    let required = Some("x".to_owned());
    let claims = ProvenanceClaims {
        builder: required.clone(),
        repository: required.clone(),
        git_ref: required.clone(),
        workflow: required,
    };
    statement.missing_claims(&claims, Some("https://ci.example"));
    statement.builder();
}

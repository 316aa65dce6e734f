//! A Sigstore bundle beside a release: kept in the store and named, with the command that verifies it.
//!
//! In: the bytes of `attestations/sha256/<artifact>.sigstore.json`. Out: what it is about. It is not verified here: that needs
//! Sigstore's roots of that time, which gh and cosign fetch and keep. Goes wrong: it is no bundle, or about other bytes. Format:
//! <https://docs.sigstore.dev/about/bundle/>.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::digest::Digest;

/// What the media type of a bundle begins with.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle";

/// Returns the key of an artifact's bundle.
pub(super) fn key(artifact: &Digest) -> String {
    format!("attestations/sha256/{}.sigstore.json", artifact.hex())
}

/// Describes a bundle about an artifact; the error says why it is not one.
pub(super) fn describe(bytes: &[u8], artifact: &Digest) -> Result<String, String> {
    let bundle: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("it is not a Sigstore bundle: {error}"))?;
    if !bundle["mediaType"].as_str().is_some_and(|kind| kind.starts_with(MEDIA_TYPE)) {
        return Err(format!("it is not a Sigstore bundle: its media type does not begin with {MEDIA_TYPE}"));
    }
    let payload = bundle.pointer("/dsseEnvelope/payload").and_then(Value::as_str);
    let payload = payload.ok_or("it has no attestation")?;
    let payload =
        BASE64_STANDARD.decode(payload).map_err(|error| format!("its payload is not base64: {error}"))?;
    let statement: Value = serde_json::from_slice(&payload)
        .map_err(|error| format!("its payload is not a statement: {error}"))?;
    let subjects = statement["subject"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_ours = |subject: &Value| subject["digest"]["sha256"].as_str() == Some(&artifact.hex());
    if !subjects.iter().any(is_ours) {
        return Err("it is about other bytes than this release's".into());
    }
    Ok("Sigstore, about this artifact; not verified here: gh attestation verify <artifact> --bundle <file>"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundle_is_named_if_it_is_about_the_artifact() {
        let artifact = Digest::of("artifact");
        let bundle = |kind: &str, subject: &Digest| {
            let statement = serde_json::json!({ "subject": [{ "digest": { "sha256": subject.hex() } }] });
            let payload = BASE64_STANDARD.encode(statement.to_string());
            serde_json::json!({ "mediaType": kind, "dsseEnvelope": { "payload": payload } }).to_string()
        };
        let kind = format!("{MEDIA_TYPE}.v0.3+json");
        let found = describe(bundle(&kind, &artifact).as_bytes(), &artifact).unwrap();
        assert!(found.contains("not verified here: gh attestation verify"), "{found}");
        for (wrong, why) in [
            (bundle(&kind, &Digest::of("other")), "other bytes"),
            (bundle("application/json", &artifact), "media type"),
            (format!("{{\"mediaType\":\"{kind}\"}}"), "no attestation"),
            ("x".to_owned(), "not a Sigstore bundle"),
        ] {
            let error = describe(wrong.as_bytes(), &artifact).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}

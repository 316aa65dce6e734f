//! Documents that an earlier version of Slipway stored (80fb903): they are read, and written again with the same bytes.
//!
//! `stored/` is the store of a project with three functions, as `release` left it: a Rust function with smoke events, a
//! Rust function as an image, a Python function with packages. `release.pub.pem` is the key that signed them.

use std::path::Path;

use cyclonedx_bom::prelude::Bom;

use super::super::envelope::Envelope;
use super::super::provenance::Statement;
use super::super::verify::attestation_key;
use super::super::{InputsRecord, PublicKey, TrustPolicy, check_trust, sbom};
use super::*;
use crate::settings::ProvenanceClaims;

const RELEASES: [(&str, &str); 3] = [("echo", "1.2.3"), ("echo-image", "0.1.0"), ("ingest", "0.1.0")];

/// Returns a store with the objects of `stored/`, and the key that signed the releases.
fn stored() -> (Releases, PublicKey) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/release/tests/stored");
    let releases = Releases::new();
    for entry in walkdir::WalkDir::new(&folder) {
        let entry = entry.unwrap();
        let key = entry.path().strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
        if entry.file_type().is_file() && key.contains('/') {
            releases.store.set(&key, std::fs::read(entry.path()).unwrap());
        }
    }
    let pem = std::fs::read_to_string(folder.join("release.pub.pem")).unwrap();
    (releases, PublicKey::read(&pem, "release.pub.pem").unwrap())
}

impl Releases {
    fn object(&self, key: &str) -> Vec<u8> {
        self.store.objects(key).remove(key).unwrap_or_else(|| panic!("{key} is not stored"))
    }

    async fn stored_manifest(&self, (function, version): (&str, &str)) -> Manifest {
        self.catalogue.manifest(&function.parse().unwrap(), &version.parse().unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn stored_manifests_are_read_and_written_with_the_same_bytes() {
    let (releases, _) = stored();
    for (function, version) in RELEASES {
        let manifest = releases.stored_manifest((function, version)).await;
        let bytes = releases.object(&format!("releases/{function}/{version}.json"));
        assert_eq!(manifest.bytes().unwrap(), bytes, "{function}");
        assert_eq!(manifest.digest().unwrap(), Digest::of(&bytes), "{function}");
        assert_eq!(manifest.clone().sealed(), manifest, "{function}: the same seal");
    }
    let echo = releases.stored_manifest(RELEASES[0]).await;
    let names: Vec<&str> = echo.smoke.iter().map(|smoke| smoke.name.as_str()).collect();
    assert_eq!(names, ["echoes", "answers over HTTP", "refuses"]);
}

#[tokio::test]
async fn stored_attestations_are_verified_and_written_with_the_same_bytes() {
    let (releases, key) = stored();
    let policy = TrustPolicy {
        required: true,
        keys: vec![key.clone()],
        claims: ProvenanceClaims {
            builder: None,
            repository: Some("https://git.example/shop.git".into()),
            git_ref: Some("refs/heads/main".into()),
            workflow: Some(".github/workflows/release.yml".into()),
        },
        issuer: None,
    };
    for release in RELEASES {
        let manifest = releases.stored_manifest(release).await;
        let bytes = releases.object(&attestation_key(&manifest.digest().unwrap()));
        let envelope = Envelope::read(&bytes).unwrap();
        assert_eq!(envelope.bytes().unwrap(), bytes);
        assert_eq!(envelope.signed_by(std::slice::from_ref(&key)), Some(&key));
        let payload = envelope.payload().unwrap();
        assert_eq!(Statement::read(&payload).unwrap().bytes().unwrap(), payload);
        check_trust(&releases.catalogue, &manifest, &policy, &"prod".parse().unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn stored_sboms_are_read_and_written_with_the_same_bytes() {
    let (releases, _) = stored();
    for (release, count) in RELEASES.into_iter().zip([1, 1, 2]) {
        let manifest = releases.stored_manifest(release).await;
        let artifact = &manifest.artifact.sha256;
        let bytes = releases.object(&sbom::key(artifact));
        assert_eq!(manifest.sbom, Some(Digest::of(&bytes)));
        assert_eq!(sbom::component_count(&bytes, &manifest.function, artifact), Ok(count));
        let bom = Bom::parse_from_json_v1_5(bytes.as_slice()).unwrap();
        let mut written = Vec::new();
        bom.output_as_json_v1_5(&mut written).unwrap();
        written.push(b'\n');
        assert_eq!(written, bytes, "{}", release.0);
    }
}

#[tokio::test]
async fn stored_inputs_are_read_and_give_the_same_bytes_and_digest() {
    let (releases, _) = stored();
    for release in RELEASES {
        let digest = releases.stored_manifest(release).await.source.inputs_digest;
        let record = InputsRecord::find(&releases.catalogue, &digest).await.unwrap().expect("a record");
        let key = format!("inputs/sha256/{}.json", digest.hex());
        assert_eq!(record.bytes().unwrap(), releases.object(&key), "{}", release.0);
    }
}

//! Releases over a store in memory, signed and not, whole and edited, and what is said about them.

use std::sync::Arc;

use super::*;
use crate::failure::FailureKind;
use crate::fakes::{FakeSigner, FakeStore, Faults};
use crate::progress::{Progress, Unit};
use crate::release::provenance::tests::circumstances;
use crate::release::sbom::Parts;
use crate::release::{Attestor, Content, Statements, artifact_key, publish, sample_manifest};

struct Shelf {
    store: Arc<FakeStore>,
    catalogue: Catalogue,
    folder: tempfile::TempDir,
}

impl Shelf {
    fn new() -> Self {
        let store = FakeStore::new("artifacts", Arc::new(Faults::default()));
        Self { catalogue: Catalogue::new(store.clone()), store, folder: tempfile::tempdir().unwrap() }
    }

    /// Publishes a release of a real zip with an SBOM, signed where there is a signer.
    async fn publish(&self, version: &str, signer: Option<&FakeSigner>) -> Manifest {
        let file = self.folder.path().join("hello.zip");
        let mut tree = slipway_archive::Tree::new();
        tree.add_bytes("bootstrap", true, version.as_bytes().to_vec()).unwrap();
        let written = slipway_archive::write_zip(&tree, &file, &|_| {}).unwrap();
        let mut manifest = sample_manifest("hello", version);
        let sha256 = written.sha256;
        let record = &mut manifest.artifact;
        (record.sha256, record.code_sha256, record.key) = (sha256, sha256.base64(), artifact_key(&sha256));
        (record.size, record.unpacked_size) = (written.size, written.unpacked_size);
        record.content_digest = written.listing.content_digest();
        let statements = Statements {
            sbom: Some(sbom::document(&manifest.function, &sha256, Parts::default()).unwrap()),
            attestor: signer.map(|signer| Attestor { signer, circumstances: circumstances() }),
        };
        let step = Progress::silent().counted_step("publish", "hello", 1, Unit::Bytes);
        let published =
            publish(&self.catalogue, manifest.sealed(), Content::Zip(&file), statements, true, &step)
                .await
                .unwrap();
        published.manifest().clone()
    }

    async fn examine(&self, manifest: &Manifest, trust: &Trust) -> Examined {
        let environments = [("prod".parse().unwrap(), trust.clone())];
        examine(&self.catalogue, &manifest.function, &manifest.version, &environments, self.folder.path())
            .await
            .unwrap()
    }

    /// Does what a deployment does before Terraform runs.
    async fn deployable(&self, manifest: &Manifest, trust: &Trust) -> Result<()> {
        let manifest = self.catalogue.manifest(&manifest.function, &manifest.version).await?;
        trusted(&self.catalogue, &manifest, trust, &"prod".parse().unwrap()).await?;
        self.catalogue.check_artifact(&manifest).await?;
        whole(&self.catalogue, &manifest).await
    }
}

fn required(keys: &[PublicKey]) -> Trust {
    Trust { required: true, keys: keys.to_vec(), claims: ProvenanceClaims::default() }
}

fn optional(keys: &[PublicKey]) -> Trust {
    Trust { required: false, ..required(keys) }
}

fn lines(examined: &Examined) -> String {
    let line = |check: &Check| format!("{:?} {}: {}\n", check.holds, check.what, check.found);
    examined.checks.iter().map(line).collect()
}

#[tokio::test]
async fn a_signed_release_holds_line_by_line() {
    let shelf = Shelf::new();
    let (signer, public) = FakeSigner::new();
    let manifest = shelf.publish("1.0.0", Some(&signer)).await;
    let trust = required(std::slice::from_ref(&public));
    shelf.deployable(&manifest, &trust).await.unwrap();
    let examined = shelf.examine(&manifest, &trust).await;
    assert!(examined.holds, "{}", lines(&examined));
    let what: Vec<&str> = examined.checks.iter().map(|check| check.what.as_str()).collect();
    assert_eq!(
        what,
        ["manifest", "artifact", "content", "sbom", "envelope", "subjects", "signature for prod"]
    );
    assert!(examined.checks.iter().all(|check| check.holds == Some(true)));
    assert!(lines(&examined).contains(&format!("by trusted key {}", public.id())));
    // Published again by the same key: the same objects, no other.
    let before = shelf.store.objects("");
    assert_eq!(before.len(), 4);
    shelf.publish("1.0.0", Some(&signer)).await;
    assert_eq!(shelf.store.objects(""), before);
}

#[tokio::test]
async fn any_flipped_byte_of_any_object_is_refused() {
    let shelf = Shelf::new();
    let (signer, public) = FakeSigner::new();
    let manifest = shelf.publish("1.0.0", Some(&signer)).await;
    let trust = required(&[public]);
    let objects = shelf.store.objects("");
    for (key, bytes) in &objects {
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            shelf.store.set(key, flipped);
            assert!(shelf.deployable(&manifest, &trust).await.is_err(), "{key}, byte {at} was deployed");
            let examined = shelf.examine(&manifest, &trust).await;
            assert!(!examined.holds, "{key}, byte {at}: {}", lines(&examined));
        }
        shelf.store.set(key, bytes.clone());
    }
    shelf.deployable(&manifest, &trust).await.unwrap();
    for (key, bytes) in &objects {
        shelf.store.remove(key);
        assert!(shelf.deployable(&manifest, &trust).await.is_err(), "without {key} it was deployed");
        shelf.store.set(key, bytes.clone());
    }
}

#[tokio::test]
async fn a_missing_signature_counts_where_it_is_required() {
    let shelf = Shelf::new();
    let (_, public) = FakeSigner::new();
    let manifest = shelf.publish("1.0.0", None).await;
    let trust = required(std::slice::from_ref(&public));
    let failure = shelf.deployable(&manifest, &trust).await.unwrap_err();
    let report = failure.report();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert_eq!(report.message, "prod does not trust `hello` 1.0.0: it has no signature");
    let details: Vec<String> =
        report.details.iter().map(|detail| format!("{}: {}", detail.name, detail.value)).collect();
    assert_eq!(details, ["signed by: none".to_owned(), format!("trusted: {}", public.id())]);
    assert!(!shelf.examine(&manifest, &trust).await.holds);
    let lenient = optional(&[public]);
    shelf.deployable(&manifest, &lenient).await.unwrap();
    assert!(shelf.examine(&manifest, &lenient).await.holds);
}

#[tokio::test]
async fn another_key_and_a_wrong_signature_are_refused_even_where_none_is_required() {
    let shelf = Shelf::new();
    let (signer, public) = FakeSigner::new();
    let (_, other) = FakeSigner::new();
    let manifest = shelf.publish("1.0.0", Some(&signer)).await;
    for trust in [required(std::slice::from_ref(&other)), optional(std::slice::from_ref(&other))] {
        let report = shelf.deployable(&manifest, &trust).await.unwrap_err().report();
        assert!(report.message.contains("signed by no trusted key"), "{}", report.message);
        assert_eq!(report.details[0].value, public.id());
        assert_eq!(report.details[1].value, other.id());
    }
    // One of several is enough.
    shelf.deployable(&manifest, &required(&[other, public.clone()])).await.unwrap();
    // Another release's attestation in this one's place: rightly signed, about something else.
    let second = shelf.publish("1.0.1", Some(&signer)).await;
    let stray = attestation_key(&second.digest().unwrap());
    let stray = shelf.store.objects(&stray).into_values().next().unwrap();
    shelf.store.set(&attestation_key(&manifest.digest().unwrap()), stray);
    let report = shelf.deployable(&manifest, &optional(&[public])).await.unwrap_err().report();
    assert!(report.message.contains("it is that of `hello` 1.0.1"), "{}", report.message);
    assert!(report.message.contains("no subject is artifacts/"), "{}", report.message);
}

#[tokio::test]
async fn without_trusted_keys_only_what_was_signed_is_looked_at() {
    let shelf = Shelf::new();
    let (signer, _) = FakeSigner::new();
    let manifest = shelf.publish("1.0.0", Some(&signer)).await;
    shelf.deployable(&manifest, &optional(&[])).await.unwrap();
    shelf.store.set(&attestation_key(&manifest.digest().unwrap()), *b"{}");
    let failure = shelf.deployable(&manifest, &optional(&[])).await.unwrap_err();
    assert!(failure.message().contains("its attestation was edited"), "{failure}");
}

#[tokio::test]
async fn provenance_must_claim_what_the_environment_demands() {
    let shelf = Shelf::new();
    let (signer, public) = FakeSigner::new();
    let manifest = shelf.publish("1.0.0", Some(&signer)).await;
    let mut trust = required(&[public]);
    trust.claims.git_ref = circumstances().git_ref;
    shelf.deployable(&manifest, &trust).await.unwrap();
    trust.claims.git_ref = Some("refs/heads/release".into());
    let failure = shelf.deployable(&manifest, &trust).await.unwrap_err();
    assert!(failure.message().contains("ref is refs/heads/main, must be refs/heads/release"), "{failure}");
}

#[tokio::test]
async fn the_same_bytes_of_other_dependencies_get_an_sbom_of_their_own() {
    let shelf = Shelf::new();
    let (signer, public) = FakeSigner::new();
    let manifest = shelf.publish("1.0.0", Some(&signer)).await;
    let first = sbom::key(&manifest.artifact.sha256);
    shelf.store.set(&first, *b"written by an earlier Slipway");
    shelf.store.remove(&Manifest::key(&manifest.function, &manifest.version));
    let again = shelf.publish("1.0.0", Some(&signer)).await;
    assert_eq!(shelf.store.objects("sbom/").len(), 2);
    assert_eq!(shelf.store.objects(&first).into_values().next().unwrap(), b"written by an earlier Slipway");
    let trust = required(&[public]);
    shelf.deployable(&again, &trust).await.unwrap();
    assert!(shelf.examine(&again, &trust).await.holds);
}

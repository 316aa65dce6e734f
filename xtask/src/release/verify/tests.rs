//! Releases in a store in memory, signed and unsigned, intact and edited, and their examination.

use std::sync::Arc;

use super::*;
use crate::failure::FailureKind;
use crate::fakes::{FakeSigner, FakeStore, Faults};
use crate::progress::{Progress, Unit};
use crate::release::provenance::tests::invocation;
use crate::release::sbom::SbomComponents;
use crate::release::{
    ProvenanceSigner, ReleaseContent, ReleaseStatements, artifact_key, publish, sample_manifest,
};

struct Releases {
    store: Arc<FakeStore>,
    catalogue: Catalogue,
    folder: tempfile::TempDir,
}

impl Releases {
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
        let statements = ReleaseStatements {
            sbom: Some(sbom::document(&manifest.function, &sha256, SbomComponents::default()).unwrap()),
            provenance: signer.map(|signer| ProvenanceSigner { signer, invocation: invocation() }),
        };
        let step = Progress::silent().counted_step("publish", "hello", 1, Unit::Bytes);
        let published =
            publish(&self.catalogue, manifest.sealed(), ReleaseContent::Zip(&file), statements, true, &step)
                .await
                .unwrap();
        published.manifest().clone()
    }

    async fn examine(&self, manifest: &Manifest, policy: &TrustPolicy) -> ReleaseExamination {
        let environments = [("prod".parse().unwrap(), policy.clone())];
        examine(&self.catalogue, &manifest.function, &manifest.version, &environments, self.folder.path())
            .await
            .unwrap()
    }

    /// Checks a release as a deployment does before Terraform runs.
    async fn check_deployable(&self, manifest: &Manifest, policy: &TrustPolicy) -> Result<()> {
        let manifest = self.catalogue.manifest(&manifest.function, &manifest.version).await?;
        check_trust(&self.catalogue, &manifest, policy, &"prod".parse().unwrap()).await?;
        self.catalogue.check_artifact(&manifest).await?;
        check_bytes(&self.catalogue, &manifest).await
    }
}

fn required(keys: &[PublicKey]) -> TrustPolicy {
    TrustPolicy { required: true, keys: keys.to_vec(), ..TrustPolicy::default() }
}

fn optional(keys: &[PublicKey]) -> TrustPolicy {
    TrustPolicy { required: false, ..required(keys) }
}

fn lines(examination: &ReleaseExamination) -> String {
    let line = |check: &ReleaseCheck| format!("{:?} {}: {}\n", check.holds, check.what, check.found);
    examination.checks.iter().map(line).collect()
}

#[tokio::test]
async fn signed_release_passes_every_check() {
    let releases = Releases::new();
    let (signer, public) = FakeSigner::new();
    let manifest = releases.publish("1.0.0", Some(&signer)).await;
    let policy = required(std::slice::from_ref(&public));
    releases.check_deployable(&manifest, &policy).await.unwrap();
    let examination = releases.examine(&manifest, &policy).await;
    assert!(examination.holds, "{}", lines(&examination));
    let what: Vec<&str> = examination.checks.iter().map(|check| check.what.as_str()).collect();
    assert_eq!(
        what,
        [
            "manifest",
            "artifact",
            "content",
            "sbom",
            "inputs",
            "envelope",
            "subjects",
            "builder",
            "signature for prod"
        ]
    );
    let absent = |check: &ReleaseCheck| check.what == "inputs" && check.holds.is_none();
    assert!(examination.checks.iter().all(|check| check.holds == Some(true) || absent(check)));
    assert!(lines(&examination).contains(&format!("by trusted key {}", public.id())));
    // Published again by the same key: the same objects, no other.
    let before = releases.store.objects("");
    assert_eq!(before.len(), 4);
    releases.publish("1.0.0", Some(&signer)).await;
    assert_eq!(releases.store.objects(""), before);
}

#[tokio::test]
async fn record_of_other_inputs_is_wrong() {
    let releases = Releases::new();
    let manifest = releases.publish("1.0.0", None).await;
    let key = format!("inputs/sha256/{}.json", manifest.source.inputs_digest.hex());
    for record in [r#"{"schema":"slipway.inputs/2","files":{"a.rs":"1"},"parts":{}}"#, "half"] {
        releases.store.set(&key, record);
        let examination = releases.examine(&manifest, &optional(&[])).await;
        let inputs = examination.checks.iter().find(|check| check.what == "inputs").unwrap();
        assert_eq!((inputs.holds, examination.holds), (Some(false), false), "{}", lines(&examination));
    }
}

#[tokio::test]
async fn object_with_any_flipped_byte_is_refused() {
    let releases = Releases::new();
    let (signer, public) = FakeSigner::new();
    let manifest = releases.publish("1.0.0", Some(&signer)).await;
    let policy = required(&[public]);
    let objects = releases.store.objects("");
    for (key, bytes) in &objects {
        // The id of an envelope's key is a hint that nothing signs and nothing believes.
        let text = String::from_utf8_lossy(bytes);
        let hint = text.find("\"keyid\"").filter(|_| key.starts_with("attestations/"));
        let hint = hint.map_or(0..0, |at| at..at + "\"keyid\":\"\",".len() + 64);
        for at in (0..bytes.len()).filter(|at| !hint.contains(at)) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            releases.store.set(key, flipped);
            assert!(
                releases.check_deployable(&manifest, &policy).await.is_err(),
                "{key}, byte {at} was deployed"
            );
            let examination = releases.examine(&manifest, &policy).await;
            assert!(!examination.holds, "{key}, byte {at}: {}", lines(&examination));
        }
        releases.store.set(key, bytes.clone());
    }
    releases.check_deployable(&manifest, &policy).await.unwrap();
    for (key, bytes) in &objects {
        releases.store.remove(key);
        assert!(
            releases.check_deployable(&manifest, &policy).await.is_err(),
            "without {key} it was deployed"
        );
        releases.store.set(key, bytes.clone());
    }
}

#[tokio::test]
async fn missing_signature_is_refused_only_where_it_is_required() {
    let releases = Releases::new();
    let (_, public) = FakeSigner::new();
    let manifest = releases.publish("1.0.0", None).await;
    let policy = required(std::slice::from_ref(&public));
    let failure = releases.check_deployable(&manifest, &policy).await.unwrap_err();
    let report = failure.report();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert_eq!(report.message, "prod does not trust `hello` 1.0.0: it has no signature");
    let details: Vec<String> =
        report.details.iter().map(|detail| format!("{}: {}", detail.name, detail.value)).collect();
    assert_eq!(details, ["signed by: none".to_owned(), format!("trusted: {}", public.id())]);
    assert!(!releases.examine(&manifest, &policy).await.holds);
    let lenient = optional(&[public]);
    releases.check_deployable(&manifest, &lenient).await.unwrap();
    assert!(releases.examine(&manifest, &lenient).await.holds);
}

#[tokio::test]
async fn other_key_and_wrong_signature_are_refused_even_where_none_is_required() {
    let releases = Releases::new();
    let (signer, public) = FakeSigner::new();
    let (_, other) = FakeSigner::new();
    let manifest = releases.publish("1.0.0", Some(&signer)).await;
    for policy in [required(std::slice::from_ref(&other)), optional(std::slice::from_ref(&other))] {
        let report = releases.check_deployable(&manifest, &policy).await.unwrap_err().report();
        assert!(report.message.contains("no trusted key signed it"), "{}", report.message);
        assert_eq!(report.details[0].value, public.id());
        assert_eq!(report.details[1].value, other.id());
    }
    // One of several is enough.
    releases.check_deployable(&manifest, &required(&[other, public.clone()])).await.unwrap();
    // Another release's attestation in place of this one's: its signature is valid, and it is about another release.
    let second = releases.publish("1.0.1", Some(&signer)).await;
    let stray = attestation_key(&second.digest().unwrap());
    let stray = releases.store.objects(&stray).into_values().next().unwrap();
    releases.store.set(&attestation_key(&manifest.digest().unwrap()), stray);
    let report = releases.check_deployable(&manifest, &optional(&[public])).await.unwrap_err().report();
    assert!(report.message.contains("it is about `hello` 1.0.1"), "{}", report.message);
    assert!(report.message.contains("no subject is artifacts/"), "{}", report.message);
}

#[tokio::test]
async fn attestation_is_read_even_where_no_key_is_trusted() {
    let releases = Releases::new();
    let (signer, _) = FakeSigner::new();
    let manifest = releases.publish("1.0.0", Some(&signer)).await;
    releases.check_deployable(&manifest, &optional(&[])).await.unwrap();
    releases.store.set(&attestation_key(&manifest.digest().unwrap()), *b"{}");
    let failure = releases.check_deployable(&manifest, &optional(&[])).await.unwrap_err();
    assert!(failure.message().contains("its attestation was edited"), "{failure}");
}

#[tokio::test]
async fn provenance_must_make_the_claims_that_the_environment_requires() {
    let releases = Releases::new();
    let (signer, public) = FakeSigner::new();
    let manifest = releases.publish("1.0.0", Some(&signer)).await;
    let mut policy = required(&[public]);
    policy.claims.git_ref = invocation().git_ref;
    releases.check_deployable(&manifest, &policy).await.unwrap();
    policy.claims.git_ref = Some("refs/heads/release".into());
    let failure = releases.check_deployable(&manifest, &policy).await.unwrap_err();
    assert!(failure.message().contains("ref is refs/heads/main, must be refs/heads/release"), "{failure}");
}

#[tokio::test]
async fn same_bytes_with_other_dependencies_get_another_sbom() {
    let releases = Releases::new();
    let (signer, public) = FakeSigner::new();
    let manifest = releases.publish("1.0.0", Some(&signer)).await;
    let first = sbom::key(&manifest.artifact.sha256);
    releases.store.set(&first, *b"written by an earlier Slipway");
    releases.store.remove(&Manifest::key(&manifest.function, &manifest.version));
    let again = releases.publish("1.0.0", Some(&signer)).await;
    assert_eq!(releases.store.objects("sbom/").len(), 2);
    assert_eq!(
        releases.store.objects(&first).into_values().next().unwrap(),
        b"written by an earlier Slipway"
    );
    let policy = required(&[public]);
    releases.check_deployable(&again, &policy).await.unwrap();
    assert!(releases.examine(&again, &policy).await.holds);
}

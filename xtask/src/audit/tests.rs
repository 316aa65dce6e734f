//! Audits over stores in memory: what is proven, what has no evidence, and what somebody changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::digest::Digest;
use crate::fakes::{FakeLambda, FakeSigner, FakeStore, FakeVersion, Faults};
use crate::identity::VerifiedIdentity;
use crate::ledger::{DeploymentOutcome, Started};
use crate::progress::{Progress, Unit};
use crate::release::{
    BuildInvocation, ProvenanceSigner, PublicKey, ReleaseContent, ReleaseStatements, artifact_key, publish,
    sample_manifest,
};

/// A function that was released, deployed and verified, by a run that a token proved.
struct Scene {
    artifacts: Arc<FakeStore>,
    state: Arc<FakeStore>,
    lambda: Arc<FakeLambda>,
    folder: tempfile::TempDir,
    key: PublicKey,
}

const FUNCTION: &str = "shop-hello";

impl Scene {
    async fn new(identity: Option<VerifiedIdentity>) -> Self {
        let faults = Arc::new(Faults::default());
        let (signer, key) = FakeSigner::new();
        let scene = Self {
            artifacts: FakeStore::new("artifacts", faults.clone()),
            state: FakeStore::new("state", faults.clone()),
            lambda: FakeLambda::new(faults),
            folder: tempfile::tempdir().unwrap(),
            key,
        };
        for number in [1, 2] {
            let manifest = scene.publish(number, &signer, identity.clone()).await;
            scene.deploy(number, &manifest).await;
        }
        scene
    }

    async fn publish(
        &self,
        number: u64,
        signer: &FakeSigner,
        identity: Option<VerifiedIdentity>,
    ) -> Manifest {
        let file = self.folder.path().join("hello.zip");
        let mut tree = slipway_archive::Tree::new();
        tree.add_bytes("bootstrap", true, number.to_string().into_bytes()).unwrap();
        let written = slipway_archive::write_zip(&tree, &file, &|_| {}).unwrap();
        let mut manifest = sample_manifest("hello", &format!("1.{number}.0"));
        let (sha256, record) = (written.sha256, &mut manifest.artifact);
        (record.sha256, record.code_sha256, record.key) = (sha256, sha256.base64(), artifact_key(&sha256));
        (record.size, record.unpacked_size) = (written.size, written.unpacked_size);
        record.content_digest = written.listing.content_digest();
        let invocation = BuildInvocation {
            builder: "https://ci.example/job".into(),
            id: "7".into(),
            started_on: jiff::Timestamp::UNIX_EPOCH,
            git_ref: None,
            identity,
            materials: Vec::new(),
        };
        let provenance = Some(ProvenanceSigner { signer, invocation });
        let statements = ReleaseStatements { sbom: None, provenance };
        let step = Progress::silent().counted_step("publish", "hello", 1, Unit::Bytes);
        let catalogue = Catalogue::new(self.artifacts.clone());
        let content = ReleaseContent::Zip(&file);
        publish(&catalogue, manifest.sealed(), content, statements, true, &step)
            .await
            .unwrap()
            .manifest()
            .clone()
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(self.state.clone(), "local".parse().unwrap(), "echo".parse().unwrap())
    }

    async fn deploy(&self, number: u64, manifest: &Manifest) {
        let version = FakeVersion {
            code_sha256: manifest.artifact.code_sha256.clone(),
            memory: 128,
            runtime: None,
            handler: None,
            architecture: crate::architecture::Architecture::Arm64,
            state: "Active".into(),
        };
        self.lambda.publish(FUNCTION, version);
        if number == 1 {
            self.lambda.create_alias(FUNCTION);
        }
        self.lambda.move_alias_to_newest(FUNCTION);
        let ledger = self.ledger();
        let stored: Started =
            serde_json::from_str(include_str!("../ledger/stored/release.started.json")).unwrap();
        let previous = ledger.head().await.unwrap().last.and_then(|last| last.stored.0);
        let caller = Some("arn:aws:sts::222222222222:assumed-role/shop-dev-ci-apply/run".to_owned());
        let started = Started { deployment: number, previous, caller, ..stored };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let mut ended = Ended::of(&started, None, DeploymentOutcome::Verified, at);
        let serving = Serving {
            release: manifest.version.clone(),
            digest: manifest.digest().unwrap(),
            commit: manifest.source.commit.clone(),
            code_sha256: manifest.artifact.code_sha256.clone(),
            function_name: FUNCTION.into(),
            alias: "live".into(),
            lambda_version: number.to_string(),
            alias_elsewhere: None,
            alias_revision: None,
            newest_version: number.to_string(),
            config_digest: Digest::of("configuration"),
            verified: true,
            since: number,
            since_at: at,
        };
        ended.serves = BTreeMap::from([("hello".parse().unwrap(), serving)]);
        ledger.begin(&started).await.unwrap();
        ledger.end(&ended).await.unwrap();
    }

    async fn audit(&self) -> AuditedFunction {
        let catalogue = Catalogue::new(self.artifacts.clone());
        let policy = TrustPolicy { required: true, keys: vec![self.key.clone()], ..TrustPolicy::default() };
        let environment = "local".parse().unwrap();
        let context = AuditContext {
            environment: &environment,
            catalogue: &catalogue,
            functions: self.lambda.as_ref(),
            policy: &policy,
            scratch: self.folder.path(),
        };
        let (ledger, ignored) = AuditedLedger::read(&self.ledger()).await.unwrap();
        assert!(ignored.is_empty());
        let (function, serving) = ledger.serving().next().unwrap();
        context.function(&"echo".parse().unwrap(), function, serving, &ledger).await.unwrap()
    }
}

/// Returns the claims with a verdict.
fn claims(audited: &AuditedFunction, verdict: Verdict) -> Vec<&str> {
    let claims = audited.audit.claims.iter().filter(|claim| claim.verdict == verdict);
    claims.map(|claim| claim.claim.as_str()).collect()
}

#[tokio::test]
async fn every_claim_is_proven_where_a_token_a_key_lambda_and_the_ledger_agree() {
    let scene = Scene::new(Some(crate::identity::tests::identity())).await;
    let audited = scene.audit().await;
    assert_eq!(audited.audit.verdict, Verdict::Proven, "{:?}", audited.audit.claims);
    let all = [
        "serves",
        "release",
        "bytes",
        "signature",
        "commit",
        "workflow",
        "deployed by",
        "verified",
        "ledger",
    ];
    assert_eq!(claims(&audited, Verdict::Proven), all);
    assert_eq!(audited.audit.release, "1.2.0".parse().unwrap());
}

#[tokio::test]
async fn claims_without_a_token_are_unproven() {
    let scene = Scene::new(None).await;
    let audited = scene.audit().await;
    assert_eq!(audited.audit.verdict, Verdict::Unproven);
    assert_eq!(claims(&audited, Verdict::Unproven), ["commit", "workflow"]);
}

#[tokio::test]
async fn what_somebody_changed_is_refuted() {
    let scene = Scene::new(Some(crate::identity::tests::identity())).await;
    let artifacts = scene.artifacts.objects("");
    let state = scene.state.objects("");
    let key = |prefix: &str, part: &str| {
        let keys = artifacts.keys().chain(state.keys());
        keys.filter(|key| key.starts_with(prefix)).find(|key| key.contains(part)).unwrap().clone()
    };
    let manifest = key("releases/", "1.2.0");
    let attestation = {
        let digest = Digest::of(&artifacts[&manifest]);
        key("attestations/", &digest.hex())
    };
    let artifact = {
        let text = String::from_utf8(artifacts[&manifest].clone()).unwrap();
        let of = artifacts.keys().find(|key| key.starts_with("artifacts/") && text.contains(key.as_str()));
        of.unwrap().clone()
    };
    for (object, refuted) in [
        (manifest, vec!["release"]),
        (artifact, vec!["bytes"]),
        (attestation, vec!["signature"]),
        (key("ledger/", "9999999998.ended"), vec!["ledger"]),
    ] {
        let store = if state.contains_key(&object) { &scene.state } else { &scene.artifacts };
        let bytes = store.objects(&object).remove(&object).unwrap();
        let edited = match String::from_utf8(bytes.clone()) {
            Ok(text) if object.ends_with(".json") => text
                .replacen("\"by\": \"", "\"by\": \"x", 1)
                .replacen("payloadType", "payloadtype", 1)
                .into_bytes(),
            _ => vec![b'x'; bytes.len()],
        };
        assert_ne!(edited, bytes, "{object}");
        store.set(&object, edited);
        let audited = scene.audit().await;
        assert_eq!(claims(&audited, Verdict::Refuted), refuted, "{object}: {:?}", audited.audit.claims);
        store.set(&object, bytes);
    }
    assert_eq!(scene.audit().await.audit.verdict, Verdict::Proven);
    // Other code, and an alias that was moved by hand.
    let wrong = FakeVersion { code_sha256: "other".into(), ..scene.lambda.latest(FUNCTION).unwrap() };
    scene.lambda.publish(FUNCTION, wrong);
    scene.lambda.move_alias_to_newest(FUNCTION);
    assert_eq!(claims(&scene.audit().await, Verdict::Refuted), ["serves"]);
}

//! What is removed and what stays, over ports in memory.

use std::sync::Arc;

use super::*;
use crate::architecture::Architecture;
use crate::digest::Digest;
use crate::fakes::{FakeLambda, FakeStore, FakeVersion};
use crate::ledger::{Hold, Started};
use crate::release::{Manifest, artifact_key, sample_manifest};

const NAME: &str = "shop-dev-hello";

struct World {
    state: Arc<FakeStore>,
    artifacts: Arc<FakeStore>,
    lambda: Arc<FakeLambda>,
    number: u64,
}

impl World {
    fn new() -> Self {
        Self {
            state: FakeStore::new("state", Default::default()),
            artifacts: FakeStore::new("artifacts", Default::default()),
            lambda: FakeLambda::new(Default::default()),
            number: 0,
        }
    }

    fn ledger(&self, environment: &str) -> Ledger {
        Ledger::new(self.state.clone(), environment.parse().unwrap(), "hello".parse().unwrap())
    }

    fn release(&self, version: &str) -> Manifest {
        let mut manifest = sample_manifest("hello", version);
        let content = format!("zip {version}");
        manifest.artifact.sha256 = Digest::of(&content);
        manifest.artifact.code_sha256 = manifest.artifact.sha256.base64();
        manifest.artifact.key = artifact_key(&manifest.artifact.sha256);
        self.artifacts.set(&manifest.artifact.key, content);
        let manifest = manifest.sealed();
        self.artifacts.set(&Manifest::key(&manifest.function, &manifest.version), manifest.bytes().unwrap());
        manifest
    }

    fn publish(&self, code_sha256: &str) {
        self.lambda.publish(
            NAME,
            FakeVersion {
                code_sha256: code_sha256.to_owned(),
                memory: 128,
                runtime: None,
                handler: None,
                architecture: Architecture::Arm64,
                state: "Active".into(),
            },
        );
    }

    /// Records a verified deployment of a release, which published the next Lambda version.
    fn deploy(&mut self, version: &str, change: impl Fn(&mut Ended)) {
        self.number += 1;
        let manifest = self.release(version);
        self.publish(&manifest.artifact.code_sha256);
        let started: &str = include_str!("../ledger/stored/release.started.json");
        let ended: &str = include_str!("../ledger/stored/release.ended.json");
        let mut started: Started = serde_json::from_str(started).unwrap();
        let mut ended: Ended = serde_json::from_str(ended).unwrap();
        (started.deployment, ended.deployment) = (self.number, self.number);
        (started.stack, ended.stack) = ("hello".parse().unwrap(), "hello".parse().unwrap());
        (started.environment, ended.environment) = ("dev".parse().unwrap(), "dev".parse().unwrap());
        let mut serving = ended.serves.values().next().unwrap().clone();
        serving.release = manifest.version.clone();
        serving.digest = manifest.digest().unwrap();
        serving.code_sha256 = manifest.artifact.code_sha256.clone();
        serving.function_name = NAME.into();
        serving.alias = "live".into();
        serving.lambda_version = self.number.to_string();
        serving.newest_version = self.number.to_string();
        serving.verified = true;
        ended.serves = BTreeMap::from([(manifest.function.clone(), serving)]);
        ended.will.clear();
        ended.holds.clear();
        change(&mut ended);
        let key = |phase: &str| format!("ledger/hello/{:010}.{phase}.json", 9_999_999_999 - self.number);
        self.state.set(&key("started"), serde_json::to_vec(&started).unwrap());
        self.state.set(&key("ended"), serde_json::to_vec(&ended).unwrap());
    }

    async fn plan(&self, keep: usize, others: std::result::Result<Needed, String>) -> PrunePlan {
        self.with(keep, async |pruner| pruner.plan(others).await.unwrap()).await
    }

    async fn with<T>(&self, keep: usize, work: impl AsyncFnOnce(&Pruner<'_>) -> T) -> T {
        let environment = "dev".parse().unwrap();
        let stacks = [StackToPrune { stack: "hello".parse().unwrap(), ledger: self.ledger("dev") }];
        let catalogue = Catalogue::new(self.artifacts.clone());
        let pruner = Pruner {
            environment: &environment,
            stacks: &stacks,
            store: self.state.as_ref(),
            functions: self.lambda.as_ref(),
            catalogue: &catalogue,
            keep,
            now: "2026-12-01T00:00:00Z".parse().unwrap(),
            progress: &Progress::silent(),
        };
        work(&pruner).await
    }
}

fn names(items: &[PruneItem]) -> Vec<String> {
    items.iter().map(|item| format!("{} {}", item.kind.word(), item.name)).collect()
}

#[tokio::test]
async fn what_serves_what_a_rollback_wants_and_what_nobody_knows_stays() {
    let mut world = World::new();
    for minor in 0..6 {
        world.deploy(&format!("1.{minor}.0"), |ended| {
            if ended.deployment == 6 {
                let function = ended.serves.keys().next().unwrap().clone();
                ended.holds = vec![Hold { function, release: "1.1.0".parse().unwrap(), deployment: 6 }];
            }
        });
    }
    world.publish("by hand");
    world.lambda.create_alias(NAME);
    let plan = world.plan(2, Ok(Needed::default())).await;
    assert_eq!(
        names(&plan.remove),
        [
            "Lambda version shop-dev-hello:1",
            "Lambda version shop-dev-hello:2",
            "Lambda version shop-dev-hello:3",
            "artifact hello 1.0.0",
            "artifact hello 1.2.0",
        ]
    );
    let kept = |name: &str| plan.keep.iter().find(|item| item.name == name).map(|item| item.why.clone());
    assert_eq!(kept("shop-dev-hello:6").unwrap(), "serves");
    assert_eq!(kept("shop-dev-hello:4").unwrap(), "a rollback to deployment 4 may want it");
    assert!(kept("hello 1.1.0").unwrap().starts_with("is on hold"));
    let removed = world.with(2, async |pruner| pruner.apply(&plan).await.unwrap()).await;
    assert_eq!(removed, 5);
    let again = world.plan(2, Ok(Needed::default())).await;
    assert_eq!(names(&again.remove), Vec::<String>::new());
    assert!(
        world
            .artifacts
            .objects("")
            .keys()
            .filter(|key| key.contains("manifest") || key.ends_with(".json"))
            .count()
            >= 6,
        "manifests stay"
    );
}

#[tokio::test]
async fn other_environments_keep_their_releases_and_one_that_cannot_be_read_keeps_all() {
    let mut world = World::new();
    for minor in 0..4 {
        world.deploy(&format!("1.{minor}.0"), |_| {});
    }
    world.lambda.create_alias(NAME);
    let mut needed = Needed::default();
    needed.add(&"hello".parse().unwrap(), &"1.0.0".parse().unwrap(), "serves in prod");
    let plan = world.plan(1, Ok(needed)).await;
    let artifacts = |plan: &PrunePlan| {
        plan.remove
            .iter()
            .filter(|item| item.kind == PrunedKind::Artifact)
            .map(|item| item.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(artifacts(&plan), ["hello 1.1.0"]);
    let plan = world.plan(1, Err("prod: access denied".into())).await;
    assert_eq!(artifacts(&plan), Vec::<String>::new());
    assert!(plan.untouched[0].contains("prod: access denied"), "{:?}", plan.untouched);
    assert!(
        plan.remove.iter().any(|item| item.kind == PrunedKind::LambdaVersion),
        "its own versions are its own"
    );
}

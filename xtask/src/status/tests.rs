use super::*;
use crate::architecture::Architecture;
use crate::digest::Digest;
use crate::fakes::{FakeLambda, FakeStore, FakeVersion as LambdaVersion};
use crate::ledger::{DeploymentKind, Hold, PlannedRelease, SCHEMA, Started};
use crate::plan::StateVersion;

const NAME: &str = "shop-dev-hello";

struct Scene {
    store: Arc<FakeStore>,
    lambda: Arc<FakeLambda>,
    unsaved: BTreeMap<StackName, Vec<PathBuf>>,
    reads_states: bool,
}

impl Scene {
    /// Makes an environment whose function serves version 1 of its release 1.0.0.
    async fn serving() -> Self {
        let scene = Self {
            store: FakeStore::new("state", Default::default()),
            lambda: FakeLambda::new(Default::default()),
            unsaved: BTreeMap::new(),
            reads_states: true,
        };
        scene.lambda.publish(NAME, lambda_version(128));
        scene.lambda.create_alias(NAME);
        let published = scene.lambda.published(NAME, "1").await.unwrap().unwrap();
        let started = started(1);
        scene.ledger().begin(&started).await.unwrap();
        let mut ended = Ended::of(&started, None, DeploymentOutcome::Verified, jiff::Timestamp::UNIX_EPOCH);
        let serving = Serving {
            release: "1.0.0".parse().unwrap(),
            digest: Digest::of("manifest"),
            commit: "9040e95".into(),
            code_sha256: published.code_sha256.clone(),
            function_name: NAME.into(),
            alias: "live".into(),
            lambda_version: "1".into(),
            alias_elsewhere: None,
            alias_revision: None,
            newest_version: "1".into(),
            config_digest: published.digest(),
            verified: true,
            since: 1,
            since_at: jiff::Timestamp::UNIX_EPOCH,
        };
        ended.serves.insert("hello".parse().unwrap(), serving);
        let (function, release) = ("hello".parse().unwrap(), "0.9.0".parse().unwrap());
        ended.holds.push(Hold { function, release, deployment: 1 });
        scene.ledger().end(&ended).await.unwrap();
        scene
    }

    fn ledger(&self) -> Ledger {
        Ledger::new(self.store.clone(), "dev".parse().unwrap(), "hello".parse().unwrap())
    }

    async fn status(&self) -> EnvironmentStatus {
        let (environment, stack) = ("dev".parse().unwrap(), "hello".parse().unwrap());
        let store: Arc<dyn Store> = self.store.clone();
        let functions: Arc<dyn Functions> = self.lambda.clone();
        let project = ProjectIdentity::new("shop", None, |_| true);
        let access = EnvironmentAccess {
            reads_states: self.reads_states,
            project: &project,
            environment: &environment,
            store: &store,
            functions: &functions,
            unsaved: &self.unsaved,
            here: Holder::here(),
        };
        access.read([&stack].into_iter()).await.unwrap()
    }
}

fn lambda_version(memory: u32) -> LambdaVersion {
    LambdaVersion {
        code_sha256: "code".into(),
        memory,
        runtime: None,
        handler: None,
        architecture: Architecture::Arm64,
        state: "Active".into(),
    }
}

/// A deployment that a process on this machine began which is dead by now.
fn started(deployment: u64) -> Started {
    let dead = Holder { pid: u32::MAX, start_ticks: Some(1), ..Holder::here() };
    let choice = PlannedRelease {
        release: "1.0.0".parse().unwrap(),
        digest: Digest::of("manifest"),
        code_sha256: "code".into(),
        commit: "9040e95".into(),
        lambda_version: None,
    };
    Started {
        caller: None,
        previous: None,
        trust: None,
        plan: None,
        origin: None,
        schema: SCHEMA.into(),
        deployment,
        stack: "hello".parse().unwrap(),
        environment: "dev".parse().unwrap(),
        kind: DeploymentKind::Release,
        serves: BTreeMap::new(),
        will: BTreeMap::from([("hello".parse().unwrap(), choice)]),
        by: "ada".into(),
        run_url: None,
        holder: dead,
        at: jiff::Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn function_that_is_as_recorded_has_no_warning() {
    let status = Scene::serving().await.status().await;
    assert!(status.reached && status.warnings.is_empty(), "{status:?}");
    let hello = &status.functions[&"hello".parse().unwrap()];
    assert!(hello.as_recorded && hello.verified);
    assert_eq!(hello.alias_version.as_deref(), Some("1"));
    assert_eq!(hello.held, ["0.9.0".parse().unwrap()]);
}

#[tokio::test]
async fn alias_that_was_moved_by_hand_is_a_warning() {
    let scene = Scene::serving().await;
    scene.lambda.publish(NAME, lambda_version(256));
    scene.lambda.move_alias(NAME, "live", "2", "1").await.unwrap();
    let status = scene.status().await;
    assert_eq!(
        status.warnings,
        ["hello in dev: the alias points to 2, the ledger says 1: cargo xtask recover --env dev"]
    );
    assert!(!status.functions[&"hello".parse().unwrap()].as_recorded);
}

#[tokio::test]
async fn alias_with_a_second_version_is_a_warning_about_the_alias() {
    let scene = Scene::serving().await;
    let last = scene.ledger().head().await.unwrap().last.unwrap();
    let serving = &last.serves[&"hello".parse().unwrap()];
    let published = scene.lambda.published(NAME, "1").await.unwrap();
    let mut alias = scene.lambda.alias(NAME, "live").await.unwrap().unwrap();
    alias.weights.insert("2".into(), 0.1);
    let (environment, project) = ("dev".parse().unwrap(), ProjectIdentity::new("shop", None, |_| true));
    let (store, functions): (Arc<dyn Store>, Arc<dyn Functions>) =
        (scene.store.clone(), scene.lambda.clone());
    let access = EnvironmentAccess {
        reads_states: true,
        project: &project,
        environment: &environment,
        store: &store,
        functions: &functions,
        unsaved: &BTreeMap::new(),
        here: Holder::here(),
    };
    let warning = |alias: Option<&Alias>, published: Option<&FunctionConfiguration>| {
        access.function_warning(&"hello".parse().unwrap(), serving, alias, published).unwrap()
    };
    assert_eq!(
        warning(Some(&alias), published.as_ref()),
        "hello in dev: the alias points to 1 and 10 % to 2, the ledger says 1: cargo xtask recover --env dev"
    );
    alias.weights.clear();
    assert!(warning(Some(&alias), None).ends_with("version 1, which the alias points to, does not exist"));
}

#[tokio::test]
async fn function_that_was_deleted_is_a_warning() {
    let scene = Scene::serving().await;
    scene.lambda.delete(NAME);
    let status = scene.status().await;
    assert!(status.warnings[0].contains("the alias points to nothing"), "{status:?}");
}

#[tokio::test]
async fn deployment_that_was_cut_off_is_a_warning() {
    let scene = Scene::serving().await;
    scene.ledger().begin(&started(2)).await.unwrap();
    let status = scene.status().await;
    assert_eq!(
        status.warnings,
        [
            "deployment 2 of hello (release of hello 1.0.0) by ada was cut off: the next command closes it, or cargo xtask recover"
        ]
    );
}

#[tokio::test]
async fn rollback_that_did_not_end_well_is_a_warning_however_often_it_failed() {
    let scene = Scene::serving().await;
    let outcomes = [
        DeploymentOutcome::TerraformPending,
        DeploymentOutcome::TerraformPending,
        // Earlier versions wrote this where a second rollback failed.
        DeploymentOutcome::Failed,
        DeploymentOutcome::Interrupted,
    ];
    for (deployment, outcome) in (2..).zip(outcomes) {
        let last = scene.ledger().head().await.unwrap().last;
        let mut rollback = started(deployment);
        rollback.kind = DeploymentKind::Rollback;
        rollback.serves = last.unwrap().serves;
        rollback.will.values_mut().for_each(|choice| choice.lambda_version = Some("1".into()));
        scene.ledger().begin(&rollback).await.unwrap();
        let ended = Ended::of(&rollback, None, outcome, jiff::Timestamp::UNIX_EPOCH);
        scene.ledger().end(&ended).await.unwrap();
        let status = scene.status().await;
        assert_eq!(
            status.warnings,
            [
                "hello in dev: traffic is back on hello 1.0.0, Terraform does not agree yet: cargo xtask rollback --env dev continues"
            ],
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn version_that_serves_unverified_is_a_warning() {
    let scene = Scene::serving().await;
    let mut second = started(2);
    second.serves = scene.ledger().head().await.unwrap().last.unwrap().serves;
    second.serves.values_mut().for_each(|serving| serving.verified = false);
    scene.ledger().begin(&second).await.unwrap();
    let outcome = DeploymentOutcome::VerificationFailed;
    let ended = Ended::of(&second, None, outcome, jiff::Timestamp::UNIX_EPOCH);
    scene.ledger().end(&ended).await.unwrap();
    let status = scene.status().await;
    assert_eq!(
        status.warnings,
        ["hello in dev: version 1 serves and was not verified: cargo xtask release --env dev verifies it"]
    );
}

#[tokio::test]
async fn states_that_a_reader_may_not_read_are_said_not_to_be_known() {
    let mut scene = Scene::serving().await;
    scene.store.set("hello.tfstate", "half a st");
    scene.reads_states = false;
    assert_eq!(
        scene.status().await.warnings,
        [
            "whether the states in dev of `hello` are those that the deployments left is not known: read_role may not read them"
        ]
    );
}

#[tokio::test]
async fn state_that_could_not_be_saved_is_a_warning_with_its_place() {
    let mut scene = Scene::serving().await;
    scene.unsaved.insert("hello".parse().unwrap(), vec!["/w/errored.tfstate".into()]);
    let status = scene.status().await;
    assert_eq!(
        status.warnings,
        [
            "hello in dev: the state could not be saved, and is in /w/errored.tfstate: cargo xtask recover --env dev saves it; until then nothing is deployed"
        ]
    );
}

#[tokio::test]
async fn state_that_is_gone_or_another_one_is_a_warning_that_says_what_to_type() {
    let scene = Scene::serving().await;
    let last = scene.ledger().head().await.unwrap().last.unwrap();
    let second = Started { serves: last.serves.clone(), ..started(2) };
    scene.ledger().begin(&second).await.unwrap();
    let mut ended = Ended::of(&second, Some(&last), DeploymentOutcome::Verified, jiff::Timestamp::UNIX_EPOCH);
    ended.state = Some(StateVersion { lineage: "l".into(), serial: 4 });
    scene.ledger().end(&ended).await.unwrap();
    for (state, what) in [
        (
            None,
            Some(
                "the state is gone: deployment 2 left serial 4 of lineage l, memory://state/hello.tfstate has no state.",
            ),
        ),
        (
            Some(r#"{"lineage":"m","serial":9}"#),
            Some(
                "the state is another one than the ledger knows: deployment 2 left serial 4 of lineage l, memory://state/hello.tfstate has serial 9 of lineage m.",
            ),
        ),
        (
            Some(r#"{"lineage":"l","serial":3}"#),
            Some(
                "the state is older than the ledger knows: deployment 2 left serial 4 of lineage l, memory://state/hello.tfstate has serial 3 of lineage l.",
            ),
        ),
        (Some("half a st"), Some("the state memory://state/hello.tfstate is not JSON")),
        (Some(r#"{"lineage":"l","serial":4}"#), None),
        (Some(r#"{"lineage":"l","serial":7}"#), None),
    ] {
        match state {
            Some(state) => scene.store.set("hello.tfstate", state),
            None => scene.store.remove("hello.tfstate"),
        }
        let warnings = scene.status().await.warnings;
        match what {
            None => assert!(warnings.is_empty(), "{state:?}: {warnings:?}"),
            Some(what) => {
                assert!(warnings[0].contains(what), "{state:?}: {warnings:?}");
                let says = warnings[0].contains("cargo xtask release --env dev --accept-state");
                assert!(says || what.ends_with("is not JSON"), "{warnings:?}");
            }
        }
    }
}

#[tokio::test]
async fn first_deployment_that_failed_shows_its_alias_and_what_that_serves() {
    for (code, expected) in [("code", "its code"), ("replaced", "other code than that release")] {
        let scene = Scene::serving().await;
        let started = Started { deployment: 2, serves: BTreeMap::new(), ..started(2) };
        scene.ledger().begin(&started).await.unwrap();
        let last = scene.ledger().head().await.unwrap().last.unwrap();
        let mut ended = Ended::of(
            &started,
            Some(&last),
            DeploymentOutcome::VerificationFailed,
            jiff::Timestamp::UNIX_EPOCH,
        );
        ended.serves.clear();
        let wanted = PlannedRelease {
            release: "0.1.0".parse().unwrap(),
            digest: Digest::of("manifest"),
            code_sha256: code.into(),
            commit: "9040e95".into(),
            lambda_version: None,
        };
        ended.will.insert("hello".parse().unwrap(), wanted);
        scene.ledger().end(&ended).await.unwrap();
        let functions = serde_json::json!({ "hello": {
            "function_name": NAME, "alias": "live", "version": "1", "code_sha256": "code",
        }});
        let state = serde_json::json!({ "lineage": "l", "serial": 1, "outputs": { "functions": { "value": functions } } });
        scene.store.set("hello.tfstate", state.to_string());
        let status = scene.status().await;
        assert_eq!(
            status.warnings,
            [format!(
                "hello in dev: its first deployment (2, release 0.1.0) ended verification failed, and the alias `live` points to 1, {expected}, not verified: users reach it"
            )]
        );
    }
}

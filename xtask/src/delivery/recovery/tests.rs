//! What `recover` finds and repairs, and what it leaves alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::delivery::model::scene::{Scene, deploy_request};
use crate::delivery::state_lock::machine::{Machine, RunningTerraform, WorksOn};
use crate::delivery::{DeployRequest, deliver};
use crate::fakes::{FakeApprover, FakeVersion, Fault};
use crate::ledger::{DeploymentKind, DeploymentOutcome};
use crate::ports::{Approver, Functions as _};

/// Returns a scene whose functions serve their first release.
async fn serving_scene() -> Scene {
    let mut scene = Scene::new(false);
    scene.deploy_new_releases().await;
    scene
}

async fn texts(stack: &EnvironmentStack) -> Vec<(String, String)> {
    texts_of(stack, &RecoverRequest::default()).await
}

async fn texts_of(stack: &EnvironmentStack, request: &RecoverRequest) -> Vec<(String, String)> {
    let recovered = recover(stack, request).await.unwrap();
    recovered.leftovers.into_iter().map(|leftover| (leftover.found, leftover.done)).collect()
}

#[tokio::test]
async fn stack_that_is_well_has_no_leftovers() {
    let mut scene = serving_scene().await;
    assert_eq!(texts(&scene.stack(true)).await, []);
}

#[tokio::test]
async fn open_deployment_of_a_dead_process_is_closed_with_what_serves() {
    let mut scene = serving_scene().await;
    let dead = scene.stack(true);
    let last = dead.ledger.head().await.unwrap().last;
    let started = dead.started(DeploymentKind::Deploy, last.as_ref(), BTreeMap::new());
    dead.ledger.begin(&started).await.unwrap();
    let stack = scene.stack(true);
    let texts = texts(&stack).await;
    assert!(texts[0].0.starts_with("deployment 2 (deploy"), "{texts:?}");
    assert!(texts[0].0.ends_with("has not ended, and its process is gone"), "{texts:?}");
    assert_eq!(texts[0].1, "closed: dev serves a 1.0.0 and b 1.0.0");
    let head = stack.ledger.head().await.unwrap();
    assert!(head.open.is_none());
    assert_eq!(head.last.unwrap().outcome, DeploymentOutcome::Interrupted);
}

#[tokio::test]
async fn deployment_is_not_closed_as_if_an_alias_that_stands_elsewhere_served_its_release() {
    let mut scene = serving_scene().await;
    let dead = scene.stack(true);
    let last = dead.ledger.head().await.unwrap().last;
    let started = dead.started(DeploymentKind::Deploy, last.as_ref(), BTreeMap::new());
    dead.ledger.begin(&started).await.unwrap();
    let name = Scene::function_name(&scene.functions[0]);
    let (_, version) = scene.lambda.serving(&name).unwrap();
    scene.lambda.publish(&name, version);
    let revision = scene.lambda.alias(&name, "live").await.unwrap().unwrap().revision_id.unwrap();
    scene.lambda.move_alias(&name, "live", "2", &revision).await.unwrap();
    let texts = texts(&scene.stack(true)).await;
    assert_eq!(texts[0].1, "closed: dev serves b 1.0.0; the alias `live` of a points to 2, not to 1 (1.0.0)");
}

#[tokio::test]
async fn open_deployment_of_a_running_process_is_left_alone() {
    let mut scene = serving_scene().await;
    let mut running = scene.stack(true);
    running.holder = ledger::Holder::here();
    let last = running.ledger.head().await.unwrap().last;
    let started = running.started(DeploymentKind::Deploy, last.as_ref(), BTreeMap::new());
    running.ledger.begin(&started).await.unwrap();
    let texts = texts(&running).await;
    assert!(texts[0].0.ends_with("and its process is running"), "{texts:?}");
    assert_eq!(texts[0].1, "left alone");
    assert!(running.ledger.head().await.unwrap().open.is_some());
}

const LOCK: &str = r#"{"ID":"5f2e","Who":"ci@here","Operation":"OperationTypeApply","Created":"today"}"#;

#[tokio::test]
async fn lock_on_the_state_is_removed_where_nobody_holds_it() {
    let mut scene = serving_scene().await;
    scene.state.set("s.tfstate.tflock", LOCK);
    let found = "the state is locked by ci@here (OperationTypeApply) since today, lock 5f2e; it was made on here, where no Terraform of this stack runs";
    let expected = [(found.to_owned(), "unlocked".to_owned())];
    assert_eq!(texts(&scene.stack(true)).await, expected);
    assert_eq!(texts(&scene.stack(true)).await, []);
    // One that cannot be read is there as well.
    scene.state.set("s.tfstate.tflock", "");
    let texts = texts(&scene.stack(true)).await;
    assert!(texts[0].0.ends_with("s.tfstate.tflock does not say by whom"), "{texts:?}");
    assert!(texts[0].1.ends_with("delete it"), "{texts:?}");
}

#[tokio::test]
async fn lock_that_somebody_may_hold_is_left_until_its_id_is_named() {
    let mut scene = serving_scene().await;
    let other_stack = RunningTerraform {
        pid: 7,
        works_on: WorksOn::Object { bucket: "shop".into(), key: "other.tfstate".into() },
        age: None,
    };
    let unknown = RunningTerraform { pid: 8, works_on: WorksOn::Unknown, age: None };
    let younger = RunningTerraform {
        pid: 9,
        works_on: WorksOn::Unknown,
        age: Some(std::time::Duration::from_secs(60)),
    };
    fn on(
        scene: &mut Scene,
        host: &str,
        sees_all: bool,
        terraform: Option<&RunningTerraform>,
    ) -> EnvironmentStack {
        let terraforms = terraform.cloned().into_iter().collect();
        let machine = Machine { host: host.into(), sees_all, terraforms };
        EnvironmentStack { machine: Arc::new(move || machine.clone()), ..scene.stack(true) }
    }
    let named = RecoverRequest { unlock: Some("5f2e".into()), ..RecoverRequest::default() };
    for (host, sees_all, terraform, why) in [
        ("laptop", true, None, "left as it is: it was made on here, and nothing here shows"),
        ("here", false, None, "left as it is: it was made on here, and this process does not see all"),
        ("here", true, Some(&unknown), "left alone: a Terraform that may hold it runs here (process 8)"),
    ] {
        scene.state.set("s.tfstate.tflock", LOCK);
        let stack = on(&mut scene, host, sees_all, terraform);
        let texts = texts(&stack).await;
        assert!(texts[0].1.starts_with(why), "{texts:?}");
        assert!(texts[0].1.ends_with("cargo xtask recover --env dev --unlock 5f2e"), "{texts:?}");
        assert!(scene.state.objects("").contains_key("s.tfstate.tflock"));
        assert_eq!(texts_of(&stack, &named).await[0].1, "unlocked");
    }
    // One that works on another state, and one that was started after the lock was made.
    for terraform in [&other_stack, &younger] {
        scene.state.set("s.tfstate.tflock", LOCK.replace("today", "1980-01-01T00:00:00Z"));
        assert_eq!(texts(&on(&mut scene, "here", true, Some(terraform))).await[0].1, "unlocked");
    }
    // A run in this folder holds the work folder's lock, and may be planning.
    scene.state.set("s.tfstate.tflock", LOCK);
    let stack = scene.stack(true);
    let lock = stack.lock_work().await.unwrap();
    let texts = texts(&scene.stack(true)).await;
    assert!(texts[0].1.starts_with("left alone: another run is working on `s` in dev"), "{texts:?}");
    drop(lock);
}

/// The lock of a running deployment, and the alias that it has just moved, are its own.
#[tokio::test]
async fn what_belongs_to_a_running_deployment_is_left_alone() {
    let mut scene = serving_scene().await;
    let mut running = scene.stack(true);
    running.holder = ledger::Holder::here();
    let last = running.ledger.head().await.unwrap().last;
    let started = running.started(DeploymentKind::Deploy, last.as_ref(), BTreeMap::new());
    running.ledger.begin(&started).await.unwrap();
    scene.state.set("s.tfstate.tflock", LOCK);
    let name = Scene::function_name(&scene.functions[0]);
    let (_, version) = scene.lambda.serving(&name).unwrap();
    scene.lambda.publish(&name, version);
    scene.move_alias_by_hand("a", "2").await;
    let mut stack = scene.stack(true);
    stack.holder = ledger::Holder { pid: 1, start_ticks: None, ..ledger::Holder::here() };
    let found = texts(&stack).await;
    assert_eq!(found[0].1, "left alone");
    assert!(found[1].1.starts_with("left alone: deployment 2 by process"), "{found:?}");
    assert_eq!(found[2].1, "left alone: deployment 2 has not ended");
    assert!(scene.state.objects("").contains_key("s.tfstate.tflock"));
    assert_eq!(scene.lambda.serving(&name).unwrap().0, "2");
    // Named, it is closed.
    let close = RecoverRequest { close: Some(2), ..RecoverRequest::default() };
    assert!(texts_of(&stack, &close).await[0].1.starts_with("closed: "));
    assert!(stack.ledger.head().await.unwrap().open.is_none());
}

/// Where the alias had moved before the process died, the closed entry says so: the alias is not moved back.
#[tokio::test]
async fn alias_of_a_deployment_that_was_cut_off_stays_where_it_had_got() {
    let mut scene = serving_scene().await;
    let function = scene.functions[0].clone();
    let release = scene.release_of(&function, None);
    let request = deploy_request(BTreeMap::from([(function.clone(), release.clone())]));
    let faults = scene.faults().clone();
    let name = Scene::function_name(&function);
    for call in 0.. {
        faults.arm(Some((call, Fault::CrashAfter)));
        let stack = scene.stack(true);
        let done = faults.run_until_crash(deliver(&stack, &request)).await;
        assert!(done.is_none(), "it never died after the alias moved");
        if scene.lambda.serving(&name).unwrap().0 == "2" {
            break;
        }
        scene.state.remove("s.tfstate.tflock");
    }
    faults.arm(None);
    let texts = texts(&scene.stack(true)).await;
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(texts[0].1, "closed: dev serves a 1.1.0 and b 1.0.0");
    assert_eq!(scene.lambda.serving(&name).unwrap().0, "2");
}

#[tokio::test]
async fn alias_is_not_moved_to_a_version_whose_code_is_not_the_recorded_one() {
    let mut scene = serving_scene().await;
    let name = Scene::function_name(&scene.functions[0]);
    let (_, version) = scene.lambda.serving(&name).unwrap();
    let other = FakeVersion { code_sha256: "another".into(), ..version };
    scene.lambda.publish(&name, other);
    let key = "ledger/s/9999999998.ended.json";
    let ended = String::from_utf8(scene.state.objects(key).remove(key).unwrap()).unwrap();
    // The entry was edited: it says that version 2 serves, which was never released.
    let edited = ended.replacen("\"lambda_version\": \"1\"", "\"lambda_version\": \"2\"", 1);
    assert_ne!(edited, ended);
    scene.state.set(key, edited);
    let texts = texts(&scene.stack(true)).await;
    assert!(
        texts[0]
            .1
            .starts_with("left as it is: Lambda version 2 of `a` is not the one that the ledger recorded"),
        "{texts:?}"
    );
    assert_eq!(scene.lambda.serving(&name).unwrap().0, "1");
}

#[tokio::test]
async fn unsaved_state_is_saved_and_its_file_renamed() {
    let mut scene = serving_scene().await;
    let stack = scene.stack(true);
    let path = stack.root.join("terraform/stacks/s/errored.tfstate");
    std::fs::write(&path, r#"{"lineage":"8d7f","serial":99}"#).unwrap();
    let texts = texts(&stack).await;
    assert!(texts[0].1.starts_with("saved; the file is now "), "{texts:?}");
    assert!(!path.exists());
    assert!(scene.state.objects("s.tfstate")["s.tfstate"].ends_with(br#""serial":99}"#));
}

#[tokio::test]
async fn alias_that_was_moved_by_hand_goes_back_to_the_ledgers_version() {
    let mut scene = serving_scene().await;
    let name = Scene::function_name(&scene.functions[0]);
    let (_, version) = scene.lambda.serving(&name).unwrap();
    scene.lambda.publish(&name, version);
    let revision = scene.lambda.alias(&name, "live").await.unwrap().unwrap().revision_id.unwrap();
    scene.lambda.move_alias(&name, "live", "2", &revision).await.unwrap();
    let found = "the alias `live` of a points to 2, the ledger says 1 (1.0.0)".to_owned();
    assert_eq!(texts(&scene.stack(true)).await, [(found, "moved from 2 to 1".to_owned())]);
    assert_eq!(scene.lambda.serving(&name).unwrap().0, "1");
}

#[tokio::test]
async fn refusal_leaves_everything_as_it_is() {
    let mut scene = serving_scene().await;
    scene.state.set("s.tfstate.tflock", LOCK);
    let texts = texts(&scene.stack(false)).await;
    assert_eq!(texts[0].1, "left as it is");
    assert!(scene.state.objects("").contains_key("s.tfstate.tflock"));

    struct Nobody;
    impl Approver for Nobody {
        fn approve(&self, _question: &str) -> Result<bool> {
            Err(Failure::refused("nobody can be asked"))
        }
        fn typed(&self, _name: &str) -> Result<bool> {
            Ok(false)
        }
    }
    let mut stack = scene.stack(false);
    stack.approver = Arc::new(Nobody);
    let recovered = recover(&stack, &RecoverRequest::default()).await.unwrap();
    assert_eq!(recovered.refused.unwrap().kind(), FailureKind::Refused);
    assert_eq!(recovered.leftovers[0].done, "left as it is");

    let approver = Arc::new(FakeApprover::new(false));
    stack.approver = approver.clone();
    recover(&stack, &RecoverRequest::default()).await.unwrap();
    let asked = approver.asked.lock().unwrap();
    assert!(asked[0].starts_with("Remove that lock?"), "{asked:?}");
}

#[tokio::test]
async fn state_that_is_gone_is_said_and_what_exists_is_imported_where_that_is_accepted() {
    let mut scene = serving_scene().await;
    scene.state.remove("s.tfstate");
    let texts = texts(&scene.stack(true)).await;
    assert_eq!(texts[0].0, "the state is gone: deployment 1 left serial 1 of lineage 8d7f");
    assert!(texts[0].1.starts_with("restore an earlier version of memory://state/s.tfstate"), "{texts:?}");
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(!scene.state.objects("").contains_key("s.tfstate"), "nothing was imported unasked");
    let accepting = |scene: &mut Scene| {
        let mut stack = scene.stack(true);
        stack.accept_state = true;
        stack
    };
    let releases = BTreeMap::new();
    let always_plan = DeployRequest { always_plan: true, ..deploy_request(releases) };
    let failure = deliver(&accepting(&mut scene), &always_plan).await.unwrap_err();
    assert!(failure.message().contains("would create what exists"), "{failure}");
    assert!(failure.report().hint.unwrap().contains("recover --env dev --accept-state"), "{failure}");
    let recovered = recover(&accepting(&mut scene), &RecoverRequest::default()).await.unwrap();
    assert_eq!(recovered.leftovers[0].done, "imported 4 resources");
    deliver(&accepting(&mut scene), &always_plan).await.unwrap();
    scene.deploy_new_releases().await;
}

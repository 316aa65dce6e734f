//! Saved plans that are applied by another process, over ports in memory.

use std::sync::Arc;

use super::*;
use crate::delivery::model::scene::Scene;
use crate::delivery::{Delivered, Intent, StackPreview, deliver, preview};
use crate::fakes::{Fault, StackFlaw};
use crate::ledger::DeploymentOutcome;
use crate::saved_plans::{self, FilesToSave, PlanId, SavedPlanDocument};

const STATE: &str = "s.tfstate";

/// Plans new releases of both functions and saves that for a day.
async fn saved(scene: &mut Scene) -> PlanId {
    let functions = scene.functions.clone().into_iter();
    let versions = functions.map(|function| (function.clone(), scene.release_of(&function, None).version));
    let versions = versions.collect();
    saved_with(scene, &versions).await
}

async fn saved_with(scene: &mut Scene, versions: &BTreeMap<FunctionName, crate::name::Version>) -> PlanId {
    let stack = scene.stack(true);
    let StackPreview::Planned(previewed) = preview(&stack, versions, Some(Intent::default())).await.unwrap()
    else {
        panic!("it waits")
    };
    let to_save = previewed.to_save.unwrap();
    let at = stack.clock.now();
    let document = SavedPlanDocument {
        schema: saved_plans::SCHEMA.into(),
        target: target(&stack),
        environment: stack.environment().clone(),
        at,
        expires: at + jiff::SignedDuration::from_hours(24),
        by: stack.by.clone(),
        caller: None,
        run_url: Some("https://ci/1".into()),
        stacks: vec![to_save.saved.clone()],
    };
    let files = [FilesToSave { stack: stack.name(), plan: to_save.plan_file(), archive: to_save.archive() }];
    let digest = saved_plans::save(stack.store.as_ref(), &document, &files).await.unwrap();
    PlanId::of(&digest)
}

/// Makes the stack of a process that applies a saved plan, and its request.
async fn applying(scene: &mut Scene, id: &PlanId) -> Result<(EnvironmentStack, DeployRequest)> {
    let mut stack = scene.stack(true);
    let loaded = saved_plans::load(stack.store.as_ref(), stack.environment(), id).await?;
    let saved = loaded.document.stacks[0].clone();
    let approved = ApprovedPlan::new(loaded, saved);
    let request = approved.request(&stack, false, &[]).await?;
    stack.rules.approved = Some(Arc::new(approved));
    Ok((stack, request))
}

async fn apply(scene: &mut Scene, id: &PlanId) -> Result<Delivered> {
    let (stack, request) = applying(scene, id).await?;
    deliver(&stack, &request).await
}

fn raise_serial(scene: &Scene) {
    let state = String::from_utf8(scene.state.objects(STATE).remove(STATE).unwrap()).unwrap();
    let mut state: Value = serde_json::from_str(&state).unwrap();
    state["serial"] = (state["serial"].as_u64().unwrap() + 1).into();
    scene.state.set(STATE, state.to_string());
}

/// What users and the ledger see.
fn world(scene: &Scene) -> impl PartialEq + std::fmt::Debug + use<> {
    (scene.lambda.aliases(), scene.state.objects("ledger/"), scene.state.objects(STATE))
}

async fn assert_stale(scene: &mut Scene, id: &PlanId, words: &str) {
    let before = world(scene);
    let failure = apply(scene, id).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::PlanStale, "{failure}");
    assert!(failure.message().contains(words), "{failure}");
    assert_eq!(failure.report().unchanged.as_deref(), Some("Nothing was applied."), "{failure}");
    assert_eq!(world(scene), before);
    assert!(!scene.stack(true).plan.work.join("plan.tfplan").exists(), "the plan has secrets");
}

#[tokio::test]
async fn saved_plan_is_applied_by_another_process_once_and_the_ledger_names_it() {
    for protected in [false, true] {
        let mut scene = Scene::new(protected);
        scene.deploy_new_releases().await;
        let before = (scene.lambda.aliases(), scene.state.objects("ledger/"), scene.state.objects(STATE));
        let id = saved(&mut scene).await;
        assert_eq!(
            before,
            (scene.lambda.aliases(), scene.state.objects("ledger/"), scene.state.objects(STATE))
        );
        // Files that changed in the project since are not those of the plan.
        if !protected {
            scene.write_memory(512);
        }
        let delivered = apply(&mut scene, &id).await.unwrap();
        assert_eq!((delivered.deployment, delivered.changes.len()), (Some(2), 2));
        let ended = scene.last_ended().await.unwrap();
        let plan = ended.plan.clone().unwrap();
        assert_eq!((PlanId::of(&plan.id), plan.planned_anew), (id.clone(), false));
        assert_eq!(plan.run_url.as_deref(), Some("https://ci/1"));
        assert_eq!(scene.lambda.latest(&Scene::function_name(&scene.functions[0])).unwrap().memory, 128);
        // The same job again: nothing is done twice.
        let again = apply(&mut scene, &id).await.unwrap();
        assert!(again.unchanged && again.deployment.is_none());
        scene.deploy_new_releases().await;
        assert_stale(&mut scene, &id, "was applied already: a plan is used once").await;
    }
}

#[tokio::test]
async fn state_whose_serial_alone_moved_is_planned_anew_and_compared() {
    let mut scene = Scene::new(false);
    scene.deploy_new_releases().await;
    let id = saved(&mut scene).await;
    raise_serial(&scene);
    apply(&mut scene, &id).await.unwrap();
    assert!(scene.last_ended().await.unwrap().plan.unwrap().planned_anew);

    // Somebody changed a function by hand meanwhile: what was approved is not what would be done.
    let id = saved(&mut scene).await;
    let name = Scene::function_name(&scene.functions[0]);
    let newest = scene.newest_release(&scene.functions[0].clone());
    let mut by_hand = scene.lambda.latest(&name).unwrap();
    by_hand.code_sha256.clone_from(&newest.artifact.code_sha256);
    scene.lambda.publish(&name, by_hand);
    raise_serial(&scene);
    let failure = apply(&mut scene, &id).await.unwrap_err();
    let body = failure.report().body.unwrap();
    assert!(body.contains("module.a.aws_lambda_function.this  update    nothing"), "{body}");
    assert_stale(&mut scene, &id, "the changes are others now").await;
}

#[tokio::test]
async fn state_that_is_another_or_gone_is_not_planned_with() {
    let mut scene = Scene::new(false);
    scene.deploy_new_releases().await;
    let id = saved(&mut scene).await;
    let state = String::from_utf8(scene.state.objects(STATE).remove(STATE).unwrap()).unwrap();
    scene.state.set(STATE, state.replace("8d7f", "another"));
    let failure = apply(&mut scene, &id).await.unwrap_err();
    assert!(failure.message().contains("is another one than the ledger knows"), "{failure}");
    // Also where that is accepted: then somebody has to look at a new plan.
    let (mut stack, request) = applying(&mut scene, &id).await.unwrap();
    stack.accept_state = true;
    let failure = deliver(&stack, &request).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::PlanStale);
    assert!(failure.message().contains("is another one than when it was planned"), "{failure}");
}

#[tokio::test]
async fn what_serves_and_what_is_released_is_what_was_planned_with() {
    let mut scene = Scene::new(false);
    scene.deploy_new_releases().await;
    let id = saved(&mut scene).await;
    let newest = scene.newest_release(&scene.functions[0].clone());
    let first = scene.replace_manifest("a", &newest.version.to_string());
    assert_stale(&mut scene, &id, "the manifest of `a` 1.1.0 is not the one that was planned with").await;
    scene.restore_manifest("a", &newest.version.to_string(), first);
    scene.deploy(&["b"]).await.unwrap();
    assert_stale(&mut scene, &id, "`b` serves another release in dev than when it was planned").await;

    let mut scene = Scene::new(false);
    scene.deploy_new_releases().await;
    let id = saved(&mut scene).await;
    let (mut stack, request) = applying(&mut scene, &id).await.unwrap();
    stack.settings.functions.pop();
    let failure = deliver(&stack, &request).await.unwrap_err();
    assert!(failure.message().contains("runs other functions here"), "{failure}");
    let (mut stack, request) = applying(&mut scene, &id).await.unwrap();
    Arc::get_mut(&mut stack.plan).unwrap().backend.account = "444444444444".into();
    let failure = deliver(&stack, &request).await.unwrap_err();
    assert!(failure.message().contains("is for another account"), "{failure}");
    assert_eq!(failure.kind(), FailureKind::PlanStale);
}

#[tokio::test]
async fn plan_of_another_commit_is_not_applied_in_a_protected_environment() {
    let mut scene = Scene::new(true);
    scene.deploy_new_releases().await;
    let id = saved(&mut scene).await;
    scene.write_memory(512);
    assert_stale(&mut scene, &id, "was made of other files of `s` than this clone has").await;
    scene.write_memory(128);
    apply(&mut scene, &id).await.unwrap();
}

#[tokio::test]
async fn expired_or_replaced_plan_is_refused() {
    let mut scene = Scene::new(false);
    scene.deploy_new_releases().await;
    let id = saved(&mut scene).await;
    for (key, bytes) in scene.state.objects("plans/") {
        scene.state.set(&key, *b"{}");
        let words = if key.ends_with(".json") {
            "is not the one that its name says"
        } else {
            "is not the one that was saved"
        };
        assert_stale(&mut scene, &id, words).await;
        scene.state.set(&key, bytes);
    }
    scene.skew_clock(25 * 3_600);
    assert_stale(&mut scene, &id, "expired at").await;
    scene.skew_clock(-25 * 3_600);
    apply(&mut scene, &id).await.unwrap();
}

/// Somebody who may write plans writes a document that shows less than its Terraform plan does.
#[tokio::test]
async fn document_that_does_not_show_what_its_plan_does_is_refused() {
    let mut scene = Scene::new(false);
    scene.deploy_new_releases().await;
    let id = saved(&mut scene).await;
    let stack = scene.stack(true);
    let loaded = saved_plans::load(stack.store.as_ref(), stack.environment(), &id).await.unwrap();
    let mut document = loaded.document.clone();
    document.stacks[0].changes.remove(0);
    let digest = Digest::of(document.bytes().unwrap());
    for (key, bytes) in scene.state.objects("plans/") {
        let (_, name) = key.rsplit_once('/').unwrap();
        let bytes = if name == "plan.json" { document.bytes().unwrap() } else { bytes };
        scene.state.set(&format!("plans/{}/{name}", digest.hex()), bytes);
    }
    assert_stale(&mut scene, &PlanId::of(&digest), "is not the one that was shown").await;
}

#[tokio::test]
async fn every_run_of_a_saved_plan_can_be_killed_and_run_again() {
    for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::ErrorBefore, Fault::CutAfter] {
        for place in 0.. {
            let mut scene = Scene::new(false);
            scene.deploy_new_releases().await;
            let id = saved(&mut scene).await;
            let faults = scene.faults().clone();
            faults.arm(Some((place, fault)));
            let first = faults.run_until_crash(apply(&mut scene, &id)).await;
            let at = faults.triggered_at();
            faults.arm(None);
            let Some(at) = at else {
                first.unwrap().unwrap();
                break;
            };
            if let Some(Err(failure)) = &first {
                assert_ne!(failure.kind(), FailureKind::Defect, "{at}: {failure}");
            }
            let again = apply(&mut scene, &id).await;
            let again = match again {
                // A lock that is left, and what an apply left that no state knows: as the refusal says.
                Err(_) => {
                    crate::delivery::recover(&scene.stack(true), &Default::default()).await.unwrap();
                    apply(&mut scene, &id).await
                }
                again => again,
            };
            again.unwrap_or_else(|failure| panic!("{at}: {failure:?}\n{:?}", failure.report()));
            let ended = scene.last_ended().await.unwrap();
            assert_eq!(ended.outcome, DeploymentOutcome::Verified, "{at}");
            assert_eq!(ended.plan.as_ref().map(|plan| PlanId::of(&plan.id)), Some(id), "{at}");
            for function in &scene.functions {
                let newest = scene.newest_release(function);
                assert_eq!(ended.serves[function].release, newest.version, "{at}");
                let (_, version) = scene.lambda.serving(&Scene::function_name(function)).unwrap();
                assert_eq!(version.code_sha256, newest.artifact.code_sha256, "{at}");
            }
        }
    }
}

#[tokio::test]
async fn first_deployment_of_a_stack_can_be_saved_and_approved() {
    let mut scene = Scene::new(true);
    let id = saved(&mut scene).await;
    assert_eq!(apply(&mut scene, &id).await.unwrap().changes.len(), 4);
    assert_eq!(scene.last_ended().await.unwrap().outcome, DeploymentOutcome::Verified);
}

#[tokio::test]
async fn what_a_deployment_refuses_is_not_saved() {
    let mut scene = Scene::new(false);
    scene.deploy_new_releases().await;
    scene.write_flaw(StackFlaw::HasNoOutput);
    let function = scene.functions[0].clone();
    let versions = BTreeMap::from([(function.clone(), scene.release_of(&function, None).version)]);
    let failure = preview(&scene.stack(true), &versions, Some(Intent::default())).await.err().unwrap();
    assert_eq!(failure.report().unchanged.as_deref(), Some("Nothing was saved or changed."), "{failure}");
    assert!(scene.state.objects("plans/").is_empty());
    let StackPreview::Planned(seen) = preview(&scene.stack(true), &versions, None).await.unwrap() else {
        panic!("it waits")
    };
    assert!(seen.plan.refused.unwrap().contains("has no output `functions`"));
}

#[tokio::test]
async fn policy_is_asked_before_anybody_and_its_no_ends_it() {
    for (line, allowed) in
        [("grep -q aws_lambda_function {plan}", true), ("sh -c 'echo not today; exit 1'", false)]
    {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        let function = scene.functions[0].clone();
        let release = scene.release_of(&function, None);
        let mut stack = scene.stack(true);
        let approver = Arc::new(crate::fakes::FakeApprover::new(true));
        stack.approver = approver.clone();
        stack.rules.policies = vec![crate::policy::Policy {
            file: "pipelines/project.toml".into(),
            settings: toml::from_str(&format!("policy = {line:?}")).unwrap(),
        }];
        let request = crate::delivery::model::scene::deploy_request(BTreeMap::from([(function, release)]));
        let result = deliver(&stack, &request).await;
        assert_eq!(approver.asked.lock().unwrap().len(), usize::from(allowed));
        if allowed {
            result.unwrap();
        } else {
            let failure = result.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::Refused);
            assert_eq!(failure.report().body.as_deref(), Some("not today"));
            assert_eq!(scene.last_ended().await.unwrap().deployment, 1);
        }
    }
}

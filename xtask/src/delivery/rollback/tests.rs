//! What a rollback goes back to, and what it leaves alone.

use super::*;
use crate::delivery::model::scene::{Scene, deploy_request};
use crate::delivery::{
    DeployRequest, DestroyRequest, Leftover, RecoverRequest, deliver, destroy_all, recover,
};
use crate::fakes::StackFlaw;
use crate::name::Version;

async fn roll_back_to(scene: &mut Scene, request: &RollbackRequest) -> Result<RolledBack> {
    roll_back_stack(&scene.stack(true), request).await
}

async fn undo_newest(scene: &mut Scene) -> Result<RolledBack> {
    roll_back_to(scene, &RollbackRequest::default()).await
}

/// What serves, as `a 1.0.0`.
async fn serves(scene: &mut Scene) -> Vec<String> {
    let last = scene.last_ended().await.unwrap();
    last.serves.iter().map(|(function, serving)| format!("{function} {}", serving.release)).collect()
}

fn back_to(done: &RolledBack) -> Vec<String> {
    done.steps.iter().map(|(function, step)| format!("{function} {}", step.to.release)).collect()
}

fn undo_of(delivered: &Delivered) -> Vec<String> {
    delivered.undo.iter().map(|(function, version)| format!("{function} {version}")).collect()
}

#[tokio::test]
async fn rollback_without_a_name_takes_back_exactly_what_the_newest_deployment_changed() {
    let mut scene = Scene::new(true);
    scene.deploy(&["a", "b"]).await.unwrap();
    scene.deploy(&["a", "b"]).await.unwrap();
    let delivered = scene.deploy(&["b"]).await.unwrap();
    assert_eq!(undo_of(&delivered), ["b 1.1.0"]);
    let done = undo_newest(&mut scene).await.unwrap();
    assert_eq!(back_to(&done), ["b 1.1.0"]);
    assert_eq!(serves(&mut scene).await, ["a 1.1.0", "b 1.1.0"]);
    let holds: Vec<String> = scene
        .last_ended()
        .await
        .unwrap()
        .holds
        .iter()
        .map(|hold| format!("{} {}", hold.function, hold.release))
        .collect();
    assert_eq!(holds, ["b 1.2.0"]);
}

/// A rollback whose end nobody heard is typed again.
#[tokio::test]
async fn rollback_that_is_repeated_goes_no_further_back_and_holds_nothing_more() {
    let mut scene = Scene::new(false);
    for _ in 0..3 {
        scene.deploy(&["a", "b"]).await.unwrap();
    }
    assert_eq!(back_to(&undo_newest(&mut scene).await.unwrap()), ["a 1.1.0", "b 1.1.0"]);
    let last = scene.last_ended().await;
    let named = RollbackRequest { functions: vec!["a".parse().unwrap()], ..RollbackRequest::default() };
    for request in [RollbackRequest::default(), named] {
        let again = roll_back_to(&mut scene, &request).await.unwrap();
        assert!(again.delivered.is_none());
        let step = &again.steps[&"a".parse().unwrap()];
        assert_eq!((step.to.release.to_string(), step.deployment), ("1.1.0".into(), 4));
        let further = step.repeats.as_ref().unwrap().further.as_ref();
        assert_eq!(further, Some(&Version::new(1, 0, 0)));
        let stays = &again.stay[&"a".parse().unwrap()];
        let expected =
            "rollback 4 brought 1.1.0 back (further back: cargo xtask rollback a --env dev --to 1.0.0)";
        assert_eq!(stays, expected);
        assert_eq!(scene.last_ended().await, last);
    }
    // An alias that was moved by hand since goes back to what the rollback brought.
    scene.move_alias_by_hand("a", "3").await;
    assert_eq!(back_to(&undo_newest(&mut scene).await.unwrap()), ["a 1.1.0"]);
    assert_eq!(serves(&mut scene).await, ["a 1.1.0", "b 1.1.0"]);
    // By its version it goes further.
    let request = RollbackRequest {
        functions: vec!["a".parse().unwrap()],
        to: Some(Version::new(1, 0, 0)),
        ..RollbackRequest::default()
    };
    roll_back_to(&mut scene, &request).await.unwrap();
    assert_eq!(serves(&mut scene).await, ["a 1.0.0", "b 1.1.0"]);
    // A release since then is undone as any other.
    scene.deploy(&["a"]).await.unwrap();
    assert_eq!(back_to(&undo_newest(&mut scene).await.unwrap()), ["a 1.0.0"]);
}

/// Terraform's state stays locked: each rollback ends with exit code 7, and so does a destruction.
#[tokio::test]
async fn warning_of_a_rollback_stays_while_the_state_is_locked() {
    let mut scene = Scene::new(false);
    scene.deploy(&["a", "b"]).await.unwrap();
    scene.deploy(&["a", "b"]).await.unwrap();
    scene.state.set("s.tfstate.tflock", "somebody's");
    for number in 3..=5 {
        let failure = if number < 5 {
            undo_newest(&mut scene).await.unwrap_err()
        } else {
            // Locked between its plan and its apply.
            scene.state.remove("s.tfstate.tflock");
            let (mut stack, state) = (scene.stack(true), scene.state.clone());
            scene.while_approving(&mut stack, async move { state.set("s.tfstate.tflock", "somebody's") });
            let (stacks, confirmed) = ([stack], Default::default());
            let request = DestroyRequest { stacks: &stacks, kept: &[], confirmed: &confirmed };
            let interrupt = crate::interrupt::Interrupt::never();
            destroy_all(&request, &interrupt).await.unwrap().failure.unwrap()
        };
        assert_eq!(failure.kind(), FailureKind::LockHeld);
        let last = scene.last_ended().await.unwrap();
        assert_eq!(last.deployment, number);
        assert_eq!(
            last.unfinished_rollback_text().unwrap(),
            "traffic is back on a 1.0.0 and b 1.0.0, Terraform does not agree yet"
        );
        assert!(number == 5 || last.outcome == DeploymentOutcome::TerraformPending);
    }
    scene.state.remove("s.tfstate.tflock");
    undo_newest(&mut scene).await.unwrap();
    assert_eq!(scene.last_ended().await.unwrap().unfinished_rollback_text(), None);
}

#[tokio::test]
async fn first_release_has_nothing_to_undo() {
    let mut scene = Scene::new(false);
    let delivered = scene.deploy(&["a", "b"]).await.unwrap();
    assert!(delivered.undo.is_empty());
    let failure = undo_newest(&mut scene).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(failure.message().contains("is the only verified release"), "{failure}");
}

#[tokio::test]
async fn deployment_of_configuration_alone_has_no_release_to_undo() {
    let mut scene = Scene::new(false);
    scene.deploy(&["a", "b"]).await.unwrap();
    scene.write_memory(192);
    scene.deploy(&[]).await.unwrap();
    let hint = undo_newest(&mut scene).await.unwrap_err().report().hint.unwrap();
    assert!(!hint.contains("rollback"), "nothing served before: {hint}");
    scene.deploy(&["b"]).await.unwrap();
    scene.write_memory(256);
    let delivered = scene.deploy(&[]).await.unwrap();
    assert_eq!((delivered.deployment, delivered.undo.len()), (Some(4), 0));
    let failure = undo_newest(&mut scene).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(failure.message().starts_with("deployment 4 changed no release in dev"), "{failure}");
    let hint = failure.report().hint.unwrap();
    assert!(hint.ends_with("name it: cargo xtask rollback b --env dev"), "{hint}");
    // By name it still goes back.
    let request = RollbackRequest { functions: vec!["b".parse().unwrap()], ..RollbackRequest::default() };
    assert_eq!(back_to(&roll_back_to(&mut scene, &request).await.unwrap()), ["b 1.0.0"]);
}

#[tokio::test]
async fn function_that_was_added_does_not_stand_in_the_way() {
    let mut scene = Scene::new(false);
    scene.deploy(&["a", "b"]).await.unwrap();
    scene.functions.push("c".parse().unwrap());
    let delivered = scene.deploy(&["a", "c"]).await.unwrap();
    assert_eq!(undo_of(&delivered), ["a 1.0.0"]);
    let done = undo_newest(&mut scene).await.unwrap();
    assert_eq!(back_to(&done), ["a 1.0.0"]);
    assert!(done.stay[&"c".parse().unwrap()].contains("only verified release"), "{:?}", done.stay);
    assert_eq!(serves(&mut scene).await, ["a 1.0.0", "b 1.0.0", "c 1.0.0"]);

    scene.deploy(&["a", "b", "c"]).await.unwrap();
    let request = RollbackRequest { to_deployment: Some(1), ..RollbackRequest::default() };
    let done = roll_back_to(&mut scene, &request).await.unwrap();
    assert_eq!(back_to(&done), ["a 1.0.0", "b 1.0.0"]);
    assert!(done.stay.contains_key(&"c".parse().unwrap()));
    assert_eq!(serves(&mut scene).await, ["a 1.0.0", "b 1.0.0", "c 1.1.0"]);
}

#[tokio::test]
async fn rollback_passes_over_a_deployment_that_failed_and_changed_nothing() {
    let mut scene = Scene::new(false);
    scene.deploy(&["a", "b"]).await.unwrap();
    scene.deploy(&["a"]).await.unwrap();
    scene.fail_next_release("a");
    let failure = scene.deploy(&["a"]).await.unwrap_err();
    assert_eq!(
        failure.report().unchanged.unwrap(),
        "No alias was moved: users reach the same version as before."
    );
    assert_eq!(back_to(&undo_newest(&mut scene).await.unwrap()), ["a 1.0.0"]);
    assert_eq!(serves(&mut scene).await, ["a 1.0.0", "b 1.0.0"]);
}

/// The alias stands on what did not verify: because Terraform created it there, or because the process died in between.
#[tokio::test]
async fn rollback_never_goes_to_what_did_not_verify() {
    let mut scene = Scene::new(false);
    scene.fail_next_release("a");
    let failure = scene.deploy(&["a", "b"]).await.unwrap_err();
    let unchanged = failure.report().unchanged.unwrap();
    assert!(unchanged.starts_with("This was the first deployment of `a`: its alias `live` points to version 1, which did not verify."), "{unchanged}");
    let ended = scene.last_ended().await.unwrap();
    let verified: Vec<bool> = ended.serves.values().map(|serving| serving.verified).collect();
    assert_eq!((ended.outcome, verified), (DeploymentOutcome::VerificationFailed, vec![false, true]));

    let delivered = scene.deploy(&["a", "b"]).await.unwrap();
    assert!(delivered.undo.is_empty(), "{:?}", delivered.undo);
    assert!(undo_newest(&mut scene).await.is_err());
    for request in [
        RollbackRequest { to_deployment: Some(1), ..RollbackRequest::default() },
        RollbackRequest {
            functions: vec!["a".parse().unwrap()],
            to: Some(Version::new(1, 0, 0)),
            ..RollbackRequest::default()
        },
    ] {
        let failure = roll_back_to(&mut scene, &request).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused, "{failure}");
    }
    assert_eq!(serves(&mut scene).await, ["a 1.1.0", "b 1.1.0"]);
}

#[tokio::test]
async fn alias_that_was_there_before_the_first_deployment_is_not_said_to_have_moved() {
    let mut scene = Scene::adopted(false);
    scene.fail_next_release("a");
    let failure = scene.deploy(&["a", "b"]).await.unwrap_err();
    let unchanged = failure.report().unchanged.unwrap();
    assert!(
        unchanged.starts_with(
            "The alias `live` of `a` points to version 1, not to version 2, which did not verify."
        ),
        "{unchanged}"
    );
    assert!(scene.last_ended().await.unwrap().serves.is_empty());
    let delivered = scene.deploy(&["a", "b"]).await.unwrap();
    assert!(delivered.undo.is_empty(), "what was there before was never released");
}

#[tokio::test]
async fn rollback_that_failed_twice_keeps_its_warning() {
    let mut scene = Scene::new(false);
    scene.deploy(&["a", "b"]).await.unwrap();
    scene.deploy(&["a", "b"]).await.unwrap();
    let kept = scene.remove_manifest("a", "1.0.0");
    for deployment in [3, 4, 5] {
        let failure = undo_newest(&mut scene).await.unwrap_err();
        let unchanged = failure.report().unchanged.unwrap();
        assert!(
            unchanged.starts_with("Traffic is back on the earlier release (a 1.0.0 and b 1.0.0)"),
            "{unchanged}"
        );
        let ended = scene.last_ended().await.unwrap();
        assert_eq!((ended.deployment, ended.outcome), (deployment, DeploymentOutcome::TerraformPending));
        let text = "traffic is back on a 1.0.0 and b 1.0.0, Terraform does not agree yet";
        assert_eq!(ended.unfinished_rollback_text().as_deref(), Some(text));
        let stack = scene.stack(true);
        let leftovers = recover(&stack, &RecoverRequest::default()).await.unwrap().leftovers;
        let found: Vec<(&str, &str)> =
            leftovers.iter().map(|Leftover { found, done, .. }| (found.as_str(), done.as_str())).collect();
        assert_eq!(found, [(text, "to continue: cargo xtask rollback --env dev")]);
    }
    scene.restore_manifest("a", "1.0.0", kept);
    undo_newest(&mut scene).await.unwrap();
    let ended = scene.last_ended().await.unwrap();
    assert_eq!((ended.outcome, ended.unfinished_rollback_text()), (DeploymentOutcome::RolledBack, None));
    assert!(recover(&scene.stack(true), &RecoverRequest::default()).await.unwrap().leftovers.is_empty());
}

/// With its target the command is the same again: it continues, and does not take the moved alias for all of it.
#[tokio::test]
async fn rollback_to_a_release_continues_when_it_is_repeated() {
    for to_deployment in [false, true] {
        let mut scene = Scene::new(false);
        scene.deploy(&["a", "b"]).await.unwrap();
        scene.deploy(&["a", "b"]).await.unwrap();
        let request = match to_deployment {
            true => RollbackRequest { to_deployment: Some(1), ..Default::default() },
            false => RollbackRequest {
                functions: vec!["a".parse().unwrap()],
                to: Some("1.0.0".parse().unwrap()),
                ..Default::default()
            },
        };
        let kept = scene.remove_manifest("a", "1.0.0");
        roll_back_to(&mut scene, &request).await.unwrap_err();
        assert!(scene.last_ended().await.unwrap().unfinished_rollback_text().is_some());
        scene.restore_manifest("a", "1.0.0", kept);
        roll_back_to(&mut scene, &request).await.unwrap();
        let ended = scene.last_ended().await.unwrap();
        assert_eq!((ended.outcome, ended.unfinished_rollback_text()), (DeploymentOutcome::RolledBack, None));
        assert!(serves(&mut scene).await.contains(&"a 1.0.0".to_owned()));
    }
}

#[tokio::test]
async fn rollback_of_another_function_keeps_the_warning_and_finishes_both() {
    let mut scene = Scene::new(false);
    scene.deploy(&["a", "b"]).await.unwrap();
    scene.deploy(&["a", "b"]).await.unwrap();
    let kept = scene.remove_manifest("a", "1.0.0");
    let of =
        |name: &str| RollbackRequest { functions: vec![name.parse().unwrap()], ..RollbackRequest::default() };
    roll_back_to(&mut scene, &of("a")).await.unwrap_err();
    roll_back_to(&mut scene, &of("b")).await.unwrap_err();
    let ended = scene.last_ended().await.unwrap();
    assert_eq!(ended.outcome, DeploymentOutcome::TerraformPending);
    let text = "traffic is back on a 1.0.0 and b 1.0.0, Terraform does not agree yet";
    assert_eq!(ended.unfinished_rollback_text().as_deref(), Some(text));
    scene.restore_manifest("a", "1.0.0", kept);
    undo_newest(&mut scene).await.unwrap();
    assert_eq!(scene.last_ended().await.unwrap().outcome, DeploymentOutcome::RolledBack);
    for function in &scene.functions {
        let name = Scene::function_name(function);
        let (_, serving) = scene.lambda.serving(&name).unwrap();
        assert_eq!(scene.lambda.latest(&name).unwrap().code_sha256, serving.code_sha256);
    }
}

#[tokio::test]
async fn release_that_fails_after_a_failed_rollback_keeps_its_warning() {
    let mut scene = Scene::new(false);
    for _ in 0..3 {
        scene.deploy(&["a", "b"]).await.unwrap();
    }
    let kept = scene.remove_manifest("a", "1.1.0");
    undo_newest(&mut scene).await.unwrap_err();
    scene.restore_manifest("a", "1.1.0", kept);
    // Moved back, so that it is refused after the apply.
    scene.flaw = StackFlaw::MovesAliasUnseen;
    scene.deploy(&["a", "b"]).await.unwrap_err();
    scene.flaw = StackFlaw::None;
    let ended = scene.last_ended().await.unwrap();
    assert_eq!((ended.deployment, ended.outcome), (5, DeploymentOutcome::Failed));
    let text = "traffic is back on a 1.1.0 and b 1.1.0, Terraform does not agree yet";
    assert_eq!(ended.unfinished_rollback_text().as_deref(), Some(text));
    // It continues, instead of going further back.
    let done = undo_newest(&mut scene).await.unwrap();
    assert!(done.steps.values().all(|step| step.resumed), "{:?}", done.steps);
    assert_eq!(serves(&mut scene).await, ["a 1.1.0", "b 1.1.0"]);
    assert_eq!(scene.last_ended().await.unwrap().unfinished_rollback_text(), None);
}

#[tokio::test]
async fn manifest_that_was_replaced_is_not_used_by_its_version_alone() {
    let mut scene = Scene::new(false);
    scene.deploy(&["a", "b"]).await.unwrap();
    scene.deploy(&["a", "b"]).await.unwrap();
    let other = scene.replace_manifest("b", "1.1.0");
    let failure = scene.deploy(&["a"]).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert_eq!(failure.message(), "the manifest of `b` 1.1.0 is not the one that was deployed to dev");
    assert_eq!(failure.report().unchanged.as_deref(), Some("Nothing was changed."));
    let stack = scene.stack(true);
    assert!(crate::delivery::verify_serving(&stack, &scene.functions, &|_| None).await.is_err());
    // Traffic needs no manifest; Terraform does.
    let request = RollbackRequest { functions: vec!["a".parse().unwrap()], ..RollbackRequest::default() };
    let failure = roll_back_to(&mut scene, &request).await.unwrap_err();
    assert_eq!(failure.message(), "the manifest of `b` 1.1.0 is not the one that was deployed to dev");
    assert!(
        failure.report().unchanged.unwrap().starts_with("Traffic is back on the earlier release (a 1.0.0)")
    );
    scene.restore_manifest("b", "1.1.0", other);
    roll_back_to(&mut scene, &RollbackRequest::default()).await.unwrap();
}

/// `release` takes the newest release of unchanged inputs, which nobody asked for by its version.
#[tokio::test]
async fn release_that_serves_is_not_replaced_under_its_version() {
    let mut scene = Scene::new(false);
    scene.deploy(&["a", "b"]).await.unwrap();
    scene.replace_manifest("a", "1.0.0");
    let a: FunctionName = "a".parse().unwrap();
    let stack = scene.stack(true);
    let replaced = stack.catalogue.manifest(&a, &"1.0.0".parse().unwrap()).await.unwrap();
    let releases = BTreeMap::from([(a, replaced)]);
    let expected = "the manifest of `a` 1.0.0 is not the one that was deployed to dev";
    for kind in [DeploymentKind::Release, DeploymentKind::Deploy] {
        let request = DeployRequest { kind, ..deploy_request(releases.clone()) };
        assert_eq!(deliver(&stack, &request).await.unwrap_err().message(), expected);
    }
    // Nor where it served once, and another release serves now.
    scene.deploy(&["a"]).await.unwrap();
    let failure = deliver(&scene.stack(true), &deploy_request(releases)).await.unwrap_err();
    assert_eq!((failure.kind(), failure.message()), (FailureKind::Refused, expected));
}

#[tokio::test]
async fn release_serves_already_only_where_its_alias_says_so() {
    let mut scene = Scene::new(false);
    scene.deploy(&["a", "b"]).await.unwrap();
    scene.deploy(&["a", "b"]).await.unwrap();
    scene.move_alias_by_hand("a", "1").await;
    let request = RollbackRequest {
        functions: vec!["a".parse().unwrap()],
        to: Some(Version::new(1, 1, 0)),
        ..RollbackRequest::default()
    };
    let done = roll_back_to(&mut scene, &request).await.unwrap();
    assert!(done.delivered.is_some());
    assert_eq!(scene.lambda.aliases()["shop-333333333333-dev-a"], 2);
    assert!(roll_back_to(&mut scene, &request).await.unwrap().delivered.is_none());
}

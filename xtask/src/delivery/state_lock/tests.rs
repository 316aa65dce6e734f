//! Locks that a run made itself, over Terraform in memory.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::delivery::deliver;
use crate::delivery::model::scene::{Scene, deploy_request};
use crate::ledger::{DeploymentKind, DeploymentOutcome};

/// Returns a lock as Terraform writes it.
fn lock(who: &str, operation: &str, created: jiff::Timestamp) -> String {
    format!(r#"{{"ID":"5f2e","Who":"{who}","Operation":"{operation}","Created":"{created}"}}"#)
}

/// Runs a deployment of whose lock on the state the answer is lost; returns its exit code, and whether the lock is left.
async fn deploy_with_lost_lock(who: &str, operation: &str, seconds: i64) -> (Option<FailureKind>, bool) {
    let mut scene = Scene::new(false);
    scene.deploy_new_releases().await;
    scene.write_memory(192);
    let mut stack = scene.stack(true);
    let (who, operation) = (who.to_owned(), operation.to_owned());
    let clock = stack.clock.clone();
    scene.lose_lock_answer(&mut stack, move || {
        let created = clock.real_time() + jiff::SignedDuration::from_secs(seconds);
        lock(&who, &operation, created)
    });
    let done = deliver(&stack, &deploy_request(Default::default())).await;
    let left = scene.state.objects("").contains_key("s.tfstate.tflock");
    (done.err().map(|failure| failure.kind()), left)
}

#[tokio::test]
async fn lock_of_this_run_whose_answer_was_lost_is_removed_and_the_plan_made_again() {
    assert_eq!(deploy_with_lost_lock("ada@here", PLAN, 0).await, (None, false));
}

#[tokio::test]
async fn lock_that_this_run_did_not_make_stays() {
    // Made before it, elsewhere, or by an apply.
    for (who, operation, seconds) in
        [("ada@here", PLAN, -3_600), ("ci@build-7", PLAN, 0), ("ada@here", APPLY, 0), ("ada@here", PLAN, 900)]
    {
        let (kind, left) = deploy_with_lost_lock(who, operation, seconds).await;
        assert_eq!((kind, left), (Some(FailureKind::LockHeld), true), "{who} {operation} {seconds}");
    }
}

/// The deploy lock goes to another run after this one has planned.
#[tokio::test]
async fn deploy_lock_that_is_lost_after_the_plan_is_waited_for_within_the_lock_timeout() {
    for wait in [false, true] {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        let function = scene.functions[0].clone();
        let release = scene.release_of(&function, None);
        let mut stack = scene.stack(true);
        if wait {
            Arc::get_mut(&mut stack.plan).unwrap().lock_timeout = Duration::from_secs(100_000);
        }
        let other = scene.stack(true);
        let last = other.ledger.head().await.unwrap().last;
        let started = other.started(DeploymentKind::Deploy, last.as_ref(), Default::default());
        let ended = crate::ledger::Ended::of(&started, last.as_ref(), DeploymentOutcome::Failed, started.at);
        scene.while_approving(&mut stack, async move {
            other.ledger.begin(&started).await.unwrap();
            other.ledger.end(&ended).await.unwrap();
        });
        let request = deploy_request([(function, release)].into_iter().collect());
        let done = deliver(&stack, &request).await;
        if wait {
            assert_eq!(done.unwrap().deployment, Some(3));
        } else {
            assert_eq!(done.unwrap_err().kind(), FailureKind::PlanStale);
        }
    }
}

/// Another command took this run for dead while it applied, and closed its deployment.
#[tokio::test]
async fn run_whose_deployment_was_closed_meanwhile_moves_no_alias() {
    let mut scene = Scene::new(false);
    scene.deploy_new_releases().await;
    let function = scene.functions[0].clone();
    let release = scene.release_of(&function, None);
    let stack = scene.stack(true);
    let request = deploy_request([(function, release)].into_iter().collect());
    let state = scene.state.clone();
    let last = stack.ledger.head().await.unwrap().last.unwrap();
    let before = scene.lambda.aliases();
    let close_what_has_begun = async {
        while !state.objects("ledger/").contains_key("ledger/s/9999999997.started.json") {
            tokio::task::yield_now().await;
        }
        let ended = crate::ledger::Ended { deployment: 2, ..last };
        state.set("ledger/s/9999999997.ended.json", serde_json::to_vec_pretty(&ended).unwrap());
    };
    // Each call waits for the next round, so that both go on side by side.
    let both = async { tokio::join!(deliver(&stack, &request), close_what_has_begun).0 };
    let (done, _) = scene.faults().count_rounds(both).await;
    let failure = done.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::LockHeld, "{failure}");
    assert_eq!(scene.lambda.aliases(), before);
}

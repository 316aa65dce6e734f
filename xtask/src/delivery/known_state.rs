//! The state that Terraform would plan with, compared with the one that the ledger's deployments left.
//!
//! In: the ledger and the state's lineage and serial. Errors: a refusal, before anything is planned, where the state is gone, has
//! another lineage, or is older. Plain Terraform may have made it newer. Without an entry that knows a state there is nothing to
//! compare.

use super::EnvironmentStack;
use crate::failure::{Failure, Result};
use crate::ledger::{DeploymentOutcome, Ended};
use crate::plan::{self, StateVersion};

/// How many entries of earlier versions, which knew no state where they failed, are passed over.
const PASSED_OVER: u64 = 8;

/// Refuses a state that is not the one which the last deployments left, unless that is accepted (`--accept-state`).
pub(super) async fn refuse_other(
    stack: &EnvironmentStack,
    last: Option<&Ended>,
    now: Option<&StateVersion>,
) -> Result<()> {
    let Some(last) = last.filter(|_| !stack.accept_state) else { return Ok(()) };
    let Some((number, left)) = left(stack, last).await? else { return Ok(()) };
    let (name, environment) = (stack.name(), stack.environment());
    let what = match now {
        None => "is gone".to_owned(),
        Some(now) if now.lineage != left.lineage => "is another one than the ledger knows".to_owned(),
        Some(now) if now.serial < left.serial => "is older than the ledger knows".to_owned(),
        Some(_) => return Ok(()),
    };
    let text = |state: &StateVersion| format!("serial {} of lineage {}", state.serial, state.lineage);
    let backend = &stack.plan.backend;
    Err(Failure::refused(format!("the state of `{name}` in {environment} {what}"))
        .detail("state", format!("{}/{name}.tfstate", stack.store.place()))
        .detail(format!("deployment {number} left"), text(&left))
        .detail("found", now.map_or("no state".to_owned(), text))
        .unchanged("Nothing was planned or changed: a plan would create again what exists, or change it back.")
        .hint(format!(
            "restore it; the bucket keeps earlier versions: aws s3api list-object-versions --bucket {} --prefix \
             {}{name}.tfstate. If it was given up or replaced on purpose: --accept-state, once",
            backend.bucket, backend.prefix
        )))
}

/// Returns the state that the last deployments left, with the number of the one that knows it.
async fn left(stack: &EnvironmentStack, last: &Ended) -> Result<Option<(u64, StateVersion)>> {
    let mut ended = last.clone();
    for _ in 0..=PASSED_OVER {
        if ended.outcome == DeploymentOutcome::Destroyed {
            return Ok(None);
        }
        if let Some(state) = ended.state {
            return Ok(Some((ended.deployment, state)));
        }
        match stack.ledger.deployment(ended.deployment - 1).await? {
            Some(earlier) => ended = earlier,
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// Returns the state that an unsuccessful deployment leaves, as far as it can be read: the present one where it continues the
/// one before, else the one before.
pub(super) async fn after(stack: &EnvironmentStack, last: Option<&Ended>) -> Option<StateVersion> {
    let before = last.and_then(|last| last.state.clone());
    let now = plan::read_state(stack.store.as_ref(), stack.name()).await.ok().flatten();
    let now = now.map(|(version, _)| version);
    let continues = |now: &StateVersion| {
        before.as_ref().is_none_or(|before| now.lineage == before.lineage && now.serial >= before.serial)
    };
    now.filter(continues).or(before)
}

#[cfg(test)]
mod tests {
    use crate::delivery::model::scene::{Scene, deploy_request};
    use crate::delivery::{DestroyRequest, RollbackRequest, deliver, destroy_all, roll_back_stack};
    use crate::failure::FailureKind;
    use crate::interrupt::Interrupt;

    const KEY: &str = "s.tfstate";

    /// Replaces a text in the stored state; an empty one removes the state.
    fn replace(scene: &Scene, from: &str, to: &str) {
        let state = String::from_utf8(scene.state.objects(KEY).remove(KEY).unwrap()).unwrap();
        if from.is_empty() {
            return scene.state.remove(KEY);
        }
        assert!(state.contains(from), "{state}");
        scene.state.set(KEY, state.replacen(from, to, 1));
    }

    #[tokio::test]
    async fn state_that_is_gone_another_or_older_is_refused_before_a_plan() {
        for (from, to, what) in [
            ("", "", "the state of `s` in dev is gone"),
            ("8d7f", "another", "the state of `s` in dev is another one than the ledger knows"),
            ("\"serial\":2", "\"serial\":1", "the state of `s` in dev is older than the ledger knows"),
        ] {
            let mut scene = Scene::new(false);
            scene.deploy_new_releases().await;
            scene.deploy_new_releases().await;
            replace(&scene, from, to);
            let before = (scene.lambda.aliases(), scene.state.objects(""));
            let failure = scene.deploy_all().await.unwrap_err();
            assert_eq!((failure.kind(), failure.message()), (FailureKind::Refused, what));
            assert!(failure.report().hint.unwrap().contains("--prefix s.tfstate"), "{failure}");
            let stack = scene.stack(true);
            let (stacks, confirmed) = ([stack], Default::default());
            let request = DestroyRequest { stacks: &stacks, kept: &[], confirmed: &confirmed };
            let destroyed = destroy_all(&request, &Interrupt::never()).await.unwrap();
            assert_eq!(destroyed.failure.unwrap().message(), what);
            assert_eq!((scene.lambda.aliases(), scene.state.objects("")), before);
            // Traffic goes back: that needs the ledger alone.
            let failure = roll_back_stack(&scene.stack(true), &RollbackRequest::default()).await.unwrap_err();
            assert_eq!((failure.kind(), failure.message()), (FailureKind::Refused, what));
            assert!(failure.report().unchanged.unwrap().starts_with("Traffic is back on"), "{failure}");
            // It is refused until it is accepted, and from then on the ledger knows the other one.
            assert!(scene.deploy_all().await.is_err());
            let mut stack = scene.stack(true);
            stack.accept_state = true;
            let releases = scene.functions.clone().into_iter();
            let releases = releases.map(|function| (function.clone(), scene.release_of(&function, None)));
            deliver(&stack, &deploy_request(releases.collect())).await.unwrap();
            scene.deploy_new_releases().await;
        }
    }

    #[tokio::test]
    async fn state_that_plain_terraform_made_newer_is_planned_with() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        replace(&scene, "\"serial\":1", "\"serial\":7");
        scene.deploy_new_releases().await;
        // A deployment that failed keeps what it left.
        scene.fail_next_release("a");
        assert!(scene.deploy_all().await.is_err());
        assert_eq!(scene.last_ended().await.unwrap().state.unwrap().serial, 9);
        replace(&scene, "\"serial\":9", "\"serial\":8");
        assert!(scene.deploy_all().await.unwrap_err().message().ends_with("is older than the ledger knows"));
    }
}

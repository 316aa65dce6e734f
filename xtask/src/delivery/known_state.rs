//! The state that Terraform would plan with, compared with the one that the ledger's deployments left.
//!
//! In: the ledger and the state's lineage and serial. Errors: a refusal, before anything is planned, where the state is gone, has
//! another lineage, or is older. Plain Terraform may have made it newer. Without an entry that knows a state there is nothing to
//! compare.

use super::EnvironmentStack;
use crate::failure::{Failure, Result};
use crate::ledger::{Ended, OtherState};
use crate::plan::{self, StateVersion};

/// Refuses a state that is not the one which the last deployments left, unless that is accepted (`--accept-state`). Returns whether
/// it was accepted: then the ledger has to know the other one from now on.
pub(super) async fn refuse_other(
    stack: &EnvironmentStack,
    last: Option<&Ended>,
    now: Option<&StateVersion>,
) -> Result<bool> {
    let Some(last) = last else { return Ok(false) };
    let Some(other) = stack.ledger.other_state(last, now).await? else { return Ok(false) };
    if stack.accept_state {
        return Ok(true);
    }
    let OtherState { what, deployment: number, left } = other;
    let (name, environment) = (stack.name(), stack.environment());
    let backend = &stack.plan.backend;
    Err(Failure::refused(format!("the state of `{name}` in {environment} {what}"))
        .detail("state", format!("{}/{name}.tfstate", stack.store.place()))
        .detail(format!("deployment {number} left"), left.to_string())
        .detail("found", now.map_or("no state".to_owned(), ToString::to_string))
        .unchanged("Nothing was planned or changed: a plan would create again what exists, or change it back.")
        .hint(format!(
            "restore it; the bucket keeps earlier versions: aws s3api list-object-versions --bucket {} --prefix \
             {}{name}.tfstate. If it was given up or replaced on purpose: --accept-state, once",
            backend.bucket, backend.prefix
        )))
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
    use crate::delivery::{
        DestroyRequest, RecoverRequest, RollbackRequest, deliver, destroy_all, recover, roll_back_stack,
    };
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
            // Of a state that is gone everything that exists is imported first.
            recover(&stack, &RecoverRequest::default()).await.unwrap();
            let releases = scene.functions.clone().into_iter();
            let releases = releases.map(|function| (function.clone(), scene.release_of(&function, None)));
            deliver(&stack, &deploy_request(releases.collect())).await.unwrap();
            scene.deploy_new_releases().await;
        }
    }

    #[tokio::test]
    async fn state_that_is_accepted_is_known_from_then_on_although_nothing_else_changes() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        replace(&scene, "8d7f", "another");
        let nothing_new = deploy_request(Default::default());
        let mut stack = scene.stack(true);
        stack.accept_state = true;
        assert_eq!(deliver(&stack, &nothing_new).await.unwrap().deployment, Some(2));
        assert_eq!(scene.last_ended().await.unwrap().state.unwrap().lineage, "another");
        assert!(deliver(&scene.stack(true), &nothing_new).await.unwrap().unchanged);
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

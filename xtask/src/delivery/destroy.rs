//! Destroys a stack: planned from the applied configuration, guarded, and recorded in the ledger.
//!
//! In: a stack and the names given with `--confirm`. Out: the removed resources. Errors: the name of a protected environment
//! or address was not typed, a lock is held, Terraform or AWS refuses to delete something. The rest is then still in the
//! state, and the same command continues with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::rollback::applied_configuration;
use super::settle::{self, Attempt, settle_until};
use super::{EnvironmentStack, known_state, record_failure, show, state_lock};
use crate::digest::Digest;
use crate::failure::{Failure, FailureKind, Result};
use crate::format;
use crate::graph::{self, Task, TaskResult};
use crate::interrupt::Interrupt;
use crate::ledger::{DeploymentKind, DeploymentOutcome, Ended};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::plan::{self, Change};
use crate::release::Manifest;

/// How many stacks are destroyed in parallel.
const AT_ONCE: usize = 4;

/// Result of destroying a stack.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Destroyed {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The stack.
    pub(crate) stack: StackName,
    /// The deployment's number in the ledger.
    pub(crate) deployment: u64,
    /// Removed resources.
    pub(crate) changes: Vec<Change>,
}

/// A request to destroy stacks.
pub(crate) struct DestroyRequest<'a> {
    /// The stacks.
    pub(crate) stacks: &'a [EnvironmentStack],
    /// The environment's other stacks.
    pub(crate) kept: &'a [EnvironmentStack],
    /// The names of protected things that were typed ahead.
    pub(crate) confirmed: &'a BTreeSet<String>,
}

/// Results of destroying stacks.
#[derive(Debug, Default)]
pub(crate) struct DestroyResults {
    /// The stacks that had resources and have none now.
    pub(crate) destroyed: Vec<Destroyed>,
    /// Why not all were destroyed.
    pub(crate) failure: Option<Failure>,
}

/// Destroys stacks, each before those that it depends on. Refuses if a stack that is kept depends on one of them.
pub(crate) async fn destroy_all(
    request: &DestroyRequest<'_>,
    interrupt: &Interrupt,
) -> Result<DestroyResults> {
    let stacks = request.stacks;
    for kept in request.kept {
        refuse_dependent(kept, stacks).await?;
    }
    let tasks = stacks
        .iter()
        .map(|stack| {
            let dependents = stacks.iter().filter(|other| other.settings.upstream().contains(stack.name()));
            let after = dependents.map(|other| other.name().to_string()).collect();
            Task::new(stack.name().to_string(), after, destroy(stack, request.confirmed))
        })
        .collect();
    let mut results = DestroyResults::default();
    let mut not_started = Vec::new();
    for (stack, result) in graph::run(tasks, AT_ONCE, interrupt).await {
        match result {
            TaskResult::Done(destroyed) => results.destroyed.extend(destroyed),
            TaskResult::Failed(failure) if results.failure.is_none() => {
                let several = stacks.len() > 1;
                results.failure = Some(if several { failure.detail("stack", stack) } else { failure });
            }
            TaskResult::Failed(other) => {
                let text = format!("{stack}: {}", other.message());
                results.failure = results.failure.map(|failure| failure.detail("also failed", text));
            }
            TaskResult::NotStarted(_) => not_started.push(stack),
        }
    }
    if !not_started.is_empty() {
        results.failure =
            results.failure.map(|failure| failure.detail("kept for it", format::list(not_started)));
    }
    Ok(results)
}

/// Refuses to destroy stacks while one that is kept has resources and depends on one of them.
async fn refuse_dependent(kept: &EnvironmentStack, removed: &[EnvironmentStack]) -> Result<()> {
    let upstream = kept.settings.upstream();
    let Some(removed) = removed.iter().find(|removed| upstream.contains(removed.name())) else {
        return Ok(());
    };
    if !has_resources(kept).await? {
        return Ok(());
    }
    let (kept, removed, environment) = (kept.name(), removed.name(), kept.environment());
    Err(Failure::refused(format!("`{kept}` is applied in {environment} and needs `{removed}`"))
        .unchanged("Nothing was destroyed.")
        .hint(format!("destroy both: --stack {kept} --stack {removed}")))
}

/// Destroys everything in a stack's state; returns `None` if the state is empty. A deploy lock that is lost after the plan is
/// waited for, within the lock time-out.
async fn destroy(stack: &EnvironmentStack, confirmed: &BTreeSet<String>) -> Result<Option<Destroyed>> {
    let deadline = settle::deadline(stack);
    loop {
        let attempt = try_destroy(stack, confirmed, deadline).await?;
        if let Some(destroyed) = attempt.made(stack, deadline)? {
            return Ok(destroyed);
        }
    }
}

async fn try_destroy(
    stack: &EnvironmentStack,
    confirmed: &BTreeSet<String>,
    deadline: Duration,
) -> Result<Attempt<Option<Destroyed>>> {
    settle_until(stack, deadline).await?;
    let lock = stack.lock_work().await?;
    let last = settle_until(stack, deadline).await?;
    let state = plan::read_state(stack.store.as_ref(), stack.name()).await?.map(|(version, _)| version);
    known_state::refuse_other(stack, last.as_ref(), state.as_ref()).await?;
    if !has_resources(stack).await? {
        return Ok(Attempt::Made(None));
    }
    stack.refuse_weaker_trust(last.as_ref())?;
    let releases = releases(stack, last.as_ref()).await?;
    let configuration = match &last {
        Some(last) => applied_configuration(stack, &lock, last, &releases).await?,
        None => stack.configure(&lock, &stack.root, &releases, stack.inputs(&stack.root).await?)?,
    };
    let planned = state_lock::plan_destroy(stack, &configuration).await?;
    show(stack, &planned);
    let approved = confirm_protected(stack, &planned, confirmed).and_then(|()| {
        let what = format::plural(planned.changes.len(), "resource");
        stack.approver.approve(&format!("Destroy {what} of {} in {}?", stack.name(), stack.environment()))
    });
    match approved {
        Ok(true) => {}
        refused => {
            let failure = refused.err().unwrap_or_else(|| Failure::refused("not approved"));
            return Err(failure.unchanged(format!("Nothing of {} was destroyed.", stack.name())));
        }
    }
    let started = stack.started(DeploymentKind::Destroy, last.as_ref(), BTreeMap::new());
    if let Err(failure) = stack.ledger.begin(&started).await {
        return Attempt::lost(failure);
    }
    let lease = stack.keep_lease(started.deployment);
    let result = state_lock::apply(stack, &configuration, &planned).await;
    drop(lease);
    if let Err(failure) = result {
        let was_stale = failure.kind() == FailureKind::PlanStale;
        let failure = record_failure(stack, &started, last.as_ref(), failure, &[]).await;
        return if was_stale { Attempt::lost(failure) } else { Err(failure) };
    }
    let mut ended = Ended::of(&started, last.as_ref(), DeploymentOutcome::Destroyed, stack.clock.now());
    ended.mark_destroyed();
    ended.state = plan::read_state(stack.store.as_ref(), stack.name()).await?.map(|(mark, _)| mark);
    let recorded = stack.ledger.end(&ended).await;
    recorded.map_err(|failure| settle::not_recorded(stack, &ended, failure))?;
    Ok(Attempt::Made(Some(Destroyed {
        environment: stack.environment().clone(),
        stack: stack.name().clone(),
        deployment: started.deployment,
        changes: planned.changes,
    })))
}

/// Returns whether a stack's state contains resources.
pub(crate) async fn has_resources(stack: &EnvironmentStack) -> Result<bool> {
    let state = plan::read_state(stack.store.as_ref(), stack.name()).await?.map(|(_, state)| state);
    let resources = state.as_ref().and_then(|state| state.get("resources")?.as_array());
    Ok(resources.is_some_and(|resources| !resources.is_empty()))
}

/// Returns a release for each function of the stack: the validations of the stack's variables require one.
pub(super) async fn releases(
    stack: &EnvironmentStack,
    last: Option<&Ended>,
) -> Result<BTreeMap<FunctionName, Manifest>> {
    let mut versions: BTreeMap<&FunctionName, (&Version, Digest)> = BTreeMap::new();
    if let Some(last) = last {
        let will = last.will.iter();
        versions.extend(will.map(|(function, choice)| (function, (&choice.release, choice.digest))));
        let serves = last.serves.iter();
        versions.extend(serves.map(|(function, serving)| (function, (&serving.release, serving.digest))));
    }
    let mut releases = BTreeMap::new();
    for function in &stack.settings.functions {
        let manifest = match versions.get(function) {
            Some((version, digest)) => Some(stack.recorded_manifest(function, version, *digest).await?),
            None => stack.catalogue.newest(function).await?,
        };
        releases.extend(manifest.map(|manifest| (function.clone(), manifest)));
    }
    Ok(releases)
}

/// Requires that the names of a protected environment and of each protected address were typed.
fn confirm_protected(
    stack: &EnvironmentStack,
    planned: &plan::Planned,
    confirmed: &BTreeSet<String>,
) -> Result<()> {
    let environment = stack.environment_settings.protected.then(|| stack.environment().to_string());
    let addresses = if stack.environment_settings.is_emulated() {
        Vec::new()
    } else {
        plan::removed_protected_addresses(stack.name(), &stack.settings.protect, planned)?
    };
    for name in environment.into_iter().chain(addresses) {
        if confirmed.contains(&name) {
            continue;
        }
        match stack.approver.typed(&name) {
            Ok(true) => {}
            Ok(false) => return Err(Failure::refused(format!("`{name}` is protected and was not typed"))),
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::Scene;
    use crate::failure::FailureKind;

    #[tokio::test]
    async fn stack_that_another_one_needs_is_destroyed_only_with_it() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        let (stacks, mut dependent) = ([scene.stack(true)], scene.stack(true));
        dependent.settings.after = vec!["s".parse().unwrap()];
        let (kept, confirmed) = ([dependent], BTreeSet::new());
        let request = DestroyRequest { stacks: &stacks, kept: &kept, confirmed: &confirmed };
        let failure = destroy_all(&request, &Interrupt::never()).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        assert_eq!(failure.message(), "`s` is applied in dev and needs `s`");

        let request = DestroyRequest { kept: &[], ..request };
        let results = destroy_all(&request, &Interrupt::never()).await.unwrap();
        assert!(results.failure.is_none());
        assert_eq!(results.destroyed[0].changes.len(), 2);
        let again = destroy_all(&request, &Interrupt::never()).await.unwrap();
        assert!(again.destroyed.is_empty() && again.failure.is_none());
    }

    #[tokio::test]
    async fn failure_of_one_stack_is_the_result_of_all() {
        let mut scene = Scene::new(true);
        scene.deploy_new_releases().await;
        let mut other = Scene::new(true);
        other.deploy_new_releases().await;
        let state = other.state.objects("s.tfstate")["s.tfstate"].clone();
        other.state.set("t.tfstate", state);
        let mut second = other.stack(false);
        std::sync::Arc::get_mut(&mut second.plan).unwrap().stack = "t".parse().unwrap();
        let stacks = [scene.stack(false), second];
        let request = DestroyRequest { stacks: &stacks, kept: &[], confirmed: &BTreeSet::new() };
        let results = destroy_all(&request, &Interrupt::never()).await.unwrap();
        assert!(results.destroyed.is_empty());
        let report = results.failure.unwrap().report();
        assert_eq!(report.message, "`dev` is protected and was not typed");
        let details: Vec<(&str, &str)> =
            report.details.iter().map(|detail| (detail.name.as_str(), detail.value.as_str())).collect();
        assert_eq!(details, [("stack", "s"), ("also failed", "t: `dev` is protected and was not typed")]);
    }
}

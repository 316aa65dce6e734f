//! Destroys a stack: planned from the applied configuration, guarded, and recorded in the ledger.
//!
//! In: a stack and the names given with `--confirm`. Out: the removed resources. Errors: the name of a protected environment
//! or address was not typed, a lock is held, Terraform or AWS refuses to delete something. The rest is then still in the
//! state, and the same command continues with it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::rollback::applied_configuration;
use super::{EnvironmentStack, record_failure, settle, show};
use crate::failure::{Failure, Result};
use crate::graph::{self, Task};
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

/// Destroys stacks, each before those that it depends on; results are in the order of the stacks.
pub(crate) async fn destroy_all(
    stacks: &[EnvironmentStack],
    confirmed: &BTreeSet<String>,
    interrupt: &Interrupt,
) -> Vec<(StackName, graph::TaskResult<Option<Destroyed>>)> {
    let tasks = stacks
        .iter()
        .map(|stack| {
            let dependents = stacks.iter().filter(|other| other.settings.upstream().contains(stack.name()));
            let after = dependents.map(|other| other.name().to_string()).collect();
            Task::new(stack.name().to_string(), after, destroy(stack, confirmed))
        })
        .collect();
    let ends = graph::run(tasks, AT_ONCE, interrupt).await;
    stacks.iter().map(|stack| stack.name().clone()).zip(ends.into_iter().map(|(_, end)| end)).collect()
}

/// Destroys everything in a stack's state; returns `None` if the state is empty.
async fn destroy(stack: &EnvironmentStack, confirmed: &BTreeSet<String>) -> Result<Option<Destroyed>> {
    settle(stack).await?;
    let lock = stack.lock_work().await?;
    let last = settle(stack).await?;
    if !has_resources(stack).await? {
        return Ok(None);
    }
    let releases = releases(stack, last.as_ref()).await?;
    let configuration = match &last {
        Some(last) => applied_configuration(stack, &lock, last, &releases).await?,
        None => stack.configure(&lock, &stack.root, &releases, stack.inputs(&stack.root).await?)?,
    };
    let planned = stack.infrastructure.plan_destroy(&configuration).await?;
    show(stack, &planned);
    let approved = confirm_protected(stack, &planned, confirmed).and_then(|()| {
        let what = crate::format::plural(planned.changes.len(), "resource");
        stack.approver.approve(&format!("Destroy {what} of {} in {}?", stack.name(), stack.environment()))
    });
    match approved {
        Ok(true) => {}
        refused => {
            let _ = std::fs::remove_file(&planned.file);
            let failure = refused.err().unwrap_or_else(|| Failure::refused("not approved"));
            return Err(failure.unchanged(format!("Nothing of {} was destroyed.", stack.name())));
        }
    }
    let started = stack.started(DeploymentKind::Destroy, last.as_ref(), BTreeMap::new());
    stack.ledger.begin(&started).await?;
    let lease = stack.keep_lease(started.deployment);
    let result = stack.infrastructure.apply(&configuration, &planned).await;
    drop(lease);
    if let Err(failure) = result {
        return Err(record_failure(stack, &started, last.as_ref(), failure).await);
    }
    let mut ended = Ended::of(&started, last.as_ref(), DeploymentOutcome::Destroyed, stack.clock.now());
    ended.mark_destroyed();
    ended.state = plan::read_state(stack.store.as_ref(), stack.name()).await?.map(|(mark, _)| mark);
    stack.ledger.end(&ended).await?;
    Ok(Some(Destroyed {
        environment: stack.environment().clone(),
        stack: stack.name().clone(),
        deployment: started.deployment,
        changes: planned.changes,
    }))
}

/// Tells whether a stack's state contains resources.
pub(crate) async fn has_resources(stack: &EnvironmentStack) -> Result<bool> {
    let state = plan::read_state(stack.store.as_ref(), stack.name()).await?.map(|(_, state)| state);
    let resources = state.as_ref().and_then(|state| state.get("resources")?.as_array());
    Ok(resources.is_some_and(|resources| !resources.is_empty()))
}

/// Returns a release for each function of the stack: the validations of the stack's variables require one.
async fn releases(
    stack: &EnvironmentStack,
    last: Option<&Ended>,
) -> Result<BTreeMap<FunctionName, Manifest>> {
    let mut versions: BTreeMap<&FunctionName, &Version> = BTreeMap::new();
    if let Some(last) = last {
        versions.extend(last.will.iter().map(|(function, choice)| (function, &choice.release)));
        versions.extend(last.serves.iter().map(|(function, serving)| (function, &serving.release)));
    }
    let mut releases = BTreeMap::new();
    for function in &stack.settings.functions {
        let manifest = match versions.get(function) {
            Some(version) => Some(stack.catalogue.manifest(function, version).await?),
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

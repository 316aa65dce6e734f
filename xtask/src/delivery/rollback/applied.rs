//! The configuration that was applied before: Terraform is made to agree by applying it again with the earlier releases.

use std::collections::BTreeMap;

use super::RollbackStep;
use super::unfinished::carried;
use crate::delivery::EnvironmentStack;
use crate::delivery::execute::configuration_key;
use crate::digest::Digest;
use crate::failure::{self, Failure, Result};
use crate::format;
use crate::ledger::Ended;
use crate::name::FunctionName;
use crate::plan::{self, Configuration};
use crate::release::Manifest;

/// Reads the releases that Terraform is to apply: those that come back, and those that stay.
pub(super) async fn releases(
    stack: &EnvironmentStack,
    last: &Ended,
    steps: &BTreeMap<FunctionName, RollbackStep>,
) -> Result<BTreeMap<FunctionName, Manifest>> {
    let mut releases = BTreeMap::new();
    for (function, serving) in &last.serves {
        let serving = steps.get(function).map_or(serving, |step| &step.to);
        let manifest = stack.recorded_manifest(function, &serving.release, serving.digest).await?;
        stack.check_trust(&manifest).await?;
        stack.check_bytes(&manifest).await?;
        releases.insert(function.clone(), manifest);
    }
    Ok(releases)
}

/// Reads the applied configuration from the environment's store.
pub(in crate::delivery) async fn applied_configuration(
    stack: &EnvironmentStack,
    lock: &plan::WorkLock,
    last: &Ended,
    releases: &BTreeMap<FunctionName, Manifest>,
) -> Result<Configuration> {
    let Some(digest) = last.configuration else {
        let inputs = stack.inputs(&stack.root).await?;
        return stack.configure(lock, &stack.root, releases, inputs);
    };
    let key = configuration_key(&digest);
    let stored = stack.store.get(&key).await?.ok_or_else(|| {
        Failure::failed(format!("the applied configuration is missing: {}/{key}", stack.store.place()))
            .hint("restore that object, or deploy again, which stores it anew")
    })?;
    if Digest::of(&stored.bytes) != digest {
        return Err(Failure::failed(format!(
            "{}/{key} does not contain the bytes that its name says",
            stack.store.place()
        ))
        .hint("restore the object's first version"));
    }
    let zip = stack.plan.work.join("applied.zip");
    std::fs::write(&zip, &stored.bytes).map_err(|error| failure::io("write", &zip, error))?;
    let root = plan::unpack_stored(&zip, &stack.plan.work)?;
    let inputs = stack.inputs(&root).await?;
    stack.configure(lock, &root, releases, inputs)
}

/// Refuses a plan that would change more than the functions that go back, or that an unfinished rollback took back.
pub(super) async fn refuse_others(
    stack: &EnvironmentStack,
    planned: &plan::Planned,
    last: &Ended,
    steps: &BTreeMap<FunctionName, RollbackStep>,
) -> Result<()> {
    if planned.changes.is_empty() {
        return Ok(());
    }
    let carried = carried(last, steps).into_iter().filter_map(|function| last.serves.get(function));
    let serving = steps.values().map(|step| &step.to).chain(carried);
    let names: Vec<String> = serving.map(|serving| serving.function_name.clone()).collect();
    let state = plan::read_state(stack.store.as_ref(), stack.name())
        .await?
        .map(|(_, state)| state)
        .unwrap_or_default();
    let others = plan::unrelated_addresses(planned, &state, &names);
    if others.is_empty() {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "updating Terraform to match would change more than {}",
        format::list(steps.keys().map(FunctionName::as_str))
    ))
    .body(others.join("\n"))
    .hint(format!(
        "something was changed outside Terraform: see cargo xtask plan --env {}, then deploy",
        stack.environment()
    )))
}

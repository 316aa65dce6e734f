//! The way through, once a release is chosen: plan, approve, apply, verify, roll out, record.
//!
//! This is the only place that knows the request. `release`, `deploy` and `rollback` choose releases and call it. In: a
//! [`EnvironmentStack`] (one stack in one environment, with its ports) and an [`DeployRequest`]. Out: [`Delivered`]. Goes wrong: guards
//! refuse, locks are held, Terraform fails, a version does not verify; the ledger says in each case what is served.

mod destroy;
mod environment_stack;
mod events;
mod execute;
pub(crate) mod rollback;
mod settle;
mod skip;
mod stacks;

#[cfg(test)]
mod model;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use destroy::{Destroyed, destroy_all, holds_resources};
pub(crate) use environment_stack::{EnvironmentStack, StackCommit};
pub(crate) use rollback::{RollbackRequest, choose_rollback, roll_back};
pub(crate) use settle::{close_doubt, settle};
pub(crate) use stacks::{StackDelivery, deliver_all};

use crate::failure::{Failure, Result};
use crate::ledger::{Choice, DeploymentKind, Ended, Started};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::plan::{self, Change, Inputs, Planned};
use crate::release::Manifest;
use crate::verification::Verification;

/// What is to be delivered.
#[derive(Debug, Clone)]
pub(crate) struct DeployRequest {
    /// Why.
    pub(crate) kind: DeploymentKind,
    /// Releases by function; functions not named keep theirs.
    pub(crate) releases: BTreeMap<FunctionName, Manifest>,
    /// Whether a held release may come back.
    pub(crate) lift_hold: bool,
    /// Whether to plan even where nothing can have changed.
    pub(crate) always_plan: bool,
}

/// What a delivery came to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Delivered {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The stack.
    pub(crate) stack: StackName,
    /// The deployment's number; nothing where nothing changed.
    pub(crate) deployment: Option<u64>,
    /// Whether everything was as asked for already.
    pub(crate) unchanged: bool,
    /// Whether no plan was needed to know that.
    pub(crate) plan_skipped: bool,
    /// What Terraform changed.
    pub(crate) changes: Vec<Change>,
    /// What serves, by function.
    pub(crate) functions: BTreeMap<FunctionName, Version>,
    /// What was verified.
    pub(crate) verifications: Vec<Verification>,
}

impl Delivered {
    fn unchanged(
        stack: &EnvironmentStack,
        functions: BTreeMap<FunctionName, Version>,
        plan_skipped: bool,
    ) -> Self {
        Self {
            environment: stack.environment().clone(),
            stack: stack.name().clone(),
            deployment: None,
            unchanged: true,
            plan_skipped,
            changes: Vec::new(),
            functions,
            verifications: Vec::new(),
        }
    }
}

/// Delivers releases to a stack in an environment.
pub(crate) async fn deliver(stack: &EnvironmentStack, request: &DeployRequest) -> Result<Delivered> {
    // Looked at before the folder is taken, so that who waits for another deployment is told of that one.
    settle(stack).await?;
    let lock = stack.lock_work().await?;
    let last = settle(stack).await?;
    guard(stack, request, last.as_ref())?;
    let releases = releases(stack, request, last.as_ref()).await?;
    for manifest in releases.values() {
        stack.check_trust(manifest).await.map_err(|failure| failure.unchanged("Nothing was changed."))?;
    }
    let versions: BTreeMap<FunctionName, Version> =
        releases.iter().map(|(name, manifest)| (name.clone(), manifest.version.clone())).collect();
    let inputs = stack.inputs(&stack.root).await?;
    tell_changed(stack, last.as_ref(), &inputs);
    let configuration = stack.configure(&lock, &stack.root, &releases, inputs)?;
    let current = skip::Current::read(stack, &configuration).await?;
    if !request.always_plan && skip::may_skip(stack, &current, last.as_ref(), &releases).await? {
        return Ok(Delivered::unchanged(stack, versions, true));
    }
    for manifest in releases.values() {
        stack.check_bytes(manifest).await.map_err(|failure| failure.unchanged("Nothing was changed."))?;
    }
    let planned = stack.infrastructure.plan(&configuration).await?;
    show(stack, &planned);
    if let Err(refused) = plan::refuse_protected(stack.name(), &stack.settings.protect, &planned) {
        // A saved plan holds secrets in the clear.
        let _ = std::fs::remove_file(&planned.file);
        return Err(refused);
    }
    let known =
        if planned.is_empty() { Some(stack.infrastructure.outputs(&configuration).await?) } else { None };
    let mut nothing_to_do = false;
    if let Some(applied) = &known {
        nothing_to_do = execute::pending(stack, applied, &releases, last.as_ref()).await?.is_empty()
            && events::as_wanted(stack, applied).await?;
    }
    if nothing_to_do && last.as_ref().is_some_and(|last| last.outcome.is_settled()) {
        current.remember(stack)?;
        return Ok(Delivered::unchanged(stack, versions, false));
    }
    // Where the last deployment did not end well and all is as asked for by now, only the ledger has to say so: it then
    // knows the applied configuration, which a rollback plans with.
    if !nothing_to_do {
        approve(stack, &planned, &versions)?;
    }
    let will = releases.iter().map(|(name, manifest)| Ok((name.clone(), choice(manifest)?)));
    let started = stack.started(request.kind, last.as_ref(), will.collect::<Result<_>>()?);
    stack.ledger.begin(&started).await?;
    let lease = stack.keep_lease(started.deployment);
    let result =
        execute::execute(stack, &started, last.as_ref(), &configuration, &planned, known, &releases).await;
    drop(lease);
    match result {
        Ok(done) => {
            let mut ended = done.ended;
            ended.holds.retain(|hold| {
                request.releases.get(&hold.function).is_none_or(|manifest| manifest.version != hold.release)
            });
            stack.ledger.end(&ended).await?;
            Ok(Delivered {
                environment: stack.environment().clone(),
                stack: stack.name().clone(),
                deployment: Some(started.deployment),
                unchanged: false,
                plan_skipped: false,
                changes: planned.changes,
                functions: versions,
                verifications: done.verifications,
            })
        }
        Err(failure) => Err(record_failure(stack, &started, last.as_ref(), failure).await),
    }
}

/// Says which values from other stacks are not those of the last deployment.
fn tell_changed(stack: &EnvironmentStack, last: Option<&Ended>, inputs: &Inputs) {
    let Some(last) = last else { return };
    let digests = plan::input_digests(inputs);
    let changed = inputs.iter().filter(|(variable, _)| digests.get(*variable) != last.inputs.get(*variable));
    let changed: Vec<String> = changed.map(|(_, input)| format!("`{}`", input.from)).collect();
    if !changed.is_empty() {
        let text = format!("{} takes {}, which changed", stack.name(), crate::format::list(changed));
        stack.progress.note(format!("inputs    {text}"));
    }
}

/// Plans what an request would change, and touches nothing.
pub(crate) async fn preview(stack: &EnvironmentStack, request: &DeployRequest) -> Result<Planned> {
    let lock = stack.lock_work().await?;
    let last = stack.ledger.head().await?.last;
    let releases = releases(stack, request, last.as_ref()).await?;
    let inputs = stack.inputs(&stack.root).await?;
    let configuration = stack.configure(&lock, &stack.root, &releases, inputs)?;
    let planned = stack.infrastructure.plan(&configuration).await?;
    // Nobody applies it: a saved plan holds secrets in the clear.
    let _ = std::fs::remove_file(&planned.file);
    if let Err(refused) = plan::refuse_protected(stack.name(), &stack.settings.protect, &planned) {
        stack.progress.note(format!("          deploying it would be refused: {refused}"));
    }
    Ok(planned)
}

/// Refuses what an environment does not allow, before anything is planned.
fn guard(stack: &EnvironmentStack, request: &DeployRequest, last: Option<&Ended>) -> Result<()> {
    let environment = stack.environment();
    for (function, manifest) in &request.releases {
        let version = &manifest.version;
        if let Some(hold) = last.and_then(|last| last.holds(function, version)).filter(|_| !request.lift_hold)
        {
            return Err(Failure::refused(format!(
                "`{function}` {version} is held in {environment}: rollback {} left it",
                hold.deployment
            ))
            .unchanged("Nothing was changed.")
            .hint("release a repaired version, or take this one again with --lift-hold"));
        }
        if stack.environment_settings.protected && manifest.source.dirty {
            return Err(Failure::refused(format!("{environment} is protected and `{function}` {version} was built from a tree with changes that are not committed"))
                .unchanged("Nothing was changed.")
                .hint("commit, then release again"));
        }
    }
    if stack.environment_settings.protected && stack.commit.as_ref().is_some_and(|commit| commit.dirty) {
        return Err(Failure::refused(format!(
            "{environment} is protected and the files of `{}` have changes that are not committed",
            stack.name()
        ))
        .unchanged("Nothing was changed.")
        .hint("commit them, or put them aside with git stash"));
    }
    Ok(())
}

/// Returns the release of every function of the stack: the ordered ones, and what is served of the others.
async fn releases(
    stack: &EnvironmentStack,
    request: &DeployRequest,
    last: Option<&Ended>,
) -> Result<BTreeMap<FunctionName, Manifest>> {
    let mut releases = request.releases.clone();
    for function in &stack.settings.functions {
        if releases.contains_key(function) {
            continue;
        }
        let Some(serving) = last.and_then(|last| last.serves.get(function)) else {
            return Err(Failure::usage(format!(
                "the stack `{}` also runs `{function}`, which has no release in {} yet",
                stack.name(),
                stack.environment()
            ))
            .unchanged("Nothing was changed.")
            .hint(format!(
                "release it with it: name both functions, or none (cargo xtask release --env {})",
                stack.environment()
            )));
        };
        releases.insert(function.clone(), stack.catalogue.manifest(function, &serving.release).await?);
    }
    Ok(releases)
}

/// Shows a plan to people.
fn show(stack: &EnvironmentStack, planned: &Planned) {
    let drift = planned.relevant_drift();
    // What AWS merely normalised after an apply reads as drift, too: it is shown where everything is asked for.
    if stack.verbose && !drift.is_empty() {
        let text = plan::changes_text(&drift, true);
        stack.progress.block(format!("\n          changed outside Terraform:\n{text}"));
    }
    if !planned.changes.is_empty() {
        stack.progress.block(format!("\n{}", plan::changes_text(&planned.changes, stack.verbose)));
    }
    planned.warnings.iter().for_each(|warning| stack.progress.note(format!("          warning: {warning}")));
}

fn approve(
    stack: &EnvironmentStack,
    planned: &Planned,
    versions: &BTreeMap<FunctionName, Version>,
) -> Result<()> {
    let what = if planned.changes.is_empty() {
        let names: Vec<String> =
            versions.iter().map(|(function, version)| format!("{function} {version}")).collect();
        format!("Verify and roll out {} in {}?", crate::format::list(names), stack.environment())
    } else {
        let changes = crate::format::plural(planned.changes.len(), "change");
        format!("Apply {changes} to {} in {}?", stack.name(), stack.environment())
    };
    match stack.approver.approve(&what) {
        Ok(true) => Ok(()),
        refused => {
            let _ = std::fs::remove_file(&planned.file);
            Err(match refused {
                Err(failure) => failure,
                Ok(_) => Failure::refused("not approved"),
            }
            .unchanged("Nothing was changed."))
        }
    }
}

/// Closes a deployment that failed, with what is served now, and returns the failure to be told.
async fn record_failure(
    stack: &EnvironmentStack,
    started: &Started,
    last: Option<&Ended>,
    failure: Failure,
) -> Failure {
    match settle::ended_in_failure(stack, started, last, &failure).await {
        Ok(()) => failure,
        // The ledger stays open: the next command compares the aliases with both sides and closes it.
        Err(second) => failure.detail("and then", second.message().to_owned()),
    }
}

/// Makes the ledger's note of a chosen release.
fn choice(manifest: &Manifest) -> Result<Choice> {
    Ok(Choice {
        release: manifest.version.clone(),
        digest: manifest.digest()?,
        code_sha256: manifest.artifact.code_sha256.clone(),
        commit: manifest.source.commit.clone(),
        lambda_version: None,
    })
}

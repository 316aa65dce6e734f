//! Delivery: plan, approve, apply, verify, roll out, record.
//!
//! Only this module knows that order. `release`, `deploy` and `rollback` choose releases and call it. In: an
//! [`EnvironmentStack`] (one stack in one environment, with its ports) and a [`DeployRequest`]. Out: [`Delivered`].
//! Errors: a guard refuses, a lock is held, Terraform fails, a version does not verify. In each case the ledger records
//! what is served.

mod approved;
mod contract;
mod destroy;
mod drift;
mod environment_stack;
mod events;
mod execute;
mod files;
mod guard;
mod intent;
mod known_state;
mod lineage;
mod observe;
mod preview;
pub(crate) mod promotion;
mod recovery;
pub(crate) mod rollback;
mod rules;
mod serving;
mod settle;
mod skip;
mod stacks;
mod state_lock;
mod trust;
mod unknown_resources;
mod unsaved_state;

#[cfg(test)]
mod model;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use crate::saved_plans::Target;
pub(crate) use approved::{ApprovedPlan, target as plan_target};
pub(crate) use destroy::{DestroyRequest, Destroyed, destroy_all};
#[cfg(test)]
pub(crate) use drift::{DriftFinding, Unread};
pub(crate) use drift::{StackDrift, drift};
pub(crate) use environment_stack::{EnvironmentStack, StackCommit};
pub(crate) use files::check as check_stack_files;
pub(crate) use intent::{Intent, Route, refuse_other_route};
#[cfg(test)]
pub(crate) use lineage::ReviewedLoss;
pub(crate) use lineage::{candidates, losses, refuse_early, refuse_losses};
pub(crate) use preview::{PlanToSave, StackPlan, StackPreview, preview};
pub(crate) use recovery::{Leftover, RecoverRequest, recover};
pub(crate) use rollback::{RollbackRequest, RolledBack, newest_deployed, roll_back_stack};
pub(crate) use rules::PlanRules;
pub(crate) use serving::{ServingStack, verify_serving};
#[cfg(test)]
pub(crate) use settle::settle;
pub(crate) use stacks::{StackDelivery, deliver_all, in_order};
pub(crate) use state_lock::Machine;

use approved::PlanUse;
use execute::Execution;
use settle::{Attempt, settle_until};

use crate::failure::{Failure, FailureKind, Result};
use crate::ledger::{DeploymentKind, Ended, PlannedRelease, Started};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::plan::{self, Change, Planned, StackInputs};
use crate::ports::side_by_side;
use crate::release::Manifest;
use crate::verification::Verification;

/// A request to deploy releases to a stack.
#[derive(Debug, Clone)]
pub(crate) struct DeployRequest {
    /// The command that made it.
    pub(crate) kind: DeploymentKind,
    /// Releases by function; functions not named keep theirs.
    pub(crate) releases: BTreeMap<FunctionName, Manifest>,
    /// Whether a held release may come back.
    pub(crate) lift_hold: bool,
    /// Whether to plan even if nothing can have changed.
    pub(crate) always_plan: bool,
    /// How the releases come to the environment, and what was accepted before.
    pub(crate) intent: Intent,
}

/// Result of a delivery.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Delivered {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The stack.
    pub(crate) stack: StackName,
    /// The deployment's number; `null` if nothing changed.
    pub(crate) deployment: Option<u64>,
    /// Whether everything was already as requested.
    pub(crate) unchanged: bool,
    /// Whether that was known without a plan.
    pub(crate) plan_skipped: bool,
    /// What Terraform changed.
    pub(crate) changes: Vec<Change>,
    /// Releases that serve, by function.
    pub(crate) functions: BTreeMap<FunctionName, Version>,
    /// Verified Lambda versions.
    pub(crate) verifications: Vec<Verification>,
    /// The releases that `rollback` without a function would go back to now; empty if it could not undo this deployment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) undo: BTreeMap<FunctionName, Version>,
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
            undo: BTreeMap::new(),
        }
    }
}

/// Delivers releases to a stack in an environment. Where another run takes the deploy lock after the plan, that is waited for and
/// the plan is made again, within the lock time-out.
pub(crate) async fn deliver(stack: &EnvironmentStack, request: &DeployRequest) -> Result<Delivered> {
    let deadline = settle::deadline(stack);
    loop {
        let attempt = try_deliver(stack, request, deadline).await?;
        if let Some(delivered) = attempt.made(stack, deadline)? {
            return Ok(delivered);
        }
    }
}

async fn try_deliver(
    stack: &EnvironmentStack,
    request: &DeployRequest,
    deadline: Duration,
) -> Result<Attempt<Delivered>> {
    // Checked before the work folder is locked, so that a run that must wait names the deployment it waits for.
    settle_until(stack, deadline).await?;
    let lock = stack.lock_work().await?;
    let last = settle_until(stack, deadline).await?;
    guard::refuse(stack, request, last.as_ref())?;
    guard::refuse_second_digest(stack, request, last.as_ref()).await.map_err(nothing_changed)?;
    stack.gates.refuse_missing_programs(&stack.root)?;
    let lost = lineage::check(stack, request, last.as_ref()).await.map_err(nothing_changed)?;
    let releases = releases(stack, request, last.as_ref()).await?;
    trust::check(stack, last.as_ref(), &releases).await.map_err(nothing_changed)?;
    let versions: BTreeMap<FunctionName, Version> =
        releases.iter().map(|(name, manifest)| (name.clone(), manifest.version.clone())).collect();
    let approved = stack.rules.approved.as_deref();
    let used = match approved {
        Some(approved) => approved.usable(stack, last.as_ref()).await?,
        None => PlanUse::Unused,
    };
    if let PlanUse::Applied(number) = used {
        stack
            .progress
            .note(format!("          deployment {number} applied this plan already: nothing is done twice"));
        return Ok(Attempt::Made(Delivered::unchanged(stack, versions, true)));
    }
    let configuration = match approved {
        Some(approved) => approved.configuration(stack, &lock, &releases).await?,
        None => {
            let inputs = stack.inputs(&stack.root).await?;
            report_changed_inputs(stack, last.as_ref(), &inputs);
            stack.configure(&lock, &stack.root, &releases, inputs)?
        }
    };
    stack.check_files(&configuration)?;
    let current = skip::Current::read(stack, &configuration).await?;
    let accepts_other = known_state::refuse_other(stack, last.as_ref(), current.state.as_ref()).await?;
    if !request.always_plan
        && !accepts_other
        && skip::may_skip(stack, &current, last.as_ref(), &releases).await?
    {
        return Ok(Attempt::Made(Delivered::unchanged(stack, versions, true)));
    }
    let accepts_something = accepts_other | stack.refuse_weaker_trust(last.as_ref())?;
    side_by_side(releases.values().map(|manifest| stack.check_bytes(manifest)))
        .await
        .map_err(nothing_changed)?;
    let (planned, plan_record) = match approved {
        Some(approved) => {
            let attempted = used == PlanUse::Attempted;
            let to_apply = approved.planned(stack, &configuration, current.state.as_ref(), attempted).await?;
            (to_apply.planned, Some(to_apply.record))
        }
        None => (state_lock::plan(stack, &configuration).await?, None),
    };
    show(stack, &planned);
    stack.destruction_guard().check(&planned)?;
    // After the plan: `init` may have completed the lock file.
    let files = execute::pack_configuration(&configuration)?;
    let known_files = last.as_ref().is_some_and(|last| last.kept_contract_with(files));
    let places =
        contract::check_plan(stack, &configuration, &planned, &releases, last.as_ref(), known_files).await?;
    let mut known =
        if planned.is_empty() { Some(stack.infrastructure.outputs(&configuration).await?) } else { None };
    let mut nothing_to_do = false;
    if let Some(applied) = &mut known {
        let outputs = contract::outputs_of(stack, applied, &releases).await.map_err(nothing_changed)?;
        nothing_to_do = execute::pending(stack, &outputs, &releases, last.as_ref()).await?.is_empty()
            && events::are_as_declared(stack, &outputs).await?;
    }
    // What was accepted is recorded, although nothing else is to be done.
    let is_settled = last.as_ref().is_some_and(|last| last.outcome.is_settled());
    if nothing_to_do && is_settled && !accepts_something {
        current.remember(stack)?;
        return Ok(Attempt::Made(Delivered::unchanged(stack, versions, false)));
    }
    // If the last deployment failed and everything is as requested by now, only the ledger needs a new entry: it then
    // knows the applied configuration, which a rollback plans with.
    if !nothing_to_do {
        stack.refuse_by_policy(&configuration, &planned).await?;
        approve(stack, request, &planned, &versions)?;
    }
    let will = releases.iter().map(|(name, manifest)| Ok((name.clone(), planned_release(manifest)?)));
    let mut started = stack.started(request.kind, last.as_ref(), will.collect::<Result<_>>()?);
    started.plan = plan_record;
    started.origin = request.intent.origin(lost);
    continue_failed(&mut started, request, last.as_ref());
    if let Err(failure) = stack.ledger.begin(&started).await {
        return Attempt::lost(failure);
    }
    let lease = stack.keep_lease(started.deployment);
    let execution = Execution {
        started: &started,
        last: last.as_ref(),
        configuration: &configuration,
        planned: &planned,
        places: &places,
        releases: &releases,
    };
    let mut verifications = Vec::new();
    let result = execute::execute(stack, &execution, known, &mut verifications).await;
    drop(lease);
    match result {
        Ok(mut ended) => {
            ended.holds.retain(|hold| {
                request.releases.get(&hold.function).is_none_or(|manifest| manifest.version != hold.release)
            });
            let recorded = stack.ledger.end(&ended).await;
            recorded.map_err(|failure| settle::not_recorded(stack, &ended, failure))?;
            Ok(Attempt::Made(Delivered {
                environment: stack.environment().clone(),
                stack: stack.name().clone(),
                deployment: Some(started.deployment),
                unchanged: false,
                plan_skipped: false,
                changes: planned.changes,
                functions: observe::standing(stack, &ended, versions),
                verifications,
                undo: rollback::undo(stack, &ended, last.as_ref()).await,
            }))
        }
        Err(failure) => {
            let was_stale = failure.kind() == FailureKind::PlanStale;
            let failure = record_failure(stack, &started, last.as_ref(), failure, &verifications).await;
            if was_stale { Attempt::lost(failure) } else { Err(failure) }
        }
    }
}

/// Makes a deployment that is run again the owner of what its failed run had rolled out already, so that a rollback undoes
/// both together.
fn continue_failed(started: &mut Started, request: &DeployRequest, last: Option<&Ended>) {
    let failed = last.filter(|last| !last.outcome.is_settled() && last.kind != DeploymentKind::Rollback);
    let Some(failed) = failed else { return };
    for (function, manifest) in &request.releases {
        if let Some(serving) = started.serves.get_mut(function)
            && serving.since == failed.deployment
            && serving.release == manifest.version
        {
            serving.since = started.deployment;
        }
    }
}

/// Reports which values from other stacks differ from those of the last deployment.
fn report_changed_inputs(stack: &EnvironmentStack, last: Option<&Ended>, inputs: &StackInputs) {
    let Some(last) = last else { return };
    let digests = plan::input_digests(inputs);
    let changed = inputs.iter().filter(|(variable, _)| digests.get(*variable) != last.inputs.get(*variable));
    let changed: Vec<String> = changed.map(|(_, input)| format!("`{}`", input.from)).collect();
    if !changed.is_empty() {
        let text = format!("{} takes {}, which changed", stack.name(), crate::format::list(changed));
        stack.progress.note(format!("inputs    {text}"));
    }
}

/// Returns a release for every function of the stack: the requested ones, and the serving ones of the others.
async fn releases(
    stack: &EnvironmentStack,
    request: &DeployRequest,
    last: Option<&Ended>,
) -> Result<BTreeMap<FunctionName, Manifest>> {
    let mut releases = request.releases.clone();
    let others = stack.settings.functions.iter().filter(|function| !request.releases.contains_key(*function));
    let manifests = side_by_side(others.map(async |function| {
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
        let manifest = stack.recorded_manifest(function, &serving.release, serving.digest).await;
        Ok((function.clone(), manifest.map_err(nothing_changed)?))
    }));
    releases.extend(manifests.await?);
    Ok(releases)
}

fn nothing_changed(failure: Failure) -> Failure {
    failure.unchanged("Nothing was changed.")
}

/// Shows a plan.
fn show(stack: &EnvironmentStack, planned: &Planned) {
    let drift = planned.relevant_drift();
    // Values that AWS normalised after an apply look like drift, too: they are shown with --verbose only.
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
    request: &DeployRequest,
    planned: &Planned,
    versions: &BTreeMap<FunctionName, Version>,
) -> Result<()> {
    // Shown and approved already, change by change.
    if request.intent.approved.as_ref() == Some(&planned.changes) {
        return Ok(());
    }
    let what = if planned.changes.is_empty() {
        let names: Vec<String> =
            versions.iter().map(|(function, version)| format!("{function} {version}")).collect();
        let what = match names.len() {
            1..=9 => crate::format::list(names),
            many => crate::format::plural(many, "function"),
        };
        format!("Verify and roll out {what} in {}?", stack.environment())
    } else {
        let changes = crate::format::plural(planned.changes.len(), "change");
        format!("Apply {changes} to {} in {}?", stack.name(), stack.environment())
    };
    match stack.approver.approve(&what) {
        Ok(true) => Ok(()),
        refused => Err(match refused {
            Err(failure) => failure,
            Ok(_) => Failure::refused("not approved"),
        }
        .unchanged("Nothing was changed.")),
    }
}

/// Records a failed deployment with what is served now, and returns the failure to report, which says where the aliases
/// point if that is not where they pointed before.
async fn record_failure(
    stack: &EnvironmentStack,
    started: &Started,
    last: Option<&Ended>,
    failure: Failure,
    verifications: &[Verification],
) -> Failure {
    match settle::end_in_failure(stack, started, last, &failure, verifications).await {
        Ok((ended, observed)) => {
            let sentences = observed.sentences(started, verifications);
            let moved = !observed.nothing_moved(started);
            let failure = match failure.report().unchanged {
                _ if failure.kind() == FailureKind::VerificationFailed => failure.unchanged(sentences),
                _ if !moved => failure,
                Some(before) => failure.unchanged(format!("{before} {sentences}")),
                None => failure.unchanged(sentences),
            };
            let undo = if moved { rollback::undo(stack, &ended, last).await } else { BTreeMap::new() };
            if undo.is_empty() {
                return failure;
            }
            let names: Vec<&str> = undo.keys().map(FunctionName::as_str).collect();
            failure.detail(
                "undo",
                format!("cargo xtask rollback {} --env {}", names.join(" "), stack.environment()),
            )
        }
        Err(second) => settle::left_open(stack, failure, &second),
    }
}

/// Returns the ledger's record of a chosen release.
fn planned_release(manifest: &Manifest) -> Result<PlannedRelease> {
    Ok(PlannedRelease {
        release: manifest.version.clone(),
        digest: manifest.digest()?,
        code_sha256: manifest.artifact.code_sha256.clone(),
        commit: manifest.source.commit.clone(),
        lambda_version: None,
    })
}

//! Rolls back: moves the aliases first, so that traffic is back within a second; then applies the recorded configuration,
//! so that Terraform agrees; then puts the abandoned release on hold.

mod applied;
mod choose;
mod past;
mod stacks;
#[cfg(test)]
mod tests;
mod unfinished;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use applied::applied_configuration;
pub(crate) use choose::{RollbackChoice, RollbackRequest, RollbackStep, choose_rollback, undo};
pub(crate) use stacks::{RolledBack, newest_deployed, roll_back_stack};

use self::applied::{refuse_others, releases};
use self::unfinished::{carried, record_failure};
use super::contract::{self, AliasesBefore};
use super::execute;
use super::observe::{self, ObservedAlias};
use super::settle::{self, Attempt};
use super::skip::Current;
use super::{Delivered, EnvironmentStack, known_state, state_lock};
use crate::failure::{Failure, FailureKind, Result};
use crate::format;
use crate::ledger::{DeploymentKind, DeploymentOutcome, Ended, Hold, PlannedRelease, Serving, Started};
use crate::name::FunctionName;
use crate::plan::{self, Applied, Change, FunctionOutput};
use crate::release::Manifest;
use crate::rollout::{self, Evidence};
use crate::verification;

/// Takes functions back to earlier releases; `aliases` are theirs, as they were read.
pub(super) async fn roll_back(
    stack: &EnvironmentStack,
    last: &Ended,
    steps: &BTreeMap<FunctionName, RollbackStep>,
    aliases: &BTreeMap<FunctionName, ObservedAlias>,
) -> Result<Attempt<Delivered>> {
    stack.refuse_weaker_trust(Some(last))?;
    show(stack, last, steps, aliases);
    if !stack
        .approver
        .approve("Move live traffic now?")
        .map_err(|failure| failure.unchanged("Nothing was changed."))?
    {
        return Err(Failure::refused("not approved").unchanged("Nothing was changed."));
    }
    // Only the ledger is needed to move traffic back, neither a manifest nor the artifact's bytes.
    let carried = carried(last, steps);
    let will = last.serves.iter().map(|(function, serving)| {
        let release = match steps.get(function) {
            Some(step) => planned_release(&step.to, Some(step.to.lambda_version.clone())),
            None => {
                planned_release(serving, carried.contains(function).then(|| serving.lambda_version.clone()))
            }
        };
        (function.clone(), release)
    });
    let started = stack.started(DeploymentKind::Rollback, Some(last), will.collect());
    if let Err(failure) = stack.ledger.begin(&started).await {
        return Attempt::lost(failure);
    }
    let lease = stack.keep_lease(started.deployment);
    let mut ended = Ended::of(&started, Some(last), DeploymentOutcome::RolledBack, stack.clock.now());
    let result = run(stack, &started, last, steps, &mut ended).await;
    drop(lease);
    ended.at = stack.clock.now();
    let changes = match result {
        Ok(changes) => changes,
        Err(failure) => {
            let was_stale = failure.kind() == FailureKind::PlanStale;
            let failure = record_failure(stack, &started, last, steps, failure).await;
            return if was_stale { Attempt::lost(failure) } else { Err(failure) };
        }
    };
    let recorded = stack.ledger.end(&ended).await;
    recorded.map_err(|failure| settle::not_recorded(stack, &ended, failure))?;
    let functions =
        ended.serves.iter().map(|(function, serving)| (function.clone(), serving.release.clone()));
    Ok(Attempt::Made(Delivered {
        environment: stack.environment().clone(),
        stack: stack.name().clone(),
        deployment: Some(started.deployment),
        unchanged: false,
        plan_skipped: false,
        changes,
        functions: observe::standing(stack, &ended, functions.collect()),
        verifications: Vec::new(),
        undo: BTreeMap::new(),
    }))
}

/// Moves the aliases, then makes Terraform agree. `ended` always says what is served.
async fn run(
    stack: &EnvironmentStack,
    started: &Started,
    last: &Ended,
    steps: &BTreeMap<FunctionName, RollbackStep>,
    ended: &mut Ended,
) -> Result<Vec<Change>> {
    let mut gone = BTreeSet::new();
    for (function, step) in steps {
        stack.interrupt.check()?;
        if move_alias(stack, function, step).await? {
            let mut serving = Serving { newest_version: step.from.newest_version.clone(), ..step.to.clone() };
            (serving.since, serving.since_at) = (started.deployment, stack.clock.now());
            ended.serves.insert(function.clone(), serving);
            if step.from.release != step.to.release && ended.hold_on(function, &step.from.release).is_none() {
                ended.holds.push(Hold {
                    function: function.clone(),
                    release: step.from.release.clone(),
                    deployment: started.deployment,
                });
            }
            ended.holds.retain(|hold| hold.function != *function || hold.release != step.to.release);
        } else {
            gone.insert(function.clone());
        }
    }
    let moved: Vec<String> = steps
        .iter()
        .filter(|(function, _)| !gone.contains(*function))
        .map(|(function, step)| format!("{function} {}", step.to.release))
        .collect();
    if !moved.is_empty() {
        stack
            .progress
            .note(format!("          traffic is on {}. Updating Terraform to match.", format::list(moved)));
    }
    // Only now: traffic does not wait for another run in this work folder.
    let lock = stack.lock_work().await?;
    let releases = &releases(stack, last, steps).await?;
    let state = plan::read_state(stack.store.as_ref(), stack.name()).await?.map(|(version, _)| version);
    known_state::refuse_other(stack, Some(last), state.as_ref()).await?;
    let configuration = applied_configuration(stack, &lock, last, releases).await?;
    let planned = state_lock::plan(stack, &configuration).await?;
    stack.destruction_guard().check(&planned)?;
    // These files were applied before, so that only what this plan changes has to be looked at.
    let places = contract::check_plan(stack, &configuration, &planned, releases, Some(last), true).await?;
    refuse_others(stack, &planned, last, steps).await?;
    stack.refuse_by_policy(&configuration, &planned).await?;
    let mut applied = if planned.is_empty() {
        stack.infrastructure.outputs(&configuration).await?
    } else {
        let before = AliasesBefore::read(stack, started, &places).await?;
        let applied = state_lock::apply(stack, &configuration, &planned).await;
        before.applied(stack, started, applied).await?
    };
    let outputs = contract::outputs_of(stack, &mut applied, releases).await?;
    for function in &gone {
        through_terraform(stack, started, &releases[function], &outputs[function], &applied, ended).await?;
    }
    for (function, serving) in &mut ended.serves {
        if let Some(output) = outputs.get(function) {
            serving.newest_version = output.version.clone();
        }
    }
    observe::compare(&mut ended.serves, &observe::aliases(stack, started).await?);
    let current = Current::read(stack, &configuration).await?;
    ended.inputs = plan::input_digests(&configuration.inputs);
    (ended.plan_inputs, ended.state) = (current.plan_inputs, current.state);
    Ok(planned.changes)
}

/// Returns the ledger's record of a release that served before.
fn planned_release(serving: &Serving, lambda_version: Option<String>) -> PlannedRelease {
    PlannedRelease {
        release: serving.release.clone(),
        digest: serving.digest,
        code_sha256: serving.code_sha256.clone(),
        commit: serving.commit.clone(),
        lambda_version,
    }
}

/// Compares the Lambda version that the ledger recorded with the one that exists; `None` if it no longer does. Fails if code or
/// configuration are not the recorded ones.
pub(super) async fn served_version(
    stack: &EnvironmentStack,
    function: &FunctionName,
    serving: &Serving,
) -> Result<Option<()>> {
    let (name, version) = (&serving.function_name, &serving.lambda_version);
    let (active, configuration) =
        verification::await_active(&stack.functions, name, version, &stack.interrupt).await?;
    let Some(configuration) = configuration else { return Ok(None) };
    let digest = configuration.digest();
    if active.passed && configuration.code_sha256 == serving.code_sha256 && digest == serving.config_digest {
        return Ok(Some(()));
    }
    Err(Failure::new(
        FailureKind::VerificationFailed,
        format!("Lambda version {version} of `{function}` is not the one that the ledger recorded"),
    )
    .detail("recorded", format!("{} {}", serving.code_sha256, serving.config_digest.short()))
    .detail(
        "found",
        format!(
            "{} {} {}",
            configuration.code_sha256,
            digest.short(),
            configuration.state.unwrap_or_default()
        ),
    )
    .hint(format!(
        "deploy the release instead: cargo xtask deploy {function} --env {} --version {}",
        stack.environment(),
        serving.release
    )))
}

/// Points a function's alias to the version that served before; returns false if that version no longer exists.
async fn move_alias(stack: &EnvironmentStack, function: &FunctionName, step: &RollbackStep) -> Result<bool> {
    let to = &step.to;
    let line = stack.progress.step("rollout", format!("{function} {} -> {}", to.alias, to.lambda_version));
    match served_version(stack, function, to).await {
        Ok(Some(())) => {}
        Ok(None) => {
            line.done("gone");
            stack.progress.note(format!(
                "          Lambda version {} of {function} no longer exists: {} goes through Terraform.",
                to.lambda_version, to.release
            ));
            return Ok(false);
        }
        Err(failure) => {
            line.failed("refused");
            return Err(failure);
        }
    }
    let moved = rollout::point(
        &stack.functions,
        &to.function_name,
        &to.alias,
        &to.lambda_version,
        Evidence::Served(to),
    )
    .await?;
    line.done_as(format!("{function} {} {} -> {}", to.alias, moved.from, moved.to), "serving");
    Ok(true)
}

/// Verifies and rolls out a release whose Lambda version no longer exists.
async fn through_terraform(
    stack: &EnvironmentStack,
    started: &Started,
    manifest: &Manifest,
    output: &FunctionOutput,
    applied: &Applied,
    ended: &mut Ended,
) -> Result<()> {
    let function = &manifest.function;
    let verified = execute::verify(stack, manifest, output, &applied.outputs, None).await?;
    if !verified.passed() {
        return Err(verification::failure(stack.environment().as_str(), std::slice::from_ref(&verified)));
    }
    execute::roll_out(stack, function, output, &verified).await?;
    let left = started.serves.get(function).map(|serving| serving.release.clone());
    ended.serves.insert(function.clone(), execute::serving(stack, started, manifest, output, &verified)?);
    ended.holds.extend(left.map(|release| Hold {
        function: function.clone(),
        release,
        deployment: started.deployment,
    }));
    Ok(())
}

/// Shows what goes back to what, and where an alias points if that is not where the ledger says.
fn show(
    stack: &EnvironmentStack,
    last: &Ended,
    steps: &BTreeMap<FunctionName, RollbackStep>,
    aliases: &BTreeMap<FunctionName, ObservedAlias>,
) {
    let now = stack.clock.now();
    let mut text = String::new();
    for (function, step) in steps {
        let RollbackStep { from, to, .. } = step;
        let resumed = if step.resumed { "continues an unfinished rollback" } else { "verified" };
        let alias = aliases.get(function).and_then(|observed| observed.found.as_ref());
        let elsewhere = match alias {
            alias if from.matches(alias) => String::new(),
            Some(alias) => format!(", but `{}` points to {}", from.alias, alias.points_to()),
            None => format!(", but there is no alias `{}`", from.alias),
        };
        text.push_str(&format!(
            "{} runs   {function} {}   deployment {}, {}, by {}{elsewhere}\nback to{}   {function} {}   deployment {}, {resumed}, Lambda version {}\n",
            stack.environment(),
            from.release,
            last.deployment,
            format::age(last.at, now),
            last.by,
            " ".repeat((stack.environment().as_str().len() + 5).saturating_sub(7)),
            to.release,
            step.deployment,
            to.lambda_version,
        ));
    }
    stack.progress.block(text);
}

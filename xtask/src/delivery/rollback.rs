//! Rolls back: moves the aliases first, so that traffic is back within a second; then applies the recorded configuration,
//! so that Terraform agrees; then puts the abandoned release on hold.

mod choose;
mod past;
mod stacks;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use choose::{RollbackChoice, RollbackRequest, RollbackStep, choose_rollback, undo};
pub(crate) use stacks::{RolledBack, newest_deployed, roll_back_stack};

use super::contract::{self, AliasesBefore};
use super::execute::{self, configuration_key};
use super::observe::{self, Observed, ObservedAlias};
use super::skip::Current;
use super::{Delivered, EnvironmentStack, settle};
use crate::digest::Digest;
use crate::failure::{self, Failure, FailureKind, Result};
use crate::format;
use crate::ledger::{DeploymentKind, DeploymentOutcome, Ended, Hold, PlannedRelease, Serving, Started};
use crate::name::FunctionName;
use crate::plan::{self, Applied, Change, Configuration, FunctionOutput};
use crate::release::Manifest;
use crate::rollout::{self, Evidence};
use crate::verification;

/// Takes functions back to earlier releases; `aliases` are theirs, as they were read.
pub(super) async fn roll_back(
    stack: &EnvironmentStack,
    last: &Ended,
    steps: &BTreeMap<FunctionName, RollbackStep>,
    aliases: &BTreeMap<FunctionName, ObservedAlias>,
) -> Result<Delivered> {
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
    stack.ledger.begin(&started).await?;
    let lease = stack.keep_lease(started.deployment);
    let mut ended = Ended::of(&started, Some(last), DeploymentOutcome::RolledBack, stack.clock.now());
    let result = run(stack, &started, last, steps, &mut ended).await;
    drop(lease);
    ended.at = stack.clock.now();
    let changes = match result {
        Ok(changes) => changes,
        Err(failure) => return Err(record_failure(stack, &started, last, steps, failure).await),
    };
    stack.ledger.end(&ended).await?;
    let functions =
        ended.serves.iter().map(|(function, serving)| (function.clone(), serving.release.clone()));
    Ok(Delivered {
        environment: stack.environment().clone(),
        stack: stack.name().clone(),
        deployment: Some(started.deployment),
        unchanged: false,
        plan_skipped: false,
        changes,
        functions: observe::standing(stack, &ended, functions.collect()),
        verifications: Vec::new(),
        undo: BTreeMap::new(),
    })
}

/// Returns the functions whose traffic an unfinished rollback brought back, and which this one is not about: Terraform does
/// not agree with them either, until a rollback ends well.
fn carried<'a>(last: &'a Ended, steps: &BTreeMap<FunctionName, RollbackStep>) -> BTreeSet<&'a FunctionName> {
    last.brought_back().into_keys().filter(|function| !steps.contains_key(*function)).collect()
}

/// Records a failed rollback with what is served now, and returns the failure to report.
async fn record_failure(
    stack: &EnvironmentStack,
    started: &Started,
    last: &Ended,
    steps: &BTreeMap<FunctionName, RollbackStep>,
    failure: Failure,
) -> Failure {
    let record = async {
        let (mut ended, observed) =
            settle::ended_as_observed(stack, started, Some(last), DeploymentOutcome::Failed, &[]).await?;
        let back = back(steps, &observed);
        // By where traffic is, not by what this run moved: it may have been moved by an earlier one that failed as well.
        if !back.is_empty() || !carried(last, steps).is_empty() {
            ended.outcome = DeploymentOutcome::TerraformPending;
        }
        ended.why = Some(failure.message().to_owned());
        stack.ledger.end(&ended).await?;
        Ok::<_, Failure>((back, observed))
    };
    match record.await {
        Ok((back, observed)) if back.is_empty() && observed.nothing_moved(started) => {
            failure.unchanged("No alias was moved.")
        }
        Ok((back, observed)) if back.is_empty() => failure.unchanged(observed.sentences(started, &[])),
        Ok((back, _)) => {
            let others = steps.keys().filter(|function| !back.contains(function));
            let others = format::list(others.map(FunctionName::as_str));
            let back = back.into_iter().map(|function| format!("{function} {}", steps[function].to.release));
            let others = if others.is_empty() {
                String::new()
            } else {
                format!(" The rollback did not reach {others}.")
            };
            failure.unchanged(format!("Traffic is back on the earlier release ({}) and stays there.{others} Terraform does not agree yet: the ledger says `terraform pending`.", format::list(back)))
        }
        // The ledger stays open: the next command compares the aliases with both sides and closes it.
        Err(second) => failure
            .unchanged(format!(
                "Where the aliases point could not be read or recorded: see cargo xtask status --env {}.",
                stack.environment()
            ))
            .detail("also failed", second.message().to_owned()),
    }
}

/// Returns the functions whose traffic is back on the earlier release, apart from those that had nothing to go back from.
fn back<'a>(
    steps: &'a BTreeMap<FunctionName, RollbackStep>,
    observed: &Observed,
) -> BTreeSet<&'a FunctionName> {
    let is_back = |(function, step): &(&FunctionName, &RollbackStep)| {
        (step.resumed || step.from.lambda_version != step.to.lambda_version)
            && observed
                .aliases
                .get(*function)
                .is_some_and(|observed| step.to.matches(observed.found.as_ref()))
    };
    steps.iter().filter(is_back).map(|(function, _)| function).collect()
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
    let configuration = applied_configuration(stack, &lock, last, releases).await?;
    let planned = stack.infrastructure.plan(&configuration).await?;
    plan::refuse_protected(stack.name(), &stack.settings.protect, &planned)?;
    // These files were applied before, so that only what this plan changes has to be looked at.
    let places = contract::check_plan(stack, &configuration, &planned, releases, Some(last), true).await?;
    refuse_others(stack, &planned, last, steps).await?;
    let mut applied = if planned.is_empty() {
        stack.infrastructure.outputs(&configuration).await?
    } else {
        let before = AliasesBefore::read(stack, started, &places).await?;
        let applied = stack.infrastructure.apply(&configuration, &planned).await;
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

/// Reads the releases that Terraform is to apply: those that come back, and those that stay.
async fn releases(
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

/// Points a function's alias to the version that served before; returns false if that version no longer exists.
async fn move_alias(stack: &EnvironmentStack, function: &FunctionName, step: &RollbackStep) -> Result<bool> {
    let to = &step.to;
    let line = stack.progress.step("rollout", format!("{function} {} -> {}", to.alias, to.lambda_version));
    let (active, configuration) =
        verification::await_active(&stack.functions, &to.function_name, &to.lambda_version, &stack.interrupt)
            .await?;
    let Some(configuration) = configuration else {
        line.done("gone");
        stack.progress.note(format!(
            "          Lambda version {} of {function} no longer exists: {} goes through Terraform.",
            to.lambda_version, to.release
        ));
        return Ok(false);
    };
    let digest = configuration.digest();
    if !active.passed || configuration.code_sha256 != to.code_sha256 || digest != to.config_digest {
        line.failed("refused");
        return Err(Failure::new(
            FailureKind::VerificationFailed,
            format!(
                "Lambda version {} of `{function}` is not the one that the ledger recorded",
                to.lambda_version
            ),
        )
        .detail("recorded", format!("{} {}", to.code_sha256, to.config_digest.short()))
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
            to.release
        )));
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

/// Reads the applied configuration from the environment's store.
pub(super) async fn applied_configuration(
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
async fn refuse_others(
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
    let _ = std::fs::remove_file(&planned.file);
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

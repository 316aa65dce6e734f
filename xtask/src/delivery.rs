//! The way through, once a release is chosen: plan, approve, apply, verify, roll out, record.
//!
//! This is the only place that knows the order. `release`, `deploy` and `rollback` choose releases and call it. In: a
//! [`Site`] (one stack in one environment, with its ports) and an [`Order`]. Out: [`Delivered`]. Goes wrong: guards
//! refuse, locks are held, Terraform fails, a version does not verify; the ledger says in each case what is served.

pub(crate) mod back;
mod destroy;
mod events;
mod execute;
mod settle;
mod site;
mod skip;
mod stacks;

#[cfg(test)]
mod model;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use back::{BackOrder, choose_back, roll_back};
pub(crate) use destroy::{Destroyed, destroy_all, holds_resources};
pub(crate) use settle::{close_doubt, settle};
pub(crate) use site::{Site, StackCommit};
pub(crate) use stacks::{Part, deliver_all};

use crate::failure::{Failure, Outcome};
use crate::ledger::{Choice, Ended, Kind, Started};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::plan::{self, Change, Inputs, Planned};
use crate::release::Manifest;
use crate::verification::Verification;

/// What is to be delivered.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// Why.
    pub(crate) kind: Kind,
    /// Releases by function; functions not named keep theirs.
    pub(crate) targets: BTreeMap<FunctionName, Manifest>,
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
    fn unchanged(site: &Site, functions: BTreeMap<FunctionName, Version>, plan_skipped: bool) -> Self {
        Self {
            environment: site.environment.clone(),
            stack: site.stack.clone(),
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
pub(crate) async fn deliver(site: &Site, order: &Order) -> Outcome<Delivered> {
    // Looked at before the folder is taken, so that who waits for another deployment is told of that one.
    settle(site).await?;
    let lock = site.lock_work().await?;
    let last = settle(site).await?;
    guard(site, order, last.as_ref())?;
    let releases = releases(site, order, last.as_ref()).await?;
    for manifest in releases.values() {
        site.check_trust(manifest).await.map_err(|failure| failure.unchanged("Nothing was changed."))?;
    }
    let versions: BTreeMap<FunctionName, Version> =
        releases.iter().map(|(name, manifest)| (name.clone(), manifest.version.clone())).collect();
    let inputs = site.inputs(&site.root).await?;
    tell_changed(site, last.as_ref(), &inputs);
    let configuration = site.configure(&lock, &site.root, &releases, inputs)?;
    let current = skip::Current::read(site, &configuration).await?;
    if !order.always_plan && skip::may_skip(site, &current, last.as_ref(), &releases).await? {
        return Ok(Delivered::unchanged(site, versions, true));
    }
    for manifest in releases.values() {
        site.check_bytes(manifest).await.map_err(|failure| failure.unchanged("Nothing was changed."))?;
    }
    let planned = site.infrastructure.plan(&configuration).await?;
    show(site, &planned);
    if let Err(refused) = plan::refuse_protected(&site.stack, &site.stack_settings.protect, &planned) {
        // A saved plan holds secrets in the clear.
        let _ = std::fs::remove_file(&planned.file);
        return Err(refused);
    }
    let known =
        if planned.is_empty() { Some(site.infrastructure.outputs(&configuration).await?) } else { None };
    let mut nothing_to_do = false;
    if let Some(applied) = &known {
        nothing_to_do = execute::pending(site, applied, &releases, last.as_ref()).await?.is_empty()
            && events::as_wanted(site, applied).await?;
    }
    if nothing_to_do && last.as_ref().is_some_and(|last| last.outcome.is_settled()) {
        current.remember(site)?;
        return Ok(Delivered::unchanged(site, versions, false));
    }
    // Where the last deployment did not end well and all is as asked for by now, only the ledger has to say so: it then
    // knows the applied configuration, which a rollback plans with.
    if !nothing_to_do {
        approve(site, &planned, &versions)?;
    }
    let will = releases.iter().map(|(name, manifest)| Ok((name.clone(), choice(manifest)?)));
    let started = site.started(order.kind, last.as_ref(), will.collect::<Outcome<_>>()?);
    site.ledger.begin(&started).await?;
    let lease = site.keep_lease(started.deployment);
    let result =
        execute::execute(site, &started, last.as_ref(), &configuration, &planned, known, &releases).await;
    drop(lease);
    match result {
        Ok(done) => {
            let mut ended = done.ended;
            ended.holds.retain(|hold| {
                order.targets.get(&hold.function).is_none_or(|manifest| manifest.version != hold.release)
            });
            site.ledger.end(&ended).await?;
            Ok(Delivered {
                environment: site.environment.clone(),
                stack: site.stack.clone(),
                deployment: Some(started.deployment),
                unchanged: false,
                plan_skipped: false,
                changes: planned.changes,
                functions: versions,
                verifications: done.verifications,
            })
        }
        Err(failure) => Err(record_failure(site, &started, last.as_ref(), failure).await),
    }
}

/// Says which values from other stacks are not those of the last deployment.
fn tell_changed(site: &Site, last: Option<&Ended>, inputs: &Inputs) {
    let Some(last) = last else { return };
    let digests = plan::input_digests(inputs);
    let changed = inputs.iter().filter(|(variable, _)| digests.get(*variable) != last.inputs.get(*variable));
    let changed: Vec<String> = changed.map(|(_, input)| format!("`{}`", input.from)).collect();
    if !changed.is_empty() {
        let text = format!("{} takes {}, which changed", site.stack, crate::words::list(changed));
        site.progress.note(format!("inputs    {text}"));
    }
}

/// Plans what an order would change, and touches nothing.
pub(crate) async fn preview(site: &Site, order: &Order) -> Outcome<Planned> {
    let lock = site.lock_work().await?;
    let last = site.ledger.head().await?.last;
    let releases = releases(site, order, last.as_ref()).await?;
    let inputs = site.inputs(&site.root).await?;
    let configuration = site.configure(&lock, &site.root, &releases, inputs)?;
    let planned = site.infrastructure.plan(&configuration).await?;
    // Nobody applies it: a saved plan holds secrets in the clear.
    let _ = std::fs::remove_file(&planned.file);
    if let Err(refused) = plan::refuse_protected(&site.stack, &site.stack_settings.protect, &planned) {
        site.progress.note(format!("          deploying it would be refused: {refused}"));
    }
    Ok(planned)
}

/// Refuses what an environment does not allow, before anything is planned.
fn guard(site: &Site, order: &Order, last: Option<&Ended>) -> Outcome<()> {
    let environment = &site.environment;
    for (function, manifest) in &order.targets {
        let version = &manifest.version;
        if let Some(hold) = last.and_then(|last| last.holds(function, version)).filter(|_| !order.lift_hold) {
            return Err(Failure::refused(format!(
                "`{function}` {version} is held in {environment}: rollback {} left it",
                hold.deployment
            ))
            .unchanged("Nothing was changed.")
            .hint("release a repaired version, or take this one again with --lift-hold"));
        }
        if site.settings.protected && manifest.source.dirty {
            return Err(Failure::refused(format!("{environment} is protected and `{function}` {version} was built from a tree with changes that are not committed"))
                .unchanged("Nothing was changed.")
                .hint("commit, then release again"));
        }
    }
    if site.settings.protected && site.commit.as_ref().is_some_and(|commit| commit.dirty) {
        return Err(Failure::refused(format!(
            "{environment} is protected and the files of `{}` have changes that are not committed",
            site.stack
        ))
        .unchanged("Nothing was changed.")
        .hint("commit them, or put them aside with git stash"));
    }
    Ok(())
}

/// Returns the release of every function of the stack: the ordered ones, and what is served of the others.
async fn releases(
    site: &Site,
    order: &Order,
    last: Option<&Ended>,
) -> Outcome<BTreeMap<FunctionName, Manifest>> {
    let mut releases = order.targets.clone();
    for function in &site.stack_settings.functions {
        if releases.contains_key(function) {
            continue;
        }
        let Some(serving) = last.and_then(|last| last.serves.get(function)) else {
            return Err(Failure::usage(format!(
                "the stack `{}` also runs `{function}`, which has no release in {} yet",
                site.stack, site.environment
            ))
            .unchanged("Nothing was changed.")
            .hint(format!(
                "release it with it: name both functions, or none (cargo xtask release --env {})",
                site.environment
            )));
        };
        releases.insert(function.clone(), site.catalogue.manifest(function, &serving.release).await?);
    }
    Ok(releases)
}

/// Shows a plan to people.
fn show(site: &Site, planned: &Planned) {
    let drift = planned.relevant_drift();
    // What AWS merely normalised after an apply reads as drift, too: it is shown where everything is asked for.
    if site.verbose && !drift.is_empty() {
        let text = plan::changes_text(&drift, true);
        site.progress.block(format!("\n          changed outside Terraform:\n{text}"));
    }
    if !planned.changes.is_empty() {
        site.progress.block(format!("\n{}", plan::changes_text(&planned.changes, site.verbose)));
    }
    planned.warnings.iter().for_each(|warning| site.progress.note(format!("          warning: {warning}")));
}

fn approve(site: &Site, planned: &Planned, versions: &BTreeMap<FunctionName, Version>) -> Outcome<()> {
    let what = if planned.changes.is_empty() {
        let names: Vec<String> =
            versions.iter().map(|(function, version)| format!("{function} {version}")).collect();
        format!("Verify and roll out {} in {}?", crate::words::list(names), site.environment)
    } else {
        let changes = crate::words::plural(planned.changes.len(), "change");
        format!("Apply {changes} to {} in {}?", site.stack, site.environment)
    };
    match site.approver.approve(&what) {
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
async fn record_failure(site: &Site, started: &Started, last: Option<&Ended>, failure: Failure) -> Failure {
    match settle::ended_in_failure(site, started, last, &failure).await {
        Ok(()) => failure,
        // The ledger stays open: the next command compares the aliases with both sides and closes it.
        Err(second) => failure.detail("and then", second.message().to_owned()),
    }
}

/// Makes the ledger's note of a chosen release.
fn choice(manifest: &Manifest) -> Outcome<Choice> {
    Ok(Choice {
        release: manifest.version.clone(),
        digest: manifest.digest()?,
        code_sha256: manifest.artifact.code_sha256.clone(),
        commit: manifest.source.commit.clone(),
        lambda_version: None,
    })
}

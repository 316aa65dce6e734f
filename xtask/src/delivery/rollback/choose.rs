//! Chooses what a rollback goes back to: from the ledger, never by counting version numbers down.
//!
//! In: the ledger's history and the request. Out: a [`RollbackStep`] for each function that goes back, and why the others
//! stay. Errors: nothing served before, the version or deployment is unknown or did not verify, or the release is on hold.

use std::collections::BTreeMap;

use super::super::EnvironmentStack;
use super::past::Past;
use crate::failure::{Failure, Result};
use crate::format;
use crate::ledger::{Ended, PlannedRelease, Serving};
use crate::name::{EnvironmentName, FunctionName, Version};

/// A request to roll back.
#[derive(Debug, Clone, Default)]
pub(crate) struct RollbackRequest {
    /// The functions; if empty, those that the newest deployment changed.
    pub(crate) functions: Vec<FunctionName>,
    /// The release to go back to.
    pub(crate) to: Option<Version>,
    /// The deployment whose releases to go back to.
    pub(crate) to_deployment: Option<u64>,
    /// Whether a held release may come back.
    pub(crate) lift_hold: bool,
}

/// The way of one function back to an earlier release.
#[derive(Debug, Clone)]
pub(crate) struct RollbackStep {
    /// What is served now.
    pub(crate) from: Serving,
    /// What served before.
    pub(crate) to: Serving,
    /// The deployment that served it, and verified it.
    pub(crate) deployment: u64,
    /// Whether it continues an unfinished rollback.
    pub(crate) resumed: bool,
    /// What this rollback repeats, where an earlier one did it already.
    pub(crate) repeats: Option<RepeatedRollback>,
}

/// A rollback that ended: the same command again means the same, and goes no further back.
#[derive(Debug, Clone, Default)]
pub(crate) struct RepeatedRollback {
    /// The release that served before the one that it brought back.
    pub(crate) further: Option<Version>,
}

impl RollbackStep {
    /// Says which rollback did already what this one means, and how to go further back.
    pub(super) fn repeats_text(
        &self,
        function: &FunctionName,
        environment: &EnvironmentName,
    ) -> Option<String> {
        let RepeatedRollback { further } = self.repeats.as_ref()?;
        let further = further.as_ref().map(|further| {
            format!(" (further back: cargo xtask rollback {function} --env {environment} --to {further})")
        });
        let (number, release) = (self.deployment, &self.to.release);
        Some(format!("rollback {number} brought {release} back{}", further.unwrap_or_default()))
    }
}

/// What a rollback does.
#[derive(Debug, Clone, Default)]
pub(crate) struct RollbackChoice {
    /// The functions that go back.
    pub(crate) steps: BTreeMap<FunctionName, RollbackStep>,
    /// The functions that were meant as well, but stay, and why.
    pub(crate) stay: BTreeMap<FunctionName, String>,
}

/// Chooses what to go back to. "Previous" is the newest verified release before the present one that is not on hold.
pub(crate) async fn choose_rollback(
    stack: &EnvironmentStack,
    last: Option<&Ended>,
    request: &RollbackRequest,
) -> Result<RollbackChoice> {
    let environment = stack.environment();
    let last = last.filter(|last| !last.serves.is_empty()).ok_or_else(|| {
        Failure::usage(format!("nothing was deployed to {environment} yet, so there is nothing to roll back"))
            .hint(format!("cargo xtask history --env {environment}"))
    })?;
    choose(stack, &mut Past::new(&stack.ledger, vec![last.clone()]), request).await
}

/// Returns what `rollback` without a function would go back to after a deployment; empty if it could not undo it.
pub(crate) async fn undo(
    stack: &EnvironmentStack,
    ended: &Ended,
    last: Option<&Ended>,
) -> BTreeMap<FunctionName, Version> {
    let newest = std::iter::once(ended).chain(last).cloned().collect();
    let choice = choose(stack, &mut Past::new(&stack.ledger, newest), &RollbackRequest::default()).await;
    // Where it cannot be read or cannot be undone there is nothing to offer.
    let steps = choice.map(|choice| choice.steps).unwrap_or_default();
    let steps = steps.into_iter().filter(|(_, step)| step.repeats.is_none());
    steps.map(|(function, step)| (function, step.to.release)).collect()
}

/// Chooses from the past, whose newest deployment is the present.
async fn choose(
    stack: &EnvironmentStack,
    past: &mut Past<'_>,
    request: &RollbackRequest,
) -> Result<RollbackChoice> {
    let last = past.last().clone();
    let targeted = request.to.is_some() || request.to_deployment.is_some();
    let unfinished = last.unfinished_rollback();
    let unnamed = request.functions.is_empty();
    let functions: Vec<FunctionName> = match request.functions.as_slice() {
        [] if !targeted && !unfinished.is_empty() => {
            unfinished.keys().map(|function| (*function).clone()).collect()
        }
        [] if targeted => last.serves.keys().cloned().collect(),
        [] => changed_by_newest(stack, past).await?,
        named => named.to_vec(),
    };
    if request.to.is_some() && functions.len() > 1 {
        return Err(Failure::usage("--to names a version of one function").hint(format!(
            "name the function too: {}",
            format::list(functions.iter().map(FunctionName::as_str))
        )));
    }
    let target = match request.to_deployment {
        Some(number) => Some(verified_deployment(stack, past, number).await?),
        None => None,
    };
    let mut choice = RollbackChoice::default();
    let mut nothing = None;
    for function in functions {
        let from = last
            .serves
            .get(&function)
            .ok_or_else(|| {
                Failure::usage(format!("`{function}` is not deployed to {}", stack.environment()))
            })?
            .clone();
        // A target that is the one of the unfinished rollback is the same command again.
        let wanted = unfinished.get(&function).copied().filter(|wanted| match (&request.to, &target) {
            (Some(version), _) => wanted.release == *version,
            (None, Some(target)) => {
                target.verified(&function).is_some_and(|serving| is_wanted(wanted, serving))
            }
            (None, None) => true,
        });
        let mut repeats = None;
        let found = if let Some(wanted) = wanted {
            past.find(&function, |ended, serving| {
                ended.deployment < last.deployment && is_wanted(wanted, serving)
            })
            .await?
        } else if let Some(target) = &target {
            target.verified(&function).map(|serving| (serving.clone(), target.deployment))
        } else if let Some(version) = &request.to {
            Some(served_version(stack, past, &function, version).await?)
        } else if from.verified && past.is_rollback(from.since).await? {
            let further = past.previous(&function, &from).await?.map(|(further, _)| further.release);
            repeats = Some(RepeatedRollback { further });
            Some((from.clone(), from.since))
        } else {
            past.previous(&function, &from).await?
        };
        let Some((to, deployment)) = found else {
            let refused = nothing_before(stack, &function, &from, request);
            if !unnamed {
                return Err(refused);
            }
            choice.stay.insert(function, refused.message().to_owned());
            nothing.get_or_insert(refused);
            continue;
        };
        if let Some(hold) = last.hold_on(&function, &to.release).filter(|_| !request.lift_hold) {
            return Err(Failure::refused(format!(
                "`{function}` {} is on hold in {} since rollback {}",
                to.release,
                stack.environment(),
                hold.deployment
            ))
            .unchanged("Nothing was changed.")
            .hint("go back to another release, or to this one with --lift-hold"));
        }
        let resumed = wanted.is_some();
        choice.steps.insert(function, RollbackStep { from, to, deployment, resumed, repeats });
    }
    match nothing.filter(|_| choice.steps.is_empty()) {
        Some(refused) => Err(refused),
        None => Ok(choice),
    }
}

/// Returns the functions whose release came with the newest deployment. One that failed and changed nothing is passed over:
/// what it was to replace still serves, and that is what has to be undone.
async fn changed_by_newest(stack: &EnvironmentStack, past: &mut Past<'_>) -> Result<Vec<FunctionName>> {
    let last = past.last().clone();
    let mut newest = last.clone();
    for index in 0.. {
        let Some(ended) = past.entry(index).await? else { break };
        newest = ended.clone();
        let changed = last.serves.values().any(|serving| serving.since == ended.deployment);
        if changed || ended.outcome.is_settled() {
            break;
        }
    }
    let changed = last.serves.iter().filter(|(_, serving)| serving.since == newest.deployment);
    let changed: Vec<FunctionName> = changed.map(|(function, _)| function.clone()).collect();
    if !changed.is_empty() {
        return Ok(changed);
    }
    let environment = stack.environment();
    let mut hint = "it applied configuration only: revert its commit and release again".to_owned();
    for (function, serving) in &last.serves {
        if !past.is_rollback(serving.since).await? && past.previous(function, serving).await?.is_some() {
            hint.push_str(&format!(
                "; to take back the release of a function anyway, name it: cargo xtask rollback {function} --env {environment}"
            ));
            break;
        }
    }
    Err(Failure::refused(format!(
        "deployment {} changed no release in {environment}, so there is no release to undo",
        newest.deployment
    ))
    .unchanged("Nothing was changed.")
    .hint(hint))
}

/// Reads the deployment to go back to.
async fn verified_deployment(stack: &EnvironmentStack, past: &mut Past<'_>, number: u64) -> Result<Ended> {
    let Some(ended) = stack.ledger.deployment(number).await? else {
        let newest = past.last().deployment;
        let known: Vec<String> = (1..=newest).rev().take(8).map(|number| number.to_string()).collect();
        return Err(Failure::usage(format!("{} has no deployment {number}", stack.environment()))
            .unchanged("Nothing was changed.")
            .hint(format!("the newest: {}", known.join(", "))));
    };
    if ended.outcome.is_settled() {
        return Ok(ended);
    }
    Err(Failure::refused(format!(
        "deployment {number} ended as `{}`, and a rollback goes only to a deployment that was verified",
        ended.outcome.text()
    ))
    .unchanged("Nothing was changed.")
    .hint(format!("see which were: cargo xtask history --env {}", stack.environment())))
}

/// Finds a version that served. An unknown one fails with its neighbours named, and so does one that never served.
async fn served_version(
    stack: &EnvironmentStack,
    past: &mut Past<'_>,
    function: &FunctionName,
    version: &Version,
) -> Result<(Serving, u64)> {
    if let Some(found) = past.find(function, |_, serving| serving.release == *version).await? {
        return Ok(found);
    }
    stack.catalogue.manifest(function, version).await?;
    let environment = stack.environment();
    Err(Failure::refused(format!(
        "`{function}` {version} never served in {environment} verified, so a rollback cannot go back to it"
    ))
    .unchanged("Nothing was changed.")
    .hint(format!("deploy it: cargo xtask deploy {function} --env {environment} --version {version}")))
}

fn is_wanted(wanted: &PlannedRelease, serving: &Serving) -> bool {
    serving.digest == wanted.digest && Some(&serving.lambda_version) == wanted.lambda_version.as_ref()
}

fn nothing_before(
    stack: &EnvironmentStack,
    function: &FunctionName,
    from: &Serving,
    request: &RollbackRequest,
) -> Failure {
    let environment = stack.environment();
    let message = match request.to_deployment {
        Some(number) => format!("deployment {number} served no verified release of `{function}`"),
        None if !from.verified => format!(
            "`{function}` {} was not verified, and {environment} served no verified release before it (apart from those on hold)",
            from.release
        ),
        None => format!(
            "`{function}` {} is the only verified release that {environment} ever served (apart from those on hold)",
            from.release
        ),
    };
    Failure::refused(message).unchanged("Nothing was changed.").hint(format!("see what served: cargo xtask history --env {environment}; --to takes a version, --lift-hold allows one on hold"))
}

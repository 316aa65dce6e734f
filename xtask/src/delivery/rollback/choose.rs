//! Chooses what a rollback goes back to: from the ledger, never by counting version numbers down.
//!
//! In: the ledger's history and the request. Out: a [`RollbackStep`] for each function. Errors: nothing served before, the
//! version or deployment is unknown, or the release is on hold.

use std::collections::{BTreeMap, BTreeSet};

use super::super::EnvironmentStack;
use crate::failure::{Failure, Result};
use crate::format;
use crate::ledger::{DeploymentKind, DeploymentOutcome, Ended, Serving};
use crate::name::{FunctionName, Version};

/// A request to roll back.
#[derive(Debug, Clone, Default)]
pub(crate) struct RollbackRequest {
    /// The functions; if empty, all that the stack serves.
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
    /// The deployment that served it.
    pub(crate) deployment: u64,
    /// Whether it continues an unfinished rollback.
    pub(crate) resumed: bool,
}

/// How many deployments of the ledger are read.
const HISTORY: usize = 500;

/// Chooses what to go back to. "Previous" is the newest verified release before the present one that is not on hold.
pub(crate) async fn choose_rollback(
    stack: &EnvironmentStack,
    last: Option<&Ended>,
    request: &RollbackRequest,
) -> Result<BTreeMap<FunctionName, RollbackStep>> {
    let environment = stack.environment();
    let last = last.filter(|last| !last.serves.is_empty()).ok_or_else(|| {
        Failure::usage(format!("nothing was deployed to {environment} yet, so there is nothing to roll back"))
            .hint(format!("cargo xtask history --env {environment}"))
    })?;
    let history = stack.ledger.history(HISTORY).await?;
    let unfinished = unfinished(last, request);
    let named: BTreeSet<FunctionName> = match request.functions.as_slice() {
        [] if !unfinished.is_empty() => unfinished.keys().map(|function| (*function).clone()).collect(),
        [] => last.serves.keys().cloned().collect(),
        named => named.iter().cloned().collect(),
    };
    if request.to.is_some() && named.len() > 1 {
        return Err(Failure::usage("--to names a version of one function").hint(format!(
            "name the function too: {}",
            format::list(named.iter().map(FunctionName::as_str))
        )));
    }
    let mut chosen = BTreeMap::new();
    for function in named {
        let from = last
            .serves
            .get(&function)
            .ok_or_else(|| Failure::usage(format!("`{function}` is not deployed to {environment}")))?
            .clone();
        let wanted = unfinished.get(&function).copied();
        let found = if let Some((release, lambda_version)) = wanted {
            find(&history, &function, |ended, serving| {
                ended.deployment < last.deployment
                    && serving.release == *release
                    && serving.lambda_version == lambda_version
            })
        } else if let Some(number) = request.to_deployment {
            let ended = stack
                .ledger
                .deployment(number)
                .await?
                .ok_or_else(|| unknown_deployment(stack, number, &history))?;
            find(std::slice::from_ref(&ended), &function, |_, _| true)
        } else if let Some(version) = &request.to {
            let found = find(&history, &function, |_, serving| serving.release == *version);
            if found.is_none() {
                // An unknown version fails here with its neighbours named; one that exists never served here.
                stack.catalogue.manifest(&function, version).await?;
                return Err(Failure::refused(format!(
                    "`{function}` {version} never served in {environment}, so a rollback cannot go back to it"
                ))
                .unchanged("Nothing was changed.")
                .hint(format!(
                    "deploy it: cargo xtask deploy {function} --env {environment} --version {version}"
                )));
            }
            found
        } else {
            find(&history, &function, |ended, serving| {
                ended.deployment < from.since
                    && serving.release != from.release
                    && last.hold_on(&function, &serving.release).is_none()
            })
        };
        let (to, deployment) = found.ok_or_else(|| nothing_before(stack, &function, &from, request))?;
        if let Some(hold) = last.hold_on(&function, &to.release).filter(|_| !request.lift_hold) {
            return Err(Failure::refused(format!(
                "`{function}` {} is on hold in {environment} since rollback {}",
                to.release, hold.deployment
            ))
            .unchanged("Nothing was changed.")
            .hint("go back to another release, or to this one with --lift-hold"));
        }
        chosen.insert(function, RollbackStep { from, to, deployment, resumed: wanted.is_some() });
    }
    Ok(chosen)
}

/// Returns the target of each function of an unfinished rollback, unless the request names a target.
fn unfinished<'a>(
    last: &'a Ended,
    request: &RollbackRequest,
) -> BTreeMap<&'a FunctionName, (&'a Version, &'a str)> {
    let is_unfinished = last.kind == DeploymentKind::Rollback
        && matches!(
            last.outcome,
            DeploymentOutcome::Interrupted | DeploymentOutcome::TerraformPending | DeploymentOutcome::Failed
        );
    if !is_unfinished || request.to.is_some() || request.to_deployment.is_some() {
        return BTreeMap::new();
    }
    // Functions that were not part of it keep their release, and have no Lambda version to go back to.
    last.will
        .iter()
        .filter_map(|(function, choice)| {
            Some((function, (&choice.release, choice.lambda_version.as_deref()?)))
        })
        .collect()
}

fn find(
    history: &[Ended],
    function: &FunctionName,
    fits: impl Fn(&Ended, &Serving) -> bool,
) -> Option<(Serving, u64)> {
    history.iter().find_map(|ended| {
        ended
            .verified(function)
            .filter(|serving| fits(ended, serving))
            .map(|serving| (serving.clone(), ended.deployment))
    })
}

fn unknown_deployment(stack: &EnvironmentStack, number: u64, history: &[Ended]) -> Failure {
    let known: Vec<String> = history.iter().take(8).map(|ended| ended.deployment.to_string()).collect();
    Failure::usage(format!("{} has no deployment {number}", stack.environment()))
        .unchanged("Nothing was changed.")
        .hint(format!("the newest: {}", known.join(", ")))
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
        None => format!(
            "`{function}` {} is the only verified release that {environment} ever served (apart from those on hold)",
            from.release
        ),
    };
    Failure::refused(message).unchanged("Nothing was changed.").hint(format!("see what served: cargo xtask history --env {environment}; --to takes a version, --lift-hold allows one on hold"))
}

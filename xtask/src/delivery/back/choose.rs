//! What a rollback goes back to: chosen from the ledger, never from arithmetic on version numbers.
//!
//! In: the ledger's history and what was asked for. Out: for each function, the serving that comes back. Goes wrong:
//! nothing served before, the version or deployment is unknown, or it is held.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Site;
use crate::failure::{Failure, Outcome};
use crate::ledger::{Ended, Kind, OutcomeWord, Serving};
use crate::name::{FunctionName, Version};
use crate::words;

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct BackOrder {
    /// The functions; all that the stack serves where none is named.
    pub(crate) functions: Vec<FunctionName>,
    /// To this release.
    pub(crate) to: Option<Version>,
    /// To what this deployment served.
    pub(crate) to_deployment: Option<u64>,
    /// Whether a held release may come back.
    pub(crate) lift_hold: bool,
}

/// What will be served again.
#[derive(Debug, Clone)]
pub(crate) struct Back {
    /// What is served now.
    pub(crate) from: Serving,
    /// What served before.
    pub(crate) to: Serving,
    /// The deployment that served it.
    pub(crate) deployment: u64,
    /// Whether an earlier, unfinished rollback is carried on.
    pub(crate) resumed: bool,
}

/// How far back the ledger is read.
const HISTORY: usize = 500;

/// Chooses what to go back to; "previous" is the newest verified deployment older than the one left, without held ones.
pub(crate) async fn choose_back(
    site: &Site,
    last: Option<&Ended>,
    order: &BackOrder,
) -> Outcome<BTreeMap<FunctionName, Back>> {
    let environment = &site.environment;
    let last = last.filter(|last| !last.serves.is_empty()).ok_or_else(|| {
        Failure::usage(format!("nothing was deployed to {environment} yet: there is nothing to go back from"))
            .hint(format!("cargo xtask history --env {environment}"))
    })?;
    let history = site.ledger.history(HISTORY).await?;
    let unfinished = unfinished(last, order);
    let named: BTreeSet<FunctionName> = match order.functions.as_slice() {
        [] if !unfinished.is_empty() => unfinished.keys().map(|function| (*function).clone()).collect(),
        [] => last.serves.keys().cloned().collect(),
        named => named.iter().cloned().collect(),
    };
    if order.to.is_some() && named.len() > 1 {
        return Err(Failure::usage("--to names a version of one function").hint(format!(
            "name the function too: {}",
            words::list(named.iter().map(FunctionName::as_str))
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
        } else if let Some(number) = order.to_deployment {
            let ended = site
                .ledger
                .deployment(number)
                .await?
                .ok_or_else(|| unknown_deployment(site, number, &history))?;
            find(std::slice::from_ref(&ended), &function, |_, _| true)
        } else if let Some(version) = &order.to {
            let found = find(&history, &function, |_, serving| serving.release == *version);
            if found.is_none() {
                // An unknown version is told with its neighbours; one that exists never served here.
                site.catalogue.manifest(&function, version).await?;
                return Err(Failure::refused(format!(
                    "`{function}` {version} never served in {environment}, so there is nothing to go back to"
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
                    && last.holds(&function, &serving.release).is_none()
            })
        };
        let (to, deployment) = found.ok_or_else(|| nothing_before(site, &function, &from, order))?;
        if let Some(hold) = last.holds(&function, &to.release).filter(|_| !order.lift_hold) {
            return Err(Failure::refused(format!(
                "`{function}` {} is held in {environment}: rollback {} left it",
                to.release, hold.deployment
            ))
            .unchanged("Nothing was changed.")
            .hint("go back to another one, or take this one again with --lift-hold"));
        }
        chosen.insert(function, Back { from, to, deployment, resumed: wanted.is_some() });
    }
    Ok(chosen)
}

/// Returns where an unfinished rollback wanted each of its functions to go, unless something else is asked for.
fn unfinished<'a>(last: &'a Ended, order: &BackOrder) -> BTreeMap<&'a FunctionName, (&'a Version, &'a str)> {
    let is_unfinished = last.kind == Kind::Rollback
        && matches!(
            last.outcome,
            OutcomeWord::Interrupted | OutcomeWord::TerraformPending | OutcomeWord::Failed
        );
    if !is_unfinished || order.to.is_some() || order.to_deployment.is_some() {
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

fn unknown_deployment(site: &Site, number: u64, history: &[Ended]) -> Failure {
    let known: Vec<String> = history.iter().take(8).map(|ended| ended.deployment.to_string()).collect();
    Failure::usage(format!("{} has no deployment {number}", site.environment))
        .unchanged("Nothing was changed.")
        .hint(format!("the newest: {}", known.join(", ")))
}

fn nothing_before(site: &Site, function: &FunctionName, from: &Serving, order: &BackOrder) -> Failure {
    let environment = &site.environment;
    let message = match order.to_deployment {
        Some(number) => format!("deployment {number} served no verified release of `{function}`"),
        None => format!(
            "`{function}` {} is the only verified release that {environment} ever served (held ones aside)",
            from.release
        ),
    };
    Failure::refused(message).unchanged("Nothing was changed.").hint(format!("see what served: cargo xtask history --env {environment}; --to takes a version, --lift-hold a held one"))
}

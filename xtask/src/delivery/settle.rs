//! Settles the ledger before anything new begins: a deployment without an end is still running, or is closed.
//!
//! A deployment that was cut off is closed by comparing the aliases with what served before it and what it wanted to serve.

use std::collections::BTreeMap;
use std::time::Duration;

use super::EnvironmentStack;
use super::destroy::has_resources;
use crate::failure::{Failure, FailureKind, Result};
use crate::ledger::{self, DeploymentKind, DeploymentOutcome, Ended, Hold, Serving, Started};
use crate::name::FunctionName;

/// Returns the newest ended deployment, after closing one that was cut off. Refuses (exit code 7) while another one runs.
pub(crate) async fn settle(stack: &EnvironmentStack) -> Result<Option<Ended>> {
    let deadline = stack.clock.monotonic() + stack.plan.lock_timeout;
    let mut step = None;
    loop {
        let head = stack.ledger.head().await?;
        let Some(open) = head.open else {
            return Ok(head.last);
        };
        if !ledger::is_alive(&open, &stack.holder, &stack.ledger.lease(), stack.clock.as_ref()).await? {
            return close_cut_off(stack, &open, head.last.as_ref()).await.map(Some);
        }
        if stack.clock.monotonic() >= deadline {
            return Err(ledger::lock_held(stack.name(), stack.environment(), &open));
        }
        step.get_or_insert_with(|| {
            stack.progress.slow_step("wait", format!("for deployment {} by {}", open.deployment, open.by))
        });
        stack.interrupt.check()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Closes a deployment that was cut off, and reports it.
pub(crate) async fn close_cut_off(
    stack: &EnvironmentStack,
    open: &Started,
    last: Option<&Ended>,
) -> Result<Ended> {
    let mut ended = ended_as_observed(stack, open, last, DeploymentOutcome::Interrupted).await?;
    ended.why = Some("it was cut off and closed by a later command".into());
    let served: Vec<String> =
        ended.serves.iter().map(|(function, serving)| format!("{function} {}", serving.release)).collect();
    let served = if served.is_empty() { "nothing".to_owned() } else { crate::format::list(served) };
    match stack.ledger.end(&ended).await {
        Ok(()) => {}
        // Two commands may close the same deployment: the first one's entry counts.
        Err(failure) if failure.kind() == FailureKind::LockHeld => {
            return stack.ledger.deployment(open.deployment).await?.ok_or(failure);
        }
        Err(failure) => return Err(failure),
    }
    stack.progress.note(format!(
        "ledger    deployment {} ({}) was cut off; it is closed: {} serves {served}",
        open.deployment,
        open.describe(),
        stack.environment()
    ));
    Ok(ended)
}

/// Closes a deployment that failed, with what is served now.
pub(super) async fn end_in_failure(
    stack: &EnvironmentStack,
    started: &Started,
    last: Option<&Ended>,
    failure: &Failure,
) -> Result<()> {
    let outcome = match failure.kind() {
        FailureKind::VerificationFailed => DeploymentOutcome::VerificationFailed,
        FailureKind::Interrupted => DeploymentOutcome::Interrupted,
        _ => DeploymentOutcome::Failed,
    };
    let mut ended = ended_as_observed(stack, started, last, outcome).await?;
    ended.why = Some(failure.message().to_owned());
    stack.ledger.end(&ended).await
}

/// Returns the end of an unsuccessful deployment, with what is served now and the holds that follow from it.
pub(super) async fn ended_as_observed(
    stack: &EnvironmentStack,
    started: &Started,
    last: Option<&Ended>,
    outcome: DeploymentOutcome,
) -> Result<Ended> {
    let mut ended = Ended::of(started, last, outcome, stack.clock.now());
    ended.serves = serving_now(stack, started).await?;
    if started.kind == DeploymentKind::Destroy {
        ended.serves = still_existing(stack, ended.serves).await?;
        if !has_resources(stack).await? {
            ended.mark_destroyed();
        }
    }
    for (function, serving) in &ended.serves {
        let Some(left) = started.serves.get(function).filter(|before| before.release != serving.release)
        else {
            continue;
        };
        // A release that serves is not on hold. The release that a rollback left stays on hold even if the rollback stopped.
        ended.holds.retain(|hold| hold.function != *function || hold.release != serving.release);
        if started.kind == DeploymentKind::Rollback {
            ended.holds.push(Hold {
                function: function.clone(),
                release: left.release.clone(),
                deployment: started.deployment,
            });
        }
    }
    Ok(ended)
}

/// Returns what still exists after a destruction that was cut off.
async fn still_existing(
    stack: &EnvironmentStack,
    mut serves: BTreeMap<FunctionName, Serving>,
) -> Result<BTreeMap<FunctionName, Serving>> {
    for (function, serving) in serves.clone() {
        if stack.functions.alias(&serving.function_name, &serving.alias).await?.is_none() {
            serves.remove(&function);
        }
    }
    Ok(serves)
}

/// Returns what is served, by comparing each alias with both sides of a deployment.
async fn serving_now(stack: &EnvironmentStack, started: &Started) -> Result<BTreeMap<FunctionName, Serving>> {
    let mut serves = started.serves.clone();
    for (function, serving) in &mut serves {
        let Some(alias) = stack.functions.alias(&serving.function_name, &serving.alias).await? else {
            continue;
        };
        let Some(choice) = started.will.get(function).filter(|_| alias.version != serving.lambda_version)
        else {
            continue;
        };
        let Some(published) = stack.functions.published(&serving.function_name, &alias.version).await? else {
            continue;
        };
        // If neither side fits, the alias was moved by hand: the ledger keeps its record, and status shows the difference.
        if published.code_sha256 == choice.code_sha256 {
            let moves_forward = choice.lambda_version.is_none();
            *serving = Serving {
                release: choice.release.clone(),
                digest: choice.digest,
                commit: choice.commit.clone(),
                code_sha256: choice.code_sha256.clone(),
                lambda_version: alias.version.clone(),
                newest_version: if moves_forward { alias.version } else { serving.newest_version.clone() },
                config_digest: published.digest(),
                verified: true,
                since: started.deployment,
                since_at: started.at,
                ..serving.clone()
            };
        }
    }
    Ok(serves)
}

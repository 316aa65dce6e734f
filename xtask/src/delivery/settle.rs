//! Settles the ledger before anything new begins: a deployment without an end is still running, or is closed.
//!
//! A deployment that was cut off is closed by comparing the aliases with what served before it and what it wanted to serve.

use std::time::Duration;

use super::EnvironmentStack;
use super::destroy::has_resources;
use super::known_state;
use super::observe::{self, Observed};
use crate::failure::{Failure, FailureKind, Result};
use crate::ledger::{self, DeploymentKind, DeploymentOutcome, Ended, Head, Hold, HolderState, Started};
use crate::verification::Verification;

/// The end of an attempt that may be lost to another run between its plan and its deployment.
#[derive(Debug)]
pub(super) enum Attempt<T> {
    /// It was made.
    Made(T),
    /// Another run came first. What was planned is stale, and nothing was done.
    Lost(Failure),
}

impl<T> Attempt<T> {
    /// Returns what a failure means for an attempt: one that lost the deploy lock or its plan can be made again.
    pub(super) fn lost(failure: Failure) -> Result<Self> {
        match failure.kind() {
            FailureKind::LockHeld | FailureKind::PlanStale => Ok(Self::Lost(failure)),
            _ => Err(failure),
        }
    }

    /// Returns what was made; `None` if the attempt was lost and there is time to make it again.
    pub(super) fn made(self, stack: &EnvironmentStack, deadline: Duration) -> Result<Option<T>> {
        match self {
            Self::Made(made) => Ok(Some(made)),
            Self::Lost(failure) if stack.clock.monotonic() >= deadline => Err(failure),
            Self::Lost(failure) => {
                stack.progress.note(format!("          {}: planning again", failure.message()));
                Ok(None)
            }
        }
    }
}

/// Returns the moment until which a command that begins now waits for locks (`--lock-timeout`), by the monotonic clock.
pub(super) fn deadline(stack: &EnvironmentStack) -> Duration {
    stack.clock.monotonic() + stack.plan.lock_timeout
}

/// Closes what is open, as every command does first.
#[cfg(test)]
pub(crate) async fn settle(stack: &EnvironmentStack) -> Result<Option<Ended>> {
    settle_until(stack, deadline(stack)).await
}

/// Returns the newest ended deployment, after closing one that was cut off. Waits for one that runs until a moment by the
/// monotonic clock, and then refuses (exit code 7).
pub(super) async fn settle_until(stack: &EnvironmentStack, deadline: Duration) -> Result<Option<Ended>> {
    match await_other(stack, deadline).await? {
        (Head { open: None, last, .. }, _) => Ok(last),
        (Head { open: Some(open), last, .. }, HolderState::Gone) => {
            close_cut_off(stack, &open, last.as_ref()).await.map(Some)
        }
        (Head { open: Some(open), .. }, _) => {
            Err(ledger::lock_held(stack.name(), stack.environment(), &open))
        }
    }
}

/// Reads the ledger, and waits while another deployment runs, until a moment by the monotonic clock.
pub(super) async fn await_other(stack: &EnvironmentStack, deadline: Duration) -> Result<(Head, HolderState)> {
    let mut step = None;
    loop {
        let head = stack.ledger.head().await?;
        if step.is_none() {
            let ignored = head.ignored.iter().map(|key| stack.ledger.ignored_text(key));
            ignored.for_each(|text| stack.progress.note(format!("ledger    {text}")));
        }
        let Some(open) = &head.open else { return Ok((head, HolderState::Gone)) };
        let state = stack.ledger.holder_state(open, &stack.holder).await?;
        if !state.is_alive() || stack.clock.monotonic() >= deadline {
            return Ok((head, state));
        }
        step.get_or_insert_with(|| {
            stack.progress.slow_step("wait", format!("for deployment {} by {}", open.deployment, open.by))
        });
        stack.interrupt.check()?;
        tokio::time::sleep(WAIT).await;
    }
}

/// How long a run waits before it looks again whether another one has ended.
const WAIT: Duration = if cfg!(test) { Duration::from_millis(5) } else { Duration::from_secs(1) };

/// Closes a deployment that was cut off, and reports it.
pub(crate) async fn close_cut_off(
    stack: &EnvironmentStack,
    open: &Started,
    last: Option<&Ended>,
) -> Result<Ended> {
    // What its process verified died with it: only what the ledger knows by now counts as verified.
    let (mut ended, _) = ended_as_observed(stack, open, last, DeploymentOutcome::Interrupted, &[]).await?;
    ended.why = Some("it was cut off and closed by a later command".into());
    match stack.ledger.end(&ended).await {
        Ok(()) => {}
        // Two commands may close the same deployment: the first one's entry counts.
        Err(failure) if failure.kind() == FailureKind::LockHeld => {
            return stack.ledger.deployment(open.deployment).await?.ok_or(failure);
        }
        Err(failure) => return Err(failure),
    }
    stack.progress.note(format!(
        "ledger    deployment {} ({}) was cut off; it is closed: {} {}",
        open.deployment,
        open.describe(),
        stack.environment(),
        ledger::serves_text(&ended.serves)
    ));
    Ok(ended)
}

/// Closes a deployment that failed, with what is served now; `verifications` are those of its run. Returns its entry and what was
/// read.
pub(super) async fn end_in_failure(
    stack: &EnvironmentStack,
    started: &Started,
    last: Option<&Ended>,
    failure: &Failure,
    verifications: &[Verification],
) -> Result<(Ended, Observed)> {
    let outcome = match failure.kind() {
        FailureKind::VerificationFailed => DeploymentOutcome::VerificationFailed,
        FailureKind::Interrupted => DeploymentOutcome::Interrupted,
        _ => DeploymentOutcome::Failed,
    };
    let (mut ended, observed) = ended_as_observed(stack, started, last, outcome, verifications).await?;
    ended.why = Some(failure.message().to_owned());
    stack.ledger.end(&ended).await?;
    Ok((ended, observed))
}

/// Returns the failure of a deployment that did all that it had to, and whose end could not be recorded.
pub(super) fn not_recorded(stack: &EnvironmentStack, ended: &Ended, failure: Failure) -> Failure {
    if failure.kind() == FailureKind::LockHeld {
        return failure;
    }
    let (environment, number) = (stack.environment(), ended.deployment);
    failure
        .unchanged(format!(
            "{environment} {}; only the end of deployment {number} could not be recorded.",
            ledger::serves_text(&ended.serves)
        ))
        .hint(
            "run the same command again: it reads what serves, closes the deployment, and does nothing twice",
        )
}

/// Returns the failure of a deployment that failed and whose end could not be recorded. The ledger stays open: the next command compares the
/// aliases with both sides and closes it.
pub(super) fn left_open(stack: &EnvironmentStack, failure: Failure, second: &Failure) -> Failure {
    failure
        .unchanged(format!(
            "Where the aliases point could not be read or recorded: see cargo xtask status --env {}.",
            stack.environment()
        ))
        .detail("also failed", second.message().to_owned())
}

/// Returns the end of an unsuccessful deployment, with what is served now and the holds that follow from it.
pub(super) async fn ended_as_observed(
    stack: &EnvironmentStack,
    started: &Started,
    last: Option<&Ended>,
    outcome: DeploymentOutcome,
    verifications: &[Verification],
) -> Result<(Ended, Observed)> {
    let mut ended = Ended::of(started, last, outcome, stack.clock.now());
    let observed = observe::serving_now(stack, started, verifications).await?;
    ended.serves = observed.serves.clone();
    ended.state = known_state::after(stack, last).await;
    if started.kind == DeploymentKind::Destroy && !has_resources(stack).await? {
        ended.mark_destroyed();
    }
    // Terraform did not get as far as to agree: what an earlier rollback left undone is still to be done.
    let unapplied = matches!(outcome, DeploymentOutcome::Failed | DeploymentOutcome::Interrupted);
    let is_rollback = started.kind == DeploymentKind::Rollback;
    if let Some(last) = last.filter(|_| unapplied && !is_rollback) {
        let back = last.brought_back().into_iter();
        ended.rolled_back_before = back
            .filter(|(function, wanted)| {
                let serving = ended.serves.get(*function);
                serving.map(|serving| &serving.lambda_version) == wanted.lambda_version.as_ref()
            })
            .map(|(function, wanted)| (function.clone(), wanted.clone()))
            .collect();
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
    Ok((ended, observed))
}

//! Settling: before anything new begins, a deployment without an end is told to be under way, or is closed.
//!
//! A deployment in doubt is closed by comparing the aliases with both of its sides: what was served, what would be.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Site, holds_resources};
use crate::failure::{Failure, Kind as FailureKind, Outcome};
use crate::ledger::{self, Ended, Hold, Kind, OutcomeWord, Serving, Started};
use crate::name::{Digest, FunctionName};

/// Returns the newest ended deployment, after closing one that is in doubt; refuses while somebody else deploys.
pub(crate) async fn settle(site: &Site) -> Outcome<Option<Ended>> {
    let deadline = Instant::now() + site.lock_timeout;
    let mut step = None;
    loop {
        let head = site.ledger.head().await?;
        let Some(open) = head.open else {
            return Ok(head.last);
        };
        if !ledger::is_alive(&open, &site.holder, &site.ledger.lease()).await? {
            return close_doubt(site, &open, head.last.as_ref()).await.map(Some);
        }
        if Instant::now() >= deadline {
            return Err(ledger::held(&site.stack, &site.environment, &open));
        }
        step.get_or_insert_with(|| {
            site.progress.slow_step("wait", format!("for deployment {} by {}", open.deployment, open.by))
        });
        site.interrupt.check()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Closes a deployment that was cut off, and says so.
pub(crate) async fn close_doubt(site: &Site, open: &Started, last: Option<&Ended>) -> Outcome<Ended> {
    let mut ended = as_it_is(site, open, last, OutcomeWord::Interrupted).await?;
    ended.why = Some("it was cut off and closed by a later command".into());
    let served: Vec<String> =
        ended.serves.iter().map(|(function, serving)| format!("{function} {}", serving.release)).collect();
    let served = if served.is_empty() { "nothing".to_owned() } else { crate::words::list(served) };
    match site.ledger.end(&ended).await {
        Ok(()) => {}
        // Two commands may close the same one: the other's word stands.
        Err(failure) if failure.kind() == FailureKind::LockHeld => {
            return site.ledger.deployment(open.deployment).await?.ok_or(failure);
        }
        Err(failure) => return Err(failure),
    }
    site.progress.note(format!(
        "ledger    deployment {} ({}) was cut off; it is closed: {} serves {served}",
        open.deployment,
        open.describe(),
        site.environment
    ));
    Ok(ended)
}

/// Closes a deployment that failed, with what is served now.
pub(super) async fn ended_in_failure(
    site: &Site,
    started: &Started,
    last: Option<&Ended>,
    failure: &Failure,
) -> Outcome<()> {
    let outcome = match failure.kind() {
        FailureKind::VerificationFailed => OutcomeWord::VerificationFailed,
        FailureKind::Interrupted => OutcomeWord::Interrupted,
        _ => OutcomeWord::Failed,
    };
    let mut ended = as_it_is(site, started, last, outcome).await?;
    ended.why = Some(failure.message().to_owned());
    site.ledger.end(&ended).await
}

/// Makes the end of a deployment that did not come to its own: with what is served, and the holds that follow from it.
pub(super) async fn as_it_is(
    site: &Site,
    started: &Started,
    last: Option<&Ended>,
    outcome: OutcomeWord,
) -> Outcome<Ended> {
    let mut ended = Ended::of(started, last, outcome, site.clock.now());
    ended.serves = serves_now(site, started).await?;
    if started.kind == Kind::Destroy {
        ended.serves = still_there(site, ended.serves).await?;
        if !holds_resources(site).await? {
            ended.was_destroyed();
        }
    }
    for (function, serving) in &ended.serves {
        let Some(left) = started.serves.get(function).filter(|before| before.release != serving.release)
        else {
            continue;
        };
        // What serves was let back, whoever is asked now; what a rollback left stays away, even if it came no further.
        ended.holds.retain(|hold| hold.function != *function || hold.release != serving.release);
        if started.kind == Kind::Rollback {
            ended.holds.push(Hold {
                function: function.clone(),
                release: left.release.clone(),
                deployment: started.deployment,
            });
        }
    }
    Ok(ended)
}

/// Keeps what a destruction that was cut off left standing.
async fn still_there(
    site: &Site,
    mut serves: BTreeMap<FunctionName, Serving>,
) -> Outcome<BTreeMap<FunctionName, Serving>> {
    for (function, serving) in serves.clone() {
        if site.functions.alias(&serving.function_name, &serving.alias).await?.is_none() {
            serves.remove(&function);
        }
    }
    Ok(serves)
}

/// Finds out what is served, by comparing each alias with both sides of a deployment.
async fn serves_now(site: &Site, started: &Started) -> Outcome<BTreeMap<FunctionName, Serving>> {
    let mut serves = started.serves.clone();
    for (function, serving) in &mut serves {
        let Some(alias) = site.functions.alias(&serving.function_name, &serving.alias).await? else {
            continue;
        };
        let Some(choice) = started.will.get(function).filter(|_| alias.version != serving.lambda_version)
        else {
            continue;
        };
        let Some(published) = site.functions.published(&serving.function_name, &alias.version).await? else {
            continue;
        };
        // Where neither side fits, somebody moved the alias by hand: the ledger keeps its word, status shows the difference.
        if published.code_sha256 == choice.code_sha256 {
            let moves_forward = choice.lambda_version.is_none();
            *serving = Serving {
                release: choice.release.clone(),
                digest: choice.digest,
                commit: choice.commit.clone(),
                code_sha256: choice.code_sha256.clone(),
                lambda_version: alias.version.clone(),
                newest_version: if moves_forward { alias.version } else { serving.newest_version.clone() },
                config_digest: Digest::from_bytes(published.digest()),
                verified: true,
                since: started.deployment,
                since_at: started.at,
                ..serving.clone()
            };
        }
    }
    Ok(serves)
}

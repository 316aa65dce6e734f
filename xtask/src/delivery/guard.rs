//! Refuses a request before anything is planned: a hold, uncommitted files, a version that means something else by now.
//!
//! In: a stack, the request and the last deployment. Errors: refusals (exit code 6); the ledger cannot be read.

use super::{DeployRequest, EnvironmentStack, nothing_changed, observe, refuse_other_route};
use crate::failure::{Failure, Result};
use crate::ledger::{self, Ended};
use crate::name::FunctionName;
use crate::release::Manifest;
use crate::source::{Uncommitted, refuse_uncommitted};

/// Refuses a request that the environment does not allow, before anything is planned.
pub(super) fn refuse(stack: &EnvironmentStack, request: &DeployRequest, last: Option<&Ended>) -> Result<()> {
    let environment = stack.environment();
    refuse_other_route(environment, &stack.environment_settings, &request.intent.route)?;
    for (function, manifest) in &request.releases {
        let version = &manifest.version;
        if let Some(hold) =
            last.and_then(|last| last.hold_on(function, version)).filter(|_| !request.lift_hold)
        {
            return Err(Failure::refused(format!(
                "`{function}` {version} is on hold in {environment} since rollback {}",
                hold.deployment
            ))
            .unchanged("Nothing was changed.")
            .hint("release a repaired version, or deploy this one again with --lift-hold"));
        }
        if let Some(serving) = last.and_then(|last| last.serves.get(function))
            && serving.release == *version
        {
            stack.check_recorded(manifest, serving.digest).map_err(nothing_changed)?;
        }
        let uncommitted = manifest.source.dirty.then_some(Uncommitted::Release(function, version));
        refuse_uncommitted(environment, &stack.environment_settings, uncommitted)?;
    }
    stack.refuse_uncommitted()
}

/// Refuses a release that was deployed to this environment once with another digest: a version never means two things.
pub(super) async fn refuse_second_digest(
    stack: &EnvironmentStack,
    request: &DeployRequest,
    last: Option<&Ended>,
) -> Result<()> {
    let Some(last) = last else { return Ok(()) };
    let serves = |function: &FunctionName, manifest: &Manifest| {
        last.serves.get(function).is_some_and(|serving| serving.release == manifest.version)
    };
    let mut changed = request.releases.iter().filter(|(function, manifest)| !serves(function, manifest));
    if changed.clone().next().is_none() {
        return Ok(());
    }
    let known = ledger::known_releases(&stack.ledger.history(observe::HISTORY).await?);
    changed.try_for_each(|(function, manifest)| {
        let known = known.get(&(function.clone(), manifest.version.clone()));
        let Some(known) = known else { return Ok(()) };
        match known.digests.first() {
            Some(newest) if !known.digests.contains(&manifest.digest()?) => {
                stack.check_recorded(manifest, *newest)
            }
            _ => Ok(()),
        }
    })
}

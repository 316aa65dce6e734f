//! Decides whether a plan can be skipped: in unprotected environments, if everything that it depends on is unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::EnvironmentStack;
use crate::digest::Digest;
use crate::failure::{self, Result};
use crate::ledger::Ended;
use crate::name::FunctionName;
use crate::plan::StateVersion;
use crate::plan::{self, Configuration, FRESH_HOURS};
use crate::release::Manifest;

/// The present state of everything that a plan depends on.
pub(super) struct Current {
    /// The digest of it all; `None` if a plan may change by itself.
    pub(super) plan_inputs: Option<Digest>,
    /// The state's version.
    pub(super) state: Option<StateVersion>,
}

/// A plan on this machine that had no changes.
#[derive(Serialize, Deserialize)]
struct FoundEmpty {
    plan_inputs: Digest,
    at: jiff::Timestamp,
}

impl Current {
    /// Reads the present state.
    pub(super) async fn read(stack: &EnvironmentStack, configuration: &Configuration) -> Result<Self> {
        let (state, identity) = futures::try_join!(
            plan::read_state(stack.store.as_ref(), stack.name()),
            stack.infrastructure.identity(configuration)
        )?;
        let state = state.map(|(mark, _)| mark);
        Ok(Self { plan_inputs: plan::fingerprint(configuration, &identity, state.as_ref())?, state })
    }

    /// Records that a plan of this state had no changes.
    pub(super) fn remember(&self, stack: &EnvironmentStack) -> Result<()> {
        let Some(plan_inputs) = self.plan_inputs else {
            return Ok(());
        };
        let path = stack.plan.work.join("found-empty.json");
        let found = FoundEmpty { plan_inputs, at: stack.clock.now() };
        let bytes = serde_json::to_vec(&found).map_err(|error| {
            failure::Failure::defect("found-empty.json cannot be written as JSON").caused_by(error)
        })?;
        std::fs::write(&path, bytes).map_err(|error| failure::io("write", &path, error))
    }
}

/// Tells whether nothing can have changed since the last verified deployment of exactly these releases.
pub(super) async fn may_skip(
    stack: &EnvironmentStack,
    current: &Current,
    last: Option<&Ended>,
    releases: &BTreeMap<FunctionName, Manifest>,
) -> Result<bool> {
    let (Some(last), Some(plan_inputs)) = (last, current.plan_inputs) else {
        return Ok(false);
    };
    if stack.environment_settings.protected || !last.outcome.is_settled() {
        return Ok(false);
    }
    let fresh = |at: jiff::Timestamp| {
        stack.clock.now().as_second().saturating_sub(at.as_second()) < FRESH_HOURS * 3_600
    };
    let by_ledger = last.plan_inputs == Some(plan_inputs) && fresh(last.at);
    let by_local_record = || {
        let found: Option<FoundEmpty> = std::fs::read(stack.plan.work.join("found-empty.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        found.is_some_and(|found| found.plan_inputs == plan_inputs && fresh(found.at))
    };
    if !by_ledger && !by_local_record() {
        return Ok(false);
    }
    for (function, manifest) in releases {
        let digest = manifest.digest()?;
        if !last.serves.get(function).is_some_and(|serving| {
            serving.verified && serving.release == manifest.version && serving.digest == digest
        }) {
            return Ok(false);
        }
    }
    matches_ledger(stack, last).await
}

/// Tells whether every alias and every serving configuration is as recorded in the ledger.
pub(super) async fn matches_ledger(stack: &EnvironmentStack, last: &Ended) -> Result<bool> {
    let comparisons = last.serves.values().map(|serving| async move {
        let (alias, published) = futures::try_join!(
            stack.functions.alias(&serving.function_name, &serving.alias),
            stack.functions.published(&serving.function_name, &serving.lambda_version)
        )?;
        Ok::<_, failure::Failure>(
            serving.matches(alias.as_ref())
                && published.is_some_and(|published| published.digest() == serving.config_digest),
        )
    });
    Ok(futures::future::try_join_all(comparisons).await?.into_iter().all(|agrees| agrees))
}

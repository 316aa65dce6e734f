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
use crate::ports::side_by_side;
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

/// By how many seconds the clocks of two machines may differ.
const CLOCK_SKEW: i64 = 300;

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

/// Returns whether nothing can have changed since the last verified deployment of exactly these releases.
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
    // The entry may be of another machine, whose clock is wrong: one from the future proves nothing.
    let fresh = |at: jiff::Timestamp| {
        let age = stack.clock.now().as_second().saturating_sub(at.as_second());
        (-CLOCK_SKEW..FRESH_HOURS * 3_600).contains(&age)
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

/// Returns whether every alias and every serving configuration is as recorded in the ledger.
///
/// Every alias is read. The configuration of its version is not where the alias has the RevisionId that the ledger recorded
/// with it: then the alias was neither moved nor made again since, so that the function is the same one, and a published version
/// never changes (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html>).
pub(super) async fn matches_ledger(stack: &EnvironmentStack, last: &Ended) -> Result<bool> {
    let comparisons = last.serves.values().map(async |serving| {
        let alias = stack.functions.alias(&serving.function_name, &serving.alias).await?;
        if !serving.matches(alias.as_ref()) {
            return Ok(false);
        }
        let revision = alias.and_then(|alias| alias.revision_id);
        if revision.is_some() && revision == serving.alias_revision {
            return Ok(true);
        }
        let published = stack.functions.published(&serving.function_name, &serving.lambda_version).await?;
        Ok(published.is_some_and(|published| {
            published.digest() == serving.config_digest && published.code_sha256 == serving.code_sha256
        }))
    });
    Ok(side_by_side(comparisons).await?.into_iter().all(|agrees| agrees))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::{Scene, deploy_request};
    use crate::delivery::{DeployRequest, deliver};
    use crate::ledger::DeploymentKind;

    /// Deploys what serves already; returns whether the plan was skipped, and how many rounds of calls and calls that took.
    async fn deploy_again(scene: &mut Scene) -> (bool, usize, u64) {
        let functions = scene.functions.clone();
        let newest = functions.iter().map(|function| (function.clone(), scene.newest_release(function)));
        let request = DeployRequest { kind: DeploymentKind::Release, ..deploy_request(newest.collect()) };
        let (stack, faults) = (scene.stack(true), scene.faults().clone());
        faults.arm(None);
        let (delivered, rounds) = faults.count_rounds(deliver(&stack, &request)).await;
        (delivered.unwrap().plan_skipped, rounds, faults.calls())
    }

    #[tokio::test]
    async fn rounds_do_not_grow_with_the_number_of_functions_and_each_alias_is_read() {
        let mut found = Vec::new();
        for functions in [3, 30] {
            let mut scene = Scene::new(false);
            scene.functions = (0..functions).map(|number| format!("f{number:03}").parse().unwrap()).collect();
            scene.deploy_new_releases().await;
            let (skipped, rounds, calls) = deploy_again(&mut scene).await;
            assert!(skipped);
            found.push((rounds, calls - functions));
        }
        assert_eq!(found[0], found[1], "rounds, and calls beside those of the aliases");
        assert!(found[0].0 <= 8, "{} rounds", found[0].0);
    }

    #[tokio::test]
    async fn alias_that_was_made_again_is_not_taken_for_the_recorded_one() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        assert!(deploy_again(&mut scene).await.0);
        // The function is deleted and made again by hand: the same names and numbers, and other code.
        let name = Scene::function_name(&scene.functions[0].clone());
        let mut version = scene.lambda.serving(&name).unwrap().1;
        version.code_sha256 = "by hand".into();
        scene.lambda.delete(&name);
        scene.lambda.publish(&name, version);
        scene.lambda.create_alias(&name);
        let last = scene.last_ended().await.unwrap();
        assert!(!matches_ledger(&scene.stack(true), &last).await.unwrap());
    }

    #[tokio::test]
    async fn entry_without_a_revision_is_compared_by_the_configuration() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        let stack = scene.stack(true);
        let mut last = stack.ledger.head().await.unwrap().last.unwrap();
        assert!(last.serves.values().all(|serving| serving.alias_revision.is_some()));
        for serving in last.serves.values_mut() {
            serving.alias_revision = None;
        }
        assert!(matches_ledger(&stack, &last).await.unwrap());
        for serving in last.serves.values_mut() {
            serving.config_digest = Digest::of("another");
        }
        assert!(!matches_ledger(&stack, &last).await.unwrap());
    }
}

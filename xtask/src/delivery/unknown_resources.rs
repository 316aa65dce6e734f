//! Resources that exist and that no state knows: a first apply that was cut off after it had created them, or whose last answer
//! was lost.
//!
//! In: a stack whose last deployment did not end well. Out: the resources that its plan would create and that exist, by address
//! and name, as the adoption of an account finds them. The plan is made again, from the same files and releases: it names what
//! the plan that was cut off named, on every machine, and nothing secret has to be kept. Errors: the ledger or the store cannot
//! be read. What cannot be planned or looked up is part of the result.

use super::destroy::releases;
use super::state_lock::StateLock;
use super::{EnvironmentStack, state_lock};
use crate::failure::{Failure, Result};
use crate::ledger::{DeploymentKind, Ended};
use crate::partition::Partition;
use crate::plan::{self, Configuration};
use crate::ports::{Resource, side_by_side};

/// Resources that a plan would create and that exist.
pub(super) struct UnknownResources {
    /// What they are imported with.
    configuration: Configuration,
    /// Address and import id.
    pub(super) resources: Vec<(String, String)>,
}

/// Result of looking for them.
pub(super) enum Search {
    /// There are none, or nothing suggests it.
    Nothing,
    /// These.
    Found(Box<UnknownResources>),
    /// They could not be looked for.
    NotLooked(String),
}

/// Returns whether the state may lack what exists: the last deployment may have created it, or the state was given up
/// (`--accept-state`).
pub(super) fn are_suspected(stack: &EnvironmentStack, last: Option<&Ended>) -> bool {
    last.is_some_and(|last| {
        let delivered = matches!(last.kind, DeploymentKind::Release | DeploymentKind::Deploy);
        stack.accept_state || !last.outcome.is_settled() && delivered
    })
}

/// Looks for them, after a deployment that did not end well.
pub(super) async fn search(stack: &EnvironmentStack) -> Result<Search> {
    let head = stack.ledger.head().await?;
    let Some(last) = head.last.filter(|last| head.open.is_none() && are_suspected(stack, Some(last))) else {
        return Ok(Search::Nothing);
    };
    if !StateLock::read(stack).await?.is_empty() {
        return Ok(Search::NotLooked("the state is locked".to_owned()));
    }
    Ok(match planned(stack, &last).await {
        Ok(found) if found.resources.is_empty() => Search::Nothing,
        Ok(found) => Search::Found(Box::new(found)),
        Err(failure) => Search::NotLooked(failure.message().to_owned()),
    })
}

async fn planned(stack: &EnvironmentStack, last: &Ended) -> Result<UnknownResources> {
    let lock = stack.lock_work().await?;
    let releases = releases(stack, Some(last)).await?;
    let inputs = stack.inputs(&stack.root).await?;
    let configuration = stack.configure(&lock, &stack.root, &releases, inputs)?;
    let planned = state_lock::plan(stack, &configuration).await?;
    let creates = planned.changes.iter().any(|change| change.action == plan::Action::Create);
    let resources = if creates {
        existing(stack, &stack.infrastructure.values(&configuration, &planned).await?).await?
    } else {
        Vec::new()
    };
    Ok(UnknownResources { configuration, resources })
}

/// Returns address and import id of what a plan would create and that exists.
async fn existing(stack: &EnvironmentStack, values: &serde_json::Value) -> Result<Vec<(String, String)>> {
    let backend = &stack.plan.backend;
    let candidates =
        plan::adoption_candidates(values, &backend.account, Partition::of_region(&backend.region));
    // An account has one provider for all projects: a stack does not take it over.
    let candidates =
        candidates.into_iter().filter(|found| !matches!(found.resource, Resource::OidcProvider(_)));
    let lookups = candidates.map(|candidate| async move {
        let id = stack.services.existing(&candidate.resource).await?;
        Ok::<_, Failure>(id.map(|id| (candidate.address, id)))
    });
    Ok(side_by_side(lookups).await?.into_iter().flatten().collect())
}

/// Refuses a plan that would create what exists, after a deployment that did not end well: its apply would fail on names that
/// are taken, or wait for a function that is there.
pub(super) async fn refuse(stack: &EnvironmentStack, values: &serde_json::Value) -> Result<()> {
    let found = match existing(stack, values).await {
        Ok(found) => found,
        Err(failure) => {
            let why = failure.message();
            stack
                .progress
                .note(format!("          ⚠ whether the plan would create what exists is not known: {why}"));
            return Ok(());
        }
    };
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "the plan of `{}` would create what exists and is not in its state, as after an apply that was cut off",
        stack.name()
    ))
    .body(text(&found))
    .unchanged("Nothing was applied.")
    .hint(format!(
        "cargo xtask recover --env {}{} shows the list and imports it; what does not belong to this stack needs another name",
        stack.environment(),
        if stack.accept_state { " --accept-state" } else { "" }
    )))
}

/// Returns a line for each resource.
pub(super) fn text(resources: &[(String, String)]) -> String {
    resources.iter().map(|(address, id)| format!("{address}: {id}")).collect::<Vec<_>>().join("\n")
}

impl UnknownResources {
    /// Imports them into the state.
    pub(super) async fn import(&self, stack: &EnvironmentStack) -> Result<String> {
        for (address, id) in &self.resources {
            stack.interrupt.check()?;
            stack.infrastructure.import(&self.configuration, address, id).await?;
        }
        Ok(format!("imported {}", crate::format::plural(self.resources.len(), "resource")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::Scene;
    use crate::delivery::{RecoverRequest, recover};
    use crate::failure::FailureKind;
    use crate::fakes::StackFlaw;

    /// Returns a scene whose functions exist, are not in the state, and whose last deployment was cut off.
    async fn cut_off_scene() -> Scene {
        let mut scene = Scene::adopted(false);
        for function in scene.functions.clone() {
            scene.release_of(&function, None);
        }
        let dead = scene.stack(true);
        let started = dead.started(DeploymentKind::Release, None, Default::default());
        dead.ledger.begin(&started).await.unwrap();
        scene.write_flaw(StackFlaw::ForgotFunctions);
        scene
    }

    #[tokio::test]
    async fn deployment_after_one_that_was_cut_off_refuses_to_create_what_exists() {
        let mut scene = cut_off_scene().await;
        let failure = scene.deploy_all().await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        let report = failure.report();
        assert!(report.message.contains("would create what exists and is not in its state"), "{report:?}");
        let body = report.body.unwrap();
        assert!(body.contains("module.a.aws_lambda_function.this: shop-333333333333-dev-a"), "{body}");
        assert!(report.hint.unwrap().contains("cargo xtask recover --env dev"));
    }

    #[tokio::test]
    async fn what_exists_and_is_not_in_the_state_is_shown_and_imported() {
        for approved in [false, true] {
            let mut scene = cut_off_scene().await;
            let before = scene.state.objects("s.tfstate");
            let recovered = recover(&scene.stack(approved), &RecoverRequest::default()).await.unwrap();
            let left = &recovered.leftovers[1.min(recovered.leftovers.len() - 1)];
            if !approved {
                assert_eq!(scene.state.objects("s.tfstate"), before, "nothing was imported unasked");
                continue;
            }
            assert!(left.found.contains("module.b.aws_lambda_function.this: shop-333333333333-dev-b"));
            assert_eq!(left.done, "imported 2 resources");
            let state = String::from_utf8(scene.state.objects("s.tfstate")["s.tfstate"].clone()).unwrap();
            assert!(state.contains("imported as shop-333333333333-dev-a"), "{state}");
        }
    }

    #[tokio::test]
    async fn nothing_is_planned_after_a_deployment_that_ended_well_and_a_locked_state_is_said() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        assert!(matches!(search(&scene.stack(true)).await.unwrap(), Search::Nothing));
        let mut scene = cut_off_scene().await;
        scene.state.set("s.tfstate.tflock", "");
        let recovered = recover(&scene.stack(true), &RecoverRequest::default()).await.unwrap();
        let last = recovered.leftovers.last().unwrap();
        assert!(last.found.contains("was not looked for: the state is locked"), "{last:?}");
    }
}

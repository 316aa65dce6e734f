//! Checks a stack against its contract (docs/terraform.md): in the plan before anything is applied, in the outputs before
//! anything is verified, and in the aliases after the apply.
//!
//! In: a stack, its plan, the functions that are about to serve. Errors: a refusal; after an apply that moved an alias, the
//! alias is back where it was.

use std::collections::BTreeMap;

use super::EnvironmentStack;
use super::observe::{self, ObservedAlias};
use super::unknown_resources;
use crate::failure::{Failure, Result};
use crate::format;
use crate::ledger::{Ended, Started};
use crate::name::FunctionName;
use crate::plan::{
    self, Applied, Configuration, ContractFunction, ContractFunctions, FunctionOutput, Places, Planned,
};
use crate::ports::Alias;
use crate::release::Manifest;
use crate::rollout::{self, Evidence};
use crate::settings::PackageType;

/// Refuses a plan that removes what is about to serve, or that does not keep the contract. Returns the names in Lambda and the
/// aliases of the functions, as far as they are known.
///
/// Reading a plan's values starts the provider again. So they are read only where the plan changes an alias, and where the
/// stack's files are not `known`: those of the last verified deployment, which kept the contract.
pub(super) async fn check_plan(
    stack: &EnvironmentStack,
    configuration: &Configuration,
    planned: &Planned,
    releases: &BTreeMap<FunctionName, Manifest>,
    last: Option<&Ended>,
    known: bool,
) -> Result<Places> {
    async {
        if planned.is_empty() {
            return Ok(Places::new());
        }
        let state = plan::read_state(stack.store.as_ref(), stack.name()).await?;
        let functions = functions(stack, releases, last).await?;
        let state = state.map(|(_, state)| state).unwrap_or_default();
        plan::refuse_removal_of_serving(stack.name(), &functions, planned, &state)?;
        // A plan that was cut off may have created what this one creates.
        let suspected = unknown_resources::are_suspected(stack, last)
            && planned.changes.iter().any(|change| change.action == plan::Action::Create);
        let reads_values =
            !known || suspected || plan::changes_alias(planned) || plan::creates_function(planned);
        if functions.is_empty() && suspected {
            let values = stack.infrastructure.values(configuration, planned).await?;
            unknown_resources::refuse(stack, &values).await?;
        }
        if !functions.is_empty() && reads_values {
            let values = stack.infrastructure.values(configuration, planned).await?;
            let places = plan::check_contract(stack.name(), &functions, &values)?;
            if suspected {
                unknown_resources::refuse(stack, &values).await?;
            }
            refuse_existing(stack, &values).await?;
            return Ok(places);
        }
        let serving = functions.into_iter().filter_map(|(name, function)| Some((name, function.serving?)));
        Ok(serving.collect())
    }
    .await
}

/// Refuses a plan that creates a function that exists: its apply would create everything else beside what there is, and
/// then fail.
async fn refuse_existing(stack: &EnvironmentStack, values: &serde_json::Value) -> Result<()> {
    let created = plan::created_functions(values).into_iter().map(|(address, name)| async move {
        let found = stack.functions.published(&name, plan::UNPUBLISHED).await?;
        Ok::<_, Failure>(found.map(|_| (address, name)))
    });
    let found = futures::future::try_join_all(created).await?;
    match found.into_iter().flatten().next() {
        Some((address, name)) => Err(plan::exists_already(stack.name(), &address, &name)),
        None => Ok(()),
    }
}

/// Returns the functions that are about to serve, with the names that the ledger or the state knows.
async fn functions(
    stack: &EnvironmentStack,
    releases: &BTreeMap<FunctionName, Manifest>,
    last: Option<&Ended>,
) -> Result<ContractFunctions> {
    let served = |function: &FunctionName| {
        let serving = last.and_then(|last| last.serves.get(function));
        serving.map(|serving| (serving.function_name.clone(), serving.alias.clone()))
    };
    let outputs = if releases.keys().all(|function| served(function).is_some()) {
        BTreeMap::new()
    } else {
        observe::outputs_in_state(stack).await?
    };
    let in_state = |function: &FunctionName| {
        let output: &FunctionOutput = outputs.get(function)?;
        Some((output.function_name.clone(), output.alias.clone()))
    };
    Ok(releases
        .iter()
        .map(|(function, manifest)| {
            let package_type = match manifest.package {
                PackageType::Zip => "Zip",
                PackageType::Image => "Image",
            };
            let serving = served(function).or_else(|| in_state(function));
            (function.clone(), ContractFunction { package_type, serving })
        })
        .collect())
}

/// Returns the output of each function that the stack runs, from what was applied. Where the output is sensitive,
/// Terraform's stream leaves it out, and it is read from the state.
pub(super) async fn outputs_of(
    stack: &EnvironmentStack,
    applied: &mut Applied,
    releases: &BTreeMap<FunctionName, Manifest>,
) -> Result<BTreeMap<FunctionName, FunctionOutput>> {
    let hidden = |output: &plan::Output| output.sensitive && output.value.is_null();
    if applied.outputs.get("functions").is_some_and(hidden) {
        let in_state = plan::read_outputs(stack.store.as_ref(), stack.name()).await?.unwrap_or_default();
        applied.outputs.extend(in_state.outputs.into_iter().filter(|(name, _)| name == "functions"));
    }
    let mut outputs = applied.functions()?;
    if let Some(missing) = releases.keys().find(|function| !outputs.contains_key(function)) {
        return Err(Failure::failed(format!(
            "the stack `{}` runs `{missing}`, but its output `functions` does not contain it",
            stack.name()
        ))
        .hint(plan::output_hint()));
    }
    outputs.retain(|function, _| releases.contains_key(function));
    if let Some((function, _)) = outputs.iter().find(|(_, output)| output.version == plan::UNPUBLISHED) {
        return Err(plan::unpublished(stack.name(), function));
    }
    Ok(outputs)
}

/// The aliases as they were read before an apply, so that one which the apply moves can be moved back.
pub(super) struct AliasesBefore(BTreeMap<FunctionName, ObservedAlias>);

impl AliasesBefore {
    /// Reads the aliases of the functions that a plan or the ledger names.
    pub(super) async fn read(stack: &EnvironmentStack, started: &Started, places: &Places) -> Result<Self> {
        let serves = started.serves.iter().map(|(function, serving)| {
            (function.clone(), (serving.function_name.clone(), serving.alias.clone()))
        });
        let places: Places = serves.chain(places.clone()).collect();
        observe::read_aliases(stack, places.into_iter()).await.map(Self)
    }

    /// Moves back the aliases that an apply moved to a version which it published, and refuses the deployment.
    ///
    /// A plan shows most of such moves, but not those of a script or of another provider. An alias that somebody moved to an
    /// older version meanwhile is left where it is.
    pub(super) async fn refuse_moved(&self, stack: &EnvironmentStack, started: &Started) -> Result<()> {
        let places = self
            .0
            .iter()
            .map(|(function, was)| (function.clone(), (was.function_name.clone(), was.alias.clone())));
        let mut now = observe::read_aliases(stack, places).await?;
        let mut moved = Vec::new();
        for (function, was) in &self.0 {
            let Some(alias) = was.found.as_ref().filter(|alias| alias.weights.is_empty()) else { continue };
            let newest = started.serves.get(function).map(|serving| serving.newest_version.as_str());
            let known = number(&alias.version).max(newest.and_then(number));
            let is_new = |now: &Alias| {
                std::iter::once(&now.version).chain(now.weights.keys()).any(|version| number(version) > known)
            };
            let now = now.remove(function).and_then(|now| now.found);
            let Some(now) = now.filter(is_new) else { continue };
            let step =
                stack.progress.step("rollout", format!("{function} {} -> {}", was.alias, alias.version));
            let evidence = Evidence::ServedUntilNow { function_name: &was.function_name, alias };
            let back =
                rollout::point(&stack.functions, &was.function_name, &was.alias, &alias.version, evidence);
            match back.await {
                Ok(_) => step.done("moved back"),
                Err(failure) => {
                    step.failed("failed");
                    return Err(failure);
                }
            }
            moved.push(format!(
                "the alias `{}` of `{function}` from version {} to {}",
                was.alias,
                alias.version,
                now.points_to()
            ));
        }
        if moved.is_empty() {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "the apply moved {}, before anything was verified; Slipway moved it back",
            format::list(&moved)
        ))
        .hint(plan::ignore_hint()))
    }

    /// Returns what an apply returned, unless it moved an alias.
    pub(super) async fn applied<T>(
        &self,
        stack: &EnvironmentStack,
        started: &Started,
        applied: Result<T>,
    ) -> Result<T> {
        let moved = self.refuse_moved(stack, started).await;
        match (applied, moved) {
            (applied, Ok(())) => applied,
            (Ok(_), Err(moved)) => Err(moved),
            (Err(failure), Err(moved)) => Err(failure.detail("also failed", moved.message().to_owned())),
        }
    }
}

/// Returns a published version's number: `$LATEST` has none.
fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::Scene;
    use crate::delivery::{RollbackRequest, roll_back_stack};
    use crate::failure::FailureKind;
    use crate::fakes::StackFlaw;
    use crate::ledger::DeploymentOutcome;

    fn said(failure: &Failure) -> (String, String) {
        let report = failure.report();
        (report.unchanged.unwrap_or_default(), report.hint.unwrap_or_default())
    }

    #[tokio::test]
    async fn plan_that_moves_an_alias_is_not_applied() {
        let mut scene = Scene::new(true);
        scene.flaw = StackFlaw::MovesAlias;
        scene.deploy_new_releases().await;
        let failure = scene.deploy_all().await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        let (unchanged, hint) = said(&failure);
        assert_eq!(unchanged, "Nothing was applied.");
        assert!(hint.contains("ignore_changes = [function_version, routing_config]"), "{hint}");
        assert_eq!(scene.lambda.newest(&Scene::function_name(&scene.functions[0])), Some(1));
        assert_eq!(scene.last_ended().await.unwrap().deployment, 1);
        assert!(!scene.stack(true).plan.work.join("plan.tfplan").exists(), "the plan has secrets");
    }

    #[tokio::test]
    async fn alias_that_an_apply_moved_without_a_word_in_the_plan_is_moved_back() {
        for mut scene in [Scene::new(false), Scene::adopted(false)] {
            if !scene.is_adopted() {
                scene.deploy_new_releases().await;
            }
            scene.flaw = StackFlaw::MovesAliasUnseen;
            let before = scene.lambda.aliases();
            let failure = scene.deploy_all().await.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::Refused);
            assert!(failure.message().contains("the alias `live` of `a` from version 1 to 2"), "{failure}");
            assert_eq!(scene.lambda.aliases(), before);
            let ended = scene.last_ended().await.unwrap();
            assert_eq!(ended.outcome, DeploymentOutcome::Failed);
            assert!(ended.serves.values().all(|serving| serving.lambda_version == "1"), "{ended:?}");
        }
    }

    #[tokio::test]
    async fn stack_that_publishes_nothing_is_refused_before_the_apply_where_its_files_are_new() {
        let mut scene = Scene::new(false);
        scene.write_flaw(StackFlaw::PublishesNothing);
        let failure = scene.deploy_all().await.unwrap_err();
        assert!(said(&failure).1.ends_with("publish = true"), "{failure}");
        assert_eq!(scene.last_ended().await, None);
    }

    #[tokio::test]
    async fn version_that_is_not_published_is_never_verified() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        // The files are those that kept the contract, so that only the outputs show it.
        scene.flaw = StackFlaw::PublishesNothing;
        let failure = scene.deploy_all().await.unwrap_err();
        assert!(failure.message().contains("names version `$LATEST` of `a`"), "{failure}");
        assert_eq!(said(&failure).0, "");
        let ended = scene.last_ended().await.unwrap();
        assert_eq!(ended.outcome, DeploymentOutcome::Failed);
        assert!(ended.serves.values().all(|serving| serving.release.to_string() == "1.0.0"));
    }

    #[tokio::test]
    async fn missing_output_is_refused_before_the_apply() {
        let mut scene = Scene::new(false);
        scene.write_flaw(StackFlaw::HasNoOutput);
        let failure = scene.deploy_all().await.unwrap_err();
        assert_eq!(failure.message(), "the stack `s` runs `a` and `b`, but has no output `functions`");
        assert!(scene.lambda.aliases().is_empty());
        assert_eq!(scene.last_ended().await, None);
    }

    #[tokio::test]
    async fn plan_that_creates_a_function_that_exists_is_not_applied() {
        let mut scene = Scene::adopted(false);
        scene.write_flaw(StackFlaw::ForgotFunctions);
        let before = scene.lambda.aliases();
        let failure = scene.deploy_all().await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        let name = Scene::function_name(&scene.functions[0]);
        let expected = format!("the function {name} exists already and is not in the state of the stack `s`");
        assert!(failure.message().ends_with(&expected), "{failure}");
        let (unchanged, hint) = said(&failure);
        assert_eq!(unchanged, "Nothing was applied.");
        assert!(hint.contains("existing-functions.md"), "{hint}");
        assert_eq!((scene.lambda.aliases(), scene.lambda.newest(&name)), (before, Some(1)));
        assert_eq!(scene.last_ended().await, None);
    }

    #[tokio::test]
    async fn sensitive_output_is_read_from_the_state() {
        let mut scene = Scene::new(false);
        scene.write_flaw(StackFlaw::HidesOutput);
        let delivered = scene.deploy_all().await.unwrap();
        assert_eq!((delivered.deployment, delivered.verifications.len()), (Some(1), 2));
        scene.deploy_all().await.unwrap();
        assert_eq!(scene.last_ended().await.unwrap().outcome, DeploymentOutcome::Verified);
    }

    #[tokio::test]
    async fn plan_that_deletes_what_is_about_to_serve_is_never_applied() {
        for protected in [false, true] {
            let mut scene = Scene::new(protected);
            scene.deploy_new_releases().await;
            scene.deploy_new_releases().await;
            scene.flaw = StackFlaw::DeletesFunctions;
            let before = scene.lambda.aliases();
            let failure = scene.deploy_all().await.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::Refused);
            assert!(failure.message().starts_with("the plan would delete module.a.aws_lambda_function.this"));
            assert_eq!(said(&failure).0, "Nothing was applied.");
            assert_eq!(scene.lambda.aliases(), before);

            let failure = roll_back_stack(&scene.stack(true), &RollbackRequest::default()).await.unwrap_err();
            assert!(failure.message().starts_with("the plan would delete"), "{failure}");
            assert!(said(&failure).0.starts_with("Traffic is back on the earlier release"), "{failure:?}");
            assert_eq!(scene.lambda.aliases().len(), 2);
        }
    }
}

//! Plans what a deployment would change in a stack, and changes nothing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{DeployRequest, EnvironmentStack, Intent, releases};
use crate::failure::{Failure, Result};
use crate::ledger::DeploymentKind;
use crate::name::{FunctionName, StackName, Version};
use crate::plan::{self, Change};
use crate::release::Manifest;

/// What one stack's plan would change.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct StackPlan {
    /// The stack.
    pub(crate) stack: StackName,
    /// `+1 ~0 -0`.
    pub(crate) summary: String,
    /// Addresses and actions.
    pub(crate) changes: Vec<Change>,
    /// What changed outside Terraform.
    pub(crate) drift: Vec<Change>,
    /// Whether outputs would change.
    pub(crate) outputs_change: bool,
}

/// Result of previewing a stack.
#[derive(Debug, Clone)]
pub(crate) enum StackPreview {
    /// Its plan.
    Planned(StackPlan),
    /// It cannot be planned yet: it takes outputs of this stack, which is not applied.
    WaitsFor(StackName),
}

impl StackPlan {
    /// Returns whether applying the plan would change nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.outputs_change
    }
}

/// Plans a stack with these releases. Other functions keep what they serve, or take their newest release if they serve
/// nothing yet.
pub(crate) async fn preview(
    stack: &EnvironmentStack,
    versions: &BTreeMap<FunctionName, Version>,
) -> Result<StackPreview> {
    for input in stack.settings.inputs.values() {
        if plan::read_state(stack.store.as_ref(), &input.stack).await?.is_none() {
            return Ok(StackPreview::WaitsFor(input.stack.clone()));
        }
    }
    let last = stack.ledger.head().await?.last;
    let mut chosen = BTreeMap::new();
    for function in &stack.settings.functions {
        let manifest = match versions.get(function) {
            Some(version) => Some(stack.catalogue.manifest(function, version).await?),
            None if last.as_ref().is_some_and(|last| last.serves.contains_key(function)) => None,
            None => Some(newest_release(stack, function).await?),
        };
        chosen.extend(manifest.map(|manifest| (function.clone(), manifest)));
    }
    let request = DeployRequest {
        kind: DeploymentKind::Deploy,
        releases: chosen,
        lift_hold: true,
        always_plan: true,
        intent: Intent::default(),
    };
    let lock = stack.lock_work().await?;
    let releases = releases(stack, &request, last.as_ref()).await?;
    let inputs = stack.inputs(&stack.root).await?;
    let configuration = stack.configure(&lock, &stack.root, &releases, inputs)?;
    let runs_functions = !stack.settings.functions.is_empty();
    plan::check_files_contract(&configuration.sources, stack.name(), runs_functions)?;
    let state = plan::read_state(stack.store.as_ref(), stack.name()).await?.map(|(version, _)| version);
    let known = super::known_state::refuse_other(stack, last.as_ref(), state.as_ref()).await;
    let planned = super::state_lock::plan(stack, &configuration).await?;
    let files = super::execute::pack_configuration(&configuration)?;
    let known_files = last.as_ref().is_some_and(|last| last.kept_contract_with(files));
    let kept =
        super::contract::check_plan(stack, &configuration, &planned, &releases, last.as_ref(), known_files)
            .await;
    let allowed =
        plan::refuse_protected(stack.name(), &stack.settings.protect, &planned).and(kept).and(known);
    if let Err(refused) = allowed {
        stack.progress.note(format!("          deploying it would be refused: {refused}"));
    }
    Ok(StackPreview::Planned(StackPlan {
        stack: stack.name().clone(),
        summary: planned.summary(),
        outputs_change: planned.outputs_change,
        drift: planned.relevant_drift(),
        changes: planned.changes,
    }))
}

async fn newest_release(stack: &EnvironmentStack, function: &FunctionName) -> Result<Manifest> {
    let environment = stack.environment();
    stack.catalogue.newest(function).await?.ok_or_else(|| {
        Failure::usage(format!(
            "`{function}` has no release yet, so there is nothing to plan with in {environment}"
        ))
        .hint(format!("cargo xtask release {function} --env {environment}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::Scene;
    use crate::settings::StackOutput;

    fn planned(preview: StackPreview) -> StackPlan {
        match preview {
            StackPreview::Planned(plan) => plan,
            StackPreview::WaitsFor(stack) => panic!("it waits for {stack}"),
        }
    }

    #[tokio::test]
    async fn functions_without_a_deployment_are_planned_with_their_newest_release() {
        let mut scene = Scene::new(false);
        let stack = scene.stack(true);
        let failure = preview(&stack, &BTreeMap::new()).await.unwrap_err();
        assert_eq!(failure.message(), "`a` has no release yet, so there is nothing to plan with in dev");
        for function in scene.functions.clone() {
            scene.release_of(&function, None);
        }
        let plan = planned(preview(&stack, &BTreeMap::new()).await.unwrap());
        assert_eq!(plan.summary, "+4 ~0 -0");
        assert!(scene.state.objects("ledger/").is_empty(), "planning wrote to the ledger");
        assert!(!stack.plan.work.join("plan.tfplan").exists());
    }

    #[tokio::test]
    async fn functions_that_serve_keep_their_release_unless_another_version_is_named() {
        let mut scene = Scene::new(false);
        let functions = scene.functions.clone();
        scene.deploy_new_releases().await;
        let newer = scene.release_of(&functions[0], None);
        let stack = scene.stack(true);
        assert!(planned(preview(&stack, &BTreeMap::new()).await.unwrap()).is_empty());
        let versions = BTreeMap::from([(functions[0].clone(), newer.version)]);
        let plan = planned(preview(&stack, &versions).await.unwrap());
        assert_eq!(plan.changes[0].address, "module.a.aws_lambda_function.this");
        assert_eq!(plan.summary, "+0 ~1 -0");
    }

    #[tokio::test]
    async fn stack_waits_for_a_stack_whose_outputs_it_takes() {
        let mut scene = Scene::new(false);
        let mut stack = scene.stack(true);
        let from = StackOutput { stack: "network".parse().unwrap(), output: "vpc".into() };
        stack.settings.inputs.insert("vpc".into(), from);
        let preview = preview(&stack, &BTreeMap::new()).await.unwrap();
        assert!(matches!(preview, StackPreview::WaitsFor(stack) if stack.as_str() == "network"));
    }
}

//! Plans what a deployment would change in a stack, and changes nothing. It takes no lock: a plan must not stop a deployment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::approved::{all_input_digests, saved_serves, version_of};
use super::lineage::{self, ReviewedLoss};
use super::{DeployRequest, EnvironmentStack, Intent, guard, nothing_changed, releases, trust};
use crate::failure::{Failure, Result};
use crate::ledger::{DeploymentKind, Ended};
use crate::name::{FunctionName, StackName, Version};
use crate::plan::{
    self, Change, Configuration, Planned, PlannedChange, ReviewedChange, StateVersion, WorkLock,
    reviewed_changes, reviewed_drift,
};
use crate::ports::side_by_side;
use crate::release::Manifest;
use crate::saved_plans::{self, SavedRelease, SavedStack};

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
    /// What a reviewer sees: each change with the paths of its attributes, what destroys first. Never values.
    pub(crate) rows: Vec<ReviewedChange>,
    /// What changed outside Terraform, with the paths of its attributes.
    pub(crate) drift_rows: Vec<ReviewedChange>,
    /// Addresses that a deployment must name with `--allow-destroy`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) destroys: Vec<String>,
    /// Commits that serve and that its releases lack: a deployment must name them with `--allow-loss`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) losses: Vec<ReviewedLoss>,
    /// Why deploying it would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
}

/// Result of previewing a stack.
pub(crate) enum StackPreview {
    /// Its plan.
    Planned(Box<PreviewedStack>),
    /// It cannot be planned yet: it takes outputs of this stack, which is not applied.
    WaitsFor(StackName),
}

/// A stack that was planned.
pub(crate) struct PreviewedStack {
    /// What its plan would change.
    pub(crate) plan: StackPlan,
    /// What is saved of it, where that was asked for.
    pub(crate) to_save: Option<PlanToSave>,
}

/// A plan that is to be saved. Its files are deleted or free again with this value.
pub(crate) struct PlanToSave {
    /// Its part of the document.
    pub(crate) saved: SavedStack,
    /// Whether applying it would do something: change resources, or verify and roll out.
    pub(crate) does_something: bool,
    planned: Planned,
    archive: PathBuf,
    _lock: WorkLock,
}

impl PlanToSave {
    /// Returns the file of the Terraform plan.
    pub(crate) fn plan_file(&self) -> &Path {
        self.planned.file.path()
    }

    /// Returns the archive of the stack's files.
    pub(crate) fn archive(&self) -> &Path {
        &self.archive
    }
}

impl StackPlan {
    /// Returns whether applying the plan would change nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.outputs_change
    }
}

/// Plans a stack with these releases. Other functions keep what they serve, or take their newest release if they serve
/// nothing yet. A plan that is to be saved has the intent that it is applied with: what a deployment would refuse is refused.
pub(crate) async fn preview(
    stack: &EnvironmentStack,
    versions: &BTreeMap<FunctionName, Version>,
    to_save: Option<Intent>,
) -> Result<StackPreview> {
    let save = to_save.is_some();
    for input in stack.settings.inputs.values() {
        if plan::read_state(stack.store.as_ref(), &input.stack).await?.is_none() {
            return Ok(StackPreview::WaitsFor(input.stack.clone()));
        }
    }
    let head = stack.ledger.head().await?;
    if let Some(open) = &head.open {
        let what = format!("deployment {} ({}) has not ended", open.deployment, open.describe());
        if save {
            return Err(crate::ledger::lock_held(stack.name(), stack.environment(), open));
        }
        stack.progress.note(format!("          {what}: what it changes from here on is not in this plan"));
    }
    let last = head.last;
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
        lift_hold: !save,
        always_plan: true,
        intent: to_save.unwrap_or_default(),
    };
    let lock = stack.lock_work().await?;
    let releases = releases(stack, &request, last.as_ref()).await?;
    if save {
        refuse_request(stack, &request, last.as_ref(), &releases).await?;
    }
    let (losses, notes) =
        lineage::losses(stack, &lineage::candidates(&request.releases)?, last.as_ref()).await?;
    notes.iter().for_each(|note| stack.progress.note(format!("history   {note}")));
    let inputs = stack.inputs(&stack.root).await?;
    let mut configuration = stack.configure(&lock, &stack.root, &releases, inputs)?;
    // The role that plans may not write a lock, so that it cannot hold one up either.
    configuration.takes_lock = false;
    if save {
        stack.check_files(&configuration)?;
    } else {
        let runs_functions = !stack.settings.functions.is_empty();
        plan::check_files_contract(&configuration.sources, stack.name(), runs_functions)?;
    }
    let state = plan::read_state(stack.store.as_ref(), stack.name()).await?.map(|(version, _)| version);
    let known = super::known_state::refuse_other(stack, last.as_ref(), state.as_ref()).await;
    let planned = super::state_lock::plan(stack, &configuration).await?;
    let values = match planned.is_empty() {
        true => Value::Null,
        false => stack.infrastructure.values(&configuration, &planned).await?,
    };
    let changes = reviewed_changes(&values);
    let files = super::execute::pack_configuration(&configuration)?;
    let known_files = last.as_ref().is_some_and(|last| last.kept_contract_with(files));
    let kept =
        super::contract::check_plan(stack, &configuration, &planned, &releases, last.as_ref(), known_files)
            .await;
    let policy = match planned.is_empty() {
        true => Ok(()),
        false => stack.refuse_values_by_policy(&values).await,
    };
    let destruction = stack.destruction_guard();
    let destroys = destruction.needed_options(&planned)?;
    // What is destroyed is named where the plan is applied, by those who read its table.
    let destruction = if save { Ok(()) } else { destruction.check(&planned) };
    let allowed = destruction.and(kept.map(drop)).and(known.map(drop)).and(policy);
    let refused = match allowed {
        Ok(()) => None,
        Err(refused) if save => return Err(refused.unchanged("Nothing was saved or changed.")),
        Err(refused) => {
            stack.progress.note(format!("          deploying it would be refused: {refused}"));
            Some(refused.to_string())
        }
    };
    let plan = StackPlan {
        stack: stack.name().clone(),
        summary: planned.summary(),
        outputs_change: planned.outputs_change,
        drift: planned.relevant_drift(),
        changes: planned.changes.clone(),
        rows: changes.iter().map(|change| change.row.clone()).collect(),
        drift_rows: drift_rows(&values, &planned),
        destroys,
        losses: losses.iter().map(lineage::Loss::reviewed).collect(),
        refused,
    };
    let to_save = match save {
        true => {
            let last = last.as_ref();
            let mut saved =
                saved_stack(stack, &configuration, &planned, changes, &releases, last, state).await?;
            saved.promoted_from = request.intent.promoted_from();
            let is_settled = last.is_some_and(|last| last.outcome.is_settled());
            let does_something = !planned.is_empty() || !is_settled || saved.serves != saved.releases;
            let archive = configuration.pack()?.zip;
            Some(PlanToSave { saved, does_something, planned, archive, _lock: lock })
        }
        false => None,
    };
    Ok(StackPreview::Planned(Box::new(PreviewedStack { plan, to_save })))
}

/// Returns the drift of resources with a planned change; the rest is values that AWS normalised.
fn drift_rows(values: &Value, planned: &Planned) -> Vec<ReviewedChange> {
    let relevant = planned.relevant_drift();
    let mut rows = reviewed_drift(values);
    rows.retain(|row| relevant.iter().any(|change| change.address == row.address));
    rows
}

/// Refuses what a deployment of these releases would refuse before it plans.
async fn refuse_request(
    stack: &EnvironmentStack,
    request: &DeployRequest,
    last: Option<&Ended>,
    releases: &BTreeMap<FunctionName, Manifest>,
) -> Result<()> {
    guard::refuse(stack, request, last)?;
    guard::refuse_second_digest(stack, request, last).await.map_err(nothing_changed)?;
    trust::check(stack, last, releases).await.map_err(nothing_changed)?;
    stack.refuse_weaker_trust(last)?;
    side_by_side(releases.values().map(|manifest| stack.check_bytes(manifest)))
        .await
        .map_err(nothing_changed)?;
    Ok(())
}

/// Returns a stack's part of a saved plan.
async fn saved_stack(
    stack: &EnvironmentStack,
    configuration: &Configuration,
    planned: &Planned,
    changes: Vec<PlannedChange>,
    releases: &BTreeMap<FunctionName, Manifest>,
    last: Option<&Ended>,
    state: Option<StateVersion>,
) -> Result<SavedStack> {
    let packed = configuration.pack()?;
    let identity = stack.infrastructure.identity(configuration).await?;
    let planned_releases = releases.iter().map(|(function, manifest)| {
        let saved = SavedRelease { release: manifest.version.clone(), digest: manifest.digest()? };
        Ok((function.clone(), saved))
    });
    let planned_releases = planned_releases.collect::<Result<BTreeMap<_, _>>>()?;
    let lock_file = configuration.lock_file().unwrap_or_default();
    let commit = stack.commit.as_ref();
    Ok(SavedStack {
        stack: stack.name().clone(),
        commit: commit.map(|commit| commit.commit.clone()),
        dirty: commit.is_some_and(|commit| commit.dirty),
        deployment: last.map_or(0, |last| last.deployment),
        serves: saved_serves(last),
        releases: planned_releases,
        inputs: all_input_digests(&configuration.inputs),
        state,
        terraform: version_of(&identity),
        providers: saved_plans::locked_providers(&String::from_utf8_lossy(&lock_file)),
        plan: saved_plans::stored_file(planned.file.path())?,
        archive: saved_plans::stored_file(&packed.zip)?,
        changes,
        promoted_from: None,
        outputs_change: planned.outputs_change,
    })
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
            StackPreview::Planned(previewed) => previewed.plan,
            StackPreview::WaitsFor(stack) => panic!("it waits for {stack}"),
        }
    }

    #[tokio::test]
    async fn functions_without_a_deployment_are_planned_with_their_newest_release() {
        let mut scene = Scene::new(false);
        let stack = scene.stack(true);
        let failure = preview(&stack, &BTreeMap::new(), None).await.err().unwrap();
        assert_eq!(failure.message(), "`a` has no release yet, so there is nothing to plan with in dev");
        for function in scene.functions.clone() {
            scene.release_of(&function, None);
        }
        let plan = planned(preview(&stack, &BTreeMap::new(), None).await.unwrap());
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
        assert!(planned(preview(&stack, &BTreeMap::new(), None).await.unwrap()).is_empty());
        let versions = BTreeMap::from([(functions[0].clone(), newer.version)]);
        let plan = planned(preview(&stack, &versions, None).await.unwrap());
        assert_eq!(plan.changes[0].address, "module.a.aws_lambda_function.this");
        assert_eq!(plan.summary, "+0 ~1 -0");
    }

    #[tokio::test]
    async fn stack_waits_for_a_stack_whose_outputs_it_takes() {
        let mut scene = Scene::new(false);
        let mut stack = scene.stack(true);
        let from = StackOutput { stack: "network".parse().unwrap(), output: "vpc".into() };
        stack.settings.inputs.insert("vpc".into(), from);
        let preview = preview(&stack, &BTreeMap::new(), None).await.unwrap();
        assert!(matches!(preview, StackPreview::WaitsFor(stack) if stack.as_str() == "network"));
    }
}

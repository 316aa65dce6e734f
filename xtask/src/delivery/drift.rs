//! Drift: what differs from the newest deployment, found without changing anything and without a lock.
//!
//! In: a stack, its ledger, the files that it applied. Out: what Terraform would change back, where aliases, versions and event
//! sources are not as recorded, and what could not be read, which is never "no drift". Errors: a signal alone.
//!
//! The applied files are planned again with the releases that serve: whatever that plan changes differs from what they say. A
//! refresh-only plan also lists all that AWS normalised, after every apply, and cannot tell the two apart.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::rollback::applied_configuration;
use super::{EnvironmentStack, destroy, state_lock};
use crate::failure::{Failure, FailureKind, Result};
use crate::ledger::{Ended, Serving};
use crate::name::{FunctionName, StackName};
use crate::plan::{self, FunctionOutput, ReviewedChange, reviewed_changes, reviewed_drift};
use crate::ports::Alias;

/// What drifted in one stack.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct StackDrift {
    /// The stack.
    pub(crate) stack: StackName,
    /// Its newest deployment; `null` if nothing is deployed.
    pub(crate) deployment: Option<u64>,
    /// What Terraform would change back.
    pub(crate) resources: Vec<ReviewedChange>,
    /// What changed outside Terraform where the files do not say how it has to be. It does not count as drift.
    pub(crate) unmanaged: Vec<ReviewedChange>,
    /// Aliases, versions, event sources and the state, where they are not as recorded.
    pub(crate) findings: Vec<DriftFinding>,
    /// What could not be read.
    pub(crate) unread: Vec<Unread>,
}

/// Something that is not as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct DriftFinding {
    /// What it is.
    pub(crate) what: String,
    /// What was recorded or declared.
    pub(crate) recorded: String,
    /// What is found.
    pub(crate) found: String,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Unread {
    /// What it is.
    pub(crate) what: String,
    /// Why not.
    pub(crate) why: String,
}

impl StackDrift {
    /// Returns how much drifted.
    pub(crate) fn count(&self) -> usize {
        self.resources.len() + self.findings.len()
    }

    fn note<T>(&mut self, what: impl Into<String>, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(failure) if failure.kind() == FailureKind::Interrupted => Err(failure),
            Err(failure) => {
                self.unread.push(Unread { what: what.into(), why: reason(&failure) });
                Ok(None)
            }
        }
    }

    fn found(&mut self, what: impl Into<String>, recorded: impl Into<String>, found: impl Into<String>) {
        let (what, recorded, found) = (what.into(), recorded.into(), found.into());
        self.findings.push(DriftFinding { what, recorded, found });
    }
}

/// Returns a failure's message with its causes.
fn reason(failure: &Failure) -> String {
    let report = failure.report();
    std::iter::once(report.message).chain(report.causes).collect::<Vec<_>>().join(": ")
}

/// Looks for drift in a stack.
pub(crate) async fn drift(stack: &EnvironmentStack) -> Result<StackDrift> {
    let mut drift = StackDrift {
        stack: stack.name().clone(),
        deployment: None,
        resources: Vec::new(),
        unmanaged: Vec::new(),
        findings: Vec::new(),
        unread: Vec::new(),
    };
    let Some(head) = drift.note("the ledger", stack.ledger.head().await)? else { return Ok(drift) };
    if let Some(open) = head.open {
        let why = format!("deployment {} ({}) has not ended", open.deployment, open.describe());
        drift.unread.push(Unread { what: "everything".into(), why });
        return Ok(drift);
    }
    let Some(last) = head.last else { return Ok(drift) };
    drift.deployment = Some(last.deployment);
    if !last.outcome.is_settled() {
        drift.found(format!("deployment {}", last.deployment), "verified", last.outcome.text());
    }
    for (function, serving) in &last.serves {
        let read = function_drift(stack, function, serving, &mut drift).await;
        drift.note(format!("`{function}` in Lambda"), read)?;
    }
    let outputs = plan::read_outputs(stack.store.as_ref(), stack.name()).await;
    if let Some(applied) = drift.note("the outputs of the state", outputs)?.flatten()
        && let Some(functions) = drift.note("the output `functions`", applied.functions())?
    {
        let read = event_sources(stack, &functions, &mut drift).await;
        drift.note("the event sources", read)?;
    }
    let planned = resources(stack, &last, &mut drift).await;
    drift.note("the resources, by a plan", planned)?;
    Ok(drift)
}

/// Compares a function's alias and serving version with what the ledger recorded.
async fn function_drift(
    stack: &EnvironmentStack,
    function: &FunctionName,
    serving: &Serving,
    drift: &mut StackDrift,
) -> Result<()> {
    let (alias, published) = futures::try_join!(
        stack.functions.alias(&serving.function_name, &serving.alias),
        stack.functions.published(&serving.function_name, &serving.lambda_version)
    )?;
    let version = &serving.lambda_version;
    if !serving.matches(alias.as_ref()) {
        let found = alias.map_or("nothing".to_owned(), |alias: Alias| alias.points_to());
        drift.found(format!("alias `{}` of {function}", serving.alias), version, found);
    }
    let Some(published) = published else {
        drift.found(format!("version {version} of {function}"), "there", "gone");
        return Ok(());
    };
    if published.code_sha256 != serving.code_sha256 {
        let what = format!("code of version {version} of {function}");
        drift.found(what, &serving.code_sha256, &published.code_sha256);
    }
    if published.digest() != serving.config_digest {
        let what = format!("configuration of version {version} of {function}");
        drift.found(what, serving.config_digest.short(), published.digest().short());
    }
    Ok(())
}

/// Compares event sources with what the stack declares.
async fn event_sources(
    stack: &EnvironmentStack,
    functions: &BTreeMap<FunctionName, FunctionOutput>,
    drift: &mut StackDrift,
) -> Result<()> {
    let text = |enabled| if enabled { "enabled" } else { "disabled" };
    for (function, output) in functions {
        for source in &output.event_sources {
            let now = stack.functions.event_source_enabled(&source.uuid).await?;
            if now != Some(source.enabled) {
                let what = format!("event source {} of {function}", source.uuid);
                drift.found(what, text(source.enabled), now.map_or("gone", text));
            }
        }
    }
    Ok(())
}

/// Plans the applied files again with the releases that serve.
async fn resources(stack: &EnvironmentStack, last: &Ended, drift: &mut StackDrift) -> Result<()> {
    if last.configuration.is_none() {
        return Ok(());
    }
    let state = plan::read_state(stack.store.as_ref(), stack.name()).await?.map(|(version, _)| version);
    if let Some(other) = stack.ledger.other_state(last, state.as_ref()).await? {
        let found = state.map_or("no state".to_owned(), |state| state.to_string());
        drift.found("the state", other.left.to_string(), found);
        return Ok(());
    }
    let lock = stack.lock_work().await?;
    let releases = destroy::releases(stack, Some(last)).await?;
    let mut configuration = applied_configuration(stack, &lock, last, &releases).await?;
    configuration.takes_lock = false;
    let planned = state_lock::plan(stack, &configuration).await?;
    if planned.is_empty() && planned.drift.is_empty() {
        return Ok(());
    }
    let values = stack.infrastructure.values(&configuration, &planned).await?;
    drift.resources = reviewed_changes(&values).into_iter().map(|change| change.row).collect();
    // Outputs follow from the resources.
    if drift.resources.iter().any(|row| !row.address.starts_with("output.")) {
        drift.resources.retain(|row| !row.address.starts_with("output."));
    }
    drift.unmanaged = reviewed_drift(&values);
    drift.unmanaged.retain(|row| {
        let is_planned = drift.resources.iter().any(|change| change.address == row.address);
        !is_planned && !follows_the_ledger(row)
    });
    Ok(())
}

/// Returns whether only that changed which a rollout changes itself: it is compared with the ledger.
fn follows_the_ledger(row: &ReviewedChange) -> bool {
    let kind = plan::resource_type(&row.address);
    let own: &[&str] = match kind.as_deref() {
        Some("aws_lambda_alias") => &["function_version", "routing_config"],
        Some("aws_lambda_event_source_mapping") => {
            &["enabled", "state", "state_transition_reason", "last_modified"]
        }
        _ => return false,
    };
    row.attributes
        .iter()
        .all(|path| own.iter().any(|name| path == name || path.starts_with(&format!("{name}["))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::Scene;
    use crate::fakes::Fault;

    async fn look(scene: &mut Scene) -> StackDrift {
        drift(&scene.stack(true)).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_deployed_has_no_drift_and_what_somebody_changed_is_named() {
        let mut scene = Scene::new(false);
        assert_eq!(look(&mut scene).await.deployment, None);
        scene.deploy_new_releases().await;
        scene.deploy_new_releases().await;
        let before = scene.state.objects("");
        let clean = look(&mut scene).await;
        assert_eq!((clean.count(), clean.unread.len(), clean.deployment), (0, 0, Some(2)), "{clean:?}");
        // The project's own files do not count: only what was applied.
        scene.write_memory(512);
        assert_eq!(look(&mut scene).await.count(), 0);

        scene.move_alias_by_hand("a", "1").await;
        let name = Scene::function_name(&"b".parse().unwrap());
        let mut by_hand = scene.lambda.latest(&name).unwrap();
        by_hand.memory = 1_024;
        scene.lambda.update_latest(&name, by_hand);
        let found = look(&mut scene).await;
        assert_eq!(
            found.findings,
            [DriftFinding { what: "alias `live` of a".into(), recorded: "2".into(), found: "1".into() }]
        );
        assert_eq!(found.resources.len(), 1, "{found:?}");
        assert_eq!(found.resources[0].address, "module.b.aws_lambda_function.this");
        assert_eq!(scene.state.objects(""), before, "it changed something");
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_not_without_drift() {
        let calls = {
            let mut scene = Scene::new(false);
            scene.deploy_new_releases().await;
            scene.faults().arm(None);
            look(&mut scene).await;
            scene.faults().calls()
        };
        for place in 0..calls {
            let mut scene = Scene::new(false);
            scene.deploy_new_releases().await;
            scene.faults().arm(Some((place, Fault::ErrorBefore)));
            let found = look(&mut scene).await;
            let at = scene.faults().triggered_at();
            assert!(!found.unread.is_empty(), "{at:?} is not named: {found:?}");
            assert!(found.unread[0].why.contains("injected"), "{found:?}");
        }
    }

    #[tokio::test]
    async fn state_that_is_not_the_ledgers_and_a_deployment_that_did_not_settle_are_findings() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        scene.fail_next_release("a");
        assert!(scene.deploy_all().await.is_err());
        scene.state.remove("s.tfstate");
        let found = look(&mut scene).await;
        let what: Vec<(&str, &str)> =
            found.findings.iter().map(|finding| (finding.what.as_str(), finding.found.as_str())).collect();
        assert_eq!(what, [("deployment 2", "verification failed"), ("the state", "no state")]);
    }

    #[test]
    fn what_a_rollout_changes_itself_is_compared_with_the_ledger_alone() {
        let row = |address: &str, attributes: &[&str]| ReviewedChange {
            address: address.into(),
            action: plan::Action::Update,
            reason: None,
            attributes: attributes.iter().map(|path| (*path).to_owned()).collect(),
            forces: Vec::new(),
            holds: None,
        };
        assert!(follows_the_ledger(&row("module.a.aws_lambda_alias.live", &["function_version"])));
        assert!(!follows_the_ledger(&row(
            "module.a.aws_lambda_alias.live",
            &["function_version", "description"]
        )));
        assert!(!follows_the_ledger(&row("aws_iam_role.r", &["function_version"])));
    }
}

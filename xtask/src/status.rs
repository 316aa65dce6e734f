//! What runs in an environment, and whether it is what the ledger says.
//!
//! In: the stacks, the environment's store and functions. Out: a status for each function that the ledger says is served,
//! with warnings. Errors: the store or Lambda cannot be read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::Result;
use crate::ledger::{DeploymentOutcome, Ended, Head, Holder, Ledger, OtherState, Serving};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::ownership::ProjectIdentity;
use crate::plan;
use crate::ports::{Alias, FunctionConfiguration, Functions, Store};

/// What runs in one environment.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct EnvironmentStatus {
    /// Whether it could be read.
    pub(crate) reached: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// By function.
    pub(crate) functions: BTreeMap<FunctionName, FunctionStatus>,
    /// What somebody should look at.
    pub(crate) warnings: Vec<String>,
}

/// What one function runs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FunctionStatus {
    /// The stack.
    pub(crate) stack: StackName,
    /// The release that the ledger says is served.
    pub(crate) release: Version,
    /// The commit that it was built from.
    pub(crate) commit: String,
    /// The Lambda version that the ledger says is served.
    pub(crate) lambda_version: String,
    /// The Lambda version that the alias points to.
    pub(crate) alias_version: Option<String>,
    /// The newest Lambda version: the one in Terraform's state.
    pub(crate) newest_version: String,
    /// Whether it was verified.
    pub(crate) verified: bool,
    /// Whether alias and configuration are as the ledger says.
    pub(crate) as_recorded: bool,
    /// The newest deployment's number.
    pub(crate) deployment: u64,
    /// How the newest deployment ended.
    pub(crate) outcome: DeploymentOutcome,
    /// Since when this release serves.
    #[schemars(with = "String")]
    pub(crate) since: jiff::Timestamp,
    /// Who made the newest deployment.
    pub(crate) by: String,
    /// Releases that are held.
    pub(crate) held: Vec<Version>,
}

/// An environment whose status is read.
pub(crate) struct EnvironmentAccess<'a> {
    /// Its name.
    pub(crate) environment: &'a EnvironmentName,
    /// Its store, which holds the ledgers.
    pub(crate) store: &'a Arc<dyn Store>,
    /// The project that the ledgers have to belong to.
    pub(crate) project: &'a ProjectIdentity,
    /// Its functions.
    pub(crate) functions: &'a Arc<dyn Functions>,
    /// States that Terraform could not save, on this machine.
    pub(crate) unsaved: &'a BTreeMap<StackName, Vec<PathBuf>>,
    /// Whether the caller may read Terraform's states.
    pub(crate) reads_states: bool,
    /// This process, to tell whether an open deployment's process is alive.
    pub(crate) here: Holder,
}

impl EnvironmentStatus {
    /// Makes the status of an environment that was not read.
    pub(crate) fn not_read(why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..Self::default() }
    }
}

impl EnvironmentAccess<'_> {
    /// Reads what runs in the stacks of the environment.
    pub(crate) async fn read(&self, stacks: impl Iterator<Item = &StackName>) -> Result<EnvironmentStatus> {
        let mut status = EnvironmentStatus { reached: true, ..EnvironmentStatus::default() };
        let mut states_not_read = Vec::new();
        for stack in stacks {
            let ledger = Ledger::new(self.store.clone(), self.environment.clone(), stack.clone())
                .of_project(self.project);
            let head = ledger.head().await?;
            status.warnings.extend(self.stack_warnings(&ledger, stack, &head).await?);
            let Some(last) = &head.last else { continue };
            if self.reads_states {
                status.warnings.extend(self.other_state(&ledger, stack, last).await?);
                status.warnings.extend(self.first_deployments(stack, last).await?);
            } else {
                states_not_read.push(format!("`{stack}`"));
            }
            for (function, serving) in &last.serves {
                let (found, warning) = self.function(stack, function, serving, last).await?;
                status.warnings.extend(warning);
                status.functions.insert(function.clone(), found);
            }
        }
        if !states_not_read.is_empty() {
            status.warnings.push(format!(
                "whether the states in {} of {} are those that the deployments left is not known: read_role may not read them",
                self.environment,
                states_not_read.join(", ")
            ));
        }
        Ok(status)
    }

    /// Returns warnings about a stack's deployments: an open one, and a rollback that Terraform does not agree with.
    async fn stack_warnings(&self, ledger: &Ledger, stack: &StackName, head: &Head) -> Result<Vec<String>> {
        let environment = self.environment;
        let mut warnings = head.ignored.iter().map(|key| ledger.ignored_text(key)).collect::<Vec<_>>();
        for file in self.unsaved.get(stack).into_iter().flatten() {
            warnings.push(format!(
                "{stack} in {environment}: the state could not be saved, and is in {}: cargo xtask recover --env {environment} saves it; until then nothing is deployed",
                file.display()
            ));
        }
        if let Some(open) = &head.open {
            let state = if ledger.holder_state(open, &self.here).await?.is_alive() {
                "is running"
            } else {
                "was cut off: the next command closes it, or cargo xtask recover"
            };
            warnings.push(format!(
                "deployment {} of {stack} ({}) by {} {state}",
                open.deployment,
                open.describe(),
                open.by
            ));
        }
        if let Some(unfinished) = head.last.as_ref().and_then(Ended::unfinished_rollback_text) {
            warnings.push(format!(
                "{stack} in {environment}: {unfinished}: cargo xtask rollback --env {environment} continues"
            ));
        }
        Ok(warnings)
    }

    /// Returns a warning if the state is gone, or is not the one that the last deployments left.
    async fn other_state(&self, ledger: &Ledger, stack: &StackName, last: &Ended) -> Result<Option<String>> {
        let (environment, place) = (self.environment, self.store.place());
        let now = match plan::read_state(self.store.as_ref(), stack).await {
            Ok(now) => now.map(|(version, _)| version),
            Err(failure) => return Ok(Some(format!("{stack} in {environment}: {failure}"))),
        };
        let Some(other) = ledger.other_state(last, now.as_ref()).await? else { return Ok(None) };
        let OtherState { what, deployment, left } = other;
        let found = now.map_or("no state".to_owned(), |now| now.to_string());
        Ok(Some(format!(
            "{stack} in {environment}: the state {what}: deployment {deployment} left {left}, {place}/{stack}.tfstate has {found}. Nothing is planned until it is restored from an earlier version of that object; if it was replaced on purpose: cargo xtask release --env {environment} --accept-state"
        )))
    }

    /// Returns a warning for each function whose first deployment failed: its alias may serve anyway, and the ledger has no
    /// release for it.
    async fn first_deployments(&self, stack: &StackName, last: &Ended) -> Result<Vec<String>> {
        let unknown = || last.will.iter().filter(|(function, _)| !last.serves.contains_key(*function));
        if last.outcome.is_settled() || unknown().next().is_none() {
            return Ok(Vec::new());
        }
        let applied = plan::read_outputs(self.store.as_ref(), stack).await?.unwrap_or_default();
        let outputs = applied.functions().unwrap_or_default();
        let mut warnings = Vec::new();
        for (function, wanted) in unknown() {
            let Some(output) = outputs.get(function) else { continue };
            let Some(alias) = self.functions.alias(&output.function_name, &output.alias).await? else {
                continue;
            };
            let published = self.functions.published(&output.function_name, &alias.version).await?;
            let is_wanted = published.is_some_and(|published| published.code_sha256 == wanted.code_sha256);
            let code = if is_wanted { "its code" } else { "other code than that release" };
            warnings.push(format!(
                "{function} in {}: its first deployment ({}, release {}) ended {}, and the alias `{}` points to {}, {code}, not verified: users reach it",
                self.environment,
                last.deployment,
                wanted.release,
                last.outcome.text(),
                output.alias,
                alias.points_to(),
            ));
        }
        Ok(warnings)
    }

    /// Compares what a function runs with what the ledger says; a difference is a warning.
    async fn function(
        &self,
        stack: &StackName,
        function: &FunctionName,
        serving: &Serving,
        last: &Ended,
    ) -> Result<(FunctionStatus, Option<String>)> {
        let (alias, published) = futures::try_join!(
            self.functions.alias(&serving.function_name, &serving.alias),
            self.functions.published(&serving.function_name, &serving.lambda_version)
        )?;
        let warning = self.function_warning(function, serving, alias.as_ref(), published.as_ref());
        let configuration_agrees = published.is_some_and(|published| {
            published.code_sha256 == serving.code_sha256 && published.digest() == serving.config_digest
        });
        let alias_agrees = serving.matches(alias.as_ref());
        let held = last.holds.iter().filter(|hold| hold.function == *function);
        let status = FunctionStatus {
            stack: stack.clone(),
            release: serving.release.clone(),
            commit: serving.commit.clone(),
            lambda_version: serving.lambda_version.clone(),
            alias_version: alias.map(|alias| alias.version),
            newest_version: serving.newest_version.clone(),
            verified: serving.verified,
            as_recorded: configuration_agrees && alias_agrees,
            deployment: last.deployment,
            outcome: last.outcome,
            since: serving.since_at,
            by: last.by.clone(),
            held: held.map(|hold| hold.release.clone()).collect(),
        };
        Ok((status, warning))
    }

    fn function_warning(
        &self,
        function: &FunctionName,
        serving: &Serving,
        alias: Option<&Alias>,
        published: Option<&FunctionConfiguration>,
    ) -> Option<String> {
        let (environment, recorded) = (self.environment, &serving.lambda_version);
        let text = if !serving.matches(alias) {
            let points_to = alias.map_or("nothing".to_owned(), Alias::points_to);
            format!(
                "the alias points to {points_to}, the ledger says {recorded}: cargo xtask recover --env {environment}"
            )
        } else if published.is_none() {
            format!("version {recorded}, which the alias points to, does not exist")
        } else if published.is_some_and(|published| {
            published.code_sha256 != serving.code_sha256 || published.digest() != serving.config_digest
        }) {
            format!("version {recorded} is not configured as it was recorded")
        } else if !serving.verified {
            format!(
                "version {recorded} serves and was not verified: cargo xtask release --env {environment} verifies it"
            )
        } else {
            return None;
        };
        Some(format!("{function} in {environment}: {text}"))
    }
}

#[cfg(test)]
mod tests;

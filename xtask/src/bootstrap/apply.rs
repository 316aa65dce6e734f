//! Applies `terraform/bootstrap` to an account: plan, adoption of existing resources, approval, apply.
//!
//! In: an [`AccountSpec`] and the ports. Out: an [`AppliedAccount`]. Errors: a plan that would remove a protected resource, no
//! approval; nothing is applied then. A plan that is not applied is deleted, because it has values in clear text.

use async_trait::async_trait;

use super::{AccountSpec, refuse_removal};
use crate::failure::{Failure, Result};
use crate::format;
use crate::partition::Partition;
use crate::plan::{
    self, AdoptionCandidate, Applied, Change, Configuration, Infrastructure, Planned, adoption_candidates,
};
use crate::ports::Approver;
use crate::progress::Progress;

/// Looks up resources of an account.
#[async_trait]
pub(crate) trait ResourceLookup: Send + Sync {
    /// Returns address and import id of each candidate that exists.
    async fn existing(&self, candidates: &[AdoptionCandidate]) -> Result<Vec<(String, String)>>;
}

/// Looks at what decides on GitHub who gets into the environments that roles trust.
#[async_trait]
pub(crate) trait GithubTrust: Send + Sync {
    /// Refuses roles of protected environments and of the publisher whose GitHub environments have no rules. `trusted` is the
    /// output `trusted_github_environments`.
    async fn refuse_unprotected(&self, trusted: &serde_json::Value) -> Result<()>;
}

/// Returns the configuration, with import blocks for the resources to adopt (address and import id).
type ConfigurationFn<'a> = dyn Fn(&[(String, String)]) -> Result<Configuration> + Send + Sync + 'a;

/// An account, and what applying `terraform/bootstrap` to it needs.
pub(crate) struct AccountApply<'a> {
    /// What the account needs.
    pub(crate) spec: &'a AccountSpec,
    /// The account's partition.
    pub(crate) partition: Partition,
    /// Terraform.
    pub(crate) infrastructure: &'a dyn Infrastructure,
    /// Returns `terraform/bootstrap` for the account.
    pub(crate) configuration: &'a ConfigurationFn<'a>,
    /// Looks up resources that a plan would create.
    pub(crate) resources: &'a dyn ResourceLookup,
    /// Looks at GitHub before roles trust it.
    pub(crate) github: &'a dyn GithubTrust,
    /// Approves the plan.
    pub(crate) approver: &'a dyn Approver,
    /// Receives the plan's changes.
    pub(crate) progress: &'a Progress,
}

/// Result of applying `terraform/bootstrap`.
#[derive(Debug, Default)]
pub(crate) struct AppliedAccount {
    /// Addresses of adopted resources.
    pub(crate) adopted: Vec<String>,
    /// The changes that were applied.
    pub(crate) changes: Vec<Change>,
    /// The outputs.
    pub(crate) outputs: Applied,
}

impl AccountApply<'_> {
    /// Plans, adopts what exists, asks for approval and applies; without changes, returns the current outputs.
    pub(crate) async fn run(&self) -> Result<AppliedAccount> {
        let mut configuration = (self.configuration)(&[])?;
        let mut planned = self.infrastructure.plan(&configuration).await?;
        let mut adopted = Vec::new();
        let mut values = serde_json::Value::Null;
        if !planned.is_empty() {
            values = self.infrastructure.values(&configuration, &planned).await?;
        }
        if planned.changes.iter().any(|change| change.action.adds()) {
            let existing = self.existing(&values).await?;
            if !existing.is_empty() {
                configuration = (self.configuration)(&existing)?;
                planned = self.infrastructure.plan(&configuration).await?;
                adopted = existing.into_iter().map(|(address, _)| address).collect();
            }
        }
        if planned.is_empty() {
            let outputs = self.infrastructure.outputs(&configuration).await?;
            return Ok(AppliedAccount { adopted, changes: Vec::new(), outputs });
        }
        refuse_removal(&planned)?;
        // Adopting changes no output.
        let trusted = values.pointer("/planned_values/outputs/trusted_github_environments/value");
        self.github
            .refuse_unprotected(trusted.unwrap_or_default())
            .await
            .map_err(|failure| failure.unchanged("Nothing was applied."))?;
        self.approve(&planned)?;
        let outputs = self.infrastructure.apply(&configuration, &planned).await?;
        Ok(AppliedAccount { adopted, changes: planned.changes, outputs })
    }

    /// Returns address and import id of the resources that the plan would create and that exist.
    async fn existing(&self, values: &serde_json::Value) -> Result<Vec<(String, String)>> {
        let candidates = adoption_candidates(values, &self.spec.account, self.partition);
        self.resources.existing(&candidates).await
    }

    fn approve(&self, planned: &Planned) -> Result<()> {
        self.progress.block(format!("\n{}", plan::changes_text(&planned.changes, true)));
        for warning in &planned.warnings {
            self.progress.note(format!("          warning: {warning}"));
        }
        let changes = format::plural(planned.changes.len(), "change");
        let question = format!("Apply {changes} to the account {}?", self.spec.account);
        match self.approver.approve(&question) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure::refused("not approved").unchanged("Nothing was applied.")),
            Err(failure) => Err(failure.unchanged("Nothing was applied.")),
        }
    }
}

#[cfg(test)]
mod tests;

//! A saved plan that was approved: exactly it is applied, or nothing is (exit code 8).
//!
//! In: a saved plan, the stack as it is now. Out: the configuration and the plan to apply. Where only the state's serial moved
//! since, the plan is made again and its changes are compared with the approved ones. An attempt that was cut off is gone on
//! with: what is left must be part of what was approved. Errors: anything else than what was approved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use super::{DeployRequest, EnvironmentStack, Intent, state_lock};
use crate::digest::Digest;
use crate::failure::{self, Failure, FailureKind, Result};
use crate::format;
use crate::ledger::{AppliedPlan, DeploymentKind, Ended};
use crate::name::FunctionName;
use crate::plan::{
    self, Action, Change, Configuration, PlanDifference, Planned, SavedPlan, StackInputs, StateVersion,
    WorkLock, plan_differences, remaining_differences, reviewed_changes,
};
use crate::release::Manifest;
use crate::saved_plans::{LoadedPlan, SavedRelease, SavedStack, Target};

/// One stack of a saved plan that is to be applied.
#[derive(Debug)]
pub(crate) struct ApprovedPlan {
    plan: LoadedPlan,
    stack: SavedStack,
}

/// What the ledger says of a saved plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlanUse {
    /// It was not used.
    Unused,
    /// An attempt to apply it was cut off, failed, or did not verify.
    Attempted,
    /// This deployment, the newest one, applied it.
    Applied(u64),
}

/// The plan to apply.
pub(super) struct PlanToApply {
    /// The plan.
    pub(super) planned: Planned,
    /// The ledger's record of it.
    pub(super) record: AppliedPlan,
}

impl ApprovedPlan {
    /// Returns one stack of a saved plan.
    pub(crate) fn new(plan: LoadedPlan, stack: SavedStack) -> Self {
        Self { plan, stack }
    }

    /// Returns the commit of the stack's files and whether they differed from it.
    pub(crate) fn commit(&self) -> (Option<&str>, bool) {
        (self.stack.commit.as_deref(), self.stack.dirty)
    }

    fn stale(&self, message: impl Into<String>) -> Failure {
        Failure::new(FailureKind::PlanStale, message).unchanged("Nothing was applied.").hint(format!(
            "plan again and have that approved: cargo xtask plan --env {} --save",
            self.plan.document.environment
        ))
    }

    /// Returns the request that the plan was made for: exactly its releases.
    pub(crate) async fn request(
        &self,
        stack: &EnvironmentStack,
        lift_hold: bool,
        allow_loss: &[String],
    ) -> Result<DeployRequest> {
        let mut releases = BTreeMap::new();
        for (function, SavedRelease { release, digest }) in &self.stack.releases {
            let manifest = stack.catalogue.manifest(function, release).await?;
            let found = manifest.digest()?;
            if found != *digest {
                let key = Manifest::key(function, release);
                return Err(self
                    .stale(format!(
                        "the manifest of `{function}` {release} is not the one that was planned with"
                    ))
                    .detail("manifest", format!("{}/{key}", stack.catalogue.store().place()))
                    .detail("planned", digest.to_string())
                    .detail("found", found.to_string()));
            }
            releases.insert(function.clone(), manifest);
        }
        let intent = Intent::of_saved_plan(self.stack.promoted_from.as_ref(), allow_loss);
        Ok(DeployRequest { kind: DeploymentKind::Deploy, releases, lift_hold, always_plan: true, intent })
    }

    /// Returns what the ledger says of the plan. Refuses one that expired, that is for something else, or whose stack was
    /// deployed since so that something else serves.
    pub(super) async fn usable(&self, stack: &EnvironmentStack, last: Option<&Ended>) -> Result<PlanUse> {
        self.plan.refuse_other_target(&target(stack))?;
        let id = &self.plan.id;
        let (name, environment) = (stack.name(), stack.environment());
        let newest = last.map_or(0, |last| last.deployment);
        if newest < self.stack.deployment {
            return Err(self.stale(format!(
                "the saved plan {id} knows deployment {} of `{name}`, and the ledger ends with {newest}",
                self.stack.deployment
            )));
        }
        let mut attempted = false;
        for number in self.stack.deployment + 1..=newest {
            let Some(ended) = stack.ledger.deployment(number).await? else { continue };
            if ended.plan.as_ref().is_none_or(|plan| plan.id != self.plan.digest) {
                continue;
            }
            attempted = true;
            if !ended.outcome.is_settled() {
                continue;
            }
            if number == newest {
                return Ok(PlanUse::Applied(number));
            }
            return Err(self
                .stale(format!("the saved plan {id} was applied already: a plan is used once"))
                .detail(
                    "applied by",
                    format!("deployment {number} of `{name}` in {environment}, {}", ended.by),
                )
                .detail(
                    "since then",
                    format!("deployment {newest} by {}", last.map_or("", |last| &last.by)),
                ));
        }
        self.plan.refuse_expired(stack.clock.now())?;
        self.refuse_other_functions(stack)?;
        self.refuse_other_serving(stack, last, attempted)?;
        Ok(if attempted { PlanUse::Attempted } else { PlanUse::Unused })
    }

    fn refuse_other_functions(&self, stack: &EnvironmentStack) -> Result<()> {
        let planned: BTreeSet<&FunctionName> = self.stack.releases.keys().collect();
        let here: BTreeSet<&FunctionName> = stack.settings.functions.iter().collect();
        if planned == here {
            return Ok(());
        }
        let names =
            |names: BTreeSet<&FunctionName>| format::list(names.into_iter().map(FunctionName::as_str));
        Err(self
            .stale(format!("`{}` runs other functions here than where it was planned", stack.name()))
            .detail("planned", names(planned))
            .detail("here", names(here)))
    }

    fn refuse_other_serving(
        &self,
        stack: &EnvironmentStack,
        last: Option<&Ended>,
        attempted: bool,
    ) -> Result<()> {
        let now = saved_serves(last);
        let functions: BTreeSet<&FunctionName> = self.stack.serves.keys().chain(now.keys()).collect();
        for function in functions {
            let (then, now) = (self.stack.serves.get(function), now.get(function));
            // What an attempt of this plan rolled out already is as it wanted.
            if then == now || (attempted && now == self.stack.releases.get(function)) {
                continue;
            }
            let text = |release: Option<&SavedRelease>| {
                release.map_or("nothing".to_owned(), |release| release.release.to_string())
            };
            return Err(self
                .stale(format!(
                    "`{function}` serves another release in {} than when it was planned",
                    stack.environment()
                ))
                .detail("then", text(then))
                .detail("now", text(now)));
        }
        Ok(())
    }

    /// Unpacks the archive that was planned, and prepares it for Terraform. In a protected environment the archive must be that of
    /// this clone's own files, which a commit has.
    pub(super) async fn configuration(
        &self,
        stack: &EnvironmentStack,
        lock: &WorkLock,
        releases: &BTreeMap<FunctionName, Manifest>,
    ) -> Result<Configuration> {
        if stack.environment_settings.protected {
            self.refuse_other_files(stack)?;
        }
        let zip: PathBuf = stack.plan.work.join("approved.zip");
        self.plan.archive_of(stack.store.as_ref(), &self.stack, &zip).await?;
        let root = plan::unpack_stored(&zip, &stack.plan.work)?;
        let inputs = stack.inputs(&root).await?;
        self.refuse_other_inputs(&inputs)?;
        let configuration = stack.configure(lock, &root, releases, inputs)?;
        let packed = configuration.pack()?.digest;
        if packed != self.stack.archive.sha256 {
            return Err(self
                .stale(format!(
                    "the files of `{}` are not those that were planned once they are unpacked",
                    stack.name()
                ))
                .detail("planned", self.stack.archive.sha256.to_string())
                .detail("unpacked", packed.to_string()));
        }
        let identity = stack.infrastructure.identity(&configuration).await?;
        let version = version_of(&identity);
        if version != self.stack.terraform {
            return Err(self
                .stale(format!("the saved plan {} was made by another Terraform", self.plan.id))
                .detail("planned", self.stack.terraform.clone())
                .detail("here", version));
        }
        Ok(configuration)
    }

    fn refuse_other_files(&self, stack: &EnvironmentStack) -> Result<()> {
        let own = stack.own_files()?;
        if own == self.stack.archive.sha256 {
            return Ok(());
        }
        let (name, environment) = (stack.name(), stack.environment());
        let failure = self
            .stale(format!(
                "{environment} is protected and the saved plan {} was made of other files of `{name}` than this clone has",
                self.plan.id
            ))
            .detail("planned", self.stack.archive.sha256.to_string())
            .detail("here", own.to_string());
        Err(match &self.stack.commit {
            Some(commit) => failure.detail("its commit", format!("{commit}: git checkout {commit}")),
            None => failure,
        })
    }

    fn refuse_other_inputs(&self, inputs: &StackInputs) -> Result<()> {
        let now = all_input_digests(inputs);
        if now == self.stack.inputs {
            return Ok(());
        }
        let names = now.keys().chain(self.stack.inputs.keys()).collect::<BTreeSet<_>>().into_iter();
        let changed = names.filter(|name| now.get(*name) != self.stack.inputs.get(*name)).map(|name| {
            inputs.get(name).map_or_else(|| format!("`{name}`"), |input| format!("`{}`", input.from))
        });
        let changed: Vec<String> = changed.collect();
        Err(self.stale(format!(
            "`{}` takes {}, which changed since it was planned",
            self.stack.stack,
            format::list(changed)
        )))
    }

    /// Returns the saved plan, or the same changes planned anew where the state moved since.
    pub(super) async fn planned(
        &self,
        stack: &EnvironmentStack,
        configuration: &Configuration,
        now: Option<&StateVersion>,
        attempted: bool,
    ) -> Result<PlanToApply> {
        let file = SavedPlan::create(&stack.plan.work)?;
        let bytes = self.plan.plan_of(stack.store.as_ref(), &self.stack).await?;
        std::fs::write(file.path(), &bytes).map_err(|error| failure::io("write", file.path(), error))?;
        let saved = Planned {
            changes: self.changes(),
            drift: Vec::new(),
            outputs_change: self.stack.outputs_change,
            file,
            warnings: Vec::new(),
        };
        let values = stack.infrastructure.open_saved(configuration, &saved).await?;
        // What was shown was read from this plan; the document may have been written by somebody else.
        let shown = plan_differences(&self.stack.changes, &reviewed_changes(&values));
        if !shown.is_empty() {
            return Err(self
                .stale(format!("the saved plan {} is not the one that was shown", self.plan.id))
                .body(differences_text(&shown, "shown", "in the plan")));
        }
        let record = AppliedPlan {
            id: self.plan.digest,
            by: self.plan.document.by.clone(),
            caller: self.plan.document.caller.clone(),
            run_url: self.plan.document.run_url.clone(),
            at: self.plan.document.at,
            planned_anew: false,
        };
        let then = self.stack.state.as_ref();
        if now == then {
            return Ok(PlanToApply { planned: saved, record });
        }
        self.refuse_other_state(stack, now)?;
        drop(saved);
        let planned = state_lock::plan(stack, configuration).await?;
        let new_values = match planned.is_empty() {
            true => Value::Null,
            false => stack.infrastructure.values(configuration, &planned).await?,
        };
        let differences = if attempted {
            remaining_differences(&values, &new_values)
        } else {
            plan_differences(&self.stack.changes, &reviewed_changes(&new_values))
        };
        let serial =
            |state: Option<&StateVersion>| state.map_or("none".to_owned(), |state| state.serial.to_string());
        let moved = format!("serial {} -> {}", serial(then), serial(now));
        if !differences.is_empty() {
            return Err(self
                .stale(format!(
                    "the state of `{}` in {} moved since the saved plan {}, and the changes are others now",
                    stack.name(),
                    stack.environment(),
                    self.plan.id
                ))
                .detail("state", moved)
                .body(differences_text(&differences, "approved", "now")));
        }
        let what = match planned.changes.len() {
            0 => "nothing is left to change".to_owned(),
            count if attempted => format!("{} left, as approved", format::plural(count, "change")),
            count => format!("the same {}", format::plural(count, "change")),
        };
        stack.progress.note(format!("state     {moved} since the plan: planned anew, {what}"));
        Ok(PlanToApply { planned, record: AppliedPlan { planned_anew: true, ..record } })
    }

    /// Refuses a state that does not continue the one that was planned with.
    fn refuse_other_state(&self, stack: &EnvironmentStack, now: Option<&StateVersion>) -> Result<()> {
        let then = self.stack.state.as_ref();
        let what = match (then, now) {
            (Some(then), Some(now)) if then.lineage != now.lineage => "is another one",
            (Some(then), Some(now)) if now.serial < then.serial => "is older",
            (Some(_), None) => "is gone",
            _ => return Ok(()),
        };
        let text = |state: Option<&StateVersion>| state.map_or("no state".to_owned(), ToString::to_string);
        Err(self
            .stale(
                format!(
                    "the state of `{}` in {} {what} than when it was planned",
                    stack.name(),
                    stack.environment()
                )
                .replace("is gone than when", "is gone since"),
            )
            .detail("planned", text(then))
            .detail("now", text(now)))
    }

    /// Returns the changes as Terraform's stream names them.
    fn changes(&self) -> Vec<Change> {
        let rows = self.stack.changes.iter().map(|change| &change.row);
        rows.filter(|row| row.action != Action::Read && !row.address.starts_with("output."))
            .map(|row| Change {
                address: row.address.clone(),
                action: row.action,
                reason: row.reason.clone(),
            })
            .collect()
    }
}

/// Returns what a plan for a stack is made for.
pub(crate) fn target(stack: &EnvironmentStack) -> Target {
    let backend = &stack.plan.backend;
    Target {
        project: stack.plan.project.clone(),
        environment: stack.environment().to_string(),
        account: backend.account.clone(),
        region: backend.region.clone(),
        bucket: backend.bucket.clone(),
        prefix: backend.prefix.clone(),
    }
}

/// Returns what serves according to the newest deployment.
pub(super) fn saved_serves(last: Option<&Ended>) -> BTreeMap<FunctionName, SavedRelease> {
    let serves = last.into_iter().flat_map(|last| &last.serves);
    serves
        .map(|(function, serving)| {
            let saved = SavedRelease { release: serving.release.clone(), digest: serving.digest };
            (function.clone(), saved)
        })
        .collect()
}

/// Returns a digest of each value from another stack, sensitive ones included: only a saved plan, which has the values
/// themselves, keeps them.
pub(super) fn all_input_digests(inputs: &StackInputs) -> BTreeMap<String, Digest> {
    let digest = |input: &plan::StackInput| Digest::of(input.value.to_string().as_bytes());
    inputs.iter().map(|(variable, input)| (variable.clone(), digest(input))).collect()
}

/// Returns the version of Terraform in what identifies it.
pub(super) fn version_of(identity: &[(String, String)]) -> String {
    let version = identity.iter().find(|(name, _)| name == "terraform");
    version.map(|(_, version)| version.clone()).unwrap_or_default()
}

/// Returns differences as a table.
fn differences_text(differences: &[PlanDifference], then: &str, now: &str) -> String {
    let header = ["resource".to_owned(), then.to_owned(), now.to_owned()];
    let rows: Vec<[String; 3]> =
        std::iter::once(header).chain(differences.iter().map(PlanDifference::columns)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (first, second) = (width(0), width(1));
    let lines = rows.iter().map(|[address, was, is]| format!("{address:first$}  {was:second$}  {is}"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;

//! The project that a ledger belongs to: its marker, compared with each reading of the ledger and written with the first entry.
//!
//! The marker is `ledger/<stack>/project.json`, behind the entries in a listing. It covers the stack's state and lease as well,
//! which are used only after the ledger was read.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Head, Ledger};
use crate::failure::{Failure, Result};
use crate::format;
use crate::name::StackName;
use crate::ownership::{Marker, ProjectIdentity, Traces};
use crate::plan;
use crate::ports::Put;

/// The project that a ledger has to belong to, and what is known of it so far.
pub(super) struct Owner {
    project: ProjectIdentity,
    /// Whether the marker was found or written: it never changes to another project's, so that it is read once.
    marked: AtomicBool,
}

impl Owner {
    pub(super) fn new(project: ProjectIdentity) -> Self {
        Self { project, marked: AtomicBool::new(false) }
    }
}

/// Result of claiming a ledger for this project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It was this project's already.
    Known,
    /// The marker was written.
    Written,
}

impl Ledger {
    /// Reads the marker, unless it is known.
    pub(super) async fn marker(&self) -> Result<Option<Marker>> {
        match &self.owner {
            Some(owner) if !owner.marked.load(Ordering::Relaxed) => self.read_marker().await,
            _ => Ok(None),
        }
    }

    /// Refuses a ledger of another project, and one that does not show whose it is.
    pub(super) async fn check_owner(&self, marker: Option<&Marker>, head: &Head) -> Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        if owner.marked.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let Some(marker) = marker {
            if !owner.project.owns(marker, Some(&self.environment)) {
                return Err(self.foreign(&owner.project, marker));
            }
            owner.marked.store(true, Ordering::Relaxed);
            return Ok(());
        }
        match (&head.open, &head.last) {
            (None, None) => {
                self.refuse_earlier(&owner.project).await?;
                self.refuse_unknown_state(&owner.project).await
            }
            _ if owner.project.wrote(&traces(head)) => Ok(()),
            _ => Err(self.unproven(&owner.project, head)),
        }
    }

    /// Refuses another stack of the environment that belongs to another project: this stack takes its outputs.
    pub(crate) async fn refuse_foreign_stack(&self, stack: &StackName) -> Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let other = Self::new(self.store.clone(), self.environment.clone(), stack.clone());
        other.of_project(&owner.project).refuse_foreign().await
    }

    /// Refuses a stack that belongs to another project, without reading its ledger.
    pub(super) async fn refuse_foreign(&self) -> Result<()> {
        match (self.marker().await?, &self.owner) {
            (Some(marker), Some(owner)) if !owner.project.owns(&marker, Some(&self.environment)) => {
                Err(self.foreign(&owner.project, &marker))
            }
            _ => Ok(()),
        }
    }

    /// Writes the marker before the first entry. Two projects that begin at the same moment find out here.
    pub(super) async fn mark(&self) -> Result<()> {
        let Some(owner) = &self.owner else { return Ok(()) };
        if owner.marked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let own = owner.project.marker(Some(&self.environment));
        if let Put::Different = self.store.put_new(&self.marker_key(), own.bytes()?).await?
            && let Some(found) = self.read_marker().await?
            && !owner.project.owns(&found, Some(&self.environment))
        {
            return Err(self.foreign(&owner.project, &found));
        }
        owner.marked.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Makes the ledger this project's, whatever it shows. A marker of another project is replaced only if `from` names it.
    pub(crate) async fn claim(&self, from: Option<&str>) -> Result<Claim> {
        let Some(owner) = &self.owner else { return Ok(Claim::Known) };
        match self.read_marker().await? {
            Some(found) if owner.project.owns(&found, Some(&self.environment)) => return Ok(Claim::Known),
            Some(found) if from != Some(found.project.as_str()) => {
                return Err(self.foreign(&owner.project, &found));
            }
            Some(found) => {
                let mut own = owner.project.marker(Some(&self.environment));
                own.replaces = found.replaces;
                own.replaces.push(found.project);
                self.store.put(&self.marker_key(), own.bytes()?).await?;
            }
            None => self.mark().await?,
        }
        owner.marked.store(true, Ordering::Relaxed);
        Ok(Claim::Written)
    }

    /// Refuses an empty ledger if this project has one without the prefix: a plan would create everything a second time.
    async fn refuse_earlier(&self, project: &ProjectIdentity) -> Result<()> {
        let Some(store) = &self.earlier else { return Ok(()) };
        let earlier = Self::new(store.clone(), self.environment.clone(), self.stack.clone());
        // One that is refused is another project's, for which the prefix was set.
        let Ok(Head { open, last, .. }) = Box::pin(earlier.of_project(project).head()).await else {
            return Ok(());
        };
        if open.is_none() && last.is_none() {
            return Ok(());
        }
        let (stack, from, to) = (&self.stack, store.place(), self.store.place());
        Err(Failure::refused(format!(
            "the ledger and the state of `{stack}` in {} are in {from}, without the prefix that is set now",
            self.environment
        ))
        .detail("looked in", to.clone())
        .unchanged("Nothing was planned or changed.")
        .hint(format!(
            "remove prefix under [state] in terraform/environments/{}/environment.toml, or copy the state, the ledger and the \
             applied configurations while nobody deploys: aws s3 cp {from}/{stack}.tfstate {to}/{stack}.tfstate; \
             aws s3 cp --recursive {from}/ledger/{stack}/ {to}/ledger/{stack}/; \
             aws s3 cp --recursive {from}/configurations/ {to}/configurations/",
            self.environment
        )))
    }

    /// Refuses a state that no ledger records, if it has resources: a plan would begin with destroying them.
    async fn refuse_unknown_state(&self, project: &ProjectIdentity) -> Result<()> {
        let Some((_, state)) = plan::read_state(self.store.as_ref(), &self.stack).await? else {
            return Ok(());
        };
        let resources = state.get("resources").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
        if resources == 0 {
            return Ok(());
        }
        Err(Failure::refused(format!(
            "the state of `{}` in {} has {} that no deployment of {} recorded",
            self.stack,
            self.environment,
            format::plural(resources, "resource"),
            project.project
        ))
        .detail("state", format!("{}/{}.tfstate", self.store.place(), self.stack))
        .detail("this project", project.describe())
        .unchanged("Nothing was planned or changed.")
        .hint(self.what_to_write(project)))
    }

    fn foreign(&self, project: &ProjectIdentity, marker: &Marker) -> Failure {
        Failure::refused(format!(
            "the stack `{}` in {} belongs to the project {}, and this is {}",
            self.stack,
            self.store.place(),
            marker.project,
            project.project
        ))
        .detail("there", marker.describe())
        .detail("this project", format!("{}, environment {}", project.describe(), self.environment))
        .detail("marker", format!("{}/{}", self.store.place(), self.marker_key()))
        .unchanged("Nothing was planned or changed.")
        .hint(format!(
            "prefix = \"{0}/\" under [state] in terraform/environments/{1}/environment.toml gives this project keys of its own; \
             if the project, its repository or the environment was renamed: cargo xtask claim {2} --env {1} --from {3}",
            project.project, self.environment, self.stack, marker.project
        ))
    }

    fn unproven(&self, project: &ProjectIdentity, head: &Head) -> Failure {
        let (number, by, at) = match (&head.open, &head.last) {
            (Some(open), _) => (open.deployment, &open.by, open.at),
            (None, Some(last)) => (last.deployment, &last.by, last.at),
            (None, None) => return Failure::defect("an empty ledger was asked for its owner"),
        };
        let names = function_names(head);
        let failure = Failure::refused(format!(
            "the ledger of `{}` in {} may be another project's: neither a commit nor a function in it is known to be of {}",
            self.stack, self.environment, project.project
        ))
        .detail("ledger", format!("{}/{}", self.store.place(), self.prefix()))
        .detail("newest", format!("deployment {number} by {by} at {at}"));
        let failure = match names.is_empty() {
            true => failure,
            false => failure.detail("functions", names.join(", ")),
        };
        failure
            .detail("this project", project.describe())
            .unchanged("Nothing was planned or changed.")
            .hint(self.what_to_write(project))
    }

    fn what_to_write(&self, project: &ProjectIdentity) -> String {
        format!(
            "if it is this project's: cargo xtask claim {0} --env {1}; if it is another's: prefix = \"{2}/\" under [state] in \
             terraform/environments/{1}/environment.toml gives this project keys of its own",
            self.stack, self.environment, project.project
        )
    }

    async fn read_marker(&self) -> Result<Option<Marker>> {
        let key = self.marker_key();
        let stored = self.store.get(&key).await?;
        stored.map(|stored| Marker::read(&stored.bytes, &format!("{}/{key}", self.store.place()))).transpose()
    }

    pub(super) fn marker_key(&self) -> String {
        format!("{}project.json", self.prefix())
    }
}

fn traces(head: &Head) -> Traces<'_> {
    let last = head.last.iter();
    let chosen = head.open.iter().flat_map(|open| open.will.values());
    let chosen = chosen.chain(last.clone().flat_map(|last| last.will.values()));
    let commits = chosen.map(|release| release.commit.as_str());
    let served = last.clone().flat_map(|last| last.serves.values()).map(|serving| serving.commit.as_str());
    let own = last.filter_map(|last| last.commit.as_deref());
    Traces {
        commits: own.chain(commits).chain(served).collect(),
        repository: None,
        function_names: function_names(head),
    }
}

fn function_names(head: &Head) -> Vec<&str> {
    let open = head.open.iter().flat_map(|open| open.serves.values());
    let last = head.last.iter().flat_map(|last| last.serves.values());
    let names: BTreeSet<&str> = open.chain(last).map(|serving| serving.function_name.as_str()).collect();
    names.into_iter().collect()
}

#[cfg(test)]
#[path = "owner/tests.rs"]
mod tests;

//! Whose a lock on a stack's state is, by proof: a lock is given up only where it is certain that nobody holds it.
//!
//! In: Terraform's lock file and the item in an environment's lock table, the open deployment, the work folder's lock and the
//! processes of this machine. Out: who holds the lock, that nobody does, or that nothing here shows it. A lock that a run made
//! itself, and whose answer was lost, is that run's own: it is removed, and the plan is made again. Errors: the store or the
//! table cannot be read.

use serde::Deserialize;

pub(crate) use self::machine::Machine;
use self::machine::RunningTerraform;
use super::EnvironmentStack;
use crate::failure::{Failure, FailureKind, Result};
use crate::ledger::{HolderState, Started};
use crate::plan::{Applied, Configuration, Planned};

pub(crate) mod machine;

/// Terraform's lock, in a file beside the state and in the table of an environment that has one:
/// <https://developer.hashicorp.com/terraform/language/backend/s3#state-locking>.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct StateLock {
    /// Its id.
    #[serde(rename = "ID")]
    pub(super) id: String,
    /// `user@host`.
    #[serde(rename = "Who")]
    pub(super) who: String,
    /// `OperationTypePlan`, `OperationTypeApply`.
    #[serde(rename = "Operation")]
    pub(super) operation: String,
    /// When it was made, by the clock of that host.
    #[serde(rename = "Created")]
    pub(super) created: String,
}

/// Whether somebody holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LockProof {
    /// Somebody does, or may; says who.
    Held(String),
    /// Nobody does; says why that is certain.
    Free(String),
    /// Nothing here shows it; says why.
    Unknown(String),
}

impl StateLock {
    /// Reads the locks of a stack's state, the lock file's first: none, one, or two where the file and the table hold different
    /// ones, as where another tool locks by the table alone. One that does not say whose it is is named by its place.
    pub(super) async fn read(stack: &EnvironmentStack) -> Result<Vec<std::result::Result<Self, String>>> {
        let key = format!("{}.tfstate.tflock", stack.name());
        let mut locks = Vec::new();
        if let Some(stored) = stack.store.get(&key).await? {
            let place = || format!("{}/{key}", stack.store.place());
            locks.push(serde_json::from_slice(&stored.bytes).map_err(|_| place()));
        }
        if let Some(table) = &stack.plan.backend.lock_table {
            let path = stack.plan.lock_path();
            if let Some(text) = stack.services.state_lock(table, &path).await? {
                let place = || format!("the item {path} of the table {table}");
                let lock = serde_json::from_str(&text).map_err(|_| place());
                // Terraform takes both for one run, and they are one lock.
                if !locks.contains(&lock) {
                    locks.push(lock);
                }
            }
        }
        Ok(locks)
    }

    /// Removes a lock by its id, wherever it is.
    ///
    /// With a table, Terraform removes the file and the item with that id, and fails if there is only one of them: what counts
    /// is that none is left.
    pub(super) async fn remove(
        stack: &EnvironmentStack,
        configuration: &Configuration,
        id: &str,
    ) -> Result<()> {
        let removed = stack.infrastructure.unlock(configuration, id).await;
        if removed.is_err() && stack.plan.backend.lock_table.is_some() {
            let left = Self::read(stack).await?;
            if !left.iter().any(|lock| lock.as_ref().is_ok_and(|lock| lock.id == id)) {
                return Ok(());
            }
        }
        removed
    }

    fn host(&self) -> &str {
        self.who.rsplit_once('@').map_or("", |(_, host)| host)
    }

    /// Returns whether somebody holds the lock. `open` is the deployment that has not ended, with what is known of its process.
    ///
    /// That a run of Slipway died proves nothing about its Terraform, which goes on until it has saved its state.
    pub(super) fn proof(&self, stack: &EnvironmentStack, open: Option<(&Started, HolderState)>) -> LockProof {
        let machine = (stack.machine)();
        if let Some((open, state)) = open.filter(|(_, state)| state.is_alive()) {
            let (number, by) = (open.deployment, &open.by);
            return LockProof::Held(format!(
                "deployment {number} by {by} has not ended, and {}",
                state.text()
            ));
        }
        let host = self.host();
        if host != machine.host {
            return LockProof::Unknown(format!(
                "it was made on {host}, and nothing here shows whether that Terraform still runs"
            ));
        }
        if let Some(RunningTerraform { pid, .. }) = machine.terraform_of(stack, self) {
            return LockProof::Held(format!("a Terraform that may hold it runs here (process {pid})"));
        }
        // The entry proves that the lock was made among the processes that are seen here.
        let made_here = open.is_some_and(|(open, _)| {
            let created: Option<jiff::Timestamp> = self.created.parse().ok();
            open.holder.shares_processes_with(&stack.holder)
                && self.operation == APPLY
                && created.zip(open.holder.since).is_some_and(|(created, since)| created >= since)
        });
        if machine.sees_all || made_here {
            return LockProof::Free(format!("it was made on {host}, where no Terraform of this stack runs"));
        }
        LockProof::Unknown(format!(
            "it was made on {host}, and this process does not see all processes of that machine"
        ))
    }
}

/// What Terraform calls the locks of a plan and of an apply.
const PLAN: &str = "OperationTypePlan";
const APPLY: &str = "OperationTypeApply";

/// Plans a configuration; plans again where the plan met a lock of its own.
pub(super) async fn plan(stack: &EnvironmentStack, configuration: &Configuration) -> Result<Planned> {
    let begun = stack.clock.real_time();
    match stack.infrastructure.plan(configuration).await {
        Err(failure) if removes_own(stack, configuration, begun, PLAN, &failure).await? => {
            stack.infrastructure.plan(configuration).await
        }
        planned => planned,
    }
}

/// Plans the removal of everything; plans again where the plan met a lock of its own.
pub(super) async fn plan_destroy(stack: &EnvironmentStack, configuration: &Configuration) -> Result<Planned> {
    let begun = stack.clock.real_time();
    match stack.infrastructure.plan_destroy(configuration).await {
        Err(failure) if removes_own(stack, configuration, begun, PLAN, &failure).await? => {
            stack.infrastructure.plan_destroy(configuration).await
        }
        planned => planned,
    }
}

/// Applies a plan. Where the apply met a lock of its own, that is removed and the plan counts as stale: it was used up.
pub(super) async fn apply(
    stack: &EnvironmentStack,
    configuration: &Configuration,
    planned: &Planned,
) -> Result<Applied> {
    let begun = stack.clock.real_time();
    match stack.infrastructure.apply(configuration, planned).await {
        Err(failure) if removes_own(stack, configuration, begun, APPLY, &failure).await? => {
            Err(Failure::new(
                FailureKind::PlanStale,
                format!(
                    "the apply of `{}` in {} locked itself out: it had locked the state, and the answer was lost",
                    stack.name(),
                    stack.environment()
                ),
            )
            .unchanged("Nothing was applied. The lock was removed.")
            .hint("run the same command again: it plans again"))
        }
        applied => applied,
    }
}

/// Removes the lock that a run of Terraform met, if it is its own: it was written, its answer was lost, and the next attempt
/// found it. Returns whether it was.
///
/// Terraform does not know this itself. The proof: the lock was made on this machine while that Terraform ran, and no other
/// Terraform runs that could have made it. For an apply, the deploy lock keeps every other one out.
async fn removes_own(
    stack: &EnvironmentStack,
    configuration: &Configuration,
    begun: jiff::Timestamp,
    operation: &str,
    failure: &Failure,
) -> Result<bool> {
    if failure.kind() != FailureKind::LockHeld {
        return Ok(false);
    }
    let Ok(locks) = StateLock::read(stack).await else { return Ok(false) };
    // Of two different ones, one is somebody else's.
    let [Ok(lock)] = &locks[..] else { return Ok(false) };
    let created: Option<jiff::Timestamp> = lock.created.parse().ok();
    let while_it_ran = created.is_some_and(|created| begun <= created && created <= stack.clock.real_time());
    let machine = (stack.machine)();
    if !while_it_ran
        || lock.operation != operation
        || lock.host() != machine.host
        || machine.terraform_of(stack, lock).is_some()
    {
        return Ok(false);
    }
    StateLock::remove(stack, configuration, &lock.id).await?;
    stack.progress.note(format!(
        "          the lock {} on the state was this run's own: its answer was lost. It is removed.",
        lock.id
    ));
    Ok(true)
}

#[cfg(test)]
mod tests;

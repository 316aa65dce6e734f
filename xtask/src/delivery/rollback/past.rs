//! The deployments of a stack, newest first, read from the ledger as far as they are needed.
//!
//! In: the newest deployments, as they are known. Out: which releases served before, by deployments that verified. Errors:
//! the ledger cannot be read.

use crate::delivery::observe::HISTORY;
use crate::failure::Result;
use crate::ledger::{DeploymentKind, DeploymentOutcome, Ended, Ledger, Serving};
use crate::name::FunctionName;

/// How many deployments are read at a time: mostly the first of them decides.
const AT_ONCE: u64 = 8;

/// The deployments of a stack.
pub(super) struct Past<'a> {
    ledger: &'a Ledger,
    /// The newest first.
    entries: Vec<Ended>,
    /// The number of the newest deployment that is not read yet; 0 if all are.
    next: u64,
}

impl<'a> Past<'a> {
    /// Begins with the newest deployments, of which there is at least one.
    pub(super) fn new(ledger: &'a Ledger, entries: Vec<Ended>) -> Self {
        let next = entries.last().map_or(0, |oldest| oldest.deployment.saturating_sub(1));
        Self { ledger, entries, next }
    }

    /// Returns the newest deployment.
    pub(super) fn last(&self) -> &Ended {
        &self.entries[0]
    }

    /// Returns the n-th newest deployment.
    pub(super) async fn entry(&mut self, index: usize) -> Result<Option<&Ended>> {
        while index >= self.entries.len() && self.next > 0 && self.entries.len() < HISTORY {
            let oldest = self.next.saturating_sub(AT_ONCE);
            let numbers = (oldest + 1..=self.next).rev();
            let read = numbers.map(|number| self.ledger.deployment(number));
            let read = futures::future::try_join_all(read).await?;
            self.entries.extend(read.into_iter().flatten());
            self.next = oldest;
        }
        Ok(self.entries.get(index))
    }

    /// Returns whether a deployment was a rollback.
    pub(super) async fn is_rollback(&self, number: u64) -> Result<bool> {
        let known = self.entries.iter().find(|ended| ended.deployment == number).map(|ended| ended.kind);
        let kind = match known {
            Some(kind) => Some(kind),
            None => self.ledger.deployment(number).await?.map(|ended| ended.kind),
        };
        Ok(kind == Some(DeploymentKind::Rollback))
    }

    /// Finds the newest verified release of a function that fits, with its deployment, among those that ended well.
    pub(super) async fn find(
        &mut self,
        function: &FunctionName,
        fits: impl Fn(&Ended, &Serving) -> bool,
    ) -> Result<Option<(Serving, u64)>> {
        for index in 0.. {
            let Some(ended) = self.entry(index).await? else { break };
            if let Some(serving) = verified(ended, function).filter(|serving| fits(ended, serving)) {
                return Ok(Some((serving.clone(), ended.deployment)));
            }
        }
        Ok(None)
    }

    /// Finds what a function served before its present release: the newest verified release that is not on hold. Before the
    /// function was added, or the stack destroyed, there is nothing to go back to.
    pub(super) async fn previous(
        &mut self,
        function: &FunctionName,
        from: &Serving,
    ) -> Result<Option<(Serving, u64)>> {
        let last = self.last().clone();
        for index in 0.. {
            let Some(ended) = self.entry(index).await? else { break };
            if ended.deployment >= from.since {
                continue;
            }
            let ended_well = ended.outcome.is_settled() || ended.outcome == DeploymentOutcome::Destroyed;
            if ended_well && !ended.serves.contains_key(function) {
                break;
            }
            let fits = |serving: &&Serving| {
                serving.release != from.release && last.hold_on(function, &serving.release).is_none()
            };
            if let Some(serving) = verified(ended, function).filter(fits) {
                return Ok(Some((serving.clone(), ended.deployment)));
            }
        }
        Ok(None)
    }
}

/// Returns what a function served verified in a deployment that ended well.
fn verified<'a>(ended: &'a Ended, function: &FunctionName) -> Option<&'a Serving> {
    if ended.outcome.is_settled() { ended.verified(function) } else { None }
}

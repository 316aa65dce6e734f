//! The state that the last deployments left, by its lineage and serial, compared with the one that there is.
//!
//! Plain Terraform may have made it newer. Without an entry that knows a state there is nothing to compare.

use super::{DeploymentOutcome, Ended, Ledger};
use crate::failure::Result;
use crate::plan::StateVersion;

/// How many entries of earlier versions, which knew no state where they failed, are passed over.
const PASSED_OVER: u64 = 8;

/// A state that is not the one which the last deployments left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherState {
    /// What is wrong with it: `is gone`.
    pub(crate) what: &'static str,
    /// The deployment that knows the state.
    pub(crate) deployment: u64,
    /// What it left.
    pub(crate) left: StateVersion,
}

impl Ledger {
    /// Compares the state that there is with the one that the deployments up to `last` left; `None` if it may be that one.
    pub(crate) async fn other_state(
        &self,
        last: &Ended,
        now: Option<&StateVersion>,
    ) -> Result<Option<OtherState>> {
        let Some((deployment, left)) = self.state_left(last).await? else { return Ok(None) };
        let what = match now {
            None => "is gone",
            Some(now) if now.lineage != left.lineage => "is another one than the ledger knows",
            Some(now) if now.serial < left.serial => "is older than the ledger knows",
            Some(_) => return Ok(None),
        };
        Ok(Some(OtherState { what, deployment, left }))
    }

    /// Returns the state that the last deployments left, with the number of the one that knows it.
    async fn state_left(&self, last: &Ended) -> Result<Option<(u64, StateVersion)>> {
        let mut ended = last.clone();
        for _ in 0..=PASSED_OVER {
            if ended.outcome == DeploymentOutcome::Destroyed {
                return Ok(None);
            }
            if let Some(state) = ended.state {
                return Ok(Some((ended.deployment, state)));
            }
            match self.deployment(ended.deployment - 1).await? {
                Some(earlier) => ended = earlier,
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}

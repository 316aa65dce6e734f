//! The lock on a state in memory: a file beside the state, as Terraform's S3 backend writes it.
//!
//! A Terraform that dies leaves its lock. Where the answer to its lock is lost, it asks again and finds it: it takes it for
//! somebody else's.

use std::sync::PoisonError;

use super::FakeTerraform;
use crate::failure::{Failure, FailureKind, Result};
use crate::plan::Configuration;
use crate::ports::Clock as _;

/// What Terraform calls the locks of a plan and of an apply.
pub(super) const PLAN: &str = "OperationTypePlan";
pub(super) const APPLY: &str = "OperationTypeApply";

/// Returns the content of a lock file.
pub(crate) type MakeLock = Box<dyn FnOnce() -> String + Send>;

/// Something that happens while an apply holds its lock.
pub(super) type Meanwhile = Box<dyn FnOnce() + Send>;

impl FakeTerraform {
    /// Makes the next plan lose the answer to its lock on the state.
    pub(crate) fn lose_lock_answer(&self, lock: MakeLock) {
        *self.lost_lock.lock().unwrap() = Some(lock);
    }

    /// Makes something happen while the next apply holds its lock.
    pub(crate) fn while_applying(&self, meanwhile: Meanwhile) {
        *self.meanwhile.lock().unwrap() = Some(meanwhile);
    }

    /// Lets that happen.
    pub(super) fn let_it_happen(&self) {
        let meanwhile = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
    }

    /// Locks the state: one that is locked is refused.
    pub(super) async fn lock(&self, configuration: &Configuration, operation: &str) -> Result<()> {
        let key = lock_key(configuration);
        if let Some(lock) = self.lost_lock.lock().unwrap().take() {
            self.store.set(&key, lock());
        }
        let is_locked = || !self.store.objects(&key).is_empty();
        let held = || Failure::new(FailureKind::LockHeld, "the state is locked");
        let locked = self
            .faults
            .call("lock the state", || {
                if is_locked() {
                    return Err(held());
                }
                let created = self.clock.real_time();
                let lock = serde_json::json!({
                    "ID": format!("lock-{}", created.as_second()), "Who": "ada@here", "Operation": operation,
                    "Created": created.to_string(),
                });
                self.store.set(&key, lock.to_string());
                Ok(())
            })
            .await;
        // Asked again after a lost answer.
        locked.map_err(|failure| if is_locked() { held() } else { failure })
    }

    /// Releases the lock, as a Terraform does that ends by itself.
    pub(super) fn release(&self, configuration: &Configuration) {
        self.store.remove(&lock_key(configuration));
    }
}

/// Returns the key of a state's lock.
pub(super) fn lock_key(configuration: &Configuration) -> String {
    format!("{}.tfstate.tflock", configuration.context.stack)
}

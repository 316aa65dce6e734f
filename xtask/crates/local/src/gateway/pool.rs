//! Idle instances, and the limit of all instances.
//!
//! An instance runs one call at a time. Afterwards it waits for a minute for the next call of the same version,
//! configuration and credential. At the limit the instance that is idle longest is ended. If all are busy, a call waits a
//! while and is then throttled.

use super::instance::Instance;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long an idle instance is kept.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// The limit of instances, of all functions together.
const MOST_INSTANCES: u32 = 64;
/// How long a call waits for an instance before it is throttled.
const WAIT: Duration = Duration::from_secs(10);

/// The permission to have one instance.
pub(crate) type InstancePermit = OwnedSemaphorePermit;

/// All idle instances.
pub(crate) struct Pool {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<IdleInstance>>,
}

struct IdleInstance {
    key: String,
    since: Instant,
    instance: Instance,
    permit: InstancePermit,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(MOST_INSTANCES as usize)), idle: Mutex::new(Vec::new()) }
    }

    /// Takes the instance that was used last, so that surplus ones reach their idle limit.
    pub(crate) fn take(&self, key: &str) -> Option<(Instance, InstancePermit)> {
        let mut idle = self.lock();
        while let Some(index) = idle.iter().rposition(|idle| idle.key == key) {
            let IdleInstance { mut instance, permit, .. } = idle.remove(index);
            if instance.is_alive() {
                return Some((instance, permit));
            }
        }
        None
    }

    /// Returns the permission for a new instance; `None` if all instances are busy for too long.
    pub(crate) async fn permit(&self) -> Option<InstancePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(permit);
        }
        let oldest = {
            let mut idle = self.lock();
            (!idle.is_empty()).then(|| idle.remove(0))
        };
        if let Some(IdleInstance { permit, .. }) = oldest {
            return Some(permit);
        }
        tokio::time::timeout(WAIT, Arc::clone(&self.permits).acquire_owned()).await.ok()?.ok()
    }

    /// Keeps an instance for the next call.
    pub(crate) fn give_back(&self, key: String, instance: Instance, permit: InstancePermit) {
        self.lock().push(IdleInstance { key, since: Instant::now(), instance, permit });
    }

    /// Ends all idle instances and waits up to `limit` for the busy ones, which the stopping gateway interrupts.
    pub(crate) async fn close(&self, limit: Duration) {
        self.lock().clear();
        let all = Arc::clone(&self.permits).acquire_many_owned(MOST_INSTANCES);
        let _ = tokio::time::timeout(limit, all).await;
        self.lock().clear();
    }

    /// Ends instances that were idle too long.
    pub(crate) fn end_idle(&self) {
        self.lock().retain(|idle| idle.since.elapsed() < IDLE_LIMIT);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<IdleInstance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

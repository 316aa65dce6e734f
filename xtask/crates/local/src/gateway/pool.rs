//! Instances between two calls, and the limit of all there are.
//!
//! One instance does one call at a time; it is kept for a minute for the next one of the very same version,
//! configuration and credential. When there are too many the one idle longest has to go; when all are busy, a call
//! waits a little and is then throttled.

use super::Gateway;
use super::instance::Instance;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const IDLE: Duration = Duration::from_secs(60);
/// Instances at a time, of all functions.
const MOST: u32 = 64;
const WAIT: Duration = Duration::from_secs(10);

/// The right to have one more instance.
pub(crate) type Place = OwnedSemaphorePermit;

/// All idle instances.
pub(crate) struct Pool {
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    key: String,
    since: Instant,
    instance: Instance,
    place: Place,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST as usize)), idle: Mutex::new(Vec::new()) }
    }

    /// Takes the instance used last, so that the others can grow old.
    pub(crate) fn take(&self, key: &str) -> Option<(Instance, Place)> {
        let mut idle = self.lock();
        while let Some(index) = idle.iter().rposition(|idle| idle.key == key) {
            let Idle { mut instance, place, .. } = idle.remove(index);
            if instance.alive() {
                return Some((instance, place));
            }
        }
        None
    }

    /// Makes room for a new instance; `None` when all are busy for too long.
    pub(crate) async fn place(&self) -> Option<Place> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(place);
        }
        let oldest = {
            let mut idle = self.lock();
            (!idle.is_empty()).then(|| idle.remove(0))
        };
        if let Some(Idle { place, .. }) = oldest {
            return Some(place);
        }
        tokio::time::timeout(WAIT, Arc::clone(&self.places).acquire_owned()).await.ok()?.ok()
    }

    /// Keeps an instance for the next call.
    pub(crate) fn give_back(&self, key: String, instance: Instance, place: Place) {
        self.lock().push(Idle { key, since: Instant::now(), instance, place });
    }

    /// Ends all idle instances and waits a while for the busy ones, which were told to stop.
    pub(crate) async fn close(&self, limit: Duration) {
        self.lock().clear();
        let all = Arc::clone(&self.places).acquire_many_owned(MOST);
        let _ = tokio::time::timeout(limit, all).await;
        self.lock().clear();
    }

    fn end_old(&self) {
        self.lock().retain(|idle| idle.since.elapsed() < IDLE);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends instances that were idle too long, for as long as the gateway serves.
pub(super) async fn reap(gateway: Arc<Gateway>) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        gateway.pool.end_old();
    }
}

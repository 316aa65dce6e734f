//! Who may write what, one after the other.
//!
//! In: the name of an S3 object, a bucket, a DynamoDB table, a region or a function. Out: a guard that is held until the
//! emulator has answered. A bucket is taken before its keys, and a region before its tables, so nobody waits in a circle;
//! what is waited for is the emulator alone, never a client, because bodies are received before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Locks that nobody holds are forgotten once there are this many.
const MANY: usize = 1024;

/// Locks by name, made as they are asked for.
#[derive(Default)]
pub(crate) struct Locks {
    named: Mutex<HashMap<String, Weak<RwLock<()>>>>,
}

/// The right to write; it ends with this value.
pub(crate) struct Held {
    _within: Option<OwnedRwLockReadGuard<()>>,
    _own: OwnedRwLockWriteGuard<()>,
}

impl Locks {
    /// Waits until nobody else writes under this name.
    pub(crate) async fn hold(&self, name: &str) -> Held {
        Held { _within: None, _own: self.named(name).write_owned().await }
    }

    /// Waits until nobody else writes this object or its bucket as a whole.
    pub(crate) async fn hold_within(&self, bucket: &str, key: &str) -> Held {
        let within = self.named(bucket).read_owned().await;
        // A bucket's name has no slash.
        let own = self.named(&format!("{bucket}/{key}")).write_owned().await;
        Held { _within: Some(within), _own: own }
    }

    fn named(&self, name: &str) -> Arc<RwLock<()>> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= MANY {
            named.retain(|_, lock| lock.strong_count() > 0);
        }
        if let Some(lock) = named.get(name).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(RwLock::new(()));
        named.insert(name.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn waits(future: impl Future<Output = Held>) -> bool {
        tokio::time::timeout(Duration::from_millis(20), future).await.is_err()
    }

    #[tokio::test]
    async fn keys_exclude_themselves_and_a_bucket_all_its_keys() {
        let locks = Locks::default();
        let one = locks.hold_within("bucket", "one").await;
        assert!(waits(locks.hold_within("bucket", "one")).await);
        assert!(waits(locks.hold("bucket")).await);
        assert!(!waits(locks.hold("other")).await);
        let two = locks.hold_within("bucket", "two").await;
        drop((one, two));
        let whole = locks.hold("bucket").await;
        assert!(waits(locks.hold_within("bucket", "one")).await);
        drop(whole);
        assert!(!waits(locks.hold_within("bucket", "one")).await);
    }

    #[test]
    fn locks_that_nobody_holds_are_forgotten() {
        let locks = Locks::default();
        let held = locks.named("held");
        for number in 0..3 * MANY {
            locks.named(&number.to_string());
        }
        assert!(locks.named.lock().unwrap().len() <= MANY);
        assert!(Arc::ptr_eq(&held, &locks.named("held")));
    }
}

//! Locks by name, which serialize writes.
//!
//! In: the name of an S3 object, a bucket, a DynamoDB table, a region or a function. Out: a guard that is held until the
//! emulator has responded. A bucket is locked before its keys, and a region before its tables, so there is no deadlock. A
//! guard is held only while the emulator works, never while a client sends, because bodies are received before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Locks that nobody holds are removed when there are this many locks.
const MOST_LOCKS: usize = 1024;

/// Locks by name, created on demand.
#[derive(Default)]
pub(crate) struct Locks {
    named: Mutex<HashMap<String, Weak<RwLock<()>>>>,
}

/// Holds a lock until it is dropped.
pub(crate) struct LockGuard {
    _parent: Option<OwnedRwLockReadGuard<()>>,
    _own: OwnedRwLockWriteGuard<()>,
}

impl Locks {
    /// Locks a name and all its children.
    pub(crate) async fn lock(&self, name: &str) -> LockGuard {
        LockGuard { _parent: None, _own: self.named(name).write_owned().await }
    }

    /// Locks one child of a name, such as a key of a bucket.
    pub(crate) async fn lock_child(&self, parent: &str, child: &str) -> LockGuard {
        let parent_guard = self.named(parent).read_owned().await;
        // Names of buckets and regions have no slash.
        let own = self.named(&format!("{parent}/{child}")).write_owned().await;
        LockGuard { _parent: Some(parent_guard), _own: own }
    }

    fn named(&self, name: &str) -> Arc<RwLock<()>> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= MOST_LOCKS {
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

    async fn waits(future: impl Future<Output = LockGuard>) -> bool {
        tokio::time::timeout(Duration::from_millis(20), future).await.is_err()
    }

    #[tokio::test]
    async fn lock_of_a_bucket_excludes_those_of_its_keys() {
        let locks = Locks::default();
        let one = locks.lock_child("bucket", "one").await;
        assert!(waits(locks.lock_child("bucket", "one")).await);
        assert!(waits(locks.lock("bucket")).await);
        assert!(!waits(locks.lock("other")).await);
        let two = locks.lock_child("bucket", "two").await;
        drop((one, two));
        let whole = locks.lock("bucket").await;
        assert!(waits(locks.lock_child("bucket", "one")).await);
        drop(whole);
        assert!(!waits(locks.lock_child("bucket", "one")).await);
    }

    #[test]
    fn locks_that_nobody_holds_are_removed() {
        let locks = Locks::default();
        let held = locks.named("held");
        for number in 0..3 * MOST_LOCKS {
            locks.named(&number.to_string());
        }
        assert!(locks.named.lock().unwrap().len() <= MOST_LOCKS);
        assert!(Arc::ptr_eq(&held, &locks.named("held")));
    }
}

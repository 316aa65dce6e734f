//! An object store in memory: objects are written once and compared by their bytes; only leases may change.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::Faults;
use crate::digest::Digest;
use crate::failure::{Result, io};
use crate::ports::{DigestComparison, Listed, ObjectHead, Put, Store, Stored};

/// A bucket in memory.
pub(crate) struct FakeStore {
    place: &'static str,
    faults: Arc<Faults>,
    objects: Mutex<BTreeMap<String, Object>>,
    /// The store's own clock, which advances by one second with each object that is written.
    now: AtomicI64,
}

struct Object {
    bytes: Vec<u8>,
    modified: i64,
}

impl FakeStore {
    /// Returns an empty bucket.
    pub(crate) fn new(place: &'static str, faults: Arc<Faults>) -> Arc<Self> {
        // A year that no test's own clock knows: nothing may compare the two.
        Arc::new(Self { place, faults, objects: Mutex::default(), now: AtomicI64::new(1_000_000_000) })
    }

    /// Returns all objects whose keys begin with a prefix.
    pub(crate) fn objects(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let objects = self.objects.lock().unwrap();
        objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, object)| (key.clone(), object.bytes.clone()))
            .collect()
    }

    /// Advances the store's clock.
    pub(crate) fn advance(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Writes an object without a call to the port, as somebody outside could.
    pub(crate) fn set(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        self.insert(&mut self.objects.lock().unwrap(), key, bytes.into());
    }

    fn insert(&self, objects: &mut BTreeMap<String, Object>, key: &str, bytes: Vec<u8>) {
        let modified = self.now.fetch_add(1, Ordering::Relaxed);
        objects.insert(key.to_owned(), Object { bytes, modified });
    }

    /// Removes an object without a call to the port, as somebody outside could.
    pub(crate) fn remove(&self, key: &str) {
        self.objects.lock().unwrap().remove(key);
    }

    fn write_new(&self, key: &str, bytes: Vec<u8>) -> Put {
        let mut objects = self.objects.lock().unwrap();
        match objects.get(key) {
            Some(stored) if stored.bytes == bytes => Put::Same,
            Some(_) => Put::Different,
            None => {
                self.insert(&mut objects, key, bytes);
                Put::Created
            }
        }
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn put_new(&self, key: &str, bytes: Vec<u8>) -> Result<Put> {
        self.faults.call(&format!("put_new {key}"), || Ok(self.write_new(key, bytes))).await
    }

    async fn put_new_file(
        &self,
        key: &str,
        path: &Path,
        digest: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Put> {
        self.faults
            .call(&format!("put_new_file {key}"), || {
                let bytes = std::fs::read(path).map_err(|error| io("read", path, error))?;
                assert_eq!(Digest::of(&bytes), digest, "the file is not what its digest says");
                progress(bytes.len() as u64);
                Ok(self.write_new(key, bytes))
            })
            .await
    }

    // Not counted as a call: the lease is renewed in the background, at no fixed place among the others.
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        let may_change = key.starts_with("leases/") || key.ends_with("/project.json");
        assert!(may_change, "{key} was overwritten");
        self.set(key, bytes);
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Stored>> {
        self.faults
            .call(&format!("get {key}"), || {
                let objects = self.objects.lock().unwrap();
                let age = |object: &Object| Some(self.now.load(Ordering::Relaxed) - object.modified);
                Ok(objects.get(key).map(|object| Stored { bytes: object.bytes.clone(), age: age(object) }))
            })
            .await
    }

    async fn compare(&self, key: &str, digest: Digest, to: Option<&Path>) -> Result<DigestComparison> {
        self.faults
            .call(&format!("holds {key}"), || {
                let objects = self.objects.lock().unwrap();
                let Some(Object { bytes, .. }) = objects.get(key) else {
                    return Ok(DigestComparison::Missing);
                };
                if Digest::of(bytes) != digest {
                    return Ok(DigestComparison::Other(Digest::of(bytes)));
                }
                to.map_or(Ok(()), |to| std::fs::write(to, bytes).map_err(|error| io("write", to, error)))?;
                Ok(DigestComparison::Same)
            })
            .await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        self.faults
            .call(&format!("delete {key}"), || {
                self.remove(key);
                Ok(())
            })
            .await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectHead>> {
        self.faults
            .call(&format!("head {key}"), || {
                let objects = self.objects.lock().unwrap();
                // As of an upload in parts: every other object has no digest.
                Ok(objects.get(key).map(|object| ObjectHead {
                    size: object.bytes.len() as u64,
                    sha256: key.len().is_multiple_of(2).then(|| Digest::of(&object.bytes)),
                }))
            })
            .await
    }

    async fn list(&self, prefix: &str, limit: Option<usize>) -> Result<Vec<String>> {
        self.faults
            .call(&format!("list {prefix}"), || {
                Ok(self.objects(prefix).into_keys().take(limit.unwrap_or(usize::MAX)).collect())
            })
            .await
    }

    async fn list_after(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Listed>> {
        self.faults
            .call(&format!("list {prefix} after {after}"), || {
                let objects = self.objects.lock().unwrap();
                let found = objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
                let listed = found.map(|(key, Object { bytes, modified })| Listed {
                    key: key.clone(),
                    mark: Digest::of(bytes).hex(),
                    modified: *modified,
                });
                Ok(listed.take(limit).collect())
            })
            .await
    }

    fn place(&self) -> String {
        format!("memory://{}", self.place)
    }
}

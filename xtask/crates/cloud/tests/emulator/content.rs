//! Files to send, their digests, and stores that send them in small parts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use slipway_cloud::{Call, Digest, ObjectStore, Put, Session, UploadOptions};

use super::moto::{observer, target};

pub const MIB: usize = 1 << 20;
pub const PARTS: UploadOptions = UploadOptions { threshold: 5 << 20, part_size: 5 << 20, parallel: 3 };

pub fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(bytes)
}

pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Bytes without a pattern that repeats from part to part.
pub fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed + 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend((state >> 16).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

pub async fn observed(endpoint: &str, name: &str) -> (ObjectStore, Arc<Mutex<Vec<Call>>>) {
    let (observer, seen) = observer();
    let session = Session::open(target(endpoint), Some(observer)).await.unwrap();
    (session.store(name, None).with_uploads(PARTS), seen)
}

pub async fn send(store: &ObjectStore, path: &Path, bytes: &[u8]) -> Put {
    store.put_new_file("artifact", path, sha256(bytes), &|_| {}).await.unwrap()
}

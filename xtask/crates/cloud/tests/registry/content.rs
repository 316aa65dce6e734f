//! Blobs and images to push, and clients to push them with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use slipway_cloud::{
    Anonymous, BlobSource, BlobToPush, Digest, ImageToPush, Registry, RegistryCredentials, RegistryOptions,
};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Options for loopback: without TLS, with short pauses.
pub fn options() -> RegistryOptions {
    RegistryOptions {
        plain_http: true,
        backoff: Duration::from_millis(5),
        read_timeout: Duration::from_secs(5),
        ..RegistryOptions::default()
    }
}

pub fn registry(host: &str) -> Registry {
    Registry::new(host, Arc::new(Anonymous), options()).unwrap()
}

pub fn registry_with(host: &str, credentials: Arc<dyn RegistryCredentials>) -> Registry {
    Registry::new(host, credentials, options()).unwrap()
}

/// Bytes without a repeating pattern.
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

/// A file of such bytes, with its digest and size.
pub struct Blob {
    pub path: PathBuf,
    pub digest: Digest,
    pub size: u64,
    pub bytes: Vec<u8>,
}

pub fn blob(folder: &tempfile::TempDir, length: usize, seed: u64) -> Blob {
    let bytes = bytes(length, seed);
    let path = folder.path().join(format!("blob-{length}-{seed}"));
    std::fs::write(&path, &bytes).unwrap();
    Blob { path, digest: Digest::of(&bytes), size: length as u64, bytes }
}

impl Blob {
    pub fn to_push(&self) -> BlobToPush {
        BlobToPush {
            digest: self.digest,
            size: self.size,
            from: BlobSource::File(self.path.clone()),
            mount_from: None,
        }
    }
}

/// An image of these layers. Its manifest calls them uncompressed tar files; only a client that unpacks them would notice.
pub fn image(layers: &[&Blob]) -> ImageToPush {
    let ids: Vec<String> = layers.iter().map(|layer| layer.digest.to_string()).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": ids },
        "history": ids.iter().map(|_| serde_json::json!({ "created_by": "test" })).collect::<Vec<_>>(),
    });
    let config = config.to_string().into_bytes();
    let descriptor = |media_type: &str, digest: Digest, size: u64| serde_json::json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size });
    let config_digest = Digest::of(&config);
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config_digest, config.len() as u64),
        "layers": layers.iter()
            .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer.digest, layer.size))
            .collect::<Vec<_>>(),
    });
    let mut blobs: Vec<BlobToPush> = layers.iter().map(|layer| layer.to_push()).collect();
    blobs.push(BlobToPush {
        digest: config_digest,
        size: config.len() as u64,
        from: BlobSource::Bytes(config.into()),
        mount_from: None,
    });
    ImageToPush { blobs, manifest: manifest.to_string().into_bytes(), media_type: OCI_MANIFEST.to_owned() }
}

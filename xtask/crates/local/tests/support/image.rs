//! Images that a test makes and pushes over HTTP.

use super::{Response, send};
use axum::body::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A runtime written in bash only.
pub const BOOTSTRAP: &str = include_str!("bootstrap.sh");

pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

/// An image, as it is pushed.
pub struct Image {
    pub layers: Vec<Vec<u8>>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
}

impl Image {
    /// Makes an image of tars and execution settings.
    pub fn new(tars: &[Vec<u8>], architecture: &str, execution: Value) -> Self {
        let ids: Vec<String> = tars.iter().map(|tar| digest(tar)).collect();
        let layers: Vec<Vec<u8>> = tars.iter().map(|tar| gzip(tar)).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "config": execution,
            "rootfs": { "type": "layers", "diff_ids": ids },
        });
        Self::of(layers, config.to_string().into_bytes())
    }

    /// Makes an image with a manifest for these parts, which need not be valid.
    pub fn of(layers: Vec<Vec<u8>>, config: Vec<u8>) -> Self {
        let described: Vec<Value> = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, &config), "layers": described,
        });
        Self { layers, config, manifest: manifest.to_string().into_bytes() }
    }

    pub fn digest(&self) -> String {
        digest(&self.manifest)
    }

    /// Pushes blobs and manifest, by digest and under a tag if one is given.
    pub async fn push(&self, registry: &str, repository: &str, tag: Option<&str>) {
        for blob in self.layers.iter().chain([&self.config]) {
            let pushed = push_blob(registry, repository, blob).await;
            assert_eq!(pushed.status, 201, "{}", pushed.text());
        }
        let digest = self.digest();
        let reference = tag.unwrap_or(&digest);
        let pushed = put_manifest(registry, repository, reference, MANIFEST, &self.manifest).await;
        assert_eq!((pushed.status, pushed.header("docker-content-digest")), (201, Some(digest.as_str())));
    }
}

/// Pushes a blob as ECR requires it: a POST, then one PUT with all bytes.
pub async fn push_blob(registry: &str, repository: &str, blob: &[u8]) -> Response {
    let begun = send("POST", &format!("{registry}/v2/{repository}/blobs/uploads/"), &[], "").await;
    assert_eq!(begun.status, 202, "{}", begun.text());
    let location = format!("{registry}{}?digest={}", begun.header("location").unwrap(), digest(blob));
    send("PUT", &location, &[], Bytes::copy_from_slice(blob)).await
}

pub async fn put_manifest(
    registry: &str,
    repository: &str,
    reference: &str,
    kind: &str,
    bytes: &[u8],
) -> Response {
    let url = format!("{registry}/v2/{repository}/manifests/{reference}");
    send("PUT", &url, &[("content-type", kind)], Bytes::copy_from_slice(bytes)).await
}

/// Packs files with their modes.
pub fn tar(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content, mode) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Makes a base image for functions: this machine's bash and its libraries.
pub fn base() -> Vec<u8> {
    let bash =
        ["/bin/bash", "/usr/bin/bash"].map(PathBuf::from).into_iter().find(|path| path.is_file()).unwrap();
    let mut files = vec![("bin/bash".to_owned(), bash.clone())];
    let listed = run(Path::new("ldd"), &[bash.to_str().unwrap()]);
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/'));
    files.extend(paths.map(|path| (path[1..].to_owned(), PathBuf::from(path))));
    let read: Vec<_> = files.iter().map(|(name, path)| (name, std::fs::read(path).unwrap())).collect();
    let files: Vec<_> =
        read.iter().map(|(name, content)| (name.as_str(), content.as_slice(), 0o755)).collect();
    tar(&files)
}

/// Makes the image of a function with a label: a base, and a layer with the code.
pub fn function(base: &[u8], label: &str, execution: Value) -> Image {
    let code = tar(&[
        ("var/task/label", label.as_bytes(), 0o666),
        ("var/runtime/bootstrap", BOOTSTRAP.as_bytes(), 0o755),
    ]);
    Image::new(&[base.to_vec(), code], architecture(), execution)
}

/// Returns this machine's architecture, with the images' name for it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Runs a program that must succeed, and returns its output.
#[expect(clippy::disallowed_methods, reason = "the tests run the machine's own programs")]
pub fn run(program: &Path, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{} {arguments:?}: {}", program.display(), text(&output.stderr));
    text(&output.stdout)
}

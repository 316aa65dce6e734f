//! An image of a function: one manifest, its layers, and the settings with which it runs.
//!
//! In: an image URI or a digest. Out: an [`Image`], of which each part was compared with its digest. Errors, in Lambda's
//! words: the image does not exist, it is a list of images, or its format is not supported.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/images-create.html>.

use crate::registry::{Descriptor, Digest, ImageUri, Manifest, Reference, Registry, is_image};
use serde::Deserialize;
use std::fs;

/// Media types of compressed layers.
const GZIP: [&str; 2] =
    ["application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"];
/// Media types of layers that are plain tars.
const PLAIN: [&str; 2] =
    ["application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"];

/// One image.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) digest: Digest,
    pub(super) layers: Vec<Layer>,
    pub(super) config: Config,
}

/// One layer.
#[derive(Debug)]
pub(super) struct Layer {
    /// The digest of the pushed blob.
    pub(super) digest: Digest,
    /// The digest of the tar inside it.
    pub(super) tar_digest: Digest,
    pub(super) gzip: bool,
}

/// The used part of <https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md>.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    architecture: String,
    #[serde(default)]
    config: Option<ExecutionSettings>,
    rootfs: RootFs,
}

/// The settings with which an image runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ExecutionSettings {
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) cmd: Option<Vec<String>>,
    pub(super) env: Option<Vec<String>>,
    pub(super) working_dir: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

/// Why an image cannot be used for a function.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImageError {
    /// The repository, the manifest or a blob of it does not exist.
    #[error("Source image {0} does not exist. Provide a valid source image.")]
    Missing(String),
    /// Lambda does not run it.
    #[error(
        "The image manifest, config or layer media type for the source image {image} is not supported: {reason}."
    )]
    Unsupported {
        /// The image URI of the request.
        image: String,
        /// What is not supported.
        reason: String,
    },
    /// The bytes on the disk are not those that were pushed.
    #[error("{part} of the source image {image} is sha256:{actual} on the disk")]
    Tampered {
        /// The image URI of the request.
        image: String,
        /// The part and its digest.
        part: String,
        /// The digest of the bytes on the disk.
        actual: String,
    },
    /// The registry's folder cannot be read.
    #[error("the source image {image} cannot be read")]
    File {
        /// The image URI of the request.
        image: String,
        /// The system's error.
        source: std::io::Error,
    },
}

impl Image {
    /// Loads the image with a URI, of any host; `uri_text` is for errors.
    pub(super) fn find(registry: &Registry, uri: &ImageUri, uri_text: &str) -> Result<Self, ImageError> {
        Self::load(registry, &uri.repository, &uri.reference, uri_text)
    }

    /// Loads an image of a repository; `uri_text` is for errors.
    pub(super) fn load(
        registry: &Registry,
        repository: &str,
        reference: &Reference,
        uri_text: &str,
    ) -> Result<Self, ImageError> {
        let image = || uri_text.to_owned();
        let file = |source| ImageError::File { image: image(), source };
        let unsupported = |reason: String| ImageError::Unsupported { image: image(), reason };
        let stored = registry
            .manifest(repository, reference)
            .map_err(file)?
            .ok_or_else(|| ImageError::Missing(image()))?;
        check_digest(&stored.bytes, &stored.digest, uri_text, "the manifest")?;
        if !is_image(&stored.media_type) {
            return Err(unsupported(format!(
                "`{}` is a list of images; name one of them by digest",
                stored.media_type
            )));
        }
        let manifest = Manifest::read(&stored.bytes, &stored.media_type).map_err(unsupported)?;
        let descriptor =
            manifest.config.as_ref().ok_or_else(|| unsupported("its manifest has no config".to_owned()))?;
        let digest = digest_of(descriptor).map_err(unsupported)?;
        let bytes = match fs::read(registry.blob_path(&digest)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ImageError::Missing(image()));
            }
            read => read.map_err(file)?,
        };
        check_digest(&bytes, &digest, uri_text, "the config")?;
        let config: Config = serde_json::from_slice(&bytes)
            .map_err(|error| unsupported(format!("its config is not an image config: {error}")))?;
        let (layers, tar_digests) = (&manifest.layers, &config.rootfs.diff_ids);
        if layers.len() != tar_digests.len() {
            return Err(unsupported(format!(
                "its manifest has {} layers, its config {}",
                layers.len(),
                tar_digests.len()
            )));
        }
        let layers = layers.iter().zip(tar_digests).map(|(layer, digest)| Layer::read(layer, digest));
        let layers = layers.collect::<Result<_, _>>().map_err(unsupported)?;
        Ok(Self { digest: stored.digest, layers, config })
    }

    /// Returns the architecture, with Lambda's name for it.
    pub(super) fn architecture(&self) -> &str {
        match self.config.architecture.as_str() {
            "amd64" => "x86_64",
            other => other,
        }
    }

    /// Returns the settings with which the image runs.
    pub(super) fn execution_settings(&self) -> ExecutionSettings {
        self.config.config.clone().unwrap_or_default()
    }
}

impl Layer {
    fn read(descriptor: &Descriptor, tar_digest: &str) -> Result<Self, String> {
        let media_type = descriptor.media_type.as_str();
        let gzip = GZIP.contains(&media_type);
        if !gzip && !PLAIN.contains(&media_type) {
            return Err(format!("its layer {} has the media type `{media_type}`", descriptor.digest));
        }
        let digest = digest_of(descriptor)?;
        let tar_digest = tar_digest
            .parse()
            .map_err(|_| format!("`{tar_digest}`, a layer of its config, is not a SHA-256 digest"))?;
        Ok(Self { digest, tar_digest, gzip })
    }
}

fn digest_of(descriptor: &Descriptor) -> Result<Digest, String> {
    descriptor.digest().ok_or_else(|| format!("`{}` is not a SHA-256 digest", descriptor.digest))
}

fn check_digest(bytes: &[u8], expected: &Digest, uri_text: &str, part: &str) -> Result<(), ImageError> {
    let actual = Digest::of(bytes);
    if actual == *expected {
        return Ok(());
    }
    let (image, part) = (uri_text.to_owned(), format!("{part} {expected}"));
    Err(ImageError::Tampered { image, part, actual: actual.hex().to_owned() })
}

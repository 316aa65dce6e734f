//! An image as a function needs it: one manifest, its layers, and the part of its configuration that decides how it runs.
//!
//! In: an image URI, or a digest that one was resolved to. Out: an [`Image`], every part of it compared with the digest
//! that names it. What can go wrong, with Lambda's words: the image is not there, it is a list of images, or it is of a
//! form that Lambda does not run. See <https://docs.aws.amazon.com/lambda/latest/dg/images-create.html>.

use crate::registry::{Descriptor, Digest, ImageUri, Manifest, Reference, Registry, is_image};
use serde::Deserialize;
use std::fs;

/// Layers that are gzip inside.
const GZIP: [&str; 2] =
    ["application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"];
/// Layers that are a tar as they are.
const PLAIN: [&str; 2] =
    ["application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"];

/// One image.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) digest: Digest,
    pub(super) layers: Vec<Layer>,
    pub(super) config: Config,
}

/// One layer: what was pushed, and what is inside.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) digest: Digest,
    /// The digest of the tar.
    pub(super) inside: Digest,
    pub(super) gzip: bool,
}

/// <https://github.com/opencontainers/image-spec/blob/v1.1.0/config.md>, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    architecture: String,
    #[serde(default)]
    config: Option<Execution>,
    rootfs: Layers,
}

/// How the image wants to be run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Execution {
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) cmd: Option<Vec<String>>,
    pub(super) env: Option<Vec<String>>,
    pub(super) working_dir: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Layers {
    #[serde(default)]
    diff_ids: Vec<String>,
}

/// Why an image is of no use to a function.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImageError {
    /// Neither repository nor manifest, or a blob of it, is there.
    #[error("Source image {0} does not exist. Provide a valid source image.")]
    Missing(String),
    /// Lambda does not run it.
    #[error(
        "The image manifest, config or layer media type for the source image {image} is not supported: {why}."
    )]
    Unsupported {
        /// As it was named.
        image: String,
        /// What is unsupported.
        why: String,
    },
    /// What is on the disk is not what was pushed.
    #[error("{what} of the source image {image} is sha256:{found} on the disk")]
    Tampered {
        /// As it was named.
        image: String,
        /// The part and its digest.
        what: String,
        /// What was found.
        found: String,
    },
    /// The registry's folder cannot be read.
    #[error("the source image {image} cannot be read")]
    File {
        /// As it was named.
        image: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Image {
    /// Finds the image that an URI names, whatever host stands in it.
    pub(super) fn find(registry: &Registry, uri: &ImageUri, named: &str) -> Result<Self, ImageError> {
        Self::load(registry, &uri.repository, &uri.reference, named)
    }

    /// Finds an image in a repository; `named` is what errors call it.
    pub(super) fn load(
        registry: &Registry,
        repository: &str,
        reference: &Reference,
        named: &str,
    ) -> Result<Self, ImageError> {
        let image = || named.to_owned();
        let file = |source| ImageError::File { image: image(), source };
        let unsupported = |why: String| ImageError::Unsupported { image: image(), why };
        let stored = registry
            .manifest(repository, reference)
            .map_err(file)?
            .ok_or_else(|| ImageError::Missing(image()))?;
        untouched(&stored.bytes, &stored.digest, named, "the manifest")?;
        if !is_image(&stored.media_type) {
            return Err(unsupported(format!(
                "`{}` is a list of images; name one of them by its digest",
                stored.media_type
            )));
        }
        let manifest = Manifest::read(&stored.bytes, &stored.media_type).map_err(unsupported)?;
        let descriptor =
            manifest.config.as_ref().ok_or_else(|| unsupported("its manifest names no config".to_owned()))?;
        let digest = digest_of(descriptor).map_err(unsupported)?;
        let bytes = match fs::read(registry.blob(&digest)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ImageError::Missing(image()));
            }
            read => read.map_err(file)?,
        };
        untouched(&bytes, &digest, named, "the config")?;
        let config: Config = serde_json::from_slice(&bytes)
            .map_err(|error| unsupported(format!("its config is not that of an image: {error}")))?;
        let (layers, inside) = (&manifest.layers, &config.rootfs.diff_ids);
        if layers.len() != inside.len() {
            return Err(unsupported(format!(
                "its manifest has {} layers, its config {}",
                layers.len(),
                inside.len()
            )));
        }
        let layers = layers.iter().zip(inside).map(|(layer, inside)| Layer::read(layer, inside));
        let layers = layers.collect::<Result<_, _>>().map_err(unsupported)?;
        Ok(Self { digest: stored.digest, layers, config })
    }

    /// The architecture as Lambda names it.
    pub(super) fn architecture(&self) -> &str {
        match self.config.architecture.as_str() {
            "amd64" => "x86_64",
            other => other,
        }
    }

    /// How the image wants to be run.
    pub(super) fn execution(&self) -> Execution {
        self.config.config.clone().unwrap_or_default()
    }
}

impl Layer {
    fn read(descriptor: &Descriptor, inside: &str) -> Result<Self, String> {
        let media_type = descriptor.media_type.as_str();
        let gzip = GZIP.contains(&media_type);
        if !gzip && !PLAIN.contains(&media_type) {
            return Err(format!("its layer {} has the media type `{media_type}`", descriptor.digest));
        }
        let digest = digest_of(descriptor)?;
        let inside = Digest::parse(inside).ok_or_else(|| format!("its config names the layer `{inside}`"))?;
        Ok(Self { digest, inside, gzip })
    }
}

fn digest_of(descriptor: &Descriptor) -> Result<Digest, String> {
    descriptor.digest().ok_or_else(|| format!("it names the digest `{}`", descriptor.digest))
}

fn untouched(bytes: &[u8], digest: &Digest, named: &str, what: &str) -> Result<(), ImageError> {
    let found = Digest::of(bytes);
    if found == *digest {
        return Ok(());
    }
    let (image, what) = (named.to_owned(), format!("{what} {digest}"));
    Err(ImageError::Tampered { image, what, found: found.hex().to_owned() })
}

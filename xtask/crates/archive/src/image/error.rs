//! Errors of images. Every message names the manifest, config, layer or folder.

use std::path::PathBuf;

use slipway_values::digest::Digest;

/// Why a base was refused or an image could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Bytes that are not JSON.
    #[error("{what} is not JSON: {source}")]
    Json {
        /// The document, with its digest where that is known.
        what: String,
        /// The parser's error.
        source: serde_json::Error,
    },

    /// A member that is missing or has another type.
    #[error("{what} is not valid: {member:?} is not {expected}")]
    Member {
        /// The document.
        what: String,
        /// The member, with dots between its parts.
        member: String,
        /// The expected type, with its article.
        expected: &'static str,
    },

    /// An index instead of an image.
    #[error(
        "{what} is an index of several images ({}), not an image: Lambda accepts only a single manifest",
        platforms.join(", ")
    )]
    Index {
        /// The document.
        what: String,
        /// The platforms in the index, as `os/architecture`.
        platforms: Vec<String>,
    },

    /// An index without an image for the architecture.
    #[error("{what} has no image for linux/{wanted}; it has {}", if platforms.is_empty() { "none".to_owned() } else { platforms.join(", ") })]
    NoPlatform {
        /// The index.
        what: String,
        /// The architecture's name in images.
        wanted: &'static str,
        /// The platforms in the index, as `os/architecture`.
        platforms: Vec<String>,
    },

    /// Docker's manifest schema 1.
    #[error("{what} has Docker's manifest schema 1, which Lambda does not accept: push the base again")]
    SchemaOne {
        /// The document.
        what: String,
    },

    /// A document of another media type.
    #[error(
        "{what} has the media type {media_type:?}, not one of an image that Lambda accepts (OCI or Docker v2 schema 2)"
    )]
    MediaType {
        /// The document.
        what: String,
        /// Its media type.
        media_type: String,
    },

    /// A layer that is not compressed with gzip, or is stored outside the registry.
    #[error(
        "the layer {digest} of {what} has the media type {media_type:?}: {reason}. \
         Lambda is known to accept only gzip layers of the manifest's own family: convert the base"
    )]
    LayerMediaType {
        /// The manifest.
        what: String,
        /// The layer's digest.
        digest: Digest,
        /// Its media type.
        media_type: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// An image for another architecture or operating system.
    #[error("{what} is for {found}, not for linux/{wanted}")]
    Platform {
        /// The config.
        what: String,
        /// Its platform, as `os/architecture`.
        found: String,
        /// The architecture's name in images.
        wanted: &'static str,
    },

    /// Bytes with another digest.
    #[error("{what} does not have the digest {expected}: it has {found}")]
    Digest {
        /// The document or file.
        what: String,
        /// The expected digest.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },

    /// A digest that is not a SHA-256.
    #[error("{what} names {digest:?}, which is not a digest of the form sha256:<64 hex digits>")]
    NotSha256 {
        /// The document.
        what: String,
        /// The text.
        digest: String,
    },

    /// A config with another number of layers than the manifest.
    #[error("{what} has {found} {list}, but the manifest has {layers} layers")]
    Count {
        /// The config.
        what: String,
        /// The list in the config.
        list: &'static str,
        /// Its length.
        found: usize,
        /// The number of layers.
        layers: usize,
    },

    /// A name that is not valid for an environment variable.
    #[error("{name:?} is not a valid name of an environment variable: it is empty, or contains `=` or a NUL")]
    VariableName {
        /// The name.
        name: String,
    },

    /// A time that RFC 3339 cannot express.
    #[error("{epoch_seconds} is not a valid time for an image's config, in seconds since 1970")]
    Time {
        /// The time, in seconds since 1970.
        epoch_seconds: i64,
    },

    /// Another number of files than of layers.
    #[error("the image has {layers} layers on top of its base, but {files} files were given for them")]
    Files {
        /// The number of layers on top of the base.
        layers: usize,
        /// The number of files.
        files: usize,
    },

    /// A folder that is not an OCI image layout of the supported version.
    #[error("{} is not an OCI image layout of version 1.0: {reason}", folder.display())]
    NotALayout {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A layout with no image or several images, without a digest that selects one.
    #[error(
        "{} has {} images: give the digest of one{}",
        folder.display(), images.len(),
        images.iter().map(|image| format!("\n  {image}")).collect::<String>()
    )]
    WhichImage {
        /// The folder.
        folder: PathBuf,
        /// The digests of its images.
        images: Vec<Digest>,
    },
}

//! What can go wrong with an image. Every message names the manifest, config, layer or folder concerned.

use std::path::PathBuf;

use slipway_values::digest::Digest;

/// Says why a base was refused or an image could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Bytes that are not JSON.
    #[error("{what} is not JSON: {source}")]
    Json {
        /// The document, with its digest where that is known.
        what: String,
        /// What the parser says.
        source: serde_json::Error,
    },

    /// A member that is missing or of another kind.
    #[error("{what} is no such document: {member:?} is not {expected}")]
    Member {
        /// The document.
        what: String,
        /// The member, with dots between its parts.
        member: String,
        /// What it should be, with its article.
        expected: &'static str,
    },

    /// Several images where one is wanted.
    #[error(
        "{what} is an index of several images ({}), and an image is wanted: Lambda accepts a single manifest only",
        platforms.join(", ")
    )]
    Index {
        /// The document.
        what: String,
        /// What the index holds, as `os/architecture`.
        platforms: Vec<String>,
    },

    /// An index without an image for the architecture.
    #[error("{what} has no image for linux/{wanted}; it has {}", if platforms.is_empty() { "none".to_owned() } else { platforms.join(", ") })]
    NoPlatform {
        /// The index.
        what: String,
        /// The architecture, in an image's words.
        wanted: &'static str,
        /// What the index holds, as `os/architecture`.
        platforms: Vec<String>,
    },

    /// Docker's first kind of manifest.
    #[error(
        "{what} is of Docker's schema 1, which has no config and which Lambda does not accept: push the base anew"
    )]
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
        /// What it says it is.
        media_type: String,
    },

    /// A layer that is not compressed by gzip, or not in the image at all.
    #[error(
        "the layer {digest} of {what} has the media type {media_type:?}: {reason}. \
         Lambda is known to accept gzip layers of the manifest's own family alone: convert the base"
    )]
    LayerMediaType {
        /// The manifest.
        what: String,
        /// The layer's digest.
        digest: Digest,
        /// What it says it is.
        media_type: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// An image for other processors or another system.
    #[error("{what} is for {found}, and linux/{wanted} is wanted")]
    Platform {
        /// The config.
        what: String,
        /// What it says, as `os/architecture`.
        found: String,
        /// The architecture, in an image's words.
        wanted: &'static str,
    },

    /// Bytes that are not those that were named.
    #[error("{what} does not have the digest {expected}: it has {found}")]
    Digest {
        /// The document or file.
        what: String,
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of what is there.
        found: Digest,
    },

    /// A digest that is no SHA-256.
    #[error("{what} names {digest:?}, which is not a digest of the form sha256:<64 hex digits>")]
    NotSha256 {
        /// The document.
        what: String,
        /// What stands there.
        digest: String,
    },

    /// A config that does not belong to the manifest's layers.
    #[error("{what} lists {found} {list}, and the manifest has {layers} layers")]
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

    /// An environment variable's name that can't be one.
    #[error("{name:?} can't be the name of an environment variable: it is empty, or holds `=` or a NUL")]
    VariableName {
        /// The name as given.
        name: String,
    },

    /// A time that RFC 3339 can't say.
    #[error("{epoch_seconds} seconds since 1970 is no time that an image's config can say")]
    Time {
        /// The time as it was given.
        epoch_seconds: i64,
    },

    /// Another number of files than of layers to be written.
    #[error("the image has {layers} layers of its own, and {files} files were given for them")]
    Files {
        /// The number of own layers.
        layers: usize,
        /// The number of files.
        files: usize,
    },

    /// A folder that is no OCI image layout of the known version.
    #[error("{} is not an OCI image layout of version 1.0: {reason}", folder.display())]
    NotALayout {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A layout with none or several images, of which none was asked for.
    #[error(
        "{} holds {} images, so its digest has to be given{}",
        folder.display(), images.len(),
        images.iter().map(|image| format!("\n  {image}")).collect::<String>()
    )]
    WhichImage {
        /// The folder.
        folder: PathBuf,
        /// The digests of the images that it holds.
        images: Vec<Digest>,
    },
}

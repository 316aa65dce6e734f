//! Container images without a container engine: a base, layers on top of it, and a config that is edited.
//!
//! In: the manifest and config of a base image ([`Base`]), or none; layers written by [`crate::write_layer`]; changes to
//! the config ([`ConfigEdit`]). Out: an [`Image`], whose manifest's digest is known before anything is pushed; the same as
//! an OCI image layout on disk ([`write_layout`]); the reasons for which Lambda would refuse it ([`check_image`]). A base's
//! layers are referred to by digest and never read. Its config keeps every member that is not changed, in the same order.
//!
//! Errors: an [`ImageError`] names the base, layer or folder: an index instead of an image, another architecture, layers
//! that are not gzip, bytes with another digest.

use serde_json::{Value, json};
use slipway_values::digest::Digest;

pub use base::Base;
pub use compose::{ConfigEdit, compose};
pub use error::ImageError;
pub use index::select_from_index;
pub use layout::{Layout, blob_path, write_layout};
pub use preflight::{ImageFinding, check_image};
pub use slipway_values::architecture::Architecture;

mod base;
mod compose;
mod error;
mod index;
mod json;
mod layout;
mod preflight;

/// One of the two families of media types. An image has types of one family only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaTypes {
    /// The Open Container Initiative's.
    Oci,
    /// Docker's, version 2 schema 2.
    Docker,
}

impl MediaTypes {
    /// Returns the media type of a manifest.
    pub const fn manifest(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    /// Returns the media type of a config.
    pub const fn config(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.config.v1+json",
            Self::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    /// Returns the media type of a gzip-compressed layer.
    pub const fn layer(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        }
    }
}

/// Media type, digest and length of a blob or manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// The media type.
    pub media_type: String,
    /// The SHA-256.
    pub digest: Digest,
    /// The length in bytes.
    pub size: u64,
}

impl Descriptor {
    fn to_json(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.size })
    }
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDescriptor {
    /// The media type.
    pub media_type: String,
    /// The SHA-256 of the compressed layer.
    pub digest: Digest,
    /// The length of the compressed layer, in bytes.
    pub size: u64,
    /// Whether it was added on top of the base, not taken from it.
    pub own: bool,
    /// The uncompressed length in bytes. It is unknown for a base's layers, because manifests do not have it.
    pub unpacked_size: Option<u64>,
}

impl LayerDescriptor {
    fn to_json(&self) -> Value {
        let Self { media_type, digest, size, .. } = self;
        Descriptor { media_type: media_type.clone(), digest: *digest, size: *size }.to_json()
    }
}

/// An image for one architecture: manifest, config, and descriptors of its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The SHA-256 of the manifest: the image's digest in a registry, and Lambda's `CodeSha256`.
    pub digest: Digest,
    /// The config's bytes.
    pub config: Vec<u8>,
    /// The SHA-256 of the config.
    pub config_digest: Digest,
    /// The layers, the lowest first.
    pub layers: Vec<LayerDescriptor>,
    /// The manifest's media type.
    pub media_type: &'static str,
}

#[cfg(test)]
mod tests;

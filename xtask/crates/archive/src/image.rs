//! Container images without a container engine: a base, layers on top of it, and a config that is edited.
//!
//! In: the manifest and config of a base image ([`Base`]), or none; layers written by [`crate::write_layer`]; and
//! what the config shall say ([`ConfigEdit`]). Out: an [`Image`], whose manifest's digest is known before anything is
//! pushed; the same as an OCI image layout on the disk ([`write_layout`]); and what Lambda would refuse about it
//! ([`check_image`]). A base's layers are named by digest and never read, and its config keeps every member that is
//! not edited, in its place.
//!
//! What can go wrong is an [`ImageError`] that names the base, layer or folder concerned: an index where one image
//! is wanted, another architecture, layers that are not gzip, bytes that do not have their digest.

use serde_json::{Value, json};

pub use base::Base;
pub use compose::{ConfigEdit, compose};
pub use error::ImageError;
pub use index::select_from_index;
pub use layout::{Layout, blob_path, write_layout};
pub use preflight::{Finding, check_image};
pub use slipway_values::architecture::Architecture;

mod base;
mod compose;
mod error;
mod index;
mod json;
mod layout;
mod preflight;

/// Names one of the two families of media types, which are not mixed in an image.
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

/// Names a blob or a manifest by media type, digest and length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its SHA-256.
    pub digest: [u8; 32],
    /// Its length in bytes.
    pub size: u64,
}

impl Descriptor {
    fn to_json(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": digest_text(&self.digest), "size": self.size })
    }
}

/// Names a layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerDescriptor {
    /// What it is.
    pub media_type: String,
    /// The SHA-256 of the compressed layer.
    pub digest: [u8; 32],
    /// The length of the compressed layer, in bytes.
    pub size: u64,
    /// Whether it was put on top of the base, rather than taken from it.
    pub own: bool,
    /// The length of the layer unpacked, in bytes, where it is known: a manifest does not say it.
    pub unpacked_size: Option<u64>,
}

impl LayerDescriptor {
    fn to_json(&self) -> Value {
        let Self { media_type, digest, size, .. } = self;
        Descriptor { media_type: media_type.clone(), digest: *digest, size: *size }.to_json()
    }
}

/// An image for one architecture: what is pushed beside its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The SHA-256 of the manifest: the image's name in a registry, and Lambda's `CodeSha256`.
    pub digest: [u8; 32],
    /// The config's bytes.
    pub config: Vec<u8>,
    /// The SHA-256 of the config.
    pub config_digest: [u8; 32],
    /// The layers, from the lowest on.
    pub layers: Vec<LayerDescriptor>,
    /// The manifest's media type.
    pub media_type: &'static str,
}

/// Writes a digest as images do: `sha256:` and lower-case hex.
pub fn digest_text(digest: &[u8; 32]) -> String {
    format!("sha256:{}", hex::encode(digest))
}

/// Reads a digest as images write it; anything but SHA-256 is none.
pub fn digest_from_text(text: &str) -> Option<[u8; 32]> {
    let hex_digits = text.strip_prefix("sha256:")?;
    if hex_digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    hex::decode(hex_digits).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;

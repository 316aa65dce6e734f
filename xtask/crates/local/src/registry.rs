//! The image registry of the local environment: images by digest and tag, after the OCI distribution specification 1.1.
//!
//! In: requests under `/v2/`, see <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md>. Out:
//! responses, and images for the gateway, which runs them. A tag never moves, as in an ECR repository with immutable tags.
//! Errors are responses with the specification's codes.

mod blobs;
mod error;
mod manifest;
mod manifests;
mod name;
mod query;
mod referrers;
mod router;
mod store;
mod upload_sessions;
mod uploads;

pub(crate) use manifest::{Descriptor, Manifest, is_image};
pub(crate) use name::{Digest, ImageUri, Reference};
pub(crate) use router::handle;
pub(crate) use store::Registry;

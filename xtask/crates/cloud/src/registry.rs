//! One OCI registry: its blobs, manifests, tags and referrers.
//!
//! In: a host, credentials, and the content of repositories. Out: manifests and blobs whose SHA-256 was computed here
//! from the received bytes, and complete images: blobs are pushed first, the manifest last, and a tag is never moved.
//! Errors: a [`CloudError`] names `host/repository` and the digest or tag where a registry refuses, cuts off the
//! connection, does not respond in time, or sends other bytes than expected.
//!
//! Each blob is sent as one streamed PUT, because ECR loses what chunked uploads send after their first chunk. Transfers
//! that are cut off are started again, with growing pauses. Requests use the same HTTP client as the AWS calls:
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md>.

mod authorization;
mod blobs;
mod body;
mod challenge;
mod client;
mod credentials;
mod docker;
mod image;
mod manifests;
mod reference;
mod referrers;
mod response;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::call::Observer;
use crate::error::CloudError;
use client::Client;

pub use blobs::Pushed;
pub use credentials::{Anonymous, Login, RegistryCredentials};
pub use docker::{CredentialHelper, DockerCredentials, HelperOutput};
pub use image::{BlobProgress, BlobSource, BlobToPush, ImageToPush, PushedImage};
pub use manifests::StoredManifest;
pub use reference::{ImageReference, ReferenceError};
pub use referrers::{Attachment, Descriptor, Referrer};

/// Options of a connection to a registry.
#[derive(Clone)]
pub struct RegistryOptions {
    /// Uses HTTP without TLS, for registries on loopback.
    pub plain_http: bool,
    /// The time limit for a connection to be made.
    pub connect_timeout: Duration,
    /// The time limit without progress: no byte sent, no byte received, no response.
    pub read_timeout: Duration,
    /// How often a request, or the upload of a blob, is tried.
    pub attempts: u32,
    /// The pause before the second attempt. It doubles with each attempt, less a random part.
    pub backoff: Duration,
    /// The longest pause, even where the registry asks for a longer one.
    pub longest_pause: Duration,
    /// The number of an image's blobs that are transferred at the same time.
    pub parallel_blobs: usize,
    /// Certificates in PEM that are trusted in addition to the system's.
    pub certificates: Vec<u8>,
    /// Gets every request after its response, or after the last attempt.
    pub observer: Option<Observer>,
}

/// One registry. Clones share connections and tokens.
#[derive(Clone)]
pub struct Registry {
    client: Arc<Client>,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            plain_http: false,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(60),
            attempts: 5,
            backoff: Duration::from_millis(250),
            longest_pause: Duration::from_secs(30),
            parallel_blobs: 3,
            certificates: Vec::new(),
            observer: None,
        }
    }
}

impl Registry {
    /// Returns a registry by host, without a request. The host may have a port; `docker.io` is Docker Hub.
    ///
    /// # Errors
    /// A text that is not a host; certificates that are not PEM.
    pub fn new(
        host: &str,
        credentials: Arc<dyn RegistryCredentials>,
        options: RegistryOptions,
    ) -> Result<Self, CloudError> {
        Ok(Self { client: Arc::new(Client::new(host, credentials, options)?) })
    }

    /// Returns the host as it was given to [`Registry::new`].
    pub fn host(&self) -> &str {
        &self.client.host
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("host", &self.client.host).finish_non_exhaustive()
    }
}

impl fmt::Debug for RegistryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryOptions")
            .field("plain_http", &self.plain_http)
            .field("attempts", &self.attempts)
            .field("parallel_blobs", &self.parallel_blobs)
            .finish_non_exhaustive()
    }
}

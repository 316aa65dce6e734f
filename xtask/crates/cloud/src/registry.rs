//! One OCI registry: its blobs, manifests, tags and referrers.
//!
//! In: a host, credentials, and repositories with what is to be in them. Out: manifests and blobs whose SHA-256
//! was computed here from the bytes received, and images that are whole: blobs first, the manifest last, a tag
//! never moved. What can go wrong is a [`CloudError`] that names `host/repository` and the digest or tag: a
//! registry that refuses, breaks off, does not answer in time, or gives other bytes than it promised.
//!
//! Each blob is sent as one streamed PUT, because Amazon's registry loses what chunked uploads send after their
//! first chunk. What breaks off is begun again, with growing pauses. Requests go over the HTTP client that the
//! AWS calls use: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md>.

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

/// How a registry is spoken to.
#[derive(Clone)]
pub struct RegistryOptions {
    /// Speaks HTTP without TLS: for registries on loopback.
    pub plain_http: bool,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long nothing may move: no byte taken, no byte sent, no answer.
    pub read_timeout: Duration,
    /// How often a request, or the upload of a blob, is begun.
    pub attempts: u32,
    /// The pause before the second attempt; it doubles with each, and each is shortened by a random part.
    pub backoff: Duration,
    /// The longest pause, also where the registry asks for a longer one.
    pub longest_pause: Duration,
    /// How many blobs of an image are under way at once.
    pub parallel_blobs: usize,
    /// Certificates in PEM that are trusted besides the system's.
    pub certificates: Vec<u8>,
    /// Sees every request after it was answered, or given up.
    pub observer: Option<Observer>,
}

/// Access to one registry. Clones share connections and tokens.
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
    /// Settles which registry is meant, without a request. The host may have a port; `docker.io` is Docker's.
    ///
    /// # Errors
    /// A host that is none; certificates that are not PEM.
    pub fn new(
        host: &str,
        credentials: Arc<dyn RegistryCredentials>,
        options: RegistryOptions,
    ) -> Result<Self, CloudError> {
        Ok(Self { client: Arc::new(Client::new(host, credentials, options)?) })
    }

    /// Names the registry as it was named to [`Registry::new`].
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

//! The ports: what the way through needs from outside, as traits with a second implementation or faults to inject.
//!
//! Values are the leaf crates' own; `world.rs` implements each port over them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
pub(crate) use slipway_cloud::{
    Alias, FunctionConfiguration, HttpAnswer, HttpRequest, Invocation, Put, Resource,
};

use crate::digest::Digest;
use crate::failure::Result;

/// A stored object's content.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

/// What an object turned out to be when it was read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// It has the digest that was asked for.
    Same,
    /// It has another one.
    Other(Digest),
    /// There is no such object.
    Missing,
}

/// Where immutable objects are kept.
#[async_trait]
pub(crate) trait Store: Send + Sync {
    /// Writes an object that must not exist yet; compares what is there by SHA-256 where it does.
    async fn put_new(&self, key: &str, bytes: Vec<u8>) -> Result<Put>;
    /// Writes a file's content likewise; `progress` is told the bytes sent.
    async fn put_new_file(
        &self,
        key: &str,
        path: &Path,
        digest: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Put>;
    /// Writes an object that changes: the deploy lock's lease.
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()>;
    /// Reads an object; nothing where there is none.
    async fn get(&self, key: &str) -> Result<Option<Stored>>;
    /// Reads an object again and compares its SHA-256; keeps the bytes in `to` where they are the right ones.
    async fn holds(&self, key: &str, digest: Digest, to: Option<&Path>) -> Result<Held>;
    /// Returns an object's size in bytes; nothing where there is none.
    async fn size(&self, key: &str) -> Result<Option<u64>>;
    /// Lists keys with a prefix in bytewise order, at most `limit` of them.
    async fn list(&self, prefix: &str, limit: Option<usize>) -> Result<Vec<String>>;
    /// Names the place, for messages.
    fn place(&self) -> String;
}

/// An image with its name: what is in it decides its digest.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// SHA-256 of the manifest: what Lambda reports as the code's hash.
    pub(crate) digest: Digest,
    /// The manifest's bytes.
    pub(crate) manifest: Vec<u8>,
    /// The manifest's media type.
    pub(crate) media_type: String,
    /// Config and layers.
    pub(crate) blobs: Vec<ImageBlob>,
}

/// A config or layer.
#[derive(Debug, Clone)]
pub(crate) struct ImageBlob {
    /// SHA-256.
    pub(crate) digest: Digest,
    /// Bytes.
    pub(crate) size: u64,
    /// Where its bytes are.
    pub(crate) place: BlobPlace,
}

/// Where a blob's bytes are.
#[derive(Debug, Clone)]
pub(crate) enum BlobPlace {
    /// In a file.
    File(PathBuf),
    /// In memory.
    Bytes(Vec<u8>),
}

/// Where releases' images are kept.
#[async_trait]
pub(crate) trait Images: Send + Sync {
    /// Has an image in a repository under a tag that is never moved; `progress` is told the bytes sent.
    async fn push(
        &self,
        repository: &str,
        tag: &str,
        image: &Image,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Put>;
    /// Reads a manifest of a repository; nothing where there is none.
    async fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Vec<u8>>>;
    /// Reads every blob that a manifest of a repository names; tells what is wrong with the first that is not its digest's.
    async fn check_blobs(
        &self,
        repository: &str,
        manifest: &[u8],
        scratch: &Path,
    ) -> Result<std::result::Result<u64, String>>;
    /// Attaches a document to an image, once for each kind and content.
    async fn attach(&self, repository: &str, image: &Image, kind: &str, document: &[u8]) -> Result<()>;
    /// Names the place, for messages.
    fn place(&self) -> String;
}

/// Where base images come from.
#[async_trait]
pub(crate) trait Bases: Send + Sync {
    /// Reads a manifest or index of an image's repository.
    async fn manifest(&self, reference: &str, digest: &Digest) -> Result<Vec<u8>>;
    /// Has a blob of an image's repository in a file, whose digest is then right.
    async fn blob(&self, reference: &str, digest: &Digest, size: u64, to: &Path) -> Result<()>;
}

/// The functions of an environment's account.
#[async_trait]
pub(crate) trait Functions: Send + Sync {
    /// Reads a published version's configuration; nothing where it does not exist.
    async fn published(&self, function: &str, version: &str) -> Result<Option<FunctionConfiguration>>;
    /// Calls a version with an event and waits for the answer.
    async fn invoke(
        &self,
        function: &str,
        version: &str,
        event: &[u8],
        within: Duration,
    ) -> Result<Invocation>;
    /// Reads an alias; nothing where it does not exist.
    async fn alias(&self, function: &str, alias: &str) -> Result<Option<Alias>>;
    /// Moves an alias, only if it is still as it was read.
    async fn point(&self, function: &str, alias: &str, version: &str, revision: &str) -> Result<Alias>;
    /// Tells whether an event source delivers; nothing where it does not exist.
    async fn event_source(&self, uuid: &str) -> Result<Option<bool>>;
    /// Lets an event source deliver, or stops it.
    async fn switch_event_source(&self, uuid: &str, enabled: bool) -> Result<()>;
}

/// What an environment's account answers beside Lambda's own API.
#[async_trait]
pub(crate) trait Services: Send + Sync {
    /// Reads a secret's text; nothing where the secret, or its value, does not exist.
    async fn secret(&self, id: &str) -> Result<Option<String>>;
    /// Sends a request, signed for a service where one is named.
    async fn send(
        &self,
        request: &HttpRequest,
        sign_for: Option<&str>,
        within: Duration,
    ) -> Result<HttpAnswer>;
}

/// What signs releases: a key in a file or in a key management service.
#[async_trait]
pub(crate) trait Signer: Send + Sync {
    /// Returns the id of the public half: SHA-256 of its SPKI in DER, 64 hex characters.
    fn key_id(&self) -> &str;
    /// Returns the public half: SPKI in DER.
    fn public_key(&self) -> Result<Vec<u8>>;
    /// Signs a message with ECDSA on P-256 over its SHA-256; returns a DER signature.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>>;
}

/// Who says yes.
pub(crate) trait Approver: Send + Sync {
    /// Asks; `Ok(false)` is a no, an error means that nobody could be asked.
    fn approve(&self, question: &str) -> Result<bool>;
    /// Has the name of something protected typed; `Ok(false)` where something else was.
    fn typed(&self, name: &str) -> Result<bool>;
}

/// The time.
pub(crate) trait Clock: Send + Sync {
    /// Returns the time that records carry; `SLIPWAY_NOW` fixes it.
    fn now(&self) -> jiff::Timestamp;
    /// Returns the real time, which nothing fixes and which never goes back while the process runs.
    fn real_time(&self) -> jiff::Timestamp;
    /// Returns the time since an arbitrary moment, for measuring how long something waits.
    fn monotonic(&self) -> Duration;
}

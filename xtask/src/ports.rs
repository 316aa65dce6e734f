//! The ports: what the stages need from outside, as traits; the fakes of the tests are their second implementation.
//!
//! The values are those of the crates below; `app` implements each port with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
pub(crate) use slipway_cloud::{
    Alias, FunctionConfiguration, HttpRequest, HttpResponse, Invocation, LambdaLimits, Put, Quota, Resource,
};

use crate::digest::Digest;
use crate::failure::Result;

/// How many calls are under way at once, which limits connections and memory, and spares an account's limit of calls a second
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html#api-requests>).
const AT_ONCE: usize = 32;

/// Makes calls side by side; the results are in the order of the calls. The first failure in that order ends it.
pub(crate) async fn side_by_side<T, F: Future<Output = Result<T>>>(
    calls: impl IntoIterator<Item = F>,
) -> Result<Vec<T>> {
    stream::iter(calls).buffered(AT_ONCE).try_collect().await
}

/// A stored object's content.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// How many seconds ago it was written, by the store's own clock; `None` where the store does not say.
    pub(crate) age: Option<i64>,
}

/// Result of comparing a stored object with a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DigestComparison {
    /// It has this digest.
    Same,
    /// It has another digest.
    Other(Digest),
    /// It does not exist.
    Missing,
}

/// What a store knows of an object without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObjectHead {
    /// The size in bytes.
    pub(crate) size: u64,
    /// The SHA-256 of the whole object, where the store compared it with the bytes when it was written. An object that was
    /// uploaded in parts has none.
    pub(crate) sha256: Option<Digest>,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The key.
    pub(crate) key: String,
    /// The store's mark of this content (S3: the ETag); another content has another one. Empty where the store has none.
    pub(crate) mark: String,
    /// When it was written, in seconds since 1970 by the store's own clock.
    pub(crate) modified: i64,
}

/// A store of immutable objects.
#[async_trait]
pub(crate) trait Store: Send + Sync {
    /// Writes an object that must not exist yet; if it exists, compares its SHA-256.
    async fn put_new(&self, key: &str, bytes: Vec<u8>) -> Result<Put>;
    /// Does the same with a file's content; `progress` receives the bytes sent.
    async fn put_new_file(
        &self,
        key: &str,
        path: &Path,
        digest: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Put>;
    /// Overwrites an object: the lease of a deploy lock.
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Result<()>;
    /// Reads an object; `None` if it does not exist.
    async fn get(&self, key: &str) -> Result<Option<Stored>>;
    /// Compares the SHA-256 of an object's bytes; writes them to `to` if they have this digest.
    async fn compare(&self, key: &str, digest: Digest, to: Option<&Path>) -> Result<DigestComparison>;
    /// Returns what the store knows of an object without its bytes; `None` if it does not exist.
    async fn head(&self, key: &str) -> Result<Option<ObjectHead>>;
    /// Lists keys with a prefix in bytewise order, at most `limit` of them.
    async fn list(&self, prefix: &str, limit: Option<usize>) -> Result<Vec<String>>;
    /// Lists objects with a prefix whose keys come after `after`, in bytewise order, at most `limit` of them.
    async fn list_after(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Listed>>;
    /// Deletes an object, if it exists; only `prune` does.
    async fn delete(&self, key: &str) -> Result<()>;
    /// Returns the name of the store, for messages.
    fn place(&self) -> String;
}

/// An image, identified by the digest of its content.
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

/// The bytes of a blob.
#[derive(Debug, Clone)]
pub(crate) enum BlobPlace {
    /// In a file.
    File(PathBuf),
    /// In memory.
    Bytes(Vec<u8>),
}

/// The registry of released images.
#[async_trait]
pub(crate) trait Images: Send + Sync {
    /// Pushes an image under a tag that is never moved, unless it is there; `progress` receives the bytes sent.
    async fn push(
        &self,
        repository: &str,
        tag: &str,
        image: &Image,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Put>;
    /// Does the same with a document in the form of an image, which nothing scans.
    async fn push_document(&self, repository: &str, tag: &str, document: &Image) -> Result<Put>;
    /// Reads a manifest; `None` if it does not exist.
    async fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Vec<u8>>>;
    /// Reads the manifest that a tag names; `None` if it does not exist.
    async fn tagged(&self, repository: &str, tag: &str) -> Result<Option<Vec<u8>>>;
    /// Reads a blob of this size.
    async fn blob(&self, repository: &str, digest: &Digest, size: u64) -> Result<Vec<u8>>;
    /// Reads every blob that a manifest names; returns what is wrong with the first one that differs from its digest.
    async fn check_blobs(
        &self,
        repository: &str,
        manifest: &[u8],
        scratch: &Path,
    ) -> Result<std::result::Result<u64, String>>;
    /// Deletes an image, with its attachments, its signature and its attestation; only `prune` does.
    async fn delete(&self, repository: &str, digest: &Digest) -> Result<()>;
    /// Attaches a document to an image, unless it is attached already.
    async fn attach(&self, repository: &str, image: &Image, kind: &str, document: &[u8]) -> Result<()>;
    /// Returns the name of the store, for messages.
    fn place(&self) -> String;
}

/// The registries of base images.
#[async_trait]
pub(crate) trait Bases: Send + Sync {
    /// Reads a manifest or index.
    async fn manifest(&self, reference: &str, digest: &Digest) -> Result<Vec<u8>>;
    /// Writes a blob to a file, after checking its digest.
    async fn blob(&self, reference: &str, digest: &Digest, size: u64, to: &Path) -> Result<()>;
}

/// The functions of an environment's account.
#[async_trait]
pub(crate) trait Functions: Send + Sync {
    /// Reads a published version's configuration; `None` if it does not exist.
    async fn published(&self, function: &str, version: &str) -> Result<Option<FunctionConfiguration>>;
    /// Invokes a version with an event and waits for the result.
    async fn invoke(
        &self,
        function: &str,
        version: &str,
        event: &[u8],
        within: Duration,
    ) -> Result<Invocation>;
    /// Lists a function's published versions, oldest first.
    async fn versions(&self, function: &str) -> Result<Vec<FunctionConfiguration>>;
    /// Deletes a published version. Lambda refuses one that an alias points to.
    async fn delete_version(&self, function: &str, version: &str) -> Result<()>;
    /// Reads an alias; `None` if it does not exist.
    async fn alias(&self, function: &str, alias: &str) -> Result<Option<Alias>>;
    /// Moves an alias, only if its revision is unchanged.
    async fn move_alias(&self, function: &str, alias: &str, version: &str, revision: &str) -> Result<Alias>;
    /// Returns whether an event source is enabled; `None` if it does not exist.
    async fn event_source_enabled(&self, uuid: &str) -> Result<Option<bool>>;
    /// Enables or disables an event source.
    async fn set_event_source_enabled(&self, uuid: &str, enabled: bool) -> Result<()>;
}

/// Other services of an environment's account.
#[async_trait]
pub(crate) trait Services: Send + Sync {
    /// Looks for a resource by its name; returns the id that Terraform imports it by, or `None` if there is none.
    async fn existing(&self, resource: &Resource) -> Result<Option<String>>;
    /// Reads the lock of a state, named by bucket and key, in a table that Terraform locks with; `None` if there is none.
    async fn state_lock(&self, table: &str, state: &str) -> Result<Option<String>>;
    /// Reads a secret's text; `None` if the secret or its value does not exist.
    async fn secret(&self, id: &str) -> Result<Option<String>>;
    /// Hides a secret in the log of a CI job, where the CI system can.
    fn hide_secret(&self, _secret: &str) {}
    /// Sends a request, signed if a service is named.
    async fn send(
        &self,
        request: &HttpRequest,
        sign_for: Option<&str>,
        within: Duration,
    ) -> Result<HttpResponse>;
}

/// What an environment's account may have, and has. Only reads.
#[async_trait]
pub(crate) trait Quotas: Send + Sync {
    /// Reads the limits of Lambda in the environment's region.
    async fn lambda(&self) -> Result<LambdaLimits>;
    /// Returns how many invocations a function reserves; none where it does not exist.
    async fn reserved_concurrency(&self, function: &str) -> Result<i64>;
    /// Returns how many Elastic IP addresses the region has and may have.
    async fn elastic_ips(&self) -> Result<Quota>;
    /// Returns how many of them have all of these tags.
    async fn elastic_ips_tagged(&self, tags: &[(&str, &str)]) -> Result<usize>;
    /// Returns how many managed policies a role has and may have.
    async fn attached_policies(&self, role: &str) -> Result<Quota>;
}

/// Signs releases, with a key in a file or in a key management service.
#[async_trait]
pub(crate) trait Signer: Send + Sync {
    /// Returns the id of the public half: SHA-256 of its SPKI in DER, 64 hex characters.
    fn key_id(&self) -> &str;
    /// Returns the public half: SPKI in DER.
    fn public_key(&self) -> Result<Vec<u8>>;
    /// Returns whether it is the project's release key, which signs only what is committed.
    fn is_release_key(&self) -> bool;
    /// Signs a message with ECDSA on P-256 over its SHA-256; returns a DER signature.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>>;
}

/// The key that signs releases, where one is configured.
#[async_trait]
pub(crate) trait SigningKeys: Send + Sync {
    /// Opens the key; returns nothing where none is configured.
    async fn signer(&self) -> Result<Option<Arc<dyn Signer>>>;
}

/// Asks for approval.
pub(crate) trait Approver: Send + Sync {
    /// Asks a question; `Ok(false)` is a no, an error means that nobody can be asked.
    fn approve(&self, question: &str) -> Result<bool>;
    /// Asks for the name of a protected resource to be typed; `Ok(false)` if something else was typed.
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

//! The ports: what the way through needs from outside, as traits with a second implementation or faults to inject.
//!
//! Values are the leaf crates' own; `world.rs` implements each port over them.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
pub(crate) use slipway_cloud::{Alias, FunctionConfiguration, Invocation, Put};

use crate::failure::Outcome;
use crate::name::Digest;
use crate::plan::{Applied, Configuration, Planned};

/// A stored object's content.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
}

/// Where immutable objects are kept.
#[async_trait]
pub(crate) trait Store: Send + Sync {
    /// Writes an object that must not exist yet; compares what is there by SHA-256 where it does.
    async fn put_new(&self, key: &str, bytes: Vec<u8>) -> Outcome<Put>;
    /// Writes a file's content likewise; `progress` is told the bytes sent.
    async fn put_new_file(
        &self,
        key: &str,
        path: &Path,
        digest: Digest,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Outcome<Put>;
    /// Writes an object that changes: the deploy lock's lease.
    async fn put(&self, key: &str, bytes: Vec<u8>) -> Outcome<()>;
    /// Reads an object; nothing where there is none.
    async fn get(&self, key: &str) -> Outcome<Option<Stored>>;
    /// Returns an object's size in bytes; nothing where there is none.
    async fn size(&self, key: &str) -> Outcome<Option<u64>>;
    /// Lists keys with a prefix in bytewise order, at most `limit` of them.
    async fn list(&self, prefix: &str, limit: Option<usize>) -> Outcome<Vec<String>>;
    /// Names the place, for messages.
    fn place(&self) -> String;
}

/// The functions of an environment's account.
#[async_trait]
pub(crate) trait Functions: Send + Sync {
    /// Reads a published version's configuration; nothing where it does not exist.
    async fn published(&self, function: &str, version: &str) -> Outcome<Option<FunctionConfiguration>>;
    /// Calls a version with an event and waits for the answer.
    async fn invoke(
        &self,
        function: &str,
        version: &str,
        event: &[u8],
        within: Duration,
    ) -> Outcome<Invocation>;
    /// Reads an alias; nothing where it does not exist.
    async fn alias(&self, function: &str, alias: &str) -> Outcome<Option<Alias>>;
    /// Moves an alias, only if it is still as it was read.
    async fn point(&self, function: &str, alias: &str, version: &str, revision: &str) -> Outcome<Alias>;
}

/// What plans and applies a stack.
#[async_trait]
pub(crate) trait Infrastructure: Send + Sync {
    /// Returns what decides a plan beside its files: the program's version and the user's settings for it.
    async fn identity(&self) -> Outcome<Vec<(String, String)>>;
    /// Plans a configuration.
    async fn plan(&self, configuration: &Configuration) -> Outcome<Planned>;
    /// Applies exactly what was planned and returns the outputs.
    async fn apply(&self, configuration: &Configuration, planned: &Planned) -> Outcome<Applied>;
    /// Returns the outputs of what is applied.
    async fn outputs(&self, configuration: &Configuration) -> Outcome<Applied>;
}

/// Who says yes.
pub(crate) trait Approver: Send + Sync {
    /// Asks; `Ok(false)` is a no, an error means that nobody could be asked.
    fn approve(&self, question: &str) -> Outcome<bool>;
}

/// What time it is.
pub(crate) trait Clock: Send + Sync {
    /// Returns the time.
    fn now(&self) -> jiff::Timestamp;
}

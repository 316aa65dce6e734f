//! Saved plans: what was planned and shown, kept in the environment's own store until it is applied or expires.
//!
//! A saved plan is `plans/<digest>/`: the document `plan.json`, whose SHA-256 is the name of its folder, and for each stack the
//! saved Terraform plan and the archive that it was planned from. Every object is written once; the document, which names the
//! digests of the others, is written last. Errors: no such plan, two that begin alike, an object that is not what its digest
//! says, a plan that expired.

mod document;
mod id;

use std::collections::BTreeSet;
use std::path::Path;

pub(crate) use document::{
    SCHEMA, SavedPlanDocument, SavedRelease, SavedStack, StoredFile, Target, locked_providers,
};
pub(crate) use id::PlanId;

use crate::digest::Digest;
use crate::failure::{self, Failure, FailureKind, Result};
use crate::format;
use crate::name::{EnvironmentName, StackName};
use crate::ports::{DigestComparison, Put, Store};
use crate::schema::{schema_of, unknown_schema};

/// What the keys of saved plans begin with.
pub(crate) const PREFIX: &str = "plans/";

/// The document's name in a plan's folder.
const DOCUMENT: &str = "plan.json";

/// By how many seconds the clocks of two machines may differ.
const CLOCK_SKEW: i64 = 300;

/// The files of one stack that are saved with a plan.
pub(crate) struct FilesToSave<'a> {
    /// The stack.
    pub(crate) stack: &'a StackName,
    /// The saved Terraform plan.
    pub(crate) plan: &'a Path,
    /// The archive of the stack's files.
    pub(crate) archive: &'a Path,
}

/// A saved plan that was read, and whose digest is that of its name.
#[derive(Debug, Clone)]
pub(crate) struct LoadedPlan {
    /// Its id.
    pub(crate) id: PlanId,
    /// SHA-256 of the document.
    pub(crate) digest: Digest,
    /// The document.
    pub(crate) document: SavedPlanDocument,
    /// How many seconds ago it was written, by the store's clock.
    age: Option<i64>,
}

fn stale(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::PlanStale, message).unchanged("Nothing was applied.")
}

fn plan_key(digest: &Digest, stack: &StackName) -> String {
    format!("{PREFIX}{}/{stack}.tfplan", digest.hex())
}

fn archive_key(digest: &Digest, stack: &StackName) -> String {
    format!("{PREFIX}{}/{stack}.zip", digest.hex())
}

fn document_key(digest: &Digest) -> String {
    format!("{PREFIX}{}/{DOCUMENT}", digest.hex())
}

/// Reads a file with its digest and size.
pub(crate) fn stored_file(path: &Path) -> Result<StoredFile> {
    let bytes = std::fs::read(path).map_err(|error| failure::io("read", path, error))?;
    Ok(StoredFile { sha256: Digest::of(&bytes), size: bytes.len() as u64 })
}

/// Saves a plan: its files first, its document last. Saving the same one again changes nothing.
pub(crate) async fn save(
    store: &dyn Store,
    document: &SavedPlanDocument,
    files: &[FilesToSave<'_>],
) -> Result<Digest> {
    let bytes = document.bytes()?;
    let digest = Digest::of(&bytes);
    let other = |key: &str| {
        Failure::failed(format!("{}/{key} exists with other bytes", store.place()))
            .unchanged("No plan was saved.")
            .hint("run the same command again")
    };
    for stack in &document.stacks {
        let Some(files) = files.iter().find(|files| *files.stack == stack.stack) else {
            return Err(Failure::defect(format!("the files of `{}` are missing", stack.stack)));
        };
        for (key, path, file) in [
            (plan_key(&digest, &stack.stack), files.plan, &stack.plan),
            (archive_key(&digest, &stack.stack), files.archive, &stack.archive),
        ] {
            if store.put_new_file(&key, path, file.sha256, &|_| {}).await? == Put::Different {
                return Err(other(&key));
            }
        }
    }
    let key = document_key(&digest);
    match store.put_new(&key, bytes).await? {
        Put::Created | Put::Same => Ok(digest),
        Put::Different => Err(other(&key)),
    }
}

/// Lists the plans of an environment's store, by their digests. Keys that are not of a plan are left out.
pub(crate) async fn list(store: &dyn Store, prefix: &str) -> Result<BTreeSet<Digest>> {
    let keys = store.list(&format!("{PREFIX}{prefix}"), None).await?;
    Ok(keys
        .iter()
        .filter_map(|key| {
            let hex = key.strip_prefix(PREFIX)?.strip_suffix(DOCUMENT)?.strip_suffix('/')?;
            format!("sha256:{hex}").parse().ok()
        })
        .collect())
}

/// Reads a saved plan by its id.
pub(crate) async fn load(
    store: &dyn Store,
    environment: &EnvironmentName,
    id: &PlanId,
) -> Result<LoadedPlan> {
    let found = list(store, id.prefix()).await?;
    let digest = match found.iter().collect::<Vec<_>>().as_slice() {
        [digest] => **digest,
        [] => {
            return Err(Failure::usage(format!("there is no saved plan {id} in {environment}"))
                .detail("looked in", format!("{}/{PREFIX}{}…", store.place(), id.prefix()))
                .unchanged("Nothing was applied.")
                .hint(format!("make one: cargo xtask plan --env {environment} --save")));
        }
        several => {
            let names = several.iter().map(|digest| digest.hex());
            return Err(Failure::refused(format!("several saved plans in {environment} begin with {id}"))
                .body(names.collect::<Vec<_>>().join("\n"))
                .unchanged("Nothing was applied.")
                .hint("name the one that you saw in full"));
        }
    };
    read(store, environment, digest).await
}

/// Reads a saved plan by its digest.
pub(crate) async fn read(
    store: &dyn Store,
    environment: &EnvironmentName,
    digest: Digest,
) -> Result<LoadedPlan> {
    let (key, id) = (document_key(&digest), PlanId::of(&digest));
    let place = format!("{}/{key}", store.place());
    let stored = store.get(&key).await?.ok_or_else(|| {
        stale(format!("the saved plan {id} of {environment} is gone")).detail("missing", &place)
    })?;
    if Digest::of(&stored.bytes) != digest {
        return Err(stale(format!("the saved plan {id} is not the one that its name says"))
            .detail("object", place)
            .detail("found", Digest::of(&stored.bytes).to_string())
            .hint(format!("it was replaced: plan again, cargo xtask plan --env {environment} --save")));
    }
    if let Some(schema) = schema_of(&stored.bytes).filter(|schema| schema != SCHEMA) {
        return Err(unknown_schema(&format!("the saved plan {place}"), &schema, SCHEMA)
            .unchanged("Nothing was applied."));
    }
    let document = serde_json::from_slice(&stored.bytes).map_err(|error| {
        Failure::failed(format!("the saved plan {place} cannot be read"))
            .caused_by(error)
            .unchanged("Nothing was applied.")
    })?;
    Ok(LoadedPlan { id, digest, document, age: stored.age })
}

impl LoadedPlan {
    /// Refuses a plan that expired, by this machine's clock or by the store's.
    pub(crate) fn refuse_expired(&self, now: jiff::Timestamp) -> Result<()> {
        let SavedPlanDocument { at, expires, ref environment, .. } = self.document;
        let lives = expires.as_second().saturating_sub(at.as_second());
        let too_old = self.age.is_some_and(|age| age > lives.saturating_add(CLOCK_SKEW));
        if now <= expires && !too_old && now.as_second() >= at.as_second().saturating_sub(CLOCK_SKEW) {
            return Ok(());
        }
        let from_future = now.as_second() < at.as_second().saturating_sub(CLOCK_SKEW);
        let message = if from_future {
            format!("the saved plan {} is of {at}, which is not yet: a clock is wrong", self.id)
        } else {
            format!("the saved plan {} expired at {expires}", self.id)
        };
        Err(stale(message)
            .detail("planned", format!("{at}, {}", format::age(at, now)))
            .hint(format!("plan again and have that approved: cargo xtask plan --env {environment} --save")))
    }

    /// Refuses a plan that was made for something else than an environment as it is now.
    pub(crate) fn refuse_other_target(&self, here: &Target) -> Result<()> {
        let planned = &self.document.target;
        for (what, planned, now) in [
            ("project", &planned.project, &here.project),
            ("environment", &planned.environment, &here.environment),
            ("account", &planned.account, &here.account),
            ("region", &planned.region, &here.region),
            ("state bucket", &planned.bucket, &here.bucket),
            ("prefix of the state bucket", &planned.prefix, &here.prefix),
        ] {
            if planned != now {
                return Err(stale(format!("the saved plan {} is for another {what}", self.id))
                    .detail("planned", planned.clone())
                    .detail("here", now.clone())
                    .hint(format!("plan again: cargo xtask plan --env {} --save", here.environment)));
            }
        }
        Ok(())
    }

    /// Reads the Terraform plan of a stack, whose bytes are compared with the digest that the document names.
    pub(crate) async fn plan_of(&self, store: &dyn Store, stack: &SavedStack) -> Result<Vec<u8>> {
        let key = plan_key(&self.digest, &stack.stack);
        let stored = store.get(&key).await?.ok_or_else(|| self.missing(store, &key))?;
        if Digest::of(&stored.bytes) != stack.plan.sha256 {
            return Err(self.other_bytes(store, &key, stack.plan.sha256, Digest::of(&stored.bytes)));
        }
        Ok(stored.bytes)
    }

    /// Writes the archive of a stack's files to a file, after comparing its digest.
    pub(crate) async fn archive_of(&self, store: &dyn Store, stack: &SavedStack, to: &Path) -> Result<()> {
        let key = archive_key(&self.digest, &stack.stack);
        match store.compare(&key, stack.archive.sha256, Some(to)).await? {
            DigestComparison::Same => Ok(()),
            DigestComparison::Missing => Err(self.missing(store, &key)),
            DigestComparison::Other(found) => Err(self.other_bytes(store, &key, stack.archive.sha256, found)),
        }
    }

    fn missing(&self, store: &dyn Store, key: &str) -> Failure {
        stale(format!("a part of the saved plan {} is gone", self.id))
            .detail("missing", format!("{}/{key}", store.place()))
            .hint("restore that object, or plan again")
    }

    fn other_bytes(&self, store: &dyn Store, key: &str, saved: Digest, found: Digest) -> Failure {
        stale(format!("a part of the saved plan {} is not the one that was saved", self.id))
            .detail("object", format!("{}/{key}", store.place()))
            .detail("saved", saved.to_string())
            .detail("found", found.to_string())
            .hint("it was replaced: plan again, and look who may write there")
    }
}

#[cfg(test)]
mod tests;

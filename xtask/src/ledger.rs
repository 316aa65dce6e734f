//! The ledger of one stack in one environment: what runs, since when, deployed by whom. Entries are only added.
//!
//! Entries are `ledger/<stack>/<inverted sequence>.<started|ended>.json` in the environment's own bucket. Writing `started`
//! takes the deploy lock: it is written only if it does not exist. What is served is known after one LIST and two GETs,
//! however long the history is. Errors: another deployment is running, or an earlier one was cut off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

mod chain;
mod entry;
mod format;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod known_state;
mod lease;
mod origin;
mod owner;
mod trust;

pub(crate) use chain::BrokenLink;
pub(crate) use entry::{
    AppliedPlan, DeploymentKind, DeploymentOutcome, Ended, Hold, PlannedRelease, SCHEMA, Serving, Started,
    serves_text,
};
pub(crate) use known_state::OtherState;
pub(crate) use lease::{Holder, HolderState, Lease, RENEW_EVERY};
pub(crate) use origin::{Origin, PromotedFrom};
pub(crate) use owner::Claim;
pub(crate) use trust::TrustRecord;

use crate::digest::Digest;
use crate::failure::{Failure, FailureKind, Result};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::ownership::ProjectIdentity;
use crate::ports::{Listed, Put, Store, side_by_side};

/// The ledger of one stack in one environment.
#[derive(Clone)]
pub(crate) struct Ledger {
    store: Arc<dyn Store>,
    environment: EnvironmentName,
    stack: StackName,
    /// The project that it has to belong to; tests of other things leave it out.
    owner: Option<Arc<owner::Owner>>,
    /// Where the ledger was kept before its keys got a prefix.
    earlier: Option<Arc<dyn Store>>,
}

/// The newest entries of a ledger.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    /// A deployment without an end: it is running, or was cut off.
    pub(crate) open: Option<Started>,
    /// The newest deployment that ended.
    pub(crate) last: Option<Ended>,
    /// Keys among the entries that are none of Slipway's, and that nothing is read of.
    pub(crate) ignored: Vec<String>,
}

/// How often an entry is looked for whose write failed, and the pause between.
const LOOKS: u32 = 3;
const LOOK_PAUSE: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(1) };

/// Keys count down from here, in ten digits, so that a LIST begins with the newest entry.
const TOP: u64 = 9_999_999_999;

impl Ledger {
    /// Opens a stack's ledger in its environment's store.
    pub(crate) fn new(store: Arc<dyn Store>, environment: EnvironmentName, stack: StackName) -> Self {
        Self { store, environment, stack, owner: None, earlier: None }
    }

    /// Requires that the ledger belongs to a project: each reading compares its marker.
    pub(crate) fn of_project(self, project: &ProjectIdentity) -> Self {
        Self { owner: Some(Arc::new(owner::Owner::new(project.clone()))), ..self }
    }

    /// Refuses to begin a ledger that this project has in another store already: the same bucket without the prefix.
    pub(crate) fn unless_in(self, earlier: Arc<dyn Store>) -> Self {
        Self { earlier: Some(earlier), ..self }
    }

    /// Returns the ledger's name, for messages.
    pub(crate) fn name(&self) -> String {
        format!("`{}` in {}", self.stack, self.environment)
    }

    /// Reads the newest entries. Refuses the ledger of another project.
    pub(crate) async fn head(&self) -> Result<Head> {
        let entries = async {
            let (keys, ignored) = self.newest_keys().await?;
            Ok::<_, Failure>(Head { ignored, ..self.entries(&keys).await? })
        };
        // The marker is read while the entries are listed, so that it costs no round trip of its own.
        let (head, marker) = futures::join!(entries, self.marker());
        if let Some(marker) = marker? {
            // Whose it is is said first: of another project's entries nothing else matters.
            self.check_owner(Some(&marker), &Head::default()).await?;
            return head;
        }
        let head = head?;
        self.check_owner(None, &head).await?;
        Ok(head)
    }

    /// Lists the newest keys of entries, and the keys that are none. Somebody who may write a lock file could put one before
    /// the entries: then all keys are listed.
    async fn newest_keys(&self) -> Result<(Vec<String>, Vec<String>)> {
        let is_own = |key: &String| self.sequence_of(key).is_some() || *key == self.marker_key();
        let first = self.store.list(&self.prefix(), Some(3)).await?;
        if first.iter().all(is_own) {
            return Ok((first, Vec::new()));
        }
        let all = self.store.list(&self.prefix(), None).await?;
        Ok(all.into_iter().partition(is_own))
    }

    async fn entries(&self, keys: &[String]) -> Result<Head> {
        let Some(newest) = keys.first().and_then(|key| self.sequence_of(key)) else {
            return Ok(Head::default());
        };
        if keys.iter().any(|key| *key == self.key(newest, "ended")) {
            return Ok(Head { last: self.read(newest, "ended").await?, ..Head::default() });
        }
        let open = self.read::<Started>(newest, "started").await?;
        let last = if newest > 1 { self.read(newest - 1, "ended").await? } else { None };
        if newest > 1 && last.is_none() {
            return Err(self.gap(newest - 1));
        }
        if let Some(open) = &open {
            self.check_open(open, last.as_ref())?;
        }
        Ok(Head { open, last, ..Head::default() })
    }

    /// Reads up to `limit` ended deployments, newest first.
    pub(crate) async fn history(&self, limit: usize) -> Result<Vec<Ended>> {
        Ok(self.timed_history(limit).await?.into_iter().map(|(_, ended)| ended).collect())
    }

    /// Reads up to `limit` ended deployments, newest first, each with the time at which it was written, in seconds since 1970
    /// by the store's clock. Refuses a history of which an entry was changed or removed after the next deployment.
    pub(crate) async fn timed_history(&self, limit: usize) -> Result<Vec<(i64, Ended)>> {
        let (history, broken) = self.examined_history(limit).await?;
        match broken.first() {
            Some(link) => Err(self.broken_chain(link)),
            None => Ok(history),
        }
    }

    /// Reads up to `limit` ended deployments like [`Self::timed_history`], and where their chain is broken.
    pub(crate) async fn examined_history(
        &self,
        limit: usize,
    ) -> Result<(Vec<(i64, Ended)>, Vec<BrokenLink>)> {
        let prefix = self.prefix();
        let listed = self.store.list_after(&prefix, &prefix, usize::MAX);
        let (listed, ()) = futures::try_join!(listed, self.refuse_foreign())?;
        let sequences = listed
            .iter()
            .filter(|listed| listed.key.ends_with(".ended.json"))
            .filter_map(|listed| Some((listed.modified, self.sequence_of(&listed.key)?)))
            .take(limit);
        let entries = sequences.map(|(modified, sequence)| async move {
            let ended = self.read::<Ended>(sequence, "ended").await?;
            Ok::<_, Failure>(ended.map(|ended| (modified, ended)))
        });
        let history: Vec<(i64, Ended)> = side_by_side(entries).await?.into_iter().flatten().collect();
        let ended: Vec<&Ended> = history.iter().map(|(_, ended)| ended).collect();
        let broken = chain::broken_links(&ended);
        Ok((history, broken))
    }

    /// Reads the bytes of every entry, by key.
    pub(crate) async fn stored_entries(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let keys = self.store.list(&self.prefix(), None).await?;
        let own = keys.into_iter().filter(|key| self.sequence_of(key).is_some());
        let read = own.map(async |key| {
            let stored = self.store.get(&key).await?;
            Ok::<_, Failure>(stored.map(|stored| (key, stored.bytes)))
        });
        Ok(side_by_side(read).await?.into_iter().flatten().collect())
    }

    /// Returns when the newest entry was written, in seconds since 1970 by the store's clock; `None` if there is no entry.
    pub(crate) async fn written(&self) -> Result<Option<i64>> {
        let prefix = self.prefix();
        let (listed, ()) =
            futures::try_join!(self.store.list_after(&prefix, &prefix, 1), self.refuse_foreign())?;
        let is_entry = |listed: &&Listed| self.sequence_of(&listed.key).is_some();
        let (newest, all);
        match listed.first() {
            Some(first) if !is_entry(&first) && first.key != self.marker_key() => {
                all = self.store.list_after(&prefix, &prefix, usize::MAX).await?;
                newest = all.iter().find(is_entry);
            }
            first => newest = first.filter(is_entry),
        }
        Ok(newest.map(|listed| listed.modified))
    }

    /// Reads one ended deployment.
    pub(crate) async fn deployment(&self, number: u64) -> Result<Option<Ended>> {
        if number == 0 || number > TOP { Ok(None) } else { self.read(number, "ended").await }
    }

    /// Begins a deployment by taking the stack's deploy lock. `started.deployment` must be the head's number plus one.
    pub(crate) async fn begin(&self, started: &Started) -> Result<()> {
        self.mark().await?;
        let key = self.key(started.deployment, "started");
        match self.write(&key, to_json(started)?).await? {
            Put::Created | Put::Same => Ok(()),
            Put::Different => {
                let ended: Option<Ended> = self.read(started.deployment, "ended").await?;
                let other: Option<Started> = self.read(started.deployment, "started").await?;
                Err(match (ended, other) {
                    (Some(ended), _) => Failure::new(
                        FailureKind::PlanStale,
                        format!(
                            "`{}` in {} was deployed by somebody else since it was planned",
                            self.stack, self.environment
                        ),
                    )
                    .detail("deployment", format!("{} by {}", ended.deployment, ended.by))
                    .unchanged("Nothing was changed.")
                    .hint("run the same command again: it plans again"),
                    (None, Some(other)) => lock_held(&self.stack, &self.environment, &other),
                    (None, None) => Failure::failed(format!(
                        "the ledger of `{}` in {} changed while it was read",
                        self.stack, self.environment
                    ))
                    .hint("run the same command again"),
                })
            }
        }
    }

    /// Refuses to go on with a deployment that somebody else closed: its holder counted as dead, because its machine slept or
    /// could not renew the lease, and another one may run by now.
    pub(crate) async fn refuse_closed(&self, number: u64) -> Result<()> {
        match self.store.get(&self.key(number, "ended")).await? {
            None => Ok(()),
            Some(_) => Err(self.closed(number)),
        }
    }

    fn closed(&self, number: u64) -> Failure {
        Failure::new(
            FailureKind::LockHeld,
            format!(
                "deployment {number} of `{}` in {} was closed by somebody else in the meantime",
                self.stack, self.environment
            ),
        )
        .hint(format!("see what is served: cargo xtask status --env {}", self.environment))
    }

    /// Ends a deployment.
    pub(crate) async fn end(&self, ended: &Ended) -> Result<()> {
        match self.write(&self.key(ended.deployment, "ended"), to_json(ended)?).await? {
            Put::Created | Put::Same => Ok(()),
            Put::Different => Err(self.closed(ended.deployment)),
        }
    }

    /// Writes an entry once. Where that fails, it may have been written, and only its answer was lost: the entry
    /// itself decides, before anybody repeats anything.
    async fn write(&self, key: &str, bytes: Vec<u8>) -> Result<Put> {
        let failure = match self.store.put_new(key, bytes.clone()).await {
            Ok(put) => return Ok(put),
            Err(failure) => failure,
        };
        for look in 0..LOOKS {
            match self.store.get(key).await {
                Ok(Some(stored)) if stored.bytes == bytes => return Ok(Put::Same),
                Ok(Some(_)) => return Ok(Put::Different),
                Ok(None) => return Err(failure),
                Err(_) if look + 1 < LOOKS => tokio::time::sleep(LOOK_PAUSE).await,
                Err(_) => {}
            }
        }
        Err(failure.detail("not known", format!("whether {}/{key} was written", self.store.place())))
    }

    /// Returns the lease of the stack's deploy lock.
    pub(crate) fn lease(&self) -> Lease {
        Lease::new(self.store.clone(), format!("leases/{}.json", self.stack))
    }

    fn prefix(&self) -> String {
        format!("ledger/{}/", self.stack)
    }

    fn key(&self, sequence: u64, phase: &str) -> String {
        format!("{}{:010}.{phase}.json", self.prefix(), TOP - sequence)
    }

    /// Returns the number of the deployment whose entry has a key: ten digits, `.started.json` or `.ended.json`.
    fn sequence_of(&self, key: &str) -> Option<u64> {
        let (inverted, phase) = key.strip_prefix(&self.prefix())?.split_once('.')?;
        let is_ours = inverted.len() == 10
            && inverted.bytes().all(|byte| byte.is_ascii_digit())
            && matches!(phase, "started.json" | "ended.json");
        TOP.checked_sub(inverted.parse().ok().filter(|_| is_ours)?)
    }

    async fn read<T: format::Entry>(&self, sequence: u64, phase: &str) -> Result<Option<T>> {
        let key = self.key(sequence, phase);
        let Some(stored) = self.store.get(&key).await? else {
            return Ok(None);
        };
        let place = format!("{}/{key}", self.store.place());
        let mut entry: T = format::read(format::FORMATS, &stored.bytes, &place)?;
        entry.note_stored(Digest::of(&stored.bytes));
        let (found, own) = (entry.identity(), (sequence, &self.stack, &self.environment));
        if found == own {
            return Ok(Some(entry));
        }
        Err(Failure::refused(format!(
            "the ledger entry {place} says that it is deployment {} of `{}` in {}, and its key says {sequence} of `{}` in {}",
            found.0, found.1, found.2, self.stack, self.environment
        ))
        .unchanged("Nothing was changed.")
        .hint("another entry was written over it: restore the object's first version"))
    }

    /// Returns the failure of a ledger that lacks the end of a deployment before its newest one.
    fn gap(&self, number: u64) -> Failure {
        let key = self.key(number, "ended");
        Failure::refused(format!(
            "the ledger of `{}` in {} lacks the end of deployment {number}, although deployment {} has begun",
            self.stack,
            self.environment,
            number + 1
        ))
        .detail("missing", format!("{}/{key}", self.store.place()))
        .unchanged("Nothing was changed.")
        .hint("it was deleted: restore that object")
    }
}

/// Returns the failure of a deployment that finds another one running.
pub(crate) fn lock_held(stack: &StackName, environment: &EnvironmentName, other: &Started) -> Failure {
    let run = other.run_url.as_deref().map(|url| format!(", {url}")).unwrap_or_default();
    Failure::new(
        FailureKind::LockHeld,
        format!("`{stack}` in {environment} is being deployed by somebody else"),
    )
    .detail("by", format!("{}{run}", other.by))
    .detail("since", other.at.to_string())
    .detail("deployment", format!("{} ({})", other.deployment, other.describe()))
    .unchanged("Nothing was changed.")
    .hint(format!("wait for it, for example with --lock-timeout 10m; if that run is dead: cargo xtask recover --env {environment}"))
}

/// Releases that deployments name.
pub(crate) type KnownReleases = BTreeMap<(FunctionName, Version), KnownRelease>;

/// What deployments know of a release.
#[derive(Debug, Clone)]
pub(crate) struct KnownRelease {
    /// The digests of its manifest, that of the newest deployment first: one, unless an earlier version of Slipway deployed it
    /// twice.
    pub(crate) digests: Vec<Digest>,
    /// The number of the oldest deployment that names it.
    pub(crate) deployment: u64,
}

/// Returns the releases that deployments, the newest first, served or wanted to serve.
pub(crate) fn known_releases(history: &[Ended]) -> KnownReleases {
    let mut known = KnownReleases::new();
    for ended in history {
        let will = ended.will.iter().map(|(function, choice)| (function, &choice.release, choice.digest));
        let serves =
            ended.serves.iter().map(|(function, serving)| (function, &serving.release, serving.digest));
        for (function, release, digest) in will.chain(serves) {
            let found = known
                .entry((function.clone(), release.clone()))
                .or_insert_with(|| KnownRelease { digests: Vec::new(), deployment: ended.deployment });
            found.deployment = ended.deployment;
            if !found.digests.contains(&digest) {
                found.digests.push(digest);
            }
        }
    }
    known
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value)
        .map_err(|error| Failure::defect("a ledger entry cannot be written as JSON").caused_by(error))
}

#[cfg(test)]
mod tests;

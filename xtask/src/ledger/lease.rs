//! Whether the holder of a deploy lock still lives: by its process on this machine, by its lease elsewhere.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::{Holder, Started};
use crate::failure::Result;
use crate::ports::Store;
use crate::process::start_ticks;

/// How old a lease may be before its holder counts as dead, in seconds.
const STALE_AFTER: i64 = 120;

/// How often a living holder renews its lease, in seconds.
pub(crate) const RENEW_EVERY: u64 = 20;

/// A note that the holder renews while it works.
#[derive(Clone)]
pub(crate) struct Lease {
    store: Arc<dyn Store>,
    key: String,
}

#[derive(Serialize, Deserialize)]
struct Note {
    deployment: u64,
    renewed_at: jiff::Timestamp,
}

impl Lease {
    pub(super) fn new(store: Arc<dyn Store>, key: String) -> Self {
        Self { store, key }
    }

    /// Renews the lease for a deployment.
    pub(crate) async fn renew(&self, deployment: u64) -> Result<()> {
        let note = Note { deployment, renewed_at: jiff::Timestamp::now() };
        let bytes = serde_json::to_vec(&note).map_err(|error| {
            crate::failure::Failure::defect("a lease cannot be written as JSON").caused_by(error)
        })?;
        self.store.put(&self.key, bytes).await
    }

    /// Returns how many seconds ago a deployment's lease was renewed; nothing where it never was.
    async fn age(&self, deployment: u64) -> Result<Option<i64>> {
        let Some(stored) = self.store.get(&self.key).await? else {
            return Ok(None);
        };
        let note: Option<Note> = serde_json::from_slice(&stored.bytes).ok();
        Ok(note
            .filter(|note| note.deployment == deployment)
            .map(|note| jiff::Timestamp::now().as_second() - note.renewed_at.as_second()))
    }
}

/// Tells whether the process that began a deployment still works on it.
pub(crate) async fn is_alive(started: &Started, here: &Holder, lease: &Lease) -> Result<bool> {
    if started.holder.host == here.host && started.holder.boot == here.boot {
        return Ok(started.holder.start_ticks.is_some()
            && start_ticks(started.holder.pid) == started.holder.start_ticks);
    }
    // A lease that was never written belongs to a holder that died at once, or lives and has not come to it yet.
    let since = jiff::Timestamp::now().as_second() - started.at.as_second();
    Ok(lease.age(started.deployment).await?.unwrap_or(since) < STALE_AFTER)
}

impl Holder {
    /// Returns this process as a holder.
    pub(crate) fn here() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|text| text.trim().to_owned())
            .unwrap_or_default();
        let pid = std::process::id();
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot,
            pid,
            start_ticks: start_ticks(pid),
        }
    }
}

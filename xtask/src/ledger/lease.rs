//! Whether the holder of a deploy lock is still running: by its process on this machine, by its lease elsewhere.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entry::Started;
use crate::failure::{Failure, Result};
use crate::ports::{Clock, Store};
use crate::process::{pid_namespace, start_ticks};

/// How old a lease may be before its holder counts as dead, in seconds.
const STALE_AFTER: i64 = 120;

/// How often a running holder renews its lease, in seconds.
pub(crate) const RENEW_EVERY: u64 = 20;

/// A record that the holder of a stack's deploy lock renews while it runs.
#[derive(Clone)]
pub(crate) struct Lease {
    store: Arc<dyn Store>,
    key: String,
}

#[derive(Serialize, Deserialize)]
struct LeaseRecord {
    deployment: u64,
    renewed_at: jiff::Timestamp,
}

impl Lease {
    pub(super) fn new(store: Arc<dyn Store>, key: String) -> Self {
        Self { store, key }
    }

    /// Renews the lease for a deployment.
    pub(crate) async fn renew(&self, deployment: u64, clock: &dyn Clock) -> Result<()> {
        let record = LeaseRecord { deployment, renewed_at: clock.real_time() };
        let bytes = serde_json::to_vec(&record)
            .map_err(|error| Failure::defect("a lease cannot be written as JSON").caused_by(error))?;
        self.store.put(&self.key, bytes).await
    }

    /// Returns how many seconds ago a deployment's lease was renewed; `None` if it never was.
    async fn age(&self, deployment: u64, now: jiff::Timestamp) -> Result<Option<i64>> {
        let Some(stored) = self.store.get(&self.key).await? else {
            return Ok(None);
        };
        let record: Option<LeaseRecord> = serde_json::from_slice(&stored.bytes).ok();
        Ok(record
            .filter(|record| record.deployment == deployment)
            .map(|record| now.as_second() - record.renewed_at.as_second()))
    }
}

/// Returns whether the process that began a deployment is still running.
///
/// Process numbers count only within one process namespace of one boot: two containers may share a host name and a
/// kernel. Where the holder may be in another namespace, its lease decides.
pub(crate) async fn is_alive(
    started: &Started,
    here: &Holder,
    lease: &Lease,
    clock: &dyn Clock,
) -> Result<bool> {
    let holder = &started.holder;
    if holder.shares_processes_with(here) {
        return Ok(holder.start_ticks.is_some() && start_ticks(holder.pid) == holder.start_ticks);
    }
    let now = clock.real_time();
    // A holder that died at once never wrote a lease; one that has just begun has not written it yet.
    let since_start = now.as_second() - holder.since.unwrap_or(started.at).as_second();
    Ok(lease.age(started.deployment, now).await?.unwrap_or(since_start) < STALE_AFTER)
}

/// The process that holds a deploy lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Holder {
    /// The machine.
    pub(crate) host: String,
    /// The machine's boot: process numbers of an earlier boot mean nothing.
    pub(crate) boot: String,
    /// The namespace that the process number belongs to (`pid:[4026531836]`); unknown in older entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pid_namespace: Option<String>,
    /// The process number.
    pub(crate) pid: u32,
    /// The process's start, in clock ticks since boot.
    pub(crate) start_ticks: Option<u64>,
    /// The real time at which the deployment began: `SLIPWAY_NOW` may fix the entry's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) since: Option<jiff::Timestamp>,
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
            pid_namespace: pid_namespace(),
            pid,
            start_ticks: start_ticks(pid),
            since: None,
        }
    }

    /// Returns whether a process number means the same process to both. An unknown namespace is never the same.
    fn shares_processes_with(&self, other: &Self) -> bool {
        self.host == other.host
            && self.boot == other.boot
            && self.pid_namespace.is_some()
            && self.pid_namespace == other.pid_namespace
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fakes::{FakeClock, FakeStore};
    use crate::ledger::{DeploymentKind, Ledger, SCHEMA};

    fn started(holder: Holder, at: jiff::Timestamp) -> Started {
        Started {
            trust: None,
            schema: SCHEMA.into(),
            deployment: 1,
            stack: "s".parse().unwrap(),
            environment: "e".parse().unwrap(),
            kind: DeploymentKind::Deploy,
            serves: BTreeMap::new(),
            will: BTreeMap::new(),
            by: "ada@pc".into(),
            run_url: None,
            holder,
            at,
        }
    }

    fn dead(here: &Holder) -> Holder {
        Holder { pid: u32::MAX, start_ticks: Some(1), ..here.clone() }
    }

    async fn alive_after(holder: Holder, renewed: bool, seconds: i64) -> bool {
        let (here, clock) = (Holder::here(), FakeClock::new());
        let store = FakeStore::new("state", Arc::default());
        let ledger = Ledger::new(store, "e".parse().unwrap(), "s".parse().unwrap());
        let since = Some(clock.real_time());
        // The entry's own time is fixed far in the past, as SLIPWAY_NOW does: it must not count.
        let started = started(Holder { since, ..holder }, "2020-01-01T00:00:00Z".parse().unwrap());
        if renewed {
            ledger.lease().renew(1, &clock).await.unwrap();
        }
        clock.advance(seconds);
        is_alive(&started, &here, &ledger.lease(), &clock).await.unwrap()
    }

    #[tokio::test]
    async fn holder_in_the_same_namespace_is_judged_by_its_process() {
        let here = Holder::here();
        assert!(here.pid_namespace.is_some(), "{here:?}");
        assert!(alive_after(here.clone(), false, 100_000).await);
        assert!(!alive_after(dead(&here), true, 0).await);
    }

    #[tokio::test]
    async fn holder_in_another_namespace_is_judged_by_its_lease() {
        let here = Holder::here();
        let unknown = Holder { pid_namespace: None, ..dead(&here) };
        let other = Holder { pid_namespace: Some("pid:[1]".into()), ..dead(&here) };
        for holder in [unknown, other] {
            assert!(alive_after(holder.clone(), true, 100).await);
            assert!(alive_after(holder.clone(), false, 100).await);
            assert!(!alive_after(holder.clone(), true, 130).await);
            assert!(!alive_after(holder, false, 130).await);
        }
    }

    #[test]
    fn holder_stored_without_a_namespace_is_readable() {
        let stored = r#"{"host":"pc","boot":"b","pid":7,"start_ticks":9}"#;
        let holder: Holder = serde_json::from_str(stored).unwrap();
        assert_eq!((holder.pid, holder.pid_namespace.clone()), (7, None));
        assert_eq!(serde_json::to_string(&holder).unwrap(), stored);
    }

    #[test]
    fn stored_lease_is_read_and_written_with_the_same_bytes() {
        let stored = include_str!("stored/lease.json");
        let record: LeaseRecord = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), stored);
    }
}

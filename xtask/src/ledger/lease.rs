//! Whether the holder of a deploy lock is still running: by its process on this machine, by its lease elsewhere.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Ledger;
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
    /// By the holder's clock: for people, and for earlier versions. The store's clock decides.
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

    /// Returns a deployment's lease: how many seconds ago it was renewed, by the store's clock; `None` if it never was.
    async fn renewed(&self, deployment: u64) -> Result<Option<Option<i64>>> {
        let Some(stored) = self.store.get(&self.key).await? else {
            return Ok(None);
        };
        let record: Option<LeaseRecord> = serde_json::from_slice(&stored.bytes).ok();
        Ok(record.filter(|record| record.deployment == deployment).map(|_| stored.age))
    }
}

/// What is known of the process that began a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HolderState {
    /// It runs on this machine.
    Running,
    /// It was heard of this many seconds ago, by the store's clock, and counts as running; `None` where the store does not say
    /// what time it is.
    Heard(Option<i64>),
    /// It runs no more.
    Gone,
}

impl HolderState {
    /// Returns whether it has to be taken for running.
    pub(crate) fn is_alive(self) -> bool {
        self != Self::Gone
    }

    /// Returns what is known of it, such as `its process is running`.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Running => "its process is running".into(),
            Self::Heard(Some(age)) if age < -STALE_AFTER => {
                "its lease was renewed in the future by the store's own clock".into()
            }
            Self::Heard(Some(age)) => {
                format!("its process renewed its lease {} s ago", age.max(0))
            }
            Self::Heard(None) => "the store does not say how old its lease is".into(),
            Self::Gone => "its process is gone".into(),
        }
    }
}

impl Ledger {
    /// Returns what is known of the process that began a deployment.
    ///
    /// Process numbers count only within one process namespace of one boot: two containers may share a host name and a
    /// kernel. Where the holder may be in another namespace, its lease decides, by the store's clock alone: no machine's clock
    /// has to be right.
    pub(crate) async fn holder_state(&self, started: &Started, here: &Holder) -> Result<HolderState> {
        let holder = &started.holder;
        if holder.shares_processes_with(here) {
            let runs = holder.start_ticks.is_some() && start_ticks(holder.pid) == holder.start_ticks;
            return Ok(if runs { HolderState::Running } else { HolderState::Gone });
        }
        let renewed = match self.lease().renewed(started.deployment).await? {
            Some(age) => age,
            // A holder that died at once never wrote a lease; one that has just begun has not written it yet.
            None => {
                let entry = self.store.get(&self.key(started.deployment, "started")).await?;
                entry.and_then(|entry| entry.age)
            }
        };
        let stale = renewed.is_some_and(|age| age >= STALE_AFTER);
        Ok(if stale { HolderState::Gone } else { HolderState::Heard(renewed) })
    }
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
    pub(crate) fn shares_processes_with(&self, other: &Self) -> bool {
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
    use crate::ledger::{DeploymentKind, SCHEMA};

    fn started(holder: Holder, at: jiff::Timestamp) -> Started {
        Started {
            caller: None,
            previous: None,
            trust: None,
            plan: None,
            origin: None,
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

    /// Returns whether a holder counts as running after some seconds by the store's clock; `skew` is how wrong its own is.
    async fn alive_after(holder: Holder, renewed: bool, seconds: i64, skew: i64) -> bool {
        let (here, clock) = (Holder::here(), FakeClock::new());
        clock.advance(skew);
        let store = FakeStore::new("state", Arc::default());
        let ledger = Ledger::new(store.clone(), "e".parse().unwrap(), "s".parse().unwrap());
        let since = Some(clock.real_time());
        // The entry's own time is fixed far in the past, as SLIPWAY_NOW does: it must not count.
        let started = started(Holder { since, ..holder }, "2020-01-01T00:00:00Z".parse().unwrap());
        ledger.begin(&started).await.unwrap();
        if renewed {
            store.advance(500);
            ledger.lease().renew(1, &clock).await.unwrap();
        }
        store.advance(seconds);
        ledger.holder_state(&started, &here).await.unwrap().is_alive()
    }

    #[tokio::test]
    async fn holder_in_the_same_namespace_is_judged_by_its_process() {
        let here = Holder::here();
        assert!(here.pid_namespace.is_some(), "{here:?}");
        assert!(alive_after(here.clone(), false, 100_000, 0).await);
        assert!(!alive_after(dead(&here), true, 0, 0).await);
    }

    #[tokio::test]
    async fn holder_in_another_namespace_is_judged_by_its_lease() {
        let here = Holder::here();
        let unknown = Holder { pid_namespace: None, ..dead(&here) };
        let other = Holder { pid_namespace: Some("pid:[1]".into()), ..dead(&here) };
        for holder in [unknown, other] {
            // Its clock may be two minutes behind or a day ahead.
            for skew in [0, -200, 86_400] {
                assert!(alive_after(holder.clone(), true, 100, skew).await, "{skew}");
                assert!(alive_after(holder.clone(), false, 100, skew).await, "{skew}");
                assert!(!alive_after(holder.clone(), true, 130, skew).await, "{skew}");
                assert!(!alive_after(holder.clone(), false, 130, skew).await, "{skew}");
            }
        }
    }

    #[test]
    fn lease_that_cannot_be_judged_counts_as_held_and_says_why() {
        for (state, text) in [
            (HolderState::Heard(Some(7)), "renewed its lease 7 s ago"),
            (HolderState::Heard(Some(-500)), "in the future by the store's own clock"),
            (HolderState::Heard(None), "does not say how old"),
        ] {
            assert!(state.is_alive() && state.text().contains(text), "{}", state.text());
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

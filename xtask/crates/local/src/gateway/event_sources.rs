//! Event source mappings: the records of streams invoke functions. The emulator stores mappings without their qualifier,
//! and does not poll.
//!
//! In: the calls that create, change and read mappings, and the records of the emulator's streams. Out: Lambda's responses,
//! and functions that are invoked with batches of records. A mapping and its checkpoints live as long as the emulator, so
//! the next gateway continues where this one ended. Errors of a call are Lambda's. A failed batch is retried, and in the
//! end sent to the mapping's destination.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html>.

pub(super) mod api;
mod batch;
mod destination;
mod filter;
mod last_result;
mod mapping;
mod mapping_store;
mod poller;
mod request;
mod shard;
mod stream;

use super::accounts::Accounts;
use super::invoke::Invoker;
use super::locks::Locks;
use super::upstream::Upstream;
use last_result::LastResult;
use mapping::{Mapping, MappingState};
use mapping_store::MappingStore;
use shard::ReaderContext;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// All mappings, the pollers of the enabled ones, and the handler of the calls about them.
pub(crate) struct EventSources {
    upstream: Arc<Upstream>,
    accounts: Arc<Accounts>,
    mappings: Arc<MappingStore>,
    /// Locks of mappings.
    locks: Locks,
    /// What the pollers' readers need.
    context: Arc<ReaderContext>,
    pollers: Mutex<HashMap<String, Poller>>,
}

/// The poller of one mapping.
struct Poller {
    stop: CancellationToken,
    task: JoinHandle<()>,
    last_result: Arc<LastResult>,
}

impl EventSources {
    /// Reads the mappings of an earlier gateway; [`EventSources::resume`] starts their pollers.
    pub(super) fn open(
        folder: &Path,
        upstream: Arc<Upstream>,
        accounts: Arc<Accounts>,
        invoker: Arc<Invoker>,
    ) -> io::Result<Self> {
        let mappings = Arc::new(MappingStore::open(folder)?);
        let context = Arc::new(ReaderContext {
            accounts: Arc::clone(&accounts),
            invoker,
            mappings: Arc::clone(&mappings),
        });
        let (locks, pollers) = (Locks::default(), Mutex::default());
        Ok(Self { upstream, accounts, mappings, locks, context, pollers })
    }

    /// Starts the pollers of all enabled mappings.
    pub(super) fn resume(&self) {
        for mapping in self.mappings.all() {
            self.restart(&mapping.uuid);
        }
    }

    /// Stops a mapping's poller, and starts one for the mapping as it is now. A running batch is completed first.
    fn restart(&self, uuid: &str) {
        let mut pollers = self.pollers();
        let earlier = pollers.remove(uuid);
        if let Some(earlier) = &earlier {
            earlier.stop.cancel();
        }
        let mapping = self.mappings.get(uuid);
        let stop = self.context.invoker.stopping_child();
        let last_result = match &earlier {
            Some(earlier) => Arc::clone(&earlier.last_result),
            None => Arc::new(LastResult::default()),
        };
        let poll = mapping.filter(|mapping| mapping.enabled).map(|mapping| {
            poller::poll(Arc::clone(&self.context), mapping, stop.clone(), Arc::clone(&last_result))
        });
        if earlier.is_none() && poll.is_none() {
            return;
        }
        let task = tokio::spawn(async move {
            if let Some(earlier) = earlier {
                let _ = earlier.task.await;
            }
            if let Some(poll) = poll {
                poll.await;
            }
        });
        pollers.insert(uuid.to_owned(), Poller { stop, task, last_result });
    }

    /// Returns a mapping's state, and the result of its poller's last action.
    fn state(&self, mapping: &Mapping) -> (MappingState, String) {
        let pollers = self.pollers();
        let poller = pollers.get(&mapping.uuid);
        let last_result =
            poller.map_or_else(|| LastResult::default().get(), |poller| poller.last_result.get());
        let busy = poller.is_some_and(|poller| !poller.task.is_finished());
        let state = match (mapping.enabled, busy) {
            (true, _) => MappingState::Enabled,
            (false, true) => MappingState::Disabling,
            (false, false) => MappingState::Disabled,
        };
        (state, last_result)
    }

    /// Removes a mapping and its checkpoints.
    fn remove(&self, uuid: &str) {
        self.mappings.remove(uuid);
        self.restart(uuid);
        self.mappings.remove_checkpoints(uuid);
    }

    fn pollers(&self) -> MutexGuard<'_, HashMap<String, Poller>> {
        self.pollers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

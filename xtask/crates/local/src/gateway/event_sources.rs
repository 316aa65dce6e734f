//! Event source mappings: streams that feed functions. The emulator keeps them without their qualifier and polls nothing.
//!
//! In: the calls that make, change and read mappings, and records on the emulator's streams. Out: Lambda's answers, and
//! functions invoked with batches of records, as the mapping says. A mapping and how far it has come are kept for one
//! life of the emulator, so that the next gateway goes on where this one ended. What can go wrong with a call is Lambda's
//! error; what goes wrong with a batch is retried, and in the end sent where the mapping says.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html>.

pub(super) mod api;
mod batch;
mod destination;
mod filter;
mod mapping;
mod poller;
mod request;
mod shard;
mod stream;

use super::Gateway;
use super::kept::Kept;
use mapping::{Mapping, Phase};
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// All mappings, how far they have come, and the pollers of those that are enabled.
pub(crate) struct EventSources {
    /// By uuid.
    mappings: Kept<Mapping>,
    /// The last sequence number that is done, by uuid and shard.
    progress: Kept<String>,
    pollers: Mutex<HashMap<String, Poller>>,
    stopping: CancellationToken,
}

/// One mapping's poller.
struct Poller {
    stop: CancellationToken,
    task: JoinHandle<()>,
    result: Arc<LastResult>,
}

/// What came of the last thing that a poller did, in Lambda's words.
pub(super) struct LastResult(Mutex<String>);

impl LastResult {
    fn set(&self, result: &str) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != result {
            result.clone_into(&mut last);
        }
    }

    fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl EventSources {
    /// Reads the mappings of a former gateway; [`EventSources::resume`] goes on with them.
    pub(crate) fn open(folder: &Path, stopping: CancellationToken) -> io::Result<Self> {
        Ok(Self {
            mappings: Kept::open(folder.join("mappings"))?,
            progress: Kept::open(folder.join("progress"))?,
            pollers: Mutex::default(),
            stopping,
        })
    }

    /// Polls for every mapping that is enabled.
    pub(crate) fn resume(gateway: &Arc<Gateway>) {
        for (uuid, _) in gateway.event_sources.mappings.all() {
            Self::restart(gateway, &uuid);
        }
    }

    /// Ends a mapping's poller and begins anew with what the mapping says now; a batch under way is brought to its end.
    fn restart(gateway: &Arc<Gateway>, uuid: &str) {
        let sources = &gateway.event_sources;
        let mut pollers = sources.pollers();
        let former = pollers.remove(uuid);
        if let Some(former) = &former {
            former.stop.cancel();
        }
        let mapping = sources.mappings.get(uuid);
        let stop = sources.stopping.child_token();
        let result = match &former {
            Some(former) => Arc::clone(&former.result),
            None => Arc::new(LastResult(Mutex::new("No records processed".to_owned()))),
        };
        let poll = mapping
            .filter(|mapping| mapping.enabled)
            .map(|mapping| poller::run(Arc::clone(gateway), mapping, stop.clone(), Arc::clone(&result)));
        if former.is_none() && poll.is_none() {
            return;
        }
        let task = tokio::spawn(async move {
            if let Some(former) = former {
                let _ = former.task.await;
            }
            if let Some(poll) = poll {
                poll.await;
            }
        });
        pollers.insert(uuid.to_owned(), Poller { stop, task, result });
    }

    /// Says in which phase of its life a mapping is, and what its poller did last.
    fn phase(&self, mapping: &Mapping) -> (Phase, String) {
        let pollers = self.pollers();
        let poller = pollers.get(&mapping.uuid);
        let result = poller.map_or_else(|| "No records processed".to_owned(), |poller| poller.result.get());
        let busy = poller.is_some_and(|poller| !poller.task.is_finished());
        let phase = match (mapping.enabled, busy) {
            (true, _) => Phase::Enabled,
            (false, true) => Phase::Disabling,
            (false, false) => Phase::Disabled,
        };
        (phase, result)
    }

    /// Forgets a mapping and how far it had come.
    fn remove(gateway: &Arc<Gateway>, uuid: &str) {
        let sources = &gateway.event_sources;
        sources.mappings.remove(uuid);
        Self::restart(gateway, uuid);
        for (name, _) in sources.progress.all() {
            if name.starts_with(uuid) {
                sources.progress.remove(&name);
            }
        }
    }

    /// Tells how far a shard has come.
    fn checkpoint(&self, uuid: &str, shard: &str) -> Option<String> {
        self.progress.get(&format!("{uuid}.{shard}"))
    }

    /// Notes down how far a shard has come. A mapping that was deleted meanwhile leaves no trace.
    fn advance(&self, uuid: &str, shard: &str, sequence: &str) -> io::Result<()> {
        match self.mappings.get(uuid) {
            Some(_) => self.progress.put(&format!("{uuid}.{shard}"), sequence.to_owned()),
            None => Ok(()),
        }
    }

    fn pollers(&self) -> MutexGuard<'_, HashMap<String, Poller>> {
        self.pollers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

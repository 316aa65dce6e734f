//! Reads the shards of one mapping's stream, for as long as the mapping is enabled and the gateway serves.
//!
//! In: a mapping. Out: each shard is read by a task of its own, also one that comes later. What can go wrong: the stream
//! is gone, or the emulator does not answer; it is tried again, and the mapping's last result says so.

use super::mapping::Mapping;
use super::shard::Shard;
use super::stream::{self, Stream};
use super::{Gateway, LastResult};
use crate::emulator::EmulatorError;
use crate::gateway::refusal::chain;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often the shards are listed anew.
const LISTED: Duration = Duration::from_secs(15);
/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Polls until it is told to stop; batches under way are brought to their end.
pub(super) async fn run(
    gateway: Arc<Gateway>,
    mapping: Mapping,
    stop: CancellationToken,
    result: Arc<LastResult>,
) {
    // It was looked at when the mapping was made.
    let Ok(stream) = Stream::of(&mapping.event_source_arn) else {
        return;
    };
    let mapping = Arc::new(mapping);
    let mut known = HashSet::new();
    let mut readers = JoinSet::new();
    while !stop.is_cancelled() {
        let pause = match shards(&gateway, stream, &mapping).await {
            Ok(shards) => {
                for id in shards.into_iter().filter(|id| known.insert(id.clone())) {
                    let shard = Shard::new(&gateway, stream, &mapping, id, &stop, &result);
                    readers.spawn(shard.read());
                }
                LISTED
            }
            Err(error) => {
                result.set(&format!("PROBLEM: {}", chain(&error)));
                AGAIN
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    while readers.join_next().await.is_some() {}
}

async fn shards(gateway: &Gateway, stream: Stream, mapping: &Mapping) -> Result<Vec<String>, EmulatorError> {
    let caller = stream::caller(gateway, &mapping.event_source_arn).await?;
    stream.shards(&caller, &mapping.event_source_arn).await
}

//! Reads the shards of one mapping's stream, as long as the mapping is enabled and the gateway serves.
//!
//! In: a mapping. Out: a task for each shard, also for one that is added later. Errors: the stream does not exist, or the
//! emulator does not respond. Both are retried, and the mapping's last result names the error.

use super::last_result::LastResult;
use super::mapping::Mapping;
use super::shard::{ReaderContext, ShardReader};
use super::stream::{self, Stream};
use crate::emulator::EmulatorError;
use crate::error_chain::error_chain;
use crate::gateway::accounts::Accounts;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often the shards are listed.
const LIST_EVERY: Duration = Duration::from_secs(15);
/// How long after an error the shards are listed again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Polls until `stop` is cancelled; running batches are completed.
pub(super) async fn poll(
    context: Arc<ReaderContext>,
    mapping: Mapping,
    stop: CancellationToken,
    last_result: Arc<LastResult>,
) {
    // The ARN was checked when the mapping was created.
    let Ok(stream) = Stream::of(&mapping.event_source_arn) else {
        return;
    };
    let mapping = Arc::new(mapping);
    let mut known = HashSet::new();
    let mut readers = JoinSet::new();
    while !stop.is_cancelled() {
        let pause = match shards(&context.accounts, stream, &mapping).await {
            Ok(shards) => {
                for id in shards.into_iter().filter(|id| known.insert(id.clone())) {
                    let reader = ShardReader::new(&context, stream, &mapping, id, &stop, &last_result);
                    readers.spawn(reader.read());
                }
                LIST_EVERY
            }
            Err(error) => {
                last_result.set_problem(&error_chain(&error));
                RETRY_AFTER
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    while readers.join_next().await.is_some() {}
}

async fn shards(
    accounts: &Accounts,
    stream: Stream,
    mapping: &Mapping,
) -> Result<Vec<String>, EmulatorError> {
    let caller = stream::caller(accounts, &mapping.event_source_arn).await?;
    stream.shards(&caller, &mapping.event_source_arn).await
}

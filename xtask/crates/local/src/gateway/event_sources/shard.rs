//! Reads one shard, and invokes the function with its records in batches, in order.
//!
//! In: a shard, and the mapping's settings. Out: calls of the function, and a checkpoint after each. Errors: the function
//! fails, and its records are retried, bisected or discarded as [`super::batch`] decides; the function cannot be invoked
//! (it does not exist, is not active yet, or too many instances run), which does not count as a try; the shard iterator has
//! expired, and a new one is requested.

use super::batch::{self, BatchResult, NextStep, RetryPolicy};
use super::destination::{self, DiscardReason, LastCall};
use super::filter::Pattern;
use super::last_result::LastResult;
use super::mapping::Mapping;
use super::mapping_store::MappingStore;
use super::stream::{self, Record, Stream};
use crate::emulator::EmulatorError;
use crate::error_chain::error_chain;
use crate::gateway::accounts::Accounts;
use crate::gateway::function_name::FunctionName;
use crate::gateway::function_version::ResolvedFunction;
use crate::gateway::invoke::{InvokeResult, Invoker};
use crate::gateway::lambda_error::LambdaError;
use axum::body::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The pause between two reads of a shard with records.
const BUSY: Duration = Duration::from_millis(500);
/// The longest pause between two reads of a shard without records.
const IDLE: Duration = Duration::from_secs(2);
/// The first and the longest pause between two tries of a batch.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// The largest batch, in bytes. An event may have 6 MB, and the JSON around the records is small.
const LONGEST: usize = 6_000_000;

/// What the readers of all shards need.
pub(super) struct ReaderContext {
    pub(super) accounts: Arc<Accounts>,
    pub(super) invoker: Arc<Invoker>,
    pub(super) mappings: Arc<MappingStore>,
}

/// The reader of one shard.
pub(super) struct ShardReader {
    context: Arc<ReaderContext>,
    stream: Stream,
    mapping: Arc<Mapping>,
    filters: Vec<Pattern>,
    shard: String,
    stop: CancellationToken,
    last_result: Arc<LastResult>,
    /// The position of the next read.
    iterator: Option<String>,
    /// Records that were read and not yet passed to the function.
    pending: VecDeque<Record>,
    /// When the first of them was read.
    waiting_since: Instant,
    /// Whether the shard was closed and read to its end.
    ended: bool,
}

/// Records that are passed to the function together.
struct Batch {
    records: Vec<Record>,
    /// How often the function was called with them.
    tried: u64,
    last_call: LastCall,
}

/// The reader must stop before all records are processed.
struct Stopped;

impl ShardReader {
    /// Starts after the checkpoint, or at the mapping's starting position.
    pub(super) fn new(
        context: &Arc<ReaderContext>,
        stream: Stream,
        mapping: &Arc<Mapping>,
        shard: String,
        stop: &CancellationToken,
        last_result: &Arc<LastResult>,
    ) -> Self {
        Self {
            context: Arc::clone(context),
            stream,
            mapping: Arc::clone(mapping),
            filters: mapping.filters.iter().filter_map(|pattern| Pattern::parse(pattern).ok()).collect(),
            shard,
            stop: stop.clone(),
            last_result: Arc::clone(last_result),
            iterator: None,
            pending: VecDeque::new(),
            waiting_since: Instant::now(),
            ended: false,
        }
    }

    /// Reads to the shard's end, or until the mapping's poller stops.
    pub(super) async fn read(mut self) {
        let window = Duration::from_secs(self.mapping.window);
        let mut pause = BUSY;
        loop {
            if self.pending.len() < self.mapping.batch_size
                && !self.ended
                && let Err(error) = self.fetch().await
            {
                self.iterator = None;
                self.last_result.set_problem(&error_chain(&error));
                if self.sleep(IDLE).await.is_err() {
                    return;
                }
                continue;
            }
            if self.pending.is_empty() {
                if self.ended || self.sleep(pause).await.is_err() {
                    return;
                }
                pause = (pause * 3 / 2).min(IDLE);
                continue;
            }
            pause = BUSY;
            let left = window.saturating_sub(self.waiting_since.elapsed());
            let full = self.pending.len() >= self.mapping.batch_size
                || self.pending.iter().map(|record| record.size).sum::<usize>() >= LONGEST;
            if !full && !left.is_zero() && !self.ended {
                if self.sleep(BUSY.min(left)).await.is_err() {
                    return;
                }
                continue;
            }
            let records = self.take_batch();
            if self.deliver(records).await.is_err() {
                return;
            }
            self.waiting_since = Instant::now();
        }
    }

    /// Reads records and keeps those that match a filter.
    async fn fetch(&mut self) -> Result<(), EmulatorError> {
        let caller = stream::caller(&self.context.accounts, &self.mapping.event_source_arn).await?;
        let iterator = match self.iterator.take() {
            Some(iterator) => iterator,
            None => {
                let pending = self.pending.back().map(|record| record.sequence_number.clone());
                let checkpoint = || self.context.mappings.checkpoint(&self.mapping.uuid, &self.shard);
                let processed = pending.or_else(checkpoint);
                self.stream.iterator(&caller, &self.mapping, &self.shard, processed.as_deref()).await?
            }
        };
        let limit = self.mapping.batch_size - self.pending.len();
        let page = self.stream.read(&caller, &self.mapping, &self.shard, &iterator, limit).await?;
        self.iterator = page.next;
        self.ended = self.iterator.is_none();
        if self.pending.is_empty() {
            self.waiting_since = Instant::now();
        }
        let last = page.records.last().map(|record| record.sequence_number.clone());
        let matching = page.records.into_iter().filter(|record| {
            self.filters.is_empty() || self.filters.iter().any(|pattern| pattern.matches(&record.content))
        });
        self.pending.extend(matching);
        if let Some(last) = last.filter(|_| self.pending.is_empty()) {
            self.set_checkpoint(&last);
        }
        Ok(())
    }

    /// Takes as many pending records as a batch may have and an event can hold.
    fn take_batch(&mut self) -> Vec<Record> {
        let mut size = 0;
        let fitting = self.pending.iter().take(self.mapping.batch_size).take_while(|record| {
            size += record.size;
            size <= LONGEST
        });
        let count = fitting.count().max(1).min(self.pending.len());
        self.pending.drain(..count).collect()
    }

    /// Calls the function until every record is processed or discarded.
    async fn deliver(&mut self, records: Vec<Record>) -> Result<(), Stopped> {
        let policy =
            RetryPolicy { bisect: self.mapping.bisect, maximum_retries: self.mapping.maximum_retries };
        let mut batches = VecDeque::from([Batch { records, tried: 0, last_call: LastCall::default() }]);
        while let Some(mut batch) = batches.pop_front() {
            self.discard_old(&mut batch).await;
            if batch.records.is_empty() {
                continue;
            }
            if self.stop.is_cancelled() {
                return Err(Stopped);
            }
            let invoked = match self.invoke(&batch).await {
                Ok(invoked) => invoked,
                Err(error) => {
                    self.last_result.set_problem(&error.message());
                    self.sleep(IDLE).await?;
                    batches.push_front(batch);
                    continue;
                }
            };
            // A function that was killed because the gateway stops has not failed.
            if invoked.failed && self.context.invoker.is_stopping() {
                return Err(Stopped);
            }
            let numbers: Vec<&str> =
                batch.records.iter().map(|record| record.sequence_number.as_str()).collect();
            let reports = self.mapping.reports_failures();
            let result = batch::batch_result(&invoked.body, invoked.failed, reports, &numbers);
            match result {
                BatchResult::Success => self.last_result.set("OK"),
                BatchResult::FailedFrom(_) => self.last_result.set_problem("Function call failed"),
            }
            batch.last_call = LastCall {
                request_id: invoked.request_id,
                executed_version: invoked.version,
                failed: invoked.failed,
                calls: batch.last_call.calls + 1,
            };
            match batch::next_step(result, batch.records.len(), batch.tried, policy) {
                NextStep::Done => self.set_checkpoint_after(&batch.records),
                NextStep::Retry { from, tried } => {
                    let rest = batch.records.split_off(from);
                    self.set_checkpoint_after(&batch.records);
                    let doubled = RETRY.0.saturating_mul(1 << tried.saturating_sub(1).min(6));
                    batches.push_front(Batch { records: rest, tried, last_call: batch.last_call });
                    self.sleep(doubled.min(RETRY.1)).await?;
                }
                NextStep::Bisect => {
                    let second = batch.records.split_off(batch.records.len() / 2);
                    let (tried, last_call) = (batch.tried, batch.last_call.clone());
                    batches.push_front(Batch { records: second, tried, last_call });
                    batches.push_front(batch);
                }
                NextStep::Discard { from } => {
                    let rest = batch.records.split_off(from);
                    self.set_checkpoint_after(&batch.records);
                    self.discard(&rest, DiscardReason::RetryAttemptsExhausted, &batch.last_call).await;
                }
            }
        }
        Ok(())
    }

    /// Discards the records that are older than the mapping allows.
    async fn discard_old(&self, batch: &mut Batch) {
        if self.mapping.maximum_age < 0 {
            return;
        }
        let oldest =
            jiff::Timestamp::now().as_millisecond() as f64 / 1000.0 - self.mapping.maximum_age as f64;
        let old = batch.records.iter().take_while(|record| record.arrived_at < oldest).count();
        if old > 0 {
            let rest = batch.records.split_off(old);
            let old = std::mem::replace(&mut batch.records, rest);
            self.discard(&old, DiscardReason::RecordAgeExceeded, &batch.last_call).await;
        }
    }

    /// Sends the message about discarded records, and continues after them.
    async fn discard(&self, records: &[Record], reason: DiscardReason, call: &LastCall) {
        let (accounts, mapping) = (&self.context.accounts, &self.mapping);
        let sent =
            destination::send(accounts, mapping, self.stream, &self.shard, records, reason, call).await;
        if let Err(error) = sent {
            // A missing destination does not stop the mapping.
            let arn = mapping.on_failure.as_deref().unwrap_or_default();
            self.last_result.set_problem(&format!("nothing can be sent to {arn}: {}", error_chain(&error)));
        }
        self.set_checkpoint_after(records);
    }

    async fn invoke(&self, batch: &Batch) -> Result<InvokeResult, LambdaError> {
        let name = FunctionName::parse(&self.mapping.function_arn, None)?;
        let ReaderContext { accounts, invoker, .. } = &*self.context;
        let caller = accounts.own_caller(&self.mapping.account, &self.mapping.region).await?;
        invoker.invoke(caller, &name, |function| event(&batch.records, function)).await
    }

    fn set_checkpoint_after(&self, records: &[Record]) {
        if let Some(last) = records.last() {
            self.set_checkpoint(&last.sequence_number);
        }
    }

    fn set_checkpoint(&self, sequence_number: &str) {
        let stored = self.context.mappings.set_checkpoint(&self.mapping.uuid, &self.shard, sequence_number);
        if let Err(error) = stored {
            self.last_result.set_problem(&format!("the checkpoint cannot be stored: {error}"));
        }
    }

    async fn sleep(&self, time: Duration) -> Result<(), Stopped> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Stopped),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }
}

/// Returns the event of a batch. Its records name the function's role as the invoking identity.
fn event(records: &[Record], function: &ResolvedFunction) -> Bytes {
    let role = function.configuration.role.as_deref();
    let records: Vec<Value> = records
        .iter()
        .map(|record| {
            let mut event = record.event.clone();
            if event.get("invokeIdentityArn").is_some() {
                event["invokeIdentityArn"] = json!(role);
            }
            event
        })
        .collect();
    json!({ "Records": records }).to_string().into()
}

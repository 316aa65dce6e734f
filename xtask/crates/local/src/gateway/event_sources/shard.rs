//! Reads one shard, and brings its records to the function in batches, in order.
//!
//! In: a shard, and what the mapping says of batches and failures. Out: the function was called, and what is done is noted
//! down. What can go wrong: the function fails, and its records are tried again, halved or given up as [`super::batch`]
//! decides; it cannot be called at all (none of that name, too many running, not yet active), which counts as no try; a
//! place in the shard has become too old, and is looked up anew.

use super::batch::{self, Next, Rules};
use super::destination::{self, Condition, LastCall};
use super::filter::Pattern;
use super::mapping::Mapping;
use super::stream::{self, Record, Stream};
use super::{Gateway, LastResult};
use crate::emulator::EmulatorError;
use crate::gateway::functions::{FunctionName, Target};
use crate::gateway::invoke::{self, Invoked};
use crate::gateway::refusal::{Refusal, chain};
use axum::body::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Between two readings of a shard in which something happens.
const BUSY: Duration = Duration::from_millis(500);
/// The same where nothing has happened for a while.
const IDLE: Duration = Duration::from_secs(2);
/// Between two tries of a batch, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// An event may have 6 MB; the frame around the records is small.
const LONGEST: usize = 6_000_000;

/// One shard's reader.
pub(super) struct Shard {
    gateway: Arc<Gateway>,
    stream: Stream,
    mapping: Arc<Mapping>,
    filters: Vec<Pattern>,
    id: String,
    stop: CancellationToken,
    result: Arc<LastResult>,
    /// Where to read on.
    place: Option<String>,
    /// Read, and on their way to the function.
    pending: VecDeque<Record>,
    /// Since when the first of them waits.
    waiting: Instant,
    /// Whether the shard was closed and is read to its end.
    ended: bool,
}

/// Records that are tried together.
struct Batch {
    records: Vec<Record>,
    /// How often.
    tried: u64,
    call: LastCall,
}

/// Told to stop before all was done.
struct Stopped;

impl Shard {
    /// Begins where the mapping begins, or where a former reader came to.
    pub(super) fn new(
        gateway: &Arc<Gateway>,
        stream: Stream,
        mapping: &Arc<Mapping>,
        id: String,
        stop: &CancellationToken,
        result: &Arc<LastResult>,
    ) -> Self {
        Self {
            gateway: Arc::clone(gateway),
            stream,
            mapping: Arc::clone(mapping),
            filters: mapping.filters.iter().filter_map(|pattern| Pattern::read(pattern).ok()).collect(),
            id,
            stop: stop.clone(),
            result: Arc::clone(result),
            place: None,
            pending: VecDeque::new(),
            waiting: Instant::now(),
            ended: false,
        }
    }

    /// Reads to the shard's end, or until it is told to stop.
    pub(super) async fn read(mut self) {
        let window = Duration::from_secs(self.mapping.window);
        let mut pause = BUSY;
        loop {
            if self.pending.len() < self.mapping.batch_size
                && !self.ended
                && let Err(error) = self.fetch().await
            {
                self.place = None;
                self.result.set(&format!("PROBLEM: {}", chain(&error)));
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
            let left = window.saturating_sub(self.waiting.elapsed());
            let full = self.pending.len() >= self.mapping.batch_size
                || self.pending.iter().map(|record| record.size).sum::<usize>() >= LONGEST;
            if !full && !left.is_zero() && !self.ended {
                if self.sleep(BUSY.min(left)).await.is_err() {
                    return;
                }
                continue;
            }
            let records = self.take();
            if self.deliver(records).await.is_err() {
                return;
            }
            self.waiting = Instant::now();
        }
    }

    /// Reads records and keeps those that the filters let through.
    async fn fetch(&mut self) -> Result<(), EmulatorError> {
        let caller = stream::caller(&self.gateway, &self.mapping.event_source_arn).await?;
        let place = match self.place.take() {
            Some(place) => place,
            None => {
                let waiting = self.pending.back().map(|record| record.sequence_number.clone());
                let done =
                    waiting.or_else(|| self.gateway.event_sources.checkpoint(&self.mapping.uuid, &self.id));
                self.stream.place(&caller, &self.mapping, &self.id, done.as_deref()).await?
            }
        };
        let most = self.mapping.batch_size - self.pending.len();
        let page = self.stream.read(&caller, &self.mapping, &self.id, &place, most).await?;
        self.place = page.next;
        self.ended = self.place.is_none();
        if self.pending.is_empty() {
            self.waiting = Instant::now();
        }
        let last = page.records.last().map(|record| record.sequence_number.clone());
        let fitting = page.records.into_iter().filter(|record| {
            self.filters.is_empty() || self.filters.iter().any(|pattern| pattern.fits(&record.content))
        });
        self.pending.extend(fitting);
        if let Some(last) = last.filter(|_| self.pending.is_empty()) {
            self.done(&last);
        }
        Ok(())
    }

    /// Takes a batch off the front: as many as it may have, and no more than fit into an event.
    fn take(&mut self) -> Vec<Record> {
        let mut size = 0;
        let fitting = self.pending.iter().take(self.mapping.batch_size).take_while(|record| {
            size += record.size;
            size <= LONGEST
        });
        let count = fitting.count().max(1).min(self.pending.len());
        self.pending.drain(..count).collect()
    }

    /// Calls the function until every record is done or given up.
    async fn deliver(&mut self, records: Vec<Record>) -> Result<(), Stopped> {
        let rules = Rules { bisect: self.mapping.bisect, maximum_retries: self.mapping.maximum_retries };
        let mut batches = VecDeque::from([Batch { records, tried: 0, call: LastCall::default() }]);
        while let Some(mut batch) = batches.pop_front() {
            self.drop_old(&mut batch).await;
            if batch.records.is_empty() {
                continue;
            }
            if self.stop.is_cancelled() {
                return Err(Stopped);
            }
            let invoked = match self.invoke(&batch).await {
                Ok(invoked) => invoked,
                Err(refusal) => {
                    self.result.set(&format!("PROBLEM: {}", refusal.message()));
                    self.sleep(IDLE).await?;
                    batches.push_front(batch);
                    continue;
                }
            };
            // A function that was ended because the gateway stops has not failed.
            if invoked.failed && self.gateway.stopping.is_cancelled() {
                return Err(Stopped);
            }
            let numbers: Vec<&str> =
                batch.records.iter().map(|record| record.sequence_number.as_str()).collect();
            let verdict =
                batch::verdict(&invoked.body, invoked.failed, self.mapping.reports_failures(), &numbers);
            self.result.set(match verdict {
                batch::Verdict::Success => "OK",
                batch::Verdict::FailedFrom(_) => "PROBLEM: Function call failed",
            });
            batch.call = LastCall {
                request_id: invoked.request_id,
                executed_version: invoked.version,
                failed: invoked.failed,
                calls: batch.call.calls + 1,
            };
            match batch::next(verdict, batch.records.len(), batch.tried, rules) {
                Next::Done => self.done_with(&batch.records),
                Next::Again { from, tried } => {
                    let rest = batch.records.split_off(from);
                    self.done_with(&batch.records);
                    let doubled = RETRY.0.saturating_mul(1 << tried.saturating_sub(1).min(6));
                    let rest = Batch { records: rest, tried, call: batch.call };
                    batches.push_front(rest);
                    self.sleep(doubled.min(RETRY.1)).await?;
                }
                Next::Halves => {
                    let second = batch.records.split_off(batch.records.len() / 2);
                    let (tried, call) = (batch.tried, batch.call.clone());
                    batches.push_front(Batch { records: second, tried, call });
                    batches.push_front(batch);
                }
                Next::GiveUp { from } => {
                    let rest = batch.records.split_off(from);
                    self.done_with(&batch.records);
                    self.give_up(&rest, Condition::RetryAttemptsExhausted, &batch.call).await;
                }
            }
        }
        Ok(())
    }

    /// Gives up the records that are too old.
    async fn drop_old(&self, batch: &mut Batch) {
        if self.mapping.maximum_age < 0 {
            return;
        }
        let oldest =
            jiff::Timestamp::now().as_millisecond() as f64 / 1000.0 - self.mapping.maximum_age as f64;
        let old = batch.records.iter().take_while(|record| record.arrived_at < oldest).count();
        if old > 0 {
            let rest = batch.records.split_off(old);
            let old = std::mem::replace(&mut batch.records, rest);
            self.give_up(&old, Condition::RecordAgeExceeded, &batch.call).await;
        }
    }

    /// Sends the message about records that are given up, and goes on behind them.
    async fn give_up(&self, records: &[Record], condition: Condition, call: &LastCall) {
        let (gateway, mapping) = (&self.gateway, &self.mapping);
        let sent = destination::send(gateway, mapping, self.stream, &self.id, records, condition, call).await;
        if let Err(error) = sent {
            // A destination that is not there keeps nothing up; the mapping says so.
            let arn = mapping.on_failure.as_deref().unwrap_or_default();
            self.result.set(&format!("PROBLEM: nothing can be sent to {arn}: {}", chain(&error)));
        }
        self.done_with(records);
    }

    async fn invoke(&self, batch: &Batch) -> Result<Invoked, Refusal> {
        let wanted = FunctionName::parse(&self.mapping.function_arn, None)?;
        let caller = self.gateway.accounts.own(&self.mapping.account, &self.mapping.region).await?;
        invoke::run(&self.gateway, caller, &wanted, |target| event(&batch.records, target)).await
    }

    fn done_with(&self, records: &[Record]) {
        if let Some(last) = records.last() {
            self.done(&last.sequence_number);
        }
    }

    fn done(&self, sequence_number: &str) {
        let noted = self.gateway.event_sources.advance(&self.mapping.uuid, &self.id, sequence_number);
        if let Err(error) = noted {
            self.result.set(&format!("PROBLEM: it cannot be noted down how far it came: {error}"));
        }
    }

    async fn sleep(&self, time: Duration) -> Result<(), Stopped> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Stopped),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }
}

/// Writes the event of a batch; whoever runs is the one who invokes.
fn event(records: &[Record], target: &Target) -> Bytes {
    let role = target.configuration.role.as_deref();
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

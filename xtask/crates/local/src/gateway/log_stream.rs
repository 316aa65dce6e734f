//! Copies functions' logs to CloudWatch Logs in the emulator, in the background.
//!
//! If the emulator is slow or rejects the lines, they are dropped here; they are still in the log file.

use crate::emulator::Caller;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How many lines may wait; more are dropped.
const QUEUE: usize = 10_000;
/// How long lines are collected for one PutLogEvents.
const COLLECT_FOR: Duration = Duration::from_millis(100);
/// The number of lines in one PutLogEvents, which takes 10,000 events or 1 MiB.
const BATCH: usize = 1_000;

/// The log streams of all functions.
pub(crate) struct LogStreams {
    sender: mpsc::Sender<Line>,
}

/// The log stream of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct LogDestination {
    caller: Caller,
    group: String,
    stream: String,
}

struct Line {
    destination: Arc<LogDestination>,
    at: Timestamp,
    text: String,
}

impl LogStreams {
    /// Starts the copying; it ends with the last stream.
    pub(crate) fn start() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(copy(receiver));
        Self { sender }
    }

    /// Makes a new stream with the name `YYYY/MM/DD/[version]<32 hex>`.
    pub(crate) fn stream(&self, caller: Caller, group: String, version: &str, id: &str) -> LogStream {
        let day = Timestamp::now().strftime("%Y/%m/%d");
        let stream = format!("{day}/[{version}]{}", id.replace('-', ""));
        let destination = Arc::new(LogDestination { caller, group, stream });
        LogStream { queue: Some((self.sender.clone(), destination)) }
    }
}

/// Sends the lines of one instance to its log stream.
#[derive(Clone)]
pub(crate) struct LogStream {
    queue: Option<(mpsc::Sender<Line>, Arc<LogDestination>)>,
}

impl LogStream {
    #[cfg(test)]
    pub(crate) fn discarding() -> Self {
        Self { queue: None }
    }

    /// Returns the stream's name, as the function gets it.
    pub(crate) fn name(&self) -> &str {
        self.queue.as_ref().map_or("", |(_, destination)| &destination.stream)
    }

    /// Queues a line, or drops it if too many wait.
    pub(crate) fn push(&self, at: Timestamp, text: String) {
        if let Some((sender, destination)) = &self.queue
            && !text.is_empty()
        {
            let _ = sender.try_send(Line { destination: Arc::clone(destination), at, text });
        }
    }
}

async fn copy(mut receiver: mpsc::Receiver<Line>) {
    let mut created = HashSet::new();
    let mut lines = Vec::new();
    while receiver.recv_many(&mut lines, BATCH).await > 0 {
        tokio::time::sleep(COLLECT_FOR).await;
        while lines.len() < BATCH
            && let Ok(line) = receiver.try_recv()
        {
            lines.push(line);
        }
        let mut by_destination: HashMap<Arc<LogDestination>, Vec<Value>> = HashMap::new();
        for line in lines.drain(..) {
            let event = json!({ "timestamp": line.at.as_millisecond(), "message": line.text });
            by_destination.entry(line.destination).or_default().push(event);
        }
        for (destination, events) in by_destination {
            put(&destination, &events, &mut created).await;
        }
    }
}

/// Writes events, after creating group and stream for the first ones. Errors are ignored: group or stream may exist.
async fn put(
    destination: &Arc<LogDestination>,
    events: &[Value],
    created: &mut HashSet<Arc<LogDestination>>,
) {
    let LogDestination { caller, group, stream } = &**destination;
    if created.insert(Arc::clone(destination)) {
        let _ = caller.logs("CreateLogGroup", &json!({ "logGroupName": group })).await;
        let input = json!({ "logGroupName": group, "logStreamName": stream });
        let _ = caller.logs("CreateLogStream", &input).await;
    }
    let input = json!({ "logGroupName": group, "logStreamName": stream, "logEvents": events });
    if caller.logs("PutLogEvents", &input).await.is_err() {
        // The group may have been deleted, so it is created again with the next lines.
        created.remove(destination);
    }
}

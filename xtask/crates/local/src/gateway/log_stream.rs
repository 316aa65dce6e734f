//! Copies functions' logs to CloudWatch Logs in the emulator, so that they are read there as in the cloud.
//!
//! It is done in the background and as well as possible: when the emulator is slow or refuses, lines are dropped
//! here and remain in the log file.

use crate::emulator::Caller;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Lines that wait; more are dropped.
const QUEUE: usize = 10_000;
/// Lines are gathered this long into one PutLogEvents.
const GATHER: Duration = Duration::from_millis(100);
/// PutLogEvents takes 10,000 events or 1 MiB; lines here are mostly short.
const BATCH: usize = 1_000;

/// Takes the lines of all functions.
pub(crate) struct LogStreams {
    sender: mpsc::Sender<Line>,
}

/// Where the lines of one instance go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    caller: Caller,
    group: String,
    stream: String,
}

struct Line {
    place: Arc<Place>,
    at: Timestamp,
    text: String,
}

impl LogStreams {
    /// Starts the copying; it ends when the last stream is gone.
    pub(crate) fn start() -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(copy(receiver));
        Self { sender }
    }

    /// Names a new stream: `YYYY/MM/DD/[version]<32 hex>`.
    pub(crate) fn stream(&self, caller: Caller, group: String, version: &str, id: &str) -> LogStream {
        let day = Timestamp::now().strftime("%Y/%m/%d");
        let stream = format!("{day}/[{version}]{}", id.replace('-', ""));
        let place = Arc::new(Place { caller, group, stream });
        LogStream { target: Some((self.sender.clone(), place)) }
    }
}

/// One instance's log stream.
#[derive(Clone)]
pub(crate) struct LogStream {
    target: Option<(mpsc::Sender<Line>, Arc<Place>)>,
}

impl LogStream {
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        Self { target: None }
    }

    /// The stream's name, as the function learns it.
    pub(crate) fn name(&self) -> &str {
        self.target.as_ref().map_or("", |(_, place)| &place.stream)
    }

    /// Hands a line over; drops it when too many wait.
    pub(crate) fn push(&self, at: Timestamp, text: String) {
        if let Some((sender, place)) = &self.target
            && !text.is_empty()
        {
            let _ = sender.try_send(Line { place: Arc::clone(place), at, text });
        }
    }
}

async fn copy(mut receiver: mpsc::Receiver<Line>) {
    let mut made = HashSet::new();
    let mut lines = Vec::new();
    while receiver.recv_many(&mut lines, BATCH).await > 0 {
        tokio::time::sleep(GATHER).await;
        while lines.len() < BATCH
            && let Ok(line) = receiver.try_recv()
        {
            lines.push(line);
        }
        let mut places: HashMap<Arc<Place>, Vec<Value>> = HashMap::new();
        for line in lines.drain(..) {
            let event = json!({ "timestamp": line.at.as_millisecond(), "message": line.text });
            places.entry(line.place).or_default().push(event);
        }
        for (place, events) in places {
            put(&place, &events, &mut made).await;
        }
    }
}

/// Each call may fail because the thing exists already, or for good; neither is anything to stop at.
async fn put(place: &Arc<Place>, events: &[Value], made: &mut HashSet<Arc<Place>>) {
    let Place { caller, group, stream } = &**place;
    if made.insert(Arc::clone(place)) {
        let _ = caller.logs("CreateLogGroup", &json!({ "logGroupName": group })).await;
        let input = json!({ "logGroupName": group, "logStreamName": stream });
        let _ = caller.logs("CreateLogStream", &input).await;
    }
    let input = json!({ "logGroupName": group, "logStreamName": stream, "logEvents": events });
    if caller.logs("PutLogEvents", &input).await.is_err() {
        // The group may have been deleted: make it anew with the next lines.
        made.remove(place);
    }
}

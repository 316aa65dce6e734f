//! What is happening, as events: started, advanced, line, note, finished; scoped by a path such as
//! `release/hello/build`.
//!
//! Stages emit, sinks render: the console shows them, the run's `events.jsonl` keeps them. No stage prints.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;

/// One thing that happened.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Event {
    /// The scope, such as `release/hello/build`.
    pub(crate) path: String,
    /// What happened there.
    #[serde(flatten)]
    pub(crate) what: What,
}

/// The kinds of events.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum What {
    /// A step began; `total` in bytes or items where it is known.
    Started { step: u64, label: String, title: String, total: Option<u64>, unit: Unit, slow: bool },
    /// A step got on.
    Advanced { step: u64, done: u64 },
    /// A program that a step runs said something.
    Line { step: u64, text: String },
    /// A step ended.
    Finished { step: u64, label: String, title: String, result: String, good: bool, took_ms: u64 },
    /// A step was given up, by a signal or a failure elsewhere.
    Dropped { step: u64 },
    /// Something worth a line of its own.
    Note { text: String },
    /// A block for people: a table, a list of changes.
    Block { text: String },
    /// A call to something outside.
    Call { service: String, operation: String, subject: String, took_ms: u64, outcome: String },
}

/// What a step counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Items,
}

/// Receives events, in order.
pub(crate) trait Sink: Send + Sync {
    /// Takes one event.
    fn event(&self, event: &Event);
}

/// A handle on the event stream at one scope; cheap to clone.
#[derive(Clone)]
pub(crate) struct Progress {
    hub: Arc<Hub>,
    path: String,
}

struct Hub {
    sinks: Mutex<Vec<Arc<dyn Sink>>>,
    next: AtomicU64,
}

impl Progress {
    /// Makes a stream that feeds the given sinks.
    pub(crate) fn new(sinks: Vec<Arc<dyn Sink>>) -> Self {
        Self { hub: Arc::new(Hub { sinks: Mutex::new(sinks), next: AtomicU64::new(1) }), path: String::new() }
    }

    /// Makes a stream that nobody reads.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self::new(Vec::new())
    }

    /// Adds a sink.
    pub(crate) fn add(&self, sink: Arc<dyn Sink>) {
        if let Ok(mut sinks) = self.hub.sinks.lock() {
            sinks.push(sink);
        }
    }

    /// Returns a handle one level deeper.
    pub(crate) fn scope(&self, name: impl AsRef<str>) -> Self {
        let path = if self.path.is_empty() {
            name.as_ref().to_owned()
        } else {
            format!("{}/{}", self.path, name.as_ref())
        };
        Self { hub: self.hub.clone(), path }
    }

    /// Begins a step that is over within moments.
    pub(crate) fn step(&self, label: &str, title: impl Into<String>) -> Step {
        self.begin(label, title.into(), None, Unit::Items, false)
    }

    /// Begins a step that a person waits for: it is announced even where lines are not redrawn.
    pub(crate) fn slow_step(&self, label: &str, title: impl Into<String>) -> Step {
        self.begin(label, title.into(), None, Unit::Items, true)
    }

    /// Begins a step with a known total.
    pub(crate) fn counted_step(&self, label: &str, title: impl Into<String>, total: u64, unit: Unit) -> Step {
        self.begin(label, title.into(), Some(total), unit, total > 8 << 20 || unit == Unit::Items)
    }

    /// Says something worth a line of its own.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.send(What::Note { text: text.into() });
    }

    /// Shows a block of lines.
    pub(crate) fn block(&self, text: impl Into<String>) {
        self.send(What::Block { text: text.into() });
    }

    /// Records a call to something outside.
    pub(crate) fn call(&self, service: &str, operation: &str, subject: &str, took: Duration, outcome: &str) {
        self.send(What::Call {
            service: service.into(),
            operation: operation.into(),
            subject: subject.into(),
            took_ms: millis(took),
            outcome: outcome.into(),
        });
    }

    fn begin(&self, label: &str, title: String, total: Option<u64>, unit: Unit, slow: bool) -> Step {
        let id = self.hub.next.fetch_add(1, Ordering::Relaxed);
        self.send(What::Started { step: id, label: label.into(), title: title.clone(), total, unit, slow });
        Step {
            progress: self.clone(),
            id,
            label: label.into(),
            title,
            started: Instant::now(),
            ended: AtomicBool::new(false),
        }
    }

    fn send(&self, what: What) {
        let event = Event { path: self.path.clone(), what };
        let sinks = self.hub.sinks.lock().map(|sinks| sinks.clone()).unwrap_or_default();
        sinks.iter().for_each(|sink| sink.event(&event));
    }
}

/// A step under way; dropping it unfinished says that it was given up.
pub(crate) struct Step {
    progress: Progress,
    id: u64,
    label: String,
    title: String,
    started: Instant,
    ended: AtomicBool,
}

impl Step {
    /// Says how far the step has come, in its unit.
    pub(crate) fn advance(&self, done: u64) {
        self.progress.send(What::Advanced { step: self.id, done });
    }

    /// Passes on a line of the program that the step runs.
    pub(crate) fn line(&self, text: impl Into<String>) {
        self.progress.send(What::Line { step: self.id, text: text.into() });
    }

    /// Ends the step well.
    pub(crate) fn done(self, result: impl Into<String>) {
        let title = self.title.clone();
        self.end(title, result.into(), true);
    }

    /// Ends the step well, with a title that says more than the first one.
    pub(crate) fn done_as(self, title: impl Into<String>, result: impl Into<String>) {
        self.end(title.into(), result.into(), true);
    }

    /// Ends the step badly; the failure itself is told elsewhere.
    pub(crate) fn failed(self, result: impl Into<String>) {
        let title = self.title.clone();
        self.end(title, result.into(), false);
    }

    fn end(&self, title: String, result: String, good: bool) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            self.progress.send(What::Finished {
                step: self.id,
                label: self.label.clone(),
                title,
                result,
                good,
                took_ms: millis(self.started.elapsed()),
            });
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            self.progress.send(What::Dropped { step: self.id });
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Keep(Mutex<Vec<String>>);

    impl Sink for Keep {
        fn event(&self, event: &Event) {
            self.0.lock().unwrap().push(serde_json::to_string(event).unwrap());
        }
    }

    #[test]
    fn a_step_ends_once_and_says_where_it_stood() {
        let keep = Arc::new(Keep(Mutex::new(Vec::new())));
        let progress = Progress::new(vec![keep.clone()]).scope("release").scope("hello");
        progress.step("build", "hello").done("1.9 MB");
        drop(progress.step("publish", "hello"));
        let events = keep.0.lock().unwrap();
        assert_eq!(events.len(), 4);
        assert!(
            events[0].starts_with(r#"{"path":"release/hello","event":"started","step":1,"label":"build""#),
            "{}",
            events[0]
        );
        assert!(events[1].contains(r#""result":"1.9 MB","good":true"#), "{}", events[1]);
        assert!(events[3].contains(r#""event":"dropped","step":2"#), "{}", events[3]);
    }
}

//! Progress events of a run: started, advanced, line, note, finished; scoped by a path such as `release/hello/build`.
//!
//! Stages emit events and sinks render them: the console prints them, the run's `events.jsonl` records them. No stage
//! prints by itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;

/// One progress event.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// The scope, such as `release/hello/build`.
    pub path: String,
    /// What it reports.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What an event reports. Steps are identified by numbers that are unique within a run.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A step started.
    Started {
        /// The step's number.
        step: u64,
        /// The first column, such as `build`.
        label: String,
        /// What is being done, such as `hello  provided.al2023 x86_64`.
        title: String,
        /// How much there is to do, in `unit`, where it is known.
        total: Option<u64>,
        /// What `total` counts.
        unit: Unit,
        /// Whether it takes long enough to be announced when it starts.
        slow: bool,
    },
    /// A step takes long: it is worth a line although it has not ended.
    Announced {
        /// The step's number.
        step: u64,
    },
    /// A step advanced.
    Advanced {
        /// The step's number.
        step: u64,
        /// How much is done, in the step's unit.
        done: u64,
    },
    /// A program that a step runs printed a line.
    Line {
        /// The step's number.
        step: u64,
        /// The line, without its end.
        text: String,
    },
    /// A step ended.
    Finished {
        /// The step's number.
        step: u64,
        /// The first column.
        label: String,
        /// What was done.
        title: String,
        /// The last column but one, such as `applied`.
        result: String,
        /// Whether the step succeeded.
        good: bool,
        /// Milliseconds.
        took_ms: u64,
    },
    /// A step was abandoned because of a signal or a failure elsewhere.
    Dropped {
        /// The step's number.
        step: u64,
    },
    /// A line that belongs to no step.
    Note {
        /// The line.
        text: String,
    },
    /// Several lines for people: a table, a list of changes.
    Block {
        /// The lines.
        text: String,
    },
    /// A call to a service.
    Call {
        /// The service, such as `s3`.
        service: String,
        /// The operation, such as `PutObject`.
        operation: String,
        /// What it was about: a key, a function.
        subject: String,
        /// Milliseconds.
        took_ms: u64,
        /// `ok`, or the error's code.
        outcome: String,
    },
}

/// What a step counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Items.
    Items,
}

/// Receives events, in order.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn event(&self, event: &Event);
}

/// A handle for emitting events in one scope; cheap to clone.
#[derive(Clone)]
pub struct Progress {
    sinks: Arc<SinkList>,
    path: String,
}

struct SinkList {
    sinks: Mutex<Vec<Arc<dyn Sink>>>,
    next: AtomicU64,
}

impl Progress {
    /// Makes a stream that feeds the given sinks.
    pub fn new(sinks: Vec<Arc<dyn Sink>>) -> Self {
        Self {
            sinks: Arc::new(SinkList { sinks: Mutex::new(sinks), next: AtomicU64::new(1) }),
            path: String::new(),
        }
    }

    /// Makes a stream without sinks.
    pub fn silent() -> Self {
        Self::new(Vec::new())
    }

    /// Adds a sink.
    pub fn add(&self, sink: Arc<dyn Sink>) {
        if let Ok(mut sinks) = self.sinks.sinks.lock() {
            sinks.push(sink);
        }
    }

    /// Returns a handle one level deeper.
    pub fn scope(&self, name: impl AsRef<str>) -> Self {
        let path = if self.path.is_empty() {
            name.as_ref().to_owned()
        } else {
            format!("{}/{}", self.path, name.as_ref())
        };
        Self { sinks: self.sinks.clone(), path }
    }

    /// Starts a short step: it is shown when it ends.
    pub fn step(&self, label: &str, title: impl Into<String>) -> Step {
        self.begin(label, title.into(), None, Unit::Items, false)
    }

    /// Starts a step that takes long: it is announced also without a terminal.
    pub fn slow_step(&self, label: &str, title: impl Into<String>) -> Step {
        self.begin(label, title.into(), None, Unit::Items, true)
    }

    /// Starts a step with a known total.
    pub fn counted_step(&self, label: &str, title: impl Into<String>, total: u64, unit: Unit) -> Step {
        self.begin(label, title.into(), Some(total), unit, total > 8 << 20 || unit == Unit::Items)
    }

    /// Emits a line that belongs to no step.
    pub fn note(&self, text: impl Into<String>) {
        self.send(EventKind::Note { text: text.into() });
    }

    /// Emits several lines as one block.
    pub fn block(&self, text: impl Into<String>) {
        self.send(EventKind::Block { text: text.into() });
    }

    /// Emits a call to a service.
    pub fn call(&self, service: &str, operation: &str, subject: &str, took: Duration, outcome: &str) {
        self.send(EventKind::Call {
            service: service.into(),
            operation: operation.into(),
            subject: subject.into(),
            took_ms: millis(took),
            outcome: outcome.into(),
        });
    }

    fn begin(&self, label: &str, title: String, total: Option<u64>, unit: Unit, slow: bool) -> Step {
        let id = self.sinks.next.fetch_add(1, Ordering::Relaxed);
        self.send(EventKind::Started {
            step: id,
            label: label.into(),
            title: title.clone(),
            total,
            unit,
            slow,
        });
        Step {
            progress: self.clone(),
            id,
            label: label.into(),
            title,
            started: Instant::now(),
            ended: AtomicBool::new(false),
        }
    }

    fn send(&self, kind: EventKind) {
        let event = Event { path: self.path.clone(), kind };
        let sinks = self.sinks.sinks.lock().map(|sinks| sinks.clone()).unwrap_or_default();
        sinks.iter().for_each(|sink| sink.event(&event));
    }
}

/// A running step. Dropping it before it ended emits `dropped`.
pub struct Step {
    progress: Progress,
    id: u64,
    label: String,
    title: String,
    started: Instant,
    ended: AtomicBool,
}

impl Step {
    /// Waits for the step's work and announces the step if that takes longer than `after`.
    pub async fn announced_after<T>(&self, after: Duration, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        if let Ok(done) = tokio::time::timeout(after, &mut work).await {
            return done;
        }
        self.progress.send(EventKind::Announced { step: self.id });
        work.await
    }

    /// Emits how much of the step is done, in its unit.
    pub fn advance(&self, done: u64) {
        self.progress.send(EventKind::Advanced { step: self.id, done });
    }

    /// Emits a line of the program that the step runs.
    pub fn line(&self, text: impl Into<String>) {
        self.progress.send(EventKind::Line { step: self.id, text: text.into() });
    }

    /// Ends the step as successful.
    pub fn done(self, result: impl Into<String>) {
        let title = self.title.clone();
        self.end(title, result.into(), true);
    }

    /// Ends the step as successful, with a more precise title than the first one.
    pub fn done_as(self, title: impl Into<String>, result: impl Into<String>) {
        self.end(title.into(), result.into(), true);
    }

    /// Ends the step as failed. The failure itself is reported by the caller.
    pub fn failed(self, result: impl Into<String>) {
        let title = self.title.clone();
        self.end(title, result.into(), false);
    }

    fn end(&self, title: String, result: String, good: bool) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            self.progress.send(EventKind::Finished {
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
            self.progress.send(EventKind::Dropped { step: self.id });
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

    #[tokio::test]
    async fn step_is_announced_only_when_its_work_takes_longer() {
        let keep = Arc::new(Keep(Mutex::new(Vec::new())));
        let progress = Progress::new(vec![keep.clone()]);
        for (work, announced) in [(0, false), (200, true)] {
            keep.0.lock().unwrap().clear();
            let step = progress.step("check", "clippy");
            let work = tokio::time::sleep(Duration::from_millis(work));
            step.announced_after(Duration::from_millis(50), work).await;
            step.done("passed");
            let events = keep.0.lock().unwrap();
            assert_eq!(events.iter().any(|event| event.contains("announced")), announced, "{events:?}");
        }
    }

    #[test]
    fn step_ends_once_and_reports_its_scope() {
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

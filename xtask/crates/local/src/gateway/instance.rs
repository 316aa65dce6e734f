//! One running copy of a function: its process, its Runtime API, its output.
//!
//! In: a program and its environment, then one event after another. Out: an [`Outcome`] for each. What goes wrong
//! inside is the function's error and told as Lambda tells it; after a crash or a time-out the instance is done for.

use super::output::Output;
use super::runtime_api::{Event, RuntimeApi, Word};
use crate::process::{self, Launch};
use crate::procfs;
use axum::body::Bytes;
use serde_json::json;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

/// What a start may take before the function's own time limit begins to count, as in Lambda.
const INIT_WITHIN: Duration = Duration::from_secs(10);

/// A function's process, ready for events. It dies with this value, and all that it started.
pub(crate) struct Instance {
    child: Child,
    pid: u32,
    api: RuntimeApi,
    pub(crate) output: Arc<Output>,
    /// Whether the runtime has asked for its first event.
    pub(crate) ready: bool,
}

/// How an invocation ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The function's answer.
    Answer(Bytes),
    /// The function's error, and whether the instance can go on.
    Failure { body: Bytes, fatal: bool },
}

impl Instance {
    /// Starts the process; it is not ready before [`Instance::initialised`].
    pub(crate) async fn spawn(
        mut launch: Launch,
        folder: &Path,
        output: impl FnOnce(io::PipeReader) -> io::Result<Arc<Output>>,
    ) -> Result<Self, (io::Error, Option<Arc<Output>>)> {
        let api = RuntimeApi::start().await.map_err(|error| (error, None))?;
        launch.variables.push(("AWS_LAMBDA_RUNTIME_API".into(), api.address.to_string().into()));
        let (reader, writer) = io::pipe().map_err(|error| (error, None))?;
        let output = output(reader).map_err(|error| (error, None))?;
        match launch.instance(folder, writer) {
            Ok(child) => {
                let pid = child.id().unwrap_or_default();
                Ok(Self { child, pid, api, output, ready: false })
            }
            Err(error) => Err((error, Some(output))),
        }
    }

    /// Waits until the runtime asks for its first event.
    pub(crate) async fn initialised(
        &mut self,
        event: &Event,
        stopping: &CancellationToken,
    ) -> Result<(), Outcome> {
        let limit = INIT_WITHIN.max(event.limit);
        tokio::select! {
            // A word that was said before the end counts.
            biased;
            word = self.api.words.recv() => match word {
                Some(Word::InitError(body)) => Err(Outcome::Failure { body, fatal: true }),
                _ => {
                    self.ready = true;
                    Ok(())
                }
            },
            status = self.child.wait() => Err(self.exited(&event.id, status)),
            () = stopping.cancelled() => Err(stopped(&event.id)),
            () = tokio::time::sleep(limit) => Err(self.timed_out(&event.id, limit)),
        }
    }

    /// Runs one event.
    pub(crate) async fn invoke(&mut self, event: Event, stopping: &CancellationToken) -> Outcome {
        let (id, limit) = (event.id.clone(), event.limit);
        let until = Instant::now() + limit;
        if self.api.events.try_send(event).is_err() {
            return failure(&id, "Runtime.Unavailable", "the instance does not take events", true);
        }
        loop {
            tokio::select! {
                biased;
                word = self.api.words.recv() => match word {
                    Some(Word::Response { id: answered, body }) if answered == id => return Outcome::Answer(body),
                    Some(Word::Error { id: answered, body }) if answered == id => {
                        return Outcome::Failure { body, fatal: false };
                    }
                    Some(Word::InitError(body)) => return Outcome::Failure { body, fatal: true },
                    Some(_) => {}
                    None => return failure(&id, "Runtime.Unavailable", "its Runtime API ended", true),
                },
                status = self.child.wait() => return self.exited(&id, status),
                () = stopping.cancelled() => return stopped(&id),
                () = tokio::time::sleep_until(until.into()) => return self.timed_out(&id, limit),
            }
        }
    }

    /// Says whether the process still lives, before it is given another event.
    pub(crate) fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The memory it had at its peak, in MiB.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        procfs::peak_memory(self.pid)
    }

    fn exited(&self, id: &str, status: io::Result<ExitStatus>) -> Outcome {
        self.output.drain();
        let message = match status {
            Ok(status) if status.success() => "Runtime exited without providing a reason".to_owned(),
            Ok(status) => format!("Runtime exited with error: {}", exit_text(status)),
            Err(error) => format!("Runtime exited with error: {error}"),
        };
        failure(id, "Runtime.ExitError", &message, true)
    }

    fn timed_out(&mut self, id: &str, limit: Duration) -> Outcome {
        process::kill_group(self.pid);
        self.output.drain();
        let message = format!("Task timed out after {:.2} seconds", limit.as_secs_f64());
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
        self.output.note(&format!("{now} {id} {message}"));
        failure(id, "Sandbox.Timedout", &message, true)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        process::kill_group(self.pid);
    }
}

/// Describes an error that the platform finds, the way Lambda does.
pub(crate) fn failure(id: &str, kind: &str, message: &str, fatal: bool) -> Outcome {
    let body = json!({ "errorType": kind, "errorMessage": format!("RequestId: {id} Error: {message}") });
    Outcome::Failure { body: body.to_string().into(), fatal }
}

fn stopped(id: &str) -> Outcome {
    failure(id, "Runtime.Stopped", "the local Lambda gateway was stopped", true)
}

fn exit_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(6)) => "signal: aborted".to_owned(),
        (None, Some(9)) => "signal: killed".to_owned(),
        (None, Some(11)) => "signal: segmentation fault".to_owned(),
        (None, Some(15)) => "signal: terminated".to_owned(),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_described_as_lambda_does() {
        assert_eq!(exit_text(ExitStatus::from_raw(3 << 8)), "exit status 3");
        assert_eq!(exit_text(ExitStatus::from_raw(9)), "signal: killed");
        assert_eq!(exit_text(ExitStatus::from_raw(5)), "signal: 5");
    }
}

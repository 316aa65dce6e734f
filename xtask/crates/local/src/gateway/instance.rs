//! One running instance of a function: its process, its Runtime API, its output.
//!
//! In: a command line, then invocations, one at a time. Out: an [`InvocationResult`] for each. Errors inside the instance
//! are the function's errors, in Lambda's form. After a crash or a timeout the instance cannot be used again.

use super::output::Output;
use super::runtime_api::{Invocation, RuntimeApi, RuntimeMessage};
use crate::programs::{self, CommandLine};
use axum::body::Bytes;
use serde_json::json;
use slipway_runner::process;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

/// How long a start may take, in addition to the function's own time limit, as in Lambda.
const INIT_WITHIN: Duration = Duration::from_secs(10);

/// A function's process. It is killed with this value, together with all processes that it started.
pub(crate) struct Instance {
    child: Child,
    pid: u32,
    api: RuntimeApi,
    pub(crate) output: Arc<Output>,
    /// Whether the runtime has asked for its first invocation.
    pub(crate) ready: bool,
}

/// The result of an invocation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InvocationResult {
    /// What the function returned.
    Success(Bytes),
    /// The function's error. After a fatal one the instance cannot be used again.
    Failure { body: Bytes, fatal: bool },
}

impl Instance {
    /// Starts the process; it is ready after [`Instance::wait_until_ready`].
    ///
    /// `output` starts to read the process's output. It is part of the error if the program itself cannot be started.
    pub(crate) async fn spawn(
        mut command: CommandLine,
        folder: &Path,
        output: impl FnOnce(io::PipeReader) -> io::Result<Arc<Output>>,
    ) -> Result<Self, (io::Error, Option<Arc<Output>>)> {
        let api = RuntimeApi::start().await.map_err(|error| (error, None))?;
        command.variables.push(("AWS_LAMBDA_RUNTIME_API".into(), api.address.to_string().into()));
        let (reader, writer) = io::pipe().map_err(|error| (error, None))?;
        let output = output(reader).map_err(|error| (error, None))?;
        match command.spawn_instance(folder, writer) {
            Ok(child) => {
                let pid = child.id().unwrap_or_default();
                Ok(Self { child, pid, api, output, ready: false })
            }
            Err(error) => Err((error, Some(output))),
        }
    }

    /// Waits until the runtime asks for its first invocation.
    pub(crate) async fn wait_until_ready(
        &mut self,
        invocation: &Invocation,
        stopping: &CancellationToken,
    ) -> Result<(), InvocationResult> {
        let limit = INIT_WITHIN.max(invocation.time_limit);
        tokio::select! {
            // A message that arrived before the process ended counts.
            biased;
            message = self.api.messages.recv() => match message {
                Some(RuntimeMessage::InitError(body)) => Err(InvocationResult::Failure { body, fatal: true }),
                _ => {
                    self.ready = true;
                    Ok(())
                }
            },
            status = self.child.wait() => Err(self.exited(&invocation.id, status)),
            () = stopping.cancelled() => Err(stopped(&invocation.id)),
            () = tokio::time::sleep(limit) => Err(self.timed_out(&invocation.id, limit)),
        }
    }

    /// Runs one invocation.
    pub(crate) async fn invoke(
        &mut self,
        invocation: Invocation,
        stopping: &CancellationToken,
    ) -> InvocationResult {
        let (id, limit) = (invocation.id.clone(), invocation.time_limit);
        let until = Instant::now() + limit;
        if self.api.invocations.try_send(invocation).is_err() {
            return failure(&id, "Runtime.Unavailable", "the instance does not take invocations", true);
        }
        loop {
            tokio::select! {
                biased;
                message = self.api.messages.recv() => match message {
                    Some(RuntimeMessage::Response { id: of, body }) if of == id => {
                        return InvocationResult::Success(body);
                    }
                    Some(RuntimeMessage::Error { id: of, body }) if of == id => {
                        return InvocationResult::Failure { body, fatal: false };
                    }
                    Some(RuntimeMessage::InitError(body)) => {
                        return InvocationResult::Failure { body, fatal: true };
                    }
                    Some(_) => {}
                    None => return failure(&id, "Runtime.Unavailable", "its Runtime API ended", true),
                },
                status = self.child.wait() => return self.exited(&id, status),
                () = stopping.cancelled() => return stopped(&id),
                () = tokio::time::sleep_until(until.into()) => return self.timed_out(&id, limit),
            }
        }
    }

    /// Returns whether the process still lives.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Returns the peak memory in MiB.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        process::peak_memory(self.pid)
    }

    fn exited(&self, id: &str, status: io::Result<ExitStatus>) -> InvocationResult {
        self.output.drain();
        let message = match status {
            Ok(status) if status.success() => "Runtime exited without providing a reason".to_owned(),
            Ok(status) => format!("Runtime exited with error: {}", exit_text(status)),
            Err(error) => format!("Runtime exited with error: {error}"),
        };
        failure(id, "Runtime.ExitError", &message, true)
    }

    fn timed_out(&mut self, id: &str, limit: Duration) -> InvocationResult {
        programs::kill_group(self.pid);
        self.output.drain();
        let message = format!("Task timed out after {:.2} seconds", limit.as_secs_f64());
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
        self.output.write_line(&format!("{now} {id} {message}"));
        failure(id, "Sandbox.Timedout", &message, true)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        programs::kill_group(self.pid);
    }
}

/// Makes an error of the platform in Lambda's form.
pub(crate) fn failure(id: &str, error_type: &str, message: &str, fatal: bool) -> InvocationResult {
    let body =
        json!({ "errorType": error_type, "errorMessage": format!("RequestId: {id} Error: {message}") });
    InvocationResult::Failure { body: body.to_string().into(), fatal }
}

fn stopped(id: &str) -> InvocationResult {
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
    fn exit_text_is_lambdas() {
        assert_eq!(exit_text(ExitStatus::from_raw(3 << 8)), "exit status 3");
        assert_eq!(exit_text(ExitStatus::from_raw(9)), "signal: killed");
        assert_eq!(exit_text(ExitStatus::from_raw(5)), "signal: 5");
    }
}

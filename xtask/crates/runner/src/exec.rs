//! Runs programs: argument list, folder and environment in; output lines and an exit status out.
//!
//! This is the only place that starts a program. Each program runs in a process group of its own, so a terminal's Ctrl-C
//! reaches Slipway alone, which decides what to pass on. A program that dies from a signal takes its group with it: what it
//! started cannot report to it any more, and would keep its files and locks. Errors: the program is missing (named, with a
//! hint) or cannot be started. Exceeding the time limit and dying from a signal are results, not errors.

mod output_lines;
mod program;

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

pub use self::program::{Program, find_program, is_program_missing};
use rustix::process::{Pid, Signal, kill_process_group};

use self::output_lines::OutputLines;

use crate::interrupt::{self, Interrupt};
use crate::process;
use slipway_values::failure::{self, Failure, Result};

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Where a program's output goes.
#[derive(Debug, Clone)]
pub enum OutputTarget {
    /// Through pipes: the program fails to write once Slipway is gone.
    Pipes,
    /// Into two files that Slipway reads while they grow: the program can finish although Slipway was killed.
    Files {
        /// The file for standard output.
        out: PathBuf,
        /// The file for standard error.
        err: PathBuf,
    },
}

/// What the first signal that Slipway receives does to a running program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSignal {
    /// The program gets one SIGINT at once.
    Forward,
    /// The program may finish; it gets one SIGINT at the second signal.
    Finish,
}

/// Options for running a program.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Where the output goes.
    pub output: OutputTarget,
    /// The time after which the program gets SIGTERM, and SIGKILL after [`KILL_AFTER`].
    pub time_limit: Option<Duration>,
    /// What the first signal does.
    pub on_signal: OnSignal,
    /// Gets the program one SIGINT when it is notified, and SIGTERM if it has not ended after [`FINISH_WITHIN`].
    pub give_up: Option<std::sync::Arc<tokio::sync::Notify>>,
    /// The program's stdin; empty if not set. A program keeps the lock on a locked file for as long as it runs.
    pub stdin: Option<std::sync::Arc<std::fs::File>>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            output: OutputTarget::Pipes,
            time_limit: None,
            on_signal: OnSignal::Forward,
            give_up: None,
            stdin: None,
        }
    }
}

/// Result of running a program.
#[derive(Debug, Clone)]
pub struct ProgramResult {
    /// The exit code; `None` if a signal killed the program.
    pub code: Option<i32>,
    /// Whether it exceeded its time limit.
    pub timed_out: bool,
    /// Whether Slipway received a signal while it ran.
    pub interrupted: bool,
    /// How long it ran.
    pub took: Duration,
    /// The last lines of both streams, oldest first.
    pub tail: Vec<String>,
}

impl ProgramResult {
    /// Returns whether the program exited with 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

/// Number of lines in [`ProgramResult::tail`].
const TAIL: usize = 40;

/// The time between SIGTERM and SIGKILL.
pub const KILL_AFTER: Duration = Duration::from_secs(5);

/// How long a program that was given up may take to save what it did.
pub const FINISH_WITHIN: Duration = Duration::from_secs(120);

/// Runs a program to its end and calls `on_line` for each line of its output.
pub async fn run(
    program: &Program,
    options: &RunOptions,
    interrupt: &Interrupt,
    on_line: &mut (dyn FnMut(Stream, &str) + Send),
) -> Result<ProgramResult> {
    interrupt.check()?;
    let begun = Instant::now();
    let mut tail = std::collections::VecDeque::with_capacity(TAIL);
    let mut keep = |stream, line: &str| {
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line.to_owned());
        on_line(stream, line);
    };
    let stdin = match &options.stdin {
        Some(file) => file
            .try_clone()
            .map_err(|error| failure::io("pass on", Path::new("a locked file"), error))?
            .into(),
        None => Stdio::null(),
    };
    let (mut child, mut lines) = match &options.output {
        OutputTarget::Pipes => {
            let mut child = program.spawn(stdin, Stdio::piped(), Stdio::piped())?;
            let lines = OutputLines::piped(&mut child);
            (child, lines)
        }
        OutputTarget::Files { out, err } => {
            let create = |path: &Path| {
                let mut file = std::fs::File::options();
                // Only the owner may read what a program prints.
                file.write(true).create(true).truncate(true).mode(0o600);
                file.open(path).map_err(|error| failure::io("create", path, error))
            };
            let child = program.spawn(stdin, create(out)?.into(), create(err)?.into())?;
            (child, OutputLines::followed(out, err)?)
        }
    };
    let pid = child.id();
    let (mut timed_out, mut forwarded, mut seen) = (false, false, false);
    let limit = tokio::time::sleep(options.time_limit.unwrap_or(Duration::from_secs(60 * 60 * 24 * 365)));
    tokio::pin!(limit);
    let first = interrupt.wait_for_signals(1);
    let second = interrupt.wait_for_signals(2);
    let given_up = async {
        match &options.give_up {
            Some(give_up) => give_up.notified().await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(first, second, given_up);
    let mut gave_up = false;
    let status = loop {
        tokio::select! {
            biased;
            () = lines.next(&mut keep) => {}
            status = child.wait() => break status,
            () = &mut first, if !seen => {
                seen = true;
                if options.on_signal == OnSignal::Forward && !forwarded {
                    forwarded = true;
                    signal_group(pid, Signal::INT);
                }
            }
            () = &mut second, if seen && !forwarded => {
                forwarded = true;
                signal_group(pid, Signal::INT);
            }
            () = &mut given_up, if !gave_up => {
                gave_up = true;
                if !forwarded {
                    forwarded = true;
                    signal_group(pid, Signal::INT);
                }
                limit.as_mut().reset(tokio::time::Instant::now() + FINISH_WITHIN);
            }
            () = &mut limit => {
                signal_group(pid, if timed_out { Signal::KILL } else { Signal::TERM });
                let next = if timed_out { Duration::from_secs(3_600) } else { KILL_AFTER };
                limit.as_mut().reset(tokio::time::Instant::now() + next);
                timed_out = true;
            }
        }
    };
    if status.as_ref().is_ok_and(|status| status.code().is_none()) {
        end_group(pid).await;
    }
    lines.drain(&mut keep).await;
    let status = status.map_err(|error| {
        Failure::failed(format!("`{}` cannot be waited for", program.quoted())).caused_by(error)
    })?;
    Ok(ProgramResult {
        code: status.code(),
        timed_out,
        interrupted: seen,
        took: begun.elapsed(),
        tail: tail.into(),
    })
}

/// Runs a short program (at most two minutes) and returns its standard output. Every exit code but 0 is a failure that
/// quotes the output.
pub async fn capture(program: &Program, interrupt: &Interrupt) -> Result<String> {
    let mut out = String::new();
    let options = RunOptions { time_limit: Some(Duration::from_secs(120)), ..RunOptions::default() };
    let result = run(program, &options, interrupt, &mut |stream, line| {
        if stream == Stream::Out {
            out.push_str(line);
            out.push('\n');
        }
    })
    .await?;
    if result.success() { Ok(out) } else { Err(exit_failure(program, &result)) }
}

/// Runs a short program without a terminal or a signal's attention, and returns its standard output, byte for byte. `input` is
/// its standard input. Every exit code but 0 is a failure that quotes standard error.
///
/// For questions whose answer comes at once and is needed where nothing can wait for it asynchronously, such as git's.
pub fn output(program: &Program, input: &[u8]) -> Result<Vec<u8>> {
    let output = program.output(input)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let failure = Failure::failed(format!("`{}` {}", program.quoted(), exit_text(output.status.code())));
    Err(if errors.is_empty() { failure } else { failure.body(errors) })
}

/// Makes the failure of a program that did not exit with 0, with the last lines of its output.
pub fn exit_failure(program: &Program, result: &ProgramResult) -> Failure {
    if result.interrupted {
        return interrupt::interrupted();
    }
    let how = match (result.timed_out, result.code) {
        (true, _) => format!("took longer than {:.1} s and was stopped", result.took.as_secs_f64()),
        (false, code) => exit_text(code),
    };
    let failure = Failure::failed(format!("`{}` {how}", program.quoted()));
    if result.tail.is_empty() { failure } else { failure.body(result.tail.join("\n")) }
}

/// Returns how a program exited: `exited with 3`.
pub(crate) fn exit_text(code: Option<i32>) -> String {
    code.map_or_else(|| "was killed by a signal".to_owned(), |code| format!("exited with {code}"))
}

fn signal_group(pid: Option<u32>, signal: Signal) {
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        // The group may have ended already.
        let _ = kill_process_group(pid, signal);
    }
}

/// Ends what is left of the group of a program that died: SIGTERM, and SIGKILL after [`KILL_AFTER`].
///
/// The leader's number is not given to another process while its group has a member.
pub async fn end_group(leader: Option<u32>) {
    let Some(leader) = leader else { return };
    for signal in [Signal::TERM, Signal::KILL] {
        let until = Instant::now() + KILL_AFTER;
        while process::group_lives(leader) {
            if Instant::now() >= until {
                break;
            }
            signal_group(Some(leader), signal);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[cfg(test)]
mod tests;

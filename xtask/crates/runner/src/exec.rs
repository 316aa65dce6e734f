//! The one door through which programs are run: argument list, folder and environment in; lines and an end out.
//!
//! Each program runs in a process group of its own, so a terminal's Ctrl-C reaches Slipway alone, which decides what
//! to pass on. Goes wrong: the program is missing (named, with a hint), exceeds its time, is ended by a signal.

mod lines;

use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

use self::lines::Lines;

use crate::interrupt::{self, Interrupt};
use slipway_values::failure::{self, Failure, Result};

/// A command line, built apart from running it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    program: OsString,
    arguments: Vec<OsString>,
    folder: PathBuf,
    set: Vec<(OsString, OsString)>,
    removed: Vec<OsString>,
    hint: Option<String>,
}

/// A program that is not on the PATH.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the program `{name}` was not found")]
struct ProgramMissing {
    name: String,
}

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
pub enum Output {
    /// Through pipes: the program ends when nobody reads any more.
    Pipes,
    /// Into two files that are followed: the program outlives a killed Slipway and comes to its own end.
    Files {
        /// The file for standard output.
        out: PathBuf,
        /// The file for standard error.
        err: PathBuf,
    },
}

/// What a first signal does to a running program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSignal {
    /// It is passed on at once, as one SIGINT.
    Forward,
    /// The program is left to finish; the second signal is passed on, as one SIGINT.
    Finish,
}

/// How a program is run.
#[derive(Debug, Clone)]
pub struct Conduct {
    /// Where its output goes.
    pub output: Output,
    /// The time after which it is ended.
    pub within: Option<Duration>,
    /// What a first signal does.
    pub on_signal: OnSignal,
    /// A locked file that the program gets as its stdin, and so holds for as long as it lives; else it gets nothing.
    pub stdin: Option<std::sync::Arc<std::fs::File>>,
}

impl Default for Conduct {
    fn default() -> Self {
        Self { output: Output::Pipes, within: None, on_signal: OnSignal::Forward, stdin: None }
    }
}

/// How a program ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code; nothing where a signal ended it.
    pub code: Option<i32>,
    /// Whether it was ended for exceeding its time.
    pub timed_out: bool,
    /// Whether a signal came while it ran.
    pub interrupted: bool,
    /// How long it ran.
    pub took: Duration,
    /// Its last lines, of both streams, oldest first.
    pub tail: Vec<String>,
}

impl Ended {
    /// Tells whether the program exited with 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

const TAIL: usize = 40;

impl Program {
    /// Begins a command line.
    pub fn new(program: impl AsRef<OsStr>, folder: impl Into<PathBuf>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            folder: folder.into(),
            set: Vec::new(),
            removed: Vec::new(),
            hint: None,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable for it.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.set.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Takes an environment variable from it.
    pub fn without_env(mut self, name: impl AsRef<OsStr>) -> Self {
        self.removed.push(name.as_ref().to_owned());
        self
    }

    /// Says what to do where the program is missing.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the arguments, for tests of command lines.
    pub fn argv(&self) -> Vec<String> {
        std::iter::once(&self.program)
            .chain(&self.arguments)
            .map(|part| part.to_string_lossy().into_owned())
            .collect()
    }

    /// Returns the command line as one would type it.
    pub fn quoted(&self) -> String {
        let parts: Vec<String> = std::iter::once(&self.program)
            .chain(&self.arguments)
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        shlex::try_join(parts.iter().map(String::as_str)).unwrap_or_else(|_| parts.join(" "))
    }

    #[expect(clippy::disallowed_methods, reason = "the one door through which programs are run")]
    fn spawn(&self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Child> {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&self.folder)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        self.removed.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.envs(self.set.iter().map(|(name, value)| (name, value)));
        command.spawn().map_err(|error| {
            let name = self.program.to_string_lossy();
            if error.kind() == std::io::ErrorKind::NotFound && self.folder.is_dir() {
                let missing = ProgramMissing { name: name.clone().into_owned() };
                Failure::failed(missing.to_string())
                    .caused_by(missing)
                    .hint(self.hint.clone().unwrap_or_else(|| format!("install {name}, or add its folder to PATH; cargo xtask doctor lists all that is needed")))
            } else {
                Failure::failed(format!("`{}` cannot be started in {}", self.quoted(), self.folder.display())).caused_by(error)
            }
        })
    }
}

/// Tells whether a program could not be started because it is not installed.
pub fn is_missing(failure: &Failure) -> bool {
    failure.source().is_some_and(|source| source.is::<ProgramMissing>())
}

/// Runs a program to its end, passing each line on as it comes.
///
/// `started` is given the process id as soon as there is one.
pub async fn run(
    program: &Program,
    conduct: &Conduct,
    interrupt: &Interrupt,
    started: &mut (dyn FnMut(u32) + Send),
    on_line: &mut (dyn FnMut(Stream, &str) + Send),
) -> Result<Ended> {
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
    let stdin = match &conduct.stdin {
        Some(file) => file
            .try_clone()
            .map_err(|error| failure::io("pass on", Path::new("a locked file"), error))?
            .into(),
        None => Stdio::null(),
    };
    let (mut child, mut lines) = match &conduct.output {
        Output::Pipes => {
            let mut child = program.spawn(stdin, Stdio::piped(), Stdio::piped())?;
            let lines = Lines::piped(&mut child);
            (child, lines)
        }
        Output::Files { out, err } => {
            let create =
                |path: &Path| std::fs::File::create(path).map_err(|error| failure::io("create", path, error));
            let child = program.spawn(stdin, create(out)?.into(), create(err)?.into())?;
            (child, Lines::followed(out, err)?)
        }
    };
    let pid = child.id();
    pid.into_iter().for_each(&mut *started);
    let (mut timed_out, mut forwarded, mut seen) = (false, false, false);
    let limit = tokio::time::sleep(conduct.within.unwrap_or(Duration::from_secs(60 * 60 * 24 * 365)));
    tokio::pin!(limit);
    let first = interrupt.reached(1);
    let second = interrupt.reached(2);
    tokio::pin!(first, second);
    let status = loop {
        tokio::select! {
            biased;
            () = lines.next(&mut keep) => {}
            status = child.wait() => break status,
            () = &mut first, if !seen => {
                seen = true;
                if conduct.on_signal == OnSignal::Forward && !forwarded {
                    forwarded = true;
                    signal_group(pid, Signal::INT);
                }
            }
            () = &mut second, if seen && !forwarded => {
                forwarded = true;
                signal_group(pid, Signal::INT);
            }
            () = &mut limit => {
                signal_group(pid, if timed_out { Signal::KILL } else { Signal::TERM });
                limit.as_mut().reset(tokio::time::Instant::now() + Duration::from_secs(if timed_out { 3_600 } else { 5 }));
                timed_out = true;
            }
        }
    };
    lines.drain(&mut keep).await;
    let status = status.map_err(|error| {
        Failure::failed(format!("`{}` cannot be waited for", program.quoted())).caused_by(error)
    })?;
    Ok(Ended { code: status.code(), timed_out, interrupted: seen, took: begun.elapsed(), tail: tail.into() })
}

/// Runs a short program and returns its standard output; any other end than exit code 0 is a failure that quotes it.
pub async fn capture(program: &Program, interrupt: &Interrupt) -> Result<String> {
    let mut out = String::new();
    let conduct = Conduct { within: Some(Duration::from_secs(120)), ..Conduct::default() };
    let ended = run(program, &conduct, interrupt, &mut |_| {}, &mut |stream, line| {
        if stream == Stream::Out {
            out.push_str(line);
            out.push('\n');
        }
    })
    .await?;
    if ended.success() { Ok(out) } else { Err(unsuccessful(program, &ended)) }
}

/// Makes the failure of a program that did not exit with 0, with its last lines.
pub fn unsuccessful(program: &Program, ended: &Ended) -> Failure {
    if ended.interrupted {
        return interrupt::interrupted();
    }
    let how = match (ended.timed_out, ended.code) {
        (true, _) => format!("took longer than {} and was ended", text_of(ended.took)),
        (false, Some(code)) => format!("exited with {code}"),
        (false, None) => "was ended by a signal".to_owned(),
    };
    let failure = Failure::failed(format!("`{}` {how}", program.quoted()));
    if ended.tail.is_empty() { failure } else { failure.body(ended.tail.join("\n")) }
}

fn text_of(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Finds a program on a PATH, or takes a path as it is.
pub fn find_program(name: &str, path: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let runs = |file: &Path| {
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|file| runs(file));
    }
    path.split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join(name))
        .find(|file| runs(file))
}

fn signal_group(pid: Option<u32>, signal: Signal) {
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        // The group may be gone already, which is what was wanted.
        let _ = kill_process_group(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new("sh", ".").arg("-c").arg(script)
    }

    async fn lines_of(conduct: Conduct, script: &str) -> (Ended, Vec<String>) {
        let mut lines = Vec::new();
        let ended = run(&shell(script), &conduct, &Interrupt::never(), &mut |_| {}, &mut |_, line| {
            lines.push(line.to_owned())
        })
        .await
        .unwrap();
        (ended, lines)
    }

    #[tokio::test]
    async fn pipes_and_followed_files_show_the_same_lines() {
        let script = "printf 'a\\nb\\nlast without newline'; exit 3";
        let folder = tempfile::tempdir().unwrap();
        let files = Output::Files { out: folder.path().join("out"), err: folder.path().join("err") };
        for output in [Output::Pipes, files] {
            let (ended, lines) = lines_of(Conduct { output, ..Conduct::default() }, script).await;
            assert_eq!(lines, ["a", "b", "last without newline"]);
            assert_eq!(ended.code, Some(3));
        }
    }

    #[tokio::test]
    async fn a_program_beyond_its_time_is_ended_with_its_children() {
        let conduct = Conduct { within: Some(Duration::from_millis(100)), ..Conduct::default() };
        let (ended, _) = lines_of(conduct, "sleep 60 & sleep 60; wait").await;
        assert!(ended.timed_out && ended.took < Duration::from_secs(30));
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let program = Program::new("no-such-program-here", ".").hint("install it");
        let failure = run(&program, &Conduct::default(), &Interrupt::never(), &mut |_| {}, &mut |_, _| {})
            .await
            .unwrap_err();
        assert!(is_missing(&failure));
        assert!(!is_missing(&Failure::failed("the file was not found")));
        assert_eq!(failure.report().hint.as_deref(), Some("install it"));
    }
}

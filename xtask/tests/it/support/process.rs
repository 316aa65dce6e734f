//! A run of a program: start it, follow its events, signal it, wait for its end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Far longer than any command of these tests takes: a hang becomes a failure.
const TIMEOUT: Duration = Duration::from_secs(300);
/// The same for commands that build and apply all of the repository's systems.
const LONG_TIMEOUT: Duration = Duration::from_secs(2_400);

/// Returns a command with an empty environment.
#[expect(clippy::disallowed_methods, reason = "only this function starts other programs")]
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    command
}

/// A run that has not ended.
pub struct Running {
    child: Child,
    command_line: String,
    stdout: PathBuf,
    stderr: PathBuf,
    runs: PathBuf,
    timeout: Duration,
}

/// A run that ended.
pub struct Finished {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    command_line: String,
    events: Option<PathBuf>,
}

impl Running {
    /// Starts a command whose output goes to two files; `runs` is where Slipway records its runs.
    pub fn start(mut command: Command, command_line: String, log: &Path, runs: PathBuf) -> Self {
        let (stdout, stderr) = (log.with_extension("out"), log.with_extension("err"));
        let file = |path: &Path| File::create(path).expect("a file for a run's output");
        let child = command
            .stdin(Stdio::null())
            .stdout(file(&stdout))
            .stderr(file(&stderr))
            .spawn()
            .unwrap_or_else(|error| panic!("{command_line}: {error}"));
        Self { child, command_line, stdout, stderr, runs, timeout: TIMEOUT }
    }

    /// Allows the time of a run that builds and applies everything.
    pub fn with_long_timeout(mut self) -> Self {
        self.timeout = LONG_TIMEOUT;
        self
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal)
            .unwrap_or_else(|error| panic!("{}: {signal:?}: {error}", self.command_line));
    }

    /// Waits for an event that matches; returns whether it came before the end of the run.
    pub fn wait_for_event(&mut self, matches: impl Fn(&Value) -> bool) -> bool {
        let started = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("a child's state").is_some();
            if self.events().iter().any(&matches) {
                return true;
            }
            if ended {
                return false;
            }
            self.check_timeout(started);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the event with this number; returns whether it came before the end of the run.
    pub fn wait_for_event_number(&mut self, number: usize) -> bool {
        self.wait_for_event(|event| event["n"].as_u64() >= Some(number as u64))
    }

    /// Waits for the end of the run, at most so long; returns whether it ended.
    pub fn wait_for_end(&mut self, at_most: Duration) -> bool {
        let begun = Instant::now();
        loop {
            if self.child.try_wait().expect("a child's state").is_some() {
                return true;
            }
            if begun.elapsed() > at_most {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the end of the run.
    pub fn wait(mut self) -> Finished {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child's state") {
                return Finished {
                    code: status.code(),
                    stdout: read(&self.stdout),
                    stderr: read(&self.stderr),
                    events: events_file(&self.runs, self.pid()),
                    command_line: std::mem::take(&mut self.command_line),
                };
            }
            self.check_timeout(started);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the process, and not the processes that it started.
    pub fn kill(mut self) -> Finished {
        self.child.kill().expect("a process to kill");
        self.wait()
    }

    fn events(&self) -> Vec<Value> {
        events_file(&self.runs, self.pid()).map_or_else(Vec::new, |path| events_in(&path))
    }

    fn check_timeout(&mut self, started: Instant) {
        if started.elapsed() > self.timeout {
            let _ = self.child.kill();
            panic!(
                "{} did not end within {} s\n{}",
                self.command_line,
                self.timeout.as_secs(),
                read(&self.stderr)
            );
        }
    }
}

impl Finished {
    /// Panics with the whole output unless the run ended with this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "the exit code of {self}");
        self
    }

    /// Says in its text what else was done.
    pub fn named(mut self, words: &str) -> Self {
        self.command_line.insert_str(0, words);
        self
    }

    /// Returns the printed JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in the document of {self}"))
    }

    /// Panics unless stdout or stderr contains these words.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(
            self.stdout.contains(words) || self.stderr.contains(words),
            "no `{words}` in the output of {self}"
        );
        self
    }

    /// Returns the recorded events of the run.
    pub fn events(&self) -> Vec<Value> {
        self.events.as_deref().map_or_else(Vec::new, events_in)
    }

    /// Returns whether the run started a step with this label, such as `build` or `plan`.
    pub fn ran_step(&self, label: &str) -> bool {
        self.events().iter().any(|event| event["event"] == "started" && event["label"] == label)
    }

    /// Counts the run's calls of an operation, such as `PutObject`, whose subject contains these words.
    pub fn calls(&self, operation: &str, subject: &str) -> usize {
        self.events()
            .iter()
            .filter(|event| {
                event["event"] == "call"
                    && event["operation"] == operation
                    && event["subject"].as_str().is_some_and(|own| own.contains(subject))
            })
            .count()
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` ({:?})\n--- stdout\n{}\n--- stderr\n{}",
            self.command_line, self.code, self.stdout, self.stderr
        )
    }
}

fn events_file(runs: &Path, pid: u32) -> Option<PathBuf> {
    let suffix = format!("-{pid}");
    let mut found: Vec<PathBuf> = runs
        .read_dir()
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(&suffix))
        .collect();
    // Process ids are reused: the newest run is the right one.
    found.sort();
    found.pop().map(|folder| folder.join("events.jsonl"))
}

/// Reads the complete lines of an event file; the last line may be half written.
///
/// What programs printed has a file of its own beside the events; the numbers of both are one sequence.
fn events_in(path: &Path) -> Vec<Value> {
    let complete = |path: &Path| {
        let text = read(path);
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        complete.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<Value>>()
    };
    let mut events = complete(path);
    events.extend(complete(&path.with_file_name("output.jsonl")));
    events.sort_by_key(|event| event["n"].as_u64());
    events
}

fn read(path: &Path) -> String {
    std::fs::read(path).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

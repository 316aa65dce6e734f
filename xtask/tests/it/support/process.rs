//! One run of the executable: started, followed through its events, signalled, waited for.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// No command of these tests comes near it; it is there so that a hang is told and not waited for.
const LONGEST: Duration = Duration::from_secs(300);
/// The same for what builds and applies all of the repository's systems.
const PATIENT: Duration = Duration::from_secs(2_400);

/// Begins a command line with an empty environment.
#[expect(clippy::disallowed_methods, reason = "the tests' one door to other programs")]
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    command
}

/// A run that has not ended.
pub struct Running {
    child: Child,
    what: String,
    out: PathBuf,
    err: PathBuf,
    runs: PathBuf,
    longest: Duration,
}

/// A run that ended.
pub struct Finished {
    /// The exit code; nothing where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    what: String,
    events: Option<PathBuf>,
}

impl Running {
    /// Starts a command whose output goes to two files; `runs` is where Slipway records its runs.
    pub fn start(mut command: Command, what: String, log: &Path, runs: PathBuf) -> Self {
        let (out, err) = (log.with_extension("out"), log.with_extension("err"));
        let file = |path: &Path| File::create(path).expect("a file for a run's output");
        let child = command
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&err))
            .spawn()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        Self { child, what, out, err, runs, longest: LONGEST }
    }

    /// Lets it take the time of a run that builds and applies everything.
    pub fn patiently(mut self) -> Self {
        self.longest = PATIENT;
        self
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("{}: {signal:?}: {error}", self.what));
    }

    /// Waits for an event that fits; tells whether it came before the run's end.
    pub fn until(&mut self, fits: impl Fn(&Value) -> bool) -> bool {
        let begun = Instant::now();
        loop {
            let ended = self.child.try_wait().expect("a child's state").is_some();
            if self.events().iter().any(&fits) {
                return true;
            }
            if ended {
                return false;
            }
            self.not_for_ever(begun);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the event with a number; tells whether it came before the run's end.
    pub fn until_event(&mut self, number: usize) -> bool {
        self.until(|event| event["n"].as_u64() >= Some(number as u64))
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Finished {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child's state") {
                return Finished {
                    code: status.code(),
                    stdout: read(&self.out),
                    stderr: read(&self.err),
                    events: events_file(&self.runs, self.pid()),
                    what: std::mem::take(&mut self.what),
                };
            }
            self.not_for_ever(begun);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the process at once, leaving what it started to itself.
    pub fn kill(mut self) -> Finished {
        self.child.kill().expect("a process to kill");
        self.wait()
    }

    fn events(&self) -> Vec<Value> {
        events_file(&self.runs, self.pid()).map_or_else(Vec::new, |path| events_in(&path))
    }

    fn not_for_ever(&mut self, begun: Instant) {
        if begun.elapsed() > self.longest {
            let _ = self.child.kill();
            panic!("{} did not end within {} s\n{}", self.what, self.longest.as_secs(), read(&self.err));
        }
    }
}

impl Finished {
    /// Panics with the whole story unless the run ended with this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "the exit code of {self}");
        self
    }

    /// Returns the document that was printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in the document of {self}"))
    }

    /// Panics unless stdout or stderr holds the words.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(
            self.stdout.contains(words) || self.stderr.contains(words),
            "no `{words}` in what was said by {self}"
        );
        self
    }

    /// Returns the run's record.
    pub fn events(&self) -> Vec<Value> {
        self.events.as_deref().map_or_else(Vec::new, events_in)
    }

    /// Tells whether the run began a step with this label, such as `build` or `plan`.
    pub fn did(&self, label: &str) -> bool {
        self.events().iter().any(|event| event["event"] == "started" && event["label"] == label)
    }

    /// Counts the run's calls of an operation, such as `PutObject`, on subjects that hold the words.
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
            self.what, self.code, self.stdout, self.stderr
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
    // Process ids come round again; the newest run is the one.
    found.sort();
    found.pop().map(|folder| folder.join("events.jsonl"))
}

/// Reads the whole lines of a record; the last one may be half written.
fn events_in(path: &Path) -> Vec<Value> {
    let text = read(path);
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn read(path: &Path) -> String {
    std::fs::read(path).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

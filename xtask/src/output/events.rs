//! The log of a run: `target/slipway/runs/<id>/events.jsonl`, one event per line with its time. What programs printed goes to
//! `output.jsonl` beside it, in the same form: it may hold secrets, and events alone can be shown to others.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Serialize;

use crate::failure::{self, Result};
use crate::progress::{Event, EventKind, Sink};

/// The log of one run.
pub(crate) struct RunLog {
    file: Mutex<Files>,
    folder: PathBuf,
}

/// The two files, and how many events they hold together.
struct Files {
    events: File,
    output: File,
    count: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    n: u64,
    at: String,
    #[serde(flatten)]
    event: &'a Event,
}

/// How many runs stay on disk.
const KEPT: usize = 50;

impl RunLog {
    /// Starts a log in a new folder; removes the oldest ones.
    pub(crate) fn start(work_folder: &Path, process: u32) -> Result<Self> {
        let runs = work_folder.join("runs");
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3f").to_string();
        let id = format!("{now}-{process}");
        let folder = runs.join(&id);
        std::fs::create_dir_all(&folder).map_err(|error| failure::io("create", &folder, error))?;
        make_private(work_folder)?;
        ignore_for_git(work_folder)?;
        let create = |name: &str| {
            let path = folder.join(name);
            File::create(&path).map_err(|error| failure::io("create", &path, error))
        };
        let files = Files { events: create("events.jsonl")?, output: create("output.jsonl")?, count: 0 };
        remove_oldest(&runs);
        Ok(Self { file: Mutex::new(files), folder })
    }

    /// Returns the run's folder, which also holds the output of programs.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Sink for RunLog {
    fn event(&self, event: &Event) {
        // These are about how a step is shown.
        if matches!(event.kind, EventKind::Advanced { .. } | EventKind::Announced { .. }) {
            return;
        }
        let Ok(mut files) = self.file.lock() else { return };
        files.count += 1;
        let line = Line { n: files.count, at: jiff::Timestamp::now().to_string(), event };
        if let Ok(mut text) = serde_json::to_string(&line) {
            text.push('\n');
            let printed = matches!(event.kind, EventKind::Line { .. });
            let file = if printed { &mut files.output } else { &mut files.events };
            // A log that cannot be written must not stop a release.
            let _ = file.write_all(text.as_bytes());
        }
    }
}

/// Lets only the owner enter Slipway's own folder: plans, values and logs below it may hold secrets.
///
/// A umask for the whole process would also decide the modes of what builds and Terraform write for others.
fn make_private(work_folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode =
        work_folder.metadata().map_err(|error| failure::io("read", work_folder, error))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(work_folder, std::fs::Permissions::from_mode(0o700))
        .map_err(|error| failure::io("protect", work_folder, error))
}

/// Makes git ignore Slipway's folder, whatever the project's own .gitignore says.
fn ignore_for_git(work_folder: &Path) -> Result<()> {
    let path = work_folder.join(".gitignore");
    match File::create_new(&path) {
        Ok(mut file) => {
            file.write_all(b"# Made by Slipway.\n*\n").map_err(|error| failure::io("write", &path, error))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failure::io("create", &path, error)),
    }
}

fn remove_oldest(runs: &Path) {
    let Ok(entries) = runs.read_dir() else { return };
    let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    names.sort();
    for old in names.iter().take(names.len().saturating_sub(KEPT)) {
        let _ = std::fs::remove_dir_all(old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Progress;
    use std::sync::Arc;

    #[test]
    fn events_hold_nothing_that_a_program_printed() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(RunLog::start(folder.path(), 7).unwrap());
        let progress = Progress::new(vec![log.clone() as Arc<dyn Sink>]);
        let step = progress.step("build", "hello");
        step.line("TOKEN=hush");
        step.done("1 MB");
        let read = |name: &str| std::fs::read_to_string(log.folder().join(name)).unwrap();
        let (events, output) = (read("events.jsonl"), read("output.jsonl"));
        assert!(events.contains("\"finished\"") && !events.contains("hush"), "{events}");
        assert!(output.contains("TOKEN=hush") && output.contains("\"n\":2"), "{output}");
    }
}

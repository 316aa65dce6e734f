//! The Terraform that is at work on a stack: noted while it runs, waited for by whoever comes next.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::{self, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::ledger::start_ticks;
use crate::progress::Progress;

#[derive(Serialize, Deserialize)]
struct Note {
    pid: u32,
    start_ticks: Option<u64>,
    verb: String,
}

fn note_path(work: &Path) -> PathBuf {
    work.join("running.json")
}

/// Notes a Terraform that was just started.
pub(super) fn record(work: &Path, pid: u32, verb: &str) -> Outcome<()> {
    let note = Note { pid, start_ticks: start_ticks(pid), verb: verb.to_owned() };
    let path = note_path(work);
    let text = serde_json::to_vec(&note)
        .map_err(|error| Failure::defect("a note cannot be written as JSON").caused_by(error))?;
    std::fs::write(&path, text).map_err(|error| failure::io("write", &path, error))
}

/// Forgets a Terraform that ended.
pub(super) fn forget(work: &Path) {
    let _ = std::fs::remove_file(note_path(work));
}

/// Waits for a Terraform that an earlier, killed Slipway left at work on this stack.
pub(super) async fn wait_for_earlier(work: &Path, progress: &Progress, interrupt: &Interrupt) -> Outcome<()> {
    let Some(note) =
        std::fs::read(note_path(work)).ok().and_then(|text| serde_json::from_slice::<Note>(&text).ok())
    else {
        return Ok(());
    };
    let alive = || note.start_ticks.is_some() && start_ticks(note.pid) == note.start_ticks;
    if alive() {
        let step = progress.slow_step(
            "wait",
            format!("for the terraform {} of an earlier run (process {})", note.verb, note.pid),
        );
        while alive() {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
                () = interrupt.reached(1) => return Err(crate::interrupt::interrupted()),
            }
        }
        step.done("ended");
    }
    forget(work);
    Ok(())
}

//! The lock on a stack's work folder: one process at a time prepares, plans and applies there.
//!
//! The locked file is also what Terraform gets as its stdin, so a Terraform whose Slipway was killed goes on holding the
//! lock until it has saved its state and ended; the next run waits for it. Goes wrong: another run is at work here.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::failure::{self, Failure, FailureKind, Result};
use crate::interrupt::Interrupt;
use crate::process::start_ticks;
use crate::progress::Progress;

/// A work folder held by this process; given up when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct WorkLock(Arc<File>);

/// Who holds a work folder.
#[derive(Serialize, Deserialize)]
struct Note {
    pid: u32,
    start_ticks: Option<u64>,
    by: String,
    since: jiff::Timestamp,
}

/// What [`WorkLock::take`] is told.
pub(crate) struct Claim<'a> {
    /// The work folder.
    pub(crate) work: &'a Path,
    /// What it is for, such as `` `hello` in local ``.
    pub(crate) place: String,
    /// Who asks.
    pub(crate) by: &'a str,
    /// How long to wait for a run that is at work.
    pub(crate) timeout: Duration,
    /// Where waiting is told.
    pub(crate) progress: &'a Progress,
    /// Signals end the waiting.
    pub(crate) interrupt: &'a Interrupt,
}

impl WorkLock {
    /// Takes a work folder: at once, or after a dead run's Terraform has ended, or within the time-out.
    pub(crate) async fn take(claim: Claim<'_>) -> Result<Self> {
        let Claim { work, place, by, timeout, progress, interrupt } = claim;
        std::fs::create_dir_all(work).map_err(|error| failure::io("create", work, error))?;
        let path = work.join("lock");
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|error| failure::io("open", &path, error))?;
        let note = work.join("lock.json");
        let begun = Instant::now();
        let mut step = None;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failure::io("lock", &path, error.into())),
            }
            let holder: Option<Note> =
                std::fs::read(&note).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            // A holder that is gone left its Terraform at work: that one is waited for, however long it takes.
            let living = holder.filter(|holder| {
                holder.start_ticks.is_some() && start_ticks(holder.pid) == holder.start_ticks
            });
            let waits_for = match living {
                Some(holder) if begun.elapsed() >= timeout.max(grace(&holder)) => {
                    return Err(held(&place, &holder));
                }
                Some(holder) => format!("for {} (process {})", holder.by, holder.pid),
                None => "for the terraform of an earlier run, which was cut off".to_owned(),
            };
            step.get_or_insert_with(|| progress.slow_step("wait", waits_for));
            interrupt.check()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if let Some(step) = step {
            step.done("ended");
        }
        let pid = std::process::id();
        let own =
            Note { pid, start_ticks: start_ticks(pid), by: by.to_owned(), since: jiff::Timestamp::now() };
        let bytes = serde_json::to_vec(&own)
            .map_err(|error| Failure::defect("a note cannot be written as JSON").caused_by(error))?;
        std::fs::write(&note, bytes).map_err(|error| failure::io("write", &note, error))?;
        Ok(Self(Arc::new(file)))
    }

    /// Returns the locked file, which a program inherits as its stdin.
    pub(crate) fn file(&self) -> Arc<File> {
        self.0.clone()
    }

    /// Makes a lock on nothing, for tests of command lines.
    #[cfg(test)]
    pub(crate) fn of_nothing() -> Self {
        Self(Arc::new(tempfile::tempfile().unwrap()))
    }
}

/// How long a lock is looked at before it counts as held. A program that is being started has it for the moment between
/// fork and exec, though whoever took it has given it back; where this process is named, nothing else can be meant.
fn grace(holder: &Note) -> Duration {
    if holder.pid == std::process::id() { Duration::from_secs(2) } else { Duration::from_millis(300) }
}

fn held(place: &str, holder: &Note) -> Failure {
    Failure::new(FailureKind::LockHeld, format!("another run is at work on {place} in this folder"))
        .detail("by", &holder.by)
        .detail("since", holder.since.to_string())
        .detail("process", holder.pid.to_string())
        .unchanged("Nothing was changed.")
        .hint("wait for it, for example with --lock-timeout 10m")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim<'a>(work: &'a Path, progress: &'a Progress, interrupt: &'a Interrupt) -> Claim<'a> {
        Claim {
            work,
            place: "`hello` in local".into(),
            by: "ada",
            timeout: Duration::ZERO,
            progress,
            interrupt,
        }
    }

    #[tokio::test]
    async fn a_second_run_is_told_who_is_at_work() {
        let work = tempfile::tempdir().unwrap();
        let (progress, interrupt) = (Progress::silent(), Interrupt::never());
        let first = WorkLock::take(claim(work.path(), &progress, &interrupt)).await.unwrap();
        let failure = WorkLock::take(claim(work.path(), &progress, &interrupt)).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::LockHeld);
        assert_eq!(failure.report().details[0].value, "ada");
        drop(first);
        assert!(WorkLock::take(claim(work.path(), &progress, &interrupt)).await.is_ok());
    }

    #[tokio::test]
    async fn what_a_dead_run_left_at_work_is_waited_for() {
        let work = tempfile::tempdir().unwrap();
        let (progress, interrupt) = (Progress::silent(), Interrupt::never());
        let orphan = WorkLock::take(claim(work.path(), &progress, &interrupt)).await.unwrap();
        // The lock is held, and by the note its holder is a process that cannot be.
        let dead = Note {
            pid: u32::MAX,
            start_ticks: Some(1),
            by: "ada".into(),
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        std::fs::write(work.path().join("lock.json"), serde_json::to_vec(&dead).unwrap()).unwrap();
        let waiting = WorkLock::take(claim(work.path(), &progress, &interrupt));
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::from_millis(300), &mut waiting).await.is_err());
        drop(orphan);
        assert!(waiting.await.is_ok());
    }
}

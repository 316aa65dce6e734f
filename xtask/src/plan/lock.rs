//! The lock on a stack's work folder: one process at a time prepares, plans and applies there.
//!
//! The locked file is also the standard input of Terraform. If Slipway is killed, its Terraform keeps the lock until it has
//! saved its state and ended, and the next run waits for it. Errors: another run holds the lock.

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

/// A work folder locked by this process; released when the last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct WorkLock(Arc<File>);

/// Who holds the lock.
#[derive(Serialize, Deserialize)]
struct LockHolder {
    pid: u32,
    start_ticks: Option<u64>,
    by: String,
    since: jiff::Timestamp,
}

/// What [`WorkLock::take`] needs.
pub(crate) struct LockRequest<'a> {
    /// The work folder.
    pub(crate) work: &'a Path,
    /// What it is for, such as `` `hello` in local ``.
    pub(crate) subject: String,
    /// Who takes it.
    pub(crate) by: &'a str,
    /// How long to wait for another run.
    pub(crate) timeout: Duration,
    /// Receives an event while it waits.
    pub(crate) progress: &'a Progress,
    /// Signals; one ends the waiting.
    pub(crate) interrupt: &'a Interrupt,
}

impl WorkLock {
    /// Locks a work folder: at once, or within the time-out, or after the Terraform of a dead run has ended.
    pub(crate) async fn take(request: LockRequest<'_>) -> Result<Self> {
        let LockRequest { work, subject, by, timeout, progress, interrupt } = request;
        std::fs::create_dir_all(work).map_err(|error| failure::io("create", work, error))?;
        let path = work.join("lock");
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|error| failure::io("open", &path, error))?;
        let holder_file = work.join("lock.json");
        let begun = Instant::now();
        let mut step = None;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failure::io("lock", &path, error.into())),
            }
            let holder: Option<LockHolder> =
                std::fs::read(&holder_file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            // The Terraform of a holder that is gone is still running: it is waited for without a limit.
            let running = holder.filter(|holder| {
                holder.start_ticks.is_some() && start_ticks(holder.pid) == holder.start_ticks
            });
            let waits_for = match running {
                Some(holder) if begun.elapsed() >= timeout.max(shortest_wait(&holder)) => {
                    return Err(held(&subject, &holder));
                }
                Some(holder) => format!("for {} (process {})", holder.by, holder.pid),
                None => "for the terraform of an earlier run that was cut off".to_owned(),
            };
            step.get_or_insert_with(|| progress.slow_step("wait", waits_for));
            interrupt.check()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if let Some(step) = step {
            step.done("ended");
        }
        let pid = std::process::id();
        let own = LockHolder {
            pid,
            start_ticks: start_ticks(pid),
            by: by.to_owned(),
            since: jiff::Timestamp::now(),
        };
        let bytes = serde_json::to_vec(&own)
            .map_err(|error| Failure::defect("lock.json cannot be written as JSON").caused_by(error))?;
        std::fs::write(&holder_file, bytes).map_err(|error| failure::io("write", &holder_file, error))?;
        Ok(Self(Arc::new(file)))
    }

    /// Returns the locked file, which a program inherits as its stdin.
    pub(crate) fn file(&self) -> Arc<File> {
        self.0.clone()
    }

    /// Returns a lock on a temporary file, for tests of command lines.
    #[cfg(test)]
    pub(crate) fn of_temporary_file() -> Self {
        Self(Arc::new(tempfile::tempfile().unwrap()))
    }
}

/// Returns how long a lock is tried before it counts as held. A program that is being started inherits it between fork and
/// exec, even if the holder has released it; if this process is the holder, that is the only possible reason.
fn shortest_wait(holder: &LockHolder) -> Duration {
    if holder.pid == std::process::id() { Duration::from_secs(2) } else { Duration::from_millis(300) }
}

fn held(subject: &str, holder: &LockHolder) -> Failure {
    Failure::new(FailureKind::LockHeld, format!("another run is working on {subject} in this folder"))
        .detail("by", &holder.by)
        .detail("since", holder.since.to_string())
        .detail("process", holder.pid.to_string())
        .unchanged("Nothing was changed.")
        .hint("wait for it, for example with --lock-timeout 10m")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(work: &'a Path, progress: &'a Progress, interrupt: &'a Interrupt) -> LockRequest<'a> {
        LockRequest {
            work,
            subject: "`hello` in local".into(),
            by: "ada",
            timeout: Duration::ZERO,
            progress,
            interrupt,
        }
    }

    #[tokio::test]
    async fn second_run_is_refused_with_the_holder_named() {
        let work = tempfile::tempdir().unwrap();
        let (progress, interrupt) = (Progress::silent(), Interrupt::never());
        let first = WorkLock::take(request(work.path(), &progress, &interrupt)).await.unwrap();
        let failure = WorkLock::take(request(work.path(), &progress, &interrupt)).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::LockHeld);
        assert_eq!(failure.report().details[0].value, "ada");
        drop(first);
        assert!(WorkLock::take(request(work.path(), &progress, &interrupt)).await.is_ok());
    }

    #[tokio::test]
    async fn terraform_of_a_dead_run_is_waited_for() {
        let work = tempfile::tempdir().unwrap();
        let (progress, interrupt) = (Progress::silent(), Interrupt::never());
        let orphan = WorkLock::take(request(work.path(), &progress, &interrupt)).await.unwrap();
        // The lock is held, and by the note its holder is a process that cannot be.
        let dead = LockHolder {
            pid: u32::MAX,
            start_ticks: Some(1),
            by: "ada".into(),
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        std::fs::write(work.path().join("lock.json"), serde_json::to_vec(&dead).unwrap()).unwrap();
        let waiting = WorkLock::take(request(work.path(), &progress, &interrupt));
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::from_millis(300), &mut waiting).await.is_err());
        drop(orphan);
        assert!(waiting.await.is_ok());
    }
}

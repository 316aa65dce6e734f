//! The lock on a stack's work folder: one process at a time prepares, plans and applies there.
//!
//! The locked file is also the standard input of Terraform. If Slipway is killed, its Terraform keeps the lock until it has
//! saved its state and ended, and the next run waits for it. A provider inherits it too: one whose Terraform died can do
//! nothing more, and is ended. Errors: another run holds the lock, or a Terraform without its Slipway does not end.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::exec;
use crate::failure::{self, Failure, FailureKind, Result};
use crate::format;
use crate::interrupt::Interrupt;
use crate::process::{self, ProcessIdentity, start_ticks};
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

/// The least time that the Terraform of a run that is gone may take to end.
const FINISHING: Duration = Duration::from_secs(600);

impl WorkLock {
    /// Locks a work folder: at once, or within the time-out, or after the Terraform of a dead run has ended.
    pub(crate) async fn take(request: LockRequest<'_>) -> Result<Self> {
        Self::take_within(request, FINISHING).await
    }

    async fn take_within(request: LockRequest<'_>, finishing: Duration) -> Result<Self> {
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
            let running = holder.filter(|holder| {
                holder.start_ticks.is_some() && start_ticks(holder.pid) == holder.start_ticks
            });
            let waits_for = match running {
                Some(holder) if begun.elapsed() >= timeout.max(shortest_wait(&holder)) => {
                    return Err(held(&subject, &holder));
                }
                Some(holder) => format!("for {} (process {})", holder.by, holder.pid),
                None => {
                    let left = LeftProcesses::with_lock(&path);
                    left.end_orphans().await;
                    if begun.elapsed() >= timeout.max(finishing) {
                        return Err(left.held(&subject, &path));
                    }
                    format!("for {} of an earlier run that was cut off", left.names())
                }
            };
            step.get_or_insert_with(|| progress.slow_step("wait", waits_for));
            interrupt.check()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if let Some(step) = step {
            step.done("ended");
        }
        // Nobody else works here: what a killed run saved is stale, and has secrets in clear text.
        let _ = std::fs::remove_file(work.join(super::PLAN_FILE));
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

/// What a run that is gone has left running in its work folder: its Terraform, and Terraform's providers.
struct LeftProcesses(Vec<ProcessIdentity>);

impl LeftProcesses {
    /// Finds them by the locked file, which is their standard input.
    fn with_lock(lock: &Path) -> Self {
        Self(process::with_stdin(lock))
    }

    /// Ends the providers whose Terraform is gone: nobody asks them any more, nor saves what they did.
    async fn end_orphans(&self) {
        let orphans = self.0.iter().filter(|left| left.is_alive() && process::is_orphan(left.pid));
        for group in orphans.filter_map(|left| process::group(left.pid)).collect::<BTreeSet<_>>() {
            exec::end_group(Some(group)).await;
        }
    }

    fn names(&self) -> String {
        let mut names: Vec<String> = self.0.iter().filter_map(|left| process::name_of(left.pid)).collect();
        names.sort();
        if names.is_empty() { "the terraform".to_owned() } else { format::list(names) }
    }

    /// Makes the failure of a lock that they did not give back in time.
    fn held(&self, subject: &str, lock: &Path) -> Failure {
        let message =
            format!("a process of an earlier run that was cut off holds the work folder of {subject}");
        let failure = Failure::new(FailureKind::LockHeld, message).unchanged("Nothing was changed.");
        if self.0.is_empty() {
            let lock = lock.display();
            return failure
                .detail("process", "not visible here: of another user, or in another container")
                .hint(format!(
                    "find it where it runs: fuser {lock}; if it hangs, end it and run this again"
                ));
        }
        let numbers: Vec<String> = self.0.iter().map(|left| left.pid.to_string()).collect();
        failure.detail("process", self.names()).hint(format!(
            "it may still be applying: wait longer, for example with --lock-timeout 60m; if it hangs, end it and run this again: kill {}",
            numbers.join(" ")
        ))
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
        // A plan that was left behind is removed by the run that gets the lock.
        let plan = work.path().join(super::super::PLAN_FILE);
        std::fs::write(&plan, "secret").unwrap();
        let waiting = WorkLock::take(request(work.path(), &progress, &interrupt));
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::from_millis(300), &mut waiting).await.is_err());
        assert!(plan.exists());
        drop(orphan);
        assert!(waiting.await.is_ok());
        assert!(!plan.exists());
    }

    /// Locks a work folder for a run that is gone, and runs a shell script with the locked file as its stdin.
    async fn left_by_a_dead_run(work: &Path, script: &str) -> tokio::task::JoinHandle<()> {
        let (progress, interrupt) = (Progress::silent(), Interrupt::never());
        let lock = WorkLock::take(request(work, &progress, &interrupt)).await.unwrap();
        let dead = LockHolder {
            pid: u32::MAX,
            start_ticks: Some(1),
            by: "ada".into(),
            since: jiff::Timestamp::UNIX_EPOCH,
        };
        std::fs::write(work.join("lock.json"), serde_json::to_vec(&dead).unwrap()).unwrap();
        let program = exec::Program::new("sh", work).arg("-c").arg(script);
        let options = exec::RunOptions { stdin: Some(lock.file()), ..exec::RunOptions::default() };
        drop(lock);
        let run = tokio::spawn(async move {
            exec::run(&program, &options, &Interrupt::never(), &mut |_, _| {}).await.unwrap();
        });
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if !process::with_stdin(&work.join("lock")).is_empty() {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        run
    }

    #[tokio::test]
    async fn process_that_does_not_end_is_named_after_the_limit() {
        let work = tempfile::tempdir().unwrap();
        let (progress, interrupt) = (Progress::silent(), Interrupt::never());
        let run = left_by_a_dead_run(work.path(), "sleep 60; true").await;
        let request = request(work.path(), &progress, &interrupt);
        let failure = WorkLock::take_within(request, Duration::from_millis(400)).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::LockHeld);
        let report = failure.report();
        assert!(report.details[0].value.contains("sh ("), "{report:?}");
        assert!(report.hint.unwrap().contains("end it and run this again: kill "), "its number is named");
        let left = process::with_stdin(&work.path().join("lock"));
        exec::end_group(process::group(left[0].pid)).await;
        run.await.unwrap();
    }

    #[tokio::test]
    async fn provider_whose_terraform_is_gone_is_ended() {
        let work = tempfile::tempdir().unwrap();
        let (progress, interrupt) = (Progress::silent(), Interrupt::never());
        // The leader exits by itself, so that its child is left as after a death of the whole tree but the provider.
        let run = left_by_a_dead_run(work.path(), "exec 3<&0; sleep 60 <&3 >/dev/null 2>&1 & exit 0").await;
        run.await.unwrap();
        let provider = process::with_stdin(&work.path().join("lock"));
        assert_eq!(provider.len(), 1);
        let taking = WorkLock::take_within(request(work.path(), &progress, &interrupt), FINISHING);
        let taken =
            tokio::time::timeout(Duration::from_secs(20), taking).await.expect("no waiting for its end");
        assert!(taken.is_ok() && !provider[0].is_alive());
    }
}

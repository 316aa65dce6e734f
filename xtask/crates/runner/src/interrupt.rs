//! Signals: the first prevents new work, the second reaches a running apply.
//!
//! SIGINT, SIGTERM and SIGHUP count alike. In CI nobody sends a second signal in time: `SLIPWAY_GRACE` sets the time
//! after which the first counts as two.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use slipway_values::failure::{Failure, FailureKind, Result};

/// Counts the signals that this process received; cheap to clone.
#[derive(Clone)]
pub struct Interrupt {
    count: watch::Receiver<u32>,
    /// Whether this part of the run was stopped although no signal came.
    stopped: Option<watch::Receiver<bool>>,
}

/// Stops the part of a run that uses one [`Interrupt`], as a first signal would; the rest of the run continues.
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// Stops that part of the run.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Interrupt {
    /// Starts to count signals. `grace` is the time after which a first signal counts as two.
    pub fn listen(grace: Option<Duration>) -> Result<Self> {
        let (sender, count) = watch::channel(0_u32);
        let open = |kind| {
            signal(kind).map_err(|error| Failure::failed("signals cannot be listened for").caused_by(error))
        };
        let (mut interrupt, mut terminate, mut hangup) =
            (open(SignalKind::interrupt())?, open(SignalKind::terminate())?, open(SignalKind::hangup())?);
        tokio::spawn(async move {
            loop {
                let waiting = *sender.borrow() == 1;
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                    () = tokio::time::sleep(grace.unwrap_or(Duration::MAX)), if waiting && grace.is_some() => {}
                }
                sender.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { count, stopped: None })
    }

    /// Makes one that receives no signals.
    pub fn never() -> Self {
        let (sender, count) = watch::channel(0);
        std::mem::forget(sender);
        Self { count, stopped: None }
    }

    /// Makes one for a part of the run that receives the same signals and can also be stopped by a [`Stop`].
    pub fn stoppable(&self) -> (Self, Stop) {
        let (sender, stopped) = watch::channel(false);
        (Self { count: self.count.clone(), stopped: Some(stopped) }, Stop(sender))
    }

    /// Fails if a signal was received. Call it before each new piece of work.
    pub fn check(&self) -> Result<()> {
        let stopped = self.stopped.as_ref().is_some_and(|stopped| *stopped.borrow());
        if *self.count.borrow() == 0 && !stopped { Ok(()) } else { Err(interrupted()) }
    }

    /// Waits until at least `count` signals were received; a [`Stop`] counts as the first.
    pub async fn wait_for_signals(&self, count: u32) {
        let mut receiver = self.count.clone();
        let signalled = async {
            if receiver.wait_for(|seen| *seen >= count).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let stopped = async {
            if let Some(mut stopped) = self.stopped.clone().filter(|_| count <= 1)
                && stopped.wait_for(|stopped| *stopped).await.is_ok()
            {
                return;
            }
            std::future::pending().await
        };
        tokio::select! {
            () = signalled => {}
            () = stopped => {}
        }
    }
}

/// Makes the failure of a run that a signal ended.
pub fn interrupted() -> Failure {
    Failure::new(FailureKind::Interrupted, "interrupted")
        .hint("run the same command again: it continues from what is there")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn stop_ends_only_its_own_part_and_counts_as_one_signal() {
        let whole = Interrupt::never();
        let (part, stop) = whole.stoppable();
        assert!(part.check().is_ok());
        stop.stop();
        part.wait_for_signals(1).await;
        assert_eq!(part.check().unwrap_err().kind(), FailureKind::Interrupted);
        assert!(whole.check().is_ok());
        let second = tokio::time::timeout(Duration::from_millis(20), part.wait_for_signals(2)).await;
        assert!(second.is_err(), "one stop is not two signals");
        let others = tokio::time::timeout(Duration::from_millis(20), whole.wait_for_signals(1)).await;
        assert!(others.is_err(), "the rest of the run continues");
    }

    #[tokio::test]
    async fn part_without_its_stop_still_receives_signals() {
        let (sender, count) = watch::channel(0);
        let whole = Interrupt { count, stopped: None };
        let (part, stop) = whole.stoppable();
        drop(stop);
        sender.send_replace(1);
        part.wait_for_signals(1).await;
        assert!(part.check().is_err());
    }
}

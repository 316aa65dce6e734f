//! Signals: the first stops new work, the second is passed on to a running apply.
//!
//! SIGINT, SIGTERM and SIGHUP count alike. In CI nobody sends a second one in time, so `SLIPWAY_GRACE` says after
//! how long the first counts as two.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::failure::{Failure, Kind, Outcome};

/// How many signals have come; cheap to clone.
#[derive(Clone)]
pub(crate) struct Interrupt {
    count: watch::Receiver<u32>,
}

impl Interrupt {
    /// Begins to listen for signals.
    pub(crate) fn listen(grace: Option<Duration>) -> Outcome<Self> {
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
        Ok(Self { count })
    }

    /// Makes one that no signal reaches.
    #[cfg(test)]
    pub(crate) fn never() -> Self {
        let (sender, count) = watch::channel(0);
        std::mem::forget(sender);
        Self { count }
    }

    /// Fails when a signal has come: called before each piece of new work.
    pub(crate) fn check(&self) -> Outcome<()> {
        if *self.count.borrow() == 0 { Ok(()) } else { Err(interrupted()) }
    }

    /// Waits until at least `count` signals have come.
    pub(crate) async fn reached(&self, count: u32) {
        let mut receiver = self.count.clone();
        if receiver.wait_for(|seen| *seen >= count).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Makes the failure of a run that a signal ended.
pub(crate) fn interrupted() -> Failure {
    Failure::new(Kind::Interrupted, "interrupted")
        .hint("run the same command again: it goes on from what is there")
}

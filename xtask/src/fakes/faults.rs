//! Fault injection: an error, or a crash of the process, before or after the effect of the n-th call to a port.

use std::sync::Mutex;
use std::task::Poll;

use tokio::sync::{Notify, oneshot};

use crate::failure::{Failure, Result};

/// A fault at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call fails and has no effect.
    ErrorBefore,
    /// The call has its effect, but fails.
    ErrorAfter,
    /// The call has its effect, but its answer is lost; from then on nothing can be reached.
    CutAfter,
    /// The process crashes before the call has an effect.
    CrashBefore,
    /// The process crashes after the call has had its effect.
    CrashAfter,
}

/// The fault to inject, and the calls so far; shared by all fakes of a test.
#[derive(Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
    crashed: Notify,
}

#[derive(Default)]
struct State {
    calls: u64,
    fault: Option<(u64, Fault)>,
    triggered_at: Option<String>,
    /// Whether nothing can be reached any more.
    cut: bool,
    /// Calls that wait for the next round, where rounds are counted.
    waiting: Option<Vec<oneshot::Sender<()>>>,
}

impl Faults {
    /// Arms a fault for the n-th call from now, counted from 0, or none, and resets the counters.
    pub(crate) fn arm(&self, fault: Option<(u64, Fault)>) {
        *self.state.lock().unwrap() = State { fault, ..State::default() };
    }

    /// Returns the call at which the armed fault was injected, if it was.
    pub(crate) fn triggered_at(&self) -> Option<String> {
        self.state.lock().unwrap().triggered_at.clone()
    }

    /// Returns how many calls were made since a fault was armed.
    pub(crate) fn calls(&self) -> u64 {
        self.state.lock().unwrap().calls
    }

    /// Runs a command until it ends, or returns `None` where a fault crashes its process.
    pub(crate) async fn run_until_crash<T>(&self, command: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            result = command => Some(result),
            () = self.crashed.notified() => None,
        }
    }

    /// Runs a command and counts its rounds: how many calls followed each other at least. Calls side by side are one round.
    pub(crate) async fn count_rounds<T>(&self, command: impl Future<Output = T>) -> (T, usize) {
        self.state.lock().unwrap().waiting = Some(Vec::new());
        let mut command = std::pin::pin!(tokio::task::unconstrained(command));
        let mut rounds = 0;
        let result = std::future::poll_fn(|context| {
            loop {
                if let Poll::Ready(result) = command.as_mut().poll(context) {
                    return Poll::Ready(result);
                }
                let waiting = std::mem::take(self.state.lock().unwrap().waiting.as_mut().unwrap());
                if waiting.is_empty() {
                    return Poll::Pending;
                }
                // Nothing goes on without an answer: all calls that wait get theirs.
                rounds += 1;
                for call in waiting {
                    let _ = call.send(());
                }
            }
        });
        let result = result.await;
        self.state.lock().unwrap().waiting = None;
        (result, rounds)
    }

    /// Makes one call, with the armed fault where its turn has come.
    pub(super) async fn call<T>(&self, name: &str, effect: impl FnOnce() -> Result<T>) -> Result<T> {
        let turn = self.state.lock().unwrap().waiting.as_mut().map(|waiting| {
            let (answer, turn) = oneshot::channel();
            waiting.push(answer);
            turn
        });
        if let Some(turn) = turn {
            turn.await.unwrap();
        }
        let fault = {
            let mut state = self.state.lock().unwrap();
            if state.cut {
                return Err(Failure::failed(format!("{name}: injected, nothing can be reached")));
            }
            let fault = state.fault.filter(|(at, _)| *at == state.calls).map(|(_, fault)| fault);
            state.calls += 1;
            if let Some(fault) = fault {
                state.triggered_at = Some(format!("{fault:?} at {name}"));
                state.cut = fault == Fault::CutAfter;
            }
            fault
        };
        if fault == Some(Fault::CrashBefore) {
            self.crash().await;
        }
        if fault == Some(Fault::ErrorBefore) {
            return Err(Failure::failed(format!("{name}: injected, without effect")));
        }
        let result = effect();
        if fault == Some(Fault::CrashAfter) {
            self.crash().await;
        }
        if matches!(fault, Some(Fault::ErrorAfter | Fault::CutAfter)) {
            return Err(Failure::failed(format!("{name}: injected, after its effect")));
        }
        result
    }

    async fn crash(&self) {
        self.crashed.notify_one();
        std::future::pending::<()>().await;
    }
}

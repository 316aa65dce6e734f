//! Faults: an error, or the death of the process, before or after the effect of the n-th call to a port.

use std::sync::Mutex;

use tokio::sync::Notify;

use crate::failure::{Failure, Result};

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call fails and has no effect.
    ErrorBefore,
    /// The call has its effect and its answer is lost.
    ErrorAfter,
    /// The process dies before the call has an effect.
    CrashBefore,
    /// The process dies once the call had its effect.
    CrashAfter,
}

/// When a fault strikes; shared by all ports of a test.
#[derive(Default)]
pub(crate) struct Faults {
    state: Mutex<State>,
    crashed: Notify,
}

#[derive(Default)]
struct State {
    calls: u64,
    fault: Option<(u64, Fault)>,
    struck: Option<String>,
}

impl Faults {
    /// Arms a fault for the n-th call from now, counted from 0, or none; forgets what was before.
    pub(crate) fn arm(&self, fault: Option<(u64, Fault)>) {
        *self.state.lock().unwrap() = State { fault, ..State::default() };
    }

    /// Returns the call at which the armed fault struck, where it did.
    pub(crate) fn struck(&self) -> Option<String> {
        self.state.lock().unwrap().struck.clone()
    }

    /// Returns how many calls were made since a fault was armed.
    pub(crate) fn calls(&self) -> u64 {
        self.state.lock().unwrap().calls
    }

    /// Runs a command until it ends or its process dies; nothing is returned in the latter case.
    pub(crate) async fn survive<T>(&self, command: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            result = command => Some(result),
            () = self.crashed.notified() => None,
        }
    }

    /// Makes one call with its effect.
    pub(super) async fn call<T>(&self, name: &str, effect: impl FnOnce() -> Result<T>) -> Result<T> {
        let fault = {
            let mut state = self.state.lock().unwrap();
            let fault = state.fault.filter(|(at, _)| *at == state.calls).map(|(_, fault)| fault);
            state.calls += 1;
            if let Some(fault) = fault {
                state.struck = Some(format!("{fault:?} at {name}"));
            }
            fault
        };
        if fault == Some(Fault::CrashBefore) {
            self.die().await;
        }
        if fault == Some(Fault::ErrorBefore) {
            return Err(Failure::failed(format!("{name}: injected, without effect")));
        }
        let result = effect();
        if fault == Some(Fault::CrashAfter) {
            self.die().await;
        }
        if fault == Some(Fault::ErrorAfter) {
            return Err(Failure::failed(format!("{name}: injected, after its effect")));
        }
        result
    }

    async fn die(&self) {
        self.crashed.notify_one();
        std::future::pending::<()>().await;
    }
}

//! Fakes of the ports, for tests: a store, Lambda and Terraform in memory that keep the rules which delivery relies on,
//! and faults that are injected at a chosen call.
//!
//! In: a [`Faults`] that all fakes of a test share. Out: ports for an `EnvironmentStack`, and their contents for
//! assertions. Goes wrong: only the faults that a test injects.

mod faults;
mod identity;
mod lambda;
mod services;
mod signer;
mod store;
mod terraform;

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

pub(crate) use faults::{Fault, Faults};
pub(crate) use identity::FakeIdentity;
pub(crate) use lambda::{AliasMove, FakeLambda, FakeVersion};
pub(crate) use services::FakeServices;
pub(crate) use signer::{FakeSigner, FakeSigningKeys};
pub(crate) use store::FakeStore;
pub(crate) use terraform::{FakeAccount, FakeTerraform, MakeLock, StackFlaw};

use crate::failure::Result;
use crate::ports::{Approver, Clock};

/// A clock that advances by one second whenever it is read.
pub(crate) struct FakeClock(AtomicI64);

impl FakeClock {
    /// Returns a clock that starts at 2026-11-01.
    pub(crate) fn new() -> Self {
        Self(AtomicI64::new(1_793_491_200))
    }

    /// Advances the clock.
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(self.0.fetch_add(1, Ordering::Relaxed)).expect("a time in this century")
    }

    fn real_time(&self) -> jiff::Timestamp {
        self.now()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed).unsigned_abs())
    }
}

/// An approver that gives one fixed answer and records the questions.
pub(crate) struct FakeApprover {
    answer: bool,
    /// The questions.
    pub(crate) asked: Mutex<Vec<String>>,
}

impl FakeApprover {
    /// Returns an approver that always gives the same answer.
    pub(crate) fn new(answer: bool) -> Self {
        Self { answer, asked: Mutex::new(Vec::new()) }
    }
}

impl Approver for FakeApprover {
    fn approve(&self, question: &str) -> Result<bool> {
        self.asked.lock().unwrap().push(question.to_owned());
        Ok(self.answer)
    }

    fn typed(&self, name: &str) -> Result<bool> {
        self.asked.lock().unwrap().push(name.to_owned());
        Ok(self.answer)
    }
}

//! The ports in memory, for tests: a store, Lambda and Terraform that keep the rules which delivery leans on, and
//! faults that strike at a chosen call.
//!
//! In: a [`Faults`] that all of them share. Out: ports to put into a `Site`, and what a test wants to look at
//! afterwards. Goes wrong: only what a test asks for.

mod faults;
mod lambda;
mod services;
mod signer;
mod store;
mod terraform;

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

pub(crate) use faults::{Fault, Faults};
pub(crate) use lambda::{FakeLambda, Move, Version};
pub(crate) use services::FakeServices;
pub(crate) use signer::FakeSigner;
pub(crate) use store::FakeStore;
pub(crate) use terraform::FakeTerraform;

use crate::failure::Result;
use crate::ports::{Approver, Clock};

/// A clock that goes on by one second whenever it is read.
pub(crate) struct FakeClock(AtomicI64);

impl FakeClock {
    /// Starts a clock at 2026-11-01.
    pub(crate) fn new() -> Self {
        Self(AtomicI64::new(1_793_491_200))
    }

    /// Moves the clock on.
    pub(crate) fn pass(&self, seconds: i64) {
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

/// Somebody who says what a test told them to say, and remembers what they were asked.
pub(crate) struct FakeApprover {
    answer: bool,
    /// The questions.
    pub(crate) asked: Mutex<Vec<String>>,
}

impl FakeApprover {
    /// Makes one who always gives the same answer.
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

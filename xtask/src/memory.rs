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

pub(crate) use faults::{Fault, Faults};
pub(crate) use lambda::{MemoryLambda, Move, Version};
pub(crate) use services::MemoryServices;
pub(crate) use signer::MemorySigner;
pub(crate) use store::MemoryStore;
pub(crate) use terraform::MemoryTerraform;

use crate::failure::Outcome;
use crate::ports::{Approver, Clock};

/// A clock that goes on by one second whenever it is read.
pub(crate) struct MemoryClock(AtomicI64);

impl MemoryClock {
    /// Starts a clock at 2026-11-01.
    pub(crate) fn new() -> Self {
        Self(AtomicI64::new(1_793_491_200))
    }

    /// Moves the clock on.
    pub(crate) fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for MemoryClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(self.0.fetch_add(1, Ordering::Relaxed)).expect("a time in this century")
    }
}

/// Somebody who says what a test told them to say, and remembers what they were asked.
pub(crate) struct MemoryApprover {
    answer: bool,
    /// The questions.
    pub(crate) asked: Mutex<Vec<String>>,
}

impl MemoryApprover {
    /// Makes one who always gives the same answer.
    pub(crate) fn new(answer: bool) -> Self {
        Self { answer, asked: Mutex::new(Vec::new()) }
    }
}

impl Approver for MemoryApprover {
    fn approve(&self, question: &str) -> Outcome<bool> {
        self.asked.lock().unwrap().push(question.to_owned());
        Ok(self.answer)
    }

    fn typed(&self, name: &str) -> Outcome<bool> {
        self.asked.lock().unwrap().push(name.to_owned());
        Ok(self.answer)
    }
}

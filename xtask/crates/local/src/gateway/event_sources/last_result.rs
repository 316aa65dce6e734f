//! `LastProcessingResult` of an event source mapping.

use std::sync::{Mutex, PoisonError};

/// The result of a poller's last action, in Lambda's words.
pub(super) struct LastResult(Mutex<String>);

impl Default for LastResult {
    fn default() -> Self {
        Self(Mutex::new("No records processed".to_owned()))
    }
}

impl LastResult {
    pub(super) fn set(&self, result: &str) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != result {
            result.clone_into(&mut last);
        }
    }

    pub(super) fn set_problem(&self, problem: &str) {
        self.set(&format!("PROBLEM: {problem}"));
    }

    pub(super) fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

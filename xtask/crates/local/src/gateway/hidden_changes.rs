//! Changes of a function's settings that the emulator does not show.
//!
//! In: UpdateFunctionConfiguration and its response. Out: whether a function has such a change since its newest version, so
//! that the next version is published though both configurations look the same.

use serde_json::Value;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Settings of UpdateFunctionConfiguration that a function's configuration shows in the emulator, and what is no setting.
const SHOWN: [&str; 12] = [
    "FunctionName",
    "RevisionId",
    "Description",
    "Handler",
    "MemorySize",
    "Role",
    "Runtime",
    "Timeout",
    "VpcConfig",
    "Environment",
    "Layers",
    "DeadLetterConfig",
];

/// The functions whose settings changed since their newest version in a way that the emulator does not show, by ARN.
#[derive(Default)]
pub(crate) struct HiddenChanges(Mutex<HashSet<String>>);

impl HiddenChanges {
    /// Remembers what an UpdateFunctionConfiguration changed; `configuration` is the emulator's response.
    pub(super) fn record(&self, requested: &Value, configuration: &Value) {
        let hidden = |(name, value): (&String, &Value)| !SHOWN.contains(&name.as_str()) && !value.is_null();
        if requested.as_object().is_some_and(|settings| settings.iter().any(hidden)) {
            self.lock().insert(function_arn(configuration));
        }
    }

    /// Returns whether a function has such a change; `configuration` is that of any of its versions.
    pub(super) fn includes(&self, configuration: &Value) -> bool {
        self.lock().contains(&function_arn(configuration))
    }

    /// Forgets the changes of a function of which a version was published now.
    pub(super) fn clear(&self, configuration: &Value) {
        self.lock().remove(&function_arn(configuration));
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the ARN of a function without a version.
fn function_arn(configuration: &Value) -> String {
    let arn = configuration["FunctionArn"].as_str().unwrap_or_default();
    arn.split(':').take(7).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn setting_that_the_emulator_does_not_show_counts_as_a_change() {
        let changes = HiddenChanges::default();
        let configuration = json!({ "FunctionArn": "arn:aws:lambda:r:1:function:f:3" });
        changes.record(&json!({ "MemorySize": 256, "FunctionName": "f" }), &configuration);
        assert!(!changes.includes(&configuration));
        changes.record(&json!({ "TracingConfig": { "Mode": "Active" } }), &configuration);
        assert!(changes.includes(&json!({ "FunctionArn": "arn:aws:lambda:r:1:function:f" })));
        changes.clear(&configuration);
        assert!(!changes.includes(&configuration));
    }
}

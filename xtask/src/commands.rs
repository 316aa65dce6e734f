//! The commands, one per file. Each chooses, calls, and returns a value that is rendered as text and JSON. No command calls
//! another.

pub(crate) mod attach_bundle;
pub(crate) mod audit;
pub(crate) mod bootstrap;
pub(crate) mod build;
pub(crate) mod call;
pub(crate) mod check;
pub(crate) mod ci;
pub(crate) mod claim;
pub(crate) mod clean;
pub(crate) mod completions;
pub(crate) mod deploy;
pub(crate) mod destroy;
pub(crate) mod doctor;
pub(crate) mod drift;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod inputs;
pub(crate) mod key;
pub(crate) mod local;
pub(crate) mod lock;
pub(crate) mod notes;
pub(crate) mod output;
pub(crate) mod plan;
pub(crate) mod promote;
pub(crate) mod prune;
pub(crate) mod rebuild;
pub(crate) mod recover;
pub(crate) mod release;
pub(crate) mod releases;
pub(crate) mod rollback;
#[cfg(test)]
mod schemas;
pub(crate) mod status;
pub(crate) mod tags;
pub(crate) mod test;
pub(crate) mod tools;
pub(crate) mod verify;
pub(crate) mod verify_release;

use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::output::document;

/// A command's answer: one value as JSON and as text.
pub(crate) struct CommandOutput {
    data: serde_json::Value,
    /// Text for people, on stdout.
    pub(crate) text: String,
    /// Why the command does not exit with 0 although it has a result.
    pub(crate) failure: Option<Failure>,
    /// Markdown for the summary of a CI run.
    pub(crate) summary: Option<String>,
    /// Values for the later steps of a CI job, by name.
    pub(crate) step_outputs: Vec<(&'static str, String)>,
}

impl CommandOutput {
    /// Makes an answer of a value and its text.
    pub(crate) fn new(data: &impl Serialize, text: impl Into<String>) -> Result<Self> {
        let data = serde_json::to_value(data)
            .map_err(|error| Failure::defect("an answer cannot be rendered as JSON").caused_by(error))?;
        Ok(Self { data, text: text.into(), failure: None, summary: None, step_outputs: Vec::new() })
    }

    /// Adds a reason not to exit with 0.
    pub(crate) fn with_failure(mut self, failure: Option<Failure>) -> Self {
        self.failure = failure;
        self
    }

    /// Adds a value for the later steps of a CI job.
    pub(crate) fn with_step_output(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.step_outputs.push((name, value.into()));
        self
    }

    /// Adds the summary for a CI run.
    pub(crate) fn with_summary(mut self, summary: String) -> Self {
        self.summary = Some(summary);
        self
    }

    /// Renders the JSON document.
    pub(crate) fn document(&self, name: &str) -> String {
        document(name, Some(&self.data), self.failure.as_ref())
    }
}

/// Names the schema of a document around some data, for the reference.
#[cfg(test)]
fn schema_of<T: schemars::JsonSchema>() -> schemars::Schema {
    schemars::schema_for!(crate::output::Document<T>)
}

//! The verbs, one a file: choose, call, return a value that is printed as text or JSON. No command calls another.

pub(crate) mod bootstrap;
pub(crate) mod build;
pub(crate) mod call;
pub(crate) mod check;
pub(crate) mod clean;
pub(crate) mod completions;
pub(crate) mod deploy;
pub(crate) mod destroy;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod key;
pub(crate) mod local;
pub(crate) mod lock;
pub(crate) mod output;
pub(crate) mod plan;
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

use std::time::Instant;

use serde::Serialize;

use crate::app::AppContext;
use crate::delivery::Delivered;
use crate::failure::{Failure, Result};
use crate::format::seconds;
use crate::name::FunctionName;
use crate::output::document;

/// What a command answers: one value, rendered twice.
pub(crate) struct Answer {
    data: serde_json::Value,
    /// For people, on stdout.
    pub(crate) text: String,
    /// Why the command does not exit with 0 although it has an answer.
    pub(crate) failure: Option<Failure>,
}

impl Answer {
    /// Makes an answer of a value and its text.
    pub(crate) fn new(data: &impl Serialize, text: impl Into<String>) -> Result<Self> {
        let data = serde_json::to_value(data)
            .map_err(|error| Failure::defect("an answer cannot be written as JSON").caused_by(error))?;
        Ok(Self { data, text: text.into(), failure: None })
    }

    /// Adds a reason not to exit with 0.
    pub(crate) fn with_failure(mut self, failure: Option<Failure>) -> Self {
        self.failure = failure;
        self
    }

    /// Writes the JSON document.
    pub(crate) fn document(&self, name: &str) -> String {
        document(name, Some(&self.data), self.failure.as_ref())
    }
}

/// Returns the one function that is meant: the named one, or the project's only one.
fn one_function(app: &AppContext, named: Option<&FunctionName>) -> Result<FunctionName> {
    let functions = app.project.named_functions(named.map(std::slice::from_ref).unwrap_or_default())?;
    match functions.as_slice() {
        [one] => Ok(one.clone()),
        several => Err(Failure::usage("several functions are possible")
            .hint(format!("name one: {}", crate::format::list(several.iter().map(FunctionName::as_str))))),
    }
}

/// Writes the last line of a delivery.
fn delivered_text(app: &AppContext, delivered: &Delivered, begun: Instant) -> String {
    let what = crate::format::list(
        delivered.functions.iter().map(|(function, version)| format!("{function} {version}")),
    );
    let environment = &delivered.environment;
    let took = seconds(begun.elapsed());
    if delivered.functions.is_empty() {
        let stack = &delivered.stack;
        return match delivered.deployment {
            Some(number) => format!("{stack} is applied in {environment}.  Deployment {number} · {took}\n"),
            None if delivered.plan_skipped => format!(
                "{stack} is up to date in {environment} (plan skipped: nothing it depends on changed; --plan plans anyway).  {took}\n"
            ),
            None => format!("{stack} is up to date in {environment} (planned: no changes).  {took}\n"),
        };
    }
    let serve = crate::format::serve(delivered.functions.len());
    match (delivered.unchanged, delivered.plan_skipped, delivered.deployment) {
        (true, true, _) => format!(
            "{what} already {serve} in {environment} (plan skipped: nothing it depends on changed; --plan plans anyway).  {took}\n"
        ),
        (true, false, _) => {
            format!("{what} already {serve} in {environment} (planned: no changes).  {took}\n")
        }
        (false, _, Some(number)) => {
            // Without a name the newest deployment is undone, which may be another stack's by then.
            let function = match delivered.functions.keys().collect::<Vec<_>>().as_slice() {
                [one] if app.project.stacks.len() > 1 => format!("{one} "),
                _ => String::new(),
            };
            format!(
                "{what} {serve} in {environment}.  Deployment {number} · {took} · undo: cargo xtask rollback {function}--env {environment}\n"
            )
        }
        (false, _, None) => format!("{what} {serve} in {environment}.  {took}\n"),
    }
}

/// Names the schema of a document around some data, for the reference.
#[cfg(test)]
fn schema_of<T: schemars::JsonSchema>() -> schemars::Schema {
    schemars::schema_for!(crate::output::Document<T>)
}

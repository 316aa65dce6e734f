//! Failures: a kind, a message, details, a cause, what was left unchanged and a hint.
//!
//! Every stage returns [`Failure`]; [`EXIT_CODES`] is the only table of exit codes.

use std::error::Error as StdError;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The result of a fallible operation; the error is a [`Failure`].
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// The kinds of failure; each has its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Kind")]
pub enum FailureKind {
    /// Something failed: a program, a service, a file.
    Failed,
    /// The command line or a settings file is not usable as written.
    Usage,
    /// A check did not pass.
    ChecksFailed,
    /// Changes are present, which `--exit-code` reports.
    ChangesPresent,
    /// A deployed version is not the released one, or its responses are not those that its smoke events expect.
    VerificationFailed,
    /// A guard refused: approval, protection, hold, policy.
    Refused,
    /// Another run is deploying or holds the state lock.
    LockHeld,
    /// The plan no longer matches the infrastructure's state.
    PlanStale,
    /// Terraform could not save its state.
    StateNotSaved,
    /// A defect in Slipway.
    Defect,
    /// A signal ended the run.
    Interrupted,
}

/// Every kind with its exit code and meaning, as `--help` and the reference print it.
pub const EXIT_CODES: [(FailureKind, u8, &str); 11] = [
    (FailureKind::Failed, 1, "failed"),
    (FailureKind::Usage, 2, "usage"),
    (FailureKind::ChecksFailed, 3, "checks failed"),
    (FailureKind::ChangesPresent, 4, "changes present (asked for)"),
    (FailureKind::VerificationFailed, 5, "verification failed"),
    (FailureKind::Refused, 6, "refused by a guard"),
    (FailureKind::LockHeld, 7, "lock held"),
    (FailureKind::PlanStale, 8, "plan stale"),
    (FailureKind::StateNotSaved, 9, "state not saved"),
    (FailureKind::Defect, 70, "a defect in Slipway"),
    (FailureKind::Interrupted, 130, "interrupted"),
];

impl FailureKind {
    /// Returns the process exit code of this kind.
    pub fn exit_code(self) -> u8 {
        EXIT_CODES.iter().find(|(kind, ..)| *kind == self).map_or(70, |(_, code, _)| *code)
    }
}

/// A failure or refusal, which is printed as text or JSON.
pub struct Failure(Box<Inner>);

struct Inner {
    kind: FailureKind,
    message: String,
    details: Vec<(String, String)>,
    body: Option<String>,
    unchanged: Option<String>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// Returns a failure of a kind; the message is its first sentence.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            details: Vec::new(),
            body: None,
            unchanged: None,
            hint: None,
            source: None,
        }))
    }

    /// Returns a failure of kind [`FailureKind::Failed`].
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Failed, message)
    }

    /// Returns a failure of kind [`FailureKind::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Usage, message)
    }

    /// Returns a failure of kind [`FailureKind::Refused`].
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Refused, message)
    }

    /// Returns a failure of kind [`FailureKind::Defect`]: the code assumed that this cannot happen.
    pub fn defect(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Defect, message)
            .hint("this is a defect in Slipway: please report it with the run's events.jsonl")
    }

    /// Adds a named line below the message, such as `stored   sha256:9c1f…`.
    pub fn detail(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.details.push((name.into(), value.into()));
        self
    }

    /// Adds lines that are printed verbatim, such as a quoted source line or a program's last output.
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.0.body = Some(body.into());
        self
    }

    /// Sets the sentence that says what was left unchanged.
    pub fn unchanged(mut self, sentence: impl Into<String>) -> Self {
        self.0.unchanged = Some(sentence.into());
        self
    }

    /// Sets the hint about what to do next; a hint that was set before, closer to the cause, stays.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Sets the cause.
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns the kind, which decides the exit code.
    pub fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// Returns the first sentence.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the failure as the value that is printed as text or JSON.
    pub fn report(&self) -> ErrorReport {
        let mut causes = Vec::new();
        let mut next: Option<&dyn StdError> = self.0.source.as_deref().map(|s| s as &dyn StdError);
        while let Some(cause) = next {
            let text = cause.to_string();
            if causes.last() != Some(&text) && self.0.message != text {
                causes.push(text);
            }
            next = cause.source();
        }
        ErrorReport {
            kind: self.0.kind,
            exit_code: self.0.kind.exit_code(),
            message: self.0.message.clone(),
            details: self
                .0
                .details
                .iter()
                .map(|(name, value)| Detail { name: name.clone(), value: value.clone() })
                .collect(),
            body: self.0.body.clone(),
            causes,
            unchanged: self.0.unchanged.clone(),
            hint: self.0.hint.clone(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {} {:?}", self.0.kind, self.0.message, self.0.source)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// A failure as data: the member `error` of a JSON document that is not `ok`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ErrorReport {
    /// The kind, in snake case.
    pub kind: FailureKind,
    /// The process exit code.
    pub exit_code: u8,
    /// The first sentence.
    pub message: String,
    /// Named lines below the message.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
    /// Lines that are printed verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The causes, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What was left unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// One named line of a failure.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Detail {
    /// The value's name, one or two words.
    pub name: String,
    /// The value.
    pub value: String,
}

/// Returns the failure of an I/O operation: "cannot `doing` `path`", with the error as its cause.
pub fn io(doing: &str, path: &std::path::Path, error: std::io::Error) -> Failure {
    Failure::failed(format!("cannot {doing} {}", path.display())).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_unique_and_as_documented() {
        let mut codes: Vec<u8> = EXIT_CODES.iter().map(|(_, code, _)| *code).collect();
        codes.dedup();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 70, 130]);
        assert_eq!(FailureKind::LockHeld.exit_code(), 7);
    }

    #[test]
    fn report_has_the_first_hint_and_each_cause_once() {
        let inner = Failure::failed("inner").caused_by(std::io::Error::other("disk full"));
        let failure = Failure::refused("outer").hint("first").hint("second").caused_by(inner);
        let report = failure.report();
        assert_eq!(report.hint.as_deref(), Some("first"));
        assert_eq!(report.causes, ["inner", "disk full"]);
    }
}

//! Terraform's `-json` stream (UI 1.x): <https://developer.hashicorp.com/terraform/internals/machine-readable-ui>.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::plan::{Action, Change, Output};
use crate::progress::{Progress, Step};

/// After how many seconds the creation of a function counts as slow. One in a network takes up to a minute and a half.
const SLOW_FUNCTION: u64 = 120;
/// After how many seconds it is given up: as long as the provider itself waits where a stack says nothing else.
const HANGING_FUNCTION: u64 = 600;

/// What a run of Terraform reported.
#[derive(Debug, Default)]
pub(super) struct TerraformReport {
    /// Planned changes.
    pub(super) changes: Vec<Change>,
    /// Changes made outside Terraform.
    pub(super) drift: Vec<Change>,
    /// Whether outputs change.
    pub(super) outputs_change: bool,
    /// Outputs after an apply.
    pub(super) outputs: BTreeMap<String, Output>,
    /// Errors.
    pub(super) errors: Vec<Diagnostic>,
    /// Warnings, one line each.
    pub(super) warnings: Vec<String>,
    /// How many resources are done.
    pub(super) done: u64,
    /// Functions whose creation was said to take long.
    pub(super) slow: BTreeSet<String>,
    /// A function whose creation takes so long that the apply is given up.
    pub(super) hanging: Option<String>,
}

/// An error that Terraform reported.
#[derive(Debug, Clone, Default)]
pub(super) struct Diagnostic {
    /// The first line.
    pub(super) summary: String,
    /// The rest.
    pub(super) detail: String,
    /// The address of the resource.
    pub(super) address: Option<String>,
    /// File and line, as Terraform names them: relative to the stack's folder.
    pub(super) place: Option<String>,
}

impl TerraformReport {
    /// Reads one line of the stream.
    pub(super) fn line(&mut self, line: &str, step: &Step, progress: &Progress) {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            // Terraform prints plain text if it fails before it reads -json.
            step.line(line);
            return;
        };
        match text(&message, "/type") {
            "planned_change" => self.changes.extend(change(&message)),
            "resource_drift" => self.drift.extend(change(&message)),
            "outputs" => self.take_outputs(&message),
            "diagnostic" => self.diagnostic(&message),
            "apply_progress" => {
                step.line(shown(&message));
                self.note_slow_function(&message, progress);
            }
            "apply_start" | "provision_start" | "provision_progress" | "refresh_start" => {
                step.line(shown(&message))
            }
            "apply_complete" => {
                self.done += 1;
                step.advance(self.done);
                step.line(shown(&message));
                let took = message.pointer("/hook/elapsed_seconds").and_then(Value::as_u64).unwrap_or(0);
                progress.call(
                    "terraform",
                    text(&message, "/hook/action"),
                    text(&message, "/hook/resource/addr"),
                    std::time::Duration::from_secs(took),
                    "ok",
                );
            }
            "apply_errored" => {
                step.line(shown(&message));
                progress.call(
                    "terraform",
                    text(&message, "/hook/action"),
                    text(&message, "/hook/resource/addr"),
                    std::time::Duration::ZERO,
                    "failed",
                );
            }
            _ => {}
        }
    }

    /// Says once what it may mean that a function is being created for minutes: if the answer to the provider's first call was
    /// lost, it waits for a name that is taken by its own function, up to its own time limit.
    fn note_slow_function(&mut self, message: &Value, progress: &Progress) {
        let address = text(message, "/hook/resource/addr");
        let elapsed = message.pointer("/hook/elapsed_seconds").and_then(Value::as_u64).unwrap_or(0);
        let creates_function = text(message, "/hook/action") == "create"
            && text(message, "/hook/resource/resource_type") == "aws_lambda_function";
        if creates_function && elapsed >= SLOW_FUNCTION && self.slow.insert(address.to_owned()) {
            progress.note(format!(
                "          {address} is being created for {elapsed} s. If it exists already, the provider waits in vain: after {HANGING_FUNCTION} s the apply is given up, Ctrl-C twice does it now, and cargo xtask recover imports the function"
            ));
        }
        if creates_function && elapsed >= HANGING_FUNCTION {
            self.hanging.get_or_insert_with(|| address.to_owned());
        }
    }

    fn take_outputs(&mut self, message: &Value) {
        for (name, output) in message.get("outputs").and_then(Value::as_object).into_iter().flatten() {
            if output
                .get("action")
                .and_then(Value::as_str)
                .is_some_and(|action| action != "noop" && action != "no-op")
            {
                self.outputs_change = true;
            }
            if let Ok(output) = serde_json::from_value(output.clone()) {
                self.outputs.insert(name.clone(), output);
            }
        }
    }

    fn diagnostic(&mut self, message: &Value) {
        let address = text(message, "/diagnostic/address");
        let diagnostic = Diagnostic {
            summary: text(message, "/diagnostic/summary").to_owned(),
            detail: text(message, "/diagnostic/detail").trim().to_owned(),
            address: (!address.is_empty()).then(|| address.to_owned()),
            place: place(message),
        };
        if text(message, "/diagnostic/severity") == "error" {
            self.errors.push(diagnostic);
        } else {
            self.warnings.push(diagnostic.summary);
        }
    }
}

/// Returns the file and line that a diagnostic names.
fn place(message: &Value) -> Option<String> {
    let range = message.pointer("/diagnostic/range")?;
    let line = range.pointer("/start/line").and_then(Value::as_u64)?;
    Some(format!("{}:{line}", range.get("filename")?.as_str()?))
}

fn change(message: &Value) -> Option<Change> {
    let action: Action = serde_json::from_value(message.pointer("/change/action")?.clone()).ok()?;
    if matches!(action, Action::NoOp | Action::Read) {
        return None;
    }
    let reason = text(message, "/change/reason");
    Some(Change {
        address: text(message, "/change/resource/addr").to_owned(),
        action,
        reason: (!reason.is_empty()).then(|| reason.to_owned()),
    })
}

/// Returns a progress message without resource ids, which may be secret.
fn shown(message: &Value) -> String {
    text(message, "/@message").split(" [id=").next().unwrap_or_default().to_owned()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lines: &[&str]) -> TerraformReport {
        let progress = Progress::silent();
        let step = progress.step("plan", "x");
        let mut report = TerraformReport::default();
        lines.iter().for_each(|line| report.line(line, &step, &progress));
        report
    }

    #[test]
    fn stream_of_a_plan_becomes_changes() {
        let report = report(&[
            r#"{"@level":"info","type":"planned_change","change":{"resource":{"addr":"module.hello.aws_iam_role.this"},"action":"create"}}"#,
            r#"{"type":"planned_change","change":{"resource":{"addr":"aws_x.y"},"action":"replace","reason":"cannot_update"}}"#,
            r#"{"type":"planned_change","change":{"resource":{"addr":"data.aws_x.y"},"action":"read"}}"#,
            r#"{"type":"planned_change","change":{"resource":{"addr":"aws_x.z"},"action":"remove"}}"#,
            r#"{"type":"outputs","outputs":{"functions":{"sensitive":false,"action":"update"}}}"#,
            r#"{"type":"diagnostic","diagnostic":{"severity":"error","summary":"Bad","detail":"very\n","address":"aws_x.y","range":{"filename":"main.tf","start":{"line":9,"column":1}}}}"#,
            "not json",
        ]);
        let seen: Vec<(&str, Action)> =
            report.changes.iter().map(|change| (change.address.as_str(), change.action)).collect();
        assert_eq!(
            seen,
            [
                ("module.hello.aws_iam_role.this", Action::Create),
                ("aws_x.y", Action::Replace),
                ("aws_x.z", Action::Forget)
            ]
        );
        assert!(report.outputs_change);
        assert_eq!(report.errors[0].detail, "very");
        assert_eq!(report.errors[0].place.as_deref(), Some("main.tf:9"));
    }

    #[test]
    fn function_that_is_created_for_minutes_is_said_once() {
        let line = |elapsed: u64| {
            format!(
                r#"{{"type":"apply_progress","@message":"x","hook":{{"resource":{{"addr":"module.a.aws_lambda_function.this","resource_type":"aws_lambda_function"}},"action":"create","elapsed_seconds":{elapsed}}}}}"#
            )
        };
        assert!(report(&[&line(110)]).slow.is_empty());
        let slow = report(&[&line(120), &line(130)]).slow;
        assert_eq!(slow.into_iter().collect::<Vec<_>>(), ["module.a.aws_lambda_function.this"]);
        assert_eq!(report(&[&line(590)]).hanging, None);
        assert_eq!(report(&[&line(600)]).hanging.as_deref(), Some("module.a.aws_lambda_function.this"));
    }

    #[test]
    fn stream_of_an_apply_becomes_outputs_without_secret_values() {
        let report = report(&[
            r#"{"type":"outputs","outputs":{"a":{"sensitive":false,"type":"string","value":"x"},"b":{"sensitive":true,"type":"string"}}}"#,
        ]);
        assert_eq!(report.outputs["a"].value, "x");
        assert!(report.outputs["b"].sensitive && report.outputs["b"].value.is_null());
        assert!(!report.outputs_change);
    }
}

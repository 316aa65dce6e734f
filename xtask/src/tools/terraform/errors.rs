//! Terraform's errors, told as ours: locks, stale plans, states that could not be saved, wrong accounts and versions.

use super::stream::{Diagnostic, Story};
use crate::exec::{Ended, Program, unsuccessful};
use crate::failure::{Failure, FailureKind};
use crate::interrupt;
use crate::plan::Configuration;

const LOCK_FAILED: &str = "Error acquiring the state lock";

/// Tells whether a run met a lock and found nobody behind it when it looked: the lock had been given back.
pub(super) fn lock_was_gone(ended: &Ended, story: &Story) -> bool {
    nobody_behind_the_lock(&all_text(ended, story))
}

fn nobody_behind_the_lock(text: &str) -> bool {
    text.contains(LOCK_FAILED) && text.contains(".tflock") && text.contains("NoSuchKey")
}

fn all_text(ended: &Ended, story: &Story) -> String {
    story
        .errors
        .iter()
        .map(|error| format!("{}\n{}", error.summary, error.detail))
        .chain(ended.tail.iter().cloned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Makes the failure of a run of Terraform that did not end well.
pub(super) fn explain(
    program: &Program,
    ended: &Ended,
    story: &Story,
    configuration: &Configuration,
) -> Failure {
    let all = all_text(ended, story);
    let environment = &configuration.context.environment;
    let place = format!("`{}` in {environment}", configuration.context.stack);
    // Before the lock: a state that cannot be read is told as a lock that cannot be had.
    if all.contains("which is newer than current")
        || all.contains("Unsupported Terraform Core version")
        || all.contains("Unsupported state file format")
        || all.contains("unsupported state format")
    {
        return Failure::failed(format!("this Terraform does not fit {place}"))
            .body(summary_of(&story.errors))
            .unchanged("Nothing was changed.")
            .hint("use the Terraform version that the state and the stack's required_version ask for");
    }
    if all.contains(LOCK_FAILED) {
        return lock_held(&all, &place, environment.as_str());
    }
    if all.contains("lifecycle.prevent_destroy set") {
        return Failure::refused(format!("the plan of {place} would destroy what it must not (prevent_destroy)"))
            .body(summary_of(&story.errors))
            .unchanged("Nothing was changed.")
            .hint("has something gone from the settings or files that asks for it? What is really to go is removed by hand");
    }
    if all.contains("Saved plan is stale") {
        return Failure::new(
            FailureKind::PlanStale,
            format!("the plan of {place} is stale: its state changed after it was made"),
        )
        .unchanged("Nothing was applied.")
        .hint("run the same command again: it plans on what is there now");
    }
    if all.contains("Failed to persist state")
        || all.contains("Failed to save state")
        || all.contains("Error saving state")
    {
        return Failure::new(FailureKind::StateNotSaved, format!("the state of {place} could not be saved"))
            .detail("kept in", configuration.folder.join("errored.tfstate").display().to_string())
            .body(summary_of(&story.errors))
            .hint(format!("do not apply again before it is saved: cargo xtask recover --env {environment}"));
    }
    if ended.interrupted {
        return interrupt::interrupted();
    }
    if let Some(detail) = all.lines().find(|line| {
        line.contains("AWS account ID not allowed") || line.contains("AWS Account ID not allowed")
    }) {
        return Failure::refused(format!("these credentials do not lead into the account of {environment}"))
            .detail("terraform", detail.trim())
            .unchanged("Nothing was changed.")
            .hint(format!(
                "use credentials for the account in terraform/environments/{environment}/environment.toml"
            ));
    }
    if story.errors.is_empty() {
        return unsuccessful(program, ended);
    }
    Failure::failed(format!("terraform failed on {place}")).body(summary_of(&story.errors))
}

fn summary_of(errors: &[Diagnostic]) -> String {
    let mut out = Vec::new();
    for error in errors.iter().take(6) {
        let at = error.address.as_deref().map(|address| format!("  ({address})")).unwrap_or_default();
        out.push(format!("{}{at}", error.summary));
        out.extend(
            error
                .detail
                .lines()
                .filter(|line| !line.trim().is_empty())
                .take(12)
                .map(|line| format!("  {line}")),
        );
    }
    if errors.len() > 6 {
        out.push(format!("…{} more errors (--verbose shows all)", errors.len() - 6));
    }
    out.join("\n")
}

/// Shows Terraform's lock information as data.
fn lock_held(text: &str, place: &str, environment: &str) -> Failure {
    let info = LockInfo::read(text);
    Failure::new(FailureKind::LockHeld, format!("the state of {place} is locked"))
        .detail("by", info.who)
        .detail("doing", info.operation)
        .detail("since", info.created)
        .detail("lock", info.id)
        .unchanged("Nothing was changed.")
        .hint(format!(
            "wait with --lock-timeout 10m; if that run is dead: cargo xtask recover --env {environment}"
        ))
}

struct LockInfo {
    id: String,
    operation: String,
    who: String,
    created: String,
}

impl LockInfo {
    fn read(text: &str) -> Self {
        let field = |name: &str| Self::field(text, name).unwrap_or("unknown").to_owned();
        Self {
            id: field("ID:"),
            operation: field("Operation:"),
            who: field("Who:"),
            created: field("Created:"),
        }
    }

    fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
        text.lines()
            .find_map(|line| line.trim().trim_start_matches(['│', ' ']).strip_prefix(name))
            .map(str::trim)
            .filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_was_given_back_meanwhile_is_known() {
        // What Terraform 1.11 says where the lock's object is gone when it looks who holds it.
        let gone = "Error acquiring the state lock\nError message: operation error S3: PutObject, https response error StatusCode: 412, api error PreconditionFailed: At least one of the pre-conditions you specified did not hold\nunable to retrieve file from S3 bucket 'b' with key 'hello.tfstate.tflock': operation error S3: GetObject, https response error StatusCode: 404, NoSuchKey: ";
        assert!(nobody_behind_the_lock(gone));
        let held = gone.replace("NoSuchKey", "AccessDenied");
        assert!(!nobody_behind_the_lock(&held));
        assert!(!nobody_behind_the_lock("Error acquiring the state lock\nLock Info:\n  ID:        5e1c-4\n"));
    }

    #[test]
    fn a_lock_is_told_as_data() {
        let text = "Error acquiring the state lock\nError message: operation error S3: PutObject\nLock Info:\n  ID:        5e1c-4\n  Path:      b/hello.tfstate\n  Operation: OperationTypeApply\n  Who:       ci@build-7\n  Version:   1.11.4\n  Created:   2026-11-01 14:02:11 UTC\n  Info:      \n";
        let report = lock_held(text, "`hello` in prod", "prod").report();
        assert_eq!(report.kind, FailureKind::LockHeld);
        let details: Vec<String> =
            report.details.iter().map(|detail| format!("{}={}", detail.name, detail.value)).collect();
        assert_eq!(
            details,
            ["by=ci@build-7", "doing=OperationTypeApply", "since=2026-11-01 14:02:11 UTC", "lock=5e1c-4"]
        );
    }
}

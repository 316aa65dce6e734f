//! Turns Terraform's errors into failures: locks, stale plans, unsaved states, wrong accounts and versions.
//!
//! Terraform has no error codes, so its texts are compared, as of versions 1.10 to 1.15.

use super::providers::lock_file_failure;
use super::stream::{Diagnostic, TerraformReport};
use crate::exec::{Program, ProgramResult, exit_failure};
use crate::failure::{Failure, FailureKind};
use crate::interrupt;
use crate::plan::{Configuration, unsaved, unsaved_states};

const LOCK_FAILED: &str = "Error acquiring the state lock";

/// Tells whether a run met a lock that was released before its holder could be read.
pub(super) fn lock_was_gone(ended: &ProgramResult, report: &TerraformReport) -> bool {
    is_lock_without_holder(&all_text(ended, report))
}

/// Tells whether a resource could not be created because its name is taken.
pub(super) fn name_is_taken(report: &TerraformReport) -> bool {
    // The codes of IAM, S3, CloudWatch Logs, DynamoDB, ECR and KMS; of Lambda.
    const TAKEN: [&str; 3] = ["AlreadyExists", "AlreadyOwnedByYou", "ResourceConflictException"];
    let texts = report.errors.iter().flat_map(|error| [&error.summary, &error.detail]);
    texts.into_iter().any(|text| TAKEN.iter().any(|taken| text.contains(taken)))
}

fn is_lock_without_holder(text: &str) -> bool {
    // In the lock file, and in the table: an item that is gone is an empty text.
    let no_file = text.contains(".tflock") && text.contains("NoSuchKey");
    let no_item =
        text.contains("ConditionalCheckFailedException") && text.contains("unexpected end of JSON input");
    text.contains(LOCK_FAILED) && (no_file || no_item)
}

pub(super) fn all_text(ended: &ProgramResult, report: &TerraformReport) -> String {
    report
        .errors
        .iter()
        .map(|error| format!("{}\n{}", error.summary, error.detail))
        .chain(ended.tail.iter().cloned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Returns the failure of an unsuccessful run of Terraform.
pub(super) fn explain(
    program: &Program,
    ended: &ProgramResult,
    report: &TerraformReport,
    configuration: &Configuration,
) -> Failure {
    let all = all_text(ended, report);
    let environment = &configuration.context.environment;
    let place = format!("`{}` in {environment}", configuration.context.stack);
    // Checked before the lock: Terraform reports a state that it cannot read as a lock that it cannot take.
    if all.contains("which is newer than current")
        || all.contains("Unsupported Terraform Core version")
        || all.contains("Unsupported state file format")
        || all.contains("unsupported state format")
    {
        return Failure::failed(format!("this version of Terraform cannot be used for {place}"))
            .body(summary_of(&report.errors))
            .unchanged("Nothing was changed.")
            .hint("use the Terraform version that the state and the stack's required_version require");
    }
    if all.contains(LOCK_FAILED) {
        return lock_held(&all, &place, environment.as_str());
    }
    if all.contains("lifecycle.prevent_destroy set") {
        return Failure::refused(format!("the plan of {place} would destroy a resource with prevent_destroy"))
            .body(summary_of(&report.errors))
            .unchanged("Nothing was changed.")
            .hint("if you removed it from the settings or files by mistake, restore it; to delete it, remove prevent_destroy first");
    }
    if all.contains("Saved plan is stale") {
        return Failure::new(
            FailureKind::PlanStale,
            format!("the plan of {place} is stale: its state changed after it was made"),
        )
        .unchanged("Nothing was applied.")
        .hint("run the same command again: it plans again");
    }
    // The file is the evidence; the texts are for a Terraform that could not write it either.
    let folders = [configuration.folder.clone(), configuration.context.work.clone()];
    if let Some(file) = unsaved_states(&folders).first() {
        return unsaved(&configuration.context, file).body(summary_of(&report.errors));
    }
    if all.contains("Failed to persist state")
        || all.contains("Failed to save state")
        || all.contains("Error saving state")
    {
        return Failure::new(FailureKind::StateNotSaved, format!("the state of {place} could not be saved"))
            .detail("stored in", "nowhere: Terraform left no errored.tfstate")
            .body(summary_of(&report.errors))
            .hint(format!(
                "cargo xtask recover --env {environment} finds what exists and is not in the state"
            ));
    }
    if ended.interrupted {
        return interrupt::interrupted();
    }
    if let Some(detail) = all.lines().find(|line| {
        line.contains("AWS account ID not allowed") || line.contains("AWS Account ID not allowed")
    }) {
        return Failure::refused(format!("the credentials are not for the account of {environment}"))
            .detail("terraform", detail.trim())
            .unchanged("Nothing was changed.")
            .hint(format!(
                "use credentials for the account that terraform/environments/{environment}/environment.toml names"
            ));
    }
    if report.errors.is_empty() {
        return lock_file_failure(program, ended, &all, configuration)
            .unwrap_or_else(|| exit_failure(program, ended));
    }
    let failure = Failure::failed(format!("terraform failed on {place}")).body(summary_of(&report.errors));
    match missing_file(&all).and_then(|file| configuration.hint_for_missing(file)) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Returns the path that Terraform did not find: `no file exists at "./../../policies/note.txt"`.
fn missing_file(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("no file exists at \"")?;
    rest.split('"').next()
}

pub(super) fn summary_of(errors: &[Diagnostic]) -> String {
    let mut out = Vec::new();
    for error in errors.iter().take(6) {
        let at: Vec<&str> = error.address.iter().chain(&error.place).map(String::as_str).collect();
        let at = if at.is_empty() { String::new() } else { format!("  ({})", at.join(", ")) };
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

/// Returns the failure of a locked state, with the lock's information.
pub(super) fn lock_held(text: &str, place: &str, environment: &str) -> Failure {
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
    fn name_that_is_taken_is_recognised_by_the_code_of_the_service() {
        let report = |detail: &str| {
            let errors = vec![Diagnostic { detail: detail.into(), ..Diagnostic::default() }];
            TerraformReport { errors, ..TerraformReport::default() }
        };
        for taken in [
            "creating IAM Role (a): EntityAlreadyExists: Role with name a already exists.",
            "creating CloudWatch Logs Log Group (/a): ResourceAlreadyExistsException: it exists",
            "creating Lambda Function (a): ResourceConflictException: Function already exist: a",
            "creating S3 Bucket (a): BucketAlreadyOwnedByYou",
        ] {
            assert!(name_is_taken(&report(taken)), "{taken}");
        }
        assert!(!name_is_taken(&report("AccessDenied: not allowed")));
    }

    #[test]
    fn lock_released_in_between_is_recognised() {
        // Terraform 1.11, if the lock's object is gone when it reads the holder.
        let gone = "Error acquiring the state lock\nError message: operation error S3: PutObject, https response error StatusCode: 412, api error PreconditionFailed: At least one of the pre-conditions you specified did not hold\nunable to retrieve file from S3 bucket 'b' with key 'hello.tfstate.tflock': operation error S3: GetObject, https response error StatusCode: 404, NoSuchKey: ";
        assert!(is_lock_without_holder(gone));
        let held = gone.replace("NoSuchKey", "AccessDenied");
        assert!(!is_lock_without_holder(&held));
        let item_gone = "Error acquiring the state lock\nError message: operation error DynamoDB: PutItem, https response error StatusCode: 400, ConditionalCheckFailedException: The conditional request failed\nunexpected end of JSON input";
        assert!(is_lock_without_holder(item_gone));
        assert!(!is_lock_without_holder(&item_gone.replace("unexpected end of JSON input", "Lock Info:\n")));
        assert!(!is_lock_without_holder("Error acquiring the state lock\nLock Info:\n  ID:        5e1c-4\n"));
    }

    #[test]
    fn lock_held_names_holder_operation_and_time() {
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

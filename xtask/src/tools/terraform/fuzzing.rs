//! Reads Terraform's stream, for `crate::fuzzing`.

use std::time::Duration;

use super::errors::{all_text, lock_held, lock_was_gone, summary_of};
use super::stream::TerraformReport;
use crate::exec::ProgramResult;
use crate::plan::{Applied, Change};
use crate::progress::Progress;

/// Reads the lines of a run that failed, and describes its errors; returns its changes and outputs.
pub(crate) fn stream(bytes: &[u8]) -> (Vec<Change>, Applied) {
    let progress = Progress::silent();
    let step = progress.step("apply", "hello in dev");
    let mut report = TerraformReport::default();
    let text = String::from_utf8_lossy(bytes);
    text.split('\n').for_each(|line| report.line(line.trim_end(), &step, &progress));
    let ended = ProgramResult {
        code: Some(1),
        timed_out: false,
        interrupted: false,
        took: Duration::ZERO,
        tail: text.lines().take(40).map(str::to_owned).collect(),
    };
    lock_was_gone(&ended, &report);
    lock_held(&all_text(&ended, &report), "`hello` in dev", "dev");
    summary_of(&report.errors);
    step.failed("failed");
    (report.changes, Applied { outputs: report.outputs })
}

//! `check`: run the project's checks.

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::checks::{self, CheckReport, Checks};
use crate::failure::Outcome;
use crate::output::Table;
use crate::words::seconds;
use crate::world::World;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The checks, as pipelines/project.toml names them; all where none is named.
    checks: Vec<String>,
}

/// What the checks came to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// One for each check.
    pub(crate) checks: Vec<CheckReport>,
}

/// Runs the command.
pub(crate) async fn run(world: &World, arguments: Arguments) -> Outcome<Answer> {
    let repository = world.repository()?;
    let checks = Checks {
        project: &world.project,
        repository: &repository,
        logs: world.logs(),
        progress: &world.progress,
        interrupt: &world.interrupt,
        beside: None,
    };
    let reports = checks.run(&arguments.checks).await?;
    let mut table = Table::new(["check", "verdict", "took", "command"]);
    for report in &reports {
        let took = seconds(std::time::Duration::from_millis(report.took_ms));
        table.row([
            report.name.clone(),
            if report.passed { "passed".into() } else { "failed".into() },
            took,
            report.run.join("; "),
        ]);
    }
    let text = if table.is_empty() {
        "pipelines/project.toml names no checks.\n".to_owned()
    } else {
        table.render("")
    };
    let failure = checks::failure(&reports);
    Ok(Answer::new(&Report { checks: reports }, text)?.but(failure))
}

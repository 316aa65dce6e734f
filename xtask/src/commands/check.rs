//! `check`: run the project's checks.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::checks::{self, CheckReport, Checks};
use crate::failure::Result;
use crate::format::seconds;
use crate::output::Table;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The checks of pipelines/project.toml; without a name all.
    checks: Vec<String>,
}

/// Results of the checks.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// One for each check.
    pub(crate) checks: Vec<CheckReport>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let repository = app.repository()?;
    let checks = Checks {
        project: &app.project,
        repository: &repository,
        process_env: &app.process_env,
        tools: &app.tools,
        logs: app.logs(),
        progress: &app.progress,
        interrupt: &app.interrupt,
        stop_on_failure: None,
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
    Ok(CommandOutput::new(&Report { checks: reports }, text)?.with_failure(failure))
}

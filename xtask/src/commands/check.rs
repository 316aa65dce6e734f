//! `check`: run the project's checks.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::checks::{self, CheckReport, Checks};
use crate::failure::{self, Result};
use crate::format::seconds;
use crate::output::Table;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The checks of pipelines/project.toml; without a name all.
    checks: Vec<String>,
    /// Also write the results as JUnit XML to a file, with a test case for each check.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
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
    if let Some(file) = &arguments.junit {
        write(&app.process_env.folder.join(file), &checks::junit(&app.project.settings.name, &reports))?;
    }
    let mut table = Table::new(["check", "verdict", "took", "command"]);
    for report in &reports {
        let took = seconds(std::time::Duration::from_millis(report.took_ms));
        table.row([report.name.clone(), report.verdict(), took, report.run.join("; ")]);
    }
    let mut text = if table.is_empty() {
        "pipelines/project.toml names no checks.\n".to_owned()
    } else {
        table.render("")
    };
    for report in &reports {
        let line = report.left_out.iter().map(|why| format!("{} was left out: {why}\n", report.name));
        text.extend(line);
    }
    let failure = checks::failure(&reports);
    Ok(CommandOutput::new(&Report { checks: reports }, text)?.with_failure(failure))
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failure::io("create", folder, error))?;
    }
    std::fs::write(path, text).map_err(|error| failure::io("write", path, error))
}

//! `test`: run the repository's own tests, in the groups that `pipelines/project.toml` names.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::Result;
use crate::format::{list, seconds};
use crate::output::Table;
use crate::test_groups::{self, GroupReport, GroupVerdict, TestGroups};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The groups of pipelines/project.toml; without a name all.
    groups: Vec<String>,
}

/// Results of the tests.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// One for each group.
    pub(crate) groups: Vec<GroupReport>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let rust_builder = app.rust_builder();
    let groups = TestGroups {
        settings: &app.project.settings.tests,
        root: &app.project.root,
        skipped: app.project.work_folder().join("skipped-tests"),
        path: app.process_env.get("PATH").unwrap_or_default(),
        tools: &app.tools,
        rust_builder: &rust_builder,
        print: &|line| app.console.stderr(line),
        interrupt: &app.interrupt,
    };
    let mut results = Vec::new();
    for name in groups.choose(&arguments.groups)? {
        results.push(groups.run(name).await?);
    }
    let mut table = Table::new(["tests", "verdict", "took", ""]);
    for result in &results {
        let group = &result.report;
        let (verdict, remark) = match group.verdict {
            GroupVerdict::Passed => ("passed", result.skipped.text()),
            GroupVerdict::Failed => ("FAILED", result.skipped.text()),
            GroupVerdict::LeftOut => ("left out", format!("missing: {}", list(&group.missing))),
        };
        table.row([
            group.name.clone(),
            verdict.into(),
            seconds(Duration::from_millis(group.took_ms)),
            remark,
        ]);
    }
    let failure = test_groups::failure(&results, app.process_env.ci());
    let groups = results.into_iter().map(|result| result.report).collect();
    Ok(CommandOutput::new(&Report { groups }, table.render(""))?.with_failure(failure))
}

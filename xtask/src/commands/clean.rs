//! `clean`: remove Terraform's local files, which the next run makes again. States, releases and ledgers are elsewhere.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::Result;
use crate::format;
use crate::name::EnvironmentName;
use crate::work_files::WorkFiles;

/// Arguments of `clean`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this environment's.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
}

/// What was removed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// Folders, relative to the project.
    pub(crate) removed: Vec<PathBuf>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    if let Some(environment) = &arguments.env {
        app.project.environment(environment)?;
    }
    let files = WorkFiles {
        root: &app.project.root,
        work: &app.project.work_folder().join("terraform"),
        by: &app.process_env.actor(),
        progress: &app.progress,
        interrupt: &app.interrupt,
    };
    let removed = files.remove(arguments.env.as_ref()).await?;
    let text = if removed.is_empty() {
        "There is nothing to remove.\n".to_owned()
    } else {
        format!("Removed Terraform's files of {}.\n", format::plural(removed.len(), "folder"))
    };
    CommandOutput::new(&Report { removed }, text)
}

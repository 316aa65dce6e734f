//! `tags`: write missing release tags from the catalogue, and push them. The catalogue decides; tags mirror it.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::Result;
use crate::format;
use crate::name::FunctionName;
use crate::release;
use crate::tools::git;

/// Arguments of `tags`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The functions; all where none is named.
    functions: Vec<FunctionName>,
    /// Push release tags to the remote `origin`.
    #[arg(long)]
    push: bool,
}

/// The result of `tags`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// Tags that were missing and are written now.
    pub(crate) written: Vec<String>,
    /// Releases whose commit is not in this clone.
    pub(crate) left_out: Vec<String>,
    /// Tags that were pushed.
    pub(crate) pushed: Vec<String>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let repository = app.repository()?;
    let catalogue = app.catalogue(None).await?;
    let functions = app.project.named_functions(&arguments.functions)?;
    let tags = release::write_missing_tags(&catalogue, &repository, &functions).await?;
    let mut pushed = Vec::new();
    if arguments.push && !tags.present.is_empty() {
        let token = app.process_env.get("GITHUB_TOKEN");
        git::push_tags(&app.project.root, &tags.present, token, &app.interrupt, &app.progress).await?;
        pushed = tags.present;
    }
    let report = Report { written: tags.written, left_out: tags.left_out, pushed };
    CommandOutput::new(&report, text(&report))
}

fn text(report: &Report) -> String {
    let mut text = match report.written.len() {
        0 => "No release tag was missing.\n".to_owned(),
        count => format!("{} written: {}\n", format::plural(count, "tag"), format::list(&report.written)),
    };
    if !report.left_out.is_empty() {
        text.push_str(&format!(
            "Left out, their commits are not in this clone: {}\n",
            format::list(&report.left_out)
        ));
    }
    if !report.pushed.is_empty() {
        text.push_str(&format!("{} on the remote.\n", format::plural(report.pushed.len(), "release tag")));
    }
    text
}

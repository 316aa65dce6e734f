//! `tools`: list or install Slipway's own tools, pinned with hashes.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::Result;
use crate::output::Table;
use crate::tools::install::{ALL_TOOLS, NEEDED_TOOLS, Tool};

/// Arguments of `tools`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: ToolsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ToolsCommand {
    /// Install missing tools from PyPI, with hashes, into the project's tool folder; build the Rust builder.
    Install {
        /// The tools; those that builds and the local environment need where none is named.
        tools: Vec<Tool>,
        /// Do not build the Rust builder; the first Rust build does.
        #[arg(long)]
        no_builder: bool,
    },
    /// List the tools with their paths.
    List,
}

/// The tools.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// One for each tool.
    pub(crate) tools: Vec<ToolReport>,
}

/// One tool.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ToolReport {
    /// Its name.
    pub(crate) name: String,
    /// The pinned version.
    pub(crate) version: String,
    /// Its executable, where it is installed.
    pub(crate) path: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    if let ToolsCommand::Install { tools, no_builder } = arguments.command {
        let wanted = if tools.is_empty() { NEEDED_TOOLS.to_vec() } else { tools.clone() };
        for tool in wanted {
            app.tools.ensure(tool).await?;
        }
        if tools.is_empty() && !no_builder {
            app.rust_builder().ensure().await?;
        }
    }
    let shown = |path: Option<std::path::PathBuf>| path.map(|path| path.display().to_string());
    let mut tools: Vec<ToolReport> = ALL_TOOLS
        .into_iter()
        .map(|tool| ToolReport {
            name: tool.name().into(),
            version: tool.version().into(),
            path: shown(app.tools.find(tool)),
        })
        .collect();
    tools.push(ToolReport {
        name: "rust-builder".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        path: shown(app.rust_builder().find()),
    });
    let mut table = Table::new(["tool", "version", "where"]);
    for tool in &tools {
        table.row([
            tool.name.clone(),
            tool.version.clone(),
            tool.path.clone().unwrap_or_else(|| "not installed".into()),
        ]);
    }
    CommandOutput::new(&Report { tools }, table.render(""))
}

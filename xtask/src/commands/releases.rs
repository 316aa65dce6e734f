//! `releases`: a function's releases, newest first.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::Result;
use crate::format::{age, bytes};
use crate::name::{EnvironmentName, FunctionName};
use crate::output::Table;
use crate::release::Manifest;

/// Arguments of `releases`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The function; may be left out where the project has one.
    function: Option<FunctionName>,
    /// The environment whose store is read: the local one has its own. The project's store where left out.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
    /// How many.
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

/// A function's releases.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The function.
    pub(crate) function: FunctionName,
    /// How many there are in all.
    pub(crate) total: usize,
    /// Newest first.
    pub(crate) releases: Vec<Manifest>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let function = app.project.one_function(arguments.function.as_ref())?;
    let catalogue = app.catalogue_if_there(arguments.env.as_ref()).await?;
    let (mut releases, mut total) = (Vec::new(), 0);
    if let Some(catalogue) = &catalogue {
        let versions = catalogue.versions(&function).await?;
        total = versions.len();
        for version in versions.iter().take(arguments.limit) {
            releases.push(catalogue.manifest(&function, version).await?);
        }
    }
    let mut table = Table::new(["version", "artifact", "size", "commit", "when", "by"]);
    for manifest in &releases {
        let commit = format!(
            "{}{}",
            &manifest.source.commit[..7.min(manifest.source.commit.len())],
            if manifest.source.dirty { " (dirty)" } else { "" }
        );
        table.row([
            manifest.version.to_string(),
            manifest.artifact.sha256.short(),
            bytes(manifest.artifact.size),
            commit,
            age(manifest.built.at, app.clock.now()),
            manifest.built.by.clone(),
        ]);
    }
    let text =
        if table.is_empty() { format!("`{function}` has no release yet.\n") } else { table.render("") };
    CommandOutput::new(&Report { function, total, releases }, text)
}

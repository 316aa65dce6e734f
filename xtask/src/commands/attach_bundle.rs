//! `attach-bundle`: keep a Sigstore bundle beside the artifacts that it is about. Replaces nothing.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::{Failure, Result};
use crate::name::EnvironmentName;
use crate::output::Table;
use crate::release::{self, AttachedBundle};

/// Arguments of `attach-bundle`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The file: the output `bundle-path` of actions/attest-build-provenance.
    file: PathBuf,
    /// The environment whose store it is kept in; the project's store where left out.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
}

/// The result of `attach-bundle`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// What became of each subject of the bundle.
    pub(crate) subjects: Vec<AttachedBundle>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let file = app.process_env.folder.join(&arguments.file);
    let bytes = std::fs::read(&file).map_err(|error| {
        Failure::usage(format!("{} cannot be read", file.display()))
            .caused_by(error)
            .unchanged("Nothing was stored.")
    })?;
    let catalogue = app.catalogue_of(arguments.env.as_ref()).await?;
    let subjects = release::attach_bundles(&catalogue, &bytes).await;
    let report =
        Report { subjects: subjects.map_err(|failure| failure.detail("file", file.display().to_string()))? };
    let mut table = Table::new(["", "subject", "found"]);
    for AttachedBundle { subject, sha256, key, new } in &report.subjects {
        let (verdict, found) = match (key, new) {
            (Some(key), true) => ("kept", key.clone()),
            (Some(key), false) => ("there", format!("{key}, by an earlier run")),
            (None, _) => ("-", format!("no artifact {sha256} is stored")),
        };
        table.row([verdict.to_owned(), subject.clone(), found]);
    }
    let text = format!(
        "{}Their signatures are not verified by Slipway: verify-release names the command that does.\n",
        table.render("")
    );
    CommandOutput::new(&report, text)
}

//! `rebuild`: build a release again from its commit, and say whether the bytes agree. Publishes nothing.

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::AppContext;
use crate::artifact::{self, Difference};
use crate::digest::Digest;
use crate::failure::{self, Failure, Result};
use crate::name::{EnvironmentName, FunctionName, Version};

/// Arguments of `rebuild`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The function.
    function: FunctionName,
    /// The version.
    version: Version,
    /// The environment whose store is read: the local one has its own. The project's store where left out.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
}

/// What rebuilding came to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The function.
    pub(crate) function: FunctionName,
    /// The version.
    pub(crate) version: Version,
    /// The commit that it was built from.
    pub(crate) commit: String,
    /// Whether the bytes agree.
    pub(crate) same: bool,
    /// SHA-256 of what was released.
    pub(crate) released: Digest,
    /// SHA-256 of what was built now.
    pub(crate) rebuilt: Digest,
    /// Tools whose versions differ: name, then, now.
    pub(crate) tools: Vec<(String, String, String)>,
    /// How the contents differ.
    pub(crate) difference: Difference,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let Arguments { function, version, env } = arguments;
    let catalogue = app.catalogue_of(env.as_ref()).await?;
    let manifest = catalogue.manifest(&function, &version).await?;
    if manifest.source.dirty {
        return Err(Failure::refused(format!(
            "`{function}` {version} was built from files that no commit has: it cannot be built again"
        ))
        .unchanged("Nothing was built."));
    }
    let repository = app.repository()?;
    let place = tempfile::Builder::new()
        .prefix("slipway-rebuild-")
        .tempdir()
        .map_err(|error| failure::io("create", &app.project.work_folder(), error))?;
    let root = repository.replicate(&manifest.source.commit, &place.path().join("source"))?;
    let builders = super::Builders::new(app);
    let workshop = super::workshop(app, &repository, &builders, &app.progress);
    let elsewhere = artifact::build_in(&workshop, &root, &app.process_env, &function).await?;
    let (rebuilt, content) = elsewhere.content(&function, &super::labels(&manifest))?;
    let released = super::released_content(&catalogue, &manifest, place.path()).await?;
    let same = rebuilt == manifest.artifact.sha256;
    let report = Report {
        commit: manifest.source.commit.clone(),
        same,
        released: manifest.artifact.sha256,
        rebuilt,
        tools: artifact::tools_that_differ(&manifest.built.tools, &elsewhere.artifact.tools),
        difference: Difference::between(&released, &content)?,
        function,
        version,
    };
    let text = text(&report);
    let failure = (!same).then(|| {
        Failure::failed(format!("`{}` {} built again gives other bytes", report.function, report.version))
            .unchanged("Nothing was published.")
    });
    Ok(Answer::new(&report, text)?.with_failure(failure))
}

fn text(report: &Report) -> String {
    let Report { function, version, .. } = report;
    let commit = &report.commit[..report.commit.len().min(7)];
    if report.same {
        return format!(
            "{function} {version} built again from {commit}: the same bytes, {}\n",
            report.released
        );
    }
    let mut text = format!(
        "{function} {version} built again from {commit}: other bytes\n  released  {}\n  rebuilt   {}\n",
        report.released, report.rebuilt
    );
    for (name, then, now) in &report.tools {
        text.push_str(&format!("  tool      {name}  {then} -> {now}\n"));
    }
    for line in report.difference.lines(20) {
        text.push_str(&format!("  content   {line}\n"));
    }
    text
}

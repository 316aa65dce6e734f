//! `build`: build functions and print their digests; publish nothing.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::artifact::{self, BuildContext, Difference, WorkTreeBuild};
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::format::{bytes, list};
use crate::name::FunctionName;
use crate::output::Table;

/// Arguments of `build`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The functions; all where none is named.
    functions: Vec<FunctionName>,
    /// Build even where the same inputs were built before.
    #[arg(long)]
    force: bool,
    /// Build twice, in two folders with two CARGO_HOMEs, and compare the bytes.
    #[arg(long, conflicts_with = "force")]
    verify: bool,
}

/// The result of `build`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The artifacts.
    pub(crate) artifacts: Vec<BuiltArtifact>,
    /// The digest of all artifacts, which `release --prebuilt` takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prebuilt: Option<Digest>,
    /// The functions that were built twice, with `--verify`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) verified: Vec<Verified>,
}

/// A function built twice.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Verified {
    /// The function.
    pub(crate) function: FunctionName,
    /// Whether both builds are the same bytes.
    pub(crate) same: bool,
    /// SHA-256 of both.
    pub(crate) sha256: [Digest; 2],
    /// How their contents differ.
    pub(crate) difference: Difference,
}

/// One artifact.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BuiltArtifact {
    /// The function.
    pub(crate) function: FunctionName,
    /// The zip, or the folder of an image's OCI layout.
    pub(crate) path: PathBuf,
    /// SHA-256 of the zip, or of the image's manifest without the labels of a release.
    pub(crate) sha256: Digest,
    /// Digest of the canonical listing.
    pub(crate) content_digest: Digest,
    /// Digest of all inputs.
    pub(crate) inputs_digest: Digest,
    /// Bytes.
    pub(crate) size: u64,
    /// Whether an input differs from the commit.
    pub(crate) dirty: bool,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let repository = app.repository()?;
    let builders = app.builders();
    let context = app.build_context(&repository, &builders);
    if arguments.verify {
        return verify(app, &context, &arguments.functions).await;
    }
    let mut artifacts = Vec::new();
    for function in app.project.named_functions(&arguments.functions)? {
        let WorkTreeBuild { source, artifact, folder } =
            artifact::build_work_tree(&context, &function, arguments.force).await?;
        let path = artifact::output_path(&app.project, &function, &artifact, &folder)?;
        artifacts.push(BuiltArtifact {
            function,
            path,
            sha256: artifact.sha256,
            content_digest: artifact.content_digest,
            inputs_digest: source.inputs_digest,
            size: artifact.size,
            dirty: source.dirty,
        });
    }
    let mut table = Table::new(["function", "artifact", "size", "inputs", "file"]);
    for built in &artifacts {
        let inputs = format!("{}{}", built.inputs_digest.short(), if built.dirty { " (dirty)" } else { "" });
        let path = built.path.strip_prefix(&app.project.root).unwrap_or(&built.path).display().to_string();
        table.row([built.function.to_string(), built.sha256.to_string(), bytes(built.size), inputs, path]);
    }
    let set = artifacts.iter().map(|built| (&built.function, &built.inputs_digest, &built.sha256));
    let prebuilt = artifact::digest_of_set(set);
    let text = format!(
        "{}\nTo publish them from another job: cargo xtask release --prebuilt {prebuilt}\n",
        table.render("")
    );
    let report = Report { artifacts, prebuilt: Some(prebuilt), verified: Vec::new() };
    Ok(CommandOutput::new(&report, text)?.with_step_output("prebuilt", prebuilt.to_string()))
}

/// Builds each function twice and reports whether the bytes are the same.
async fn verify(
    app: &AppContext,
    context: &BuildContext<'_>,
    named: &[FunctionName],
) -> Result<CommandOutput> {
    let (mut verified, mut text) = (Vec::new(), String::new());
    for function in app.project.named_functions(named)? {
        let builds = artifact::build_twice(context, &function).await?;
        let same = builds.are_identical();
        text.push_str(&format!("{function:9} {}  ", builds.sha256[0]));
        text.push_str(if same {
            "the same bytes from two folders\n"
        } else {
            "but other bytes from another folder:\n"
        });
        if !same {
            text.push_str(&format!("{:9} {}\n", "", builds.sha256[1]));
            builds.difference.lines(20).iter().for_each(|line| text.push_str(&format!("{:9} {line}\n", "")));
        }
        verified.push(Verified { function, same, sha256: builds.sha256, difference: builds.difference });
    }
    let differing: Vec<&str> =
        verified.iter().filter(|one| !one.same).map(|one| one.function.as_str()).collect();
    let failure = (!differing.is_empty()).then(|| {
        Failure::failed(format!("the bytes of {} depend on where they are built", list(differing))).hint(
            "the files above contain an absolute path, a time or an order that varies: https://github.com/slipway/slipway/blob/main/docs/how-to/reproducible.md",
        )
    });
    Ok(CommandOutput::new(&Report { artifacts: Vec::new(), prebuilt: None, verified }, text)?
        .with_failure(failure))
}

//! `build`: build functions and print their digests; publish nothing.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::AppContext;
use crate::artifact::{self, Difference, Workshop};
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::format::{bytes, list};
use crate::name::FunctionName;
use crate::output::Table;
use crate::source::Source;

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

/// What was built.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The artifacts.
    pub(crate) artifacts: Vec<BuiltArtifact>,
    /// What building twice came to, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) verified: Vec<Verified>,
}

/// A function built twice.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Verified {
    /// The function.
    pub(crate) function: FunctionName,
    /// Whether both are the same bytes.
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
    /// SHA-256 of the zip, or of the image's manifest as long as no release labels it.
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
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let repository = app.repository()?;
    let builders = super::Builders::new(app);
    let workshop = super::workshop(app, &repository, &builders, &app.progress);
    if arguments.verify {
        return verify(app, &workshop, &arguments.functions).await;
    }
    let mut artifacts = Vec::new();
    for function in app.functions(&arguments.functions)? {
        let source = Source::look(&app.project, &repository, &function)?;
        let built = artifact::build(&workshop, &function, &source, arguments.force).await?;
        let folder = artifact::folder(&app.project, &function, &source.inputs_digest);
        let path = artifact::product(&app.project, &function, &built, &folder)?;
        artifacts.push(BuiltArtifact {
            function,
            path,
            sha256: built.sha256,
            content_digest: built.content_digest,
            inputs_digest: source.inputs_digest,
            size: built.size,
            dirty: source.dirty,
        });
    }
    let mut table = Table::new(["function", "artifact", "size", "inputs", "file"]);
    for built in &artifacts {
        let inputs = format!("{}{}", built.inputs_digest.short(), if built.dirty { " (dirty)" } else { "" });
        let path = built.path.strip_prefix(&app.project.root).unwrap_or(&built.path).display().to_string();
        table.row([built.function.to_string(), built.sha256.to_string(), bytes(built.size), inputs, path]);
    }
    Answer::new(&Report { artifacts, verified: Vec::new() }, table.render(""))
}

/// Builds twice, whatever was built before, and says whether the bytes agree.
async fn verify(app: &AppContext, workshop: &Workshop<'_>, named: &[FunctionName]) -> Result<Answer> {
    let (mut verified, mut text) = (Vec::new(), String::new());
    for function in app.functions(named)? {
        let twice = artifact::build_twice(workshop, &function).await?;
        let same = twice.same();
        text.push_str(&format!("{function:9} {}  ", twice.sha256[0]));
        text.push_str(if same {
            "the same bytes from two folders\n"
        } else {
            "and other bytes from another folder:\n"
        });
        if !same {
            text.push_str(&format!("{:9} {}\n", "", twice.sha256[1]));
            twice.difference.lines(20).iter().for_each(|line| text.push_str(&format!("{:9} {line}\n", "")));
        }
        verified.push(Verified { function, same, sha256: twice.sha256, difference: twice.difference });
    }
    let differing: Vec<&str> =
        verified.iter().filter(|one| !one.same).map(|one| one.function.as_str()).collect();
    let failure = (!differing.is_empty()).then(|| {
        Failure::failed(format!("the bytes of {} depend on where they are built", list(differing))).hint(
            "an absolute path, a time or an order got into the files above: docs/how-to/reproducible.md",
        )
    });
    Ok(Answer::new(&Report { artifacts: Vec::new(), verified }, text)?.with_failure(failure))
}

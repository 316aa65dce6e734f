//! `build`: build functions and print their digests; publish nothing.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::artifact::{self, Workshop};
use crate::failure::Outcome;
use crate::name::{Digest, FunctionName};
use crate::output::Table;
use crate::source::Source;
use crate::words::bytes;
use crate::world::World;

/// Arguments of `build`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The functions; all where none is named.
    functions: Vec<FunctionName>,
    /// Build even where the same inputs were built before.
    #[arg(long)]
    force: bool,
}

/// What was built.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The artifacts.
    pub(crate) artifacts: Vec<BuiltArtifact>,
}

/// One artifact.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BuiltArtifact {
    /// The function.
    pub(crate) function: FunctionName,
    /// The zip.
    pub(crate) path: PathBuf,
    /// SHA-256 of the zip.
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
pub(crate) async fn run(world: &World, arguments: Arguments) -> Outcome<Answer> {
    let repository = world.repository()?;
    let rust = world.rust_builder();
    let workshop = Workshop {
        project: &world.project,
        surroundings: &world.surroundings,
        repository: &repository,
        rust: &rust,
        progress: &world.progress,
    };
    let mut artifacts = Vec::new();
    for function in world.functions(&arguments.functions)? {
        let source = Source::look(&world.project, &repository, &function)?;
        let built = artifact::build(&workshop, &function, &source, arguments.force).await?;
        let path = built.path(&artifact::folder(&world.project, &function, &source.inputs_digest));
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
        let path = built.path.strip_prefix(&world.project.root).unwrap_or(&built.path).display().to_string();
        table.row([built.function.to_string(), built.sha256.to_string(), bytes(built.size), inputs, path]);
    }
    Answer::new(&Report { artifacts }, table.render(""))
}

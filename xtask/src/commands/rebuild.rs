//! `rebuild`: build a release again from its commit, and report whether the bytes are the same. Publishes nothing.

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, FunctionName, Version};
use crate::publication::{self, RebuiltRelease};

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

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let Arguments { function, version, env } = arguments;
    let catalogue = app.catalogue_of(env.as_ref()).await?;
    let (repository, builders) = (app.repository()?, app.builders());
    let context = app.build_context(&repository, &builders);
    let rebuilt = publication::rebuild(&context, &catalogue, &function, &version).await?;
    let failure = (!rebuilt.same).then(|| {
        Failure::failed(format!("the rebuild of `{function}` {version} has other bytes"))
            .unchanged("Nothing was published.")
    });
    let text = text(&rebuilt);
    Ok(CommandOutput::new(&rebuilt, text)?.with_failure(failure))
}

fn text(rebuilt: &RebuiltRelease) -> String {
    let RebuiltRelease { function, version, .. } = rebuilt;
    let commit = &rebuilt.commit[..rebuilt.commit.len().min(7)];
    if rebuilt.same {
        return format!("{function} {version} rebuilt from {commit}: the same bytes, {}\n", rebuilt.released);
    }
    let mut text = format!(
        "{function} {version} rebuilt from {commit}: other bytes\n  released  {}\n  rebuilt   {}\n",
        rebuilt.released, rebuilt.rebuilt
    );
    for (name, then, now) in &rebuilt.tools {
        text.push_str(&format!("  tool      {name}  {then} -> {now}\n"));
    }
    for line in rebuilt.difference.lines(20) {
        text.push_str(&format!("  content   {line}\n"));
    }
    text
}

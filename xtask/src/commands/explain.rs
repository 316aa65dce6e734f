//! `explain`: why two versions, or a version and the work tree, differ: inputs, tools, and what is in the artifact.

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::Result;
use crate::name::{EnvironmentName, FunctionName, Version};
use crate::publication::{self, CompareWith, ReleaseComparison};

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The function.
    function: FunctionName,
    /// The version to begin with.
    from: Version,
    /// The version to compare with it.
    #[arg(required_unless_present = "work_tree", conflicts_with = "work_tree")]
    to: Option<Version>,
    /// Compare with the work tree, which is built for it.
    #[arg(long)]
    work_tree: bool,
    /// The environment whose store is read: the local one has its own. The project's store where left out.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let Arguments { function, from, to, env, .. } = arguments;
    let catalogue = app.catalogue_of(env.as_ref()).await?;
    let comparison = match &to {
        Some(version) => {
            publication::compare(&catalogue, &function, &from, CompareWith::Version(version)).await?
        }
        None => {
            let (repository, builders) = (app.repository()?, app.builders());
            let context = app.build_context(&repository, &builders);
            publication::compare(&catalogue, &function, &from, CompareWith::WorkTree(&context)).await?
        }
    };
    let text = text(&comparison);
    CommandOutput::new(&comparison, text)
}

fn text(comparison: &ReleaseComparison) -> String {
    let ReleaseComparison { function, from, to, .. } = comparison;
    let mut text = if comparison.same {
        format!("{function} {from} and {to}: the same bytes, {}\n", comparison.sha256[0])
    } else {
        format!(
            "{function} {from} and {to}: other bytes\n  {}  {from}\n  {}  {to}\n",
            comparison.sha256[0], comparison.sha256[1]
        )
    };
    let mut section = |title: &str, lines: Vec<String>| {
        let lines = if lines.is_empty() { vec!["the same".to_owned()] } else { lines };
        for (index, line) in lines.into_iter().enumerate() {
            text.push_str(&format!("{:9} {line}\n", if index == 0 { title } else { "" }));
        }
    };
    match &comparison.inputs {
        None => section("inputs", vec!["one of the two has no record of them".into()]),
        Some(lines) => section("inputs", lines.clone()),
    }
    let tools = comparison.tools.iter();
    section("tools", tools.map(|(name, before, after)| format!("{name}  {before} -> {after}")).collect());
    section("content", comparison.content.lines(40));
    text
}

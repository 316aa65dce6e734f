//! `claim`: mark the ledger of a stack, or the releases of a function, as this project's.
//!
//! Markers are written by themselves. This command is for what neither a commit nor a name shows to be this project's, and for
//! projects that were renamed.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::{Failure, Result};
use crate::ledger::Claim;
use crate::name::{EnvironmentName, FunctionName, StackName};

/// Arguments of `claim`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The stacks whose ledger and state are claimed.
    #[arg(required_unless_present = "functions", requires = "env")]
    stacks: Vec<StackName>,
    /// A function whose releases are claimed; may be repeated.
    #[arg(long = "function")]
    functions: Vec<FunctionName>,
    /// The environment of the stacks, or the one whose own store has the releases.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
    /// The project that they are marked as, where it was renamed.
    #[arg(long)]
    from: Option<String>,
}

/// What was claimed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The project's name.
    pub(crate) project: String,
    /// Stacks and functions that are marked now and were not before.
    pub(crate) claimed: Vec<String>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let project = app.project.settings.name.clone();
    let from = arguments.from.as_deref();
    let place = arguments.env.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
    let of_stack = |stack: &StackName| format!("the ledger and the state of `{stack}`{place}");
    let of_function = |function: &FunctionName| format!("the releases of `{function}`{place}");
    let mut names: Vec<String> = Vec::new();
    for stack in &arguments.stacks {
        if !app.project.stacks.contains_key(stack) {
            return Err(Failure::usage(format!("this project has no stack `{stack}`"))
                .hint("stacks are the folders below terraform/stacks"));
        }
        names.push(of_stack(stack));
    }
    for function in &arguments.functions {
        app.project.function(function)?;
        names.push(of_function(function));
    }
    let refused = from.map(|from| format!(" The project {from} is refused there from then on."));
    let question = format!(
        "Mark {} as those of the project {project}?{}",
        crate::format::list(&names),
        refused.unwrap_or_default()
    );
    if !app.approver().approve(&question)? {
        return Err(Failure::refused("not approved").unchanged("Nothing was marked."));
    }
    let (mut claimed, mut marked) = (Vec::new(), Vec::new());
    if let (false, Some(environment)) = (arguments.stacks.is_empty(), &arguments.env) {
        let account = app.account(environment).await?;
        for stack in &arguments.stacks {
            if account.ledger(environment, stack).claim(from).await? == Claim::Written {
                claimed.push(stack.to_string());
                marked.push(of_stack(stack));
            }
        }
    }
    if !arguments.functions.is_empty() {
        let catalogue = app.catalogue_of(arguments.env.as_ref()).await?;
        for function in &arguments.functions {
            if catalogue.claim(function, from).await? {
                claimed.push(function.to_string());
                marked.push(of_function(function));
            }
        }
    }
    let text = match claimed.is_empty() {
        true => format!("{project} has the marks already: {}.\n", crate::format::list(&names)),
        false => format!("Marked as {project}'s: {}.\n", crate::format::list(&marked)),
    };
    CommandOutput::new(&Report { project, claimed }, text)
}

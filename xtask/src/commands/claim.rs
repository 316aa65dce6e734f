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
    let mut names: Vec<String> = Vec::new();
    for stack in &arguments.stacks {
        if !app.project.stacks.contains_key(stack) {
            return Err(Failure::usage(format!("this project has no stack `{stack}`"))
                .hint("stacks are the folders below terraform/stacks"));
        }
        names.push(format!("the ledger and the state of `{stack}`"));
    }
    for function in &arguments.functions {
        app.project.function(function)?;
        names.push(format!("the releases of `{function}`"));
    }
    let question = format!("Mark {} as those of {project}?", crate::format::list(&names));
    if !app.approver().approve(&question)? {
        return Err(Failure::refused("not approved").unchanged("Nothing was marked."));
    }
    let mut claimed = Vec::new();
    if let (false, Some(environment)) = (arguments.stacks.is_empty(), &arguments.env) {
        let account = app.account(environment).await?;
        for stack in &arguments.stacks {
            if account.ledger(environment, stack).claim(from).await? == Claim::Written {
                claimed.push(stack.to_string());
            }
        }
    }
    if !arguments.functions.is_empty() {
        let catalogue = app.catalogue_of(arguments.env.as_ref()).await?;
        for function in &arguments.functions {
            if catalogue.claim(function, from).await? {
                claimed.push(function.to_string());
            }
        }
    }
    let text = match claimed.is_empty() {
        true => format!("All of it is marked as {project}'s already.\n"),
        false => format!("Marked as {project}'s: {}.\n", crate::format::list(&claimed)),
    };
    CommandOutput::new(&Report { project, claimed }, text)
}

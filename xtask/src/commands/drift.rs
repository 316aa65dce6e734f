//! `drift`: show what differs from the newest deployments, and change nothing.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::delivery::{self, StackDrift};
use crate::failure::{Failure, FailureKind, Result};
use crate::format;
use crate::name::{EnvironmentName, StackName};
use crate::output::drift as render;
use crate::settings;

/// Arguments of `drift`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// One stack; all that the environment runs by default.
    #[arg(long)]
    stack: Option<StackName>,
    /// Print markdown instead of text.
    #[arg(long)]
    markdown: bool,
}

/// What drifted in an environment.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// Whether something drifted.
    pub(crate) drifted: bool,
    /// Whether everything could be read: without it, "not drifted" is not known.
    pub(crate) complete: bool,
    /// By stack.
    pub(crate) stacks: Vec<StackDrift>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let environment = &arguments.env;
    app.project.environment(environment)?;
    if let Some(stack) = &arguments.stack {
        app.project.stack_in(environment, stack)?;
    }
    let account = app.account_if_there(environment).await?.ok_or_else(|| {
        Failure::failed(format!("{environment} is not running, so that nothing can be compared"))
            .hint("start it: cargo xtask local up")
    })?;
    let mut stacks = Vec::new();
    for name in settings::apply_order(&app.project.stacks_in(environment)?) {
        if arguments.stack.as_ref().is_none_or(|stack| *stack == name) {
            let stack = app.environment_stack(&account, environment, &name)?;
            stacks.push(delivery::drift(&stack).await?);
        }
    }
    let count: usize = stacks.iter().map(StackDrift::count).sum();
    let unread: Vec<&str> =
        stacks.iter().filter(|stack| !stack.unread.is_empty()).map(|stack| stack.stack.as_str()).collect();
    let (drifted, complete) = (count > 0, unread.is_empty());
    let failure = if drifted {
        let message = format!("{} from the ledger in {environment}", format::plural(count, "difference"));
        Some(Failure::new(FailureKind::ChangesPresent, message).unchanged("Nothing was changed."))
    } else if !complete {
        let message = format!(
            "whether {environment} drifted is not known: {} could not be read in full",
            format::list(&unread)
        );
        Some(
            Failure::failed(message)
                .unchanged("Nothing was changed.")
                .hint("repair what could not be read, and run the same command again"),
        )
    } else {
        None
    };
    let (text, summary) = (render::text(environment, &stacks), render::markdown(environment, &stacks));
    let text = if arguments.markdown { summary.clone() } else { text };
    let report = Report { environment: environment.clone(), drifted, complete, stacks };
    Ok(CommandOutput::new(&report, text)?.with_failure(failure).with_summary(summary))
}

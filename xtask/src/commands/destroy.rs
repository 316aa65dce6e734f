//! `destroy`: remove what stacks created in an environment, each before those that it needs. Never the bootstrap.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::delivery::{self, DestroyRequest, Destroyed};
use crate::failure::Result;
use crate::format;
use crate::name::{EnvironmentName, StackName};
use crate::settings;

/// Arguments of `destroy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// Only these stacks; without it all that the environment runs.
    #[arg(long)]
    stack: Vec<StackName>,
    /// Confirm the name of something protected: of the environment, or of an address.
    #[arg(long, value_name = "NAME")]
    confirm: Vec<String>,
}

/// Result of destroying stacks.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// One for each stack that had resources.
    pub(crate) destroyed: Vec<Destroyed>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let environment = &arguments.env;
    let enabled = app.project.stacks_in(environment)?;
    for stack in &arguments.stack {
        app.project.stack_in(environment, stack)?;
    }
    let (mut stacks, mut kept) = (Vec::new(), Vec::new());
    let account = app.account_if_there(environment).await?;
    if let Some(account) = &account {
        for name in settings::apply_order(&enabled).iter().rev() {
            let stack = app.environment_stack(account, environment, name)?;
            let named = arguments.stack.is_empty() || arguments.stack.contains(name);
            if named { stacks.push(stack) } else { kept.push(stack) }
        }
    }
    let confirmed = arguments.confirm.iter().cloned().collect();
    let request = DestroyRequest { stacks: &stacks, kept: &kept, confirmed: &confirmed };
    let results = delivery::destroy_all(&request, &app.interrupt).await?;
    if results.destroyed.is_empty()
        && let Some(failure) = results.failure
    {
        return Err(failure);
    }
    let mut text = String::new();
    for destroyed in &results.destroyed {
        text.push_str(&format!(
            "{} in {environment} is destroyed: {} removed.  Deployment {}\n",
            destroyed.stack,
            format::plural(destroyed.changes.len(), "resource"),
            destroyed.deployment
        ));
    }
    if account.is_none() {
        text = format!("{environment} is not running: nothing was looked at, nothing was destroyed.\n");
    } else if results.destroyed.is_empty() {
        let names = match arguments.stack.as_slice() {
            [] => "No stack is".to_owned(),
            [one] => format!("{one} is not"),
            several => format!("{} are not", format::list(several.iter().map(StackName::as_str))),
        };
        text = format!("{names} applied in {environment}.\n");
    }
    let report = Report { environment: environment.clone(), destroyed: results.destroyed };
    Ok(CommandOutput::new(&report, text)?.with_failure(results.failure))
}

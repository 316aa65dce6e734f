//! `recover`: repair what a dead run left behind. Asks before it changes anything.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::delivery::{self, Leftover, RecoverRequest};
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, StackName};

/// Arguments of `recover`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// Remove the lock with this id from a state, although nothing here shows that nobody holds it.
    #[arg(long, value_name = "ID")]
    unlock: Option<String>,
    /// Close this deployment, although its process seems to run.
    #[arg(long, value_name = "STACK/NUMBER", value_parser = parse_deployment)]
    close: Option<(StackName, u64)>,
}

/// Reads a deployment, such as `hello/7`.
fn parse_deployment(text: &str) -> std::result::Result<(StackName, u64), String> {
    let parts = text.split_once('/').and_then(|(stack, number)| Some((stack, number.parse().ok()?)));
    let (stack, number) = parts.ok_or("a stack and a number, such as hello/7")?;
    let stack: StackName = stack.parse().map_err(|error: crate::name::NameError| error.to_string())?;
    Ok((stack, number))
}

/// What was found and done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// Whether it could be looked at: a local environment that does not run cannot.
    pub(crate) reached: bool,
    /// One for each thing that was left behind.
    pub(crate) findings: Vec<Leftover>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    app.project.environment(&arguments.env)?;
    let (mut findings, mut refused) = (Vec::new(), None);
    let account = app.account_if_there(&arguments.env).await?;
    if let Some(account) = &account {
        for stack in app.project.stacks_in(&arguments.env)?.keys() {
            let close = arguments.close.as_ref().filter(|(named, _)| named == stack);
            let stack = app.environment_stack(account, &arguments.env, stack)?;
            let request =
                RecoverRequest { unlock: arguments.unlock.clone(), close: close.map(|(_, number)| *number) };
            let recovered = delivery::recover(&stack, &request).await?;
            findings.extend(recovered.leftovers);
            refused = refused.or(recovered.refused);
        }
    }
    if let Some(id) = &arguments.unlock
        && !findings.iter().any(|found| found.found.contains(&format!("lock {id}")))
    {
        return Err(Failure::usage(format!("no state in {} has the lock {id}", arguments.env))
            .unchanged("No lock was removed.")
            .hint(format!("cargo xtask recover --env {} names the locks that there are", arguments.env)));
    }
    let mut text = String::new();
    for Leftover { stack, found, done } in &findings {
        text.push_str(&format!("{stack}: {found}\n  {done}\n"));
    }
    if account.is_none() {
        text = format!(
            "{0} is not running, so nothing was looked at. To start it: cargo xtask local up\n",
            arguments.env
        );
    } else if findings.is_empty() {
        text = format!("Nothing is left open in {}.\n", arguments.env);
    }
    let report = Report { environment: arguments.env, reached: account.is_some(), findings };
    Ok(CommandOutput::new(&report, text)?.with_failure(refused))
}

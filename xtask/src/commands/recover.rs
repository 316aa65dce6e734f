//! `recover`: repair what a dead run left behind. Asks before it changes anything.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::delivery::{self, Leftover};
use crate::failure::Result;
use crate::name::EnvironmentName;

/// Arguments of `recover`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
}

/// What was found and done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
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
            let stack = app.environment_stack(account, &arguments.env, stack)?;
            let recovered = delivery::recover(&stack).await?;
            findings.extend(recovered.leftovers);
            refused = refused.or(recovered.refused);
        }
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
    Ok(CommandOutput::new(&Report { environment: arguments.env, findings }, text)?.with_failure(refused))
}

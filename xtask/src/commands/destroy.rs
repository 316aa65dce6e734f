//! `destroy`: remove what stacks made in an environment, each before those that it needs. Never touches the bootstrap.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::AppContext;
use crate::delivery::{self, Destroyed, EnvironmentStack};
use crate::failure::{Failure, Result};
use crate::format;
use crate::graph::TaskResult;
use crate::name::{EnvironmentName, StackName};
use crate::settings;

/// Arguments of `destroy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// Only these stacks; all that the environment runs where none is named.
    #[arg(long)]
    stack: Vec<StackName>,
    /// Type the name of something protected ahead: the environment's, or an address's.
    #[arg(long, value_name = "NAME")]
    confirm: Vec<String>,
}

/// What destroying came to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// One for each stack that held something.
    pub(crate) destroyed: Vec<Destroyed>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let environment = &arguments.env;
    let here = app.project.stacks_in(environment)?;
    for stack in &arguments.stack {
        app.project.stack_in(environment, stack)?;
    }
    let asked = |stack: &StackName| arguments.stack.is_empty() || arguments.stack.contains(stack);
    let mut sites: Vec<EnvironmentStack> = Vec::new();
    if let Some(account) = app.account_if_there(environment).await? {
        let order = settings::apply_order(&here);
        for stack in order.iter().rev() {
            let environment_stack = app.environment_stack(&account, environment, stack)?;
            if asked(stack) {
                sites.push(environment_stack);
                continue;
            }
            let needed =
                here[stack].upstream().into_iter().find(|upstream| arguments.stack.contains(upstream));
            if let Some(upstream) = needed
                && delivery::has_resources(&environment_stack).await?
            {
                return Err(Failure::refused(format!(
                    "`{stack}` stands in {environment} and needs `{upstream}`"
                ))
                .unchanged("Nothing was destroyed.")
                .hint(format!("destroy both: --stack {stack} --stack {upstream}")));
            }
        }
    }
    let confirmed: BTreeSet<String> = arguments.confirm.iter().cloned().collect();
    let (mut destroyed, mut failed, mut not_started) = (vec![], vec![], vec![]);
    for (stack, end) in delivery::destroy_all(&sites, &confirmed, &app.interrupt).await {
        match end {
            TaskResult::Done(Some(done)) => destroyed.push(done),
            TaskResult::Done(None) => {}
            TaskResult::Failed(failure) => failed.push((stack, failure)),
            TaskResult::NotStarted(_) => not_started.push(stack.to_string()),
        }
    }
    let mut text = String::new();
    for done in &destroyed {
        text.push_str(&format!(
            "{} in {environment} is destroyed: {} removed.  Deployment {}\n",
            done.stack,
            format::plural(done.changes.len(), "resource"),
            done.deployment
        ));
    }
    if destroyed.is_empty() && failed.is_empty() {
        text = format!("Nothing stands in {environment}.\n");
    }
    let failure = failed.into_iter().next().map(|(stack, failure)| {
        let failure = if sites.len() > 1 { failure.detail("stack", stack.to_string()) } else { failure };
        if not_started.is_empty() {
            failure
        } else {
            failure.detail("kept for it", format::list(not_started))
        }
    });
    if destroyed.is_empty()
        && let Some(failure) = failure
    {
        return Err(failure);
    }
    Ok(Answer::new(&Report { environment: environment.clone(), destroyed }, text)?.with_failure(failure))
}

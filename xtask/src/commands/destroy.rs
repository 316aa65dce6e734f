//! `destroy`: remove what stacks made in an environment, each before those that it needs. Never touches the bootstrap.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::delivery::{self, Destroyed, Site};
use crate::failure::{Failure, Outcome};
use crate::graph::End;
use crate::name::{EnvironmentName, StackName};
use crate::settings;
use crate::words;
use crate::world::World;

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
pub(crate) async fn run(world: &World, arguments: Arguments) -> Outcome<Answer> {
    let environment = &arguments.env;
    let here = world.project.stacks_in(environment)?;
    for stack in &arguments.stack {
        world.project.stack_in(environment, stack)?;
    }
    let asked = |stack: &StackName| arguments.stack.is_empty() || arguments.stack.contains(stack);
    let mut sites: Vec<Site> = Vec::new();
    if let Some(account) = world.account_if_there(environment).await? {
        let order = settings::in_order(&here);
        for stack in order.iter().rev() {
            let site = world.site(&account, environment, stack)?;
            if asked(stack) {
                sites.push(site);
                continue;
            }
            let needed =
                here[stack].upstream().into_iter().find(|upstream| arguments.stack.contains(upstream));
            if let Some(upstream) = needed
                && delivery::holds_resources(&site).await?
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
    for (stack, end) in delivery::destroy_all(&sites, &confirmed, &world.interrupt).await {
        match end {
            End::Done(Some(done)) => destroyed.push(done),
            End::Done(None) => {}
            End::Failed(failure) => failed.push((stack, failure)),
            End::NotStarted(_) => not_started.push(stack.to_string()),
        }
    }
    let mut text = String::new();
    for done in &destroyed {
        text.push_str(&format!(
            "{} in {environment} is destroyed: {} removed.  Deployment {}\n",
            done.stack,
            words::plural(done.changes.len(), "resource"),
            done.deployment
        ));
    }
    if destroyed.is_empty() && failed.is_empty() {
        text = format!("Nothing stands in {environment}.\n");
    }
    let failure = failed.into_iter().next().map(|(stack, failure)| {
        let failure = if sites.len() > 1 { failure.detail("stack", stack.to_string()) } else { failure };
        if not_started.is_empty() { failure } else { failure.detail("kept for it", words::list(not_started)) }
    });
    if destroyed.is_empty()
        && let Some(failure) = failure
    {
        return Err(failure);
    }
    Ok(Answer::new(&Report { environment: environment.clone(), destroyed }, text)?.but(failure))
}

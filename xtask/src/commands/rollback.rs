//! `rollback`: take an environment back to what served before. Traffic first, then Terraform. Never builds.

use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::{Account, AppContext};
use crate::delivery::{self, Delivered, RollbackRequest};
use crate::failure::{Failure, Result};
use crate::format;
use crate::name::{EnvironmentName, FunctionName, StackName, Version};

/// Arguments of `rollback`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The function; where none is named, all that the stack serves whose deployment is the environment's newest.
    function: Option<FunctionName>,
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// To this release, which must have served there.
    #[arg(long, value_name = "VERSION", conflicts_with = "to_deployment")]
    to: Option<Version>,
    /// To what this deployment served.
    #[arg(long, value_name = "NUMBER")]
    to_deployment: Option<u64>,
    /// Let a release come back that an earlier rollback left.
    #[arg(long)]
    lift_hold: bool,
}

/// What rolling back came to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// One for each stack that was taken back.
    pub(crate) deliveries: Vec<Delivered>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let begun = Instant::now();
    let functions = app.project.named_functions(arguments.function.as_slice())?;
    let stacks = app.project.stacks_of(&functions)?;
    app.project.environment(&arguments.env)?;
    if stacks.len() > 1 && (arguments.to.is_some() || arguments.to_deployment.is_some()) {
        return Err(Failure::usage("--to and --to-deployment are for one stack")
            .hint(format!("name a function: {}", format::list(functions.iter().map(FunctionName::as_str)))));
    }
    let account = app.account(&arguments.env).await?;
    let stacks = if arguments.function.is_none() && stacks.len() > 1 {
        newest(app, &account, &arguments.env, stacks).await?
    } else {
        stacks
    };
    let mut deliveries = Vec::new();
    let mut text = String::new();
    for (stack, of_stack) in stacks {
        let environment_stack = app.environment_stack(&account, &arguments.env, &stack)?;
        let last = delivery::settle(&environment_stack).await?;
        // Without a name, all that is served is meant: a function that was never deployed here has nothing to go back from.
        let named = if arguments.function.is_some() { of_stack } else { Vec::new() };
        let request = RollbackRequest {
            functions: named,
            to: arguments.to.clone(),
            to_deployment: arguments.to_deployment,
            lift_hold: arguments.lift_hold,
        };
        let back = delivery::choose_rollback(&environment_stack, last.as_ref(), &request).await?;
        let Some(last) = last else { continue };
        if !back.values().any(|back| back.resumed)
            && back.values().all(|back| back.from.release == back.to.release)
        {
            text.push_str(&format!(
                "{} already {} in {}. Nothing was changed.\n",
                format::list(back.iter().map(|(function, back)| format!("{function} {}", back.to.release))),
                format::serve(back.len()),
                arguments.env
            ));
            continue;
        }
        let delivered = delivery::roll_back(&environment_stack, &last, &back).await?;
        let what =
            format::list(back.iter().map(|(function, back)| format!("{function} {}", back.to.release)));
        text.push_str(&format!(
            "{what} {} in {} again.  Deployment {} · {}\n",
            format::serve(back.len()),
            arguments.env,
            delivered.deployment.unwrap_or_default(),
            format::seconds(begun.elapsed())
        ));
        for (function, back) in back.iter().filter(|(_, back)| back.from.release != back.to.release) {
            text.push_str(&format!(
                "{function} {} is held: it will not be deployed to {} again without --lift-hold.\n",
                back.from.release, arguments.env
            ));
        }
        deliveries.push(delivered);
    }
    Answer::new(&Report { deliveries }, text)
}

/// Keeps of several stacks the one that was deployed last: what was just done is what is to be undone.
async fn newest(
    app: &AppContext,
    account: &Account,
    environment: &EnvironmentName,
    stacks: Vec<(StackName, Vec<FunctionName>)>,
) -> Result<Vec<(StackName, Vec<FunctionName>)>> {
    let mut newest = None;
    for (stack, functions) in stacks {
        let head = app.environment_stack(account, environment, &stack)?.ledger.head().await?;
        let at = head.open.map(|open| open.at).or(head.last.map(|last| last.at));
        if let Some(at) = at
            && newest.as_ref().is_none_or(|(then, _)| *then < at)
        {
            newest = Some((at, (stack, functions)));
        }
    }
    let Some((_, chosen)) = newest else {
        return Err(Failure::usage(format!(
            "nothing was deployed to {environment} yet: there is nothing to go back from"
        ))
        .hint(format!("cargo xtask history --env {environment}")));
    };
    Ok(vec![chosen])
}

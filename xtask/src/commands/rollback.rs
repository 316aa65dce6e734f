//! `rollback`: bring an environment back to releases that served before. Traffic first, then Terraform. Never builds.

use std::collections::BTreeMap;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::delivery::{self, Delivered, EnvironmentStack, RollbackRequest};
use crate::failure::{Failure, Result};
use crate::format;
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::output::{markdown, rollback_text};

/// Arguments of `rollback`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The functions; without them those that the environment's newest deployment changed.
    functions: Vec<FunctionName>,
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// The release to go back to, which must have served there.
    #[arg(long, value_name = "VERSION", conflicts_with = "to_deployment")]
    to: Option<Version>,
    /// The deployment whose releases to go back to.
    #[arg(long, value_name = "NUMBER")]
    to_deployment: Option<u64>,
    /// Go back to a release although an earlier rollback left it.
    #[arg(long)]
    lift_hold: bool,
}

/// Result of a rollback.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// One for each stack that was rolled back.
    pub(crate) deliveries: Vec<Delivered>,
    /// The functions that stay although they were meant as well, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) stay: BTreeMap<FunctionName, String>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let begun = Instant::now();
    let environment = &arguments.env;
    let functions = app.project.named_functions(&arguments.functions)?;
    let stacks = app.project.stacks_of(&functions)?;
    app.project.environment(environment)?;
    if stacks.len() > 1 && (arguments.to.is_some() || arguments.to_deployment.is_some()) {
        return Err(Failure::usage("--to and --to-deployment are for one stack")
            .hint(format!("name a function: {}", format::list(functions.iter().map(FunctionName::as_str)))));
    }
    let account = app.account(environment).await?;
    let named: BTreeMap<StackName, Vec<FunctionName>> = stacks.iter().cloned().collect();
    let stacks: Vec<EnvironmentStack> = stacks
        .iter()
        .map(|(stack, _)| app.environment_stack(&account, environment, stack))
        .collect::<Result<_>>()?;
    let unnamed = arguments.functions.is_empty();
    let stacks = if unnamed && stacks.len() > 1 {
        vec![delivery::newest_deployed(stacks).await?.ok_or_else(|| nothing_deployed(environment))?]
    } else {
        stacks
    };
    let (mut deliveries, mut stay, mut text) = (Vec::new(), BTreeMap::new(), String::new());
    for stack in &stacks {
        let request = RollbackRequest {
            // Without a name the newest deployment is meant, which need not have changed all functions of its stack.
            functions: if unnamed { Vec::new() } else { named[stack.name()].clone() },
            to: arguments.to.clone(),
            to_deployment: arguments.to_deployment,
            lift_hold: arguments.lift_hold,
        };
        let back = delivery::roll_back_stack(stack, &request).await?;
        text.push_str(&rollback_text(environment, &back, begun.elapsed()));
        deliveries.extend(back.delivered);
        stay.extend(back.stay);
    }
    let summary = markdown::deliveries("rollback", environment, &deliveries);
    Ok(CommandOutput::new(&Report { deliveries, stay }, text)?.with_summary(summary))
}

fn nothing_deployed(environment: &EnvironmentName) -> Failure {
    Failure::usage(format!("nothing was deployed to {environment} yet: there is nothing to roll back"))
        .hint(format!("cargo xtask history --env {environment}"))
}

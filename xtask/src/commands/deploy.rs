//! `deploy`: deploy an existing release to an environment. Never builds.

use std::collections::BTreeMap;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::delivery::{self, Delivered, DeployRequest, Intent};
use crate::failure::{Failure, Result};
use crate::ledger::DeploymentKind;
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::output::{deliveries_text, markdown};

/// Arguments of `deploy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The function; may be left out if the project has only one.
    #[arg(conflicts_with = "stack")]
    function: Option<FunctionName>,
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// The release.
    #[arg(long, required_unless_present = "stack", conflicts_with = "stack")]
    version: Option<Version>,
    /// Apply this stack's files with the releases that it serves.
    #[arg(long)]
    stack: Option<StackName>,
    /// Plan even if nothing can have changed.
    #[arg(long)]
    plan: bool,
    /// Deploy a release although a rollback left it.
    #[arg(long)]
    lift_hold: bool,
    /// Bring it past the environment that this one is promoted from: it must descend from what runs there.
    #[arg(long)]
    hotfix: bool,
    /// Go on although this commit, which serves there, is not in the release; may be repeated.
    #[arg(long, value_name = "COMMIT")]
    allow_loss: Vec<String>,
}

/// Result of a deployment.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The stack, and the stacks that take a changed value from it.
    pub(crate) deliveries: Vec<Delivered>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let begun = Instant::now();
    let environment = &arguments.env;
    app.project.environment(environment)?;
    let (stack, named) = match (&arguments.stack, &arguments.version) {
        (None, Some(version)) => {
            let function = app.project.one_function(arguments.function.as_ref())?;
            (app.project.stack_of(&function)?.clone(), Some((function, version)))
        }
        (stack, _) => (stack.clone().ok_or_else(|| Failure::usage("nothing to deploy is named"))?, None),
    };
    app.project.stack_in(environment, &stack)?;
    let intent = Intent::of_arguments(arguments.hotfix, &arguments.allow_loss);
    delivery::refuse_other_route(environment, app.project.environment(environment)?, &intent.route)?;
    let account = app.account(environment).await?;
    let mut releases = BTreeMap::new();
    if let Some((function, version)) = named {
        let manifest = account.catalogue.manifest(&function, version).await?;
        releases.insert(function, manifest);
    }
    let request = DeployRequest {
        kind: DeploymentKind::Deploy,
        releases,
        lift_hold: arguments.lift_hold,
        always_plan: arguments.plan,
        intent,
    };
    let deliveries = app.stack_deliveries(&account, environment, BTreeMap::from([(stack, request)]))?;
    let results = delivery::deliver_all(&deliveries, &app.interrupt).await;
    if results.delivered.is_empty()
        && let Some(failure) = results.failure
    {
        return Err(failure);
    }
    let text = deliveries_text(&results.delivered, begun.elapsed(), app.project.stacks.len() > 1);
    let summary = markdown::deliveries("deploy", environment, &results.delivered);
    let report = Report { deliveries: results.delivered };
    Ok(CommandOutput::new(&report, text)?.with_failure(results.failure).with_summary(summary))
}

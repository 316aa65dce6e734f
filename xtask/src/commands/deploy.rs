//! `deploy`: bring a release that exists to an environment. Never builds.

use std::collections::BTreeMap;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, delivered_text, one_function};
use crate::delivery::{self, Delivered, Order};
use crate::failure::{Failure, Outcome};
use crate::ledger::Kind;
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::world::World;

/// Arguments of `deploy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The function; may be left out where the project has one.
    #[arg(conflicts_with = "stack")]
    function: Option<FunctionName>,
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// The release.
    #[arg(long, required_unless_present = "stack", conflicts_with = "stack")]
    version: Option<Version>,
    /// Apply this stack's files with the releases that are served there already.
    #[arg(long)]
    stack: Option<StackName>,
    /// Plan even where nothing can have changed.
    #[arg(long)]
    plan: bool,
    /// Let a release come back that a rollback left.
    #[arg(long)]
    lift_hold: bool,
}

/// What deploying came to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The stack, and those that follow it.
    pub(crate) deliveries: Vec<Delivered>,
}

/// Runs the command.
pub(crate) async fn run(world: &World, arguments: Arguments) -> Outcome<Answer> {
    let begun = Instant::now();
    let environment = &arguments.env;
    world.project.environment(environment)?;
    let (stack, asked) = match (&arguments.stack, &arguments.version) {
        (None, Some(version)) => {
            let function = one_function(world, arguments.function.as_ref())?;
            (world.project.stack_of(&function)?.clone(), Some((function, version)))
        }
        (stack, _) => (stack.clone().ok_or_else(|| Failure::usage("nothing to deploy is named"))?, None),
    };
    world.project.stack_in(environment, &stack)?;
    let account = world.account(environment).await?;
    let mut targets = BTreeMap::new();
    if let Some((function, version)) = asked {
        let manifest = account.catalogue.manifest(&function, version).await?;
        targets.insert(function, manifest);
    }
    let order =
        Order { kind: Kind::Deploy, targets, lift_hold: arguments.lift_hold, always_plan: arguments.plan };
    let parts = world.parts(&account, environment, BTreeMap::from([(stack, order)]))?;
    let together = delivery::deliver_all(&parts, &world.interrupt).await;
    if together.delivered.is_empty()
        && let Some(failure) = together.failure
    {
        return Err(failure);
    }
    let text: String =
        together.delivered.iter().map(|delivered| delivered_text(world, delivered, begun)).collect();
    let report = Report { deliveries: together.delivered };
    Ok(Answer::new(&report, text)?.but(together.failure))
}

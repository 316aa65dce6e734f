//! `deploy`: bring a release that exists to an environment. Never builds.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{Answer, delivered_text, one_function};
use crate::delivery::{self, Order};
use crate::failure::Outcome;
use crate::ledger::Kind;
use crate::name::{EnvironmentName, FunctionName, Version};
use crate::world::World;

/// Arguments of `deploy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The function; may be left out where the project has one.
    function: Option<FunctionName>,
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// The release.
    #[arg(long)]
    version: Version,
    /// Plan even where nothing can have changed.
    #[arg(long)]
    plan: bool,
    /// Let a release come back that a rollback left.
    #[arg(long)]
    lift_hold: bool,
}

/// Runs the command.
pub(crate) async fn run(world: &World, arguments: Arguments) -> Outcome<Answer> {
    let begun = Instant::now();
    let function = one_function(world, arguments.function.as_ref())?;
    let stack = world.project.stack_of(&function)?.clone();
    world.project.environment(&arguments.env)?;
    let account = world.account(&arguments.env).await?;
    let manifest = account.catalogue.manifest(&function, &arguments.version).await?;
    let site = world.site(&account, &arguments.env, &stack)?;
    let order = Order {
        kind: Kind::Deploy,
        targets: BTreeMap::from([(function, manifest)]),
        lift_hold: arguments.lift_hold,
        always_plan: arguments.plan,
    };
    let delivered = delivery::deliver(&site, &order).await?;
    Answer::new(&delivered, delivered_text(world, &delivered, begun))
}

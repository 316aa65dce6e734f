//! Every event of a run as the moment at which somebody is killed.

use std::sync::Mutex;

use super::fault::Fault;
use super::processes::Victim;
use super::world::{Command, Stack, World};
use super::{Tally, one_fault};
use crate::require;
use crate::support::TestRun;
use crate::support::rounds::rounds;

/// The commands up to the one that is disturbed.
const RUNS: [&[Command]; 3] = [
    &[Command::Release],
    &[Command::Release, Command::Release],
    &[Command::Release, Command::Release, Command::Rollback],
];

/// Makes a project in which all commands but the last have run.
fn before_the_last(stack: Stack, commands: &[Command], random: &mut fastrand::Rng) -> World {
    let mut world = World::new(stack).expect("a project");
    for command in &commands[..commands.len() - 1] {
        let intent = world.intend(*command, random);
        world.start(&intent.arguments).wait().exits(0);
        world.note(&intent);
    }
    world
}

/// Kills each victim after each event of the last command.
fn kill_at_every_event(stack: Stack, commands: &[Command], victims: &[Victim]) {
    let mut random = fastrand::Rng::with_seed(1);
    let mut undisturbed = before_the_last(stack, commands, &mut random);
    let intent = undisturbed.intend(commands[commands.len() - 1], &mut random);
    let events = undisturbed.start(&intent.arguments).wait().exits(0).events().len();
    drop(undisturbed);
    assert!(events > 20, "{events} events");
    let total = Mutex::new(Tally::default());
    rounds(0..events * victims.len(), |round| {
        let (victim, event) = (victims[round / events], round % events + 1);
        let mut random = fastrand::Rng::with_seed(1);
        let mut world = before_the_last(stack, commands, &mut random);
        let intent = world.intend(commands[commands.len() - 1], &mut random);
        match one_fault(&mut world, &intent, Fault::Kill(victim, event), &mut random) {
            Ok(tally) => total.lock().expect("the tally").add(tally),
            Err(error) => panic!("{victim:?} after event {event} of {events}: {error}"),
        }
    });
    total.into_inner().expect("the tally").print();
}

/// That Slipway alone is killed at every event is in `crash_recovery`.
#[test]
#[ignore = "minutes; cargo xtask test chaos"]
fn everything_agrees_after_a_kill_of_the_tree_or_terraform_at_any_event() {
    let _ = require!(TestRun::shared());
    for commands in RUNS {
        kill_at_every_event(Stack::Plain, commands, &[Victim::Tree, Victim::Terraform]);
    }
}

/// With the provider, whose first apply leaves what no state knows.
#[test]
#[ignore = "an hour; cargo xtask test chaos"]
fn everything_agrees_after_a_kill_at_any_event_with_the_provider() {
    let _ = require!(TestRun::shared());
    for commands in RUNS {
        kill_at_every_event(Stack::Provider, commands, &[Victim::Tree, Victim::Provider]);
    }
}

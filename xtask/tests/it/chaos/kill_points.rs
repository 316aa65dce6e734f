//! Every event of a run as the moment at which somebody is killed.

use std::sync::Mutex;

use super::fault::Fault;
use super::processes::Victim;
use super::world::{Command, Intent, Stack, World};
use super::{Tally, one_fault};
use crate::require;
use crate::support::TestRun;
use crate::support::process::Finished;
use crate::support::rounds::rounds;

/// The commands up to the one that is disturbed.
const RUNS: [&[Command]; 3] = [
    &[Command::Release],
    &[Command::Release, Command::Release],
    &[Command::Release, Command::Release, Command::Rollback],
];

/// Makes a project in which all commands but the last have run, and what the last one means.
fn before_the_last(stack: Stack, commands: &[Command]) -> (World, Intent) {
    let mut random = fastrand::Rng::with_seed(1);
    let mut world = World::new(stack).expect("a project");
    let (last, before) = commands.split_last().expect("a command");
    for command in before {
        let intent = world.intend(*command, &mut random);
        world.start(&intent.arguments).wait().exits(0);
        world.known.note(&intent);
    }
    let intent = world.intend(*last, &mut random);
    (world, intent)
}

/// Kills victims after events of a command, two projects at a time.
struct KillPoints<'a> {
    stack: Stack,
    commands: &'a [Command],
    victims: &'a [Victim],
    /// Which events of the undisturbed run.
    events: fn(&Finished) -> Vec<usize>,
}

impl KillPoints<'_> {
    fn take(&self) {
        let (world, intent) = before_the_last(self.stack, self.commands);
        let checkpoint = world.project.checkpoint();
        let known = world.known.clone();
        let undisturbed = world.start(&intent.arguments).wait().exits(0);
        let events = (self.events)(&undisturbed);
        assert!(!events.is_empty(), "no event in {undisturbed}");
        let total = Mutex::new(Tally::default());
        let idle = Mutex::new(Vec::new());
        if self.stack == Stack::Plain {
            world.project.restore(&checkpoint);
            idle.lock().expect("the idle projects").push((world, intent, checkpoint, known));
        } else {
            drop(world);
        }
        rounds(0..events.len() * self.victims.len(), |round| {
            let (victim, event) = (self.victims[round / events.len()], events[round % events.len()]);
            let restored = idle.lock().expect("the idle projects").pop();
            let (mut world, intent, checkpoint, known) = restored.unwrap_or_else(|| {
                let (world, intent) = before_the_last(self.stack, self.commands);
                let checkpoint = world.project.checkpoint();
                let known = world.known.clone();
                (world, intent, checkpoint, known)
            });
            let mut random = fastrand::Rng::with_seed(1);
            match one_fault(&mut world, &intent, Fault::Kill(victim, event), &mut random) {
                Ok(tally) => total.lock().expect("the tally").add(tally),
                Err(error) => panic!("{victim:?} after event {event}: {error}"),
            }
            // What the provider made cannot be made undone so simply.
            if self.stack == Stack::Plain {
                world.project.restore(&checkpoint);
                world.known = known.clone();
                idle.lock().expect("the idle projects").push((world, intent, checkpoint, known));
            }
        });
        total.into_inner().expect("the tally").print();
    }
}

fn every_event(undisturbed: &Finished) -> Vec<usize> {
    (1..=undisturbed.events().len()).collect()
}

/// The events between the begin of the apply and its end.
fn events_of_the_apply(undisturbed: &Finished) -> Vec<usize> {
    let events = undisturbed.events();
    let place =
        |kind: &str| events.iter().position(|event| event["event"] == kind && event["label"] == "apply");
    let (begin, end) = (place("started").expect("an apply"), place("finished").expect("its end"));
    (begin + 1..=end).collect()
}

/// That Slipway alone is killed at every event is in `crash_recovery`.
#[test]
#[ignore = "minutes; cargo xtask test chaos"]
fn everything_agrees_after_a_kill_of_the_tree_or_terraform_at_any_event() {
    let _ = require!(TestRun::shared());
    for commands in RUNS {
        let victims = &[Victim::Tree, Victim::Terraform];
        KillPoints { stack: Stack::Plain, commands, victims, events: every_event }.take();
    }
}

/// With the provider, whose apply leaves what no state knows.
#[test]
#[ignore = "an hour; cargo xtask test chaos"]
fn everything_agrees_after_a_kill_at_any_event_of_an_apply_with_the_provider() {
    let _ = require!(TestRun::shared());
    for commands in RUNS {
        let victims = &[Victim::Tree, Victim::Provider];
        KillPoints { stack: Stack::Provider, commands, victims, events: events_of_the_apply }.take();
    }
}

//! Faults at every place where one can be, one after the other: kills after every event of a run, and every kind of object spoilt
//! in every way.

use std::sync::Mutex;

use super::fault::Fault;
use super::processes::Victim;
use super::stored::{KINDS, Way};
use super::world::{Command, Intent, Known, Stack, World};
use super::{Tally, one_fault};
use crate::require;
use crate::support::TestRun;
use crate::support::echo_project::Checkpoint;
use crate::support::process::Finished;
use crate::support::rounds::rounds;

/// The commands up to the one that is disturbed.
const RUNS: [&[Command]; 3] = [
    &[Command::Release],
    &[Command::Release, Command::Release],
    &[Command::Release, Command::Release, Command::Rollback],
];

/// A project in which all commands but the last have run, and what the last one means.
struct Prepared {
    world: World,
    intent: Intent,
    /// What it was before the last command; what the provider made cannot be made undone so simply.
    checkpoint: Option<Checkpoint>,
    known: Known,
}

impl Prepared {
    fn new(stack: Stack, commands: &[Command]) -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let mut world = World::new(stack).expect("a project");
        let (last, before) = commands.split_last().expect("a command");
        for command in before {
            let intent = world.intend(*command, &mut random);
            world.start(&intent.arguments).wait().exits(0);
            world.known.note(&intent);
        }
        let intent = world.intend(*last, &mut random);
        let checkpoint = (stack == Stack::Plain).then(|| world.project.checkpoint());
        let known = world.known.clone();
        Self { world, intent, checkpoint, known }
    }

    /// Returns the project as it was before the last command, where that can be.
    fn restored(mut self) -> Option<Self> {
        self.world.project.restore(self.checkpoint.as_ref()?);
        self.world.known = self.known.clone();
        Some(self)
    }
}

/// Lets each fault happen during the last command, in two projects at a time. `faults` come from the undisturbed run.
fn each(stack: Stack, commands: &[Command], faults: impl Fn(&Finished) -> Vec<Fault>) {
    let first = Prepared::new(stack, commands);
    let undisturbed = first.world.start(&first.intent.arguments).wait().exits(0);
    let faults = faults(&undisturbed);
    assert!(!faults.is_empty(), "no place for a fault in {undisturbed}");
    let total = Mutex::new(Tally::default());
    let idle = Mutex::new(Vec::new());
    let give_back = |project: Prepared| idle.lock().expect("the idle projects").extend(project.restored());
    give_back(first);
    rounds(0..faults.len(), |round| {
        let restored = idle.lock().expect("the idle projects").pop();
        let mut project = restored.unwrap_or_else(|| Prepared::new(stack, commands));
        let mut random = fastrand::Rng::with_seed(round as u64);
        match one_fault(&mut project.world, &project.intent, faults[round], &mut random) {
            Ok(tally) => total.lock().expect("the tally").add(tally),
            Err(error) => panic!("{:?}: {error}", faults[round]),
        }
        give_back(project);
    });
    total.into_inner().expect("the tally").print();
}

/// Kills of each victim after each of these events.
fn kills(victims: &[Victim], events: std::ops::RangeInclusive<usize>) -> Vec<Fault> {
    let of = |victim: &Victim| events.clone().map(|event| Fault::Kill(*victim, event)).collect::<Vec<_>>();
    victims.iter().flat_map(of).collect()
}

/// The events between the begin of the apply and its end.
fn events_of_the_apply(undisturbed: &Finished) -> std::ops::RangeInclusive<usize> {
    let events = undisturbed.events();
    let place =
        |kind: &str| events.iter().position(|event| event["event"] == kind && event["label"] == "apply");
    place("started").expect("an apply") + 1..=place("finished").expect("its end")
}

/// That Slipway alone is killed at every event is in `crash_recovery`.
#[test]
#[ignore = "minutes; cargo xtask test chaos"]
fn everything_agrees_after_a_kill_of_the_tree_or_terraform_at_any_event() {
    let _ = require!(TestRun::shared());
    for commands in RUNS {
        each(Stack::Plain, commands, |undisturbed| {
            kills(&[Victim::Tree, Victim::Terraform], 1..=undisturbed.events().len())
        });
    }
}

/// With the provider, whose apply leaves what no state knows.
#[test]
#[ignore = "an hour; cargo xtask test chaos"]
fn everything_agrees_after_a_kill_at_any_event_of_an_apply_with_the_provider() {
    let _ = require!(TestRun::shared());
    for commands in RUNS {
        each(Stack::Provider, commands, |undisturbed| {
            kills(&[Victim::Tree, Victim::Terraform, Victim::Provider], events_of_the_apply(undisturbed))
        });
    }
}

#[test]
#[ignore = "minutes; cargo xtask test chaos"]
fn everything_agrees_after_any_object_was_spoilt_in_any_way() {
    let _ = require!(TestRun::shared());
    let ways = |kind: &'static str| Way::ALL.into_iter().map(move |way| Fault::Spoilt(kind, way));
    let faults: Vec<Fault> = KINDS.into_iter().flat_map(|(kind, _)| ways(kind)).collect();
    for commands in &RUNS[1..] {
        each(Stack::Plain, commands, |_| faults.clone());
    }
}

/// A second checkout recovers while the first one applies: it takes nothing from it.
#[test]
#[ignore = "minutes; cargo xtask test chaos"]
fn everything_agrees_after_a_recover_beside_any_event_of_an_apply() {
    let _ = require!(TestRun::shared());
    for commands in RUNS {
        each(Stack::Plain, commands, |undisturbed| {
            events_of_the_apply(undisturbed).map(|event| Fault::Race("recover", event)).collect()
        });
    }
}

//! Killed at any moment and run again, a command ends where it would have ended undisturbed.
//!
//! Each round follows the run's events.jsonl, ends the process by SIGKILL once event n is there, runs the same command
//! again and compares what is served, released and left behind.

use std::sync::Mutex;

use super::support::{Settled, World, rounds::rounds};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];
const BACK: [&str; 4] = ["rollback", "--env", "local", "--yes"];

/// How a round gets its world.
#[derive(Clone, Copy, PartialEq)]
enum Worlds {
    /// A new one, so that making buckets and starting servers are among the events.
    New,
    /// One of two that are taken back to where they stood, which costs less.
    TakenBack,
}

fn first() -> Option<World> {
    World::new()
}

fn second() -> Option<World> {
    let world = World::new()?;
    world.run(&RELEASE).exits(0);
    world.second_code();
    Some(world)
}

fn both() -> Option<World> {
    let world = second()?;
    world.run(&RELEASE).exits(0);
    Some(world)
}

/// Kills a command after each of its events, runs it again, and compares with the undisturbed run.
fn matrix(
    worlds: Worlds,
    prepare: impl Fn() -> Option<World> + Sync,
    command: &[&str],
    again: impl Fn(&World) + Sync,
) {
    let Some(world) = prepare() else { return };
    let here = world.checkpoint();
    let undisturbed = world.run(command).exits(0);
    let expected = Settled::of(&world);
    let events = undisturbed.events().len();
    assert!(events > 20, "{events} events in {undisturbed}");
    let idle = Mutex::new(Vec::new());
    if worlds == Worlds::TakenBack {
        world.go_back_to(&here);
        idle.lock().expect("the idle worlds").push((world, here));
    }
    rounds(1..=events, |n| {
        let taken = idle.lock().expect("the idle worlds").pop();
        let (world, here) = taken.unwrap_or_else(|| {
            let world = prepare().expect("a world like the one before");
            let here = world.checkpoint();
            (world, here)
        });
        let mut running = world.start(command);
        running.until_event(n);
        running.kill();
        again(&world);
        assert_eq!(Settled::of(&world), expected, "killed after event {n}");
        if worlds == Worlds::TakenBack {
            world.go_back_to(&here);
            idle.lock().expect("the idle worlds").push((world, here));
        }
    });
}

#[test]
fn a_first_release_is_carried_on() {
    matrix(Worlds::New, first, &RELEASE, |world| {
        world.run(&RELEASE).exits(0);
    });
}

#[test]
fn a_next_release_is_carried_on() {
    matrix(Worlds::TakenBack, second, &RELEASE, |world| {
        world.run(&RELEASE).exits(0);
    });
}

#[test]
fn a_rollback_is_carried_on() {
    matrix(Worlds::TakenBack, both, &BACK, |world| {
        let [_, state] = world.account.buckets();
        let done = world.account.keys(&state).contains(&"ledger/echo/9999999996.ended.json".to_owned());
        if done {
            // It had ended: there is nothing before the release that serves again.
            world.run(&BACK).exits(6).says("is the only verified release");
        } else {
            world.run(&BACK).exits(0);
        }
    });
}

#[test]
fn a_build_is_begun_again() {
    let Some(world) = first() else { return };
    world.run(&RELEASE).exits(0);
    let expected = Settled::of(&world);
    let moments = [
        |event: &serde_json::Value| event["event"] == "started" && event["label"] == "build",
        |event: &serde_json::Value| {
            event["event"] == "line" && event["text"].as_str().is_some_and(|text| text.contains("Compiling"))
        },
    ];
    rounds(0..moments.len(), |n| {
        let world = first().expect("a world like the one before");
        world.forget_artifacts();
        let mut running = world.start(&RELEASE);
        assert!(running.until(moments[n]), "no such moment in the build");
        running.kill();
        let again = world.run(&RELEASE).exits(0);
        assert!(again.did("build"), "{again}");
        assert_eq!(Settled::of(&world), expected);
    });
}

//! Two deployments of one stack at once: one goes on, the other is told who is at work, or waits.

use std::time::Duration;

use super::signals::{at_the_gate, gated, open};
use super::support::{Settled, World, rounds::rounds};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];

#[test]
fn the_second_is_told_who_is_at_work() {
    let Some(world) = World::new() else { return };
    gated(&world);
    let mut first = world.start(&RELEASE);
    at_the_gate(&mut first);
    let before = world.account.objects();
    let second = world
        .run(&RELEASE)
        .exits(7)
        .says("`echo` in local is being deployed by somebody else")
        .says("ada@")
        .says("since")
        .says("Nothing was changed.");
    assert!(!second.did("plan"), "{second}");
    world.run(&["rollback", "--env", "local", "--yes"]).exits(7).says("by somebody else");
    assert_eq!(world.account.objects(), before);
    open(&world);
    first.wait().exits(0);
    world.run(&RELEASE).exits(0).says("already serves");
}

#[test]
fn the_second_waits_when_it_may() {
    let Some(world) = World::new() else { return };
    gated(&world);
    let mut first = world.start(&RELEASE);
    at_the_gate(&mut first);
    let patient: Vec<&str> = RELEASE.iter().copied().chain(["--lock-timeout", "5m"]).collect();
    let mut second = world.start(&patient);
    assert!(second.until(|event| event["event"] == "started" && event["label"] == "wait"));
    open(&world);
    first.wait().exits(0);
    second.wait().exits(0).says("echo 0.1.0 already serves in local");
}

/// Two at once, the second begun a little later in each round: whoever wins, the end is whole.
fn race(second: impl Fn(&World) -> Option<World> + Sync) {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0);
    let expected = Settled::of(&world);
    drop(world);
    rounds(0..5, |n| {
        let world = World::new().expect("a world like the one before");
        let other = second(&world);
        let first = world.start(&RELEASE);
        std::thread::sleep(Duration::from_millis(60 * n as u64));
        let second = other.as_ref().unwrap_or(&world).start(&RELEASE);
        let ended = [first.wait(), second.wait()];
        assert!(ended.iter().any(|run| run.code == Some(0)), "nobody won: {} {}", ended[0], ended[1]);
        for run in ended {
            assert!(matches!(run.code, Some(0 | 7 | 8)), "neither done, nor told of the other: {run}");
        }
        assert_eq!(Settled::of(&world), expected);
        world.run(&RELEASE).exits(0).says("already serves");
    });
}

#[test]
fn a_race_of_two_machines_breaks_nothing() {
    race(|world| Some(world.twin()));
}

#[test]
fn a_race_in_one_folder_breaks_nothing() {
    race(|_| None);
}

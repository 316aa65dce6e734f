//! A command that is killed at any moment and run again has the same result as an undisturbed run.
//!
//! Each round follows the run's events.jsonl, kills the process after event n with SIGKILL, runs the same command again and
//! compares what is served, released and left unfinished.

use std::sync::Mutex;

use super::support::commands::{RELEASE, ROLLBACK};
use super::support::echo_project::Checkpoint;
use super::support::skip::Missing;
use super::support::{EchoProject, ObservedState, rounds::rounds};
use crate::require;

/// How a round gets its project.
#[derive(Clone, Copy, PartialEq)]
enum Projects {
    /// A new one, so that the creation of buckets and the start of servers are among the events.
    New,
    /// One of two that are restored after each round, which is faster.
    Restored,
}

fn released_and_changed() -> Result<EchoProject, Missing> {
    let project = EchoProject::new()?;
    project.run(&RELEASE).exits(0);
    project.change_code();
    Ok(project)
}

fn released_twice() -> Result<EchoProject, Missing> {
    let project = released_and_changed()?;
    project.run(&RELEASE).exits(0);
    Ok(project)
}

/// Kills a command after each of its events, runs it again, and compares with an undisturbed run in the first project.
fn kill_after_each_event(
    first: EchoProject,
    projects: Projects,
    prepare: impl Fn() -> Result<EchoProject, Missing> + Sync,
    command: &[&str],
    run_again: impl Fn(&EchoProject) + Sync,
) {
    let checkpoint = first.checkpoint();
    let undisturbed = first.run(command).exits(0);
    let expected = ObservedState::of(&first);
    let events = undisturbed.events().len();
    assert!(events > 20, "{events} events in {undisturbed}");
    let idle = Mutex::new(Vec::new());
    let restore = |project: EchoProject, checkpoint: Checkpoint| {
        project.restore(&checkpoint);
        idle.lock().expect("the idle projects").push((project, checkpoint));
    };
    let _first = match projects {
        Projects::New => Some(first),
        Projects::Restored => {
            restore(first, checkpoint);
            None
        }
    };
    rounds(1..=events, |n| {
        let restored = idle.lock().expect("the idle projects").pop();
        let (project, checkpoint) = restored.unwrap_or_else(|| {
            let project = prepare().expect("a project like the first");
            let checkpoint = project.checkpoint();
            (project, checkpoint)
        });
        let mut running = project.start(command);
        running.wait_for_event_number(n);
        running.kill();
        run_again(&project);
        assert_eq!(ObservedState::of(&project), expected, "killed after event {n}");
        if projects == Projects::Restored {
            restore(project, checkpoint);
        }
    });
}

#[test]
fn first_release_completes_after_a_kill_at_any_event() {
    let project = require!(EchoProject::new());
    kill_after_each_event(project, Projects::New, EchoProject::new, &RELEASE, |project| {
        project.run(&RELEASE).exits(0);
    });
}

#[test]
fn second_release_completes_after_a_kill_at_any_event() {
    let project = require!(released_and_changed());
    kill_after_each_event(project, Projects::Restored, released_and_changed, &RELEASE, |project| {
        project.run(&RELEASE).exits(0);
    });
}

#[test]
fn rollback_completes_after_a_kill_at_any_event() {
    let project = require!(released_twice());
    kill_after_each_event(project, Projects::Restored, released_twice, &ROLLBACK, |project| {
        // Also where the killed rollback had ended: what is repeated means the same.
        project.run(&ROLLBACK).exits(0);
    });
}

#[test]
fn build_restarts_after_a_kill() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    let expected = ObservedState::of(&project);
    let moments = [
        |event: &serde_json::Value| event["event"] == "started" && event["label"] == "build",
        |event: &serde_json::Value| {
            event["event"] == "line" && event["text"].as_str().is_some_and(|text| text.contains("Compiling"))
        },
    ];
    rounds(0..moments.len(), |n| {
        let project = EchoProject::new().expect("a project like the first");
        project.remove_artifacts();
        let mut running = project.start(&RELEASE);
        assert!(running.wait_for_event(moments[n]), "no such moment in the build");
        running.kill();
        let again = project.run(&RELEASE).exits(0);
        assert!(again.ran_step("build"), "{again}");
        assert_eq!(ObservedState::of(&project), expected);
    });
}

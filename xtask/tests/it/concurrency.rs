//! Two deployments of one stack at the same time: one continues, the other reports who holds the lock, or waits.

use std::time::Duration;

use super::signals::{block_apply, unblock_apply, wait_for_blocked_apply};
use super::support::commands::RELEASE;
use super::support::{EchoProject, ObservedState, rounds::rounds};
use crate::require;

#[test]
fn second_deployment_reports_who_holds_the_lock() {
    let project = require!(EchoProject::new());
    block_apply(&project);
    let mut first = project.start(&RELEASE);
    wait_for_blocked_apply(&mut first);
    let before = project.account.objects();
    let second = project
        .run(&RELEASE)
        .exits(7)
        .says("`echo` in local is being deployed by somebody else")
        .says("ada@")
        .says("since")
        .says("Nothing was changed.");
    assert!(!second.ran_step("plan"), "{second}");
    project.run(&["rollback", "--env", "local", "--yes"]).exits(7).says("by somebody else");
    assert_eq!(project.account.objects(), before);
    unblock_apply(&project);
    first.wait().exits(0);
    project.run(&RELEASE).exits(0).says("already serves");
}

#[test]
fn second_deployment_waits_with_a_lock_timeout() {
    let project = require!(EchoProject::new());
    block_apply(&project);
    let mut first = project.start(&RELEASE);
    wait_for_blocked_apply(&mut first);
    let with_timeout: Vec<&str> = RELEASE.iter().copied().chain(["--lock-timeout", "5m"]).collect();
    let mut second = project.start(&with_timeout);
    assert!(second.wait_for_event(|event| event["event"] == "started" && event["label"] == "wait"));
    unblock_apply(&project);
    first.wait().exits(0);
    second.wait().exits(0).says("echo 0.1.0 already serves in local");
}

/// Runs two releases at once; in each round the second starts a little later. Whichever wins, the result is the same.
fn assert_race_is_consistent(
    project: EchoProject,
    second_project: impl Fn(&EchoProject) -> Option<EchoProject> + Sync,
) {
    project.run(&RELEASE).exits(0);
    let expected = ObservedState::of(&project);
    drop(project);
    rounds(0..5, |n| {
        let project = EchoProject::new().expect("a project like the first");
        let other = second_project(&project);
        let first = project.start(&RELEASE);
        std::thread::sleep(Duration::from_millis(60 * n as u64));
        let second = other.as_ref().unwrap_or(&project).start(&RELEASE);
        let ended = [first.wait(), second.wait()];
        assert!(ended.iter().any(|run| run.code == Some(0)), "neither succeeded: {} {}", ended[0], ended[1]);
        for run in ended {
            assert!(
                matches!(run.code, Some(0 | 7 | 8)),
                "it neither succeeded nor reported the other: {run}"
            );
        }
        assert_eq!(ObservedState::of(&project), expected);
        project.run(&RELEASE).exits(0).says("already serves");
    });
}

#[test]
fn concurrent_releases_from_two_machines_stay_consistent() {
    let project = require!(EchoProject::new());
    assert_race_is_consistent(project, |project| Some(project.second_checkout()));
}

#[test]
fn concurrent_releases_in_one_folder_stay_consistent() {
    let project = require!(EchoProject::new());
    assert_race_is_consistent(project, |_| None);
}

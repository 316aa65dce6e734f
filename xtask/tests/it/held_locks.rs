//! A lock is given up only with proof that nobody holds it, by the store's clock and not by a machine's.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::signals::{block_apply, unblock_apply, wait_for_blocked_apply};
use super::support::EchoProject;
use super::support::commands::RELEASE;
use crate::require;

const RECOVER: [&str; 4] = ["recover", "--env", "local", "--yes"];

fn is_locked(project: &EchoProject) -> bool {
    let [_, state] = project.account.buckets();
    project.account.keys(&state).iter().any(|key| key.ends_with(".tflock"))
}

#[test]
fn lock_of_a_running_release_is_left_alone() {
    let project = require!(EchoProject::new());
    block_apply(&project);
    let mut first = project.start(&RELEASE);
    wait_for_blocked_apply(&mut first);
    let other = project.second_checkout();
    other.run(&["local", "up"]).exits(0);
    other
        .run(&RECOVER)
        .exits(0)
        .says("has not ended, and its process is running")
        .says("left alone: deployment 1 by ada@");
    assert!(is_locked(&project));
    unblock_apply(&project);
    first.wait().exits(0).says("echo 0.1.0 serves in local.");
    project.run(&RECOVER).exits(0).says("Nothing is left open in local.");
}

/// The second one waits, also where both had planned when the first one took the deploy lock.
#[test]
fn both_of_two_releases_at_once_succeed_with_a_lock_timeout() {
    let project = require!(EchoProject::new());
    let other = project.second_checkout();
    let command = [&RELEASE[..], &["--lock-timeout", "5m"]].concat();
    let (first, second) = (project.start(&command), other.start(&command));
    first.wait().exits(0);
    second.wait().exits(0);
    project.run(&RELEASE).exits(0).says("already serves");
}

/// Slipway is killed, and its Terraform goes on: what it locked is its own until it has ended.
#[test]
fn lock_of_a_terraform_that_outlived_its_slipway_is_left_alone() {
    let project = require!(EchoProject::new());
    block_apply(&project);
    let mut running = project.start(&RELEASE);
    wait_for_blocked_apply(&mut running);
    running.kill();
    let other = project.second_checkout();
    other.run(&["local", "up"]).exits(0);
    other
        .run(&RECOVER)
        .exits(0)
        .says("its process is gone")
        .says("closed: ")
        .says("left alone: a Terraform that may hold it runs here (process ")
        .says("cargo xtask recover --env local --unlock ");
    assert!(is_locked(&project));
    unblock_apply(&project);
    let begun = Instant::now();
    while is_locked(&project) {
        assert!(begun.elapsed() < Duration::from_secs(60), "Terraform did not release its lock");
        std::thread::sleep(Duration::from_millis(100));
    }
    project.run(&RELEASE).exits(0);
}

#[test]
fn lock_that_nobody_holds_is_removed_and_one_without_proof_by_its_id() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    let [_, state] = project.account.buckets();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("the host's name");
    let lock = |who: &str| {
        let lock = json!({
            "ID": "5f2e", "Operation": "OperationTypeApply", "Info": "", "Who": who, "Version": "1.10.0",
            "Created": "2026-11-01T10:00:00Z", "Path": format!("{state}/echo.tfstate"),
        });
        project.account.put(&state, "echo.tfstate.tflock", lock.to_string().as_bytes());
    };
    lock("ci@build-7");
    project.run(&RECOVER).exits(0).says(
        "left as it is: it was made on build-7, and nothing here shows whether that Terraform still runs",
    );
    assert!(is_locked(&project));
    let unlock = |id: &'static str| [&RECOVER[..], &["--unlock", id]].concat();
    project.run(&unlock("another")).exits(2).says("no state in local has the lock another");
    project.run(&unlock("5f2e")).exits(0).says("unlocked");
    assert!(!is_locked(&project));
    lock(&format!("ada@{}", host.trim()));
    project.run(&RECOVER).exits(0).says("where no Terraform of this stack runs").says("unlocked");
    assert!(!is_locked(&project));
}

/// Another machine deploys, whose clock is a day ahead or behind.
#[test]
fn lease_is_judged_by_the_clock_of_the_store() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    let [_, state] = project.account.buckets();
    let begun = project.account.object(&state, "ledger/echo/9999999998.started.json");
    let mut started: Value = serde_json::from_slice(&begun).expect("an entry");
    started["deployment"] = 2.into();
    started["holder"]["host"] = "build-7".into();
    for time in ["2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"] {
        for field in ["/at", "/holder/since"] {
            *started.pointer_mut(field).expect(field) = time.into();
        }
        project.account.put(&state, "ledger/echo/9999999997.started.json", started.to_string().as_bytes());
        let lease = json!({"deployment": 2, "renewed_at": time});
        project.account.put(&state, "leases/echo.json", lease.to_string().as_bytes());
        project.change_code();
        project.run(&RELEASE).exits(7).says("being deployed by somebody else");
        project.run(&RECOVER).exits(0).says("its process renewed its lease ").says("left alone");
    }
    // Somebody who knows that it is dead says so, by its name.
    let close = [&RECOVER[..], &["--close", "echo/2"]].concat();
    project.run(&close).exits(0).says("closed: local serves echo 0.1.0");
    project.run(&RELEASE).exits(0);
}

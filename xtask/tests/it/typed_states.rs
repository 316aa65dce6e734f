//! States that docs/releasing.md names and that no other test comes to: what the page says to type is typed here, and it ends the
//! state. `typed_commands` checks that every row of the page has such a test.

use super::support::commands::{RELEASE, ROLLBACK};
use super::support::{EchoProject, ObservedState};
use crate::require;

const STATUS: [&str; 3] = ["status", "--env", "local"];
const RECOVER: [&str; 4] = ["recover", "--env", "local", "--yes"];

#[test]
fn state_that_is_gone_or_another_one_shows_in_status_and_is_accepted_once() {
    let project = require!(EchoProject::released_twice());
    let [_, bucket] = project.account.buckets();
    let stored = String::from_utf8(project.account.object(&bucket, "echo.tfstate")).expect("a state");
    let mut other: serde_json::Value = serde_json::from_str(&stored).expect("a state");
    other["lineage"] = "11111111-2222-3333-4444-555555555555".into();
    project.account.put(&bucket, "echo.tfstate", other.to_string().as_bytes());
    project
        .run(&STATUS)
        .exits(0)
        .says("⚠ echo in local: the state is another one than the ledger knows: deployment 2 left serial ")
        .says("echo.tfstate has serial ");
    project.account.delete(&bucket, "echo.tfstate");
    project
        .run(&STATUS)
        .exits(0)
        .says("⚠ echo in local: the state is gone: deployment 2 left serial ")
        .says("cargo xtask release --env local --accept-state");
    project.account.put(&bucket, "echo.tfstate", stored.as_bytes());
    assert_eq!(ObservedState::of(&project).status["warnings"], serde_json::json!([]));
    // Replaced on purpose.
    project.account.put(&bucket, "echo.tfstate", other.to_string().as_bytes());
    project.run(&RELEASE).exits(6).says("--accept-state");
    project.run(&[&RELEASE[..], &["--accept-state", "--plan"]].concat()).exits(0);
    project.change_code();
    project.write("lambda-src/echo/README.md", "one more input");
    project.commit("feat: a note");
    project.run(&RELEASE).exits(0).says("echo 0.3.0 serves in local.");
    assert_eq!(ObservedState::of(&project).status["warnings"], serde_json::json!([]));
}

#[test]
fn alias_that_was_moved_by_hand_goes_back_by_recover() {
    let project = require!(EchoProject::released_twice());
    project.account.move_alias("echo", "1");
    project
        .run(&STATUS)
        .exits(0)
        .says("⚠ echo in local: the alias points to 1, the ledger says 2: cargo xtask recover --env local");
    project.run(&RECOVER).exits(0).says("moved from 1 to 2");
    assert_eq!(project.account.alias("echo"), "2");
    assert_eq!(ObservedState::of(&project).status["warnings"], serde_json::json!([]));
}

#[test]
fn release_whose_manifest_is_gone_is_followed_by_a_version_that_was_never_used() {
    let project = require!(EchoProject::released_twice());
    let [artifacts, _] = project.account.buckets();
    project.account.delete(&artifacts, "releases/echo/0.2.0.json");
    project.write("lambda-src/echo/README.md", "one more input");
    project.commit("feat: a note");
    project.run(&RELEASE).exits(6).says("`echo` 0.2.0 was deployed already").says("--version 0.2.1");
    project
        .run(&[&RELEASE[..], &["--version", "0.2.1"]].concat())
        .exits(0)
        .says("echo 0.2.1 serves in local.");
}

#[test]
fn bytes_that_were_replaced_are_refused_until_they_are_restored() {
    let project = require!(EchoProject::released_twice());
    let document = project.run(&["releases", "echo", "--env", "local", "--output", "json"]).exits(0).json();
    let releases = document["data"]["releases"].as_array().expect("the releases");
    let first = releases.iter().find(|release| release["version"] == "0.1.0").expect("the first release");
    let key = first["artifact"]["key"].as_str().expect("its key").to_owned();
    let [artifacts, _] = project.account.buckets();
    let bytes = project.account.object(&artifacts, &key);
    project.account.put(&artifacts, &key, &vec![b'x'; bytes.len()]);
    let head = project.head();
    let deploy = ["deploy", "echo", "--env", "local", "--version", "0.1.0", "--yes", "--allow-loss", &head];
    let before = ObservedState::of(&project);
    let refused = project.run(&deploy).exits(6).says("`echo` 0.1.0 do not match its manifest").says(&key);
    assert!(!refused.ran_step("plan"), "{refused}");
    assert_eq!(ObservedState::of(&project), before);
    project.account.put(&artifacts, &key, &bytes);
    project.run(&deploy).exits(0).says("echo 0.1.0 serves in local.");
}

#[test]
fn commands_that_only_look_or_choose_are_as_the_page_writes_them() {
    let project = require!(EchoProject::new());
    project.run(&["check"]).exits(0);
    project.run(&RELEASE).exits(0);
    project.change_code();
    project.run(&["release", "echo", "--env", "local", "--yes", "--bump", "major"]).exits(0);
    project.run(&["status"]).exits(0).says("live 2");
    project.run(&["history", "--env", "local"]).exits(0).says("0.1.0");
    project.run(&["releases", "echo"]).exits(0).says("0.1.0");
    project.run(&["plan", "echo", "--env", "local", "--version", "0.1.0"]).exits(0);
    project.run(&["rollback", "--env", "local", "--yes", "--to-deployment", "1"]).exits(0);
    assert_eq!(project.account.alias("echo"), "1");
    project.run(&ROLLBACK).exits(0).says("Nothing was changed.");
    project.run(&["release", "echo", "--env", "local", "--yes", "--force"]).exits(0);
    assert_eq!(project.account.alias("echo"), "2");
}

/// A shell may allow a program less open files than its functions need; the gateway outlives that shell.
#[test]
fn gateway_that_was_started_with_few_open_files_takes_as_many_as_it_may_have() {
    let project = require!(EchoProject::new());
    let few = ["sh", "-c", "ulimit -S -n 16 && exec \"$0\" \"$@\""];
    project.start_within(&few, &["local", "up"], &[]).wait().exits(0);
    let pids = project.server_processes();
    let limits: Vec<String> = pids
        .iter()
        .map(|pid| std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("a process's limits"))
        .collect();
    let open_files = |limits: &String| {
        let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit");
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[3].to_owned(), words[4].to_owned())
    };
    assert!(!limits.is_empty(), "no server runs");
    for (soft, hard) in limits.iter().map(open_files) {
        assert_eq!(soft, hard);
    }
    project.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    project.local_down().exits(0);
    // Where nothing more is allowed, that is said before anything starts.
    let too_few = ["sh", "-c", "ulimit -n 32 && exec \"$0\" \"$@\""];
    project
        .start_within(&too_few, &["local", "up"], &[])
        .wait()
        .exits(1)
        .says("a process may open 32 files here");
    assert_eq!(project.server_processes(), Vec::<String>::new());
}

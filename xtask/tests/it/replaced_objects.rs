//! What is stored is compared before it is used: ledger entries with their keys, the state with the ledger, versions with what was
//! deployed under them.

use super::support::EchoProject;
use super::support::commands::{RELEASE, ROLLBACK};
use crate::require;

#[test]
fn entry_that_was_replaced_by_an_earlier_one_is_refused() {
    let project = require!(EchoProject::released_twice());
    let [_, state] = project.account.buckets();
    let (first, second) = ("ledger/echo/9999999998.ended.json", "ledger/echo/9999999997.ended.json");
    let kept = project.account.object(&state, second);
    project.account.put(&state, second, &project.account.object(&state, first));
    let text = "says that it is deployment 1 of `echo` in local, and its key says 2 of `echo` in local";
    for command in [&RELEASE[..], &ROLLBACK[..], &["recover", "--env", "local", "--yes"][..]] {
        project.run(command).exits(6).says(text);
        assert_eq!(project.account.alias("echo"), "2");
    }
    project.account.put(&state, second, &kept);
    project.run(&RELEASE).exits(0);
}

#[test]
fn state_that_is_gone_or_older_is_refused_before_a_plan() {
    let project = require!(EchoProject::released_twice());
    let [_, state] = project.account.buckets();
    let stored = project.account.object(&state, "echo.tfstate");
    project.account.delete(&state, "echo.tfstate");
    for command in [&RELEASE[..], &["destroy", "--env", "local", "--yes"][..]] {
        let refused = project
            .run(command)
            .exits(6)
            .says("the state of `echo` in local is gone")
            .says("list-object-versions")
            .says("--accept-state");
        assert!(!refused.ran_step("plan"), "{refused}");
    }
    let other = String::from_utf8(stored.clone()).expect("a state");
    let lineage = serde_json::from_slice::<serde_json::Value>(&stored).expect("a state")["lineage"].clone();
    let other = other.replace(lineage.as_str().expect("a lineage"), "11111111-2222-3333-4444-555555555555");
    project.account.put(&state, "echo.tfstate", other.as_bytes());
    project.run(&RELEASE).exits(6).says("the state of `echo` in local is another one than the ledger knows");
    // Traffic goes back: that needs the ledger alone.
    project.run(&ROLLBACK).exits(6).says("is another one than the ledger knows").says("Traffic is back on");
    assert_eq!(project.account.alias("echo"), "1");
    project.account.put(&state, "echo.tfstate", &stored);
    project.run(&ROLLBACK).exits(0);
    project.run(&["status", "--env", "local"]).exits(0);
}

#[test]
fn version_that_was_deployed_and_lost_is_never_cut_again() {
    let project = require!(EchoProject::released_twice());
    let [artifacts, _] = project.account.buckets();
    let key = "releases/echo/0.2.0.json";
    let manifest = project.account.object(&artifacts, key);
    project.account.delete(&artifacts, key);
    project.write("lambda-src/echo/README.md", "one more input");
    project.commit("feat: a note");
    let refused = project
        .run(&RELEASE)
        .exits(6)
        .says("`echo` 0.2.0 was deployed already, and its manifest is missing")
        .says("deployment 2 of `echo` in local")
        .says("--version 0.2.1");
    assert!(!refused.ran_step("build") && !refused.ran_step("plan"), "{refused}");
    // A rollback moves traffic, and says what Terraform lacks.
    let earlier = "releases/echo/0.1.0.json";
    let first = project.account.object(&artifacts, earlier);
    project.account.put(&artifacts, earlier, &[&first[..], b" "].concat());
    project
        .run(&ROLLBACK)
        .exits(6)
        .says("the manifest of `echo` 0.1.0 was edited")
        .says("Traffic is back on");
    assert_eq!(project.account.alias("echo"), "1");
    project.account.delete(&artifacts, earlier);
    project.run(&ROLLBACK).exits(6).says("which was deployed to local, is missing");
    project.account.put(&artifacts, earlier, &first);
    project.account.put(&artifacts, key, &manifest);
    project.run(&ROLLBACK).exits(0).says("echo 0.1.0 serves in local again.");
}

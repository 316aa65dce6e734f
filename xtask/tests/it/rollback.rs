//! Rollbacks that cannot complete: no earlier release, or a plan that would change other resources.

use super::support::commands::{RELEASE, ROLLBACK};
use super::support::{EchoProject, ObservedState};
use crate::require;

#[test]
fn first_release_cannot_be_rolled_back() {
    let project = require!(EchoProject::new());
    project.run(&ROLLBACK).exits(2).says("nothing was deployed");
    project.run(&RELEASE).exits(0);
    project.run(&ROLLBACK).exits(6).says("is the only verified release").says("Nothing was changed.");
    project.run(&["rollback", "--env", "local", "--yes", "--to", "0.9.0"]).exits(2).says("0.1.0");
}

/// The stack has a resource that changes with each release: a rollback must not change it.
#[test]
fn rollback_moves_traffic_even_if_terraform_would_change_other_resources() {
    let project = require!(EchoProject::new());
    let path = "terraform/stacks/echo/main.tf";
    let stack = std::fs::read_to_string(project.folder.join(path)).expect("the stack");
    project.write(
        path,
        &format!("{stack}\nresource \"terraform_data\" \"follows\" {{\n  input = local.code\n}}\n"),
    );
    project.commit("build: a resource that follows each release");
    project.run(&RELEASE).exits(0);
    project.change_code();
    project.run(&RELEASE).exits(0);
    project
        .run(&ROLLBACK)
        .exits(6)
        .says("terraform_data.follows")
        .says("Traffic is back on the earlier release");
    assert_eq!(project.account.alias("echo"), "1");
    let status = project.run(&["status", "--env", "local", "--output", "json"]).exits(0).json();
    let local = &status["data"]["environments"]["local"];
    assert_eq!(local["functions"]["echo"]["outcome"], "terraform_pending");
    assert_eq!(local["functions"]["echo"]["release"], "0.1.0");
    assert_eq!(local["functions"]["echo"]["held"], serde_json::json!(["0.2.0"]));
    // A second rollback has the same result. A deployment of the earlier release makes Terraform's state agree.
    project.run(&ROLLBACK).exits(6);
    assert_eq!(project.account.alias("echo"), "1");
    project.run(&["plan", "--env", "local"]).exits(0);
    project.run(&["deploy", "echo", "--env", "local", "--version", "0.1.0", "--yes"]).exits(0);
    let observed = ObservedState::of(&project);
    assert_eq!(observed.alias, "1");
    assert_eq!(observed.status["warnings"], serde_json::json!([]));
    assert_eq!(observed.status["held"], serde_json::json!(["0.2.0"]));
    assert_eq!((observed.unfinished, observed.locks), (vec![], vec![]));
}

//! A state that plain Terraform made is copied to the key of a stack: refused until it is claimed, then planned in place.
//!
//! In: the echo project, as docs/how-to/existing-functions.md describes it.

use super::support::EchoProject;
use crate::require;

const PLAN: [&str; 3] = ["plan", "--env", "local"];

#[test]
fn copied_state_is_claimed_and_then_planned_without_creating_anything() {
    let project = require!(EchoProject::new());
    let [_, bucket] = project.account.buckets();
    // A state with the stack's resources.
    project.run(&["release", "--env", "local", "--yes"]).exits(0);
    let state = project.account.object(&bucket, "echo.tfstate");
    for key in project.account.keys(&bucket) {
        project.account.delete(&bucket, &key);
    }
    project.account.put(&bucket, "old/key/terraform.tfstate", &state);
    project.run(&PLAN).exits(0).says("create   terraform_data.account");

    project.account.put(&bucket, "echo.tfstate", &state);
    project
        .run(&PLAN)
        .exits(6)
        .says("the state of `echo` in local has 1 resource that no deployment of echo recorded")
        .says("cargo xtask claim echo --env local");
    project
        .run(&["claim", "echo", "--env", "local", "--yes"])
        .exits(0)
        .says("Marked as echo's: the ledger and the state of `echo` in local.");
    let marker = String::from_utf8(project.account.object(&bucket, "ledger/echo/project.json"));
    assert!(marker.expect("a marker").contains("\"project\": \"echo\""));
    let planned = project.run(&PLAN).exits(0);
    assert!(!planned.to_string().contains("create"), "{planned}");
    project.run(&["release", "--env", "local", "--yes"]).exits(0).says("echo 0.1.0 serves in local.");
    project.run(&["claim", "echo", "--env", "local", "--yes"]).exits(0).says("echo has the marks already");
}

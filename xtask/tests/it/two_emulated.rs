//! Two emulated environments are two: each has its own state, ledger and functions, in one emulated account.

use super::support::EchoProject;
use super::support::commands::RELEASE;
use crate::require;

const SECOND: [&str; 4] = ["release", "--env", "second", "--yes"];

/// A stack whose only resource carries the environment's name, as a function's name does.
const NAMED: &str = "\nresource \"terraform_data\" \"named\" {\n  input = var.environment.name\n}\n";

#[test]
fn release_to_a_second_emulated_environment_leaves_the_first_as_it_is() {
    let project = require!(EchoProject::new());
    let path = "terraform/stacks/echo/main.tf";
    let stack = std::fs::read_to_string(project.folder.join(path)).expect("the stack");
    project.write(path, &(stack + NAMED));
    project.commit("build: a resource with the environment's name");
    project.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    let [_, local] = project.account.buckets();
    assert!(local.ends_with("-local-state"), "{local}");
    let before = (project.account.object(&local, "echo.tfstate"), project.account.keys(&local));

    project.write("terraform/environments/second/environment.toml", "emulated = true\n");
    let values = std::fs::read_to_string(project.folder.join("terraform/environments/local/echo.tfvars"));
    project.write("terraform/environments/second/echo.tfvars", &values.expect("the stack's values"));
    project.commit("build: a second environment");
    // Its function does not exist, so that nothing serves there; what counts is what happens to the first.
    let second = project.run(&SECOND);
    assert!(second.ran_step("apply"), "{second}");
    assert_eq!(
        (project.account.object(&local, "echo.tfstate"), project.account.keys(&local)),
        before,
        "{second}"
    );
    let bucket = local.replace("-local-state", "-second-state");
    let state = project.account.object(&bucket, "echo.tfstate");
    assert!(String::from_utf8_lossy(&state).contains("\"second\""), "its own state");
    project.run(&RELEASE).exits(0).says("echo 0.1.0 already serves in local");
    project.run(&["status", "--env", "local"]).exits(0).says("0.1.0");
}

//! Releases and a rollback with the real AWS provider, the repository's own module and its stack `hello`.
//!
//! The function has the code of the echo project under the name that the stack expects, so that it builds quickly.

use super::support::commands::RELEASE;
use super::support::{EchoProject, TestRun};
use crate::require;

#[test]
fn hello_is_released_twice_and_rolled_back() {
    let test_run = require!(TestRun::shared());
    let project = EchoProject::with_provider(test_run);
    let first = project.run(&RELEASE).exits(0).says("hello 0.1.0 serves in local.");
    assert!(first.ran_step("build") && first.ran_step("apply"), "{first}");
    assert_eq!(project.account.alias("hello"), "1");
    // The log level of the environment's values reaches the function.
    let path = format!("/2015-03-31/functions/{}/configuration", project.account.function_name("hello"));
    let configuration = project.account.call("lambda", "GET", &path, "application/json", b"").json();
    assert_eq!(configuration["Environment"]["Variables"]["RUST_LOG"], "info", "{configuration}");
    let again = project.run(&RELEASE).exits(0).says("already serves");
    assert!(!again.ran_step("plan"), "{again}");

    project.change_code_of("hello");
    project.run(&RELEASE).exits(0).says("hello 0.2.0 serves in local.").says("hello live 1 -> 2");
    assert_eq!(project.account.alias("hello"), "2");
    assert!(project.run(&["local", "invoke"]).exits(0).stdout.contains("\"two\""));

    project
        .run(&["rollback", "--env", "local", "--yes"])
        .exits(0)
        .says("hello 0.1.0 serves in local again.")
        .says("hello live 2 -> 1");
    assert_eq!(project.account.alias("hello"), "1");
    assert!(project.run(&["local", "invoke"]).exits(0).stdout.contains("\"one\""));
    // Terraform's state agrees: the old code, and no changes.
    project.run(&["plan", "hello", "--env", "local", "--version", "0.1.0", "--exit-code"]).exits(0);
    let status = project.run(&["status", "--env", "local", "--output", "json"]).exits(0).json();
    let local = &status["data"]["environments"]["local"];
    assert_eq!(local["warnings"], serde_json::json!([]));
    let hello = &local["functions"]["hello"];
    assert_eq!(hello["release"], "0.1.0");
    assert_eq!(hello["as_recorded"], true);
    assert_eq!(hello["outcome"], "rolled_back");
    assert_eq!(hello["held"], serde_json::json!(["0.2.0"]));
    // The rollback published the old code again; traffic stays on the verified version.
    assert_eq!((&hello["lambda_version"], &hello["newest_version"]), (&"1".into(), &"3".into()));

    // A state that does not have what exists: nothing is created beside it.
    let [_, state] = project.account.buckets();
    project.account.keys(&state).iter().for_each(|key| project.account.delete(&state, key));
    let refused = project
        .run(&["release", "--env", "local", "--yes", "--lift-hold"])
        .exits(6)
        .says("-local-hello exists already and is not in the state of the stack `hello`")
        .says("Nothing was applied.")
        .says("docs/how-to/existing-functions.md");
    assert!(refused.ran_step("plan") && !refused.ran_step("apply"), "{refused}");
    assert_eq!(project.account.alias("hello"), "1");
}

//! Drift: what somebody changed by hand is found, and what could not be read is not called clean.
//!
//! In: the echo project, and the repository's own stack `hello` with the real provider.

use super::support::commands::RELEASE;
use super::support::{EchoProject, TestRun};
use crate::require;

#[test]
fn alias_that_was_moved_by_hand_is_drift() {
    let project = require!(EchoProject::released_twice());
    let drift = ["drift", "--env", "local"];
    project.run(&drift).exits(0).says("no drift");
    project.account.move_alias("echo", "1");
    let found = project.run(&drift).exits(4).says("alias `live` of echo: recorded 2, found 1");
    assert!(!found.ran_step("apply"), "{found}");
    let markdown = project.run(&[&drift[..], &["--markdown"]].concat()).exits(4);
    assert!(markdown.stdout.contains("| echo | alias \\`live\\` of echo | 2 | 1 |"), "{markdown}");
    project.account.move_alias("echo", "2");
    project.run(&drift).exits(0);
    // The files that were applied are gone: nothing is known, which is not "no drift".
    let [_, state] = project.account.buckets();
    for key in project.account.keys(&state).iter().filter(|key| key.starts_with("configurations/")) {
        project.account.delete(&state, key);
    }
    project.run(&drift).exits(1).says("could not be read").says("the applied configuration is missing");
}

#[test]
fn resource_that_was_changed_by_hand_is_drift_with_the_real_provider_and_a_deployment_is_none() {
    let test_run = require!(TestRun::shared());
    let project = EchoProject::with_provider(test_run);
    project.run(&RELEASE).exits(0);
    let drift = ["drift", "--env", "local", "--output", "json"];
    let clean = project.run(&drift).exits(0).json();
    assert_eq!(clean["data"]["drifted"], false, "{clean}");
    assert_eq!(clean["data"]["complete"], true, "{clean}");
    let name = project.account.function_name("hello");
    let body = serde_json::json!({ "MemorySize": 512 });
    let path = format!("/2015-03-31/functions/{name}/configuration");
    let changed =
        project.account.call("lambda", "PUT", &path, "application/json", body.to_string().as_bytes());
    assert_eq!(changed.status, 200, "{}", changed.text());
    let found = project.run(&drift).exits(4).json();
    let stack = &found["data"]["stacks"][0];
    assert!(
        stack["resources"].as_array().expect("resources").iter().any(|row| {
            row["address"] == "module.hello.aws_lambda_function.this"
                && row["attributes"].as_array().expect("paths").contains(&"memory_size".into())
        }),
        "{found}"
    );
}

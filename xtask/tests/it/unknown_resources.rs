//! What exists and no state knows: `recover` finds it by the plan, shows it and imports it, and the release continues.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::support::EchoProject;
use super::support::TestRun;
use super::support::commands::RELEASE;
use super::support::proxy::Proxy;
use crate::require;

/// As after a first apply that was cut off: the role and the log group exist, and there is no state that has them.
#[test]
fn first_apply_that_was_cut_off_is_imported_by_recover() {
    let test_run = require!(TestRun::shared());
    let project = EchoProject::with_provider(test_run);
    let name = format!("echo-{}-local-hello", project.account.id);
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda.amazonaws.com"}}]}"#;
    let encoded: String = trust.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let body =
        format!("Action=CreateRole&Version=2010-05-08&RoleName={name}&AssumeRolePolicyDocument={encoded}");
    let form = "application/x-www-form-urlencoded";
    let created = project.account.call("iam", "POST", "/", form, body.as_bytes());
    assert_eq!(created.status, 200, "{}", created.text());
    let group = json!({ "logGroupName": format!("/aws/lambda/{name}") });
    project.account.call_json("logs", "Logs_20140328.CreateLogGroup", "1.1", &group);

    let failed = project.run(&RELEASE).exits(1).says("AlreadyExists");
    assert!(failed.ran_step("apply"), "{failed}");
    // Not applied again: it would fail at the same names.
    let refused = project
        .run(&RELEASE)
        .exits(6)
        .says("would create what exists and is not in its state")
        .says(&format!("module.hello.aws_iam_role.this[0]: {name}"))
        .says("cargo xtask recover --env local");
    assert!(!refused.ran_step("apply"), "{refused}");
    project
        .run(&["recover", "--env", "local", "--yes"])
        .exits(0)
        .says(&format!("module.hello.aws_cloudwatch_log_group.this: /aws/lambda/{name}"))
        .says("imported 2 resources");
    project.run(&["recover", "--env", "local", "--yes"]).exits(0).says("Nothing is left open in local.");
    project.run(&RELEASE).exits(0).says("hello 0.1.0 serves in local.");
    assert_eq!(project.account.alias("hello"), "1");
}

/// The answer to the provider's CreateFunction is lost: it asks again, and waits for a name that its own function has.
#[test]
fn function_whose_creation_was_not_heard_of_is_imported_by_recover() {
    let test_run = require!(TestRun::shared());
    let project = EchoProject::with_provider(test_run);
    let proxy = Proxy::to(project.emulator_port());
    let through = [("SLIPWAY_LOCAL_EMULATOR", &*proxy.url())];
    let run = |command: &[&str]| project.start_with(command, &through).wait();
    proxy.lose_answers("POST /2015-03-31/functions", 1);
    let mut running = project.start_with(&RELEASE, &through);
    let still_creating = |event: &Value| {
        event["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("module.hello.aws_lambda_function.this: Still creating"))
    };
    if running.wait_for_event(still_creating) {
        for _ in 0..2 {
            running.signal(Signal::INT);
            std::thread::sleep(Duration::from_millis(200));
        }
        running.wait().exits(130);
    } else {
        running.wait().exits(1).says("cargo xtask recover --env local");
    }
    assert_eq!(proxy.stop_losing(), 0, "no answer was lost");
    let refused = run(&RELEASE).exits(6).says("module.hello.aws_lambda_function.this");
    assert!(!refused.ran_step("apply"), "{refused}");
    run(&["recover", "--env", "local", "--yes"]).exits(0).says("imported 1 resource");
    // Lambda publishes no second version of the same code; the emulator does.
    run(&RELEASE).exits(0).says("hello 0.1.0 serves in local.");
    assert!(["1", "2"].contains(&&*project.account.alias("hello")));
    run(&["recover", "--env", "local", "--yes"]).exits(0).says("Nothing is left open in local.");
}

#[test]
fn state_that_is_lost_is_imported_by_recover_where_that_is_accepted() {
    let test_run = require!(TestRun::shared());
    let project = EchoProject::with_provider(test_run);
    project.run(&RELEASE).exits(0);
    let [_, state] = project.account.buckets();
    project.account.delete(&state, "hello.tfstate");
    project.run(&["status", "--env", "local"]).exits(0).says("⚠ hello in local: the state is gone");
    project.run(&RELEASE).exits(6).says("the state of `hello` in local is gone");
    project
        .run(&["recover", "--env", "local", "--yes"])
        .exits(0)
        .says("restore an earlier version of s3://")
        .says("cargo xtask recover --env local --accept-state");
    assert!(!project.account.keys(&state).contains(&"hello.tfstate".to_owned()), "nothing was imported");
    let accepting = ["release", "--env", "local", "--yes", "--accept-state"];
    project.run(&accepting).exits(6).says("cargo xtask recover --env local --accept-state");
    project
        .run(&["recover", "--env", "local", "--yes", "--accept-state"])
        .exits(0)
        .says("module.hello.aws_lambda_function.this: ")
        .says("imported 4 resources");
    project.run(&accepting).exits(0).says("hello 0.1.0 serves in local.");
    let status = project.run(&["status", "--env", "local", "--output", "json"]).exits(0).json();
    assert_eq!(status["data"]["environments"]["local"]["warnings"], json!([]));
    project.run(&RELEASE).exits(0).says("already serves");
}

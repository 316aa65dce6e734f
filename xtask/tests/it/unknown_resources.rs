//! What exists and no state knows: `recover` finds it by the plan, shows it and imports it, and the release continues.

use serde_json::json;

use super::support::EchoProject;
use super::support::TestRun;
use super::support::commands::RELEASE;
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

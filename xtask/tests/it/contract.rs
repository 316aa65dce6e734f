//! Stacks that break their contract: refused before anything is applied where the plan shows it, and before anything counts
//! as verified in any case. Nothing serves that did not verify, and the message names the line to write.

use serde_json::Value;

use super::support::commands::{RELEASE, ROLLBACK};
use super::support::{EchoProject, TestRun};
use crate::require;

const MODULE: &str = "terraform/modules/lambda-function/main.tf";
const ROLLOUT: &str = "terraform/modules/lambda-function/rollout.tf";
const STACK: &str = "terraform/stacks/echo/main.tf";

fn edit(project: &EchoProject, path: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(project.folder.join(path)).expect(path);
    assert!(text.contains(from), "{path} has no {from}");
    project.write(path, &text.replace(from, to));
    project.commit(&format!("build: {to}"));
}

fn ledger(project: &EchoProject) -> Vec<String> {
    let [_, state] = project.account.buckets();
    project
        .account
        .keys(&state)
        .into_iter()
        .filter(|key| key.starts_with("ledger/") && key.ends_with("ed.json"))
        .collect()
}

fn newest_deployment(project: &EchoProject) -> Value {
    let history = project.run(&["history", "--env", "local", "--output", "json"]).exits(0).json();
    history["data"]["deployments"][0].clone()
}

/// With the real provider: what a plan shows is refused before it is applied.
#[test]
fn stack_that_breaks_its_contract_is_refused_before_the_apply() {
    let test_run = require!(TestRun::shared());
    let project = EchoProject::with_provider(test_run);
    edit(&project, MODULE, "  publish = true", "  publish = false");
    let refused = project
        .run(&RELEASE)
        .exits(2)
        .says(&format!("{MODULE}: the resource \"aws_lambda_function\" \"this\" publishes no version"))
        .says("write in it: publish = true")
        .says("Nothing was changed.");
    assert!(!refused.ran_step("build"), "{refused}");
    // Where only the plan knows.
    edit(&project, MODULE, "  publish = false", "  publish = tobool(\"false\")");
    let refused = project
        .run(&RELEASE)
        .exits(6)
        .says("module.hello.aws_lambda_function.this")
        .says("$LATEST")
        .says("publish = true")
        .says("Nothing was applied.");
    assert!(!refused.ran_step("apply") && !refused.ran_step("verify"), "{refused}");
    assert_eq!(ledger(&project), Vec::<String>::new());
    edit(&project, MODULE, "  publish = tobool(\"false\")", "  publish = true");

    // An output that is sensitive works at the first run.
    let outputs = "terraform/stacks/hello/outputs.tf";
    edit(&project, outputs, "output \"functions\" {\n", "output \"functions\" {\n  sensitive = true\n");
    let first = project.run(&RELEASE).exits(0).says("hello 0.1.0 serves in local.");
    assert!(!first.to_string().contains("undo:"), "{first}");
    assert_eq!(ledger(&project).len(), 2);
    assert_eq!(newest_deployment(&project)["serves"]["hello"]["verified"], true);

    // The commonest mistake: Terraform moves the alias.
    edit(&project, ROLLOUT, "    ignore_changes = [function_version, routing_config]\n", "");
    project.change_code_of("hello");
    let refused = project
        .run(&RELEASE)
        .exits(6)
        .says("would move the alias `live` of `hello`")
        .says("module.hello.aws_lambda_alias.live")
        .says("ignore_changes = [function_version, routing_config]")
        .says("Nothing was applied.");
    assert!(!refused.ran_step("apply"), "{refused}");
    assert_eq!((project.account.alias("hello").as_str(), ledger(&project).len()), ("1", 2));
    edit(
        &project,
        ROLLOUT,
        "    # Terraform makes the alias",
        "    ignore_changes = [function_version, routing_config]\n    # Terraform makes the alias",
    );

    // A replacement deletes the function that serves.
    let main = "terraform/stacks/hello/main.tf";
    edit(&project, main, "-hello\"", "-hello-2\"");
    project
        .run(&RELEASE)
        .exits(6)
        .says("the plan would replace module.hello.aws_lambda_")
        .says("that `hello` is about to serve from")
        .says("Nothing was applied.");
    edit(&project, main, "-hello-2\"", "-hello\"");
    edit(&project, outputs, "output \"functions\"", "output \"function\"");
    project
        .run(&RELEASE)
        .exits(2)
        .says("has no output `functions`")
        .says("terraform/stacks/hello/outputs.tf");
    edit(&project, outputs, "output \"function\"", "output \"functions\"");
    assert_eq!((project.account.alias("hello").as_str(), ledger(&project).len()), ("1", 2));

    project
        .run(&RELEASE)
        .exits(0)
        .says("hello 0.2.0 serves in local.")
        .says("undo: cargo xtask rollback --env local (back to hello 0.1.0)");
    assert_eq!(project.account.alias("hello"), "2");
}

/// A script moves the alias, of which no plan says a word.
#[test]
fn alias_that_an_apply_moves_unseen_is_moved_back_and_refused() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    let first = newest_deployment(&project);
    let stack = std::fs::read_to_string(project.folder.join(STACK)).expect("the stack");
    let command = format!(
        "curl -sSf -X PUT -H 'X-Moto-Account-Id: {id}' -H 'Content-Type: application/json' -H 'Authorization: AWS4-HMAC-SHA256 Credential=AKIA0000000000000000/20261122/eu-central-1/lambda/aws4_request, SignedHeaders=host, Signature=0' -d '{{\\\"FunctionVersion\\\":\\\"2\\\"}}' http://127.0.0.1:{port}/2015-03-31/functions/{name}/aliases/live",
        id = project.account.id,
        port = project.emulator_port(),
        name = project.account.function_name("echo"),
    );
    let moves = format!(
        "\nresource \"terraform_data\" \"moves\" {{\n  triggers_replace = local.code\n\n  provisioner \"local-exec\" {{\n    command = \"{command}\"\n  }}\n}}\n"
    );
    project.write(STACK, &format!("{stack}{moves}"));
    project.change_code();
    let refused = project
        .run(&RELEASE)
        .exits(6)
        .says("the apply moved the alias `live` of `echo` from version 1 to 2")
        .says("Slipway moved it back")
        .says("ignore_changes");
    assert!(!refused.ran_step("verify"), "{refused}");
    assert_eq!(project.account.alias("echo"), "1");
    let ended = newest_deployment(&project);
    assert_eq!(ended["outcome"], "failed");
    assert_eq!(ended["serves"]["echo"], first["serves"]["echo"]);
    assert!(project.run(&["local", "invoke"]).exits(0).stdout.contains("\"one\""));
}

/// The version that fails its smoke event serves, because Terraform created the alias on it.
#[test]
fn first_deployment_that_does_not_verify_is_recorded_as_it_serves() {
    let project = require!(EchoProject::new());
    let function = "lambda-src/echo/function.toml";
    edit(&project, function, "expect = { event = { word = \"hello\" } }", "expect = { says = \"three\" }");
    let failed = project.run(&RELEASE).exits(5);
    let failed = failed.says("This was the first deployment of `echo`: its alias `live` points to version 1, which did not verify.");
    assert!(!failed.ran_step("rollout"), "{failed}");
    let ended = newest_deployment(&project);
    assert_eq!(ended["outcome"], "verification_failed");
    assert_eq!(ended["serves"]["echo"]["verified"], false);
    project.run(&["status", "--env", "local"]).exits(0).says("serves and was not verified");
    project.run(&ROLLBACK).exits(6).says("served no verified release before it");
    edit(&project, function, "expect = { says = \"three\" }", "expect = { event = { word = \"hello\" } }");
    project.run(&RELEASE).exits(0);
    assert_eq!(newest_deployment(&project)["serves"]["echo"]["verified"], true);
}

//! Several stacks: applied in the order of their dependencies, with values passed on; a failure names the stacks that it
//! stops.

use serde_json::Value;

use super::support::TestRun;
use super::support::commands::RELEASE;
use super::support::sandbox::{AutoStop, Sandbox, init_repository};
use super::support::settings_files::write_local_project;
use super::support::skip::Missing;
use crate::require;

const BASE: &str = r#"terraform {
  backend "s3" {}
}

variable "ids" {
  type = list(string)
}

variable "broken" {
  type    = bool
  default = false
}

resource "terraform_data" "ids" {
  input = var.ids

  lifecycle {
    precondition {
      condition     = !var.broken
      error_message = "The base is broken."
    }
  }
}

output "ids" {
  value = terraform_data.ids.output
}
"#;

const APP: &str = r#"terraform {
  backend "s3" {}
}

variable "subnet_ids" {
  type = list(string)
}

resource "terraform_data" "app" {
  input = join(",", var.subnet_ids)
}

output "joined" {
  value = terraform_data.app.output
}
"#;

const ALONE: &str = r#"terraform {
  backend "s3" {}
}

resource "terraform_data" "alone" {
  input = "alone"
}
"#;

/// A project of three stacks and no function: `app` uses an output of `base`, `alone` uses none.
fn three_stacks() -> Result<AutoStop, Missing> {
    let sandbox = AutoStop(Sandbox::new(TestRun::shared()?));
    write_local_project(&sandbox, "shop", "");
    for (path, text) in [
        ("terraform/environments/local/base.tfvars", "ids = [\"a\", \"b\"]\n"),
        ("terraform/stacks/base/main.tf", BASE),
        ("terraform/stacks/base/stack.toml", ""),
        ("terraform/stacks/app/main.tf", APP),
        ("terraform/stacks/app/stack.toml", "[inputs]\nsubnet_ids = \"base.ids\"\n"),
        ("terraform/stacks/alone/main.tf", ALONE),
        ("terraform/stacks/alone/stack.toml", ""),
    ] {
        sandbox.write(path, text);
    }
    init_repository(&sandbox.folder);
    Ok(sandbox)
}

fn output(project: &Sandbox, stack: &str, name: &str) -> Value {
    let outputs = project.run(&["output", "--env", "local", "--output", "json"]).exits(0).json();
    outputs["data"]["stacks"][stack][name]["value"].clone()
}

#[test]
fn stack_output_is_passed_to_dependent_stacks_and_its_changes_are_applied() {
    let project = require!(three_stacks());
    project.run(&["local", "up"]).exits(0);
    project
        .run(&["plan", "--env", "local"])
        .exits(0)
        .says("app in local  waits for `base`, which is not applied there")
        .says("base in local  +1 ~0 -0");
    let first =
        project.run(&RELEASE).exits(0).says("app is applied in local.").says("alone is applied in local.");
    let events = first.events();
    let at = |label: &str, title: &str| {
        events.iter().position(|event| event["label"] == label && event["title"].as_str() == Some(title))
    };
    assert!(at("apply", "base in local") < at("plan", "app in local"), "{first}");
    assert_eq!(output(&project, "app", "joined"), "a,b");

    let again =
        project.run(&RELEASE).exits(0).says("alone, base and app are up to date in local (plan skipped");
    assert!(!again.ran_step("plan"), "{again}");

    // Only the base is named: the stack that uses its output is applied too, the other one is not.
    project.write("terraform/environments/local/base.tfvars", "ids = [\"a\", \"b\", \"c\"]\n");
    let changed = project
        .run(&["deploy", "--stack", "base", "--env", "local", "--yes"])
        .exits(0)
        .says("app takes `base.ids`, which changed")
        .says("app is applied in local.");
    assert!(!changed.stdout.contains("alone"), "{changed}");
    assert_eq!(output(&project, "app", "joined"), "a,b,c");
    let again = project.run(&["deploy", "--stack", "base", "--env", "local", "--yes"]).exits(0);
    assert!(!again.ran_step("plan") && !again.stdout.contains("app"), "{again}");
}

#[test]
fn dependents_of_a_failed_stack_are_not_started() {
    let project = require!(three_stacks());
    project.write("terraform/environments/local/base.tfvars", "ids = [\"a\"]\nbroken = true\n");
    let failed = project
        .run(&RELEASE)
        .exits(1)
        .says("The base is broken.")
        .says("not started")
        .says("app (needs base)")
        .says("alone is applied in local.");
    assert!(failed.ran_step("apply"), "{failed}");
    // The same command continues once the stack is repaired.
    project.write("terraform/environments/local/base.tfvars", "ids = [\"a\"]\n");
    project.run(&RELEASE).exits(0).says("app is applied in local.").says("alone is up to date in local");
    assert_eq!(output(&project, "app", "joined"), "a");
}

#[test]
fn invalid_stack_dependencies_and_inputs_are_named() {
    let project = require!(three_stacks());
    let app = "terraform/stacks/app/stack.toml";
    project.write("terraform/stacks/base/stack.toml", "after = [\"app\"]\n");
    project.run(&RELEASE).exits(2).says("stacks depend on each other: `app` -> `base` -> `app`");
    project.write("terraform/stacks/base/stack.toml", "");

    project.write(app, "[inputs]\nsubnet_ids = \"base.subnets\"\n");
    project.run(&RELEASE).exits(2).says("names an output that `base` does not have in local").says("ids");
    project.write(app, "[inputs]\nsubnets = \"base.ids\"\n");
    project.run(&RELEASE).exits(2).says("[inputs] fills `subnets`, which the stack does not declare");
    project.write(app, "[inputs]\nsubnet_ids = \"base.ids\"\n");

    project.write("terraform/environments/local/app.tfvars", "sise = 1\n");
    project.run(&RELEASE).exits(2).says("app.tfvars").says("sise");
    project.write("terraform/environments/local/app.tfvars", "");
    project.run(&RELEASE).exits(0).says("app is applied in local.");
    project.run(&["deploy", "--stack", "ap", "--env", "local"]).exits(2).says("unknown stack `ap`");
}

#[test]
fn stacks_are_destroyed_in_reverse_order_and_can_be_released_again() {
    let project = require!(three_stacks());
    project
        .run(&["destroy", "--env", "local", "--yes"])
        .exits(0)
        .says("local is not running: nothing was looked at");
    project.run(&RELEASE).exits(0);
    project
        .run(&["destroy", "--env", "local", "--stack", "base", "--yes"])
        .exits(6)
        .says("`app` is applied in local and needs `base`")
        .says("Nothing was destroyed.");
    project.run(&["destroy", "--env", "local"]).exits(6).says("there is no terminal to ask at");
    assert_eq!(output(&project, "app", "joined"), "a,b");

    project.write("terraform/environments/local/environment.toml", "emulated = true\nprotected = true\n");
    project
        .run(&["destroy", "--env", "local", "--yes"])
        .exits(6)
        .says("`local` is protected, and its name was not confirmed")
        .says("--confirm 'local'");
    let destroyed = project
        .run(&["destroy", "--env", "local", "--yes", "--confirm", "local"])
        .exits(0)
        .says("app in local is destroyed: 1 resource removed.")
        .says("base in local is destroyed: 1 resource removed.");
    let events = destroyed.events();
    let at = |title: &str| {
        events.iter().position(|event| event["label"] == "apply" && event["title"].as_str() == Some(title))
    };
    assert!(at("app in local").is_some() && at("app in local") < at("base in local"), "{destroyed}");
    project.run(&["history", "--env", "local"]).exits(0).says("destroyed");

    project.write("terraform/environments/local/environment.toml", "emulated = true\n");
    project.run(&["destroy", "--env", "local", "--yes"]).exits(0).says("No stack is applied in local.");
    project.run(&RELEASE).exits(6).says("protected = true before, now false");
    let release = [&RELEASE[..], &["--accept-weaker-trust"]].concat();
    project.run(&release).exits(0).says("app is applied in local.");
    assert_eq!(output(&project, "app", "joined"), "a,b");
}

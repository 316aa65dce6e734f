//! Several stacks: applied in the order of their needs, with values handed on, and each failure told with what it stops.

use serde_json::Value;

use super::support::guard;
use super::support::world::{Ending, Sealed, repository_in};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];

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

/// A project of three stacks and no function: `app` takes a value of `base`, `alone` takes none.
fn system() -> Option<Ending> {
    let sealed = Ending(Sealed::new(guard::run()?));
    for (path, text) in [
        ("pipelines/project.toml", "schema = 1\nname = \"shop\"\n"),
        (".gitignore", "/target/\n**/.terraform/\n"),
        ("terraform/environments/local/environment.toml", "emulated = true\n"),
        ("terraform/environments/local/base.tfvars", "ids = [\"a\", \"b\"]\n"),
        ("terraform/stacks/base/main.tf", BASE),
        ("terraform/stacks/base/stack.toml", ""),
        ("terraform/stacks/app/main.tf", APP),
        ("terraform/stacks/app/stack.toml", "[inputs]\nsubnet_ids = \"base.ids\"\n"),
        ("terraform/stacks/alone/main.tf", ALONE),
        ("terraform/stacks/alone/stack.toml", ""),
    ] {
        sealed.write(path, text);
    }
    repository_in(&sealed.project);
    Some(sealed)
}

fn output(world: &Sealed, stack: &str, name: &str) -> Value {
    let outputs = world.run(&["output", "--env", "local", "--output", "json"]).exits(0).json();
    outputs["data"]["stacks"][stack][name]["value"].clone()
}

#[test]
fn a_value_is_handed_on_and_a_change_of_it_is_followed() {
    let Some(world) = system() else { return };
    world.run(&["local", "up"]).exits(0);
    world
        .run(&["plan", "--env", "local"])
        .exits(0)
        .says("app in local  waits for `base`, which is not applied there")
        .says("base in local  +1 ~0 -0");
    let first =
        world.run(&RELEASE).exits(0).says("app is applied in local.").says("alone is applied in local.");
    let events = first.events();
    let at = |label: &str, title: &str| {
        events.iter().position(|event| event["label"] == label && event["title"].as_str() == Some(title))
    };
    assert!(at("apply", "base in local") < at("plan", "app in local"), "{first}");
    assert_eq!(output(&world, "app", "joined"), "a,b");

    let again = world.run(&RELEASE).exits(0).says("app is up to date in local (plan skipped");
    assert!(!again.did("plan"), "{again}");

    // Only the base is named; what takes its value follows, and what does not is left alone.
    world.write("terraform/environments/local/base.tfvars", "ids = [\"a\", \"b\", \"c\"]\n");
    let changed = world
        .run(&["deploy", "--stack", "base", "--env", "local", "--yes"])
        .exits(0)
        .says("app takes `base.ids`, which changed")
        .says("app is applied in local.");
    assert!(!changed.stdout.contains("alone"), "{changed}");
    assert_eq!(output(&world, "app", "joined"), "a,b,c");
    let again = world.run(&["deploy", "--stack", "base", "--env", "local", "--yes"]).exits(0);
    assert!(!again.did("plan") && !again.stdout.contains("app"), "{again}");
}

#[test]
fn what_needs_a_stack_that_failed_is_not_started() {
    let Some(world) = system() else { return };
    world.write("terraform/environments/local/base.tfvars", "ids = [\"a\"]\nbroken = true\n");
    let failed = world
        .run(&RELEASE)
        .exits(1)
        .says("The base is broken.")
        .says("not started")
        .says("app (needs base)")
        .says("alone is applied in local.");
    assert!(failed.did("apply"), "{failed}");
    // The same command carries on once it is repaired.
    world.write("terraform/environments/local/base.tfvars", "ids = [\"a\"]\n");
    world.run(&RELEASE).exits(0).says("app is applied in local.").says("alone is up to date in local");
    assert_eq!(output(&world, "app", "joined"), "a");
}

#[test]
fn mistakes_in_what_stacks_need_are_named() {
    let Some(world) = system() else { return };
    let app = "terraform/stacks/app/stack.toml";
    world.write("terraform/stacks/base/stack.toml", "after = [\"app\"]\n");
    world.run(&RELEASE).exits(2).says("stacks depend on each other: `app` -> `base` -> `app`");
    world.write("terraform/stacks/base/stack.toml", "");

    world.write(app, "[inputs]\nsubnet_ids = \"base.subnets\"\n");
    world.run(&RELEASE).exits(2).says("names an output that `base` does not have in local").says("ids");
    world.write(app, "[inputs]\nsubnets = \"base.ids\"\n");
    world.run(&RELEASE).exits(2).says("[inputs] fills `subnets`, which the stack does not declare");
    world.write(app, "[inputs]\nsubnet_ids = \"base.ids\"\n");

    world.write("terraform/environments/local/app.tfvars", "sise = 1\n");
    world.run(&RELEASE).exits(2).says("app.tfvars").says("sise");
    world.write("terraform/environments/local/app.tfvars", "");
    world.run(&RELEASE).exits(0).says("app is applied in local.");
    world.run(&["deploy", "--stack", "ap", "--env", "local"]).exits(2).says("unknown stack `ap`");
}

#[test]
fn stacks_are_destroyed_in_reverse_and_come_up_again() {
    let Some(world) = system() else { return };
    world.run(&["destroy", "--env", "local", "--yes"]).exits(0).says("Nothing stands in local.");
    world.run(&RELEASE).exits(0);
    world
        .run(&["destroy", "--env", "local", "--stack", "base", "--yes"])
        .exits(6)
        .says("`app` stands in local and needs `base`")
        .says("Nothing was destroyed.");
    world.run(&["destroy", "--env", "local"]).exits(6).says("there is no terminal to ask at");
    assert_eq!(output(&world, "app", "joined"), "a,b");

    world.write("terraform/environments/local/environment.toml", "emulated = true\nprotected = true\n");
    world
        .run(&["destroy", "--env", "local", "--yes"])
        .exits(6)
        .says("`local` is protected, and its name was not confirmed")
        .says("--confirm 'local'");
    let gone = world
        .run(&["destroy", "--env", "local", "--yes", "--confirm", "local"])
        .exits(0)
        .says("app in local is destroyed: 1 resource removed.")
        .says("base in local is destroyed: 1 resource removed.");
    let events = gone.events();
    let at = |title: &str| {
        events.iter().position(|event| event["label"] == "apply" && event["title"].as_str() == Some(title))
    };
    assert!(at("app in local").is_some() && at("app in local") < at("base in local"), "{gone}");
    world.run(&["history", "--env", "local"]).exits(0).says("destroyed");

    world.write("terraform/environments/local/environment.toml", "emulated = true\n");
    world.run(&["destroy", "--env", "local", "--yes"]).exits(0).says("Nothing stands in local.");
    world.run(&RELEASE).exits(0).says("app is applied in local.");
    assert_eq!(output(&world, "app", "joined"), "a,b");
}

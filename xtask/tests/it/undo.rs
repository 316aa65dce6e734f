//! A rollback undoes what it says: exactly what the newest deployment changed, and only where something can be undone.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::support::TestRun;
use super::support::commands::{RELEASE, ROLLBACK};
use super::support::process::Finished;
use super::support::sandbox::{AutoStop, Sandbox, init_repository};
use super::support::settings_files::write_local_project;
use super::support::skip::Missing;
use crate::require;

const STACK: &str = r#"terraform {
  backend "s3" {}
}

variable "environment" {
  type = object({ name = string, project = string, account_id = string, region = string })
}

variable "releases" {
  type = map(object({ version = string, code = object({ sha256 = string }) }))
}

variable "versions" {
  type = map(string)
}

variable "note" {
  type    = string
  default = ""
}

resource "terraform_data" "note" {
  input = var.note
}

output "functions" {
  value = {
    for name, release in var.releases : name => {
      function_name = "${var.environment.project}-${var.environment.account_id}-${var.environment.name}-${name}"
      alias         = "live"
      version       = var.versions[release.code.sha256]
      code_sha256   = release.code.sha256
    }
  }
}
"#;

const FUNCTION: &str = r#"runtime = "provided.al2023"
architecture = "x86_64"

[build]
with = "command"
run = "sh build.sh"
output = "dist"
allow = ["**"]
"#;

/// Two functions in one stack; each of their codes is published in the account already.
struct Two {
    sandbox: AutoStop,
}

impl std::ops::Deref for Two {
    type Target = AutoStop;

    fn deref(&self) -> &AutoStop {
        &self.sandbox
    }
}

impl Two {
    fn new() -> Result<Self, Missing> {
        let sandbox = AutoStop(Sandbox::new(TestRun::shared()?));
        write_local_project(&sandbox, "echo", "dist/\n");
        sandbox.write("terraform/stacks/two/main.tf", STACK);
        sandbox.write("terraform/stacks/two/stack.toml", "functions = [\"orders\", \"prices\"]\n");
        let project = Self { sandbox };
        for function in ["orders", "prices"] {
            project.write(&format!("lambda-src/{function}/function.toml"), FUNCTION);
            project.write_code(function, 1);
        }
        init_repository(&project.folder);
        let mut versions = String::new();
        for function in ["orders", "prices"] {
            let zips = [1, 2, 3].map(|code| project.build(function, code));
            let zips: Vec<&[u8]> = zips.iter().map(Vec::as_slice).collect();
            project.account.create_function(function, &zips);
            for (index, zip) in zips.iter().enumerate() {
                let code = BASE64_STANDARD.encode(Sha256::digest(zip));
                versions.push_str(&format!("  \"{code}\" = \"{}\"\n", index + 1));
            }
            project.write_code(function, 1);
        }
        project.write_values(&versions, "");
        Ok(project)
    }

    fn write_values(&self, versions: &str, note: &str) {
        let path = "terraform/environments/local/two.tfvars";
        self.write(path, &format!("note = \"{note}\"\nversions = {{\n{versions}}}\n"));
        self.commit("build: values");
    }

    fn write_code(&self, function: &str, code: u32) {
        let path = format!("lambda-src/{function}/build.sh");
        self.write(&path, &format!("mkdir -p dist && echo '#!/bin/sh\n# {function} {code}' > dist/bootstrap && chmod 755 dist/bootstrap\n"));
    }

    fn build(&self, function: &str, code: u32) -> Vec<u8> {
        self.write_code(function, code);
        let built = self.run(&["build", function, "--output", "json"]).exits(0).json();
        let path = built["data"]["artifacts"][0]["path"].as_str().expect("the zip's path").to_owned();
        std::fs::read(path).expect("the zip")
    }

    fn change(&self, function: &str, code: u32) {
        self.write_code(function, code);
        self.commit(&format!("feat: {function} {code}"));
    }

    fn aliases(&self) -> [String; 2] {
        ["orders", "prices"].map(|function| self.account.alias(function))
    }

    fn release(&self) -> Finished {
        self.run(&RELEASE).exits(0)
    }
}

#[test]
fn rollback_takes_back_exactly_what_the_newest_deployment_changed() {
    let project = require!(Two::new());
    let first = project.release();
    assert!(!first.to_string().contains("undo:"), "{first}");
    project.run(&ROLLBACK).exits(6).says("is the only verified release");
    project.change("orders", 2);
    project.change("prices", 2);
    project.release().says("undo: cargo xtask rollback --env local (back to orders 0.1.0 and prices 0.1.0)");
    project.change("prices", 3);
    project.release().says("undo: cargo xtask rollback --env local (back to prices 0.2.0)");
    assert_eq!(project.aliases(), ["2", "3"]);

    let done = project.run(&ROLLBACK).exits(0).says("prices 0.2.0 serves in local again.");
    assert!(
        done.to_string().contains("prices 0.3.0 is on hold") && !done.to_string().contains("orders 0.2.0 is"),
        "{done}"
    );
    assert_eq!(project.aliases(), ["2", "2"]);

    // Configuration alone: there is no release to undo, and no line says so.
    let path = "terraform/environments/local/two.tfvars";
    let values = std::fs::read_to_string(project.folder.join(path)).expect("the values");
    project.write(path, &values.replace("note = \"\"", "note = \"more\""));
    project.commit("build: a note");
    let applied =
        project.run(&["deploy", "--stack", "two", "--env", "local", "--yes"]).exits(0).says("Deployment 5");
    assert!(!applied.to_string().contains("undo:"), "{applied}");
    project
        .run(&ROLLBACK)
        .exits(6)
        .says("deployment 5 changed no release in local")
        .says("Nothing was changed.");
    assert_eq!(project.aliases(), ["2", "2"]);
    // Both by name at once. What a rollback brought goes further back only by its version.
    project
        .run(&["rollback", "orders", "prices", "--env", "local", "--yes"])
        .exits(0)
        .says("orders 0.1.0 serves in local again.")
        .says("prices stays: rollback 4 brought 0.2.0 back (further back: cargo xtask rollback prices --env local --to 0.1.0).");
    assert_eq!(project.aliases(), ["1", "2"]);
    project.run(&["rollback", "prices", "--env", "local", "--to", "0.1.0", "--yes"]).exits(0);
    assert_eq!(project.aliases(), ["1", "1"]);
}

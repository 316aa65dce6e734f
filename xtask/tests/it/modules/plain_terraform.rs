//! Terraform's modules without Slipway: a root module of another team, and each module's examples, applied by Terraform alone.
//!
//! In: a copy of all modules behind a gateway, in one account. Out: nothing in that account. Goes wrong: an alias or an event
//! source that does not follow Terraform, an example that is not complete, or that a second plan would change.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::{Fixture, folders, remaining};
use crate::require;
use crate::support::TestRun;
use crate::support::sandbox::{AutoStop, Sandbox};

const NAME: &str = "slipway-modules-plain";

/// Zips with one file, index.py, whose `handle` returns "one" or "two"; and their SHA-256 as Lambda reports it.
const ZIPS: [(&str, &str); 2] = [
    (
        "UEsDBBQAAAAAAAAAIQBicoKSLQAAAC0AAAAIAAAAaW5kZXgucHlkZWYgaGFuZGxlKGV2ZW50LCBjb250ZXh0KToKICAgIHJldHVybiAib25lIgpQSwECFAMUAAAAAAAAACEAYnKCki0AAAAtAAAACAAAAAAAAAAAAAAApAEAAAAAaW5kZXgucHlQSwUGAAAAAAEAAQA2AAAAUwAAAAAA",
        "cM8JLoWiEnL+5Eh+qMksOMO6s8g+e+MKCOODbLiJQfk=",
    ),
    (
        "UEsDBBQAAAAAAAAAIQAySTSlLQAAAC0AAAAIAAAAaW5kZXgucHlkZWYgaGFuZGxlKGV2ZW50LCBjb250ZXh0KToKICAgIHJldHVybiAidHdvIgpQSwECFAMUAAAAAAAAACEAMkk0pS0AAAAtAAAACAAAAAAAAAAAAAAApAEAAAAAaW5kZXgucHlQSwUGAAAAAAEAAQA2AAAAUwAAAAAA",
        "knFrxYLcahHy2SkvySCz3EZFcoquDJNiJhJ6gJEM/+E=",
    ),
];

/// A team's root module: two modules, which know nothing of Slipway here.
const ROOT: &str = r#"
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {}

variable "name" { type = string }
variable "zip" { type = string }

resource "aws_dynamodb_table" "orders" {
  name             = "${var.name}-orders"
  billing_mode     = "PAY_PER_REQUEST"
  hash_key         = "id"
  stream_enabled   = true
  stream_view_type = "NEW_IMAGE"

  attribute {
    name = "id"
    type = "S"
  }
}

module "role" {
  source = "../function-role"

  name           = var.name
  function_names = [var.name]
  policies = {
    orders = [
      { actions = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"], resources = [aws_dynamodb_table.orders.stream_arn] },
      { actions = ["dynamodb:ListStreams"], resources = ["*"] },
    ]
  }
}

module "function" {
  source = "../lambda-function"

  name      = var.name
  rollout   = "terraform"
  make_role = false
  role_arn  = module.role.arn

  release = {
    runtime = "python3.13"
    handler = "index.handle"
    code    = { filename = var.zip, sha256 = filebase64sha256(var.zip) }
  }

  event_sources = { orders = { event_source_arn = aws_dynamodb_table.orders.stream_arn, batch_size = 5 } }
}
"#;

fn fixture(test_run: &'static TestRun) -> Fixture {
    Fixture::new(AutoStop(Sandbox::new(test_run)), test_run.machine)
}

impl Fixture {
    /// Runs a command of Terraform that must succeed.
    fn succeeds(&self, folder: &str, arguments: &[&str]) {
        let ended = self.terraform(folder, arguments);
        assert_eq!(ended.code, Some(0), "{folder}: {ended}");
    }

    /// Reads from Lambda what is at a path.
    fn lambda(&self, path: &str) -> Value {
        let response = self.sandbox.account.call("lambda", "GET", path, "application/json", b"");
        // The emulator answers 201 where it returns an alias.
        assert!(response.status < 300, "{path}: {} {}", response.status, response.text());
        response.json()
    }
}

/// Returns the event source mapping in a state: what the provider last read from Lambda.
fn mapping(state: &Path) -> Value {
    let state: Value = serde_json::from_slice(&fs::read(state).expect("the state")).expect("JSON");
    let resources = state["resources"].as_array().expect("the resources");
    let mapping = resources.iter().find(|resource| resource["type"] == "aws_lambda_event_source_mapping");
    mapping.expect("a mapping")["instances"][0]["attributes"].clone()
}

#[test]
fn alias_and_event_source_follow_terraform_in_one_apply() {
    let fixture = fixture(require!(TestRun::shared()));
    let root = fixture.modules.join("plain");
    fs::create_dir(&root).expect("a folder");
    fs::write(root.join("main.tf"), ROOT).expect("the root module");
    for (index, (zip, _)) in ZIPS.iter().enumerate() {
        let bytes = BASE64_STANDARD.decode(zip).expect("a zip");
        fs::write(root.join(format!("{index}.zip")), bytes).expect("the zip");
    }
    fixture.succeeds("plain", &["init", "-input=false", "-no-color"]);
    for (index, (_, sha256)) in ZIPS.iter().enumerate() {
        let (name, zip) = (format!("-var=name={NAME}"), format!("-var=zip={index}.zip"));
        fixture.succeeds("plain", &["apply", "-auto-approve", "-input=false", "-no-color", &name, &zip]);

        let function = format!("/2015-03-31/functions/{NAME}");
        let alias = fixture.lambda(&format!("{function}/aliases/live"));
        assert_eq!(alias["FunctionVersion"], (index + 1).to_string(), "{alias}");
        let serving = fixture.lambda(&format!("{function}/configuration?Qualifier=live"));
        assert_eq!(serving["CodeSha256"], *sha256, "{serving}");
        assert_eq!(serving["Role"], format!("arn:aws:iam::{}:role/{NAME}", fixture.sandbox.account.id));
        let mapping = mapping(&root.join("terraform.tfstate"));
        assert_eq!(mapping["state"], "Enabled", "{mapping}");
        assert_eq!(mapping["function_arn"], alias["AliasArn"], "{mapping}");
        // Nothing is left for a second apply.
        fixture.succeeds("plain", &["plan", "-detailed-exitcode", "-input=false", "-no-color", &name, &zip]);
    }
    let (name, zip) = (format!("-var=name={NAME}"), "-var=zip=1.zip");
    fixture.succeeds("plain", &["destroy", "-auto-approve", "-input=false", "-no-color", &name, zip]);
    assert_eq!(remaining(&fixture.sandbox.account), Vec::<String>::new(), "something is left");
}

#[test]
fn every_example_is_applied_and_destroyed() {
    let fixture = fixture(require!(TestRun::shared()));
    let mut applied = Vec::new();
    for module in folders(&fixture.modules) {
        let module = module.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for example in folders(&fixture.modules.join(&module).join("examples")) {
            let example = example.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let folder = format!("{module}/examples/{example}");
            let main = fs::read_to_string(fixture.modules.join(&folder).join("main.tf")).expect("an example");
            let mut variables = Vec::new();
            if main.contains("variable \"name\"") {
                variables.push(format!("-var=name=slipway-modules-{example}"));
            }
            if main.contains("variable \"emulated\"") {
                variables.push("-var=emulated=true".to_owned());
            }
            let run = |arguments: &[&str]| {
                let options =
                    ["-input=false", "-no-color"].into_iter().chain(variables.iter().map(String::as_str));
                let arguments: Vec<&str> = arguments.iter().copied().chain(options).collect();
                fixture.succeeds(&folder, &arguments);
            };
            fixture.succeeds(&folder, &["init", "-input=false", "-no-color"]);
            run(&["apply", "-auto-approve"]);
            run(&["plan", "-detailed-exitcode"]);
            run(&["destroy", "-auto-approve"]);
            applied.push(folder);
        }
    }
    for module in ["function-role", "lambda-function"] {
        for example in ["complete", "minimal"] {
            let folder = format!("{module}/examples/{example}");
            assert!(applied.contains(&folder), "{folder} is missing among {applied:?}");
        }
    }
    assert_eq!(remaining(&fixture.sandbox.account), Vec::<String>::new(), "something is left");
}

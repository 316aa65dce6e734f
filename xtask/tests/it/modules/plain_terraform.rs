//! Terraform's modules without Slipway: a root module of another team, and each module's examples, applied by Terraform alone.
//!
//! In: a copy of all modules behind a gateway, in one account. Out: nothing in that account. Goes wrong: an alias or an event
//! source that does not follow Terraform, a state of an earlier version whose resources would be created again, a module
//! without both examples, an example that a second plan would change.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::{Fixture, PARALLEL, folders, remaining};
use crate::require;
use crate::support::TestRun;
use crate::support::sandbox::{AutoStop, Sandbox};

const NAME: &str = "slipway-modules-plain";

/// What each module has, by its folder below examples/.
const EXAMPLES: [&str; 2] = ["complete", "minimal"];
/// Examples that cannot be applied on the emulator, and why. They are planned only.
const PLANNED: [(&str, &str); 1] =
    [("budget/examples/minimal", "moto answers 500 to every call about budgets")];
/// Examples that leave something out on the emulator (their variable `emulated`), and what and why.
const REDUCED: [(&str, &str); 15] = [
    ("artifact-store/examples/complete", BUCKET),
    ("artifact-store/examples/minimal", BUCKET),
    ("budget/examples/complete", "the budget: moto answers 500 to every call about budgets"),
    ("function-url/examples/complete", URL),
    ("function-url/examples/minimal", URL),
    ("kms-key/examples/complete", "the period of the rotation: moto does not store it"),
    (
        "lambda-function/examples/complete",
        "queues as sources, format and level of logs, provisioned concurrency",
    ),
    ("private-bucket/examples/complete", BUCKET),
    ("private-bucket/examples/minimal", BUCKET),
    ("publisher-role/examples/complete", BUCKET),
    ("publisher-role/examples/minimal", BUCKET),
    ("s3-bucket/examples/complete", BUCKET),
    ("s3-bucket/examples/minimal", BUCKET),
    ("state-backend/examples/complete", BUCKET),
    ("state-backend/examples/minimal", BUCKET),
];
const BUCKET: &str =
    "refusals of policies, because moto ignores conditions; lifecycle rules, because they take it a minute";
const URL: &str = "the second permission, because moto's CloudFormation cannot create it";
/// The example whose table DynamoDB refuses to delete: before the destroy this file switches that off in the copied module.
const PROTECTED: (&str, &str, &str) = (
    "state-backend/examples/complete",
    "state-backend/unprotected_override.tf",
    "variable \"deletion_protection\" {\n  default = false\n}\n",
);
/// Modules whose examples create the account's one OIDC provider of GitHub: they run one after another.
const ONE_PROVIDER: [&str; 2] = ["ci-roles", "publisher-role"];

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

variable "rollout" {
  type    = string
  default = "terraform"
}

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
  rollout   = var.rollout
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

/// Returns the addresses of a plan whose objects would be created or deleted.
fn recreated(plan: &Value) -> Vec<&str> {
    let changes = plan["resource_changes"].as_array().expect("the changes");
    let created_or_deleted = |change: &&Value| {
        let actions = change["change"]["actions"].as_array().expect("the actions");
        actions.iter().any(|action| action == "create" || action == "delete")
    };
    changes.iter().filter(created_or_deleted).filter_map(|change| change["address"].as_str()).collect()
}

/// lambda-function is the one module whose addresses changed: its alias has an index since 1.0.0.
#[test]
fn a_state_of_an_earlier_version_or_another_rollout_keeps_its_resources() {
    let fixture = fixture(require!(TestRun::shared()));
    let root = fixture.modules.join("moved");
    fs::create_dir(&root).expect("a folder");
    fs::write(root.join("main.tf"), ROOT).expect("the root module");
    fs::write(root.join("0.zip"), BASE64_STANDARD.decode(ZIPS[0].0).expect("a zip")).expect("the zip");
    let name = format!("-var=name={NAME}-moved");
    let run = |arguments: &[&str], rollout: &str| {
        let rollout = format!("-var=rollout={rollout}");
        let options = ["-input=false", "-no-color", &name, "-var=zip=0.zip", &rollout];
        let arguments: Vec<&str> = arguments.iter().copied().chain(options).collect();
        fixture.succeeds("moved", &arguments);
    };
    let planned = |rollout: &str| -> Value {
        run(&["plan", "-out=plan"], rollout);
        let shown = fixture.terraform("moved", &["show", "-json", "plan"]);
        serde_json::from_str(&shown.stdout).unwrap_or_else(|error| panic!("{error}: {shown}"))
    };
    let move_in_state = |from: &str, to: &str| fixture.succeeds("moved", &["state", "mv", from, to]);
    fixture.succeeds("moved", &["init", "-input=false", "-no-color"]);
    run(&["apply", "-auto-approve"], "external");

    // An apply of an earlier version left the alias without an index.
    let alias = "module.function.aws_lambda_alias.live";
    move_in_state(&format!("{alias}[0]"), alias);
    let plan = planned("external");
    assert_eq!(recreated(&plan), Vec::<&str>::new());
    let changes = plan["resource_changes"].as_array().expect("the changes");
    let change = changes.iter().find(|change| change["address"] == format!("{alias}[0]")).expect("the alias");
    assert_eq!(change["previous_address"], alias, "{change}");
    run(&["apply", "-auto-approve"], "external");
    run(&["plan", "-detailed-exitcode"], "external");

    // Another rollout, without and with the commands of the module's README.
    let following = "module.function.aws_lambda_alias.following[0]";
    let mapping = |of: &str| format!("module.function.aws_lambda_event_source_mapping.{of}[\"orders\"]");
    let created = planned("terraform");
    assert!(recreated(&created).contains(&following), "{:?}", recreated(&created));
    move_in_state(&format!("{alias}[0]"), following);
    move_in_state(&mapping("this"), &mapping("following"));
    assert_eq!(recreated(&planned("terraform")), Vec::<&str>::new());
    run(&["apply", "-auto-approve"], "terraform");
    run(&["plan", "-detailed-exitcode"], "terraform");
    run(&["destroy", "-auto-approve"], "terraform");
    assert_eq!(remaining(&fixture.sandbox.account), Vec::<String>::new(), "something is left");
}

/// Returns the paths of all examples, or an error that names the modules that lack one.
fn examples(modules: &Path) -> Result<Vec<String>, String> {
    let name = |folder: &PathBuf| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut examples = Vec::new();
    for module in folders(modules) {
        let found: Vec<String> = folders(&module.join("examples")).iter().map(name).collect();
        if found != EXAMPLES {
            return Err(format!("{} has the examples {found:?}, not {EXAMPLES:?}", name(&module)));
        }
        examples.extend(found.iter().map(|example| format!("{}/examples/{example}", name(&module))));
    }
    Ok(examples)
}

impl Fixture {
    /// Applies an example, plans it again without a change, and destroys it; or plans it only, where it is in `PLANNED`.
    fn apply_example(&self, example: &str, number: usize) -> Result<(), String> {
        let main = fs::read_to_string(self.modules.join(example).join("main.tf")).expect("an example");
        let mut variables = Vec::new();
        if main.contains("variable \"name\"") {
            variables.push(format!("-var=name=slipway-modules-{number}"));
        }
        if main.contains("variable \"project\"") {
            variables.push("-var=project=slipway-modules".to_owned());
        }
        if main.contains("variable \"emulated\"") {
            variables.push("-var=emulated=true".to_owned());
        }
        let only_planned = PLANNED.iter().any(|(path, _)| *path == example);
        let (apply, plan): (&[&str], &[&str]) =
            (&["apply", "-auto-approve"], &["plan", "-detailed-exitcode"]);
        // 2: there is something to create.
        let steps = if only_planned { vec![(plan, 2)] } else { vec![(apply, 0), (plan, 0)] };
        let init = self.terraform(example, &["init", "-input=false", "-no-color"]);
        if init.code != Some(0) {
            return Err(init.to_string());
        }
        let run = |step: &[&str], code: i32| {
            let options =
                ["-input=false", "-no-color"].into_iter().chain(variables.iter().map(String::as_str));
            let arguments: Vec<&str> = step.iter().copied().chain(options).collect();
            let ended = self.terraform(example, &arguments);
            if ended.code == Some(code) { Ok(ended) } else { Err(ended.to_string()) }
        };
        for (step, code) in steps {
            let ended = run(step, code)?;
            let created_nothing = ended.stdout.contains("Resources: 0 added");
            if step == apply && (created_nothing || !ended.stdout.contains("Apply complete! Resources: ")) {
                return Err(format!("nothing was created: {ended}"));
            }
        }
        if example == PROTECTED.0 {
            fs::write(self.modules.join(PROTECTED.1), PROTECTED.2).expect("a file");
            run(apply, 0)?;
        }
        if !only_planned {
            run(&["destroy", "-auto-approve"], 0)?;
        }
        Ok(())
    }
}

#[test]
fn every_example_is_applied_without_slipway() {
    let fixture = fixture(require!(TestRun::shared()));
    let examples = examples(&fixture.modules).unwrap_or_else(|problem| panic!("{problem}"));
    let reduced: Vec<&str> = examples
        .iter()
        .filter(|example| {
            let main = fs::read_to_string(fixture.modules.join(example).join("main.tf")).expect("an example");
            main.contains("variable \"emulated\"")
        })
        .map(String::as_str)
        .collect();
    assert_eq!(reduced, REDUCED.map(|(example, _)| example), "examples with the variable emulated");
    for (example, why) in PLANNED {
        assert!(examples.iter().any(|path| path == example), "{example} is not there");
        assert!(!why.is_empty(), "{example} is planned only, without a reason");
    }
    for (example, what) in REDUCED {
        assert!(!what.is_empty(), "{example} is applied without something that is not named");
    }

    let mut groups: BTreeMap<&str, Vec<(usize, &str)>> = BTreeMap::new();
    for (number, example) in examples.iter().enumerate() {
        let module = example.split('/').next().unwrap_or_default();
        let group = if ONE_PROVIDER.contains(&module) { ONE_PROVIDER[0] } else { module };
        groups.entry(group).or_default().push((number, example));
    }
    let waiting = Mutex::new(groups.into_values().collect::<VecDeque<_>>());
    let next = || waiting.lock().expect("the waiting examples").pop_front();
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..PARALLEL {
            threads.spawn(|| {
                while let Some(group) = next() {
                    for (number, example) in group {
                        if let Err(failure) = fixture.apply_example(example, number) {
                            failures.lock().expect("the failures").push(format!("{example}: {failure}"));
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("the failures");
    assert!(failures.is_empty(), "{} of the examples failed\n{}", failures.len(), failures.join("\n"));
    assert_eq!(remaining(&fixture.sandbox.account), Vec::<String>::new(), "something is left");
}

//! Environments in AWS accounts: protected resources are destroyed only if their names are confirmed, and nothing is written
//! to a bucket of another account.
//!
//! In: accounts of the emulated AWS, with administrator credentials; stacks without a provider.

use std::collections::BTreeMap;

use super::support::TestRun;
use super::support::account::Account;
use super::support::process::Finished;
use super::support::sandbox::{Sandbox, init_repository};
use super::support::settings_files::{environment_in_account, project_with_store};
use crate::require;

const DEV: &str = "terraform/environments/dev/environment.toml";
const VALUES: &str = "terraform/environments/dev/data.tfvars";

const DATA: &str = r#"terraform {
  backend "s3" {}
}

variable "key" {
  type    = string
  default = "one"
}

resource "terraform_data" "table" {
  triggers_replace = var.key
}

resource "terraform_data" "other" {
  input = var.key
}
"#;

/// A project with one stack; dev and the protected prod are in one account.
struct Shop {
    sandbox: Sandbox,
}

impl Shop {
    fn new(test_run: &'static TestRun) -> Self {
        let sandbox = Sandbox::new(test_run);
        let id = sandbox.account.id.clone();
        for bucket in ["artifacts", "dev-state", "prod-state"] {
            sandbox.account.create_bucket(&format!("shop-{id}-{bucket}"));
        }
        sandbox.write(
            "pipelines/project.toml",
            &project_with_store("shop", &id, &format!("shop-{id}-artifacts")),
        );
        sandbox.write(".gitignore", "/target/\n**/.terraform/\n");
        sandbox.write("terraform/stacks/data/main.tf", DATA);
        sandbox.write("terraform/stacks/data/stack.toml", "protect = [\"terraform_data.table\"]\n");
        sandbox.write(DEV, &environment_in_account(&id, &format!("shop-{id}-dev-state")));
        let prod = environment_in_account(&id, &format!("shop-{id}-prod-state"));
        sandbox.write("terraform/environments/prod/environment.toml", &format!("protected = true\n{prod}"));
        init_repository(&sandbox.folder);
        Self { sandbox }
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.sandbox.run_as_administrator_of(&self.sandbox.account, arguments)
    }

    /// Reads all objects of an environment's bucket.
    fn state_objects(&self, environment: &str) -> BTreeMap<String, Vec<u8>> {
        let account = &self.sandbox.account;
        let bucket = format!("shop-{}-{environment}-state", account.id);
        let keys = account.keys(&bucket);
        keys.into_iter().map(|key| (key.clone(), account.object(&bucket, &key))).collect()
    }

    /// Runs a command that must be refused, and checks that the environment's bucket did not change.
    #[track_caller]
    fn run_refused(&self, environment: &str, arguments: &[&str]) -> Finished {
        let before = self.state_objects(environment);
        let refused = self.run(arguments).exits(6);
        assert!(self.state_objects(environment) == before, "something was written by {refused}");
        assert!(!refused.ran_step("apply"), "{refused}");
        let plan =
            self.sandbox.folder.join(format!("target/slipway/terraform/{environment}/data/plan.tfplan"));
        assert!(!plan.exists(), "the refused plan, with all its values, is left by {refused}");
        refused
    }
}

#[test]
fn protected_resource_is_not_replaced_and_is_destroyed_only_if_confirmed() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    let deploy = ["deploy", "--stack", "data", "--env", "dev", "--yes"];
    shop.run(&deploy).exits(0).says("data is applied in dev.");

    shop.sandbox.write(VALUES, "key = \"two\"\n");
    let before = shop.state_objects("dev");
    shop.run(&["plan", "--env", "dev"])
        .exits(0)
        .says("terraform_data.table")
        .says("deploying it would be refused: the plan would remove terraform_data.table");
    assert!(shop.state_objects("dev") == before, "a plan wrote something");
    shop.run_refused("dev", &deploy)
        .says("the plan would remove terraform_data.table, which `data` protects")
        .says("protect = [\"terraform_data.table\"]")
        .says("Nothing was applied.");
    shop.sandbox.write(
        "terraform/stacks/data/main.tf",
        &DATA.replace("resource \"terraform_data\" \"table\" {\n  triggers_replace = var.key\n}\n", ""),
    );
    shop.run_refused("dev", &deploy).says("the plan would remove terraform_data.table");

    let destroy = ["destroy", "--env", "dev", "--yes"];
    shop.run_refused("dev", &destroy)
        .says("`terraform_data.table` is protected, and its name was not confirmed")
        .says("Nothing of data was destroyed.")
        .says("--confirm 'terraform_data.table'");
    shop.run_refused("dev", &[&destroy[..], &["--confirm", "dev"]].concat()).says("terraform_data.table");
    shop.run(&[&destroy[..], &["--confirm", "terraform_data.table"]].concat())
        .exits(0)
        .says("data in dev is destroyed: 2 resources removed.");
    shop.run(&["history", "--env", "dev"]).exits(0).says("destroyed");
    let after = shop.state_objects("dev");
    let state: serde_json::Value = serde_json::from_slice(&after["data.tfstate"]).expect("a state");
    assert_eq!(state["resources"], serde_json::json!([]));
    assert!(before.iter().all(|(key, _)| after.contains_key(key)), "the ledger keeps its history");
}

#[test]
fn protected_environment_is_destroyed_only_if_its_name_is_confirmed() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    shop.run(&["deploy", "--stack", "data", "--env", "prod", "--yes"]).exits(0);
    let destroy = ["destroy", "--env", "prod", "--yes"];
    shop.run_refused("prod", &destroy).says("`prod` is protected, and its name was not confirmed");
    for (name, missing) in [("terraform_data.table", "`prod`"), ("prod", "`terraform_data.table`")] {
        let named = [&destroy[..], &["--confirm", name]].concat();
        shop.run_refused("prod", &named).says(&format!("{missing} is protected"));
    }
    let both = [&destroy[..], &["--confirm", "prod", "--confirm", "terraform_data.table"]].concat();
    shop.run(&both).exits(0).says("data in prod is destroyed");
    shop.run(&["history", "--env", "prod"]).exits(0).says("destroyed");
    shop.run(&both).exits(0).says("No stack is applied in prod.");
}

#[test]
fn state_bucket_of_another_account_is_refused() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    let (own, other) = (shop.sandbox.account.id.clone(), Account::new(test_run));
    let bucket = format!("shop-{}-live-state", other.id);
    other.create_bucket(&bucket);
    shop.sandbox.write(DEV, &environment_in_account(&own, &bucket));
    let live = "terraform/environments/live/environment.toml";
    shop.sandbox.write(live, &environment_in_account(&other.id, &bucket));
    let assert_refused = |finished: Finished, source: &str| {
        finished
            .exits(6)
            .says(&format!("the state bucket {bucket} of dev belongs to another account"))
            .says(&format!("a bucket of {own}, the account of dev"))
            .says(&format!("{}, {source}", other.id))
            .says("Nothing was read or written there.")
            .says("cargo xtask bootstrap --env dev");
    };
    for command in [
        &["deploy", "--stack", "data", "--env", "dev", "--yes"][..],
        &["plan", "--env", "dev"],
        &["destroy", "--env", "dev", "--yes"],
    ] {
        assert_refused(shop.run(command), "according to the environment live");
    }
    std::fs::remove_file(shop.sandbox.folder.join(live)).expect("the other environment");
    assert_refused(shop.run(&["plan", "--env", "dev"]), "according to its name");
    assert_eq!(other.keys(&bucket), Vec::<String>::new(), "a bucket of another account was written to");
    assert!(shop.state_objects("dev").is_empty());

    shop.sandbox.write(DEV, &environment_in_account(&own, &format!("shop-{own}-dev-state")));
    shop.run(&["deploy", "--stack", "data", "--env", "dev", "--yes"]).exits(0);
    assert_eq!(other.keys(&bucket), Vec::<String>::new());
}

#[test]
fn suite_that_is_not_safe_does_not_run_in_a_protected_environment() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    let function = |safe: &str| {
        format!(
            "runtime = \"python3.13\"\nhandler = \"app.handle\"\n\n[build]\nwith = \"python\"\nsources = [\"app.py\"]\n\n[deployment_tests]\nrun = \"touch ran\"\n{safe}"
        )
    };
    let stack = "terraform/stacks/data/stack.toml";
    shop.sandbox.write(stack, "functions = [\"one\"]\n");
    shop.sandbox.write("lambda-src/one/app.py", "def handle(event, _context):\n    return event\n");
    shop.sandbox.write("lambda-src/one/function.toml", &function(""));
    let verify = |environment: &str| shop.run(&["verify", "--env", environment, "--full"]);
    verify("prod")
        .exits(6)
        .says("prod is protected, and the suite of `one` is not marked safe")
        .says("safe = true under [deployment_tests] of lambda-src/one/function.toml");
    // Nothing serves there: both are read, and neither suite has anything to run against.
    verify("dev").exits(0).says("Nothing serves in dev.");
    shop.sandbox.write("lambda-src/one/function.toml", &function("safe = true\n"));
    verify("prod").exits(0).says("Nothing serves in prod.");
    assert!(!shop.sandbox.folder.join("ran").exists(), "a suite ran");
}

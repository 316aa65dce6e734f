//! Environments in the cloud: what is protected there goes only by its name, and nothing is written into a bucket that is
//! not of the environment's account.
//!
//! In: accounts of the emulated AWS, entered as an administrator; stacks without a provider.

use std::collections::BTreeMap;

use super::support::account::Account;
use super::support::guard::{self, Run};
use super::support::process::Finished;
use super::support::world::{Sealed, repository_in};

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

/// A project with one stack; dev and the protected prod live in one account.
struct Shop {
    world: Sealed,
}

impl Shop {
    fn new(run: &'static Run) -> Self {
        let world = Sealed::new(run);
        let id = world.account.id.clone();
        for bucket in ["artifacts", "dev-state", "prod-state"] {
            world.account.make_bucket(&format!("shop-{id}-{bucket}"));
        }
        world.write(
            "pipelines/project.toml",
            &format!(
                "schema = 1\nname = \"shop\"\n\n[store]\naccount = \"{id}\"\nregion = \"eu-central-1\"\nbucket = \"shop-{id}-artifacts\"\n"
            ),
        );
        world.write(".gitignore", "/target/\n**/.terraform/\n");
        world.write("terraform/stacks/data/main.tf", DATA);
        world.write("terraform/stacks/data/stack.toml", "protect = [\"terraform_data.table\"]\n");
        world.write(DEV, &environment(&id, &format!("shop-{id}-dev-state")));
        let prod = environment(&id, &format!("shop-{id}-prod-state"));
        world.write("terraform/environments/prod/environment.toml", &format!("protected = true\n{prod}"));
        repository_in(&world.project);
        Self { world }
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let variables = self.world.account.administrator();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.world.start_with(arguments, &variables).wait()
    }

    /// Everything in an environment's bucket.
    fn holds(&self, environment: &str) -> BTreeMap<String, Vec<u8>> {
        let account = &self.world.account;
        let bucket = format!("shop-{}-{environment}-state", account.id);
        let keys = account.keys(&bucket);
        keys.into_iter().map(|key| (key.clone(), account.object(&bucket, &key))).collect()
    }

    /// Runs a command that is refused, and returns it after making sure that the environment's bucket is as it was.
    #[track_caller]
    fn refused(&self, environment: &str, arguments: &[&str]) -> Finished {
        let before = self.holds(environment);
        let refused = self.run(arguments).exits(6);
        assert!(self.holds(environment) == before, "something was written by {refused}");
        assert!(!refused.did("apply"), "{refused}");
        let plan =
            self.world.project.join(format!("target/slipway/terraform/{environment}/data/plan.tfplan"));
        assert!(!plan.exists(), "the refused plan is left, with all its values, by {refused}");
        refused
    }
}

fn environment(account: &str, bucket: &str) -> String {
    format!("account = \"{account}\"\nregion = \"eu-central-1\"\n\n[state]\nbucket = \"{bucket}\"\n")
}

#[test]
fn a_protected_address_is_neither_replaced_nor_destroyed_unnamed() {
    let Some(run) = guard::run() else { return };
    let shop = Shop::new(run);
    let deploy = ["deploy", "--stack", "data", "--env", "dev", "--yes"];
    shop.run(&deploy).exits(0).says("data is applied in dev.");

    shop.world.write(VALUES, "key = \"two\"\n");
    let before = shop.holds("dev");
    shop.run(&["plan", "--env", "dev"])
        .exits(0)
        .says("terraform_data.table")
        .says("deploying it would be refused: the plan would remove terraform_data.table");
    assert!(shop.holds("dev") == before, "a plan wrote something");
    shop.refused("dev", &deploy)
        .says("the plan would remove terraform_data.table, which `data` protects")
        .says("protect = [\"terraform_data.table\"]")
        .says("Nothing was applied.");
    shop.world.write(
        "terraform/stacks/data/main.tf",
        &DATA.replace("resource \"terraform_data\" \"table\" {\n  triggers_replace = var.key\n}\n", ""),
    );
    shop.refused("dev", &deploy).says("the plan would remove terraform_data.table");

    let destroy = ["destroy", "--env", "dev", "--yes"];
    shop.refused("dev", &destroy)
        .says("`terraform_data.table` is protected, and its name was not confirmed")
        .says("Nothing of data was destroyed.")
        .says("--confirm 'terraform_data.table'");
    shop.refused("dev", &[&destroy[..], &["--confirm", "dev"]].concat()).says("terraform_data.table");
    shop.run(&[&destroy[..], &["--confirm", "terraform_data.table"]].concat())
        .exits(0)
        .says("data in dev is destroyed: 2 resources removed.");
    shop.run(&["history", "--env", "dev"]).exits(0).says("destroyed");
    let after = shop.holds("dev");
    let state: serde_json::Value = serde_json::from_slice(&after["data.tfstate"]).expect("a state");
    assert_eq!(state["resources"], serde_json::json!([]));
    assert!(before.iter().all(|(key, _)| after.contains_key(key)), "the ledger keeps what was");
}

#[test]
fn a_protected_environment_wants_its_own_name_too() {
    let Some(run) = guard::run() else { return };
    let shop = Shop::new(run);
    shop.run(&["deploy", "--stack", "data", "--env", "prod", "--yes"]).exits(0);
    let destroy = ["destroy", "--env", "prod", "--yes"];
    shop.refused("prod", &destroy).says("`prod` is protected, and its name was not confirmed");
    for (name, missing) in [("terraform_data.table", "`prod`"), ("prod", "`terraform_data.table`")] {
        let named = [&destroy[..], &["--confirm", name]].concat();
        shop.refused("prod", &named).says(&format!("{missing} is protected"));
    }
    let both = [&destroy[..], &["--confirm", "prod", "--confirm", "terraform_data.table"]].concat();
    shop.run(&both).exits(0).says("data in prod is destroyed");
    shop.run(&["history", "--env", "prod"]).exits(0).says("destroyed");
    shop.run(&both).exits(0).says("Nothing stands in prod.");
}

#[test]
fn a_state_bucket_of_another_account_is_refused() {
    let Some(run) = guard::run() else { return };
    let shop = Shop::new(run);
    let (own, other) = (shop.world.account.id.clone(), Account::new(run));
    let bucket = format!("shop-{}-live-state", other.id);
    other.make_bucket(&bucket);
    shop.world.write(DEV, &environment(&own, &bucket));
    let live = "terraform/environments/live/environment.toml";
    shop.world.write(live, &environment(&other.id, &bucket));
    let told = |finished: Finished, got: &str| {
        finished
            .exits(6)
            .says(&format!("the state bucket {bucket} of dev belongs to another account"))
            .says(&format!("a bucket of {own}, the account of dev"))
            .says(&format!("{}, {got}", other.id))
            .says("Nothing was read or written there.")
            .says("cargo xtask bootstrap --env dev");
    };
    for command in [
        &["deploy", "--stack", "data", "--env", "dev", "--yes"][..],
        &["plan", "--env", "dev"],
        &["destroy", "--env", "dev", "--yes"],
    ] {
        told(shop.run(command), "according to the environment live");
    }
    std::fs::remove_file(shop.world.project.join(live)).expect("the other environment");
    told(shop.run(&["plan", "--env", "dev"]), "according to its name");
    assert_eq!(other.keys(&bucket), Vec::<String>::new(), "somebody else's bucket was written to");
    assert!(shop.holds("dev").is_empty());

    shop.world.write(DEV, &environment(&own, &format!("shop-{own}-dev-state")));
    shop.run(&["deploy", "--stack", "data", "--env", "dev", "--yes"]).exits(0);
    assert_eq!(other.keys(&bucket), Vec::<String>::new());
}

//! A plan is saved by one machine, seen by people, and applied by another: exactly it, or nothing.
//!
//! In: a protected environment in an account of the emulated AWS; a stack without a provider; a second clone of the project in
//! a folder, a home and a work folder of its own.

use serde_json::Value;

use super::support::commands::RELEASE;
use super::support::process::Finished;
use super::support::sandbox::{Sandbox, copy, init_repository};
use super::support::settings_files::{environment_in_account, project_with_store};
use super::support::{EchoProject, TestRun};
use crate::require;

const PROD: &str = "terraform/environments/prod/environment.toml";
const VALUES: &str = "terraform/environments/prod/data.tfvars";
const PROJECT: &str = "pipelines/project.toml";

/// A stack of which one resource is protected, and with a secret that no table may show.
const DATA: &str = r#"terraform {
  backend "s3" {}
}

variable "key" {
  type    = string
  default = "value-one"
}

variable "token" {
  type      = string
  sensitive = true
  default   = "hunter-two"
}

resource "terraform_data" "table" {
  triggers_replace = var.key
}

resource "terraform_data" "other" {
  input = { key = var.key, token = var.token }
}

output "key" {
  value = terraform_data.other.output.key
  sensitive = true
}
"#;

/// A project with one stack in a protected environment, in two clones.
struct Shop {
    first: Sandbox,
    second: Sandbox,
}

impl Shop {
    fn new(test_run: &'static TestRun, protect: &str) -> Self {
        let first = Sandbox::new(test_run);
        let id = first.account.id.clone();
        for bucket in ["artifacts", "prod-state"] {
            first.account.create_bucket(&format!("shop-{id}-{bucket}"));
        }
        first.write(PROJECT, &project_with_store("shop", &id, &format!("shop-{id}-artifacts")));
        first.write(".gitignore", "/target/\n**/.terraform/\n");
        first.write("terraform/stacks/data/main.tf", DATA);
        first.write("terraform/stacks/data/stack.toml", protect);
        let prod = environment_in_account(&id, &format!("shop-{id}-prod-state"));
        first.write(PROD, &format!("protected = true\n{prod}"));
        init_repository(&first.folder);
        let parent = test_run.folder.join(format!("{id}-second"));
        let second = Sandbox::within(test_run, first.account.clone(), &parent);
        let shop = Self { first, second };
        shop.pull();
        shop
    }

    /// Brings the second clone to the first one's commit.
    fn pull(&self) {
        let _ = std::fs::remove_dir_all(self.second.folder.join(".git"));
        for path in [".git", "pipelines", "terraform"] {
            copy(&self.first.folder.join(path), &self.second.folder.join(path));
        }
        std::fs::copy(self.first.folder.join(".gitignore"), self.second.folder.join(".gitignore"))
            .expect("a copy");
    }

    fn run_at(sandbox: &Sandbox, arguments: &[&str], now: Option<&str>) -> Finished {
        let mut variables = sandbox.account.administrator_variables();
        variables.extend(now.map(|now| ("SLIPWAY_NOW", now.to_owned())));
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        sandbox.start_with(arguments, &variables).wait()
    }

    fn plan(&self, arguments: &[&str]) -> Finished {
        Self::run_at(&self.first, &[&["plan", "--env", "prod"], arguments].concat(), None)
    }

    /// Saves a plan; returns the document of the command.
    fn save(&self) -> Value {
        self.plan(&["--save", "--output", "json"]).exits(0).json()["data"]["saved"].clone()
    }

    fn save_id(&self) -> String {
        self.save()["id"].as_str().expect("an id").to_owned()
    }

    /// Applies a saved plan in the second clone.
    fn deploy(&self, id: &str, options: &[&str]) -> Finished {
        let arguments = [&["deploy", "--env", "prod", "--yes", "--plan", id], options].concat();
        Self::run_at(&self.second, &arguments, None)
    }

    fn bucket(&self) -> String {
        format!("shop-{}-prod-state", self.first.account.id)
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&self.first.account.object(&self.bucket(), "data.tfstate")).expect("a state")
    }

    /// Changes the state as plain Terraform would have.
    fn change_state(&self, change: impl Fn(&mut Value)) {
        let mut state = self.state();
        change(&mut state);
        state["serial"] = (state["serial"].as_u64().expect("a serial") + 1).into();
        self.first.account.put(&self.bucket(), "data.tfstate", state.to_string().as_bytes());
    }

    fn set_key(&self, value: &str) {
        self.first.write(VALUES, &format!("key = \"{value}\"\n"));
        self.first.commit("feat: another key");
        self.pull();
    }

    /// Asserts that a plan is refused as stale and changes nothing.
    fn assert_stale(&self, id: &str, words: &str) -> Finished {
        let before = self.state();
        let refused = self.deploy(id, &[]).exits(8).says(words).says("Nothing was applied.");
        assert!(!refused.ran_step("apply"), "{refused}");
        assert_eq!(self.state(), before);
        let work = self.second.folder.join("target/slipway/terraform/prod/data/plan.tfplan");
        assert!(!work.exists(), "the plan, with all its values, is left by {refused}");
        refused
    }
}

#[test]
fn plan_that_one_machine_saved_is_applied_by_another_exactly_once() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run, "");
    let seen = shop.plan(&["--save"]).exits(0).says("apply it with: cargo xtask deploy --env prod --plan ");
    let keys = shop.first.account.keys(&shop.bucket());
    assert_eq!(keys.iter().filter(|key| key.starts_with("plans/")).count(), 3, "{keys:?} after {seen}");
    assert!(keys.iter().all(|key| key.starts_with("plans/")), "a plan wrote something else: {keys:?}");
    let id = shop.save_id();
    let applied = shop.deploy(&id, &[]).exits(0).says("data is applied in prod.");
    assert!(applied.ran_step("apply"), "{applied}");
    let history = Shop::run_at(&shop.second, &["history", "--env", "prod"], None).exits(0);
    assert!(history.stdout.contains(&format!("deploy (plan {id})")), "{history}");
    // The same job again, after its answer was lost: nothing is done twice.
    let again = shop.deploy(&id, &[]).exits(0).says("applied this plan already");
    assert!(!again.ran_step("apply"), "{again}");

    shop.set_key("value-two");
    let (stale, other) = (shop.save_id(), shop.save_id());
    shop.deploy(&other, &[]).exits(0);
    shop.assert_stale(&id, "was applied already: a plan is used once");
    shop.assert_stale(&stale, "the changes are others now").says("terraform_data.table");
    Shop::run_at(&shop.second, &["deploy", "--env", "prod", "--plan", "0000-0000", "--yes"], None)
        .exits(2)
        .says("there is no saved plan 0000-0000 in prod");
    Shop::run_at(&shop.second, &["deploy", "--env", "prod", "--plan", "0000-0000", "--stack", "data"], None)
        .exits(2)
        .says("it names its stacks and releases itself");
    shop.plan(&["--save"]).exits(0).says("Nothing was saved");
}

#[test]
fn plan_is_made_anew_where_only_the_serial_moved_and_refused_where_anything_else_did() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run, "");
    let first = shop.save_id();
    shop.deploy(&first, &[]).exits(0);
    shop.set_key("value-two");
    let id = shop.save_id();
    shop.change_state(|_| {});
    shop.deploy(&id, &[]).exits(0).says("planned anew, the same 2 changes");
    shop.set_key("value-three");
    let id = shop.save_id();
    shop.change_state(|state| {
        let resources = state["resources"].as_array_mut().expect("resources");
        resources.retain(|resource| resource["name"] != "other");
    });
    let refused = shop.assert_stale(&id, "the changes are others now");
    assert!(refused.stderr.contains("terraform_data.other"), "{refused}");
    assert!(!refused.to_string().contains("value-"), "a value is shown in {refused}");

    // Other files than those of the commit that was planned.
    let id = shop.save_id();
    shop.set_key("value-four");
    shop.assert_stale(&id, "was made of other files of `data` than this clone has").says("git checkout ");
    // A day later, by this machine's clock.
    let saved = Shop::run_at(&shop.first, &["plan", "--env", "prod", "--save", "--output", "json"], None);
    let saved = saved.exits(0).json();
    let id = saved["data"]["saved"]["id"].as_str().expect("an id").to_owned();
    let late = ["deploy", "--env", "prod", "--yes", "--plan", &id];
    Shop::run_at(&shop.second, &late, Some("2099-01-01T00:00:00Z")).exits(8).says("expired at ");
    // Bytes that were replaced.
    let account = &shop.first.account;
    for suffix in [".tfplan", ".zip", ".json"] {
        let id = shop.save_id();
        let hex = id.replace('-', "");
        let keys = account.keys(&shop.bucket());
        let key = keys.iter().find(|key| key.starts_with(&format!("plans/{hex}")) && key.ends_with(suffix));
        account.put(&shop.bucket(), key.expect("an object"), b"replaced");
        shop.assert_stale(&id, key.expect("an object"));
    }
}

#[test]
fn reviewers_see_paths_and_no_values_and_what_is_destroyed_is_named_by_who_applies() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run, "protect = [\"terraform_data.table\"]\n");
    let id = shop.save_id();
    shop.deploy(&id, &[]).exits(0);
    shop.set_key("value-two");
    let seen = shop.plan(&["--markdown"]).exits(0);
    for words in [
        "**Destroys 1 resource with data or under protection:**",
        "| data | replace | terraform_data.table | protected |",
        "triggers_replace (forces it)",
        "| data | update | terraform_data.other | ",
        "would be refused: the plan would remove terraform_data.table",
    ] {
        assert!(seen.stdout.contains(words), "{words} is not in {seen}");
    }
    let json = shop.plan(&["--output", "json"]).exits(0);
    for shown in [&seen, &json] {
        for value in ["value-one", "value-two", "hunter"] {
            assert!(!shown.to_string().contains(value), "{value} is shown in {shown}");
        }
    }
    let saved = shop.save();
    let id = saved["id"].as_str().expect("an id");
    assert_eq!(
        saved["apply"],
        format!("cargo xtask deploy --env prod --plan {id} --allow-destroy 'terraform_data.table'")
    );
    let apply = ["deploy", "--env", "prod", "--yes", "--plan", id];
    let refused = Shop::run_at(&shop.second, &apply, None).exits(6);
    refused.says("the plan would remove terraform_data.table").says("--allow-destroy 'terraform_data.table'");
    shop.deploy(id, &["--allow-destroy", "terraform_data.other"]).exits(6);
    shop.deploy(id, &["--allow-destroy", "terraform_data.table"]).exits(0);
    // The same without a saved plan.
    shop.set_key("value-three");
    let deploy = ["deploy", "--stack", "data", "--env", "prod", "--yes"];
    Shop::run_at(&shop.second, &deploy, None).exits(6);
    let named = [&deploy[..], &["--allow-destroy", "terraform_data.table"]].concat();
    Shop::run_at(&shop.second, &named, None).exits(0);
}

#[test]
fn policy_judges_before_anybody_is_asked_and_sees_no_sensitive_value() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run, "");
    let policy = "! grep -q hunter $SLIPWAY_PLAN && grep -q terraform_data.table $SLIPWAY_PLAN && echo no tables on a $SLIPWAY_ENVIRONMENT day; exit 1";
    let settings = std::fs::read_to_string(shop.first.folder.join(PROD)).expect("the environment");
    let with_policy = |line: &str| {
        shop.first.write(PROD, &format!("{settings}\n[plan]\npolicy = {line:?}\nwithin = \"30s\"\n"));
        shop.first.commit("build: a policy");
        shop.pull();
    };
    with_policy(&format!("sh -c '{policy}'"));
    shop.plan(&[]).exits(0).says("deploying it would be refused: the policy refuses the plan of `data`");
    let refused = shop.plan(&["--save"]).exits(6).says("no tables on a prod day");
    assert_eq!(shop.first.account.keys(&shop.bucket()), Vec::<String>::new(), "{refused}");
    let deploy = ["deploy", "--stack", "data", "--env", "prod", "--yes"];
    Shop::run_at(&shop.first, &deploy, None)
        .exits(6)
        .says("no tables on a prod day")
        .says("Nothing was applied.");
    with_policy("no-such-policy-engine test {plan}");
    Shop::run_at(&shop.first, &deploy, None).exits(6).says("no-such-policy-engine");
    with_policy("grep -q terraform_data.table {plan}");
    let id = shop.save_id();
    shop.deploy(&id, &[]).exits(0);
    let left = shop.second.folder.join("target/slipway/terraform/prod/data/policy-plan.json");
    assert!(!left.exists(), "the plan's file is left");
}

/// Saves a plan that brings a function back to its first release; returns the id.
fn save_first_release(project: &EchoProject, function: &str) -> String {
    let plan = ["plan", function, "--env", "local", "--version", "0.1.0", "--save", "--output", "json"];
    let saved = project.run(&plan).exits(0).json();
    let losses = &saved["data"]["stacks"][0]["losses"];
    assert_eq!(losses[0]["what"], format!("`{function}` 0.1.0 lacks 1 commit that 0.2.0 has"), "{saved}");
    assert_eq!(losses[0]["accepted_by"], format!("--allow-loss {}", &project.head()[..12]));
    saved["data"]["saved"]["id"].as_str().expect("an id").to_owned()
}

#[test]
fn approved_plan_of_a_function_is_verified_and_rolled_out_like_every_deployment() {
    let project = require!(EchoProject::released_twice());
    let id = save_first_release(&project, "echo");
    let other = project.second_checkout();
    let apply = ["deploy", "--env", "local", "--yes", "--plan", &id];
    // The plan is of an older release: its reviewers saw what is lost, and who applies it says so.
    let lost = project.head();
    other.run(&apply).exits(6).says(&format!("--allow-loss {}", &lost[..12]));
    assert_eq!(project.account.alias("echo"), "2");
    let apply = [&apply[..], &["--allow-loss", &lost]].concat();
    let applied = other.run(&apply).exits(0).says("echo 0.1.0 serves in local.");
    assert!(applied.ran_step("verify") && applied.ran_step("rollout"), "{applied}");
    assert_eq!(project.account.alias("echo"), "1");
    other.run(&apply).exits(0).says("applied this plan already");
    // What a rollback does afterwards is its own: the plan is not applied a second time.
    other.run(&["rollback", "--env", "local", "--yes"]).exits(0).says("echo 0.2.0 serves in local again.");
    other.run(&apply).exits(6).says("`echo` 0.1.0 is on hold in local since rollback 4");
    other.run(&[&apply[..], &["--lift-hold"]].concat()).exits(8).says("a plan is used once");
    assert_eq!(project.account.alias("echo"), "2");
}

#[test]
fn plan_with_the_real_provider_is_applied_by_another_checkout() {
    let test_run = require!(TestRun::shared());
    let project = EchoProject::with_provider(test_run);
    let other = project.second_checkout();
    project.run(&RELEASE).exits(0);
    project.change_code_of("hello");
    project.run(&RELEASE).exits(0);
    let seen = project.run(&["plan", "hello", "--env", "local", "--version", "0.1.0", "--markdown"]).exits(0);
    assert!(seen.stdout.contains("| hello | update | module.hello.aws_lambda_function.this | "), "{seen}");
    let id = save_first_release(&project, "hello");
    let apply = ["deploy", "--env", "local", "--yes", "--plan", &id, "--allow-loss", &project.head()];
    let applied = other.run(&apply).exits(0).says("hello 0.1.0 serves in local.");
    assert!(applied.ran_step("apply") && !applied.ran_step("plan"), "{applied}");
    let history = other.run(&["history", "--env", "local"]).exits(0);
    assert!(history.stdout.contains(&format!("deploy, loses 1 commit (plan {id})")), "{history}");
}

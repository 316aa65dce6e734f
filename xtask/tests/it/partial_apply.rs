//! Applies that fail or are killed half-way: the created resources are in the state, nothing new serves, and the same
//! command continues from there.

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::signals::{block_apply, unblock_apply, wait_for_blocked_apply};
use super::support::account::Account;
use super::support::commands::RELEASE;
use super::support::machine::repository;
use super::support::{EchoProject, ObservedState, Running};
use crate::require;

const VALUES: &str = "terraform/environments/local/echo.tfvars";

/// Two resources that can be created, and one whose name may be taken by another account.
const MORE: &str = r#"terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7.0"
    }
  }
}

provider "aws" {
  region      = var.environment.region
  max_retries = 1
}

variable "last" {
  type = string
}

resource "aws_s3_bucket" "first" {
  bucket = "first-${var.environment.account_id}"
}

resource "aws_secretsmanager_secret" "key" {
  name                    = "key"
  recovery_window_in_days = 0
}

resource "aws_s3_bucket" "last" {
  bucket     = var.last
  depends_on = [aws_s3_bucket.first, aws_secretsmanager_secret.key]
}

output "bucket" {
  value = aws_s3_bucket.last.bucket
}
"#;

const DEPENDENT: &str = r#"terraform {
  backend "s3" {}
}

variable "bucket" {
  type = string
}

resource "terraform_data" "uses" {
  input = var.bucket
}
"#;

fn read_json(project: &EchoProject, key: &str) -> Value {
    let [_, bucket] = project.account.buckets();
    serde_json::from_slice(&project.account.object(&bucket, key)).expect("JSON")
}

/// The ids of the AWS resources in the stack's state, by address.
fn aws_resources(project: &EchoProject) -> Vec<(String, Value)> {
    let state = read_json(project, "echo.tfstate");
    let resources = state["resources"].as_array().expect("resources");
    let one = |resource: &Value| {
        let name = |member: &str| resource[member].as_str().expect("a name").to_owned();
        let id = resource["instances"][0]["attributes"]["id"].clone();
        (format!("{}.{}", name("type"), name("name")), id)
    };
    resources.iter().map(one).filter(|(address, _)| address.starts_with("aws_")).collect()
}

/// The buckets of an account, without Slipway's own.
fn buckets(account: &Account) -> Vec<String> {
    let xml = account.call("s3", "GET", "/", "application/octet-stream", b"").text();
    let names = xml.split("<Name>").skip(1).filter_map(|rest| rest.split("</Name>").next());
    names.filter(|name| !name.starts_with("echo-")).map(str::to_owned).collect()
}

#[test]
fn failed_apply_keeps_its_resources_and_the_next_run_creates_only_the_rest() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    let other = Account::new(project.test_run);
    let taken = format!("taken-{}", other.id);
    other.create_bucket(&taken);

    project.write("terraform/stacks/echo/more.tf", MORE);
    let lock = repository().join("terraform/stacks/hello/.terraform.lock.hcl");
    project
        .write("terraform/stacks/echo/.terraform.lock.hcl", &std::fs::read_to_string(lock).expect("a lock"));
    project.write("terraform/stacks/uses/main.tf", DEPENDENT);
    project.write("terraform/stacks/uses/stack.toml", "[inputs]\nbucket = \"echo.bucket\"\n");
    let values = std::fs::read_to_string(project.folder.join(VALUES)).expect("the stack's values");
    project.write(VALUES, &format!("{values}last = \"{taken}\"\n"));
    project.change_code();

    let failed = project
        .run(&RELEASE)
        .exits(1)
        .says("BucketAlreadyExists")
        .says("not started")
        .says("uses (needs echo)")
        .says("What was done before that is in the state");
    assert!(
        failed.ran_step("apply") && !failed.ran_step("verify") && !failed.ran_step("rollout"),
        "{failed}"
    );
    let first = aws_resources(&project);
    let addresses: Vec<&str> = first.iter().map(|(address, _)| address.as_str()).collect();
    assert_eq!(addresses, ["aws_s3_bucket.first", "aws_secretsmanager_secret.key"]);
    let ended = read_json(&project, "ledger/echo/9999999997.ended.json");
    assert_eq!(ended["outcome"], "failed", "{ended}");
    assert_eq!(ended["serves"]["echo"]["release"], "0.1.0", "{ended}");
    let observed = ObservedState::of(&project);
    assert_eq!((observed.alias.as_str(), &observed.status["release"]), ("1", &"0.1.0".into()));
    assert_eq!((observed.unfinished, observed.locks), (vec![], vec![]));
    let [_, state] = project.account.buckets();
    let keys = project.account.keys(&state);
    assert!(!keys.iter().any(|key| key.contains("uses")), "the other stack was touched: {keys:?}");

    let free = format!("last-{}", project.account.id);
    project.write(VALUES, &format!("{values}last = \"{free}\"\n"));
    let document = project.run(&[&RELEASE[..], &["--output", "json"]].concat()).exits(0).json();
    let delivered = document["data"]["deliveries"].as_array().expect("deliveries");
    let echo = delivered.iter().find(|one| one["stack"] == "echo").expect("echo");
    let changed: Vec<&Value> =
        echo["changes"].as_array().expect("changes").iter().map(|change| &change["address"]).collect();
    assert_eq!(changed, ["aws_s3_bucket.last"], "{echo}");
    assert!(delivered.iter().any(|one| one["stack"] == "uses"), "{document}");
    for one in &first {
        assert!(aws_resources(&project).contains(one), "{one:?} was created twice");
    }
    assert_eq!(buckets(&project.account), [format!("first-{}", project.account.id), free]);
    assert_eq!(ObservedState::of(&project).alias, "2");
}

/// Finds Terraform's apply among the processes that a run started.
pub fn terraform_apply_of(running: &Running) -> Pid {
    let tasks = format!("/proc/{}/task", running.pid());
    let children: String = std::fs::read_dir(tasks)
        .expect("the run's threads")
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .collect();
    let applies = |pid: &&str| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.split(|byte| *byte == 0).any(|word| word == b"apply"))
    };
    let pid = children.split_whitespace().find(applies).expect("Terraform's apply among the run's children");
    pid.parse().ok().and_then(Pid::from_raw).expect("a process id")
}

/// As when the machine fails: Slipway, Terraform and all that Terraform runs are killed at once.
#[test]
fn release_killed_together_with_terraform_is_recovered() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    block_apply(&project);
    project.change_code();
    let mut running = project.start(&RELEASE);
    wait_for_blocked_apply(&mut running);
    let terraform = terraform_apply_of(&running);
    running.kill();
    kill_process_group(terraform, Signal::KILL).expect("Terraform's group");
    assert_eq!(project.account.alias("echo"), "1");

    project
        .run(&RELEASE)
        .exits(7)
        .says("the state of `echo` in local is locked")
        .says("cargo xtask recover --env local");
    assert_eq!(project.account.alias("echo"), "1");
    let history = project.run(&["history", "--env", "local"]).exits(0);
    assert!(history.stdout.contains("interrupted"), "{history}");

    unblock_apply(&project);
    project.run(&["recover", "--env", "local", "--yes"]).exits(0).says("unlocked");
    project.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    let observed = ObservedState::of(&project);
    assert_eq!((observed.alias.as_str(), observed.unfinished, observed.locks), ("2", vec![], vec![]));
}

/// Only Slipway is killed: its Terraform finishes, and the next run waits for it.
#[test]
fn release_killed_without_its_terraform_is_continued_by_the_same_command() {
    let project = require!(EchoProject::new());
    block_apply(&project);
    let mut running = project.start(&RELEASE);
    wait_for_blocked_apply(&mut running);
    running.kill();
    let mut again = project.start(&RELEASE);
    assert!(
        again.wait_for_event(|event| event["event"] == "started" && event["label"] == "wait"),
        "the second run did not wait"
    );
    unblock_apply(&project);
    again.wait().exits(0).says("was cut off").says("echo 0.1.0 serves in local.");
    let [_, state] = project.account.buckets();
    let ended: Value = read_json(&project, "ledger/echo/9999999998.ended.json");
    assert_eq!((&ended["outcome"], &ended["serves"]), (&"interrupted".into(), &serde_json::json!({})));
    let keys = project.account.keys(&state);
    assert!(!keys.iter().any(|key| key.ends_with(".tflock")), "a lock is left: {keys:?}");
}

//! Applies that stop half-way, refused or killed: what was made is in the state, nothing new serves, and the same command
//! goes on from there.

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::signals::{at_the_gate, gated, open};
use super::support::account::Account;
use super::support::surroundings::repository;
use super::support::{Running, Settled, World, guard};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];
const VALUES: &str = "terraform/environments/local/echo.tfvars";

/// Two things that are made, and one whose name may be somebody else's.
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

fn document(world: &World, key: &str) -> Value {
    let [_, bucket] = world.account.buckets();
    serde_json::from_slice(&world.account.object(&bucket, key)).expect("JSON")
}

/// The ids of what the stack's state holds, by address.
fn made(world: &World) -> Vec<(String, Value)> {
    let state = document(world, "echo.tfstate");
    let resources = state["resources"].as_array().expect("resources");
    let one = |resource: &Value| {
        let name = |member: &str| resource[member].as_str().expect("a name").to_owned();
        let id = resource["instances"][0]["attributes"]["id"].clone();
        (format!("{}.{}", name("type"), name("name")), id)
    };
    resources.iter().map(one).filter(|(address, _)| address.starts_with("aws_")).collect()
}

/// Buckets of an account that are not Slipway's own.
fn buckets(account: &Account) -> Vec<String> {
    let xml = account.call("s3", "GET", "/", "application/octet-stream", b"").text();
    let names = xml.split("<Name>").skip(1).filter_map(|rest| rest.split("</Name>").next());
    names.filter(|name| !name.starts_with("echo-")).map(str::to_owned).collect()
}

#[test]
fn what_a_refused_apply_made_is_kept_and_made_once() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    let other = Account::new(guard::run().expect("a run"));
    let taken = format!("taken-{}", other.id);
    other.make_bucket(&taken);

    world.write("terraform/stacks/echo/more.tf", MORE);
    let lock = repository().join("terraform/stacks/hello/.terraform.lock.hcl");
    world.write("terraform/stacks/echo/.terraform.lock.hcl", &std::fs::read_to_string(lock).expect("a lock"));
    world.write("terraform/stacks/uses/main.tf", DEPENDENT);
    world.write("terraform/stacks/uses/stack.toml", "[inputs]\nbucket = \"echo.bucket\"\n");
    let values = std::fs::read_to_string(world.project.join(VALUES)).expect("the stack's values");
    world.write(VALUES, &format!("{values}last = \"{taken}\"\n"));
    world.second_code();

    let failed = world
        .run(&RELEASE)
        .exits(1)
        .says("BucketAlreadyExists")
        .says("not started")
        .says("uses (needs echo)")
        .says("What was done before that is in the state");
    assert!(failed.did("apply") && !failed.did("verify") && !failed.did("rollout"), "{failed}");
    let first = made(&world);
    let addresses: Vec<&str> = first.iter().map(|(address, _)| address.as_str()).collect();
    assert_eq!(addresses, ["aws_s3_bucket.first", "aws_secretsmanager_secret.key"]);
    let ended = document(&world, "ledger/echo/9999999997.ended.json");
    assert_eq!(ended["outcome"], "failed", "{ended}");
    assert_eq!(ended["serves"]["echo"]["release"], "0.1.0", "{ended}");
    let settled = Settled::of(&world);
    assert_eq!((settled.alias.as_str(), &settled.status["release"]), ("1", &"0.1.0".into()));
    assert_eq!((settled.open, settled.locks), (vec![], vec![]));
    let [_, state] = world.account.buckets();
    let keys = world.account.keys(&state);
    assert!(!keys.iter().any(|key| key.contains("uses")), "the other stack was touched: {keys:?}");

    let free = format!("last-{}", world.account.id);
    world.write(VALUES, &format!("{values}last = \"{free}\"\n"));
    let document = world.run(&[&RELEASE[..], &["--output", "json"]].concat()).exits(0).json();
    let delivered = document["data"]["deliveries"].as_array().expect("deliveries");
    let echo = delivered.iter().find(|one| one["stack"] == "echo").expect("echo");
    let changed: Vec<&Value> =
        echo["changes"].as_array().expect("changes").iter().map(|change| &change["address"]).collect();
    assert_eq!(changed, ["aws_s3_bucket.last"], "{echo}");
    assert!(delivered.iter().any(|one| one["stack"] == "uses"), "{document}");
    for one in &first {
        assert!(made(&world).contains(one), "{one:?} was made twice");
    }
    assert_eq!(buckets(&world.account), [format!("first-{}", world.account.id), free]);
    assert_eq!(Settled::of(&world).alias, "2");
}

/// Finds Terraform's apply among the processes that a run started.
fn terraform_of(running: &Running) -> Pid {
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

/// The machine goes away: Slipway, Terraform and all that Terraform runs at once.
#[test]
fn what_was_killed_with_its_terraform_is_recovered() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0);
    gated(&world);
    world.second_code();
    let mut running = world.start(&RELEASE);
    at_the_gate(&mut running);
    let terraform = terraform_of(&running);
    running.kill();
    kill_process_group(terraform, Signal::KILL).expect("Terraform's group");
    assert_eq!(world.account.alias("echo"), "1");

    world
        .run(&RELEASE)
        .exits(7)
        .says("the state of `echo` in local is locked")
        .says("cargo xtask recover --env local");
    assert_eq!(world.account.alias("echo"), "1");
    let told = world.run(&["history", "--env", "local"]).exits(0);
    assert!(told.stdout.contains("interrupted"), "{told}");

    open(&world);
    world.run(&["recover", "--env", "local", "--yes"]).exits(0).says("unlocked");
    world.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    let settled = Settled::of(&world);
    assert_eq!((settled.alias.as_str(), settled.open, settled.locks), ("2", vec![], vec![]));
}

/// Slipway alone is killed: its Terraform comes to its own end, and the next run waits for it.
#[test]
fn what_was_killed_alone_is_carried_on_by_the_same_command() {
    let Some(world) = World::new() else { return };
    gated(&world);
    let mut running = world.start(&RELEASE);
    at_the_gate(&mut running);
    running.kill();
    let mut again = world.start(&RELEASE);
    assert!(again.until(|event| event["event"] == "started" && event["label"] == "wait"), "nobody waited");
    open(&world);
    again.wait().exits(0).says("was cut off").says("echo 0.1.0 serves in local.");
    let [_, state] = world.account.buckets();
    let ended: Value = document(&world, "ledger/echo/9999999998.ended.json");
    assert_eq!((&ended["outcome"], &ended["serves"]), (&"interrupted".into(), &serde_json::json!({})));
    let keys = world.account.keys(&state);
    assert!(!keys.iter().any(|key| key.ends_with(".tflock")), "a lock is left: {keys:?}");
}

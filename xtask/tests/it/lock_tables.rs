//! An environment whose states are locked in a DynamoDB table beside the lock file: `lock_table` of its environment.toml.
//!
//! In: the echo project with the environment `dev` in an account of the emulated AWS, and its table. Terraform's S3 backend
//! writes the items; one that it did not write is as it writes them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::signals::{block_apply, unblock_apply, wait_for_blocked_apply};
use super::support::echo_project::{EchoProject, zips};
use super::support::process::{Finished, Running};
use super::support::settings_files::{environment_in_account, project_with_store};
use super::support::skip::Missing;
use crate::require;

const RELEASE: [&str; 4] = ["release", "--env", "dev", "--yes"];
const RECOVER: [&str; 4] = ["recover", "--env", "dev", "--yes"];

/// The echo project, whose `dev` has a lock table.
struct Locked {
    project: EchoProject,
}

impl Locked {
    fn new() -> Result<Self, Missing> {
        let project = EchoProject::new()?;
        let (account, id) = (&project.account, project.account.id.clone());
        account.create_function("dev", &zips(project.test_run));
        for bucket in ["artifacts", "dev-state"] {
            account.create_bucket(&format!("echo-{id}-{bucket}"));
        }
        let table = json!({
            "TableName": format!("echo-{id}-dev-locks"),
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": "LockID", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "LockID", "KeyType": "HASH" }],
        });
        account.call_json("dynamodb", "DynamoDB_20120810.CreateTable", "1.0", &table);
        let settings = project_with_store("echo", &id, &format!("echo-{id}-artifacts"));
        project.write("pipelines/project.toml", &format!("{settings}\n[checks.format]\nrun = \"true\"\n"));
        let dev = environment_in_account(&id, &format!("echo-{id}-dev-state"));
        project.write(
            "terraform/environments/dev/environment.toml",
            &format!("{dev}lock_table = \"echo-{id}-dev-locks\"\n"),
        );
        let read = |path: &str| std::fs::read_to_string(project.folder.join(path)).expect(path);
        let values = read("terraform/environments/local/echo.tfvars");
        project.write("terraform/environments/dev/echo.tfvars", &values);
        let stack = read("terraform/stacks/echo/main.tf");
        project.write(
            "terraform/stacks/echo/main.tf",
            &stack.replace("${var.environment.name}-echo\"", "local-${var.environment.name}\""),
        );
        project.commit("build: dev locks in a table");
        project.run(&["local", "up"]).exits(0);
        Ok(Self { project })
    }

    /// The same project in another folder, as on another machine.
    fn second_checkout(&self) -> Self {
        let project = self.project.second_checkout();
        project.run(&["local", "up"]).exits(0);
        Self { project }
    }

    /// Starts a command as an administrator of the account, which is reached through the gateway: it runs functions.
    fn start(&self, arguments: &[&str]) -> Running {
        let running = self.project.run(&["local", "status", "--output", "json"]).exits(0).json();
        let gateway = running["data"]["gateway"]["url"].as_str().expect("the gateway's address");
        let variables = self.project.account.administrator_variables();
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (*name, if *name == "AWS_ENDPOINT_URL" { gateway } else { value.as_str() }))
            .collect();
        self.project.start_with(arguments, &variables)
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).wait()
    }

    fn state_bucket(&self) -> String {
        format!("echo-{}-dev-state", self.project.account.id)
    }

    /// Calls DynamoDB about the item of the stack's state.
    fn item(&self, operation: &str, more: &Value) -> Value {
        let mut body = json!({ "TableName": format!("echo-{}-dev-locks", self.project.account.id) });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.project.account.call_json("dynamodb", &format!("DynamoDB_20120810.{operation}"), "1.0", &body)
    }

    fn key(&self) -> Value {
        json!({ "LockID": { "S": format!("{}/echo.tfstate", self.state_bucket()) } })
    }

    /// The lock in the table, as Terraform wrote it.
    fn lock_in_table(&self) -> Option<Value> {
        let found = self.item("GetItem", &json!({ "Key": self.key() }));
        let info = found["Item"]["Info"]["S"].as_str()?;
        Some(serde_json::from_str(info).expect("a lock in JSON"))
    }

    /// The lock in the file beside the state.
    fn lock_in_file(&self) -> Option<Value> {
        let (bucket, key) = (self.state_bucket(), "echo.tfstate.tflock");
        let keys = self.project.account.keys(&bucket);
        keys.iter().any(|found| found == key).then(|| {
            serde_json::from_slice(&self.project.account.object(&bucket, key)).expect("a lock in JSON")
        })
    }

    fn lock(&self, id: &str, who: &str) -> Value {
        json!({
            "ID": id, "Operation": "OperationTypeApply", "Info": "", "Who": who, "Version": "1.10.0",
            "Created": "2026-11-01T10:00:00Z", "Path": format!("{}/echo.tfstate", self.state_bucket()),
        })
    }

    /// Writes a lock into the table, as a Terraform does that locks by the table alone.
    fn lock_table(&self, id: &str, who: &str) {
        let mut item = self.key();
        item["Info"] = json!({ "S": self.lock(id, who).to_string() });
        self.item("PutItem", &json!({ "Item": item }));
    }

    /// Writes a lock into the file.
    fn lock_file(&self, id: &str, who: &str) {
        let lock = self.lock(id, who).to_string();
        self.project.account.put(&self.state_bucket(), "echo.tfstate.tflock", lock.as_bytes());
    }

    /// Deletes the item, as the Terraform that wrote it does at its end.
    fn release_table(&self) {
        self.item("DeleteItem", &json!({ "Key": self.key() }));
    }
}

#[test]
fn apply_holds_item_and_file_and_a_second_deployment_waits_for_it() {
    let dev = require!(Locked::new());
    block_apply(&dev.project);
    let mut first = dev.start(&RELEASE);
    wait_for_blocked_apply(&mut first);
    let held = dev.lock_in_table().expect("an item while the apply runs");
    assert_eq!(held["Operation"], "OperationTypeApply");
    assert_eq!(dev.lock_in_file().as_ref(), Some(&held), "the file holds the same lock");

    let other = dev.second_checkout();
    other.run(&RELEASE).exits(7).says("`echo` in dev is being deployed by somebody else").says("ada@");
    let recovered = other
        .run(&RECOVER)
        .exits(0)
        .says("has not ended, and its process is running")
        .says("left alone: deployment 1 by ada@");
    let id = held["ID"].as_str().expect("an id");
    assert_eq!(recovered.stdout.matches(id).count(), 2, "one lock, its id and how to remove it: {recovered}");
    assert_eq!(dev.lock_in_table().as_ref(), Some(&held));

    let second = other.start(&[&RELEASE[..], &["--lock-timeout", "5m"]].concat());
    unblock_apply(&dev.project);
    first.wait().exits(0).says("echo 0.1.0 serves in dev.");
    second.wait().exits(0).says("already serves");
    assert_eq!((dev.lock_in_table(), dev.lock_in_file()), (None, None));
    // Terraform keeps the digest of the state there, which it compares with what it reads.
    let state = dev.item("Scan", &json!({}));
    let digests = state["Items"].as_array().expect("items");
    assert_eq!(digests.len(), 1, "{state}");
    assert_eq!(digests[0]["LockID"]["S"], format!("{}/echo.tfstate-md5", dev.state_bucket()));
    dev.run(&RECOVER).exits(0).says("Nothing is left open in dev.");
}

/// Another tool locks by the table alone: the lock file is not there.
#[test]
fn lock_of_another_tool_in_the_table_is_respected_and_waited_for() {
    let dev = require!(Locked::new());
    dev.run(&RELEASE).exits(0);
    dev.project.change_code();
    dev.lock_table("5f2e", "ci@build-7");
    dev.run(&RELEASE)
        .exits(7)
        .says("the state of `echo` in dev is locked")
        .says("ci@build-7")
        .says("5f2e")
        .says("cargo xtask recover --env dev");
    assert!(dev.lock_in_table().is_some() && dev.lock_in_file().is_none());
    let mut waiting = dev.start(&[&RELEASE[..], &["--lock-timeout", "5m"]].concat());
    assert!(waiting.wait_for_event(|event| event["event"] == "started" && event["label"] == "plan"));
    std::thread::sleep(Duration::from_secs(3));
    dev.release_table();
    waiting.wait().exits(0).says("echo 0.2.0 serves in dev.");
    assert!(dev.lock_in_table().is_none());
}

#[test]
fn lock_in_the_table_is_removed_with_proof_or_by_its_id() {
    let dev = require!(Locked::new());
    dev.run(&RELEASE).exits(0);
    dev.lock_table("5f2e", "ci@build-7");
    let unlock = |id: &'static str| [&RECOVER[..], &["--unlock", id]].concat();
    dev.run(&RECOVER).exits(0).says("the state is locked by ci@build-7 (OperationTypeApply)").says(
        "left as it is: it was made on build-7, and nothing here shows whether that Terraform still runs",
    );
    dev.run(&unlock("another")).exits(2).says("no state in dev has the lock another");
    assert!(dev.lock_in_table().is_some());
    dev.run(&unlock("5f2e")).exits(0).says("unlocked");
    assert_eq!(dev.lock_in_table(), None);

    // On this machine, where no Terraform runs that could hold it: in the table, in the file, in both.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("the host's name");
    let here = format!("ada@{}", host.trim());
    for (in_table, in_file) in [(true, false), (false, true), (true, true)] {
        if in_table {
            dev.lock_table("5f2e", &here);
        }
        if in_file {
            dev.lock_file("5f2e", &here);
        }
        let recovered = dev.run(&RECOVER).exits(0).says("where no Terraform of this stack runs");
        assert_eq!(recovered.stdout.matches("unlocked").count(), 1, "{recovered}");
        assert_eq!((dev.lock_in_table(), dev.lock_in_file()), (None, None), "{in_table} {in_file}");
    }

    // Two runs: one lock each, and one is removed alone.
    dev.lock_table("5f2e", "ci@build-7");
    dev.lock_file("77aa", "ci@build-8");
    dev.run(&RECOVER).exits(0).says("lock 5f2e").says("lock 77aa");
    dev.run(&unlock("5f2e")).exits(0).says("unlocked");
    assert!(dev.lock_in_table().is_none() && dev.lock_in_file().is_some());
    dev.run(&unlock("77aa")).exits(0).says("unlocked");
    assert_eq!(dev.lock_in_file(), None);

    // One that says nothing is there as well.
    let mut item = dev.key();
    item["Info"] = json!({ "S": "" });
    dev.item("PutItem", &json!({ "Item": item }));
    dev.run(&RECOVER).exits(0).says("/echo.tfstate of the table").says("does not say by whom");
    dev.release_table();
    dev.project.change_code();
    dev.run(&RELEASE).exits(0).says("echo 0.2.0 serves in dev.");
}

/// Slipway is killed, and its Terraform goes on: file and item are its own until it has ended.
#[test]
fn lock_of_a_terraform_that_outlived_its_slipway_is_left_in_the_table() {
    let dev = require!(Locked::new());
    block_apply(&dev.project);
    let mut running = dev.start(&RELEASE);
    wait_for_blocked_apply(&mut running);
    running.kill();
    let other = dev.second_checkout();
    other
        .run(&RECOVER)
        .exits(0)
        .says("its process is gone")
        .says("closed: ")
        .says("left alone: a Terraform that may hold it runs here (process ");
    assert!(dev.lock_in_table().is_some() && dev.lock_in_file().is_some());
    unblock_apply(&dev.project);
    let begun = Instant::now();
    while dev.lock_in_table().is_some() || dev.lock_in_file().is_some() {
        assert!(begun.elapsed() < Duration::from_secs(60), "Terraform did not release its lock");
        std::thread::sleep(Duration::from_millis(100));
    }
    dev.run(&RELEASE).exits(0);
}

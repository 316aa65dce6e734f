//! Obstacles to a release: each is named in the error, nothing is lost, and the suggested solution works.

use serde_json::{Value, json};

use super::support::commands::RELEASE;
use super::support::proxy::Proxy;
use super::support::{EchoProject, ObservedState};
use crate::require;

const RECOVER: [&str; 4] = ["recover", "--env", "local", "--yes"];

fn state(project: &EchoProject) -> Value {
    let [_, bucket] = project.account.buckets();
    serde_json::from_slice(&project.account.object(&bucket, "echo.tfstate")).expect("a state")
}

fn put_state(project: &EchoProject, state: &Value) {
    let [_, bucket] = project.account.buckets();
    project.account.put(&bucket, "echo.tfstate", state.to_string().as_bytes());
}

#[test]
fn terraform_state_lock_is_reported_and_released_by_recover() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    project.change_code();
    let [_, bucket] = project.account.buckets();
    let lock = json!({
        "ID": "5e1c0b52-73a5-4d0b-9a31-5a4e7bd8f0c1", "Operation": "OperationTypeApply", "Info": "",
        "Who": "ci@build-7", "Version": "1.11.4", "Created": "2026-11-20T14:02:11.5Z",
        "Path": format!("{bucket}/echo.tfstate"),
    });
    project.account.put(&bucket, "echo.tfstate.tflock", lock.to_string().as_bytes());
    let before = project.account.objects();
    project
        .run(&["deploy", "echo", "--env", "local", "--version", "0.1.0", "--plan", "--yes"])
        .exits(7)
        .says("the state of `echo` in local is locked")
        .says("ci@build-7")
        .says("2026-11-20")
        .says("Nothing was changed.")
        .says("cargo xtask recover --env local");
    assert_eq!(project.account.objects(), before);
    project.run(&["recover", "--env", "local"]).says("ci@build-7");
    assert_eq!(project.account.objects(), before, "without confirmation the lock stays");
    // Made on another machine: nothing here shows whether that Terraform still runs.
    project.run(&RECOVER).exits(0).says("left as it is");
    assert_eq!(project.account.objects(), before);
    let unlock = [&RECOVER[..], &["--unlock", "5e1c0b52-73a5-4d0b-9a31-5a4e7bd8f0c1"]].concat();
    project.run(&unlock).exits(0).says("unlocked");
    project.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    assert_eq!(ObservedState::of(&project).locks, Vec::<String>::new());
}

#[test]
fn unsaved_terraform_state_is_saved_by_recover() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    let mut unsaved = state(&project);
    unsaved["serial"] = json!(unsaved["serial"].as_u64().expect("a serial") + 1);
    unsaved["outputs"]["late"] = json!({ "value": "kept", "type": "string" });
    project.write("terraform/stacks/echo/errored.tfstate", &unsaved.to_string());
    project.run(&RECOVER).exits(0).says("a state that could not be saved").says("saved");
    assert_eq!(state(&project)["outputs"]["late"]["value"], "kept");
    project.run(&RECOVER).exits(0).says("Nothing is left open in local.");
    project.run(&RELEASE).exits(0);
    assert!(state(&project)["outputs"]["late"].is_null(), "Terraform continued from the saved state");
}

#[test]
fn state_of_a_newer_terraform_is_not_changed() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    project.change_code();
    let mut newer = state(&project);
    newer["version"] = 5.into();
    newer["terraform_version"] = "99.0.0".into();
    put_state(&project, &newer);
    project
        .run(&RELEASE)
        .exits(1)
        .says("this version of Terraform cannot be used for `echo` in local")
        .says("99.0.0")
        .says("Nothing was changed.");
    assert_eq!(state(&project), newer);
    assert_eq!(project.account.alias("echo"), "1");
}

#[test]
fn missing_terraform_is_reported_before_anything_is_published() {
    let project = require!(EchoProject::new());
    project.write(
        "pipelines/project.toml",
        "schema = 1\nname = \"echo\"\nterraform = \"terraform-of-nobody\"\n\n[checks.format]\nrun = \"true\"\n",
    );
    project.commit("build: another terraform");
    project
        .run(&RELEASE)
        .exits(1)
        .says("`terraform-of-nobody` was not found")
        .says("install Terraform")
        .says("pipelines/project.toml");
    let [artifacts, state] = project.account.buckets();
    assert_eq!(project.account.keys(&artifacts), Vec::<String>::new());
    assert_eq!(project.account.keys(&state), Vec::<String>::new());
}

#[test]
fn artifact_with_other_bytes_in_the_store_is_not_released() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    project.change_code();
    let built = project.run(&["build", "echo", "--output", "json"]).exits(0).json();
    let digest = built["data"]["artifacts"][0]["sha256"].as_str().expect("a digest").to_owned();
    let key = format!("artifacts/sha256/{}.zip", digest.trim_start_matches("sha256:"));
    let [artifacts, _] = project.account.buckets();
    project.account.put(&artifacts, &key, b"somebody else's bytes");
    project
        .run(&RELEASE)
        .exits(1)
        .says("the store has other bytes under the name of this artifact")
        .says(&digest)
        .says("The release was not published");
    assert_eq!(project.account.object(&artifacts, &key), b"somebody else's bytes");
    assert_eq!(ObservedState::of(&project).releases.len(), 1);
    assert_eq!(project.account.alias("echo"), "1");
}

#[test]
fn edited_manifest_is_not_deployed() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    project.change_code();
    project.run(&RELEASE).exits(0);
    let [artifacts, _] = project.account.buckets();
    let key = "releases/echo/0.1.0.json";
    let mut manifest: Value =
        serde_json::from_slice(&project.account.object(&artifacts, key)).expect("a manifest");
    manifest["source"]["commit"] = "0000000000000000000000000000000000000000".into();
    project.account.put(&artifacts, key, manifest.to_string().as_bytes());
    project
        .run(&["deploy", "echo", "--env", "local", "--version", "0.1.0", "--yes"])
        .exits(6)
        .says("the manifest of `echo` 0.1.0 was edited: its content does not match its seal");
    assert_eq!(project.account.alias("echo"), "2");
}

#[test]
fn unreachable_store_leaves_no_partial_release() {
    let project = require!(EchoProject::new());
    let gate = project.folder.join("target/gate");
    project.write(
        "pipelines/project.toml",
        &format!(
            "schema = 1\nname = \"echo\"\n\n[checks.format]\nrun = \"sh -c 'while [ -e {} ]; do sleep 0.1; done'\"\n",
            gate.display()
        ),
    );
    project.commit("build: a slow check");
    project.write("target/gate", "");
    let proxy = Proxy::to(project.emulator_port());
    let through = [("SLIPWAY_LOCAL_EMULATOR", &*proxy.url())];
    let mut running = project.start_with(&RELEASE, &through);
    assert!(running.wait_for_event(|event| event["event"] == "started" && event["label"] == "check"));
    proxy.cut(true);
    std::fs::remove_file(&gate).expect("the gate");
    let failed = running.wait().exits(1);
    assert!(failed.stderr.contains("error: "), "{failed}");
    for bucket in project.account.buckets() {
        let keys = project.account.keys(&bucket);
        assert!(!keys.iter().any(|key| key.starts_with("releases/")), "{keys:?} after {failed}");
    }
    proxy.cut(false);
    project.start_with(&RELEASE, &through).wait().exits(0).says("echo 0.1.0 serves in local.");
}

#[test]
fn shallow_clone_is_refused_with_the_command_to_unshallow_it() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    project.write("docs/notes.md", "one\n");
    project.commit("docs: one");
    project.change_code();
    project.make_shallow();
    project.run(&RELEASE).exits(2).says("this is a shallow clone").says("git fetch --unshallow");
    assert_eq!(ObservedState::of(&project).releases.len(), 1);
    let release = ["release", "--env", "local", "--yes", "--version", "0.2.0"];
    let refused = project.run(&release).exits(6).says("git fetch --unshallow");
    let (_, commit) = refused.stderr.split_once("--allow-loss ").expect("the commit that serves");
    let commit = commit.split_whitespace().next().expect("its id").to_owned();
    project
        .run(&[&release[..], &["--allow-loss", &commit]].concat())
        .exits(0)
        .says("echo 0.2.0 serves in local.");
}

#[test]
fn taken_gateway_port_is_named_in_the_error() {
    let project = require!(EchoProject::new());
    project.run(&["local", "down"]).exits(0);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    project.run(&["local", "up", "--gateway-port", &port]).exits(1).says(&port);
    drop(taken);
    project.run(&["local", "up", "--gateway-port", &port]).exits(0);
}

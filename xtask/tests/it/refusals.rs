//! What stands in a release's way: each is told by its name, nothing is lost, and the way out works.

use serde_json::{Value, json};

use super::support::proxy::Proxy;
use super::support::{Settled, World};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];
const RECOVER: [&str; 4] = ["recover", "--env", "local", "--yes"];

fn state(world: &World) -> Value {
    let [_, bucket] = world.account.buckets();
    serde_json::from_slice(&world.account.object(&bucket, "echo.tfstate")).expect("a state")
}

fn put_state(world: &World, state: &Value) {
    let [_, bucket] = world.account.buckets();
    world.account.put(&bucket, "echo.tfstate", state.to_string().as_bytes());
}

#[test]
fn a_lock_of_terraforms_is_told_and_given_up() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0);
    world.second_code();
    let [_, bucket] = world.account.buckets();
    let lock = json!({
        "ID": "5e1c0b52-73a5-4d0b-9a31-5a4e7bd8f0c1", "Operation": "OperationTypeApply", "Info": "",
        "Who": "ci@build-7", "Version": "1.11.4", "Created": "2026-11-20T14:02:11.5Z",
        "Path": format!("{bucket}/echo.tfstate"),
    });
    world.account.put(&bucket, "echo.tfstate.tflock", lock.to_string().as_bytes());
    let before = world.account.objects();
    world
        .run(&["deploy", "echo", "--env", "local", "--version", "0.1.0", "--plan", "--yes"])
        .exits(7)
        .says("the state of `echo` in local is locked")
        .says("ci@build-7")
        .says("2026-11-20")
        .says("Nothing was changed.")
        .says("cargo xtask recover --env local");
    assert_eq!(world.account.objects(), before);
    world.run(&["recover", "--env", "local"]).exits(6).says("ci@build-7");
    assert_eq!(world.account.objects(), before, "without a yes the lock stays");
    world.run(&RECOVER).exits(0).says("unlocked");
    world.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    assert_eq!(Settled::of(&world).locks, Vec::<String>::new());
}

#[test]
fn a_state_that_was_not_saved_is_saved() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0);
    let mut unsaved = state(&world);
    unsaved["serial"] = json!(unsaved["serial"].as_u64().expect("a serial") + 1);
    unsaved["outputs"]["late"] = json!({ "value": "kept", "type": "string" });
    world.write("terraform/stacks/echo/errored.tfstate", &unsaved.to_string());
    world.run(&RECOVER).exits(0).says("a state that could not be saved").says("saved");
    assert_eq!(state(&world)["outputs"]["late"]["value"], "kept");
    world.run(&RECOVER).exits(0).says("Nothing is left open in local.");
    world.run(&RELEASE).exits(0);
    assert!(state(&world)["outputs"]["late"].is_null(), "Terraform went on from what was saved");
}

#[test]
fn a_state_of_a_newer_terraform_is_left_alone() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0);
    world.second_code();
    let mut newer = state(&world);
    newer["version"] = 5.into();
    newer["terraform_version"] = "99.0.0".into();
    put_state(&world, &newer);
    world
        .run(&RELEASE)
        .exits(1)
        .says("this version of Terraform cannot be used for `echo` in local")
        .says("99.0.0")
        .says("Nothing was changed.");
    assert_eq!(state(&world), newer);
    assert_eq!(world.account.alias("echo"), "1");
}

#[test]
fn a_missing_terraform_is_named_before_anything_is_published() {
    let Some(world) = World::new() else { return };
    world.write(
        "pipelines/project.toml",
        "schema = 1\nname = \"echo\"\nterraform = \"terraform-of-nobody\"\n\n[checks.format]\nrun = \"true\"\n",
    );
    world.commit("build: another terraform");
    world
        .run(&RELEASE)
        .exits(1)
        .says("`terraform-of-nobody` was not found")
        .says("install Terraform")
        .says("pipelines/project.toml");
    let [artifacts, state] = world.account.buckets();
    assert_eq!(world.account.keys(&artifacts), Vec::<String>::new());
    assert_eq!(world.account.keys(&state), Vec::<String>::new());
}

#[test]
fn other_bytes_under_an_artifacts_name_are_not_released() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0);
    world.second_code();
    let built = world.run(&["build", "echo", "--output", "json"]).exits(0).json();
    let digest = built["data"]["artifacts"][0]["sha256"].as_str().expect("a digest").to_owned();
    let key = format!("artifacts/sha256/{}.zip", digest.trim_start_matches("sha256:"));
    let [artifacts, _] = world.account.buckets();
    world.account.put(&artifacts, &key, b"somebody else's bytes");
    world
        .run(&RELEASE)
        .exits(1)
        .says("the store has other bytes under the name of this artifact")
        .says(&digest)
        .says("The release was not published");
    assert_eq!(world.account.object(&artifacts, &key), b"somebody else's bytes");
    assert_eq!(Settled::of(&world).releases.len(), 1);
    assert_eq!(world.account.alias("echo"), "1");
}

#[test]
fn an_edited_manifest_is_not_deployed() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0);
    world.second_code();
    world.run(&RELEASE).exits(0);
    let [artifacts, _] = world.account.buckets();
    let key = "releases/echo/0.1.0.json";
    let mut manifest: Value =
        serde_json::from_slice(&world.account.object(&artifacts, key)).expect("a manifest");
    manifest["source"]["commit"] = "0000000000000000000000000000000000000000".into();
    world.account.put(&artifacts, key, manifest.to_string().as_bytes());
    world
        .run(&["deploy", "echo", "--env", "local", "--version", "0.1.0", "--yes"])
        .exits(1)
        .says("the manifest of `echo` 0.1.0 was edited: its content does not match its seal");
    assert_eq!(world.account.alias("echo"), "2");
}

#[test]
fn a_store_that_goes_away_leaves_no_half_release() {
    let Some(world) = World::new() else { return };
    let gate = world.project.join("target/gate");
    world.write(
        "pipelines/project.toml",
        &format!(
            "schema = 1\nname = \"echo\"\n\n[checks.format]\nrun = \"sh -c 'while [ -e {} ]; do sleep 0.1; done'\"\n",
            gate.display()
        ),
    );
    world.commit("build: a check that takes its time");
    world.write("target/gate", "");
    let proxy = Proxy::to(world.port());
    let through = [("SLIPWAY_LOCAL_EMULATOR", &*proxy.url())];
    let mut running = world.start_with(&RELEASE, &through);
    assert!(running.until(|event| event["event"] == "started" && event["label"] == "checks"));
    proxy.cut(true);
    std::fs::remove_file(&gate).expect("the gate");
    let failed = running.wait().exits(1);
    assert!(failed.stderr.contains("error: "), "{failed}");
    for bucket in world.account.buckets() {
        let keys = world.account.keys(&bucket);
        assert!(!keys.iter().any(|key| key.starts_with("releases/")), "{keys:?} after {failed}");
    }
    proxy.cut(false);
    world.start_with(&RELEASE, &through).wait().exits(0).says("echo 0.1.0 serves in local.");
}

#[test]
fn a_shallow_clone_is_told_how_to_become_whole() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0);
    world.write("docs/notes.md", "one\n");
    world.commit("docs: one");
    world.second_code();
    world.cut_history();
    world.run(&RELEASE).exits(2).says("this is a shallow clone").says("git fetch --unshallow");
    assert_eq!(Settled::of(&world).releases.len(), 1);
    world
        .run(&["release", "--env", "local", "--yes", "--version", "0.2.0"])
        .exits(0)
        .says("echo 0.2.0 serves in local.");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let Some(world) = World::new() else { return };
    world.run(&["local", "down"]).exits(0);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    world.run(&["local", "up", "--gateway-port", &port]).exits(1).says(&port);
    drop(taken);
    world.run(&["local", "up", "--gateway-port", &port]).exits(0);
}

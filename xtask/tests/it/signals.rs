//! Signals: the first stops new work and lets a running apply finish, the second is passed on to it once.

use rustix::process::Signal;
use serde_json::Value;

use super::support::{Running, Settled, World};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];

/// Makes the stack's apply go on for as long as the file `gate` lies in the project.
pub fn gated(world: &World) {
    let path = "terraform/stacks/echo/main.tf";
    let stack = std::fs::read_to_string(world.project.join(path)).expect("the stack");
    let gate = world.project.join("target/gate");
    let resource = format!(
        "\nresource \"terraform_data\" \"gated\" {{\n  provisioner \"local-exec\" {{\n    command = \"while [ -e {} ]; do sleep 0.1; done\"\n  }}\n}}\n",
        gate.display()
    );
    world.write(path, &(stack + &resource));
    world.commit("build: something that takes its time");
    world.write("target/gate", "");
}

/// Lets a gated apply come to its end.
pub fn open(world: &World) {
    std::fs::remove_file(world.project.join("target/gate")).expect("the gate");
}

/// Waits until the gated apply is under way.
pub fn at_the_gate(running: &mut Running) {
    let creating = |event: &Value| {
        event["event"] == "line"
            && event["text"].as_str().is_some_and(|text| text.starts_with("terraform_data.gated: Creating"))
    };
    assert!(running.until(creating), "the apply did not begin");
}

/// What the last apply of Terraform's said.
fn said_by_terraform(world: &World) -> String {
    std::fs::read_to_string(world.project.join("target/slipway/terraform/local/echo/apply.out"))
        .expect("what terraform said")
}

fn nothing_is_written(world: &World) {
    for bucket in world.account.buckets() {
        assert_eq!(world.account.keys(&bucket), Vec::<String>::new(), "{bucket}");
    }
}

#[test]
fn a_check_is_stopped_and_nothing_is_published() {
    for signal in [Signal::INT, Signal::TERM] {
        let Some(world) = World::new() else { return };
        let project = "schema = 1\nname = \"echo\"\n\n[checks.slow]\nrun = \"sleep 600\"\n";
        world.write("pipelines/project.toml", project);
        let mut running = world.start(&RELEASE);
        assert!(running.until(|event| event["event"] == "started" && event["label"] == "checks"));
        running.signal(signal);
        running.wait().exits(130).says("interrupted");
        nothing_is_written(&world);
    }
}

#[test]
fn a_build_is_stopped_and_nothing_is_published() {
    let Some(world) = World::new() else { return };
    world.forget_artifacts();
    let mut running = world.start(&RELEASE);
    assert!(running.until(|event| {
        event["event"] == "line" && event["text"].as_str().is_some_and(|text| text.contains("Compiling"))
    }));
    running.signal(Signal::INT);
    running.wait().exits(130).says("interrupted");
    nothing_is_written(&world);
}

#[test]
fn a_running_apply_is_let_finish() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let Some(world) = World::new() else { return };
        gated(&world);
        let mut running = world.start(&RELEASE);
        at_the_gate(&mut running);
        running.signal(signal);
        std::thread::sleep(std::time::Duration::from_millis(500));
        open(&world);
        let ended = running.wait().exits(130);
        let terraform = said_by_terraform(&world);
        assert!(terraform.contains("Apply complete!"), "{terraform}");
        assert!(!terraform.contains("nterrupt"), "{terraform}");
        assert!(!ended.did("rollout"), "{ended}");
        closed_and_saved(&world);
        world.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    }
}

#[test]
fn a_second_signal_reaches_the_apply_once() {
    let Some(world) = World::new() else { return };
    gated(&world);
    let mut running = world.start(&RELEASE);
    at_the_gate(&mut running);
    for _ in 0..4 {
        running.signal(Signal::INT);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    running.wait().exits(130);
    let terraform = said_by_terraform(&world);
    assert_eq!(terraform.matches("Interrupt received").count(), 1, "{terraform}");
    assert!(!terraform.contains("Two interrupts"), "{terraform}");
    closed_and_saved(&world);
    open(&world);
    world.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    let settled = Settled::of(&world);
    assert_eq!((settled.open, settled.locks), (vec![], vec![]));
}

/// The grace of a CI run: nobody sends a second signal there in time.
#[test]
fn a_grace_stands_for_the_second_signal() {
    let Some(world) = World::new() else { return };
    gated(&world);
    let mut running = world.start_with(&RELEASE, &[("SLIPWAY_GRACE", "1s")]);
    at_the_gate(&mut running);
    running.signal(Signal::TERM);
    running.wait().exits(130);
    assert_eq!(said_by_terraform(&world).matches("Interrupt received").count(), 1);
    closed_and_saved(&world);
}

/// The ledger says how it ended, the state holds what was made, and no lock is left.
fn closed_and_saved(world: &World) {
    let [_, state] = world.account.buckets();
    let keys = world.account.keys(&state);
    assert!(!keys.iter().any(|key| key.ends_with(".tflock")), "a lock is left: {keys:?}");
    let saved: Value =
        serde_json::from_slice(&world.account.object(&state, "echo.tfstate")).expect("the state");
    let resources = saved["resources"].as_array().expect("its resources");
    assert!(resources.iter().any(|resource| resource["name"] == "gated"), "{saved}");
    let ended = world.account.object(&state, "ledger/echo/9999999998.ended.json");
    let ended: Value = serde_json::from_slice(&ended).expect("the ledger's entry");
    assert_eq!(ended["outcome"], "interrupted", "{ended}");
    assert_eq!(ended["serves"], serde_json::json!({}), "{ended}");
}

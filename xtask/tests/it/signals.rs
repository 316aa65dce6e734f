//! What ends a run early: the first signal stops new work and lets a running apply finish, the second is passed on to it
//! once; a check that failed ends what was being built beside it, and the other way round.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::support::process::Finished;
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

/// Processes of this machine in whose command line or environment the words stand.
fn processes_with(words: &str) -> Vec<String> {
    let holds = |process: &std::path::Path, file: &str| {
        std::fs::read(process.join(file)).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(words))
    };
    let all = std::fs::read_dir("/proc").expect("the processes of this machine").flatten();
    all.map(|process| process.path())
        .filter(|process| holds(process, "cmdline") || holds(process, "environ"))
        .map(|process| std::fs::read_to_string(process.join("comm")).unwrap_or_default())
        .collect()
}

/// Waits until no process has this any more: what was told to end outlives the one that was waited for by a moment.
#[track_caller]
fn soon_none(holding: &str, after: &Finished) {
    let begun = Instant::now();
    loop {
        let left = processes_with(holding);
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{left:?} go on after {after}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A project whose check waits at the gate and then fails, and a tool folder of its own without the Rust builder.
fn beside(world: &World) -> String {
    let gate = world.project.join("target/gate");
    let check = format!("while [ -e {} ]; do sleep 0.1; done; exit 1", gate.display());
    let project = format!("schema = 1\nname = \"echo\"\n\n[checks.slow]\nrun = \"sh -c '{check}'\"\n");
    world.write("pipelines/project.toml", &project);
    world.write("target/gate", "");
    // Where the environment runs, checks and builder are all that is waited for.
    world.run(&["local", "up"]).exits(0);
    world.home.join("tools").display().to_string()
}

#[test]
fn a_failed_check_ends_the_build_beside_it() {
    let Some(world) = World::new() else { return };
    let tools = beside(&world);
    let mut running = world.start_with(&RELEASE, &[("SLIPWAY_TOOLS", &tools)]);
    assert!(running.until(|event| {
        event["event"] == "line" && event["text"].as_str().is_some_and(|text| text.contains("Compiling"))
    }));
    assert_ne!(processes_with(&format!("CARGO_TARGET_DIR={tools}")), Vec::<String>::new());
    open(&world);
    let failed = running.wait().exits(3).says("1 check did not pass: slow").says("stopped");
    soon_none(&format!("CARGO_TARGET_DIR={tools}"), &failed);
    let builder = std::path::Path::new(&tools).join("rust-builder");
    assert!(builder.is_dir() && !builder.join("built-from").exists(), "half a builder counts as one");
    nothing_is_written(&world);
}

#[test]
fn a_build_that_failed_ends_the_checks_beside_it() {
    let Some(world) = World::new() else { return };
    let tools = beside(&world);
    let gate = world.project.join("target/gate").display().to_string();
    let nowhere = world.home.join("cargo").display().to_string();
    let offline = [("SLIPWAY_TOOLS", &*tools), ("CARGO_HOME", &*nowhere), ("CARGO_NET_OFFLINE", "true")];
    let failed = world.start_with(&RELEASE, &offline).wait().exits(1).says("check the network");
    soon_none(&gate, &failed);
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

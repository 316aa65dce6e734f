//! Runs that end early: the first signal stops new work and lets a running apply finish, the second is forwarded to it once;
//! a failed check stops the parallel build, and the other way round.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::chaos::processes::Victim;
use super::support::commands::RELEASE;
use super::support::process::Finished;
use super::support::{EchoProject, ObservedState, Running};
use crate::require;

/// Makes the stack's apply run as long as the file `target/gate` exists in the project.
pub fn block_apply(project: &EchoProject) {
    let path = "terraform/stacks/echo/main.tf";
    let stack = std::fs::read_to_string(project.folder.join(path)).expect("the stack");
    let gate = project.folder.join("target/gate");
    let resource = format!(
        "\nresource \"terraform_data\" \"gated\" {{\n  provisioner \"local-exec\" {{\n    command = \"while [ -e {} ]; do sleep 0.1; done\"\n  }}\n}}\n",
        gate.display()
    );
    project.write(path, &(stack + &resource));
    project.commit("build: a slow resource");
    project.write("target/gate", "");
}

/// Lets a blocked apply finish.
pub fn unblock_apply(project: &EchoProject) {
    std::fs::remove_file(project.folder.join("target/gate")).expect("the gate");
}

/// Waits until the blocked apply has started.
pub fn wait_for_blocked_apply(running: &mut Running) {
    let creating = |event: &Value| {
        event["event"] == "line"
            && event["text"].as_str().is_some_and(|text| text.starts_with("terraform_data.gated: Creating"))
    };
    assert!(running.wait_for_event(creating), "the apply did not start");
}

/// The output of the last apply.
fn terraform_apply_output(project: &EchoProject) -> String {
    std::fs::read_to_string(project.folder.join("target/slipway/terraform/local/echo/apply.out"))
        .expect("terraform's output")
}

fn assert_buckets_are_empty(project: &EchoProject) {
    for bucket in project.account.buckets() {
        assert_eq!(project.account.keys(&bucket), Vec::<String>::new(), "{bucket}");
    }
}

#[test]
fn signal_during_a_check_publishes_nothing() {
    for signal in [Signal::INT, Signal::TERM] {
        let project = require!(EchoProject::new());
        let settings = "schema = 1\nname = \"echo\"\n\n[checks.slow]\nrun = \"sleep 600\"\n";
        project.write("pipelines/project.toml", settings);
        let mut running = project.start(&RELEASE);
        assert!(running.wait_for_event(|event| event["event"] == "started" && event["label"] == "check"));
        running.signal(signal);
        running.wait().exits(130).says("interrupted");
        assert_buckets_are_empty(&project);
    }
}

#[test]
fn signal_during_a_build_publishes_nothing() {
    let project = require!(EchoProject::new());
    project.remove_artifacts();
    let mut running = project.start(&RELEASE);
    assert!(running.wait_for_event(|event| {
        event["event"] == "line" && event["text"].as_str().is_some_and(|text| text.contains("Compiling"))
    }));
    running.signal(Signal::INT);
    running.wait().exits(130).says("interrupted");
    assert_buckets_are_empty(&project);
}

/// The names of processes whose command line or environment contains these words.
fn processes_with(words: &str) -> Vec<String> {
    let contains = |process: &std::path::Path, file: &str| {
        std::fs::read(process.join(file)).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(words))
    };
    let all = std::fs::read_dir("/proc").expect("the processes of this machine").flatten();
    all.map(|process| process.path())
        .filter(|process| contains(process, "cmdline") || contains(process, "environ"))
        .map(|process| std::fs::read_to_string(process.join("comm")).unwrap_or_default())
        .collect()
}

/// Waits until no process contains these words: a terminated process may outlive the run for a moment.
#[track_caller]
fn wait_until_no_process_contains(words: &str, after: &Finished) {
    let started = Instant::now();
    loop {
        let left = processes_with(words);
        if left.is_empty() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{left:?} still run after {after}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Adds two checks that wait for the gate file to be removed: one then fails, the other passes two seconds later. Returns an
/// own tool folder without the Rust builder.
fn add_blocked_check(project: &EchoProject) -> String {
    let gate = project.folder.join("target/gate");
    let wait = format!("while [ -e {} ]; do sleep 0.1; done", gate.display());
    let settings = format!(
        "schema = 1\nname = \"echo\"\n\n[checks.slow]\nrun = \"sh -c '{wait}; exit 1'\"\n\n[checks.slower]\nrun = \"sh -c '{wait}; sleep 2'\"\n"
    );
    project.write("pipelines/project.toml", &settings);
    project.write("target/gate", "");
    // With the environment running, checks and builder are all that the release waits for.
    project.run(&["local", "up"]).exits(0);
    project.home.join("tools").display().to_string()
}

#[test]
fn failed_check_stops_the_parallel_build() {
    let project = require!(EchoProject::new());
    let tools = add_blocked_check(&project);
    let mut running = project.start_with(&RELEASE, &[("SLIPWAY_TOOLS", &tools)]);
    assert!(running.wait_for_event(|event| {
        event["event"] == "line" && event["text"].as_str().is_some_and(|text| text.contains("Compiling"))
    }));
    assert_ne!(processes_with(&format!("CARGO_TARGET_DIR={tools}")), Vec::<String>::new());
    unblock_apply(&project);
    let failed = running.wait().exits(3).says("1 check did not pass: slow").says("stopped");
    wait_until_no_process_contains(&format!("CARGO_TARGET_DIR={tools}"), &failed);
    let builder = std::path::Path::new(&tools).join("rust-builder");
    assert!(
        builder.is_dir() && !builder.join("built-from").exists(),
        "an incomplete builder counts as installed"
    );
    assert_buckets_are_empty(&project);
}

#[test]
fn failed_build_stops_the_parallel_checks() {
    let project = require!(EchoProject::new());
    let tools = add_blocked_check(&project);
    let gate = project.folder.join("target/gate").display().to_string();
    let empty_cargo_home = project.home.join("cargo").display().to_string();
    let offline =
        [("SLIPWAY_TOOLS", &*tools), ("CARGO_HOME", &*empty_cargo_home), ("CARGO_NET_OFFLINE", "true")];
    let failed = project.start_with(&RELEASE, &offline).wait().exits(1).says("check the network");
    wait_until_no_process_contains(&gate, &failed);
    assert_buckets_are_empty(&project);
}

#[test]
fn signal_lets_a_running_apply_finish() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let project = require!(EchoProject::new());
        block_apply(&project);
        let mut running = project.start(&RELEASE);
        wait_for_blocked_apply(&mut running);
        running.signal(signal);
        std::thread::sleep(Duration::from_millis(500));
        unblock_apply(&project);
        let ended = running.wait().exits(130);
        let terraform = terraform_apply_output(&project);
        assert!(terraform.contains("Apply complete!"), "{terraform}");
        assert!(!terraform.contains("nterrupt"), "{terraform}");
        assert!(!ended.ran_step("rollout"), "{ended}");
        assert_interrupted_and_saved(&project);
        project.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    }
}

#[test]
fn second_signal_interrupts_the_apply_once() {
    let project = require!(EchoProject::new());
    block_apply(&project);
    let mut running = project.start(&RELEASE);
    wait_for_blocked_apply(&mut running);
    for _ in 0..4 {
        running.signal(Signal::INT);
        std::thread::sleep(Duration::from_millis(100));
    }
    running.wait().exits(130);
    let terraform = terraform_apply_output(&project);
    assert_eq!(terraform.matches("Interrupt received").count(), 1, "{terraform}");
    assert!(!terraform.contains("Two interrupts"), "{terraform}");
    assert_interrupted_and_saved(&project);
    unblock_apply(&project);
    project.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    let observed = ObservedState::of(&project);
    assert_eq!((observed.unfinished, observed.locks), (vec![], vec![]));
}

/// In CI nobody sends a second signal in time.
#[test]
fn end_of_the_grace_period_interrupts_the_apply() {
    let project = require!(EchoProject::new());
    block_apply(&project);
    let mut running = project.start_with(&RELEASE, &[("SLIPWAY_GRACE", "1s")]);
    wait_for_blocked_apply(&mut running);
    running.signal(Signal::TERM);
    running.wait().exits(130);
    assert_eq!(terraform_apply_output(&project).matches("Interrupt received").count(), 1);
    assert_interrupted_and_saved(&project);
}

/// GitHub's runner cancels a job by SIGINT to the step's shell, SIGTERM 7.5 s later, and the end of all processes 2.5 s after that. The
/// workflows put Slipway into the shell's place and set SLIPWAY_GRACE to 5 s.
#[test]
fn cancelled_job_leaves_no_lock_and_no_unsaved_state() {
    let project = require!(EchoProject::new());
    block_apply(&project);
    let mut running = project.start_with(&RELEASE, &[("SLIPWAY_GRACE", "5s"), ("GITHUB_ACTIONS", "true")]);
    wait_for_blocked_apply(&mut running);
    let cancelled = Instant::now();
    running.signal(Signal::INT);
    if !running.wait_for_end(Duration::from_millis(7_500)) {
        running.signal(Signal::TERM);
    }
    if !running.wait_for_end(Duration::from_secs(10).saturating_sub(cancelled.elapsed())) {
        Victim::Tree.kill(&running);
    }
    // Slipway ended in time and by itself: what it wrote is whole.
    running.wait().exits(130);
    assert_interrupted_and_saved(&project);
    let places = ["target/slipway/terraform/local/echo/source", "terraform/stacks/echo"];
    assert!(!places.iter().any(|place| project.folder.join(place).join("errored.tfstate").exists()));
    unblock_apply(&project);
    project.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
}

/// Asserts that the ledger has the outcome, the state has the created resource, and no lock is left.
fn assert_interrupted_and_saved(project: &EchoProject) {
    let [_, state] = project.account.buckets();
    let keys = project.account.keys(&state);
    assert!(!keys.iter().any(|key| key.ends_with(".tflock")), "a lock is left: {keys:?}");
    let saved: Value =
        serde_json::from_slice(&project.account.object(&state, "echo.tfstate")).expect("the state");
    let resources = saved["resources"].as_array().expect("its resources");
    assert!(resources.iter().any(|resource| resource["name"] == "gated"), "{saved}");
    let ended = project.account.object(&state, "ledger/echo/9999999998.ended.json");
    let ended: Value = serde_json::from_slice(&ended).expect("the ledger's entry");
    assert_eq!(ended["outcome"], "interrupted", "{ended}");
    // The alias was there before, with this release's code: it serves, and nothing verified it.
    assert_eq!(ended["serves"]["echo"]["verified"], false, "{ended}");
}

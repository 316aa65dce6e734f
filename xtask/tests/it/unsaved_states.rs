//! What cannot be saved stops everything: a state that Terraform could not save is kept in Slipway's folder, every command that
//! plans or writes refuses until `recover` has saved it, and `status` says so. And a Terraform that is killed alone: its
//! children end with it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::signals::{block_apply, unblock_apply, wait_for_blocked_apply};
use super::support::commands::{RELEASE, ROLLBACK};
use super::support::proxy::Proxy;
use super::support::sandbox::files_below;
use super::support::{EchoProject, ObservedState};
use crate::partial_apply::terraform_apply_of;
use crate::require;

const RECOVER: [&str; 4] = ["recover", "--env", "local", "--yes"];

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o777
}

fn files_named(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = files_below(folder);
    entries.into_iter().filter(|path| path.file_name().is_some_and(|own| own == name)).collect()
}

#[test]
fn state_that_could_not_be_saved_stops_every_command_until_it_is_recovered() {
    let project = require!(EchoProject::new());
    let proxy = Proxy::to(project.emulator_port());
    let through = [("SLIPWAY_LOCAL_EMULATOR", &*proxy.url())];
    project.start_with(&RELEASE, &through).wait().exits(0).says("echo 0.1.0 serves in local.");
    block_apply(&project);
    project.change_code();
    let mut running = project.start_with(&RELEASE, &through);
    wait_for_blocked_apply(&mut running);
    proxy.cut(true);
    unblock_apply(&project);
    let failed = running.wait().exits(9).says("the state of `echo` in local could not be saved");
    proxy.cut(false);
    let work = project.folder.join("target/slipway/terraform/local/echo");
    let unsaved = files_named(&project.folder, "errored.tfstate");
    assert_eq!(unsaved, [work.join("errored.tfstate")], "{failed}");
    assert_eq!(mode(&unsaved[0]), 0o600);
    assert_eq!(mode(&project.folder.join("target/slipway")), 0o700);

    let published = ObservedState::of(&project).releases;
    for command in [
        &RELEASE[..],
        &["release", "--env", "local", "--yes", "--force"],
        &["deploy", "echo", "--env", "local", "--version", "0.1.0", "--yes"],
        &ROLLBACK,
        &["plan", "--env", "local"],
        &["destroy", "--env", "local", "--yes"],
    ] {
        project
            .run(command)
            .exits(9)
            .says("the state of `echo` in local could not be saved")
            .says("cargo xtask recover --env local");
    }
    assert_eq!(ObservedState::of(&project).releases, published, "nothing was published");
    project.run(&["status", "--env", "local"]).exits(0).says("the state could not be saved");
    assert!(unsaved[0].is_file());

    project.run(&RECOVER).exits(0).says("saved; the file is now");
    assert!(!unsaved[0].exists());
    project.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    let observed = ObservedState::of(&project);
    assert_eq!((observed.alias.as_str(), observed.unfinished, observed.locks), ("2", vec![], vec![]));
}

/// Lists the processes whose command line has these words.
fn processes_with(words: &str) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").expect("/proc").flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(words))
        })
        .collect()
}

/// As the kernel does where memory runs out.
#[test]
fn terraform_that_is_killed_alone_takes_its_children_with_it() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    block_apply(&project);
    project.change_code();
    let mut running = project.start(&RELEASE);
    wait_for_blocked_apply(&mut running);
    let gate = project.folder.join("target/gate").display().to_string();
    let waiting = || processes_with(&format!("while [ -e {gate} ]"));
    std::thread::sleep(Duration::from_millis(500));
    assert!(!waiting().is_empty(), "the provisioner runs");
    let terraform: Pid = terraform_apply_of(&running);
    kill_process(terraform, Signal::KILL).expect("Terraform");
    let failed = running.wait().exits(1).says("was killed by a signal");
    assert!(!failed.stderr.contains("is in the state."), "nothing was read: {failed}");
    let failed =
        failed.says("the state may lack what it changed last").says("cargo xtask recover --env local");
    assert_eq!(waiting(), Vec::<u32>::new(), "{failed}");
    assert_eq!(files_named(&project.folder, "plan.tfplan"), Vec::<PathBuf>::new());

    unblock_apply(&project);
    project.run(&RECOVER).exits(0).says("unlocked");
    project.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    let observed = ObservedState::of(&project);
    assert_eq!((observed.alias.as_str(), observed.unfinished, observed.locks), ("2", vec![], vec![]));
}

//! Two containers of one machine: the same host name and kernel, but each with its own process numbers.

use std::path::Path;

use super::signals::{block_apply, unblock_apply, wait_for_blocked_apply};
use super::support::EchoProject;
use crate::require;

const RELEASE: [&str; 3] = ["release", "--env", "local"];
const UNSHARE: &str = "/usr/bin/unshare";

/// Runs a program in a new process namespace with its own /proc; all of its processes end with it.
const NAMESPACE: [&str; 5] = [UNSHARE, "--pid", "--fork", "--kill-child", "--mount-proc"];

#[test]
fn deploy_lock_of_a_run_in_another_process_namespace_is_respected() {
    let project = require!(EchoProject::new());
    assert!(Path::new(UNSHARE).is_file(), "{UNSHARE} is missing: install util-linux");
    block_apply(&project);
    let release: Vec<&str> = RELEASE.into_iter().chain(["--yes"]).collect();
    let mut first = project.start(&release);
    wait_for_blocked_apply(&mut first);
    let other = project.second_checkout();
    let second = other.start_within(&NAMESPACE, &release, &[]).wait();
    unblock_apply(&project);
    second.exits(7).says("`echo` in local is being deployed by somebody else").says("Nothing was changed.");
    first.wait().exits(0);
    project.run(&release).exits(0).says("already serves");
}

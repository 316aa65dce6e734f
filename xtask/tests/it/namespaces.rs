//! Two containers of one machine: the same host name and kernel, but each with process numbers of its own.

use std::path::Path;

use super::signals::{at_the_gate, gated, open};
use super::support::World;

const RELEASE: [&str; 3] = ["release", "--env", "local"];
const UNSHARE: &str = "/usr/bin/unshare";

/// A process namespace of its own, with its own /proc; all that runs in it ends with it.
const NAMESPACE: [&str; 5] = [UNSHARE, "--pid", "--fork", "--kill-child", "--mount-proc"];

#[test]
fn deploy_lock_of_a_run_in_another_process_namespace_is_respected() {
    let Some(world) = World::new() else { return };
    assert!(Path::new(UNSHARE).is_file(), "{UNSHARE} is missing: install util-linux");
    gated(&world);
    let release: Vec<&str> = RELEASE.into_iter().chain(["--yes"]).collect();
    let mut first = world.start(&release);
    at_the_gate(&mut first);
    let other = world.twin();
    let second = other.start_within(&NAMESPACE, &release, &[]).wait();
    open(&world);
    second.exits(7).says("`echo` in local is being deployed by somebody else").says("Nothing was changed.");
    first.wait().exits(0);
    world.run(&release).exits(0).says("already serves");
}

//! The processes of a run: killed one by one or all at once, and looked for when all should be gone.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::process::Running;

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    Slipway,
    Terraform,
    Provider,
    /// Slipway and everything that it started, as when the machine fails.
    Tree,
}

impl Victim {
    pub const ALL: [Self; 4] = [Self::Slipway, Self::Terraform, Self::Provider, Self::Tree];

    /// Kills it; returns whether it was running.
    pub fn kill(self, run: &Running) -> bool {
        let slipway = run.pid();
        let named = |name: &str| {
            descendants(slipway).into_iter().filter(|pid| command_of(*pid).starts_with(name)).collect()
        };
        let victims: Vec<u32> = match self {
            Self::Slipway => vec![slipway],
            Self::Terraform => named("terraform\0"),
            Self::Provider => named("terraform-provider"),
            Self::Tree => {
                // Nothing is started any more while its children are collected.
                signal(slipway, Signal::STOP);
                [vec![slipway], descendants(slipway)].concat()
            }
        };
        for pid in &victims {
            signal(*pid, Signal::KILL);
        }
        !victims.is_empty()
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended in the meantime.
        let _ = kill_process(pid, signal);
    }
}

/// Returns a process's program, without its folder, with a zero byte at its end.
fn command_of(pid: u32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let program = String::from_utf8_lossy(program).into_owned();
    format!("{}\0", program.rsplit('/').next().unwrap_or_default())
}

fn is_local_server(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(b"SLIPWAY_LOCAL_SERVER_OF="))
    })
}

/// Lists what a process started, and what that started, without the servers of the local environment.
fn descendants(of: u32) -> Vec<u32> {
    let parents = parents();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        let children = parents.iter().filter(|(pid, own)| **own == parent && !is_local_server(**pid));
        found.extend(children.map(|(pid, _)| *pid));
    }
    found.split_off(1)
}

/// Returns every process with its parent.
fn parents() -> BTreeMap<u32, u32> {
    let processes = std::fs::read_dir("/proc").expect("the processes of this machine").flatten();
    processes
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            // `1234 (comm) S 1 …`; a command's name may have spaces.
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect()
}

/// Waits until nothing of a project runs any more but its local environment; returns what still does.
pub fn left_in(project: &Path) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let left = running_in(project);
        if left.is_empty() || begun.elapsed() > Duration::from_secs(20) {
            return left;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn running_in(project: &Path) -> Vec<String> {
    let here = |pid: &u32| {
        let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        folder.starts_with(project) && !is_local_server(*pid)
    };
    parents().into_keys().filter(here).map(|pid| format!("{pid} {}", command_of(pid))).collect()
}

//! What /proc tells of this user's processes: who they are, what marks them, who listens on a port.
//!
//! Everything here is a look at a moving thing: a process that went away meanwhile is simply not found.

use std::fs;
use std::path::Path;

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// Its number.
    pub(crate) pid: u32,
    /// Its start time in clock ticks since boot.
    pub(crate) start_ticks: u64,
}

impl Identity {
    /// Takes down who a living process is.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        stat(pid).map(|stat| Self { pid, start_ticks: stat.start_ticks })
    }

    /// Says whether that very process still lives; one that waits to be reaped does not.
    pub(crate) fn alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// Finds the processes whose environment holds `NAME=value`, but neither us nor those we descend from.
pub(crate) fn marked(name: &str, value: &Path) -> Vec<Identity> {
    let mut marker = format!("{name}=").into_bytes();
    marker.extend_from_slice(value.as_os_str().as_encoded_bytes());
    let ours = ancestry();
    pids()
        .filter(|pid| !ours.contains(pid))
        .filter(|pid| {
            // The environment of another user's process cannot be read, which is as well.
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == marker))
        })
        .filter_map(Identity::of)
        .collect()
}

/// Tells a process's group.
pub(crate) fn group(pid: u32) -> Option<u32> {
    stat(pid).map(|stat| stat.group)
}

/// Says whether the file of a process's program was removed or replaced since it started.
pub(crate) fn replaced(pid: u32) -> bool {
    // proc_pid_exe(5): the link's text then ends like this.
    fs::read_link(format!("/proc/{pid}/exe"))
        .is_ok_and(|program| program.as_os_str().as_encoded_bytes().ends_with(b" (deleted)"))
}

/// Tells how much memory a process or one that it started had at its peak, in MiB, rounded up: the most that any had.
pub(crate) fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    // proc_pid_task_children(5); a process that starts others from another thread is not looked through.
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| peak_memory(child.parse().ok()?));
    children.chain([kibibytes.div_ceil(1024)]).max()
}

/// Says whether a process holds the listening socket of a loopback port.
pub(crate) fn listens(pid: u32, port: u16) -> bool {
    listeners(port).iter().any(|inode| holds(pid, *inode))
}

/// Names the process that listens on a port, `name (pid)`, where /proc lets us see it.
pub(crate) fn listener(port: u16) -> Option<String> {
    let inodes = listeners(port);
    let pid = pids().find(|pid| inodes.iter().any(|inode| holds(*pid, *inode)))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} ({pid})", name.trim()))
}

struct Stat {
    parent: u32,
    group: u32,
    start_ticks: u64,
}

/// Reads the fields of proc_pid_stat(5) that matter here; `None` for the dead.
fn stat(pid: u32) -> Option<Stat> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything, so count from the last one.
    let (_, fields) = line.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let (state, parent, group, start) = (fields.first()?, fields.get(1)?, fields.get(2)?, fields.get(19)?);
    if matches!(*state, "Z" | "X" | "x") {
        return None;
    }
    Some(Stat { parent: parent.parse().ok()?, group: group.parse().ok()?, start_ticks: start.parse().ok()? })
}

fn ancestry() -> Vec<u32> {
    let mut line = vec![std::process::id()];
    while let Some(parent) = line.last().and_then(|pid| stat(*pid)).map(|stat| stat.parent) {
        if parent == 0 {
            break;
        }
        line.push(parent);
    }
    line
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").ok();
    entries.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Finds the inodes of the sockets that listen on a port (proc_net(5): address, state 0A, inode).
fn listeners(port: u16) -> Vec<u64> {
    let suffix = format!(":{port:04X}");
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let mut inodes = Vec::new();
    for table in tables.iter().filter_map(|table| fs::read_to_string(table).ok()) {
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields.get(1).is_some_and(|local| local.ends_with(&suffix)) && fields.get(3) == Some(&"0A") {
                inodes.extend(fields.get(9).and_then(|inode| inode.parse::<u64>().ok()));
            }
        }
    }
    inodes
}

fn holds(pid: u32, inode: u64) -> bool {
    let socket = format!("socket:[{inode}]");
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors
        .flatten()
        .any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == Path::new(&socket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_number_and_start() {
        let us = Identity::of(std::process::id()).unwrap();
        assert!(us.alive());
        assert!(!Identity { start_ticks: us.start_ticks + 1, ..us }.alive());
        assert!(ancestry().len() >= 2);
        assert!(peak_memory(us.pid).unwrap() > 0);
    }

    #[test]
    fn the_holder_of_a_port_is_named() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(listens(std::process::id(), port));
        assert!(!listens(1, port));
        let name = listener(port).unwrap();
        assert!(name.ends_with(&format!("({})", std::process::id())), "{name}");
        drop(socket);
        assert_eq!(listener(port), None);
    }
}

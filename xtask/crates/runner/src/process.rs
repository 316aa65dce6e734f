//! Processes of this machine, as Linux describes them in /proc: identity, group, environment, memory, listening ports.
//!
//! A process may end at any moment; every function treats one that has ended as not found.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A process, distinguished from a later one with the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessIdentity {
    /// The process number.
    pub pid: u32,
    /// The start time in clock ticks since boot.
    pub start_ticks: u64,
}

impl ProcessIdentity {
    /// Returns the identity of a living process.
    pub fn of(pid: u32) -> Option<Self> {
        start_ticks(pid).map(|start_ticks| Self { pid, start_ticks })
    }

    /// Returns whether this process still lives. A zombie does not.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// Reads when a living process was started, in clock ticks since boot.
pub fn start_ticks(pid: u32) -> Option<u64> {
    stat(pid).map(|stat| stat.start_ticks)
}

/// Returns how long ago a living process was started, to a hundredth of a second.
pub fn age(pid: u32) -> Option<Duration> {
    let start = start_ticks(pid)?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let started = start as f64 / rustix::param::clock_ticks_per_second() as f64;
    Duration::try_from_secs_f64((uptime - started).max(0.0)).ok()
}

/// Returns the process namespace of this process, such as `pid:[4026531836]`; `None` if /proc does not show it.
///
/// Numbers of processes are unique only within one namespace: <https://man7.org/linux/man-pages/man7/pid_namespaces.7.html>.
pub fn pid_namespace() -> Option<String> {
    let link = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// Finds the processes whose environment holds `name=value`, except this process and its ancestors.
///
/// The environment of another user's process cannot be read, so such processes are not found.
pub fn with_variable(name: &str, value: &Path) -> Vec<ProcessIdentity> {
    let mut wanted = format!("{name}=").into_bytes();
    wanted.extend_from_slice(value.as_os_str().as_encoded_bytes());
    let ancestors = this_and_ancestors();
    pids()
        .filter(|pid| !ancestors.contains(pid))
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == wanted))
        })
        .filter_map(ProcessIdentity::of)
        .collect()
}

/// Returns the process group of a living process.
pub fn group(pid: u32) -> Option<u32> {
    stat(pid).map(|stat| stat.group)
}

/// Returns whether a process group has a living member. Zombies are none: without an init, nobody collects them.
pub fn group_lives(leader: u32) -> bool {
    pids().any(|pid| group(pid) == Some(leader))
}

/// Returns a process's name as `ps` shows it, with its number: `terraform (4711)`.
pub fn name_of(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} ({pid})", name.trim()))
}

/// Finds the processes that have a file as their standard input, except this one.
///
/// The files of another user's process, and processes of another namespace, cannot be seen and are not found.
pub fn with_stdin(file: &Path) -> Vec<ProcessIdentity> {
    let Ok(file) = file.canonicalize() else { return Vec::new() };
    let this = std::process::id();
    pids()
        .filter(|pid| *pid != this)
        .filter(|pid| fs::read_link(format!("/proc/{pid}/fd/0")).is_ok_and(|stdin| stdin == file))
        .filter_map(ProcessIdentity::of)
        .collect()
}

/// Returns whether a process is left of a group whose leader has ended.
pub fn is_orphan(pid: u32) -> bool {
    group(pid).is_some_and(|leader| start_ticks(leader).is_none())
}

/// Returns whether the program file of a process was removed or replaced since the process started.
pub fn program_was_replaced(pid: u32) -> bool {
    // The link's text then ends in " (deleted)": proc_pid_exe(5).
    fs::read_link(format!("/proc/{pid}/exe"))
        .is_ok_and(|program| program.as_os_str().as_encoded_bytes().ends_with(b" (deleted)"))
}

/// Returns the peak memory of a process or of one of its children, whichever is larger, in MiB, rounded up.
pub fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    // proc_pid_task_children(5): children that another thread started are not listed here.
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| peak_memory(child.parse().ok()?));
    children.chain([kibibytes.div_ceil(1024)]).max()
}

/// Returns whether a process listens on a TCP port.
pub fn listens(pid: u32, port: u16) -> bool {
    listening_sockets(port).iter().any(|inode| has_socket(pid, *inode))
}

/// Returns the process that listens on a TCP port as `name (pid)`, where /proc shows it.
pub fn port_holder(port: u16) -> Option<String> {
    let inodes = listening_sockets(port);
    let pid = pids().find(|pid| inodes.iter().any(|inode| has_socket(*pid, *inode)))?;
    name_of(pid)
}

/// Returns whether this process sees all processes of the machine: it is in the machine's first process namespace, and /proc
/// hides none (hidepid).
///
/// The number is PROC_PID_INIT_INO of <https://github.com/torvalds/linux/blob/master/include/linux/proc_ns.h>.
pub fn sees_all() -> bool {
    pid_namespace().as_deref() == Some("pid:[4026531836]") && stat(1).is_some()
}

/// Finds the living processes whose name fits. A name has at most 15 bytes: proc_pid_comm(5).
pub fn named(fits: impl Fn(&str) -> bool) -> Vec<ProcessIdentity> {
    pids()
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| fits(name.trim_end_matches('\n')))
        })
        .filter_map(ProcessIdentity::of)
        .collect()
}

/// Returns a living process's program with its arguments; `None` also where they cannot be read.
pub fn arguments(pid: u32) -> Option<Vec<String>> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|line| !line.is_empty())?;
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    Some(line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

/// Returns the folder that a living process works in; `None` also where it cannot be read.
pub fn folder(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// Returns a variable of a living process's environment, as it was at its start; `None` also where that cannot be read.
pub fn variable_of(pid: u32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut entries = environment.split(|byte| *byte == 0);
    entries.find_map(|entry| {
        let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

struct Stat {
    parent: u32,
    group: u32,
    start_ticks: u64,
}

/// Reads fields of proc_pid_stat(5); `None` if the process has ended.
fn stat(pid: u32) -> Option<Stat> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold any character, so the fields are counted from the last parenthesis.
    let (_, fields) = line.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let (state, parent, group, start) = (fields.first()?, fields.get(1)?, fields.get(2)?, fields.get(19)?);
    // A zombie has ended; only its parent has not noticed.
    if matches!(*state, "Z" | "X" | "x") {
        return None;
    }
    Some(Stat { parent: parent.parse().ok()?, group: group.parse().ok()?, start_ticks: start.parse().ok()? })
}

fn this_and_ancestors() -> Vec<u32> {
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

/// Returns the inodes of the sockets that listen on a port, from proc_net(5): address, state 0A, inode.
fn listening_sockets(port: u16) -> Vec<u64> {
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

fn has_socket(pid: u32, inode: u64) -> bool {
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
    fn start_ticks_are_those_of_a_living_process() {
        assert!(start_ticks(std::process::id()).is_some_and(|ticks| ticks > 0));
        assert_eq!(start_ticks(u32::MAX), None);
    }

    #[test]
    fn identity_is_number_and_start_time() {
        let this = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(this.is_alive());
        assert!(!ProcessIdentity { start_ticks: this.start_ticks + 1, ..this }.is_alive());
        assert!(this_and_ancestors().len() >= 2);
        assert!(peak_memory(this.pid).unwrap() > 0);
    }

    #[test]
    fn processes_are_found_by_name_with_their_variables() {
        assert!(variable_of(std::process::id(), "PATH").is_some_and(|path| path.contains('/')));
        assert_eq!(variable_of(std::process::id(), "PAT"), None);
        let own = fs::read_to_string("/proc/self/comm").unwrap();
        let this = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(named(|name| name == own.trim_end()).contains(&this));
        assert!(named(|name| name == "no such process").is_empty());
    }

    #[test]
    fn port_holder_is_named_with_its_process() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(listens(std::process::id(), port));
        assert!(!listens(1, port));
        let name = port_holder(port).unwrap();
        assert!(name.ends_with(&format!("({})", std::process::id())), "{name}");
        drop(socket);
        assert_eq!(port_holder(port), None);
    }
}

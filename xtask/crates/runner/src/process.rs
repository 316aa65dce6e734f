//! Processes of this machine: whether one still is the one that was noted.

/// Reads when a process was started, in clock ticks since boot (field 22 of `/proc/<pid>/stat`).
pub fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?;
    // A zombie has ended: only its parent has not noticed.
    if state == "Z" { None } else { fields.nth(18)?.parse().ok() }
}

/// Returns the process namespace of this process, such as `pid:[4026531836]`; `None` if /proc does not show it.
///
/// Numbers of processes are unique only within one namespace: <https://man7.org/linux/man-pages/man7/pid_namespaces.7.html>.
pub fn pid_namespace() -> Option<String> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(link.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_an_impossible_one_is_not() {
        assert!(start_ticks(std::process::id()).is_some_and(|ticks| ticks > 0));
        assert_eq!(start_ticks(u32::MAX), None);
    }
}

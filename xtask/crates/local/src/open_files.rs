//! The limit of open files: each function, each connection and each log needs some.
//!
//! A shell's soft limit may be far below what it allows. Source: getrlimit(2).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The least hard limit that the gateway works with.
const LEAST: u64 = 256;

/// Raises this process's soft limit to its hard one.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    // A process may always raise it as far as that.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Returns the hard limit that a server would get from this process, where it is too low.
pub(crate) fn too_low() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum.filter(|maximum| *maximum < LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_becomes_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        let low = before.maximum.map_or(200, |maximum| maximum.min(200));
        setrlimit(Resource::Nofile, Rlimit { current: Some(low), maximum: before.maximum }).unwrap();
        raise();
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
        assert_eq!(too_low(), before.maximum.filter(|maximum| *maximum < LEAST));
    }
}

//! Reports tests that cannot run on this machine, so that they do not pass silently.
//!
//! In: what a test needs, as a `Result<_, Missing>`. `require!` takes the value out, or reports the skip and ends the
//! test. Out: `skipped: <test>: <what is missing>` on stderr, past the harness's capture; and, where
//! `SLIPWAY_SKIPPED_TESTS` names a folder, a line `<test><TAB><what is missing>` in a file there, one file for each
//! process. `cargo xtask test` sets the variable and counts the lines. Goes wrong: with `CI=true` a skip is a failure.
//!
//! Test binaries include this file by `#[path]`. It needs the standard library alone: as a crate it would be one more
//! dependency of every package, the Lambda functions among them.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

/// Names the folder for the lists of skipped tests; they are written only where it is set.
const FOLDER: &str = "SLIPWAY_SKIPPED_TESTS";

/// What a test needs and this machine lacks, such as `terraform is not on the PATH`.
#[derive(Clone, Debug)]
pub struct Missing(String);

/// Returns the value of a `Result<_, Missing>`, or reports the test as skipped and returns from it.
#[macro_export]
macro_rules! require {
    ($needed:expr) => {
        match $needed {
            Ok(needed) => needed,
            Err(missing) => {
                missing.report_skip();
                return;
            }
        }
    };
}

impl Missing {
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// Reports the current test, or the part of it that needs this, as skipped; panics with `CI=true`.
    #[track_caller]
    pub fn report_skip(&self) {
        let what = self.0.replace(['\n', '\t'], " ");
        // The harness runs each test on a thread that has the test's name.
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("unnamed thread");
        assert!(variable("CI").as_deref() != Some("true"), "CI=true, and {test} cannot run: {what}");
        // The harness captures what `eprint!` prints, and not what is written to the stream.
        let _ = std::io::stderr().write_all(format!("skipped: {test}: {what}\n").as_bytes());
        if let Some(folder) = variable(FOLDER) {
            append(Path::new(&folder), &format!("{test}\t{what}\n"));
        }
    }
}

fn append(folder: &Path, line: &str) {
    let name = format!("{}-{}-{}", env!("CARGO_PKG_NAME"), env!("CARGO_CRATE_NAME"), std::process::id());
    let written = fs::create_dir_all(folder)
        .and_then(|()| OpenOptions::new().create(true).append(true).open(folder.join(name)))
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("a skipped test cannot be listed in {}: {error}", folder.display());
    }
}

#[expect(clippy::disallowed_methods, reason = "a test binary has no settings but the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

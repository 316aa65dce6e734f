//! Builds one Rust Lambda function with cargo-lambda as a library, for glibc of a given version.
//!
//! What comes in: `build REQUEST.json REPLY.json` or `version`. What goes out: the reply file, or the versions
//! as JSON on stdout; cargo's messages go to stdout, one JSON document a line, and what it prints for people to stderr.
//!
//! What can go wrong, and how the caller sees it:
//!
//! | exit code | reply file | meaning |
//! |---|---|---|
//! | 0 | `ok: true` | built |
//! | 1 | `ok: false` | refused or failed; `error` has kind, message and hint |
//! | 2 | none | the command line or the request can't be read, or the reply can't be written; stderr says why |
//! | cargo's (101), or 1 | none | cargo failed: cargo-lambda leaves the process with cargo's exit code, and cargo's output is the explanation |
//!
//! A reply of an earlier run is deleted before anything else happens, so a reply that exists is this run's.
//!
//! The caller sets the environment: `CARGO_TARGET_DIR` (absolute), `CARGO_INCREMENTAL=0`, `SOURCE_DATE_EPOCH`,
//! `CARGO_ZIGBUILD_ZIG_COMMAND` (absolute path of zig), and removes what [`environment`] refuses.
//!
//! cargo-zigbuild makes this very program cargo's linker and archiver; [`handover`] serves those calls first.

mod build;
mod environment;
mod failure;
mod handover;
mod project;
mod reply;
mod request;
mod rustflags;
mod target;
mod toolchain;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

/// The command line or the request can't be read, or the reply can't be written: there is no reply.
const NO_REPLY: u8 = 2;

const USAGE: &str = "usage: slipway-rust-builder build REQUEST.json REPLY.json | version";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(errand) = handover::errand(&arguments) {
        return handover::serve(errand);
    }
    let words: Vec<&str> = arguments.iter().skip(1).map(|word| word.to_str().unwrap_or_default()).collect();
    let outcome = match words[..] {
        ["version"] => version(),
        ["build", _, _] => answer(Path::new(&arguments[2]), Path::new(&arguments[3])),
        _ => Err(USAGE.to_owned()),
    };
    outcome.unwrap_or_else(|message| {
        complain(&message);
        ExitCode::from(NO_REPLY)
    })
}

fn version() -> Result<ExitCode, String> {
    let versions = serde_json::json!({
        "schema": 1,
        "cargo_lambda": toolchain::CARGO_LAMBDA_VERSION,
        "cargo_zigbuild": toolchain::CARGO_ZIGBUILD_VERSION,
    });
    writeln!(io::stdout(), "{versions}").map_err(|error| format!("cannot write to stdout: {error}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Builds what the request asks for and writes the reply. `Err` says why there is no reply.
fn answer(request: &Path, reply: &Path) -> Result<ExitCode, String> {
    let reply = std::path::absolute(reply).map_err(|error| format!("{}: {error}", reply.display()))?;
    reply::clear(&reply).map_err(|error| error.to_string())?;
    let request = request::read(request).map_err(|error| error.to_string())?;
    let (document, code) = match build::run(&request) {
        Ok(built) => (reply::built(&built), ExitCode::SUCCESS),
        Err(failure) => (reply::failed(&failure), ExitCode::FAILURE),
    };
    reply::write(&reply, &document).map_err(|error| error.to_string())?;
    Ok(code)
}

fn complain(message: &str) {
    // Where stderr is closed, the exit code still tells.
    let _ = writeln!(io::stderr(), "slipway-rust-builder: {message}");
}

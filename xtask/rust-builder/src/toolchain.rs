//! Finds cargo, rustc, the target's standard library and zig before cargo-lambda looks for them, because it
//! would install what is missing or ask at the terminal.
//!
//! What comes in: the environment and the folder that rustup chooses a toolchain by. What goes out: versions
//! for the reply. What can go wrong: one of them is missing or does not run; the error names it.

use crate::{
    environment,
    failure::Failure,
    target::{self, Architecture, Glibc},
};
use serde::Serialize;
use std::{ffi::OsStr, fs, path::Path, process::Command};

/// Version of cargo-lambda's crates, from Cargo.lock.
pub(crate) const CARGO_LAMBDA_VERSION: &str = env!("CARGO_LAMBDA_VERSION");
/// Version of cargo-zigbuild, from Cargo.lock.
pub(crate) const CARGO_ZIGBUILD_VERSION: &str = env!("CARGO_ZIGBUILD_VERSION");

/// What a binary was made with: versions as the programs print them, without their names.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Tools {
    pub(crate) cargo: String,
    pub(crate) rustc: String,
    pub(crate) zig: String,
    pub(crate) cargo_lambda: &'static str,
    /// Target with glibc's version, as in `x86_64-unknown-linux-gnu.2.34`.
    pub(crate) target: String,
}

/// Asks cargo for its version, in `folder`.
pub(crate) fn cargo(folder: &Path) -> Result<String, Failure> {
    compiler(&environment::cargo(), "--version", folder).map(|line| without_name(&line))
}

/// Finds the rest, in `folder`. Order: rustc, its standard library for the target, zig.
pub(crate) fn find(
    cargo: String,
    rustc: &Path,
    architecture: Architecture,
    glibc: Glibc,
    folder: &Path,
) -> Result<Tools, Failure> {
    let version = compiler(rustc, "--version", folder)?;
    let sysroot = compiler(rustc, "--print=sysroot", folder)?;
    standard_library(Path::new(&sysroot), architecture.triple())?;
    Ok(Tools {
        cargo,
        rustc: without_name(&version),
        zig: zig()?,
        cargo_lambda: CARGO_LAMBDA_VERSION,
        target: target::with_glibc(architecture, glibc),
    })
}

/// Fails unless the sysroot holds a libstd for the target.
fn standard_library(sysroot: &Path, triple: &str) -> Result<(), Failure> {
    let folder = sysroot.join("lib/rustlib").join(triple).join("lib");
    let found = fs::read_dir(&folder).is_ok_and(|mut entries| {
        entries
            .any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libstd-")))
    });
    if found { Ok(()) } else { Err(Failure::TargetMissing { triple: triple.to_owned(), folder }) }
}

/// Looks for zig as cargo-zigbuild will, and asks for its version. A pinned path must be there: cargo-zigbuild
/// would silently take another zig.
fn zig() -> Result<String, Failure> {
    if let Some(path) = environment::pinned_zig()
        && !path.is_file()
    {
        return Err(Failure::ZigNotThere { path });
    }
    let (program, words) = cargo_lambda_build::Zig::find_zig()
        .map_err(|error| Failure::ZigNotFound { reason: format!("{error:#}") })?;
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["version"]).collect();
    output(&program, &words, None).map_err(|reason| Failure::ZigUnusable {
        command: format!("{} {}", program.display(), words.join(" ")),
        reason,
    })
}

fn compiler(program: &Path, word: &str, folder: &Path) -> Result<String, Failure> {
    output(program, &[word], Some(folder))
        .map_err(|reason| Failure::CompilerMissing { program: program.display().to_string(), reason })
}

/// Runs a program to its end and takes the first line of its stdout, or says why there is none.
#[expect(clippy::disallowed_methods, reason = "the builder's one door for programs that are asked something")]
fn output(program: impl AsRef<OsStr>, words: &[&str], folder: Option<&Path>) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(words);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().next() {
        Some(line) if output.status.success() && !line.trim().is_empty() => Ok(line.trim().to_owned()),
        _ => Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// `cargo 1.95.0 (f2d3ce0bd 2026-03-21)` without the first word.
fn without_name(line: &str) -> String {
    line.split_once(' ').map_or(line, |(_, version)| version).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_loses_the_programs_name() {
        assert_eq!(without_name("rustc 1.95.0 (59807616e 2026-04-14)"), "1.95.0 (59807616e 2026-04-14)");
        assert_eq!(without_name("0.15.1"), "0.15.1");
    }

    #[test]
    fn a_target_is_installed_when_its_libstd_is_there() {
        let sysroot = tempfile::tempdir().unwrap();
        let folder = sysroot.path().join("lib/rustlib/aarch64-unknown-linux-gnu/lib");
        let check = || standard_library(sysroot.path(), "aarch64-unknown-linux-gnu");
        assert!(matches!(check(), Err(Failure::TargetMissing { .. })));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("self-contained"), "").unwrap();
        let message = check().unwrap_err().to_string();
        assert!(message.contains("aarch64-unknown-linux-gnu"), "{message}");
        fs::write(folder.join("libstd-0123456789abcdef.rlib"), "").unwrap();
        check().unwrap();
    }

    #[test]
    fn a_program_that_fails_says_why() {
        assert_eq!(output("sh", &["-c", "echo 1.2; echo 3"], None).unwrap(), "1.2");
        let reason = output("sh", &["-c", "echo no toolchain >&2; exit 3"], None).unwrap_err();
        assert!(reason.contains("3") && reason.contains("no toolchain"), "{reason}");
        assert!(output("/nowhere/cargo", &[], None).is_err());
    }

    #[test]
    fn the_lock_file_gives_the_versions() {
        for version in [CARGO_LAMBDA_VERSION, CARGO_ZIGBUILD_VERSION] {
            assert!(version.split('.').count() == 3, "{version}");
        }
    }
}

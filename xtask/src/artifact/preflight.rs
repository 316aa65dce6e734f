//! The preflight finds what Lambda would refuse, or fail on at the first call, and what was packed by mistake: secrets, and
//! pointers of Git LFS in place of files.
//!
//! In: the tree to pack, and the function's settings. Out: nothing, or one refusal with every finding: file, problem, limit
//! and the source of the rule. `[build] allow` lets single files pass. Links out of the tree and names that cannot be
//! unpacked are refused earlier, by the tree itself. The size of a zip has no limit because it goes through S3; its unpacked
//! size has one.

mod handler;
mod secrets;

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use slipway_archive::Tree;

use super::elf;
use crate::failure::{self, Failure, Result};
use crate::format;
use crate::name::FunctionName;
use crate::settings::{FunctionSettings, PackageType};

/// One problem in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PreflightFinding {
    /// The file in the artifact, or the function.
    subject: String,
    /// The problem, as the end of a sentence that begins with the subject.
    problem: String,
    /// The page that states the rule.
    rule: &'static str,
    /// Whether it is about the handler, which may lie in a layer.
    of_handler: bool,
}

impl PreflightFinding {
    fn new(subject: impl Into<String>, problem: impl Into<String>, rule: &'static str) -> Self {
        Self { subject: subject.into(), problem: problem.into(), rule, of_handler: false }
    }
}

/// Lambda's quotas: 250 MB unzipped, layers included.
const QUOTAS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html";
/// The operating system of each runtime, which decides its glibc.
const RUNTIMES: &str = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html";
/// The format of a pointer, which replaces a file that Git LFS has not fetched.
const LFS: &str = "https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md";
/// The first line of a pointer; a pointer has less than [`LFS_POINTER_SIZE`] bytes.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";
const LFS_POINTER_SIZE: usize = 1024;
/// The limit in bytes, as Lambda's own error message states it.
const MAX_UNPACKED_SIZE: u64 = 262_144_000;
/// How many findings are listed; the message has the number of all.
const MAX_LISTED: usize = 50;

/// Refuses a tree that Lambda would refuse; the failure lists all findings.
pub(super) fn check(function: &FunctionName, settings: &FunctionSettings, tree: &Tree) -> Result<()> {
    let findings = findings(function, settings, tree)?;
    if findings.is_empty() {
        return Ok(());
    }
    let mut body = String::new();
    for finding in findings.iter().take(MAX_LISTED) {
        body.push_str(&format!("{}: {}\n  rule: {}\n", finding.subject, finding.problem, finding.rule));
    }
    if findings.len() > MAX_LISTED {
        body.push_str(&format!("and {} more\n", findings.len() - MAX_LISTED));
    }
    let failure = Failure::refused(format!(
        "the preflight of `{function}` found {}",
        format::plural(findings.len(), "problem")
    ));
    Err(failure
        .body(body.trim_end().to_owned())
        .unchanged("Nothing was packed or published.")
        .hint(hint(&findings)))
}

/// Returns what to do about the findings: how to fix them, and which keys of function.toml let them pass.
fn hint(findings: &[PreflightFinding]) -> String {
    let mut hint = "fix them".to_owned();
    if findings.iter().any(|finding| finding.rule == LFS) {
        hint.push_str("; git lfs pull fetches the files that pointers of Git LFS stand for");
    }
    if findings.iter().any(|finding| finding.of_handler) {
        hint.push_str("; if the handler lies in a layer, write handler_in_layer = true in function.toml");
    }
    if findings.iter().any(|finding| !finding.of_handler) {
        hint.push_str(
            "; for a file that belongs there, write [build] allow = [\"path/in/artifact\"] in function.toml",
        );
    }
    hint
}

/// Lists the problems of a tree; every file is read once.
fn findings(
    function: &FunctionName,
    settings: &FunctionSettings,
    tree: &Tree,
) -> Result<Vec<PreflightFinding>> {
    let allowed = allowed(function, settings)?;
    let mut findings = Vec::new();
    let mut files = Vec::with_capacity(tree.len());
    for entry in tree.iter() {
        let size = entry.size().map_err(|error| {
            Failure::failed(format!("the files of `{function}` cannot be read")).caused_by(error)
        })?;
        files.push((entry.name(), size));
        let Some(path) = entry.path() else { continue };
        if allowed.is_match(entry.name()) {
            continue;
        }
        let bytes = std::fs::read(path).map_err(|error| failure::io("read", path, error))?;
        if bytes.starts_with(b"\x7fELF") {
            let name = Path::new(entry.name());
            if let Err(error) = elf::check(name, &bytes, settings.architecture, &settings.runtime) {
                let problem = error.to_string();
                let problem = problem.strip_prefix(entry.name()).unwrap_or(&problem).trim_start();
                findings.push(PreflightFinding::new(entry.name(), problem, RUNTIMES));
            }
        } else if bytes.len() < LFS_POINTER_SIZE && bytes.starts_with(LFS_POINTER) {
            let problem = "is a pointer of Git LFS, not the file that it stands for";
            findings.push(PreflightFinding::new(entry.name(), problem, LFS));
        } else if let Some(problem) = secrets::secret_in(entry.name(), &bytes) {
            findings.push(PreflightFinding::new(entry.name(), problem, secrets::RULE));
        }
    }
    findings.extend(handler::handler_problem(settings, tree)?);
    // An image may have 10 GB with its base: that is checked where the image is composed.
    if settings.package == PackageType::Zip {
        findings.extend(too_large(function, files));
    }
    Ok(findings)
}

/// Returns the finding of a function that is too large, with its largest files.
fn too_large(function: &FunctionName, mut files: Vec<(&str, u64)>) -> Option<PreflightFinding> {
    let total: u64 = files.iter().map(|(_, size)| size).sum();
    if total <= MAX_UNPACKED_SIZE {
        return None;
    }
    files.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let largest: Vec<String> =
        files.iter().take(5).map(|(name, size)| format!("{name} {}", format::bytes(*size))).collect();
    let problem = format!(
        "unpacks to {total} bytes; Lambda's limit is {MAX_UNPACKED_SIZE} (250 MB). The largest: {}",
        largest.join(", ")
    );
    Some(PreflightFinding::new(function.as_str(), problem, QUOTAS))
}

fn allowed(function: &FunctionName, settings: &FunctionSettings) -> Result<GlobSet> {
    let wrong = |error: globset::Error| {
        Failure::usage(format!("lambda-src/{function}/function.toml: `allow` has an invalid glob"))
            .caused_by(error)
    };
    let mut set = GlobSetBuilder::new();
    for glob in settings.build.allow() {
        set.add(GlobBuilder::new(glob).literal_separator(true).build().map_err(wrong)?);
    }
    set.build().map_err(wrong)
}

#[cfg(test)]
mod tests;

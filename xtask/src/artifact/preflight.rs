//! The preflight: what Lambda would refuse, or fail on at the first call, and what should never leave this machine.
//!
//! In: the tree that is to be packed, and the function's settings. Out: nothing, or one refusal with every finding: what,
//! where, the limit and the source of the rule. `[build] allow` lets single files pass. Links that leave the tree and names
//! that cannot be unpacked are refused earlier, by the tree itself. A zip's own size has no limit, because it goes through
//! S3: only what it unpacks to has one.

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

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// The file of the artifact, or the function.
    place: String,
    /// What is wrong with it.
    what: String,
    /// Where the rule is written down.
    rule: &'static str,
}

/// Lambda's quotas: 250 MB unzipped, layers included.
const QUOTAS: &str = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html";
/// Which system, and so which glibc, a runtime stands on.
const RUNTIMES: &str = "https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html";
/// The error message that Lambda itself gives names this number of bytes.
const LARGEST: u64 = 262_144_000;
/// How many findings are listed; the number of all is told.
const LISTED: usize = 50;

/// Refuses a tree that Lambda would refuse, with all that was found.
pub(super) fn check(function: &FunctionName, settings: &FunctionSettings, tree: &Tree) -> Result<()> {
    let findings = look(function, settings, tree)?;
    if findings.is_empty() {
        return Ok(());
    }
    let mut body = String::new();
    for finding in findings.iter().take(LISTED) {
        body.push_str(&format!("{}: {}\n  rule: {}\n", finding.place, finding.what, finding.rule));
    }
    if findings.len() > LISTED {
        body.push_str(&format!("and {} more\n", findings.len() - LISTED));
    }
    let failure = Failure::refused(format!(
        "the preflight of `{function}` found {}",
        format::plural(findings.len(), "problem")
    ));
    Err(failure.body(body.trim_end().to_owned()).unchanged("Nothing was packed or published.").hint(
        "repair them; a file that is meant to be there is let pass by [build] allow = [\"path/in/artifact\"]",
    ))
}

/// Looks at every file once.
fn look(function: &FunctionName, settings: &FunctionSettings, tree: &Tree) -> Result<Vec<Finding>> {
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
                let what = error.to_string();
                let what = what.strip_prefix(entry.name()).unwrap_or(&what).trim_start().to_owned();
                findings.push(Finding { place: entry.name().to_owned(), what, rule: RUNTIMES });
            }
        } else if let Some(what) = secrets::look(entry.name(), &bytes) {
            findings.push(Finding { place: entry.name().to_owned(), what, rule: secrets::RULE });
        }
    }
    findings.extend(handler::look(settings, tree)?);
    // An image may have 10 GB, its base included: that is looked at where the image is assembled.
    if settings.package == PackageType::Zip {
        findings.extend(too_large(function, files));
    }
    Ok(findings)
}

/// Says by how much a function is too large, and what takes the space.
fn too_large(function: &FunctionName, mut files: Vec<(&str, u64)>) -> Option<Finding> {
    let total: u64 = files.iter().map(|(_, size)| size).sum();
    if total <= LARGEST {
        return None;
    }
    files.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let largest: Vec<String> =
        files.iter().take(5).map(|(name, size)| format!("{name} {}", format::bytes(*size))).collect();
    Some(Finding {
        place: function.to_string(),
        what: format!(
            "unpacks to {total} bytes; Lambda's limit is {LARGEST} (250 MB). The largest: {}",
            largest.join(", ")
        ),
        rule: QUOTAS,
    })
}

fn allowed(function: &FunctionName, settings: &FunctionSettings) -> Result<GlobSet> {
    let wrong = |error: globset::Error| {
        Failure::usage(format!(
            "lambda-src/{function}/function.toml: `allow` holds a glob that cannot be read"
        ))
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

//! Slipway releases AWS Lambda functions through Terraform.
//!
//! The stages of a release, in order:
//!
//! source -> artifact -> release -> plan -> deployment -> verification -> rollout -> ledger
//!
//! Two modules know the order, each its half: [`publication`] from source to release, [`delivery`] from there on.
//!
//! - [`source`]: a function's folder at a commit, and the digest of all that goes into its build.
//! - [`artifact`]: a zip or an image with its digests, built once.
//! - [`release`]: function + version + artifact digest + how it was built; immutable.
//! - [`plan`]: one stack in one environment with the releases it will run, as a saved Terraform plan.
//! - [`verification`]: what was looked at and tried on a published version that serves nobody yet.
//! - [`rollout`]: moves the alias `live`, with evidence.
//! - [`ledger`]: who runs what, since when, by whom.
//!
//! `commands/` choose releases and call; [`app`] puts the ports together; `output` alone prints.

#![allow(rustdoc::private_intra_doc_links)]

mod app;
mod artifact;
mod audit;
mod bootstrap;
mod checks;
mod cli;
mod commands;
mod delivery;
#[cfg(test)]
mod documents;
mod emulator;
#[cfg(test)]
mod fakes;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod gates;
mod github;
mod identity;
#[cfg(test)]
mod language;
#[cfg(test)]
mod layers;
mod ledger;
#[cfg(test)]
mod links;
mod output;
mod ownership;
mod pins;
mod plan;
mod policy;
mod ports;
mod prune;
mod publication;
mod release;
mod requirements;
mod rollout;
mod saved_plans;
mod settings;
mod source;
mod status;
mod suite;
mod test_groups;
mod tools;
mod verification;
mod work_files;

use slipway_runner::{command_lines, credentials, exec, graph, interrupt, process, progress};
use slipway_values::{architecture, digest, failure, format, name, partition, runtime, schema};

/// Runs Slipway's command line on this process's arguments and returns its exit code.
///
/// Another repository's `xtask` is this call in its own `main`.
pub fn main() -> std::process::ExitCode {
    cli::main()
}

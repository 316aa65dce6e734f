//! `pipelines/project.toml`: settings of the whole project.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::file::duration;
use crate::name::FunctionName;

/// The settings of the whole project.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectSettings {
    /// The layout of this file; 1.
    #[serde(deserialize_with = "schema_one")]
    #[allow(dead_code, reason = "read only to be checked")]
    pub(crate) schema: u32,
    /// The project's name: the first part of every resource's name.
    #[serde(deserialize_with = "resource_prefix")]
    pub(crate) name: String,
    /// The Terraform program: a name on the PATH or a path.
    #[serde(default = "terraform")]
    pub(crate) terraform: String,
    /// Where releases are kept, for every environment that is not emulated.
    pub(crate) store: Option<StoreSettings>,
    /// Exact versions of the tools that Slipway installs; they must be those that it carries hashes for.
    #[serde(default)]
    pub(crate) tools: BTreeMap<String, String>,
    /// What must pass before anything is written, by name.
    #[serde(default)]
    pub(crate) checks: BTreeMap<String, CheckSettings>,
    /// What `cargo xtask test` runs, by name.
    #[serde(default)]
    pub(crate) tests: BTreeMap<String, TestSettings>,
}

/// Where releases are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreSettings {
    /// The store's AWS account, 12 digits.
    pub(crate) account: String,
    /// The store's region.
    pub(crate) region: String,
    /// The store's bucket.
    pub(crate) bucket: String,
    /// A role to assume for writing to the store.
    pub(crate) role: Option<String>,
    /// The registry of images with the prefix of its repositories, `host[/prefix]`; each function has one of its own.
    pub(crate) repositories: Option<String>,
    /// Whether a repository that is missing in Amazon's registry is made: with immutable tags, scanned on push.
    #[serde(default)]
    pub(crate) create_repositories: bool,
    /// The least severity of what Amazon's scan of an image finds that refuses the release; not awaited where left out.
    pub(crate) refuse_findings: Option<Severity>,
    /// The key that signs releases: `alias/…` or an ARN in KMS, or a private key's PEM file, relative to the project.
    pub(crate) signing_key: Option<String>,
    /// The key that encrypts the store's objects; the bucket's default where none is named.
    pub(crate) kms_key: Option<String>,
}

/// How bad a scan's finding is, as Amazon's registry has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// `informational`
    Informational,
    /// `low`
    Low,
    /// `medium`
    Medium,
    /// `high`
    High,
    /// `critical`
    Critical,
}

impl Severity {
    /// Reads the word of a scan; nothing for one that says none, `UNDEFINED` or `UNTRIAGED`.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Self::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(
            &word.to_ascii_lowercase(),
        ))
        .ok()
    }
}

/// One check: a command that passes by exiting with 0.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckSettings {
    /// The command, split by a shell's quoting rules and run without a shell; or several, run in order.
    pub(crate) run: CommandLines,
    /// The functions that it is for: it runs where one of them is released; for every release where none is named.
    #[serde(default)]
    pub(crate) functions: Vec<FunctionName>,
    /// The time limit of the whole check.
    #[serde(deserialize_with = "duration", default = "ten_minutes")]
    pub(crate) within: Duration,
    /// The folder to run in, relative to the project.
    #[serde(default)]
    pub(crate) folder: PathBuf,
    /// Further environment variables.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// What to do when the check fails or its program is missing.
    pub(crate) hint: Option<String>,
}

/// A group of tests: left out where a program that it needs is missing, a failure where that happens in CI.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestSettings {
    /// The command line, or several, run in order.
    pub(crate) run: CommandLines,
    /// The folder to run in, relative to the project.
    #[serde(default)]
    pub(crate) folder: PathBuf,
    /// Programs that must be on the PATH.
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    /// Tools of Slipway's that are installed first: uv, zig, moto, rust-builder.
    #[serde(default)]
    pub(crate) tools: Vec<String>,
    /// Further environment variables.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Groups run in this order, then by name.
    #[serde(default)]
    pub(crate) order: u32,
    /// Whether the group runs only where it is named.
    #[serde(default)]
    pub(crate) by_name: bool,
}

/// One command line or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum CommandLines {
    /// One command line.
    One(String),
    /// Several, run in order until one fails.
    Several(Vec<String>),
}

impl CommandLines {
    /// Returns the command lines in order.
    pub(crate) fn lines(&self) -> &[String] {
        match self {
            Self::One(line) => std::slice::from_ref(line),
            Self::Several(lines) => lines,
        }
    }
}

fn terraform() -> String {
    "terraform".to_owned()
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

fn schema_one<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        1 => Ok(1),
        other => Err(serde::de::Error::custom(format!(
            "schema {other} is not known to this version of Slipway, which reads schema 1"
        ))),
    }
}

fn resource_prefix<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.parse::<crate::name::FunctionName>().is_ok() && name.len() <= 20 {
        Ok(name)
    } else {
        Err(serde::de::Error::custom(format!(
            "`{name}` is no project name: lower-case letters, digits and hyphens, at most 20 characters"
        )))
    }
}

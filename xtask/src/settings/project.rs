//! `pipelines/project.toml`: settings of the whole project.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::builder::BuilderSettings;
use super::file::duration;
use super::key_prefix::{key_prefix, tag_prefix};
use super::plan_policy::PlanSettings;
use crate::name::FunctionName;

/// The settings of the whole project.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectSettings {
    /// The version of this file's format: 1.
    #[serde(deserialize_with = "schema_one")]
    #[allow(dead_code, reason = "read only to be checked")]
    pub(crate) schema: u32,
    /// The project's name, with which every resource's name begins.
    #[serde(deserialize_with = "resource_prefix")]
    pub(crate) name: String,
    /// The Terraform program: its path, or its name on the PATH.
    #[serde(default = "terraform")]
    pub(crate) terraform: String,
    /// What the name of each release tag begins with: nothing, or a name with a slash at its end.
    #[serde(default, deserialize_with = "tag_prefix")]
    pub(crate) tag_prefix: String,
    /// The store of releases, for every environment that is not emulated.
    pub(crate) store: Option<StoreSettings>,
    /// The CI systems whose tokens prove who built a release, by name.
    #[serde(default)]
    pub(crate) builders: BTreeMap<String, BuilderSettings>,
    /// What judges each plan of every environment.
    pub(crate) plan: Option<PlanSettings>,
    /// Exact versions of the tools that Slipway installs; it must know the hashes of these versions.
    #[serde(default)]
    pub(crate) tools: BTreeMap<String, String>,
    /// Checks that must pass before anything is written, by name.
    #[serde(default)]
    pub(crate) checks: BTreeMap<String, CheckSettings>,
    /// Groups of tests that `cargo xtask test` runs, by name.
    #[serde(default)]
    pub(crate) tests: BTreeMap<String, TestSettings>,
}

/// The store of releases.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreSettings {
    /// The store's AWS account, 12 digits.
    pub(crate) account: String,
    /// The store's region.
    pub(crate) region: String,
    /// The store's bucket.
    pub(crate) bucket: String,
    /// What each key in the bucket begins with: nothing, or a name with a slash at its end.
    #[serde(default, deserialize_with = "key_prefix")]
    pub(crate) prefix: String,
    /// The role to assume for writing to the store.
    pub(crate) role: Option<String>,
    /// The image registry and the prefix of its repositories, `host[/prefix]`; each function has its own repository.
    pub(crate) repositories: Option<String>,
    /// Whether a repository that is missing in ECR is created, with immutable tags and scan on push.
    #[serde(default)]
    pub(crate) create_repositories: bool,
    /// The lowest severity of an ECR scan's findings at which a release is refused; without it no scan is awaited.
    pub(crate) refuse_findings: Option<Severity>,
    /// The key that signs releases: an `alias/…` or ARN in KMS, or the PEM file of a private key, relative to the project.
    pub(crate) signing_key: Option<String>,
    /// The KMS key that encrypts the store's objects; the bucket's default key where it is not set.
    pub(crate) kms_key: Option<String>,
}

/// The severity of a finding of an image scan in ECR.
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
    /// Parses ECR's severity; `None` for `UNDEFINED`, `UNTRIAGED` and unknown words.
    pub(crate) fn of(word: &str) -> Option<Self> {
        Self::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(
            &word.to_ascii_lowercase(),
        ))
        .ok()
    }
}

/// A check: commands that pass by exiting with 0.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckSettings {
    /// The command, split by a shell's quoting rules and run without a shell; or several, run in order.
    pub(crate) run: CommandLines,
    /// The functions that it checks: it runs when one of them is released; without any, for every release.
    #[serde(default)]
    pub(crate) functions: Vec<FunctionName>,
    /// The time limit of the whole check.
    #[serde(deserialize_with = "duration", default = "ten_minutes")]
    pub(crate) within: Duration,
    /// The folder to run in, relative to the project.
    #[serde(default)]
    pub(crate) folder: PathBuf,
    /// Tools of Slipway that its command lines use: they are installed, with hashes, and come first on the PATH.
    #[serde(default)]
    pub(crate) tools: Vec<String>,
    /// Programs without which it is left out, and named as left out. Those of `tools` are installed instead.
    #[serde(default)]
    pub(crate) only_with: Vec<String>,
    /// Whether it runs before a release. If not, it runs in `check` alone.
    #[serde(default = "yes")]
    pub(crate) before_release: bool,
    /// Further environment variables.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// The names of variables with credentials that it may see. It sees no others: what a check runs is not trusted with them.
    #[serde(default)]
    pub(crate) credentials: Vec<String>,
    /// What to do when the check fails or its program is missing.
    pub(crate) hint: Option<String>,
}

/// A group of tests; it is skipped where a program that it needs is missing, which in CI is a failure.
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
    /// Tools that Slipway installs first: uv, zig, moto, rust-builder.
    #[serde(default)]
    pub(crate) tools: Vec<String>,
    /// Further environment variables.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// The group's position: groups run in this order, then by name.
    #[serde(default)]
    pub(crate) order: u32,
    /// Whether the group runs only when it is named on the command line.
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

fn yes() -> bool {
    true
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
            "`{name}` is not a valid project name: lower-case letters, digits and hyphens, at most 20 characters"
        )))
    }
}

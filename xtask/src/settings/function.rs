//! `lambda-src/<function>/function.toml`: what changes or tests a function's bytes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::file;
use crate::failure::{Failure, Outcome};
use crate::name::Version;

/// How a function is delivered to Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Package {
    /// A zip in S3.
    Zip,
    /// A container image in a registry.
    Image,
}

/// A function's settings.
#[derive(Debug, Clone)]
pub(crate) struct FunctionSettings {
    /// The function's folder, relative to the project.
    pub(crate) folder: PathBuf,
    /// Lambda's runtime identifier, such as `provided.al2023`.
    pub(crate) runtime: String,
    /// Lambda's handler; `bootstrap` for a compiled function.
    pub(crate) handler: String,
    /// `x86_64` or `arm64`.
    pub(crate) architecture: String,
    /// Zip or image.
    pub(crate) package: Package,
    /// The version of the first release.
    pub(crate) first_version: Version,
    /// How the function is built.
    pub(crate) build: BuildSettings,
    /// What is tried on every new version before it serves.
    pub(crate) smoke: Vec<Smoke>,
}

/// How a function is built.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, tag = "with", rename_all = "snake_case")]
pub(crate) enum BuildSettings {
    /// A Rust binary, through cargo-lambda.
    Cargo {
        /// The binary's name; the package's name where left out.
        binary: Option<String>,
        /// The Cargo package; the function's name where left out.
        package: Option<String>,
        /// Further files that change the bytes, as globs relative to the project.
        #[serde(default)]
        inputs: Vec<String>,
    },
}

impl BuildSettings {
    /// Returns the extra input globs.
    pub(crate) fn inputs(&self) -> &[String] {
        match self {
            Self::Cargo { inputs, .. } => inputs,
        }
    }
}

/// One event that is tried on every new version before it serves.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Smoke {
    /// What it shows, in a few words.
    pub(crate) name: String,
    /// The event, as TOML for JSON.
    #[serde(default = "empty")]
    pub(crate) event: serde_json::Value,
    /// A JSON subset that the answer must hold.
    pub(crate) expect: Option<serde_json::Value>,
    /// The `errorType` that the function must answer with.
    pub(crate) expect_error: Option<String>,
    /// How long the answer may take.
    #[serde(deserialize_with = "file::duration", default = "three_seconds")]
    pub(crate) within: Duration,
    /// Whether it may run in protected environments.
    #[serde(default)]
    pub(crate) safe: bool,
}

fn empty() -> serde_json::Value {
    serde_json::json!({})
}

fn three_seconds() -> Duration {
    Duration::from_secs(3)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    runtime: String,
    #[serde(default = "bootstrap")]
    handler: String,
    #[serde(default = "Architecture::x86_64")]
    architecture: Architecture,
    #[serde(default = "zip")]
    package: Package,
    #[serde(default = "first_version")]
    first_version: Version,
    build: BuildSettings,
    #[serde(default)]
    smoke: Vec<Smoke>,
}

#[derive(Deserialize)]
enum Architecture {
    #[serde(rename = "x86_64")]
    X86_64,
    #[serde(rename = "arm64")]
    Arm64,
}

impl Architecture {
    fn x86_64() -> Self {
        Self::X86_64
    }
}

fn bootstrap() -> String {
    "bootstrap".to_owned()
}

fn zip() -> Package {
    Package::Zip
}

fn first_version() -> Version {
    Version::new(0, 1, 0)
}

impl FunctionSettings {
    /// Reads a function's settings.
    pub(super) fn load(root: &Path, relative: &Path) -> Outcome<Self> {
        let raw: Raw = file::load(root, relative)?;
        let wrong = |message: String| Failure::usage(format!("{}: {message}", relative.display()));
        if raw.package == Package::Image {
            return Err(wrong("`package = \"image\"` is not supported by this version of Slipway".into())
                .hint("use package = \"zip\""));
        }
        if !raw.first_version.is_release() {
            return Err(wrong(format!(
                "`first_version = \"{}\"` must be a release such as 0.1.0",
                raw.first_version
            )));
        }
        for smoke in &raw.smoke {
            if smoke.expect.is_some() && smoke.expect_error.is_some() {
                return Err(wrong(format!(
                    "the smoke event `{}` has both `expect` and `expect_error`; an answer is one or the other",
                    smoke.name
                )));
            }
        }
        if matches!(raw.build, BuildSettings::Cargo { .. }) && !raw.runtime.starts_with("provided.") {
            return Err(wrong(format!(
                "a Rust function needs `runtime = \"provided.al2023\"`, not `{}`",
                raw.runtime
            )));
        }
        Ok(Self {
            folder: relative.parent().unwrap_or(Path::new("")).to_path_buf(),
            runtime: raw.runtime,
            handler: raw.handler,
            architecture: match raw.architecture {
                Architecture::X86_64 => "x86_64".into(),
                Architecture::Arm64 => "arm64".into(),
            },
            package: raw.package,
            first_version: raw.first_version,
            build: raw.build,
            smoke: raw.smoke,
        })
    }
}

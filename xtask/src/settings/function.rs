//! `lambda-src/<function>/function.toml`: how a function is built, packaged and tested.
//!
//! In: the file. Out: [`FunctionSettings`], whose values fit each other. Goes wrong: an unknown key or value; a runtime,
//! handler and build that do not fit each other.

mod build;
mod image;
mod smoke;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub(crate) use build::{BuildSettings, name_in_artifact, source_path};
pub(crate) use image::{BaseReference, ImageSettings};
pub(crate) use smoke::{DeploymentTests, SmokeTest, placeholders};

use super::file;
use super::traffic_gate::{self, TrafficGate};
use crate::architecture::Architecture;
use crate::failure::{Failure, Result};
use crate::name::Version;
use crate::runtime::Runtime;

/// How a function's code is packaged for Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Package")]
pub(crate) enum PackageType {
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
    /// Lambda's runtime, such as `provided.al2023`.
    pub(crate) runtime: Runtime,
    /// Lambda's handler; `bootstrap` for a compiled function.
    pub(crate) handler: String,
    /// Whether the handler, or the `bootstrap` of a custom runtime, lies in a layer or a base image, not in the artifact.
    pub(crate) handler_in_layer: bool,
    /// The architecture of the function's code.
    pub(crate) architecture: Architecture,
    /// Zip or image.
    pub(crate) package: PackageType,
    /// The version of the first release.
    pub(crate) first_version: Version,
    /// How the function is built.
    pub(crate) build: BuildSettings,
    /// The base and start command of an image function's image.
    pub(crate) image: Option<ImageSettings>,
    /// The smoke tests of every new version.
    pub(crate) smoke: Vec<SmokeTest>,
    /// The test suite of a whole deployment.
    pub(crate) deployment_tests: Option<DeploymentTests>,
    /// Commands that decide whether a new version gets traffic.
    pub(crate) before_traffic: Vec<TrafficGate>,
}

/// `function.toml` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FunctionFile {
    runtime: Runtime,
    handler: Option<String>,
    #[serde(default)]
    handler_in_layer: bool,
    #[serde(default = "default_architecture")]
    architecture: Architecture,
    #[serde(default = "zip")]
    package: PackageType,
    #[serde(default = "first_version")]
    first_version: Version,
    build: BuildSettings,
    image: Option<ImageSettings>,
    #[serde(default)]
    smoke: Vec<SmokeTest>,
    deployment_tests: Option<DeploymentTests>,
    #[serde(default)]
    before_traffic: Vec<TrafficGate>,
}

fn default_architecture() -> Architecture {
    Architecture::X86_64
}

fn zip() -> PackageType {
    PackageType::Zip
}

fn first_version() -> Version {
    Version::new(0, 1, 0)
}

impl FunctionSettings {
    /// Reads a function's settings.
    pub(super) fn load(root: &Path, relative: &Path) -> Result<Self> {
        Self::parse(relative, &file::read(root, relative)?)
    }

    /// Reads the text of a function's settings; `relative` is the path of their file.
    pub(crate) fn parse(relative: &Path, text: &str) -> Result<Self> {
        let raw: FunctionFile = file::parse(relative, text)?;
        let wrong = |message: String| Failure::usage(format!("{}: {message}", relative.display()));
        match (raw.package, &raw.image) {
            (PackageType::Image, None) => {
                return Err(wrong("`package = \"image\"` needs a table [image] with `base`".into()).hint(
                    "name the base by digest, as in base = \"public.ecr.aws/lambda/provided:al2023@sha256:…\"",
                ));
            }
            (PackageType::Zip, Some(_)) => {
                return Err(wrong("[image] needs `package = \"image\"`, but the package is a zip".into()));
            }
            _ => {}
        }
        if !raw.first_version.is_release() {
            return Err(wrong(format!(
                "`first_version = \"{}\"` must be a release such as 0.1.0",
                raw.first_version
            )));
        }
        if let Some(message) = smoke::mistake(&raw.smoke) {
            return Err(wrong(message));
        }
        if let Some(message) = traffic_gate::mistake(&raw.before_traffic) {
            return Err(wrong(message));
        }
        raw.build.check(&raw.runtime).map_err(|(message, hint)| match hint {
            Some(hint) => wrong(message).hint(hint),
            None => wrong(message),
        })?;
        let handler = match raw.handler {
            Some(handler) => handler,
            None if raw.runtime.is_custom() => "bootstrap".to_owned(),
            None => {
                return Err(wrong(format!("missing key `handler`: the function that {} calls", raw.runtime))
                    .hint(build::handler_example(&raw.runtime)));
            }
        };
        if let Some(message) = build::handler_mistake(&raw.runtime, &handler) {
            return Err(wrong(message).hint(build::handler_example(&raw.runtime)));
        }
        if raw.handler_in_layer && matches!(raw.build, BuildSettings::Cargo { .. }) {
            return Err(wrong(
                "`handler_in_layer = true` does not fit with = \"cargo\": the binary that is built is the `bootstrap`".into(),
            )
            .hint("remove the key"));
        }
        Ok(Self {
            folder: relative.parent().unwrap_or(Path::new("")).to_path_buf(),
            runtime: raw.runtime,
            handler,
            handler_in_layer: raw.handler_in_layer,
            architecture: raw.architecture,
            package: raw.package,
            first_version: raw.first_version,
            build: raw.build,
            image: raw.image,
            smoke: raw.smoke,
            deployment_tests: raw.deployment_tests,
            before_traffic: raw.before_traffic,
        })
    }
}

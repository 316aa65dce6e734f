//! Prepares the command line of an image's program: entry point, arguments, environment and folder.
//!
//! In: an image and a function's configuration. Out: a command line. Each setting of the function's ImageConfig overrides
//! the image's, and the function's variables override the image's. Errors: the image is not what was published, it has no
//! program, or this machine cannot run it.

use super::function_variables;
use super::function_version::{ImageConfig, ResolvedFunction};
use super::image::{ExecutionSettings, Image};
use super::isolation::{ImageProgram, Isolation};
use super::known_images::KnownImages;
use super::lambda_error::LambdaError;
use super::root_file_system::{RootFileSystems, UnpackError};
use crate::error_chain::error_chain;
use crate::programs::CommandLine;
use crate::registry::{Digest, ImageUri, Reference, Registry};
use crate::signing::Credential;
use axum::http::StatusCode;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// The PATH of an image that does not set it.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Prepares images.
pub(crate) struct ImageLauncher {
    pub(super) registry: Arc<Registry>,
    pub(super) known_images: Arc<KnownImages>,
    pub(super) root_file_systems: RootFileSystems,
    pub(super) isolation: Isolation,
}

/// An unpacked image, and how its program runs.
pub(super) struct PreparedImage {
    root: PathBuf,
    settings: ExecutionSettings,
    digest: Digest,
}

impl ImageLauncher {
    /// Unpacks the image of a function.
    pub(super) async fn prepare(&self, function: &ResolvedFunction) -> Result<PreparedImage, LambdaError> {
        let configuration = &function.configuration;
        let name = format!("{}:{}", configuration.function_name, configuration.version);
        let known = self.known_images.find(&configuration.code_sha256).ok_or_else(|| {
            LambdaError::conflict(format!(
                "The image of {name} is unknown, because it was not set through this local environment's endpoint. \
                 It was not run."
            ))
        })?;
        let invalid = || {
            let uri = &known.image_uri;
            LambdaError::conflict(format!(
                "{name} was published with the image {uri}, which does not exist. It was not run."
            ))
        };
        let uri = ImageUri::parse(&known.image_uri).ok_or_else(invalid)?;
        // A tag counts for the digest that it named when the function was published.
        let digest = known.digest.parse().map_err(|_| invalid())?;
        let by_digest = format!("{}@{digest}", uri.host_and_repository);
        let reference = Reference::Digest(digest);
        let image =
            Image::load(&self.registry, &uri.repository, &reference, &by_digest).map_err(|error| {
                LambdaError::conflict(format!("{name} cannot be run: {}", error_chain(&error)))
            })?;
        let machine = std::env::consts::ARCH;
        let architecture = image.architecture();
        if architecture != machine.replace("aarch64", "arm64") {
            return Err(LambdaError::invalid_parameter(format!(
                "{name} is an image for {architecture}, and this machine is {machine}: the local Lambda gateway \
                 cannot run it"
            )));
        }
        let settings = overridden(image.execution_settings(), configuration.image_config());
        let root =
            self.root_file_systems.unpacked(&self.registry, image).await.map_err(|error| match &error {
                UnpackError::File(..) | UnpackError::Interrupted(_) => {
                    LambdaError::service(error_chain(&error))
                }
                _ => LambdaError::new(
                    StatusCode::BAD_GATEWAY,
                    "InvalidImageException",
                    format!("The image {by_digest} of {name} cannot be run: {}", error_chain(&error)),
                ),
            })?;
        Ok(PreparedImage { root, settings, digest })
    }

    /// Returns the command line of an image's program, isolated from this machine.
    pub(super) async fn command_line(
        &self,
        image: &PreparedImage,
        function: &ResolvedFunction,
        variables: Vec<(OsString, OsString)>,
        marker: Option<PathBuf>,
    ) -> Result<CommandLine, LambdaError> {
        let name = &function.configuration.function_name;
        let command = image.command();
        if command.is_empty() {
            return Err(LambdaError::invalid_parameter(format!(
                "{name} has no program: neither its image {} nor its ImageConfig has an entry point or a command",
                image.digest
            )));
        }
        let working_dir = image.settings.working_dir.as_deref().filter(|folder| !folder.is_empty());
        let program =
            ImageProgram { root: &image.root, working_dir: working_dir.unwrap_or("/"), command, variables };
        self.isolation.command_line(program, marker).await.map_err(|reason| {
            let message = format!("{name} is an image and cannot be run here: {reason}");
            LambdaError::new(StatusCode::BAD_GATEWAY, "ImageIsolationUnavailable", message)
        })
    }
}

impl PreparedImage {
    /// Returns the folder that is the function's root, as this machine sees it.
    pub(super) fn root(&self) -> &PathBuf {
        &self.root
    }

    /// Returns the program as the image names it.
    pub(super) fn program(&self) -> PathBuf {
        self.command().first().map(PathBuf::from).unwrap_or_default()
    }

    /// Returns the environment: `defaults`, the image's variables, configured variables, reserved variables.
    pub(super) fn variables(
        &self,
        function: &ResolvedFunction,
        defaults: Vec<(OsString, OsString)>,
        credential: &Credential,
        log_stream: &str,
    ) -> Vec<(OsString, OsString)> {
        let text = OsString::from;
        let mut variables = vec![
            (text("PATH"), text(PATH)),
            (text("LAMBDA_TASK_ROOT"), text("/var/task")),
            (text("LAMBDA_RUNTIME_DIR"), text("/var/runtime")),
        ];
        variables.extend(defaults);
        let own = self.settings.env.iter().flatten().filter_map(|variable| variable.split_once('='));
        variables.extend(own.map(|(name, value)| (text(name), text(value))));
        variables.extend(function_variables::configured(function));
        variables.extend(function_variables::reserved(function, credential, log_stream));
        variables
    }

    fn command(&self) -> Vec<OsString> {
        let both = [&self.settings.entrypoint, &self.settings.cmd];
        both.into_iter().flatten().flatten().map(OsString::from).collect()
    }
}

/// Overrides the image's settings with the function's; an empty list overrides nothing.
fn overridden(mut image: ExecutionSettings, function: &ImageConfig) -> ExecutionSettings {
    let given = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
    image.entrypoint = given(&function.entry_point).or(image.entrypoint);
    image.cmd = given(&function.command).or(image.cmd);
    let folder = function.working_directory.clone().filter(|folder| !folder.is_empty());
    image.working_dir = folder.or(image.working_dir);
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_settings_override_the_images_each_on_its_own() {
        let list = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        let image = ExecutionSettings {
            entrypoint: list(&["/entry"]),
            cmd: list(&["app.handle"]),
            env: None,
            working_dir: Some("/var/task".to_owned()),
        };
        let nothing = ImageConfig { entry_point: list(&[]), ..ImageConfig::default() };
        assert_eq!(overridden(image.clone(), &nothing), image);
        let function = ImageConfig {
            entry_point: None,
            command: list(&["other.handle"]),
            working_directory: Some("/elsewhere".to_owned()),
        };
        let both = overridden(image.clone(), &function);
        assert_eq!((both.entrypoint, both.cmd), (list(&["/entry"]), list(&["other.handle"])));
        assert_eq!(both.working_dir.as_deref(), Some("/elsewhere"));
        let function = ImageConfig { entry_point: list(&["/mine"]), ..ImageConfig::default() };
        assert_eq!(overridden(image.clone(), &function).cmd, image.cmd);
    }
}

//! How an image's program is run: entry point, arguments, environment and folder.
//!
//! In: an image and a function's configuration. Out: what [`super::launch`] starts. The function's ImageConfig goes
//! before the image's own settings, each for itself, and the function's variables before the image's. What can go wrong:
//! the image is not what was published, it has nothing to run, or this machine cannot run it.

use super::functions::{ImageConfig, Target};
use super::image::{Execution, Image};
use super::isolation::Inside;
use super::refusal::{Refusal, chain};
use super::root_file_system::UnpackError;
use super::{Gateway, launch};
use crate::emulator::Credential;
use crate::process::Launch;
use crate::registry::{Digest, ImageUri, Reference};
use axum::http::StatusCode;
use std::ffi::OsString;
use std::path::PathBuf;

/// Where an image's programs are looked for if it does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image that is ready to run.
pub(super) struct Ready {
    root: PathBuf,
    execution: Execution,
    digest: Digest,
}

/// Unpacks the image of a function.
pub(super) async fn prepare(gateway: &Gateway, target: &Target) -> Result<Ready, Refusal> {
    let configuration = &target.configuration;
    let function = format!("{}:{}", configuration.function_name, configuration.version);
    let known = gateway.known_images.find(&configuration.code_sha256).ok_or_else(|| {
        Refusal::conflict(format!(
            "{function} is an image that was not given to this local environment's endpoint, so it is not known which. \
             It was not run."
        ))
    })?;
    let gone = || {
        let uri = &known.image_uri;
        Refusal::conflict(format!(
            "{function} was published with the image {uri}, which names nothing. It was not run."
        ))
    };
    let named = ImageUri::parse(&known.image_uri).ok_or_else(gone)?;
    let digest = Digest::parse(&known.digest).ok_or_else(gone)?;
    // A tag meant this digest when the function was given it, and that is what counts.
    let uri = format!("{}@{digest}", named.place);
    let image = Image::load(&gateway.registry, &named.repository, &Reference::Digest(digest.clone()), &uri)
        .map_err(|error| Refusal::conflict(format!("{function} cannot be run: {}", chain(&error))))?;
    let machine = std::env::consts::ARCH;
    let architecture = image.architecture();
    if architecture != machine.replace("aarch64", "arm64") {
        return Err(Refusal::parameter(format!(
            "{function} is an image for {architecture}, and this machine is {machine}: the local Lambda gateway cannot \
             run it"
        )));
    }
    let execution = overridden(image.execution(), configuration.image_config());
    let unpacked = gateway.root_file_systems.folder(&gateway.registry, image).await;
    let root = unpacked.map_err(|error| match &error {
        UnpackError::File(..) | UnpackError::Broken(_) => Refusal::service(chain(&error)),
        _ => Refusal::new(
            StatusCode::BAD_GATEWAY,
            "InvalidImageException",
            format!("The image {uri} of {function} cannot be run: {}", chain(&error)),
        ),
    })?;
    Ok(Ready { root, execution, digest })
}

impl Ready {
    /// Gives the folder that is the function's root, as the machine sees it.
    pub(super) fn root(&self) -> &PathBuf {
        &self.root
    }

    /// Gives the program as the image names it.
    pub(super) fn program(&self) -> PathBuf {
        self.command().first().map(PathBuf::from).unwrap_or_default()
    }

    fn command(&self) -> Vec<OsString> {
        let both = [&self.execution.entrypoint, &self.execution.cmd];
        both.into_iter().flatten().flatten().map(OsString::from).collect()
    }

    /// Makes the command line.
    pub(super) async fn launch(
        &self,
        gateway: &Gateway,
        target: &Target,
        credential: &Credential,
        log_stream: &str,
    ) -> Result<Launch, Refusal> {
        let name = &target.configuration.function_name;
        let command = self.command();
        if command.is_empty() {
            return Err(Refusal::parameter(format!(
                "{name} has nothing to run: its image {} has neither entry point nor command, and its ImageConfig \
                 names none",
                self.digest
            )));
        }
        let working_dir = self.execution.working_dir.as_deref().filter(|folder| !folder.is_empty());
        let text = OsString::from;
        let mut variables = vec![
            (text("PATH"), text(PATH)),
            (text("LAMBDA_TASK_ROOT"), text("/var/task")),
            (text("LAMBDA_RUNTIME_DIR"), text("/var/runtime")),
        ];
        variables.extend(launch::defaults(gateway));
        let own = self.execution.env.iter().flatten().filter_map(|variable| variable.split_once('='));
        variables.extend(own.map(|(name, value)| (text(name), text(value))));
        variables.extend(launch::own(target));
        variables.extend(launch::reserved(target, credential, log_stream));
        let inside = Inside { root: &self.root, working_dir: working_dir.unwrap_or("/"), command, variables };
        let marker = gateway.config.kept_in.clone();
        gateway.isolation.launch(inside, marker).await.map_err(|why| {
            let message = format!("{name} is an image and cannot be run here: {why}");
            Refusal::new(StatusCode::BAD_GATEWAY, "ImageIsolationUnavailable", message)
        })
    }
}

/// Puts what the function says before what the image says; an empty list says nothing.
fn overridden(mut image: Execution, function: &ImageConfig) -> Execution {
    let said = |list: &Option<Vec<String>>| list.clone().filter(|list| !list.is_empty());
    image.entrypoint = said(&function.entry_point).or(image.entrypoint);
    image.cmd = said(&function.command).or(image.cmd);
    let folder = function.working_directory.clone().filter(|folder| !folder.is_empty());
    image.working_dir = folder.or(image.working_dir);
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_settings_go_before_the_images_each_for_itself() {
        let list = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        let image = Execution {
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

//! Starts instances of functions: code, credentials, program and environment.
//!
//! In: a [`ResolvedFunction`]. Out: an instance that is starting. Errors: the code is not what was published, the runtime
//! is not supported here, or the program cannot be executed, which is an error of the function.

use super::accounts::Accounts;
use super::artifacts::Artifacts;
use super::function_variables;
use super::function_version::ResolvedFunction;
use super::image_launch::{ImageLauncher, PreparedImage};
use super::instance::{Instance, InvocationResult, failure};
use super::lambda_error::LambdaError;
use super::log_stream::LogStreams;
use super::output::{self, Output};
use super::python::{self, Interpreters};
use crate::emulator::Caller;
use crate::error_chain::error_chain;
use crate::id::request_id;
use crate::programs::{self, CommandLine};
use crate::signing::Credential;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Starts instances.
pub(crate) struct Launcher {
    pub(super) accounts: Arc<Accounts>,
    pub(super) artifacts: Artifacts,
    pub(super) images: ImageLauncher,
    pub(super) interpreters: Interpreters,
    pub(super) log_streams: LogStreams,
    /// The gateway's own address.
    pub(super) gateway_url: String,
    pub(super) work_folder: PathBuf,
    pub(super) log_folder: PathBuf,
    /// The value of the marker variable of the functions' processes.
    pub(super) marker: Option<PathBuf>,
}

/// A start that was tried.
pub(super) enum Started {
    Running(Box<Instance>),
    /// The program cannot be executed, which is an error of the function.
    Failed {
        output: Arc<Output>,
        result: InvocationResult,
    },
}

/// The code of a function, on this machine.
enum CodeSource {
    /// The folder of an unpacked zip.
    Zip(PathBuf),
    Image(PreparedImage),
}

/// A command line that is ready to be started.
struct PreparedCommand {
    command: CommandLine,
    /// The folder in which it starts.
    folder: PathBuf,
    /// The program as errors name it.
    program: PathBuf,
    /// A line for the function's log.
    warning: Option<String>,
}

/// The program of a runtime.
struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    /// A line for the function's log.
    warning: Option<String>,
}

impl Launcher {
    /// Starts a new instance for a request.
    pub(super) async fn start(
        &self,
        caller: &Caller,
        function: &ResolvedFunction,
        request_id_of_call: &str,
    ) -> Result<Started, LambdaError> {
        let configuration = &function.configuration;
        let name = &configuration.function_name;
        let role = configuration.role.clone().unwrap_or_default();
        let (code, credential) = tokio::join!(
            self.code(caller, function),
            self.accounts.assume_function_role(caller, &role, session_name(name))
        );
        let (code, credential) = (code?, credential?);
        // Function URLs and HTTP APIs verify the signatures that the function makes with this credential.
        self.accounts.learn(&credential);
        // The logs are written in the function's account and region, not in the caller's.
        let writer =
            Caller::with_credential(caller.authority.clone(), credential.clone(), function.region.clone());
        let group = configuration.log_group();
        let stream = self.log_streams.stream(writer, group, &configuration.version, &request_id());
        let PreparedCommand { command, folder, program, warning } =
            self.prepare(function, code, &credential, stream.name()).await?;
        let log = output::log_file(&self.log_folder, name);
        match Instance::spawn(command, &folder, |pipe| Output::follow(pipe, &log, stream)).await {
            Ok(instance) => {
                if let Some(warning) = warning {
                    instance.output.write_line(&warning);
                }
                if configuration.layers.as_ref().is_some_and(|layers| !layers.is_empty()) {
                    instance.output.write_line("WARNING: the local Lambda gateway does not load layers");
                }
                Ok(Started::Running(Box::new(instance)))
            }
            Err((error, Some(output))) => {
                let message = format!("fork/exec {}: {}", program.display(), error_chain(&error));
                let result = failure(request_id_of_call, "Runtime.InvalidEntrypoint", &message, true);
                Ok(Started::Failed { output, result })
            }
            Err((error, None)) => {
                Err(LambdaError::service(format!("{name} cannot be started: {}", error_chain(&error))))
            }
        }
    }

    async fn code(&self, caller: &Caller, function: &ResolvedFunction) -> Result<CodeSource, LambdaError> {
        match function.configuration.is_image() {
            true => self.images.prepare(function).await.map(CodeSource::Image),
            false => self.artifacts.unpacked(caller, function).await.map(CodeSource::Zip),
        }
    }

    async fn prepare(
        &self,
        function: &ResolvedFunction,
        code: CodeSource,
        credential: &Credential,
        log_stream: &str,
    ) -> Result<PreparedCommand, LambdaError> {
        let folder = match code {
            CodeSource::Zip(folder) => folder,
            CodeSource::Image(image) => {
                let (folder, program) = (image.root().clone(), image.program());
                let variables = function_variables::defaults(&self.gateway_url).collect();
                let variables = image.variables(function, variables, credential, log_stream);
                let marker = self.marker.clone();
                let command = self.images.command_line(&image, function, variables, marker).await?;
                return Ok(PreparedCommand { command, folder, program, warning: None });
            }
        };
        let Program { path, arguments, warning } = self.program(function, &folder).await?;
        let variables = self.zip_variables(function, &folder, credential, log_stream);
        let marker = self.marker.clone();
        let command = CommandLine { program: path.clone(), arguments, variables, marker };
        Ok(PreparedCommand { command, folder, program: path, warning })
    }

    async fn program(&self, function: &ResolvedFunction, folder: &Path) -> Result<Program, LambdaError> {
        let name = &function.configuration.function_name;
        let runtime = function.configuration.runtime.as_deref().unwrap_or_default();
        if runtime.starts_with("provided") {
            return Ok(Program { path: folder.join("bootstrap"), arguments: Vec::new(), warning: None });
        }
        if !runtime.starts_with("python3.") {
            return Err(LambdaError::invalid_parameter(format!(
                "{name} has the runtime `{runtime}`; the local Lambda gateway runs provided.* and python3.*"
            )));
        }
        let links = python::links(&self.work_folder);
        let interpreter = self.interpreters.find(runtime, &links).await.ok_or_else(|| {
            LambdaError::invalid_parameter(format!("{name} needs {runtime}, and this machine has no python3"))
        })?;
        let client = python::write_runtime_client(&self.work_folder).map_err(|error| {
            LambdaError::service(format!("the Python runtime client cannot be written: {error}"))
        })?;
        let warning = (interpreter.runtime != runtime).then(|| {
            format!("WARNING: this machine has no {runtime}; {} runs this function", interpreter.runtime)
        });
        // Without `site` the function does not see this machine's packages, only those of its artifact.
        Ok(Program {
            path: interpreter.program,
            arguments: vec!["-u".into(), "-S".into(), client.into_os_string()],
            warning,
        })
    }

    /// Returns the environment of a zip's function: defaults, configured variables, reserved variables.
    fn zip_variables(
        &self,
        function: &ResolvedFunction,
        folder: &Path,
        credential: &Credential,
        log_stream: &str,
    ) -> Vec<(OsString, OsString)> {
        let configuration = &function.configuration;
        let mut path = OsString::from("/usr/local/bin:/usr/bin:/bin:/opt/bin:");
        path.push(programs::search_path());
        let mut libraries = folder.as_os_str().to_owned();
        libraries.push(":");
        libraries.push(folder.join("lib"));
        let text = OsString::from;
        let mut variables: Vec<(OsString, OsString)> = vec![
            (text("PATH"), path),
            (text("LD_LIBRARY_PATH"), libraries),
            (text("LANG"), text("en_US.UTF-8")),
        ];
        variables.extend(function_variables::defaults(&self.gateway_url));
        variables.extend(function_variables::configured(function));
        variables.extend(function_variables::reserved(function, credential, log_stream));
        let handler = configuration.handler.as_deref().unwrap_or("bootstrap");
        variables.push((text("_HANDLER"), handler.into()));
        variables.push((text("LAMBDA_TASK_ROOT"), folder.into()));
        let runtime = configuration.runtime.as_deref();
        if let Some(runtime) = runtime.filter(|runtime| !runtime.starts_with("provided")) {
            variables.push((text("AWS_EXECUTION_ENV"), format!("AWS_Lambda_{runtime}").into()));
        }
        variables
    }
}

/// Returns an IAM session name, which has at most 64 characters.
fn session_name(function: &str) -> &str {
    &function[..function.len().min(64)]
}

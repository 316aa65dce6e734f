//! Makes an instance of a function: place, code, credentials, program and environment.
//!
//! In: a [`Target`]. Out: an instance that is starting. What can go wrong: the artifact is not what was published,
//! the runtime is not one that runs here, or the program cannot be executed, which is the function's own error.

use super::functions::Target;
use super::id::request_id;
use super::instance::{Instance, Outcome, failure};
use super::output::{self, Output};
use super::pool::Place;
use super::refusal::{Refusal, chain};
use super::{Gateway, python};
use crate::emulator::{Caller, Credential};
use crate::process::{self, Launch};
use axum::http::StatusCode;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Starts a new instance; the inner error is the function's own.
pub(super) async fn start(
    gateway: &Gateway,
    caller: &Caller,
    target: &Target,
    id: &str,
) -> Result<Result<(Instance, Place), (Arc<Output>, Outcome)>, Refusal> {
    let configuration = &target.configuration;
    let name = &configuration.function_name;
    if configuration.package_type.as_deref() == Some("Image") {
        return Err(Refusal::parameter(format!(
            "{name} is an image; the local Lambda gateway runs zips only"
        )));
    }
    let place = gateway.pool.place().await.ok_or_else(|| {
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", "Rate Exceeded.")
    })?;
    let role = configuration.role.clone().unwrap_or_default();
    let (folder, credential) =
        tokio::join!(gateway.code.folder(caller, target), caller.assume_role(&role, session(name)));
    let (folder, credential) = (folder?, credential?);
    let Program { path, arguments, warning } = program(gateway, target, &folder).await?;
    // Logs belong to the function's account and region, whoever calls.
    let writer = Caller {
        access_key_id: credential.access_key_id.clone(),
        region: target.region.clone(),
        authority: caller.authority.clone(),
    };
    let stream =
        gateway.log_streams.stream(writer, configuration.log_group(), &configuration.version, &request_id());
    let variables = variables(gateway, target, &folder, &credential, stream.name());
    let marker = gateway.config.kept_in.clone();
    let launch = Launch { program: path.clone(), arguments, variables, marker };
    let log = output::log_file(&gateway.config.log_folder, name);
    match Instance::spawn(launch, &folder, |pipe| Output::follow(pipe, &log, stream)).await {
        Ok(instance) => {
            if let Some(warning) = warning {
                instance.output.note(&warning);
            }
            if configuration.layers.as_ref().is_some_and(|layers| !layers.is_empty()) {
                instance.output.note("WARNING: the local Lambda gateway does not load layers");
            }
            Ok(Ok((instance, place)))
        }
        Err((error, Some(output))) => {
            let message = format!("fork/exec {}: {}", path.display(), chain(&error));
            Ok(Err((output, failure(id, "Runtime.InvalidEntrypoint", &message, true))))
        }
        Err((error, None)) => Err(Refusal::service(format!("{name} cannot be started: {}", chain(&error)))),
    }
}

/// What is run for a runtime.
struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    /// What the function's log is to say about it.
    warning: Option<String>,
}

async fn program(gateway: &Gateway, target: &Target, folder: &Path) -> Result<Program, Refusal> {
    let name = &target.configuration.function_name;
    let runtime = target.configuration.runtime.as_deref().unwrap_or_default();
    if runtime.starts_with("provided") {
        return Ok(Program { path: folder.join("bootstrap"), arguments: Vec::new(), warning: None });
    }
    if !runtime.starts_with("python3.") {
        return Err(Refusal::parameter(format!(
            "{name} has the runtime `{runtime}`; the local Lambda gateway runs provided.* and python3.*"
        )));
    }
    let interpreter = gateway.interpreters.find(runtime).await.ok_or_else(|| {
        Refusal::parameter(format!("{name} needs {runtime}, and this machine has no python3"))
    })?;
    let client = python::client(&gateway.config.work_folder)
        .map_err(|error| Refusal::service(format!("the Python runtime client cannot be written: {error}")))?;
    let warning = (interpreter.runtime != runtime).then(|| {
        format!("WARNING: this machine has no {runtime}; {} runs this function", interpreter.runtime)
    });
    Ok(Program { path: interpreter.program, arguments: vec!["-u".into(), client.into_os_string()], warning })
}

/// The environment of a function: Lambda's defaults, then the function's own, then what Lambda reserves.
/// See <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>.
fn variables(
    gateway: &Gateway,
    target: &Target,
    folder: &Path,
    credential: &Credential,
    log_stream: &str,
) -> Vec<(OsString, OsString)> {
    let configuration = &target.configuration;
    let mut path = OsString::from("/usr/local/bin:/usr/bin:/bin:/opt/bin:");
    path.push(process::search_path());
    let mut libraries = folder.as_os_str().to_owned();
    libraries.push(":");
    libraries.push(folder.join("lib"));
    let text = OsString::from;
    let mut variables: Vec<(OsString, OsString)> = vec![
        (text("PATH"), path),
        (text("LD_LIBRARY_PATH"), libraries),
        (text("LANG"), text("en_US.UTF-8")),
        (text("TZ"), text(":UTC")),
        // A function that invokes another one finds it running here as well.
        (text("AWS_ENDPOINT_URL"), gateway.url.clone().into()),
        (text("AWS_ENDPOINT_URL_LAMBDA"), gateway.url.clone().into()),
    ];
    let own = configuration.environment.iter().flat_map(|environment| &environment.variables);
    variables.extend(own.map(|(name, value)| (name.into(), value.into())));
    let memory = configuration.memory_size.unwrap_or(128).to_string();
    let group = configuration.log_group();
    let reserved = [
        ("AWS_LAMBDA_FUNCTION_NAME", configuration.function_name.as_str()),
        ("AWS_LAMBDA_FUNCTION_VERSION", &configuration.version),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_REGION", &target.region),
        ("AWS_DEFAULT_REGION", &target.region),
        ("AWS_ACCESS_KEY_ID", &credential.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &credential.secret_access_key),
        ("AWS_SESSION_TOKEN", &credential.session_token),
        ("_HANDLER", configuration.handler.as_deref().unwrap_or("bootstrap")),
    ];
    variables.extend(reserved.map(|(name, value)| (name.into(), value.into())));
    variables.push((text("LAMBDA_TASK_ROOT"), folder.into()));
    if let Some(runtime) = configuration.runtime.as_deref().filter(|runtime| !runtime.starts_with("provided"))
    {
        variables.push((text("AWS_EXECUTION_ENV"), format!("AWS_Lambda_{runtime}").into()));
    }
    variables
}

/// An IAM session name has 64 characters at most.
fn session(function: &str) -> &str {
    &function[..function.len().min(64)]
}

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
use super::{Gateway, image_launch, python};
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
    let place = gateway.pool.place().await.ok_or_else(|| {
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", "Rate Exceeded.")
    })?;
    let role = configuration.role.clone().unwrap_or_default();
    let (code, credential) =
        tokio::join!(code(gateway, caller, target), gateway.accounts.assume(caller, &role, session(name)));
    let (code, credential) = (code?, credential?);
    // Whoever is called with it, by URL or API, checks the signature.
    gateway.accounts.learn(&credential);
    // Logs belong to the function's account and region, whoever calls.
    let writer = Caller::with(caller.authority.clone(), credential.clone(), target.region.clone());
    let stream =
        gateway.log_streams.stream(writer, configuration.log_group(), &configuration.version, &request_id());
    let Prepared { launch, folder, program, warning } =
        prepare(gateway, target, code, &credential, stream.name()).await?;
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
            let message = format!("fork/exec {}: {}", program.display(), chain(&error));
            Ok(Err((output, failure(id, "Runtime.InvalidEntrypoint", &message, true))))
        }
        Err((error, None)) => Err(Refusal::service(format!("{name} cannot be started: {}", chain(&error)))),
    }
}

/// What a function runs, on this machine.
enum Code {
    /// The folder that a zip was unpacked to.
    Zip(PathBuf),
    Image(image_launch::Ready),
}

async fn code(gateway: &Gateway, caller: &Caller, target: &Target) -> Result<Code, Refusal> {
    match target.configuration.is_image() {
        true => image_launch::prepare(gateway, target).await.map(Code::Image),
        false => gateway.code.folder(caller, target).await.map(Code::Zip),
    }
}

/// What is ready to be started.
struct Prepared {
    launch: Launch,
    /// Where it starts.
    folder: PathBuf,
    /// What errors call the program.
    program: PathBuf,
    /// What the function's log is to say about it.
    warning: Option<String>,
}

async fn prepare(
    gateway: &Gateway,
    target: &Target,
    code: Code,
    credential: &Credential,
    log_stream: &str,
) -> Result<Prepared, Refusal> {
    let folder = match code {
        Code::Zip(folder) => folder,
        Code::Image(image) => {
            let launch = image.launch(gateway, target, credential, log_stream).await?;
            let (folder, program) = (image.root().clone(), image.program());
            return Ok(Prepared { launch, folder, program, warning: None });
        }
    };
    let Program { path, arguments, warning } = program(gateway, target, &folder).await?;
    let variables = variables(gateway, target, &folder, credential, log_stream);
    let marker = gateway.config.kept_in.clone();
    let launch = Launch { program: path.clone(), arguments, variables, marker };
    Ok(Prepared { launch, folder, program: path, warning })
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
    let links = python::links(&gateway.config.work_folder);
    let interpreter = gateway.interpreters.find(runtime, &links).await.ok_or_else(|| {
        Refusal::parameter(format!("{name} needs {runtime}, and this machine has no python3"))
    })?;
    let client = python::client(&gateway.config.work_folder)
        .map_err(|error| Refusal::service(format!("the Python runtime client cannot be written: {error}")))?;
    let warning = (interpreter.runtime != runtime).then(|| {
        format!("WARNING: this machine has no {runtime}; {} runs this function", interpreter.runtime)
    });
    // Without `site` the packages of this machine are not seen: what the function imports is in its artifact.
    Ok(Program {
        path: interpreter.program,
        arguments: vec!["-u".into(), "-S".into(), client.into_os_string()],
        warning,
    })
}

/// The environment of a zip's function: Lambda's defaults, then the function's own, then what Lambda reserves.
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
    let mut variables: Vec<(OsString, OsString)> =
        vec![(text("PATH"), path), (text("LD_LIBRARY_PATH"), libraries), (text("LANG"), text("en_US.UTF-8"))];
    variables.extend(defaults(gateway));
    variables.extend(own(target));
    variables.extend(reserved(target, credential, log_stream));
    let handler = configuration.handler.as_deref().unwrap_or("bootstrap");
    variables.push((text("_HANDLER"), handler.into()));
    variables.push((text("LAMBDA_TASK_ROOT"), folder.into()));
    if let Some(runtime) = configuration.runtime.as_deref().filter(|runtime| !runtime.starts_with("provided"))
    {
        variables.push((text("AWS_EXECUTION_ENV"), format!("AWS_Lambda_{runtime}").into()));
    }
    variables
}

/// What every function has unless it says otherwise.
pub(super) fn defaults(gateway: &Gateway) -> impl Iterator<Item = (OsString, OsString)> {
    // A function that invokes another one finds it running here as well.
    let pairs =
        [("TZ", ":UTC"), ("AWS_ENDPOINT_URL", &gateway.url), ("AWS_ENDPOINT_URL_LAMBDA", &gateway.url)];
    pairs.map(|(name, value)| (name.into(), value.into())).into_iter()
}

/// What the function says.
pub(super) fn own(target: &Target) -> impl Iterator<Item = (OsString, OsString)> + '_ {
    let environment = target.configuration.environment.iter();
    let pairs = environment.flat_map(|environment| &environment.variables);
    pairs.map(|(name, value)| (name.into(), value.into()))
}

/// What Lambda says, whatever the function does.
pub(super) fn reserved(
    target: &Target,
    credential: &Credential,
    log_stream: &str,
) -> impl Iterator<Item = (OsString, OsString)> {
    let configuration = &target.configuration;
    let memory = configuration.memory_size.unwrap_or(128).to_string();
    let group = configuration.log_group();
    let pairs = [
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
    ];
    pairs.map(|(name, value)| (name.into(), value.into())).into_iter()
}

/// An IAM session name has 64 characters at most.
fn session(function: &str) -> &str {
    &function[..function.len().min(64)]
}

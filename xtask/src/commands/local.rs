//! `local`: starts and stops the local environment, and calls functions in it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use slipway_local::{Status, function_url, gateway};

use super::CommandOutput;
use crate::app::AppContext;
use crate::emulator::{self, Ports};
use crate::failure::{self, Failure, FailureKind, Result};
use crate::name::{EnvironmentName, FunctionName};
use crate::output::Table;

/// Arguments of `local`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Start the emulated AWS and the Lambda gateway.
    Up {
        /// The port of the emulated AWS [default: any free port].
        #[arg(long)]
        port: Option<u16>,
        /// The port of the Lambda gateway [default: any free port].
        #[arg(long)]
        gateway_port: Option<u16>,
    },
    /// Stop both servers and all their processes. Their data is lost.
    Down,
    /// Show whether both servers are running, and their addresses.
    Status,
    /// Print the last lines of the logs.
    Logs {
        /// The function whose log to print [default: the servers' logs].
        function: Option<FunctionName>,
        /// The number of lines of each log.
        #[arg(long, default_value_t = 100)]
        lines: usize,
    },
    /// Invoke a function.
    Invoke {
        /// The function; optional if the project has only one.
        function: Option<FunctionName>,
        /// The event: JSON, or `@` and a file name.
        #[arg(long, default_value = "{}")]
        event: String,
        /// A version or alias.
        #[arg(long, default_value = "live")]
        qualifier: String,
    },
    /// Serve a function over HTTP, as a function URL does, until Ctrl-C.
    Serve {
        /// The function; optional if the project has only one.
        function: Option<FunctionName>,
        /// The port; 0 for any free port.
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// A version or alias.
        #[arg(long, default_value = "live")]
        qualifier: String,
    },
}

/// The local environment.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// Whether both servers are running.
    pub(crate) running: bool,
    /// The emulated AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) emulator: Option<ServerReport>,
    /// The Lambda gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<ServerReport>,
    /// The emulated account: 12 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// The servers that are dead, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dead: Vec<String>,
    /// The processes that were stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stopped: Vec<String>,
}

/// One server.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ServerReport {
    /// Its address.
    pub(crate) url: String,
    /// Its process number; `null` for a server that Slipway did not start.
    pub(crate) pid: Option<u32>,
}

/// The result of an invocation.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct InvokeReport {
    /// What the function returned.
    #[serde(rename = "answer")]
    pub(crate) result: serde_json::Value,
    /// The kind of the function's error; `null` if it succeeded.
    pub(crate) function_error: Option<String>,
    /// The version that ran.
    pub(crate) executed_version: Option<String>,
    /// The last lines of the function's log.
    pub(crate) log: Vec<String>,
    /// The duration in milliseconds.
    pub(crate) took_ms: u64,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let folder = emulator::folder(&app.project);
    match arguments.verb {
        Verb::Up { port, gateway_port } => {
            let state = emulator::up(
                &app.project,
                &app.process_env,
                &app.tools,
                &app.progress,
                Ports { emulator: port, gateway: gateway_port },
            )
            .await?;
            status(Status::Running(state))
        }
        Verb::Down => {
            let stopped: Vec<String> = emulator::down(&folder)
                .await?
                .iter()
                .map(|stopped| format!("{} (process {})", stopped.component, stopped.pid))
                .collect();
            let text = if stopped.is_empty() {
                "Nothing was running.\n".to_owned()
            } else {
                format!("Stopped {}. Their data is lost.\n", crate::format::list(&stopped))
            };
            CommandOutput::new(&Report { stopped, ..Report::default() }, text)
        }
        Verb::Status => status(emulator::find(&folder).await?),
        Verb::Logs { function, lines } => logs(app, &folder, function.as_ref(), lines).await,
        Verb::Invoke { function, event, qualifier } => {
            invoke(app, function.as_ref(), &event, &qualifier).await
        }
        Verb::Serve { function, port, qualifier } => serve(app, function.as_ref(), port, &qualifier).await,
    }
}

/// Runs the gateway in this process: the hidden subcommand of the gateway's process.
pub(crate) fn gateway(config: Option<&OsString>) -> ExitCode {
    let Some(config) = config.map(PathBuf::from) else {
        return ExitCode::from(FailureKind::Usage.exit_code());
    };
    let served = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(gateway::run(&config)));
    match served {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            let console = crate::output::Console::new(crate::output::Verbosity::Normal, false, false);
            console.stderr(&format!("the Lambda gateway cannot run: {error}"));
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

fn status(status: Status) -> Result<CommandOutput> {
    let (state, hint, dead) = match status {
        Status::Stopped => {
            return CommandOutput::new(&Report::default(), "The local environment is not running.\n");
        }
        Status::Running(state) => (state, "", Vec::new()),
        Status::Broken { state, dead } => (
            state,
            emulator::restart_hint(&dead),
            dead.iter().map(|dead| format!("{}: {}", dead.component, dead.reason)).collect::<Vec<_>>(),
        ),
    };
    let server =
        |server: &slipway_local::Server| Some(ServerReport { url: server.url.clone(), pid: server.pid });
    let report = Report {
        running: dead.is_empty(),
        emulator: server(&state.emulator),
        gateway: server(&state.gateway),
        account: Some(state.account.clone()),
        dead: dead.clone(),
        stopped: Vec::new(),
    };
    let mut table = Table::new(["server", "address", "process"]);
    for (name, server) in [("emulated AWS", &state.emulator), ("Lambda gateway", &state.gateway)] {
        table.row([
            name.to_owned(),
            server.url.clone(),
            server.pid.map_or_else(|| "external".into(), |pid| pid.to_string()),
        ]);
    }
    let mut text = table.render("");
    text.push_str(&format!("account {}\n", state.account));
    let failure = (!dead.is_empty()).then(|| {
        Failure::failed(format!("a part of the local environment is dead: {}", dead.join(", "))).hint(hint)
    });
    Ok(CommandOutput::new(&report, text)?.with_failure(failure))
}

#[derive(Serialize)]
struct Logs {
    lines: Vec<String>,
}

async fn logs(
    app: &AppContext,
    folder: &Path,
    function: Option<&FunctionName>,
    lines: usize,
) -> Result<CommandOutput> {
    let mut files = emulator::log_files(folder);
    let functions = || app.project.functions.keys();
    match function {
        Some(function) => {
            app.project.function(function)?;
            // The ledger has the exact name while the local environment is running.
            match deployed_function(app, Some(function)).await {
                Ok(DeployedFunction { function_name, .. }) => {
                    files.retain(|path| path.file_stem().is_some_and(|stem| stem == function_name.as_str()));
                }
                Err(_) => files.retain(|path| emulator::function_of_log(path, functions()) == Some(function)),
            }
        }
        None => files.retain(|path| emulator::function_of_log(path, functions()).is_none()),
    }
    files.sort();
    let all = emulator::last_lines(&files, lines)?;
    let text = if all.is_empty() { "Nothing was logged yet.\n".to_owned() } else { all.join("\n") };
    CommandOutput::new(&Logs { lines: all }, text)
}

/// A function that is deployed to the local environment.
struct DeployedFunction {
    function_name: String,
    state: slipway_local::State,
    functions: Arc<dyn crate::ports::Functions>,
}

async fn deployed_function(app: &AppContext, function: Option<&FunctionName>) -> Result<DeployedFunction> {
    let function = app.project.one_function(function)?;
    let environment = app
        .project
        .environments
        .iter()
        .find(|(_, settings)| settings.is_emulated())
        .map(|(name, _)| name.clone());
    let environment: EnvironmentName = environment.ok_or_else(|| {
        Failure::usage("this project has no emulated environment")
            .hint("add terraform/environments/local/environment.toml with emulated = true")
    })?;
    let not_deployed = || {
        Failure::failed(format!("`{function}` is not deployed to {environment}"))
            .hint(format!("cargo xtask release {function} --env {environment}"))
    };
    let account = app.account_if_there(&environment).await?.ok_or_else(not_deployed)?;
    let Status::Running(state) = emulator::find(&emulator::folder(&app.project)).await? else {
        return Err(not_deployed());
    };
    let serving = account
        .ledger(&environment, app.project.stack_of(&function)?)
        .head()
        .await?
        .last
        .and_then(|last| last.serves.get(&function).cloned())
        .ok_or_else(not_deployed)?;
    Ok(DeployedFunction { function_name: serving.function_name, state, functions: account.functions })
}

async fn invoke(
    app: &AppContext,
    function: Option<&FunctionName>,
    event: &str,
    qualifier: &str,
) -> Result<CommandOutput> {
    let event = match event.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(app.process_env.folder.join(file))
            .map_err(|error| failure::io("read", std::path::Path::new(file), error))?,
        None => event.to_owned(),
    };
    if let Err(error) = serde_json::from_str::<serde_json::Value>(&event) {
        return Err(Failure::usage("the event is not valid JSON")
            .caused_by(error)
            .hint("--event '{\"name\": \"Ada\"}', or --event @event.json"));
    }
    let deployed = deployed_function(app, function).await?;
    let invocation = deployed
        .functions
        .invoke(&deployed.function_name, qualifier, event.as_bytes(), Duration::from_secs(900))
        .await?;
    let result = serde_json::from_slice(&invocation.payload).unwrap_or_else(|_| {
        serde_json::Value::String(String::from_utf8_lossy(&invocation.payload).into_owned())
    });
    invocation.log_tail.iter().for_each(|line| app.progress.note(format!("          | {line}")));
    let failed = invocation
        .function_error
        .as_ref()
        .map(|kind| Failure::failed(format!("the function returned an error ({kind})")));
    let text = serde_json::to_string_pretty(&result).unwrap_or_default();
    let report = InvokeReport {
        result,
        function_error: invocation.function_error,
        executed_version: invocation.executed_version,
        log: invocation.log_tail,
        took_ms: u64::try_from(invocation.took.as_millis()).unwrap_or(u64::MAX),
    };
    Ok(CommandOutput::new(&report, text)?.with_failure(failed))
}

async fn serve(
    app: &AppContext,
    function: Option<&FunctionName>,
    port: u16,
    qualifier: &str,
) -> Result<CommandOutput> {
    let deployed = deployed_function(app, function).await?;
    let invoke = function_url::InvokeTarget {
        gateway_url: deployed.state.gateway.url.clone(),
        function: deployed.function_name.clone(),
        qualifier: Some(qualifier.to_owned()),
        authorization: function_url::authorization(&deployed.state.access_key_id, &deployed.state.region),
    };
    let progress = app.progress.clone();
    let interrupt = app.interrupt.clone();
    let name = deployed.function_name.clone();
    let listening = move |address: SocketAddr| {
        progress.note(format!("serve     {name} at http://{address}/   (press Ctrl-C to stop)"))
    };
    let served = function_url::serve_function_url(
        SocketAddr::from(([127, 0, 0, 1], port)),
        invoke,
        listening,
        async move { interrupt.wait_for_signals(1).await },
    )
    .await;
    match served {
        Ok(()) => CommandOutput::new(&Report::default(), "Stopped.\n"),
        Err(error @ function_url::Error::Listen { .. }) => Err(Failure::failed(error.to_string())
            .caused_by(error)
            .hint("choose another --port, or leave it out to use any free port")),
        Err(error) => Err(Failure::failed(error.to_string()).caused_by(error)),
    }
}

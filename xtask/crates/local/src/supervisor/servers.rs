//! Starts the emulator and the gateway: command line, record in the state file, and the wait until they are ready.

use super::error::Error;
use super::event::Event;
use super::health;
use super::options::{Emulator, Options};
use super::processes;
use crate::emulator;
use crate::gateway::config::GatewayConfig;
use crate::layout;
use crate::open_files;
use crate::programs::CommandLine;
use crate::state::{self, Component, Server, State};
use slipway_runner::process::{self, ProcessIdentity};
use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Child;

/// moto takes 1 to 4 seconds to start; up to 9 were measured with a cold disk on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How many free ports are tried if another program takes each first.
const PORT_ATTEMPTS: usize = 5;

/// Starts moto with the changes that its docstring describes.
const MOTO_SCRIPT: &str = include_str!("start_moto.py");

/// Starts the emulator, or attaches to it, and records it in `state`.
pub(super) async fn start_emulator(
    folder: &Path,
    options: &Options,
    state: &mut State,
    report: &(dyn Fn(Event) + Send + Sync),
) -> Result<(), Error> {
    let component = Component::Emulator;
    match &options.emulator {
        Emulator::Attach { url } => attach(url, state, report).await,
        Emulator::Start { moto_server, port } => {
            report(Event::Starting { component });
            let begun = Instant::now();
            for attempt in 1.. {
                if start_moto(folder, options, moto_server, *port, attempt == PORT_ATTEMPTS, state).await? {
                    break;
                }
            }
            report(Event::Started { component, url: state.emulator.url.clone(), took: begun.elapsed() });
            Ok(())
        }
    }
}

/// Starts the gateway and records it in `state`.
pub(super) async fn start_gateway(
    folder: &Path,
    options: &Options,
    config: &GatewayConfig,
    state: &mut State,
    report: &(dyn Fn(Event) + Send + Sync),
) -> Result<(), Error> {
    if let Some(limit) = open_files::too_low() {
        return Err(Error::OpenFiles { limit });
    }
    let begun = Instant::now();
    let component = Component::Gateway;
    report(Event::Starting { component });
    if config.listen.port() != 0 {
        free_port(component, config.listen.port())?;
    }
    remove_gateway_files(folder)?;
    let path = layout::gateway_config(folder);
    let failed = |source| Error::Folder { path: path.clone(), source };
    std::fs::write(&path, serde_json::to_vec_pretty(config).unwrap_or_default()).map_err(failed)?;
    let Some((program, arguments)) = options.gateway_command.split_first() else {
        return Err(Error::Options("the gateway's command is missing".to_owned()));
    };
    let command = CommandLine {
        program: PathBuf::from(program),
        arguments: arguments.iter().cloned().chain([path.clone().into_os_string()]).collect(),
        variables: Vec::new(),
        marker: Some(folder.to_owned()),
    };
    state.gateway = Server { log: layout::gateway_log(folder), ..Server::default() };
    let mut child = spawn(component, command, &mut state.gateway)?;
    state::write(folder, state)?;
    let ready = layout::gateway_ready(folder);
    let mut server = state.gateway.clone();
    loop {
        if let Ok(address) = std::fs::read_to_string(&ready) {
            server.url = format!("http://{}", address.trim());
            if health::server_failure(&server, health::GATEWAY_PATH).await.is_none() {
                break;
            }
        }
        wait_for_start(component, &mut child, &state.gateway, begun).await?;
    }
    state.gateway = server;
    state::write(folder, state)?;
    report(Event::Started { component, url: state.gateway.url.clone(), took: begun.elapsed() });
    Ok(())
}

/// Returns the configuration of the environment's gateway.
pub(super) fn gateway_config(folder: &Path, options: &Options, state: &State) -> GatewayConfig {
    GatewayConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, options.gateway_port.unwrap_or(0))),
        emulator_url: state.emulator.url.clone(),
        store_bucket: options.store_bucket.clone(),
        work_folder: layout::functions(folder),
        registry_folder: layout::registry(folder),
        log_folder: layout::function_logs(folder),
        ready_file: Some(layout::gateway_ready(folder)),
        exclusive_emulator: state.emulator.pid.is_some(),
        supervisor_folder: Some(folder.to_owned()),
    }
}

/// Removes all images, and what the gateway persists beside them.
///
/// Functions and releases, which name the images, are lost with the emulator, and the registry never moves a tag.
pub(super) fn remove_images(folder: &Path) -> Result<(), Error> {
    let path = layout::registry(folder);
    match std::fs::remove_dir_all(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Folder { path, source }),
        _ => Ok(()),
    }
}

/// Removes the files that tell of an earlier gateway.
pub(super) fn remove_gateway_files(folder: &Path) -> Result<(), Error> {
    for path in [layout::gateway_config(folder), layout::gateway_ready(folder)] {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Folder { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

async fn attach(url: &str, state: &mut State, report: &(dyn Fn(Event) + Send + Sync)) -> Result<(), Error> {
    state.emulator = Server { url: url.to_owned(), ..Server::default() };
    if let Some(reason) = health::server_failure(&state.emulator, health::EMULATOR_PATH).await {
        return Err(Error::Attach { url: url.to_owned(), reason });
    }
    report(Event::Reused { component: Component::Emulator, url: url.to_owned() });
    Ok(())
}

/// Makes one attempt to start moto; `false` if another program took the port first and another port may be tried.
async fn start_moto(
    folder: &Path,
    options: &Options,
    moto_server: &Path,
    requested: Option<u16>,
    last: bool,
    state: &mut State,
) -> Result<bool, Error> {
    let begun = Instant::now();
    let component = Component::Emulator;
    let port = free_port(component, requested.unwrap_or(0))?;
    let authority = format!("127.0.0.1:{port}");
    let script = layout::moto_script(folder);
    std::fs::write(&script, MOTO_SCRIPT).map_err(|source| Error::Folder { path: script.clone(), source })?;
    state.emulator = Server { log: layout::moto_log(folder), ..Server::default() };
    let command = moto_command(moto_server, port, folder, &options.region);
    let mut child = spawn(component, command, &mut state.emulator)?;
    state::write(folder, state)?;
    let pid = state.emulator.pid.unwrap_or_default();
    // Another program may have taken the port and may respond on it, so the listening process is compared.
    while !process::listens(pid, port) {
        if let Err(error) = wait_for_start(component, &mut child, &state.emulator, begun).await {
            return match (requested, process::port_holder(port)) {
                (Some(_), holder @ Some(_)) => Err(Error::PortTaken { component, port, holder }),
                (None, Some(_)) if !last => Ok(false),
                _ => Err(error),
            };
        }
    }
    emulator::disable_docker(&authority).await?;
    state.emulator.url = format!("http://{authority}");
    state::write(folder, state)?;
    Ok(true)
}

fn moto_command(moto_server: &Path, port: u16, folder: &Path, region: &str) -> CommandLine {
    let mut arguments: Vec<OsString> = Vec::new();
    let aws = !["cn-", "us-gov-", "us-iso", "eusc-"].iter().any(|prefix| region.starts_with(prefix));
    let program = match interpreter(moto_server).filter(|_| aws) {
        Some(interpreter) => {
            arguments.push(layout::moto_script(folder).into_os_string());
            interpreter
        }
        None => moto_server.to_owned(),
    };
    arguments.extend(["-H".into(), "127.0.0.1".into(), "-p".into(), port.to_string().into()]);
    CommandLine {
        program,
        arguments,
        variables: vec![("MOTO_IAM_LOAD_MANAGED_POLICIES".into(), "true".into())],
        marker: Some(folder.to_owned()),
    }
}

/// Returns the interpreter of the virtual environment with `moto_server`, if it is in one.
fn interpreter(moto_server: &Path) -> Option<PathBuf> {
    let programs = moto_server.parent()?;
    let interpreter = programs.join("python");
    (programs.parent()?.join("pyvenv.cfg").is_file() && interpreter.is_file()).then_some(interpreter)
}

/// Returns the port if it is free, or any free port for 0. Another program may take it before it is used.
fn free_port(component: Component, port: u16) -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .and_then(|socket| socket.local_addr())
        .map(|address| address.port())
        .map_err(|_| Error::PortTaken { component, port, holder: process::port_holder(port) })
}

/// Starts the process of a server and records its identity.
fn spawn(component: Component, command: CommandLine, server: &mut Server) -> Result<Child, Error> {
    let log =
        File::create(&server.log).map_err(|source| Error::Folder { path: server.log.clone(), source })?;
    let program = command.program.clone();
    let child = command.spawn_server(log).map_err(|source| Error::Spawn { component, program, source })?;
    server.pid = child.id();
    server.start_ticks = child.id().and_then(ProcessIdentity::of).map(|identity| identity.start_ticks);
    Ok(child)
}

/// Waits a moment for a server that is not ready yet. Fails if its process ended or the time limit is over.
async fn wait_for_start(
    component: Component,
    child: &mut Child,
    server: &Server,
    begun: Instant,
) -> Result<(), Error> {
    let failed =
        |reason| Error::Start { component, reason, log: server.log.clone(), tail: last_lines(&server.log) };
    if let Ok(Some(status)) = child.try_wait() {
        return Err(failed(format!("it ended with {status}")));
    }
    if begun.elapsed() > READY_WITHIN {
        if let Some(identity) = processes::recorded(server) {
            processes::end(component, identity).await?;
        }
        return Err(failed(format!("it was not ready within {} s", READY_WITHIN.as_secs())));
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    Ok(())
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moto_runs_in_the_interpreter_of_its_virtual_environment() {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("bin");
        std::fs::create_dir(&programs).unwrap();
        std::fs::write(programs.join("python"), "").unwrap();
        let server = programs.join("moto_server");
        let line = |region: &str| {
            let command = moto_command(&server, 5000, folder.path(), region);
            (command.program, command.arguments.join(" ".as_ref()).into_string().unwrap())
        };
        let plain = (server.clone(), "-H 127.0.0.1 -p 5000".to_owned());
        assert_eq!(line("eu-central-1"), plain);
        std::fs::write(folder.path().join("pyvenv.cfg"), "").unwrap();
        let script = folder.path().join("start_moto.py");
        let expected = (programs.join("python"), format!("{} -H 127.0.0.1 -p 5000", script.display()));
        assert_eq!(line("eu-central-1"), expected);
        // Other partitions need their own policies, which the script leaves out.
        assert_eq!(line("cn-north-1"), plain);
    }

    #[test]
    fn taken_port_is_an_error_that_names_its_holder() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let error = free_port(Component::Gateway, port).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port}, requested for gateway, is taken by")), "{error}");
        assert!(error.contains(&format!("({})", std::process::id())), "{error}");
        assert_ne!(free_port(Component::Emulator, 0).unwrap(), 0);
    }
}

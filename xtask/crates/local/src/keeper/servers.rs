//! Starts one server: its command line, its place in the state, and the wait until it answers.

use super::{EMULATOR, Emulator, Error, Event, GATEWAY, GRACE, Options, health};
use crate::emulator;
use crate::gateway::GatewayConfig;
use crate::process::{self, Launch};
use crate::procfs::{self, Identity};
use crate::state::{self, Server, State};
use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Child;

/// moto needs 1 to 4 s; a cold disk and a busy machine have been seen to take 9.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often another free port is tried when somebody else takes the one we found.
const RACES: usize = 5;

/// Starts moto with the changes that it tells about.
const MOTO: &str = include_str!("start_moto.py");

/// Starts or looks up the emulator and records it in `state`.
pub(super) async fn emulator(
    folder: &Path,
    options: &Options,
    state: &mut State,
    report: &(dyn Fn(Event) + Send + Sync),
) -> Result<(), Error> {
    match &options.emulator {
        Emulator::Attach { url } => attach(url, state, report).await,
        Emulator::Start { moto_server, port } => {
            report(Event::Starting { what: EMULATOR });
            let begun = Instant::now();
            for attempt in 1.. {
                if start_moto(folder, options, moto_server, *port, attempt == RACES, state).await? {
                    break;
                }
            }
            report(Event::Started { what: EMULATOR, url: state.emulator.url.clone(), took: begun.elapsed() });
            Ok(())
        }
    }
}

/// Starts the gateway and records it in `state`.
pub(super) async fn gateway(
    folder: &Path,
    options: &Options,
    config: &GatewayConfig,
    state: &mut State,
    report: &(dyn Fn(Event) + Send + Sync),
) -> Result<(), Error> {
    let begun = Instant::now();
    report(Event::Starting { what: GATEWAY });
    if config.listen.port() != 0 {
        bindable(GATEWAY, config.listen.port())?;
    }
    forget(folder)?;
    let path = gateway_config_path(folder);
    let failed = |source| Error::Folder { path: path.clone(), source };
    std::fs::write(&path, serde_json::to_vec_pretty(config).unwrap_or_default()).map_err(failed)?;
    let Some((program, arguments)) = options.gateway_command.split_first() else {
        return Err(Error::Options("the gateway's command is empty".to_owned()));
    };
    let launch = Launch {
        program: PathBuf::from(program),
        arguments: arguments.iter().cloned().chain([path.clone().into_os_string()]).collect(),
        variables: Vec::new(),
        marker: Some(folder.to_owned()),
    };
    state.gateway = Server { log: folder.join("gateway.log"), ..Server::default() };
    let mut child = start(GATEWAY, launch, &mut state.gateway)?;
    state::write(folder, state)?;
    let ready = ready_path(folder);
    let mut server = state.gateway.clone();
    loop {
        if let Ok(address) = std::fs::read_to_string(&ready) {
            server.url = format!("http://{}", address.trim());
            if health::server_dead(&server, health::GATEWAY_PATH).await.is_none() {
                break;
            }
        }
        not_yet(GATEWAY, &mut child, &state.gateway, begun).await?;
    }
    state.gateway = server;
    state::write(folder, state)?;
    report(Event::Started { what: GATEWAY, url: state.gateway.url.clone(), took: begun.elapsed() });
    Ok(())
}

/// Returns the folder in which the gateway of this folder unpacks functions.
pub(crate) fn work_folder(folder: &Path) -> PathBuf {
    folder.join("functions")
}

/// Says how the gateway of this folder is to be configured.
pub(super) fn gateway_config(folder: &Path, options: &Options, state: &State) -> GatewayConfig {
    GatewayConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, options.gateway_port.unwrap_or(0))),
        emulator_url: state.emulator.url.clone(),
        store_bucket: options.store_bucket.clone(),
        work_folder: work_folder(folder),
        registry_folder: registry_folder(folder),
        log_folder: folder.join("logs"),
        ready_file: Some(ready_path(folder)),
        sole: state.emulator.pid.is_some(),
        kept_in: Some(folder.to_owned()),
    }
}

/// Tells where the gateway's configuration lies.
pub(super) fn gateway_config_path(folder: &Path) -> PathBuf {
    folder.join("gateway.json")
}

/// Removes all images, and what the gateway kept beside them: what names them, releases and functions, is gone with the
/// emulator, and tags never move.
pub(super) fn forget_images(folder: &Path) -> Result<(), Error> {
    let path = registry_folder(folder);
    match std::fs::remove_dir_all(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Folder { path, source }),
        _ => Ok(()),
    }
}

fn registry_folder(folder: &Path) -> PathBuf {
    folder.join("registry")
}

/// Removes what a gateway that is gone left on the disk.
pub(super) fn forget(folder: &Path) -> Result<(), Error> {
    for path in [gateway_config_path(folder), ready_path(folder)] {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::Folder { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn ready_path(folder: &Path) -> PathBuf {
    folder.join("gateway.ready")
}

async fn attach(url: &str, state: &mut State, report: &(dyn Fn(Event) + Send + Sync)) -> Result<(), Error> {
    state.emulator = Server { url: url.to_owned(), ..Server::default() };
    if let Some(why) = health::server_dead(&state.emulator, health::EMULATOR_PATH).await {
        return Err(Error::Attach { url: url.to_owned(), why });
    }
    report(Event::Reused { what: EMULATOR, url: url.to_owned() });
    Ok(())
}

/// Makes one attempt; `false` when somebody else took the port first and another may be tried.
async fn start_moto(
    folder: &Path,
    options: &Options,
    moto_server: &Path,
    asked: Option<u16>,
    last: bool,
    state: &mut State,
) -> Result<bool, Error> {
    let begun = Instant::now();
    let port = match asked {
        Some(port) => bindable(EMULATOR, port)?,
        None => bindable(EMULATOR, 0)?,
    };
    let authority = format!("127.0.0.1:{port}");
    let script = folder.join("start_moto.py");
    std::fs::write(&script, MOTO).map_err(|source| Error::Folder { path: script.clone(), source })?;
    state.emulator = Server { log: folder.join("moto.log"), ..Server::default() };
    let mut child = start(EMULATOR, moto(moto_server, port, folder, &options.region), &mut state.emulator)?;
    state::write(folder, state)?;
    let pid = state.emulator.pid.unwrap_or_default();
    // Another program may have got the port and may answer on it: believe only our own child.
    while !procfs::listens(pid, port) {
        if let Err(error) = not_yet(EMULATOR, &mut child, &state.emulator, begun).await {
            return match (asked, procfs::listener(port)) {
                (Some(_), holder @ Some(_)) => Err(Error::PortTaken { what: EMULATOR, port, holder }),
                (None, Some(_)) if !last => Ok(false),
                _ => Err(error),
            };
        }
    }
    emulator::without_docker(&authority).await?;
    state.emulator.url = format!("http://{authority}");
    state::write(folder, state)?;
    Ok(true)
}

fn moto(moto_server: &Path, port: u16, folder: &Path, region: &str) -> Launch {
    let mut arguments: Vec<OsString> = Vec::new();
    let aws = !["cn-", "us-gov-", "us-iso", "eusc-"].iter().any(|prefix| region.starts_with(prefix));
    let program = match interpreter(moto_server).filter(|_| aws) {
        Some(interpreter) => {
            arguments.push(folder.join("start_moto.py").into_os_string());
            interpreter
        }
        None => moto_server.to_owned(),
    };
    arguments.extend(["-H".into(), "127.0.0.1".into(), "-p".into(), port.to_string().into()]);
    Launch {
        program,
        arguments,
        variables: vec![("MOTO_IAM_LOAD_MANAGED_POLICIES".into(), "true".into())],
        marker: Some(folder.to_owned()),
    }
}

/// Finds the interpreter of the virtual environment that `moto_server` belongs to.
fn interpreter(moto_server: &Path) -> Option<PathBuf> {
    let programs = moto_server.parent()?;
    let interpreter = programs.join("python");
    (programs.parent()?.join("pyvenv.cfg").is_file() && interpreter.is_file()).then_some(interpreter)
}

/// Gives the port if it can be had, or any free one for 0; it may be taken again by the time it is used.
fn bindable(what: &'static str, port: u16) -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .and_then(|socket| socket.local_addr())
        .map(|address| address.port())
        .map_err(|_| Error::PortTaken { what, port, holder: procfs::listener(port) })
}

/// Starts a server's process and notes down who it is.
fn start(what: &'static str, launch: Launch, server: &mut Server) -> Result<Child, Error> {
    let log =
        File::create(&server.log).map_err(|source| Error::Folder { path: server.log.clone(), source })?;
    let program = launch.program.clone();
    let child = launch.server(log).map_err(|source| Error::Spawn { what, program, source })?;
    server.pid = child.id();
    server.start_ticks = child.id().and_then(Identity::of).map(|identity| identity.start_ticks);
    Ok(child)
}

/// Waits a moment for a server that does not answer yet; fails, and ends it, when there is no hope left.
async fn not_yet(
    what: &'static str,
    child: &mut Child,
    server: &Server,
    begun: Instant,
) -> Result<(), Error> {
    let failed = |why| Error::Start { what, why, log: server.log.clone(), tail: last_lines(&server.log) };
    if let Ok(Some(status)) = child.try_wait() {
        return Err(failed(format!("it ended with {status}")));
    }
    if begun.elapsed() > READY_WITHIN {
        if let Some(identity) = super::recorded(server) {
            process::end(identity, GRACE).await.map_err(|source| Error::End {
                what,
                pid: identity.pid,
                source,
            })?;
        }
        return Err(failed(format!("it did not answer within {} s", READY_WITHIN.as_secs())));
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
    fn moto_is_started_by_its_own_interpreter_where_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("bin");
        std::fs::create_dir(&programs).unwrap();
        std::fs::write(programs.join("python"), "").unwrap();
        let server = programs.join("moto_server");
        let line = |region: &str| {
            let launch = moto(&server, 5000, folder.path(), region);
            (launch.program, launch.arguments.join(" ".as_ref()).into_string().unwrap())
        };
        let plain = (server.clone(), "-H 127.0.0.1 -p 5000".to_owned());
        assert_eq!(line("eu-central-1"), plain);
        std::fs::write(folder.path().join("pyvenv.cfg"), "").unwrap();
        let script = folder.path().join("start_moto.py");
        let expected = (programs.join("python"), format!("{} -H 127.0.0.1 -p 5000", script.display()));
        assert_eq!(line("eu-central-1"), expected);
        // Another partition needs its own policies.
        assert_eq!(line("cn-north-1"), plain);
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_its_holder() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let error = bindable(GATEWAY, port).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port}, asked for gateway, is taken by")), "{error}");
        assert!(error.contains(&format!("({})", std::process::id())), "{error}");
        assert_ne!(bindable(EMULATOR, 0).unwrap(), 0);
    }
}

//! Keeps the servers of the local environment: starts them once, finds them again, stops them for good.
//!
//! In: a folder, and what to run. Out: a [`State`] that says where the servers are and who one is there. The
//! servers outlive the command that started them. What can go wrong: a program is missing or fails to start, a port
//! is taken, or whoever kept the folder before was killed; leftovers are found by the process numbers and start
//! times in the state file and by a marker in the environment, never by a program's name, and are cleaned first.

mod error;
mod folder;
mod health;
mod servers;

use crate::emulator::Caller;
use crate::http;
use crate::process::{self, MARKER};
use crate::procfs::{self, Identity};
use crate::state::{self, Dead, SCHEMA, Server, State, StateError, Status};
use folder::Lock;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::process::End;
pub use error::Error;
pub(crate) use servers::work_folder;

/// How long a server may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);
/// How long moto may take: it has nothing to save, and Python clears up for seconds.
const EMULATOR_GRACE: Duration = Duration::from_millis(300);
/// The emulator's name in events and errors.
const EMULATOR: &str = "moto";
/// The gateway's name in events and errors.
const GATEWAY: &str = "gateway";

/// Where the emulator comes from.
#[derive(Debug, Clone)]
pub enum Emulator {
    /// The keeper starts it.
    Start {
        /// The program `moto_server`.
        moto_server: PathBuf,
        /// The port to listen on; any free one without it.
        port: Option<u16>,
    },
    /// It runs already and is somebody else's: neither started nor stopped.
    Attach {
        /// `http://host:port`.
        url: String,
    },
}

/// What [`up`] is to bring up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where state, logs and unpacked functions lie; made where it is missing.
    pub folder: PathBuf,
    /// Where the emulator comes from.
    pub emulator: Emulator,
    /// The gateway's port; any free one without it.
    pub gateway_port: Option<u16>,
    /// The gateway's program and arguments; the path of its configuration file is appended.
    pub gateway_command: Vec<OsString>,
    /// The account's twelve digits.
    pub account: String,
    /// The region, e.g. `eu-central-1`.
    pub region: String,
    /// The bucket of the artifact store.
    pub store_bucket: String,
}

/// What [`up`] is doing, as it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Another command holds the folder; we wait for it.
    Waiting {
        /// The lock file.
        lock: PathBuf,
    },
    /// A server is being started.
    Starting {
        /// `moto` or `gateway`.
        what: &'static str,
    },
    /// A server answers.
    Started {
        /// `moto` or `gateway`.
        what: &'static str,
        /// Where.
        url: String,
        /// From the start of its process to its first answer.
        took: Duration,
    },
    /// A server was running already.
    Reused {
        /// `moto` or `gateway`.
        what: &'static str,
        /// Where.
        url: String,
    },
    /// Something left behind was done away with.
    Cleaned {
        /// `moto`, `gateway` or `process`.
        what: &'static str,
        /// Its process number.
        pid: u32,
        /// Why, and what is lost with it.
        why: String,
    },
}

/// One process that [`down`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// `moto`, `gateway` or `process`.
    pub what: &'static str,
    /// Its process number.
    pub pid: u32,
    /// How it ended.
    pub end: End,
}

/// Brings the local environment up, or finds it up; several commands may call it at once.
///
/// What is healthy is reused. A dead gateway alone is started anew; with a dead emulator everything in it is gone,
/// so all is cleaned and started anew, and [`Event::Cleaned`] says so.
pub async fn up(options: &Options, report: &(dyn Fn(Event) + Send + Sync)) -> Result<State, Error> {
    check(options)?;
    let folder = folder::prepare(&options.folder)?;
    let _lock = Lock::acquire(&folder, report).await?;
    let former = match state::read(&folder) {
        Ok(former) => former,
        // Nothing in it can be trusted; the marker finds what belongs to it.
        Err(StateError::Form { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let fault = match &former {
        None => Some("nothing recorded it".to_owned()),
        Some(state) => health::emulator_unfit(state, options).await?,
    };
    let mut state = match (former, fault) {
        (Some(state), None) => {
            report(Event::Reused { what: EMULATOR, url: state.emulator.url.clone() });
            state
        }
        (former, fault) => {
            let fault = fault.unwrap_or_default();
            clean(&folder, former.as_ref(), &fault, report).await?;
            if matches!(options.emulator, Emulator::Start { .. }) {
                servers::forget_images(&folder)?;
            }
            let started_at = jiff::Timestamp::now();
            let mut state = State {
                schema: SCHEMA.to_owned(),
                account: options.account.clone(),
                region: options.region.clone(),
                access_key_id: String::new(),
                secret_access_key: String::new(),
                session_token: None,
                emulator: Server::default(),
                gateway: Server::default(),
                started_at,
            };
            servers::emulator(&folder, options, &mut state, report).await?;
            state
        }
    };
    enter_account(&folder, options, &mut state).await?;
    let config = servers::gateway_config(&folder, options, &state);
    match health::gateway_unfit(&folder, &state, &config).await {
        None => report(Event::Reused { what: GATEWAY, url: state.gateway.url.clone() }),
        Some(why) => {
            clean_gateway(&folder, &state, &why, report).await?;
            servers::gateway(&folder, options, &config, &mut state, report).await?;
        }
    }
    Ok(state)
}

/// Looks what is kept in a folder, without waiting for anybody: some milliseconds when all is well.
pub async fn find(folder: &Path) -> Result<Status, Error> {
    let Some(state) = state::read(folder)? else {
        return Ok(Status::Stopped);
    };
    let (emulator, gateway) = tokio::join!(
        health::emulator_dead(&state),
        health::server_dead(&state.gateway, health::GATEWAY_PATH)
    );
    let dead: Vec<Dead> = [(EMULATOR, emulator), (GATEWAY, gateway)]
        .into_iter()
        .filter_map(|(what, why)| why.map(|why| Dead { what, why }))
        .collect();
    Ok(match dead.is_empty() {
        true => Status::Running(state),
        false => Status::Broken { state, dead },
    })
}

/// Stops what is kept in a folder and all that came of it; what runs elsewhere and was attached to stays.
///
/// Logs and unpacked functions stay too.
pub async fn down(folder: &Path) -> Result<Vec<Stopped>, Error> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let folder = folder::prepare(folder)?;
    let _lock = Lock::acquire(&folder, &|_| ()).await?;
    let former = match state::read(&folder) {
        Ok(former) => former,
        Err(StateError::Form { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let stopped = end_all(&folder, former.as_ref()).await?;
    servers::forget(&folder)?;
    state::remove(&folder)?;
    Ok(stopped)
}

fn check(options: &Options) -> Result<(), Error> {
    let twelve = options.account.len() == 12 && options.account.bytes().all(|byte| byte.is_ascii_digit());
    if !twelve {
        return Err(Error::Options(format!("`{}` is not an account's twelve digits", options.account)));
    }
    if options.region.is_empty() || options.store_bucket.is_empty() {
        return Err(Error::Options("region and store bucket must be named".to_owned()));
    }
    if options.gateway_command.is_empty() {
        return Err(Error::Options("the gateway's command is empty".to_owned()));
    }
    if let Emulator::Attach { url } = &options.emulator {
        http::authority(url).map_err(|error| Error::Options(error.to_string()))?;
    }
    Ok(())
}

/// Makes sure that the state's credentials lead into the account asked for; gets new ones where they do not.
async fn enter_account(folder: &Path, options: &Options, state: &mut State) -> Result<(), Error> {
    let mut caller = Caller {
        authority: http::authority(&state.emulator.url).map_err(|error| Error::Options(error.to_string()))?,
        access_key_id: state.access_key_id.clone(),
        region: options.region.clone(),
        credential: None,
    };
    let same = state.account == options.account && state.region == options.region;
    if same && !state.access_key_id.is_empty() && caller.account().await? == options.account {
        return Ok(());
    }
    if caller.access_key_id.is_empty() {
        // Any key will do to ask with: the emulator takes an unknown one for its default account's.
        caller.access_key_id = "AKIA0000000000000000".to_owned();
    }
    let role = format!("arn:aws:iam::{}:role/slipway-local", options.account);
    let credential = caller.assume_role(&role, "slipway").await?;
    caller.access_key_id.clone_from(&credential.access_key_id);
    let got = caller.account().await?;
    if got != options.account {
        return Err(Error::Account { asked: options.account.clone(), got });
    }
    state.account.clone_from(&options.account);
    state.region.clone_from(&options.region);
    state.access_key_id = credential.access_key_id;
    state.secret_access_key = credential.secret_access_key;
    state.session_token = Some(credential.session_token);
    Ok(state::write(folder, state)?)
}

/// Ends everything of a folder whose emulator is of no use, and tells of each process.
async fn clean(
    folder: &Path,
    former: Option<&State>,
    fault: &str,
    report: &(dyn Fn(Event) + Send + Sync),
) -> Result<(), Error> {
    for stopped in end_all(folder, former).await? {
        let Stopped { what, pid, .. } = stopped;
        let why = match what {
            EMULATOR => format!("{fault}; everything in it is gone"),
            GATEWAY => format!("its emulator is of no use: {fault}"),
            _ => "it was left behind".to_owned(),
        };
        report(Event::Cleaned { what, pid, why });
    }
    servers::forget(folder)?;
    Ok(state::remove(folder)?)
}

/// Ends the gateway and the functions it left behind, but nothing of the emulator's.
async fn clean_gateway(
    folder: &Path,
    state: &State,
    why: &str,
    report: &(dyn Fn(Event) + Send + Sync),
) -> Result<(), Error> {
    if let Some(identity) = recorded(&state.gateway) {
        end(GATEWAY, identity).await?;
        report(Event::Cleaned { what: GATEWAY, pid: identity.pid, why: why.to_owned() });
    }
    for stray in procfs::marked(MARKER, folder) {
        if state.emulator.pid.is_some() && procfs::group(stray.pid) == state.emulator.pid {
            continue;
        }
        if end("process", stray).await? != End::Gone {
            let why = "it was left behind".to_owned();
            report(Event::Cleaned { what: "process", pid: stray.pid, why });
        }
    }
    Ok(())
}

/// Ends the recorded servers, gateway first so that it ends its functions, then whatever bears the marker.
async fn end_all(folder: &Path, former: Option<&State>) -> Result<Vec<Stopped>, Error> {
    let mut stopped = Vec::new();
    if let Some(state) = former {
        for (what, server) in [(GATEWAY, &state.gateway), (EMULATOR, &state.emulator)] {
            if let Some(identity) = recorded(server) {
                stopped.push(Stopped { what, pid: identity.pid, end: end(what, identity).await? });
            }
        }
    }
    // One look may miss what is being started by something we are just ending.
    for _ in 0..3 {
        let strays = procfs::marked(MARKER, folder);
        if strays.is_empty() {
            break;
        }
        for stray in strays {
            let end = end("process", stray).await?;
            stopped.push(Stopped { what: "process", pid: stray.pid, end });
        }
    }
    Ok(stopped)
}

fn recorded(server: &Server) -> Option<Identity> {
    Some(Identity { pid: server.pid?, start_ticks: server.start_ticks? })
}

async fn end(what: &'static str, identity: Identity) -> Result<End, Error> {
    let grace = if what == EMULATOR { EMULATOR_GRACE } else { GRACE };
    process::end(identity, grace).await.map_err(|source| Error::End { what, pid: identity.pid, source })
}

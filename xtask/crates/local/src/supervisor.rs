//! Starts the servers of a local environment, finds them again, and stops them.
//!
//! In: a folder, and which servers to run. Out: a [`State`] with the servers' addresses and the credentials. The servers
//! outlive the command that started them. Errors: a program is missing or fails to start, or a port is taken.
//!
//! A supervisor may have been killed at any moment. What it left is found by the process numbers and start times in the
//! state file and by a marker in the processes' environment, never by a program's name, and is cleaned up first.

mod error;
mod event;
mod health;
mod lock;
mod options;
mod processes;
mod servers;

use crate::emulator::Caller;
use crate::http;
use crate::state::{self, Component, DeadServer, SCHEMA, Server, State, StateError, Status};
use lock::Lock;
use slipway_values::partition::Partition;
use std::path::Path;

pub use crate::programs::ProcessEnd;
pub use error::Error;
pub use event::{Event, StoppedProcess};
pub use options::{Emulator, Options};

/// Any access key can assume a role: the emulator takes an unknown one for a key of its default account.
const UNKNOWN_ACCESS_KEY: &str = "AKIA0000000000000000";

/// Starts the local environment, or returns the running one. Several commands may call it at the same time.
///
/// Healthy servers are reused. If only the gateway is dead, only the gateway is started again. If the emulator is dead,
/// everything in it is lost: both are started again, and [`Event::Cleaned`] reports it.
pub async fn up(options: &Options, report: &(dyn Fn(Event) + Send + Sync)) -> Result<State, Error> {
    options.check()?;
    let folder = lock::create_folder(&options.folder)?;
    let _lock = Lock::acquire(&folder, report).await?;
    let recorded = recorded_state(&folder)?;
    let problem = match &recorded {
        None => Some("it was not recorded".to_owned()),
        Some(state) => health::emulator_problem(state, options).await?,
    };
    let mut state = match (recorded, problem) {
        (Some(state), None) => {
            report(Event::Reused { component: Component::Emulator, url: state.emulator.url.clone() });
            state
        }
        (recorded, problem) => {
            clean_up(&folder, recorded.as_ref(), &problem.unwrap_or_default(), report).await?;
            if matches!(options.emulator, Emulator::Start { .. }) {
                servers::remove_images(&folder)?;
            }
            let mut state = State {
                schema: SCHEMA.to_owned(),
                account: options.account.clone(),
                region: options.region.clone(),
                access_key_id: String::new(),
                secret_access_key: String::new(),
                session_token: None,
                emulator: Server::default(),
                gateway: Server::default(),
                started_at: jiff::Timestamp::now(),
            };
            servers::start_emulator(&folder, options, &mut state, report).await?;
            state
        }
    };
    enter_account(&folder, options, &mut state).await?;
    let config = servers::gateway_config(&folder, options, &state);
    match health::gateway_problem(&folder, &state, &config).await {
        None => report(Event::Reused { component: Component::Gateway, url: state.gateway.url.clone() }),
        Some(problem) => {
            processes::end_gateway(&folder, &state, &problem, report).await?;
            servers::start_gateway(&folder, options, &config, &mut state, report).await?;
        }
    }
    Ok(state)
}

/// Returns whether the environment of a folder is running. Takes some milliseconds if it is, and waits for no lock.
pub async fn find(folder: &Path) -> Result<Status, Error> {
    let Some(state) = state::read(folder)? else {
        return Ok(Status::Stopped);
    };
    let (emulator, gateway) = tokio::join!(
        health::emulator_failure(&state),
        health::server_failure(&state.gateway, health::GATEWAY_PATH)
    );
    let dead: Vec<DeadServer> = [(Component::Emulator, emulator), (Component::Gateway, gateway)]
        .into_iter()
        .filter_map(|(component, reason)| reason.map(|reason| DeadServer { component, reason }))
        .collect();
    Ok(match dead.is_empty() {
        true => Status::Running(state),
        false => Status::Broken { state, dead },
    })
}

/// Stops the servers of a folder and all processes that they left. An emulator that was attached to keeps running.
///
/// Logs and unpacked functions stay.
pub async fn down(folder: &Path) -> Result<Vec<StoppedProcess>, Error> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let folder = lock::create_folder(folder)?;
    let _lock = Lock::acquire(&folder, &|_| ()).await?;
    let stopped = processes::end_all(&folder, recorded_state(&folder)?.as_ref()).await?;
    servers::remove_gateway_files(&folder)?;
    state::remove(&folder)?;
    Ok(stopped)
}

/// Reads the state file; a file of another format counts as none, since the marker finds the processes as well.
fn recorded_state(folder: &Path) -> Result<Option<State>, Error> {
    match state::read(folder) {
        Ok(state) => Ok(state),
        Err(StateError::Format { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gets credentials for the account that the options name, unless the state has them.
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
        caller.access_key_id = UNKNOWN_ACCESS_KEY.to_owned();
    }
    let partition = Partition::of_region(&options.region);
    let role = partition.arn("iam", "", &options.account, "role/slipway-local");
    let credential = caller.assume_role(&role, "slipway").await?;
    caller.access_key_id.clone_from(&credential.access_key_id);
    let actual = caller.account().await?;
    if actual != options.account {
        return Err(Error::Account { expected: options.account.clone(), actual });
    }
    state.account.clone_from(&options.account);
    state.region.clone_from(&options.region);
    state.access_key_id = credential.access_key_id;
    state.secret_access_key = credential.secret_access_key;
    state.session_token = Some(credential.session_token);
    Ok(state::write(folder, state)?)
}

/// Ends all processes of an environment whose emulator cannot be used, and reports each.
async fn clean_up(
    folder: &Path,
    recorded: Option<&State>,
    problem: &str,
    report: &(dyn Fn(Event) + Send + Sync),
) -> Result<(), Error> {
    for StoppedProcess { component, pid, .. } in processes::end_all(folder, recorded).await? {
        let reason = match component {
            Component::Emulator => format!("{problem}; everything in it is lost"),
            Component::Gateway => format!("its emulator cannot be used: {problem}"),
            Component::Process => processes::LEFT_BEHIND.to_owned(),
        };
        report(Event::Cleaned { component, pid, reason });
    }
    servers::remove_gateway_files(folder)?;
    Ok(state::remove(folder)?)
}

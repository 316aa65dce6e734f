//! Ends the processes of a local environment: those in the state file, and those with the environment's marker.

use super::error::Error;
use super::event::{Event, StoppedProcess};
use crate::programs::{self, MARKER, ProcessEnd};
use crate::state::{Component, Server, State};
use slipway_runner::process::{self, ProcessIdentity};
use std::path::Path;
use std::time::Duration;

/// How long a process may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);
/// The same for moto: it has nothing to save, and Python would clean up for seconds.
const EMULATOR_GRACE: Duration = Duration::from_millis(300);

/// Why a process that the state file does not name was ended.
pub(super) const LEFT_BEHIND: &str = "it was left behind";

/// Returns the process of a server, if the supervisor started the server.
pub(super) fn recorded(server: &Server) -> Option<ProcessIdentity> {
    Some(ProcessIdentity { pid: server.pid?, start_ticks: server.start_ticks? })
}

/// Ends one process.
pub(super) async fn end(component: Component, identity: ProcessIdentity) -> Result<ProcessEnd, Error> {
    let grace = if component == Component::Emulator { EMULATOR_GRACE } else { GRACE };
    programs::end(identity, grace).await.map_err(|source| Error::End { component, pid: identity.pid, source })
}

/// Ends the gateway and the functions that it left behind, but not the emulator.
pub(super) async fn end_gateway(
    folder: &Path,
    state: &State,
    reason: &str,
    report: &(dyn Fn(Event) + Send + Sync),
) -> Result<(), Error> {
    if let Some(identity) = recorded(&state.gateway) {
        end(Component::Gateway, identity).await?;
        let reason = reason.to_owned();
        report(Event::Cleaned { component: Component::Gateway, pid: identity.pid, reason });
    }
    for stray in process::with_variable(MARKER, folder) {
        if state.emulator.pid.is_some() && process::group(stray.pid) == state.emulator.pid {
            continue;
        }
        if end(Component::Process, stray).await? != ProcessEnd::AlreadyGone {
            let reason = LEFT_BEHIND.to_owned();
            report(Event::Cleaned { component: Component::Process, pid: stray.pid, reason });
        }
    }
    Ok(())
}

/// Ends the recorded servers, the gateway first so that it ends its functions, then all processes with the marker.
pub(super) async fn end_all(
    folder: &Path,
    recorded_state: Option<&State>,
) -> Result<Vec<StoppedProcess>, Error> {
    let mut stopped = Vec::new();
    if let Some(state) = recorded_state {
        for (component, server) in
            [(Component::Gateway, &state.gateway), (Component::Emulator, &state.emulator)]
        {
            if let Some(identity) = recorded(server) {
                let end = end(component, identity).await?;
                stopped.push(StoppedProcess { component, pid: identity.pid, end });
            }
        }
    }
    // A process that is being ended may start another one after the first look.
    for _ in 0..3 {
        let strays = process::with_variable(MARKER, folder);
        if strays.is_empty() {
            break;
        }
        for stray in strays {
            let end = end(Component::Process, stray).await?;
            stopped.push(StoppedProcess { component: Component::Process, pid: stray.pid, end });
        }
    }
    Ok(stopped)
}

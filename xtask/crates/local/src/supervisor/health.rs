//! Whether the recorded servers can be used: the same process, responding to HTTP, configured as requested.

use super::error::Error;
use super::options::{Emulator, Options};
use super::processes::recorded;
use crate::gateway::config::{GatewayConfig, HEALTH_PATH};
use crate::http;
use crate::layout;
use crate::state::{Server, State};
use axum::body::Body;
use axum::http::Request;
use slipway_runner::process;
use std::path::Path;
use std::time::Duration;

/// A path at which moto responds fast and changes nothing.
pub(super) const EMULATOR_PATH: &str = "/moto-api/data.json/alive";
/// A path at which the gateway responds itself.
pub(super) const GATEWAY_PATH: &str = HEALTH_PATH;
/// A busy server may be slow, and taking it for dead would lose everything in it.
const RESPONSE_WITHIN: Duration = Duration::from_secs(10);
/// How often a server is asked before it counts as dead, and the pause between.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(150);
const STARTING: &str = "its start is running or was interrupted";

/// Returns why a server counts as dead; `None` if it lives.
pub(super) async fn server_failure(server: &Server, path: &str) -> Option<String> {
    if let Some(identity) = recorded(server)
        && !identity.is_alive()
    {
        return Some(format!("its process {} has ended", identity.pid));
    }
    if server.url.is_empty() {
        return Some(STARTING.to_owned());
    }
    let authority = match http::authority(&server.url) {
        Ok(authority) => authority,
        Err(error) => return Some(error.to_string()),
    };
    let mut failure = None;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let Ok(request) = Request::get(path).body(Body::empty()) else {
            return Some(format!("`{path}` is not a valid path"));
        };
        match http::exchange(&authority, request, 1 << 20, RESPONSE_WITHIN).await {
            Ok(_) => return None,
            // One connection that is reset says nothing about a server, and ending it would lose everything in it.
            Err(error) => failure = Some(error.to_string()),
        }
    }
    failure
}

/// Returns why the emulator counts as dead; `None` if it lives and there are credentials for it.
pub(super) async fn emulator_failure(state: &State) -> Option<String> {
    match server_failure(&state.emulator, EMULATOR_PATH).await {
        None if state.access_key_id.is_empty() => Some(STARTING.to_owned()),
        failure => failure,
    }
}

/// Returns why the emulator cannot be used for these options; `None` if it can.
pub(super) async fn emulator_problem(state: &State, options: &Options) -> Result<Option<String>, Error> {
    let other = match (&options.emulator, state.emulator.pid) {
        (Emulator::Attach { url }, None) if *url == state.emulator.url => None,
        (Emulator::Attach { url }, _) => Some(format!("the emulator at {url} was requested instead")),
        (Emulator::Start { .. }, None) => Some("an own emulator was requested instead".to_owned()),
        (Emulator::Start { .. }, Some(_)) => None,
    };
    if other.is_some() {
        return Ok(other);
    }
    if let Some(failure) = emulator_failure(state).await {
        return Ok(Some(failure));
    }
    match options.emulator {
        Emulator::Start { port: Some(requested), .. } if !has_port(&state.emulator, requested) => {
            Err(Error::OtherPort { running: state.emulator.url.clone(), requested })
        }
        _ => Ok(None),
    }
}

/// Returns why the gateway must be started again; `None` if it serves what is wanted.
pub(super) async fn gateway_problem(folder: &Path, state: &State, wanted: &GatewayConfig) -> Option<String> {
    let Some(pid) = state.gateway.pid else {
        return Some("it was never started".to_owned());
    };
    if let Some(failure) = server_failure(&state.gateway, GATEWAY_PATH).await {
        return Some(failure);
    }
    let running = GatewayConfig::read(&layout::gateway_config(folder)).ok();
    let requested = wanted.listen.port();
    let same = running.is_some_and(|running| GatewayConfig { listen: wanted.listen, ..running } == *wanted);
    if !same {
        return Some("its configuration changed".to_owned());
    }
    if requested != 0 && !has_port(&state.gateway, requested) {
        return Some(format!("port {requested} was requested"));
    }
    process::program_was_replaced(pid).then(|| "its program was rebuilt".to_owned())
}

fn has_port(server: &Server, port: u16) -> bool {
    server.url.ends_with(&format!(":{port}"))
}

//! Whether a recorded server still is what it was: same process, and it answers HTTP.

use super::{Emulator, Error, GATEWAY, Options, recorded};
use crate::gateway::GatewayConfig;
use crate::http;
use crate::procfs;
use crate::state::{Server, State};
use axum::body::Body;
use axum::http::Request;
use std::path::Path;
use std::time::Duration;

/// Where moto answers fast and changes nothing.
pub(super) const EMULATOR_PATH: &str = "/moto-api/data.json/alive";
/// Where the gateway answers by itself.
pub(super) const GATEWAY_PATH: &str = crate::gateway::HEALTH_PATH;
/// A busy server may be slow, and calling it dead would cost all that is in it.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Says why a server counts as dead; `None` for one that lives.
pub(super) async fn server_dead(server: &Server, path: &str) -> Option<String> {
    if let Some(identity) = recorded(server)
        && !identity.alive()
    {
        return Some(format!("its process {} is gone", identity.pid));
    }
    if server.url.is_empty() {
        return Some("its start is under way or was cut off".to_owned());
    }
    let answer = match (http::authority(&server.url), Request::get(path).body(Body::empty())) {
        (Ok(authority), Ok(request)) => http::exchange(&authority, request, 1 << 20, ANSWER_WITHIN).await,
        (Err(error), _) => Err(error),
        (_, Err(_)) => return Some(format!("{path} is no path")),
    };
    answer.err().map(|error| error.to_string())
}

/// Says why the emulator counts as dead; `None` for one that lives and has let us in.
pub(super) async fn emulator_dead(state: &State) -> Option<String> {
    match server_dead(&state.emulator, EMULATOR_PATH).await {
        None if state.access_key_id.is_empty() => Some("its start is under way or was cut off".to_owned()),
        dead => dead,
    }
}

/// Says why the emulator cannot be used for what is asked; `None` for one that can.
pub(super) async fn emulator_unfit(state: &State, options: &Options) -> Result<Option<String>, Error> {
    let other = match (&options.emulator, state.emulator.pid) {
        (Emulator::Attach { url }, None) if *url == state.emulator.url => None,
        (Emulator::Attach { url }, _) => Some(format!("the emulator at {url} is wanted instead")),
        (Emulator::Start { .. }, None) => Some("an emulator of our own is wanted instead".to_owned()),
        (Emulator::Start { .. }, Some(_)) => None,
    };
    if other.is_some() {
        return Ok(other);
    }
    if let Some(dead) = emulator_dead(state).await {
        return Ok(Some(dead));
    }
    match options.emulator {
        Emulator::Start { port: Some(asked), .. } if !state.emulator.url.ends_with(&format!(":{asked}")) => {
            Err(Error::Elsewhere { running: state.emulator.url.clone(), asked })
        }
        _ => Ok(None),
    }
}

/// Says why the gateway must be started (anew); `None` for one that serves what is wanted.
pub(super) async fn gateway_unfit(folder: &Path, state: &State, wanted: &GatewayConfig) -> Option<String> {
    let Some(pid) = state.gateway.pid else {
        return Some("it was never started".to_owned());
    };
    if let Some(dead) = server_dead(&state.gateway, GATEWAY_PATH).await {
        return Some(dead);
    }
    let running = GatewayConfig::read(&super::servers::gateway_config_path(folder)).ok();
    let asked = wanted.listen.port();
    let fits = running.is_some_and(|running| GatewayConfig { listen: wanted.listen, ..running } == *wanted);
    if !fits {
        return Some("it was configured otherwise".to_owned());
    }
    if asked != 0 && !state.gateway.url.ends_with(&format!(":{asked}")) {
        return Some(format!("port {asked} is asked for"));
    }
    procfs::replaced(pid).then(|| format!("the program of the {GATEWAY} was built anew"))
}

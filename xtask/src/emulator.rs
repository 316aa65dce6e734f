//! The local environment, over the leaf crate that keeps it: moto, the Lambda gateway, and how to reach them.

mod interpreters;

pub(crate) use interpreters::Interpreters;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use slipway_local::keeper::{self, Emulator, Event, Options};
use slipway_local::{State, Status};

use crate::failure::{Failure, Result};
use crate::progress::Progress;
use crate::settings::{ProcessEnvironment, Project};
use crate::tools::install::{Tool, Tools};

/// The region of the local environment.
const REGION: &str = "eu-central-1";

/// The account of the local environment, where `SLIPWAY_LOCAL_ACCOUNT` names no other.
const ACCOUNT: &str = "123456789012";

/// The hidden subcommand that the gateway's process runs.
pub(crate) const GATEWAY_COMMAND: &str = "__local-gateway";

/// Returns the folder of the local environment's state and logs.
pub(crate) fn folder(project: &Project) -> PathBuf {
    project.work_folder().join("local")
}

/// Returns the local environment's account.
pub(crate) fn account(process_env: &ProcessEnvironment) -> Result<String> {
    let account = process_env.get("SLIPWAY_LOCAL_ACCOUNT").unwrap_or(ACCOUNT);
    if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) {
        Ok(account.to_owned())
    } else {
        Err(Failure::usage(format!("SLIPWAY_LOCAL_ACCOUNT: `{account}` is not 12 digits")))
    }
}

/// Returns the bucket of the local artifact store.
pub(crate) fn store_bucket(project: &Project, account: &str) -> String {
    format!("{}-{account}-artifacts", project.settings.name)
}

/// Starts the local environment, or finds it running.
pub(crate) async fn up(
    project: &Project,
    process_env: &ProcessEnvironment,
    tools: &Tools,
    progress: &Progress,
    ports: Ports,
) -> Result<State> {
    let account = account(process_env)?;
    let emulator = match process_env.get("SLIPWAY_LOCAL_EMULATOR") {
        Some(url) => Emulator::Attach { url: url.to_owned() },
        None => Emulator::Start { moto_server: tools.ensure(Tool::Moto).await?, port: ports.emulator },
    };
    let options = Options {
        folder: folder(project),
        emulator,
        gateway_port: ports.gateway,
        gateway_command: vec![
            process_env.executable.clone().into_os_string(),
            OsString::from(GATEWAY_COMMAND),
        ],
        store_bucket: store_bucket(project, &account),
        account,
        region: REGION.to_owned(),
    };
    let report = {
        let progress = progress.clone();
        let step = std::sync::Mutex::new(None);
        move |event: Event| tell(&progress, &step, event)
    };
    keeper::up(&options, &report).await.map_err(explain)
}

/// Which ports to use; free ones where none is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ports {
    /// The emulated AWS.
    pub(crate) emulator: Option<u16>,
    /// The Lambda gateway.
    pub(crate) gateway: Option<u16>,
}

/// Finds the local environment without starting it.
pub(crate) async fn find(folder: &Path) -> Result<Status> {
    keeper::find(folder).await.map_err(explain)
}

/// Stops the local environment and all that it left.
pub(crate) async fn down(folder: &Path) -> Result<Vec<keeper::Stopped>> {
    keeper::down(folder).await.map_err(explain)
}

fn tell(progress: &Progress, step: &std::sync::Mutex<Option<crate::progress::Step>>, event: Event) {
    let Ok(mut step) = step.lock() else { return };
    match event {
        Event::Waiting { .. } => {
            progress.note("local     waiting for another command that starts or stops the local environment")
        }
        Event::Starting { what } => *step = Some(progress.step("local", name_of(what))),
        Event::Started { what, url, .. } => {
            if let Some(step) = step.take() {
                step.done_as(format!("{} at {url}", name_of(what)), "started");
            }
        }
        Event::Reused { .. } => {}
        Event::Cleaned { what, pid, why } => {
            progress.note(format!("local     {} (process {pid}) was cleaned up: {why}", name_of(what)))
        }
    }
}

fn name_of(what: &str) -> &str {
    match what {
        "moto" => "emulated AWS (moto)",
        "gateway" => "Lambda gateway",
        other => other,
    }
}

fn explain(error: keeper::Error) -> Failure {
    let failure = match &error {
        keeper::Error::PortTaken { .. } => {
            Failure::failed(error.to_string()).hint("leave the port out to take a free one")
        }
        _ => Failure::failed(error.to_string()).hint(
            "cargo xtask local down clears everything away; cargo xtask local logs shows what was said",
        ),
    };
    match std::error::Error::source(&error) {
        Some(source) => failure.caused_by(source.to_string()),
        None => failure,
    }
}

//! Starts, finds and stops the local environment: moto and the Lambda gateway.

mod interpreters;
mod logs;

pub(crate) use interpreters::Interpreters;
pub(crate) use logs::{function_of_log, last_lines, log_files};

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use slipway_local::supervisor::{self, Emulator, Event, Options, StoppedProcess};
use slipway_local::{Component, State, Status};

use crate::failure::{Failure, Result};
use crate::progress::{Progress, Step};
use crate::settings::{ProcessEnvironment, Project};
use crate::tools::install::{Tool, Tools};

/// The region of the local environment.
const REGION: &str = "eu-central-1";

/// The account of the local environment, unless `SLIPWAY_LOCAL_ACCOUNT` names another one.
const ACCOUNT: &str = "123456789012";

/// The hidden subcommand that the gateway's process runs.
pub(crate) const GATEWAY_COMMAND: &str = "__local-gateway";

/// Returns the folder of the local environment's state and logs.
pub(crate) fn folder(project: &Project) -> PathBuf {
    project.work_folder().join("local")
}

/// Returns the Python that the gateway starts for a runtime such as `python3.13`, with the runtime that it really is.
pub(crate) async fn find_python(project: &Project, runtime: &str) -> Option<(String, PathBuf)> {
    let found = slipway_local::find_python(&folder(project), runtime).await?;
    Some((found.runtime, found.program))
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

/// Starts the local environment, or returns the running one.
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
        let step = Mutex::new(None);
        move |event: Event| report_event(&progress, &step, event)
    };
    supervisor::up(&options, &report).await.map_err(failure)
}

/// The ports to listen on; `None` for any free port.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ports {
    /// The emulated AWS.
    pub(crate) emulator: Option<u16>,
    /// The Lambda gateway.
    pub(crate) gateway: Option<u16>,
}

/// Returns whether the local environment is running, without starting it.
pub(crate) async fn find(folder: &Path) -> Result<Status> {
    supervisor::find(folder).await.map_err(failure)
}

/// Stops the local environment and all its processes.
pub(crate) async fn down(folder: &Path) -> Result<Vec<StoppedProcess>> {
    supervisor::down(folder).await.map_err(failure)
}

/// Reports an event of the supervisor; `step` is the step of the server that is starting.
fn report_event(progress: &Progress, step: &Mutex<Option<Step>>, event: Event) {
    let Ok(mut step) = step.lock() else { return };
    match event {
        Event::Waiting { .. } => {
            progress.note("local     waiting for another command that starts or stops the local environment")
        }
        Event::Starting { component } => *step = Some(progress.step("local", name_of(component))),
        Event::Started { component, url, .. } => {
            if let Some(step) = step.take() {
                step.done_as(format!("{} at {url}", name_of(component)), "started");
            }
        }
        Event::Reused { .. } => {}
        Event::Cleaned { component, pid, reason } => {
            let what = match component {
                Component::Process => format!("process {pid}"),
                _ => format!("{} (process {pid})", name_of(component)),
            };
            progress.note(format!("local     {what} was cleaned up: {reason}"));
        }
    }
}

fn name_of(component: Component) -> &'static str {
    match component {
        Component::Emulator => "emulated AWS (moto)",
        Component::Gateway => "Lambda gateway",
        Component::Process => "process",
    }
}

fn failure(error: supervisor::Error) -> Failure {
    let hint = match &error {
        supervisor::Error::PortTaken { .. } => "leave the port out to use any free port",
        _ => "cargo xtask local logs shows the servers' output; cargo xtask local down stops them",
    };
    // The whole chain: the system's own error, such as a full disk, is its last link.
    Failure::failed(error.to_string()).hint(hint).caused_by(error)
}

/// Returns what there is to do about servers that are dead. Only the emulator holds data.
pub(crate) fn restart_hint(dead: &[slipway_local::DeadServer]) -> &'static str {
    if dead.iter().any(|dead| dead.component == Component::Emulator) {
        "cargo xtask local up starts it again; the data of a dead emulator is lost"
    } else {
        "cargo xtask local up starts it again; nothing in the emulator is lost"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_said_whatever_was_written() {
        let full = std::io::Error::from_raw_os_error(28);
        let error = supervisor::Error::from(slipway_local::StateError::File {
            path: "/f/state.json".into(),
            source: full,
        });
        let causes = failure(error).report().causes;
        assert!(causes.iter().any(|cause| cause.contains("/f/state.json")), "{causes:?}");
        assert!(causes.iter().any(|cause| cause.contains("No space left on device")), "{causes:?}");
    }
}

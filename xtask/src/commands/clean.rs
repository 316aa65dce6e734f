//! `clean`: remove Terraform's local files, which the next run makes again. States, releases and ledgers lie elsewhere.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::AppContext;
use crate::failure::{self, Failure, Result};
use crate::format;
use crate::name::EnvironmentName;
use crate::plan::{LockRequest, WorkLock};

/// Arguments of `clean`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this environment's.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
}

/// What was removed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// Folders, relative to the project.
    pub(crate) removed: Vec<PathBuf>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let root = &app.project.root;
    if let Some(environment) = &arguments.env {
        app.project.environment(environment)?;
    }
    let unsaved = unsaved_states(root, &app.project.work_folder().join("terraform"));
    if let Some(state) = unsaved.first() {
        return Err(Failure::refused(format!("{} is a state that could not be saved", state.display()))
            .unchanged("Nothing was removed.")
            .hint("save it first: cargo xtask recover --env …"));
    }
    let mut removed = Vec::new();
    for environment in folders(&app.project.work_folder().join("terraform")) {
        let name = environment.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if arguments.env.as_ref().is_some_and(|wanted| wanted.as_str() != name) {
            continue;
        }
        for work in folders(&environment) {
            let stack = work.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let _lock = WorkLock::take(LockRequest {
                work: &work,
                subject: format!("`{stack}` in {name}"),
                by: &app.process_env.actor(),
                timeout: Duration::ZERO,
                progress: &app.progress,
                interrupt: &app.interrupt,
            })
            .await
            .map_err(|failure| failure.unchanged("What is in use was left alone."))?;
            // The lock's own file stays: whoever waits for it holds it open.
            let others = work.read_dir().map_err(|error| failure::io("read", &work, error))?.flatten();
            for entry in others.filter(|entry| entry.file_name() != "lock") {
                remove(&entry.path())?;
            }
            removed.push(work.strip_prefix(root).unwrap_or(&work).to_path_buf());
        }
    }
    if arguments.env.is_none() {
        let data = walkdir::WalkDir::new(root.join("terraform")).into_iter().flatten();
        let data: Vec<PathBuf> = data
            .filter(|entry| entry.file_type().is_dir() && entry.file_name() == ".terraform")
            .map(walkdir::DirEntry::into_path)
            .collect();
        for folder in data {
            remove(&folder)?;
            removed.push(folder.strip_prefix(root).unwrap_or(&folder).to_path_buf());
        }
    }
    removed.sort();
    let text = if removed.is_empty() {
        "There is nothing to remove.\n".to_owned()
    } else {
        format!("Removed Terraform's files of {}.\n", format::plural(removed.len(), "folder"))
    };
    Answer::new(&Report { removed }, text)
}

/// Finds states that Terraform could not save: in a stack's folder, or in an unpacked configuration.
fn unsaved_states(root: &Path, work: &Path) -> Vec<PathBuf> {
    [root.join("terraform/stacks"), work.to_path_buf()]
        .iter()
        .flat_map(|folder| walkdir::WalkDir::new(folder).into_iter().flatten())
        .filter(|entry| entry.file_name() == "errored.tfstate")
        .map(walkdir::DirEntry::into_path)
        .collect()
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = parent.read_dir().into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    removed.map_err(|error| failure::io("remove", path, error))
}

//! Terraform's local files: working copies, plans, data folders. The next run makes them again, except for a state that
//! Terraform could not save (`errored.tfstate`).
//!
//! In: the project's folders. Out: unsaved states, or the folders that were removed. Errors: an unsaved state is there, a
//! run uses a folder, a file cannot be removed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::{self, Failure, Result};
use crate::interrupt::Interrupt;
use crate::name::EnvironmentName;
use crate::plan::{LockRequest, WorkLock, unsaved_states};
use crate::progress::Progress;

/// The files of a project.
pub(crate) struct WorkFiles<'a> {
    /// The project's folder.
    pub(crate) root: &'a Path,
    /// Slipway's folder of all environments and stacks, `target/slipway/terraform`.
    pub(crate) work: &'a Path,
    /// Who runs this command, for messages to other runs.
    pub(crate) by: &'a str,
    /// Where waiting is reported.
    pub(crate) progress: &'a Progress,
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
}

impl WorkFiles<'_> {
    /// Removes the files of one environment, or of all; returns the folders, relative to the project.
    pub(crate) async fn remove(&self, environment: Option<&EnvironmentName>) -> Result<Vec<PathBuf>> {
        let unsaved = unsaved_states(&[self.root.join("terraform/stacks"), self.work.to_path_buf()]);
        if let Some(state) = unsaved.first() {
            return Err(Failure::refused(format!("{} is a state that could not be saved", state.display()))
                .unchanged("Nothing was removed.")
                .hint("save it first: cargo xtask recover --env …"));
        }
        let mut removed = Vec::new();
        for folder in folders(self.work) {
            let name = file_name(&folder);
            if environment.is_none_or(|wanted| wanted.as_str() == name) {
                for work in folders(&folder) {
                    self.empty(&work, &name).await?;
                    removed.push(work);
                }
            }
        }
        if environment.is_none() {
            for folder in data_folders(&self.root.join("terraform")) {
                remove(&folder)?;
                removed.push(folder);
            }
        }
        let relative = |path: PathBuf| path.strip_prefix(self.root).map_or(path.clone(), Path::to_path_buf);
        let mut removed: Vec<PathBuf> = removed.into_iter().map(relative).collect();
        removed.sort();
        Ok(removed)
    }

    /// Empties the work folder of a stack in an environment, unless a run uses it.
    async fn empty(&self, work: &Path, environment: &str) -> Result<()> {
        let _lock = WorkLock::take(LockRequest {
            work,
            subject: format!("`{}` in {environment}", file_name(work)),
            by: self.by,
            timeout: Duration::ZERO,
            progress: self.progress,
            interrupt: self.interrupt,
        })
        .await
        .map_err(|failure| failure.unchanged("The files of that run were not removed."))?;
        // The lock's own file stays: a run that waits for it has it open.
        let entries = work.read_dir().map_err(|error| failure::io("read", work, error))?.flatten();
        entries.filter(|entry| entry.file_name() != "lock").try_for_each(|entry| remove(&entry.path()))
    }
}

/// Returns Terraform's data folders (`.terraform`).
fn data_folders(terraform: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(terraform).into_iter().flatten();
    entries
        .filter(|entry| entry.file_type().is_dir() && entry.file_name() == ".terraform")
        .map(walkdir::DirEntry::into_path)
        .collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    /// A project with files of Terraform's in two environments.
    fn project() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "target/slipway/terraform/dev/hello/data/providers",
            "target/slipway/terraform/prod/hello",
            "terraform/stacks/hello/.terraform/modules",
        ] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        std::fs::write(folder.path().join("target/slipway/terraform/dev/hello/plan.tfplan"), "").unwrap();
        std::fs::write(folder.path().join("terraform/stacks/hello/main.tf"), "").unwrap();
        folder
    }

    async fn remove_in(root: &Path, environment: Option<&str>) -> Result<Vec<String>> {
        let (progress, interrupt) = (Progress::silent(), Interrupt::never());
        let work = root.join("target/slipway/terraform");
        let files = WorkFiles { root, work: &work, by: "ada", progress: &progress, interrupt: &interrupt };
        let environment = environment.map(|name| name.parse().unwrap());
        let removed = files.remove(environment.as_ref()).await?;
        Ok(removed.into_iter().map(|path| path.display().to_string()).collect())
    }

    #[tokio::test]
    async fn all_environments_and_data_folders_are_removed_and_sources_stay() {
        let folder = project();
        let removed = remove_in(folder.path(), None).await.unwrap();
        assert_eq!(
            removed,
            [
                "target/slipway/terraform/dev/hello",
                "target/slipway/terraform/prod/hello",
                "terraform/stacks/hello/.terraform"
            ]
        );
        let work = folder.path().join("target/slipway/terraform/dev/hello");
        assert!(!work.join("data").exists() && !work.join("plan.tfplan").exists());
        assert!(folder.path().join("terraform/stacks/hello/main.tf").is_file());
        assert!(!folder.path().join("terraform/stacks/hello/.terraform").exists());
    }

    #[tokio::test]
    async fn one_environment_leaves_the_others_and_data_folders() {
        let folder = project();
        let removed = remove_in(folder.path(), Some("prod")).await.unwrap();
        assert_eq!(removed, ["target/slipway/terraform/prod/hello"]);
        assert!(folder.path().join("target/slipway/terraform/dev/hello/data").is_dir());
        assert!(folder.path().join("terraform/stacks/hello/.terraform").is_dir());
    }

    #[tokio::test]
    async fn unsaved_state_refuses_the_removal_of_anything() {
        let folder = project();
        let state = folder.path().join("terraform/stacks/hello/errored.tfstate");
        std::fs::write(&state, "{}").unwrap();
        let failure = remove_in(folder.path(), None).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        assert!(
            failure.message().ends_with("errored.tfstate is a state that could not be saved"),
            "{failure}"
        );
        assert!(folder.path().join("target/slipway/terraform/dev/hello/data").is_dir());
        assert_eq!(unsaved_states(&[folder.path().to_path_buf()]), [state]);
    }

    #[tokio::test]
    async fn folder_that_a_run_uses_is_not_removed() {
        let folder = project();
        let (progress, interrupt) = (Progress::silent(), Interrupt::never());
        let work = folder.path().join("target/slipway/terraform/prod/hello");
        let claim = LockRequest {
            work: &work,
            subject: "`hello` in prod".into(),
            by: "ci",
            timeout: Duration::ZERO,
            progress: &progress,
            interrupt: &interrupt,
        };
        let _lock = WorkLock::take(claim).await.unwrap();
        let failure = remove_in(folder.path(), Some("prod")).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::LockHeld);
    }
}

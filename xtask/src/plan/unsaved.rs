//! States that Terraform could not save (`errored.tfstate`): what changed in the cloud is in no other place.
//!
//! Terraform writes the file into the folder that it runs in, readable by everybody. Slipway moves it into its own work folder,
//! which it alone reads. While one is there, nothing that plans or writes may run: the next apply would take a state that
//! lacks resources as the truth, and end the file's usefulness.

use std::path::{Path, PathBuf};

use super::configuration::{Configuration, PlanContext};
use crate::failure::{self, Failure, FailureKind, Result};
use crate::name::{EnvironmentName, StackName};

/// The name that Terraform gives to a state that it could not save.
const FILE: &str = "errored.tfstate";

/// Returns the states below some folders that Terraform could not save.
pub(crate) fn unsaved_states(folders: &[PathBuf]) -> Vec<PathBuf> {
    let walk = |folder: &PathBuf| walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
    folders
        .iter()
        .flat_map(walk)
        .filter(|entry| entry.file_name() == FILE)
        .map(walkdir::DirEntry::into_path)
        .collect()
}

/// Refuses to go on while a state that could not be saved lies in a work folder, or in another folder that Terraform ran in.
pub(crate) fn refuse_unsaved(context: &PlanContext, folders: &[PathBuf]) -> Result<()> {
    let mut all = folders.to_vec();
    all.push(context.work.clone());
    unsaved_states(&all)
        .first()
        .map_or(Ok(()), |file| Err(unsaved(context, file).unchanged("Nothing was changed.")))
}

/// Makes the failure of a state that could not be saved.
pub(crate) fn unsaved(context: &PlanContext, file: &Path) -> Failure {
    let failure = unsaved_of_stack(&context.stack, &context.environment, file);
    if !context.is_account() {
        return failure;
    }
    // `recover` looks at stacks alone.
    failure.hint(format!(
        "save it before anything else: TF_DATA_DIR={} terraform -chdir=terraform/bootstrap state push {}, then delete that file",
        context.work.join("data").display(),
        file.display()
    ))
}

/// Makes the failure of a stack's state that could not be saved.
pub(crate) fn unsaved_of_stack(stack: &StackName, environment: &EnvironmentName, file: &Path) -> Failure {
    let message = format!("the state of `{stack}` in {environment} could not be saved");
    Failure::new(FailureKind::StateNotSaved, message)
        .detail("stored in", file.display().to_string())
        .hint(format!("save it before anything else: cargo xtask recover --env {environment}"))
}

/// Moves a state that Terraform could not save from the folder it ran in to the work folder, and makes it private; returns its
/// place, if there is one.
pub(crate) fn keep_unsaved(configuration: &Configuration) -> Result<Option<PathBuf>> {
    let (written, kept) = (configuration.folder.join(FILE), configuration.context.work.join(FILE));
    if !written.is_file() {
        return Ok(kept.is_file().then_some(kept));
    }
    make_private(&written)?;
    if kept.exists() {
        // Never overwritten: both are looked at by `recover`.
        return Ok(Some(written));
    }
    match std::fs::rename(&written, &kept) {
        Ok(()) => Ok(Some(kept)),
        // It is private where it is, and found there as well.
        Err(_) => Ok(Some(written)),
    }
}

/// Lets only the owner of a file read it.
pub(crate) fn make_private(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| failure::io("protect", file, error))
}

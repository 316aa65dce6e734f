//! The guard on a stack's files: the contract with Slipway, and what a protected environment requires of them.

use crate::failure::{Failure, Result};
use crate::format;
use crate::name::{EnvironmentName, StackName};
use crate::plan::{self, StackSources};
use crate::settings::EnvironmentSettings;
use crate::source::{Uncommitted, refuse_uncommitted};

/// Refuses files that break the contract, that git ignores although Terraform would read them in the project's folder, or
/// that no commit has. The last two count in protected environments.
pub(crate) fn check(
    sources: &StackSources,
    stack: &StackName,
    environment: &EnvironmentName,
    settings: &EnvironmentSettings,
    runs_functions: bool,
) -> Result<()> {
    plan::check_contract(sources, stack, runs_functions)?;
    if !settings.protected {
        return Ok(());
    }
    if !sources.from_git {
        return Err(Failure::refused(format!(
            "{environment} is protected and the files of `{stack}` are in no git repository"
        ))
        .unchanged("Nothing was changed.")
        .hint("deploy from a clone: only what a commit holds may run there"));
    }
    if let Some(first) = sources.ignored.first() {
        let names = format::list(sources.ignored.iter().map(String::as_str));
        return Err(Failure::refused(format!(
            "{environment} is protected and git ignores {names}, which Terraform would read"
        ))
        .unchanged("Nothing was changed.")
        .hint(format!("commit it with git add --force {first}, or remove it")));
    }
    let uncommitted = sources.uncommitted.as_ref().map(|_| Uncommitted::Stack(stack));
    refuse_uncommitted(environment, settings, uncommitted).map_err(|failure| match &sources.uncommitted {
        Some(path) => failure.detail("file", path),
        None => failure,
    })
}

//! The lock file of the providers, `.terraform.lock.hcl`: who may complete it, and the refusal where it is missing.

use super::configuration::Configuration;
use super::sources::StackSources;
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, StackName};

/// What happens where the lock file of the providers is missing or lacks one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProviderLock {
    /// `init` completes it, and it is written back into the project.
    Completed,
    /// A file that is there is not changed, and none is written into the project: CI.
    Kept,
    /// The project must have it: protected environments.
    Required,
}

impl Configuration {
    /// Refuses a plan with providers that `init` chose, where the project must have locked them.
    pub(crate) fn refuse_chosen_providers(&self) -> Result<()> {
        let required = self.context.provider_lock == ProviderLock::Required && self.project.is_some();
        let locked = self.sources.files.contains_key(&self.sources.lock_path());
        if !required || locked || self.lock_file().is_none() {
            return Ok(());
        }
        Err(no_provider_lock(&self.sources, &self.context.stack, &self.context.environment))
    }
}

/// Returns the refusal of a stack whose providers no lock file of the project fixes.
pub(crate) fn no_provider_lock(
    sources: &StackSources,
    stack: &StackName,
    environment: &EnvironmentName,
) -> Failure {
    let (folder, path) = (&sources.folder, sources.lock_path());
    Failure::refused(format!(
        "{environment} is protected and the stack `{stack}` has no {path}: init would choose its providers"
    ))
    .unchanged("Nothing was changed.")
    .hint(format!(
        "run terraform -chdir={folder} init -backend=false, which writes it, and commit it: https://github.com/slipway/slipway/blob/main/docs/terraform.md#lock-files"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_of_this_repository_lock_their_providers() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        // The environment that runs all of them.
        let staging = "staging".parse().unwrap();
        let mut locked = 0;
        for entry in std::fs::read_dir(root.join("terraform/stacks")).unwrap().flatten() {
            let stack: StackName = entry.file_name().to_str().unwrap().parse().unwrap();
            let settings = crate::settings::Project::load(root).unwrap().stack_in(&staging, &stack).unwrap();
            let sources = StackSources::read(root, &stack, &staging, settings.files.as_deref()).unwrap();
            assert!(sources.providers.contains("aws"), "{stack}: {:?}", sources.providers);
            assert!(sources.files.contains_key(&sources.lock_path()), "{stack} has no lock file");
            locked += 1;
        }
        assert!(locked >= 6);
    }
}

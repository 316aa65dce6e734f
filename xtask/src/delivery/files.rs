//! The guard on a stack's files: the contract with Slipway, and what a protected environment requires of them.

use crate::failure::{Failure, Result};
use crate::format;
use crate::name::{EnvironmentName, StackName};
use crate::plan::{self, StackSources};
use crate::settings::EnvironmentSettings;
use crate::source::{Uncommitted, refuse_uncommitted};

/// Refuses files that break the contract, that git ignores although Terraform would read them in the project's folder, that
/// leave the choice of providers to `init`, or that no commit has. All but the first count in protected environments.
pub(crate) fn check(
    sources: &StackSources,
    stack: &StackName,
    environment: &EnvironmentName,
    settings: &EnvironmentSettings,
    runs_functions: bool,
) -> Result<()> {
    plan::check_files_contract(sources, stack, runs_functions)?;
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
    // The lock file decides which providers run.
    let lock = sources.lock_ignored.then(|| sources.lock_path());
    let ignored: Vec<&str> = sources.ignored.iter().chain(&lock).map(String::as_str).collect();
    if let Some(first) = ignored.first() {
        let names = format::list(&ignored);
        return Err(Failure::refused(format!(
            "{environment} is protected and git ignores {names}, which Terraform would read"
        ))
        .unchanged("Nothing was changed.")
        .hint(format!("commit it with git add --force {first}, or remove it")));
    }
    if !sources.providers.is_empty() && !sources.files.contains_key(&sources.lock_path()) {
        return Err(plan::no_provider_lock(sources, stack, environment));
    }
    let uncommitted = sources.uncommitted.as_ref().map(|_| Uncommitted::Stack(stack));
    refuse_uncommitted(environment, settings, uncommitted).map_err(|failure| match &sources.uncommitted {
        Some(path) => failure.detail("file", path),
        None => failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::Scene;
    use crate::failure::FailureKind;

    /// Returns the kind, message and hint of the refusal in an environment.
    fn refusal(protected: bool, sources: &StackSources) -> Option<(FailureKind, String)> {
        let settings = Scene::new(protected).stack(true).environment_settings;
        let failure =
            check(sources, &"web".parse().unwrap(), &"prod".parse().unwrap(), &settings, false).err()?;
        let report = failure.report();
        let details: Vec<String> = report.details.iter().map(|detail| detail.value.clone()).collect();
        let hint = report.hint.unwrap_or_default();
        Some((failure.kind(), format!("{} | {} | {hint}", report.message, details.join(" "))))
    }

    #[test]
    fn protected_environment_takes_only_files_that_a_commit_has() {
        let committed = {
            let mut sources = StackSources::sample("terraform/stacks/web");
            sources.backends.insert("s3".into());
            sources.from_git = true;
            sources
        };
        assert_eq!(refusal(true, &committed), None);
        let mut ignored = committed.clone();
        ignored.ignored = vec!["a/override.tf".into(), "a/web.tfvars".into()];
        let mut lock = committed.clone();
        lock.lock_ignored = true;
        let mut unlocked = committed.clone();
        unlocked.files.clear();
        assert_eq!(refusal(true, &unlocked), None, "it needs no provider");
        unlocked.providers.insert("aws".into());
        let mut changed = committed.clone();
        changed.uncommitted = Some("a/main.tf".into());
        let mut without_git = committed;
        without_git.from_git = false;
        for (sources, words) in [
            (&ignored, "prod is protected and git ignores a/override.tf and a/web.tfvars"),
            (&lock, "git ignores terraform/stacks/web/.terraform.lock.hcl, which Terraform would read"),
            (
                &unlocked,
                "has no terraform/stacks/web/.terraform.lock.hcl: init would choose its providers |  | run terraform -chdir=terraform/stacks/web init -backend=false",
            ),
            (&changed, "changes that are not committed | a/main.tf |"),
            (&without_git, "the files of `web` are in no git repository"),
        ] {
            let (kind, text) = refusal(true, sources).unwrap();
            assert_eq!(kind, FailureKind::Refused);
            assert!(text.contains(words), "{text}");
            assert_eq!(refusal(false, sources), None);
        }
        let (kind, _) = refusal(false, &StackSources::sample("terraform/stacks/web")).unwrap();
        assert_eq!(kind, FailureKind::Usage);
    }
}

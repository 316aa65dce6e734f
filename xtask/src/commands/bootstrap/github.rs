//! Looks at GitHub before an account's roles trust the jobs of its environments.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::bootstrap::{AccountSpec, GithubTrust};
use crate::failure::{Failure, Result};
use crate::github::{EnvironmentRules, Wanted, trusted_jobs};
use crate::ports::Services;
use crate::progress::Progress;
use crate::settings::ProcessEnvironment;

/// The publisher's key in the output `trusted_github_environments`: no environment's name.
const PUBLISHER: &str = "publisher";

/// GitHub, and what is done about environments without rules.
pub(super) struct GithubLook<'a> {
    pub(super) spec: &'a AccountSpec,
    pub(super) process_env: &'a ProcessEnvironment,
    pub(super) services: Arc<dyn Services>,
    pub(super) progress: &'a Progress,
    /// Whether roles are made without these rules.
    pub(super) trust_unprotected: bool,
}

#[async_trait]
impl GithubTrust for GithubLook<'_> {
    async fn refuse_unprotected(&self, trusted: &Value) -> Result<()> {
        let trusted = trusted_jobs(trusted)?;
        let mut wanted = Vec::new();
        for (owner, jobs) in &trusted {
            let protected = owner == PUBLISHER
                || self.spec.protected.iter().any(|environment| environment.as_str() == owner);
            for (index, name) in jobs.names.iter().enumerate() {
                let (repository, branch) = (jobs.repository.as_str(), jobs.branch.as_str());
                // Nobody approves a release or a plan before it is made.
                let reviewers = protected && index == 0 && owner != PUBLISHER;
                wanted.push((owner, protected, Wanted { repository, name, branch, reviewers }));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let repositories: BTreeSet<&str> = wanted.iter().map(|(_, _, wanted)| wanted.repository).collect();
        let Some(rules) = EnvironmentRules::find(self.process_env, &self.services) else {
            self.progress.note(
                "GitHub was not asked about the environments that the roles trust: there is no GITHUB_TOKEN or GH_TOKEN",
            );
            for repository in repositories {
                self.progress.note(format!("look at {}:", place(repository)));
            }
            for (_, _, wanted) in wanted.iter().filter(|(_, protected, _)| *protected) {
                self.progress.note(format!("  {}", wanted.text()));
            }
            return Ok(());
        };
        let mut refused = Vec::new();
        for (owner, protected, wanted) in &wanted {
            for problem in rules.problems(wanted).await? {
                let found =
                    format!("the GitHub environment `{}` of {} {problem}", wanted.name, wanted.repository);
                if *protected {
                    refused.push((owner, wanted.repository, found));
                } else {
                    self.progress.note(format!("{owner}: {found}"));
                }
            }
        }
        // One repository for the whole account.
        if let Some(jobs) = trusted.values().next() {
            match (rules.repository_id(&jobs.repository).await?, &jobs.repository_id) {
                (Ok(id), None) => self.progress.note(format!(
                    "github_repository_id = \"{id}\" in terraform/bootstrap/{}.tfvars makes the roles trust this repository, and no later one of the name {}",
                    self.spec.account, jobs.repository
                )),
                (Ok(id), Some(named)) if id == *named => {}
                (Ok(id), Some(named)) => {
                    return Err(Failure::refused(format!(
                        "{} is the repository {id} on GitHub, and github_repository_id is {named}",
                        jobs.repository
                    ))
                    .hint(format!("correct it in terraform/bootstrap/{}.tfvars", self.spec.account)));
                }
                (Err(why), _) => self.progress.note(format!("the number of {} is not known: {why}", jobs.repository)),
            }
        }
        for (owner, _, found) in &refused {
            self.progress.note(format!("{owner}: {found}"));
        }
        match refused.first() {
            Some((owner, repository, found)) if !self.trust_unprotected => Err(Failure::refused(format!(
                "the role of {owner} would trust jobs that nobody guards: {found}"
            ))
            .hint(format!(
                "set its rules on {}, then run the same command again; --trust-unprotected makes the roles without them",
                place(repository)
            ))),
            _ => Ok(()),
        }
    }
}

fn place(repository: &str) -> String {
    format!("https://github.com/{repository}/settings/environments")
}

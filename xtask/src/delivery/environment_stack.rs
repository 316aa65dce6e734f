//! One stack in one environment, with everything that a delivery to it needs.

mod stored_releases;
mod trust_settings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;

use super::{Machine, PlanRules, files};
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::gates::Gates;
use crate::interrupt::Interrupt;
use crate::ledger::{self, DeploymentKind, Ended, Holder, Ledger, PlannedRelease, Started};
use crate::name::{EnvironmentName, FunctionName, StackName};
use crate::plan::Infrastructure;
use crate::plan::{
    self, CodePlaces, Configuration, LockRequest, PlanContext, ReleaseInput, StackFiles, StackInputs,
    StackSources, WorkLock,
};
use crate::ports::{Approver, Clock, Functions, Services, Store};
use crate::progress::Progress;
use crate::release::{Catalogue, Manifest, TrustPolicy};
use crate::settings::{EnvironmentSettings, StackSettings};
use crate::source::{NotCommitted, Uncommitted, refuse_uncommitted};

/// The commit of a stack's files.
#[derive(Debug, Clone)]
pub(crate) struct StackCommit {
    /// 40 hex characters.
    pub(crate) commit: String,
    /// Whether the files differ from it.
    pub(crate) dirty: bool,
    /// Files that decide the deployment and that it does not hold: the stack's, settings and keys. Read where the environment
    /// is protected.
    pub(crate) uncommitted: Vec<(String, NotCommitted)>,
}

/// One stack in one environment.
pub(crate) struct EnvironmentStack {
    /// Stack, environment, work folder and backend: what Terraform needs whichever releases it is given.
    pub(crate) plan: Arc<PlanContext>,
    /// The environment's settings.
    pub(crate) environment_settings: EnvironmentSettings,
    /// The signatures that it accepts.
    pub(crate) trust: TrustPolicy,
    /// The stack's settings.
    pub(crate) settings: StackSettings,
    /// The commands that decide whether new versions get traffic.
    pub(crate) gates: Gates,
    /// The project's folder.
    pub(crate) root: PathBuf,
    /// The stack's ledger.
    pub(crate) ledger: Ledger,
    /// The environment's own store: state, ledger, configurations.
    pub(crate) store: Arc<dyn Store>,
    /// The releases.
    pub(crate) catalogue: Catalogue,
    /// Where Lambda reads code from.
    pub(crate) places: CodePlaces,
    /// The environment's functions.
    pub(crate) functions: Arc<dyn Functions>,
    /// Other services of the environment's account: secrets, signed requests.
    pub(crate) services: Arc<dyn Services>,
    /// Terraform.
    pub(crate) infrastructure: Arc<dyn Infrastructure>,
    /// Asks for approval.
    pub(crate) approver: Arc<dyn Approver>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Receives progress events.
    pub(crate) progress: Progress,
    /// Signals.
    pub(crate) interrupt: Interrupt,
    /// Looks at this machine, where a lock may be held.
    pub(crate) machine: Arc<dyn Fn() -> Machine + Send + Sync>,
    /// This process.
    pub(crate) holder: Holder,
    /// Who runs it.
    pub(crate) by: String,
    /// Who runs this, as AWS says.
    pub(crate) caller: Option<String>,
    /// The CI run.
    pub(crate) run_url: Option<String>,
    /// The commit of the stack's files; `None` where it is not known.
    pub(crate) commit: Option<StackCommit>,
    /// Why the commit is not known: no repository, or one that cannot be read.
    pub(crate) unknown_commit: Option<String>,
    /// Whether weaker trust settings than those of the last deployment are accepted (`--accept-weaker-trust`).
    pub(crate) accept_weaker_trust: bool,
    /// Whether a state that is not the one which the ledger knows is accepted (`--accept-state`).
    pub(crate) accept_state: bool,
    /// What its plans have to keep.
    pub(crate) rules: PlanRules,
    /// Whether everything is shown (`--verbose`).
    pub(crate) verbose: bool,
}

impl EnvironmentStack {
    /// Returns the stack's name.
    pub(crate) fn name(&self) -> &StackName {
        &self.plan.stack
    }

    /// Returns the environment's name.
    pub(crate) fn environment(&self) -> &EnvironmentName {
        &self.plan.environment
    }

    /// Locks the stack's work folder on this machine for this run. Refuses (exit code 9) while it has a state that could not
    /// be saved.
    pub(crate) async fn lock_work(&self) -> Result<WorkLock> {
        let lock = self.lock_work_to_recover().await?;
        self.refuse_unsaved()?;
        Ok(lock)
    }

    /// Refuses (exit code 9) while a state that could not be saved lies in the work folder or in the stack's own.
    pub(crate) fn refuse_unsaved(&self) -> Result<()> {
        let own = self.root.join("terraform/stacks").join(self.name().as_str());
        plan::refuse_unsaved(&self.plan, &[own])
    }

    /// Locks the work folder for `recover`, which saves such a state.
    pub(crate) async fn lock_work_to_recover(&self) -> Result<WorkLock> {
        let subject = format!("`{}` in {}", self.name(), self.environment());
        let request = LockRequest {
            work: &self.plan.work,
            subject,
            by: &self.by,
            timeout: self.plan.lock_timeout,
            progress: &self.progress,
            interrupt: &self.interrupt,
        };
        WorkLock::take(request).await
    }

    /// Reads the values that the stack takes from other stacks, as its files below `root` name them.
    pub(crate) async fn inputs(&self, root: &Path) -> Result<StackInputs> {
        let wanted = if root == self.root {
            self.settings.inputs.clone()
        } else {
            StackSettings::load_from_copy(root, self.name())?.in_environment(self.environment()).inputs
        };
        // Values of another project's stack of the same name would be taken without a word.
        let upstream: BTreeSet<&StackName> = wanted.values().map(|from| &from.stack).collect();
        try_join_all(upstream.into_iter().map(|stack| self.ledger.refuse_foreign_stack(stack))).await?;
        plan::read_inputs(self.store.as_ref(), self.name(), self.environment(), &wanted).await
    }

    /// Prepares the stack's files for Terraform, with these releases and values from other stacks.
    ///
    /// `root` is the project, whose files are copied into the work folder, or that copy with the files that were applied
    /// before.
    pub(crate) fn configure(
        &self,
        lock: &WorkLock,
        root: &Path,
        releases: &BTreeMap<FunctionName, Manifest>,
        inputs: StackInputs,
    ) -> Result<Configuration> {
        let releases: BTreeMap<FunctionName, ReleaseInput> = releases
            .iter()
            .filter(|(function, _)| self.settings.functions.contains(function))
            .map(|(function, manifest)| (function.clone(), ReleaseInput::new(manifest, &self.places)))
            .collect();
        let files = if root == self.root {
            let sources = self.read_sources()?;
            for path in &sources.ignored {
                self.progress.note(format!("          git ignores {path}: it is not part of the plan"));
            }
            if sources.lock_ignored {
                let path = sources.lock_path();
                self.progress
                    .note(format!("          git ignores {path}: other machines may use other providers"));
            }
            StackFiles::of_project(&self.plan, &self.root, sources)?
        } else {
            StackFiles::of_copy(&self.plan, root)?
        };
        plan::prepare(&self.plan, files, &releases, inputs, lock)
    }

    /// Prepares Terraform for commands that touch only the state: with the project's files, or with the backend alone where
    /// those cannot be used.
    pub(crate) fn configure_for_state(&self, lock: &WorkLock) -> Result<Configuration> {
        let (releases, inputs) = (BTreeMap::new(), StackInputs::new());
        let of_project = self.read_sources().and_then(|sources| {
            plan::check_files_contract(&sources, self.name(), false)?;
            let files = StackFiles::of_project(&self.plan, &self.root, sources)?;
            plan::prepare(&self.plan, files, &releases, inputs.clone(), lock)
        });
        of_project.or_else(|_| {
            let files = StackFiles::of_backend(&self.plan)?;
            plan::prepare(&self.plan, files, &releases, inputs, lock)
        })
    }

    /// Reads the stack's files in the project.
    fn read_sources(&self) -> Result<StackSources> {
        StackSources::read(&self.root, self.name(), self.environment(), self.settings.files.as_deref())
    }

    /// Returns the digest of the archive of the project's own files.
    pub(super) fn own_files(&self) -> Result<Digest> {
        Ok(plan::pack_sources(&self.read_sources()?, &self.plan.work)?.digest)
    }

    /// Refuses files that break the contract with Slipway, or that a protected environment may not be given.
    pub(crate) fn check_files(&self, configuration: &Configuration) -> Result<()> {
        files::check(
            &configuration.sources,
            self.name(),
            self.environment(),
            &self.environment_settings,
            !self.settings.functions.is_empty(),
        )
    }

    /// Refuses files of the stack, settings and keys that are not committed, where the environment is protected. Where git
    /// cannot say, that is refused, too.
    pub(super) fn refuse_uncommitted(&self) -> Result<()> {
        let (environment, settings) = (self.environment(), &self.environment_settings);
        if let (true, Some(why)) = (settings.protected, &self.unknown_commit) {
            return Err(Failure::refused(format!(
                "{environment} is protected, and git cannot say whether the files of `{}` are committed",
                self.name()
            ))
            .detail("git", why.clone())
            .unchanged("Nothing was changed.")
            .hint("repair what git says: git status shows the same error"));
        }
        let commit = self.commit.as_ref();
        let files = commit.map(|commit| commit.uncommitted.as_slice()).unwrap_or_default();
        let files = files.iter().map(|(file, why)| Uncommitted::File(file, *why));
        let stack = commit.is_some_and(|commit| commit.dirty).then_some(Uncommitted::Stack(self.name()));
        refuse_uncommitted(environment, settings, files.chain(stack))
    }

    /// Returns the ledger entry of a deployment that is about to begin.
    pub(crate) fn started(
        &self,
        kind: DeploymentKind,
        last: Option<&Ended>,
        will: BTreeMap<FunctionName, PlannedRelease>,
    ) -> Started {
        Started {
            schema: ledger::SCHEMA.into(),
            deployment: last.map_or(0, |last| last.deployment) + 1,
            stack: self.name().clone(),
            environment: self.environment().clone(),
            kind,
            serves: last.map(|last| last.serves.clone()).unwrap_or_default(),
            will,
            by: self.by.clone(),
            caller: self.caller.clone(),
            previous: last.and_then(|last| last.stored.0),
            run_url: self.run_url.clone(),
            holder: Holder { since: Some(self.clock.real_time()), ..self.holder.clone() },
            trust: Some(self.trust_record(last)),
            plan: None,
            origin: None,
            at: self.clock.now(),
        }
    }

    /// Renews the deploy lock's lease until the returned guard is dropped.
    pub(crate) fn keep_lease(&self, deployment: u64) -> LeaseKeeper {
        let (lease, clock) = (self.ledger.lease(), self.clock.clone());
        LeaseKeeper(tokio::spawn(async move {
            loop {
                // A renewal that fails is repeated with the next one.
                let _ = lease.renew(deployment, clock.as_ref()).await;
                tokio::time::sleep(Duration::from_secs(ledger::RENEW_EVERY)).await;
            }
        }))
    }
}

/// Renews a lease until it is dropped.
pub(crate) struct LeaseKeeper(tokio::task::JoinHandle<()>);

impl Drop for LeaseKeeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::{Scene, deploy_request};
    use crate::delivery::{DeployRequest, deliver};
    use crate::failure::FailureKind;

    #[tokio::test]
    async fn files_whose_commit_is_not_known_or_does_not_hold_them_are_refused_where_it_is_protected() {
        for protected in [true, false] {
            let mut scene = Scene::new(protected);
            scene.deploy_new_releases().await;
            let request = DeployRequest { always_plan: true, ..deploy_request(BTreeMap::new()) };
            let mut stack = scene.stack(true);
            stack.unknown_commit = Some("the index is broken".into());
            let unknown = deliver(&stack, &request).await;
            let mut stack = scene.stack(true);
            let uncommitted = vec![("pipelines/project.toml".to_owned(), NotCommitted::Changed)];
            stack.commit = Some(StackCommit { commit: "9040e95".into(), dirty: false, uncommitted });
            let changed = deliver(&stack, &request).await;
            if !protected {
                assert!(unknown.is_ok() && changed.is_ok());
                continue;
            }
            let unknown = unknown.unwrap_err();
            assert_eq!(unknown.kind(), FailureKind::Refused);
            assert!(unknown.message().contains("git cannot say whether"), "{unknown}");
            assert_eq!(
                changed.unwrap_err().message(),
                "dev is protected and pipelines/project.toml has changes that are not committed"
            );
        }
    }
}

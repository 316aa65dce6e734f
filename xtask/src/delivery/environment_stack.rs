//! A stack: one stack in one environment, with everything that delivering to it needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::failure::Result;
use crate::interrupt::Interrupt;
use crate::ledger::{self, Choice, DeploymentKind, Ended, Holder, Ledger, Started};
use crate::name::{EnvironmentName, FunctionName, StackName};
use crate::plan::Infrastructure;
use crate::plan::{self, Claim, CodePlaces, Configuration, Inputs, PlanContext, ReleaseInput, WorkLock};
use crate::ports::{Approver, Clock, Functions, Services, Store};
use crate::progress::Progress;
use crate::release::{self, Catalogue, Manifest, Trust};
use crate::settings::{EnvironmentSettings, StackSettings};

/// Where the stack's files stand in git.
#[derive(Debug, Clone)]
pub(crate) struct StackCommit {
    /// 40 hex characters.
    pub(crate) commit: String,
    /// Whether they differ from it.
    pub(crate) dirty: bool,
}

/// One stack in one environment.
pub(crate) struct EnvironmentStack {
    /// Stack, environment, work folder and backend: what Terraform needs whichever releases it is given.
    pub(crate) plan: Arc<PlanContext>,
    /// The environment's settings.
    pub(crate) environment_settings: EnvironmentSettings,
    /// Whose signatures count there.
    pub(crate) trust: Trust,
    /// The stack's settings.
    pub(crate) settings: StackSettings,
    /// The project's folder.
    pub(crate) root: PathBuf,
    /// The stack's ledger.
    pub(crate) ledger: Ledger,
    /// The environment's own store: state, ledger, configurations.
    pub(crate) store: Arc<dyn Store>,
    /// The releases.
    pub(crate) catalogue: Catalogue,
    /// The bucket that Lambda takes code from.
    pub(crate) places: CodePlaces,
    /// The environment's functions.
    pub(crate) functions: Arc<dyn Functions>,
    /// What else the environment's account answers.
    pub(crate) services: Arc<dyn Services>,
    /// Terraform.
    pub(crate) infrastructure: Arc<dyn Infrastructure>,
    /// Who says yes.
    pub(crate) approver: Arc<dyn Approver>,
    /// What time it is.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where events go.
    pub(crate) progress: Progress,
    /// Signals.
    pub(crate) interrupt: Interrupt,
    /// This process.
    pub(crate) holder: Holder,
    /// Who is at work.
    pub(crate) by: String,
    /// The CI run.
    pub(crate) run_url: Option<String>,
    /// Where the stack's files stand in git.
    pub(crate) commit: Option<StackCommit>,
    /// Whether everything is shown.
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

    /// Takes the stack's work folder on this machine for this run alone.
    pub(crate) async fn lock_work(&self) -> Result<WorkLock> {
        let place = format!("`{}` in {}", self.name(), self.environment());
        let claim = Claim {
            work: &self.plan.work,
            place,
            by: &self.by,
            timeout: self.plan.lock_timeout,
            progress: &self.progress,
            interrupt: &self.interrupt,
        };
        WorkLock::take(claim).await
    }

    /// Refuses a release that this environment does not trust, whatever else is asked of it.
    pub(crate) async fn check_trust(&self, manifest: &Manifest) -> Result<()> {
        release::trusted(&self.catalogue, manifest, &self.trust, self.environment()).await
    }

    /// Checks that what a release consists of is in the store: to the last byte where signatures are required.
    pub(crate) async fn check_bytes(&self, manifest: &Manifest) -> Result<()> {
        self.catalogue.check_artifact(manifest).await?;
        if self.trust.required { release::whole(&self.catalogue, manifest).await } else { Ok(()) }
    }

    /// Reads the values that the stack takes from other stacks, as its files below a root say.
    pub(crate) async fn inputs(&self, root: &Path) -> Result<Inputs> {
        let wanted = if root == self.root {
            self.settings.inputs.clone()
        } else {
            StackSettings::of_copy(root, self.name())?.inputs
        };
        plan::read_inputs(self.store.as_ref(), self.name(), self.environment(), &wanted).await
    }

    /// Prepares the stack's files below a root for Terraform, with these releases and values from other stacks.
    pub(crate) fn configure(
        &self,
        lock: &WorkLock,
        root: &Path,
        releases: &BTreeMap<FunctionName, Manifest>,
        inputs: Inputs,
    ) -> Result<Configuration> {
        let releases: BTreeMap<FunctionName, ReleaseInput> = releases
            .iter()
            .filter(|(function, _)| self.settings.functions.contains(function))
            .map(|(function, manifest)| (function.clone(), ReleaseInput::new(manifest, &self.places)))
            .collect();
        plan::prepare(&self.plan, root, &releases, inputs, lock)
    }

    /// Makes the ledger's entry of a deployment that is about to begin.
    pub(crate) fn started(
        &self,
        kind: DeploymentKind,
        last: Option<&Ended>,
        will: BTreeMap<FunctionName, Choice>,
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
            run_url: self.run_url.clone(),
            holder: Holder { since: Some(self.clock.real_time()), ..self.holder.clone() },
            at: self.clock.now(),
        }
    }

    /// Renews the deploy lock's lease until the returned guard is dropped.
    pub(crate) fn keep_lease(&self, deployment: u64) -> LeaseKeeper {
        let (lease, clock) = (self.ledger.lease(), self.clock.clone());
        LeaseKeeper(tokio::spawn(async move {
            loop {
                // A lease that cannot be renewed now is renewed at the next turn.
                let _ = lease.renew(deployment, clock.as_ref()).await;
                tokio::time::sleep(Duration::from_secs(ledger::RENEW_EVERY)).await;
            }
        }))
    }
}

/// Renews a lease while it lives.
pub(crate) struct LeaseKeeper(tokio::task::JoinHandle<()>);

impl Drop for LeaseKeeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

//! Opens an environment's account: its stores, its functions, and what Terraform needs to reach it.

mod cloud;
mod emulated;

use std::sync::Arc;

use slipway_cloud::{Call, Observer, Session, SessionConfig};

pub(super) use self::cloud::refuse_other_state;
use super::AppContext;
use super::ports::explain;
use super::registries::AnyRegistry;
use crate::emulator;
use crate::failure::{Failure, Result};
use crate::ledger::Ledger;
use crate::name::{EnvironmentName, StackName};
use crate::ownership::ProjectIdentity;
use crate::plan::{Backend, CodePlaces, FunctionOutput};
use crate::ports::{Functions, Quotas, Services, Store};
use crate::release::Catalogue;
use crate::settings::EnvironmentAccount;

/// An environment's account, with the store that its releases come from.
pub(crate) struct Account {
    /// The releases.
    pub(crate) catalogue: Catalogue,
    /// Where Lambda reads code from.
    pub(crate) places: CodePlaces,
    /// The environment's own store.
    pub(crate) state: Arc<dyn Store>,
    /// The same bucket without the prefix of its keys, where there is one.
    unprefixed_state: Option<Arc<dyn Store>>,
    /// The environment's functions.
    pub(crate) functions: Arc<dyn Functions>,
    /// Other services of the account.
    pub(crate) services: Arc<dyn Services>,
    /// What the account may have, and has.
    pub(crate) quotas: Arc<dyn Quotas>,
    /// The gateway of an emulated account: addresses of the cloud are reached through it.
    pub(crate) gateway: Option<String>,
    /// Where Terraform keeps its state.
    pub(crate) backend: Backend,
    /// Environment variables for Terraform.
    pub(crate) variables: Vec<(String, String)>,
    /// Whether the caller may read Terraform's states: the reading role may not, they have secrets.
    pub(crate) reads_states: bool,
    /// The ARN of the caller; `None` where the account is emulated.
    pub(crate) caller: Option<String>,
    /// Whether it is emulated. Its releases get no git tags.
    pub(crate) emulated: bool,
    /// The project that its ledgers and releases have to belong to.
    pub(crate) project: ProjectIdentity,
}

impl Account {
    /// Opens a stack's ledger, which has to be this project's.
    pub(crate) fn ledger(&self, environment: &EnvironmentName, stack: &StackName) -> Ledger {
        let ledger =
            Ledger::new(self.state.clone(), environment.clone(), stack.clone()).of_project(&self.project);
        match &self.unprefixed_state {
            Some(store) => ledger.unless_in(store.clone()),
            None => ledger,
        }
    }

    /// Returns a function's address as seen from this machine; `None` if it has none.
    pub(crate) fn address(&self, output: &FunctionOutput) -> Option<String> {
        let url = output.url.as_deref()?;
        Some(match &self.gateway {
            Some(gateway) => slipway_local::local_address(gateway, url),
            None => url.to_owned(),
        })
    }
}

/// With which role an environment's account is opened.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access {
    /// With `role`, which plans and deploys.
    Deploy,
    /// With `read_role`, where the environment names one: it reads the ledger and what serves, and neither states nor secrets.
    Read,
}

impl AppContext {
    /// Opens an environment's account; starts the local environment if it is not running.
    pub(crate) async fn account(&self, environment: &EnvironmentName) -> Result<Account> {
        self.open_account(environment, Access::Deploy).await
    }

    /// Opens an environment's account to read its ledger and what serves; starts the local environment if it is not running.
    pub(crate) async fn reading_account(&self, environment: &EnvironmentName) -> Result<Account> {
        self.open_account(environment, Access::Read).await
    }

    async fn open_account(&self, environment: &EnvironmentName, access: Access) -> Result<Account> {
        match &self.project.environment(environment)?.account {
            EnvironmentAccount::Emulated => {
                let state = emulator::up(
                    &self.project,
                    &self.process_env,
                    &self.tools,
                    &self.progress,
                    emulator::Ports::default(),
                )
                .await?;
                self.local_account(environment, &state).await
            }
            EnvironmentAccount::Cloud(cloud) => self.cloud_account(environment, cloud, access).await,
        }
    }

    /// Opens an environment's account without starting anything; `None` if the local environment is not running.
    pub(crate) async fn account_if_there(&self, environment: &EnvironmentName) -> Result<Option<Account>> {
        self.open_account_if_there(environment, Access::Deploy).await
    }

    /// Opens an environment's account as [`Self::reading_account`] does, without starting anything; `None` if the local
    /// environment is not running.
    pub(crate) async fn reading_account_if_there(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<Account>> {
        self.open_account_if_there(environment, Access::Read).await
    }

    async fn open_account_if_there(
        &self,
        environment: &EnvironmentName,
        access: Access,
    ) -> Result<Option<Account>> {
        match &self.project.environment(environment)?.account {
            EnvironmentAccount::Emulated => match emulator::find(&emulator::folder(&self.project)).await? {
                slipway_local::Status::Running(state) => {
                    self.local_account(environment, &state).await.map(Some)
                }
                slipway_local::Status::Stopped => Ok(None),
                slipway_local::Status::Broken { dead, .. } => {
                    let hint = emulator::restart_hint(&dead);
                    let dead: Vec<String> =
                        dead.iter().map(|dead| format!("{} ({})", dead.component, dead.reason)).collect();
                    Err(Failure::failed(format!(
                        "a part of the local environment is dead: {}",
                        dead.join(", ")
                    ))
                    .hint(hint))
                }
            },
            EnvironmentAccount::Cloud(cloud) => {
                self.cloud_account(environment, cloud, access).await.map(Some)
            }
        }
    }

    /// Opens the catalogue of an environment's releases; without an environment, the catalogue of the project's store.
    pub(crate) async fn catalogue(&self, environment: Option<&EnvironmentName>) -> Result<Catalogue> {
        match environment {
            Some(environment) => Ok(self.account(environment).await?.catalogue),
            None => {
                let (session, settings) = self.store_session().await?;
                self.cloud_catalogue(&session, &settings)
            }
        }
    }

    /// Opens a catalogue without starting anything. Without an environment and a store, it is that of the local environment.
    pub(crate) async fn catalogue_if_there(
        &self,
        environment: Option<&EnvironmentName>,
    ) -> Result<Option<Catalogue>> {
        match self.project.store_environment(environment) {
            Some(environment) => {
                Ok(self.account_if_there(environment).await?.map(|account| account.catalogue))
            }
            None => self.catalogue(None).await.map(Some),
        }
    }

    /// Opens a catalogue as [`Self::catalogue_if_there`] does; fails if it does not exist.
    pub(crate) async fn catalogue_of(&self, environment: Option<&EnvironmentName>) -> Result<Catalogue> {
        self.catalogue_if_there(environment).await?.ok_or_else(|| {
            Failure::failed("the local environment is not running, and its data is lost")
                .hint("cargo xtask release --env local starts it; --env names another environment")
        })
    }

    /// Returns the registries of base images.
    pub(crate) fn bases(&self) -> AnyRegistry {
        AnyRegistry::new(self.process_env.clone(), self.interrupt.clone(), self.observer())
    }

    /// Returns an observer that records every call in the run's events.
    fn observer(&self) -> Observer {
        let progress = self.progress.clone();
        Arc::new(move |call: Call| {
            let outcome = match &call.outcome {
                slipway_cloud::CallOutcome::Succeeded => "ok".to_owned(),
                slipway_cloud::CallOutcome::Failed { kind, code } => {
                    code.clone().unwrap_or_else(|| format!("{kind:?}"))
                }
            };
            progress.call(call.service, call.operation, &call.subject, call.took, &outcome);
        })
    }

    pub(super) async fn session(&self, target: SessionConfig) -> Result<Session> {
        Session::open(target, Some(self.observer())).await.map_err(explain)
    }
}

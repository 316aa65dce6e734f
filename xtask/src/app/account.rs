//! An environment's account, opened: its stores, functions and what Terraform needs to reach it.

use std::sync::Arc;

use slipway_cloud::{AssumeRole, Call, Credentials, ObjectStore, Observer, Ownership, Session, Target};

use super::ports::{Bucket, Lambda, Open, explain};
use super::registries::{Amazon, AnyRegistry, Repositories, docker_credentials, is_ecr};
use super::{AppContext, role};
use crate::emulator;
use crate::failure::{Failure, Result};
use crate::name::EnvironmentName;
use crate::plan::{Backend, CodePlaces, FunctionOutput};
use crate::ports::{Functions, Images, Services, Store};
use crate::release::Catalogue;
use crate::settings::{Cloud, EnvironmentSettings, Place, StoreSettings};

/// An environment's account, with the store that its releases come from.
pub(crate) struct Account {
    /// The releases.
    pub(crate) catalogue: Catalogue,
    /// Where Lambda takes code from.
    pub(crate) places: CodePlaces,
    /// The environment's own store.
    pub(crate) state: Arc<dyn Store>,
    /// The environment's functions.
    pub(crate) functions: Arc<dyn Functions>,
    /// What else the account answers.
    pub(crate) services: Arc<dyn Services>,
    /// The gateway, where an emulator stands for the account: addresses of the cloud are reached through it.
    pub(crate) gateway: Option<String>,
    /// Where Terraform keeps state.
    pub(crate) backend: Backend,
    /// What Terraform's process gets.
    pub(crate) variables: Vec<(String, String)>,
    /// Whether it is emulated: releases get no tags there.
    pub(crate) emulated: bool,
}

impl Account {
    /// Returns the address that a function is reached at from this machine; nothing where it has none.
    pub(crate) fn address(&self, output: &FunctionOutput) -> Option<String> {
        let url = output.url.as_deref()?;
        Some(match &self.gateway {
            Some(gateway) => slipway_local::local_address(gateway, url),
            None => url.to_owned(),
        })
    }
}

impl AppContext {
    /// Opens an environment's account; the local one is started where it does not run.
    pub(crate) async fn account(&self, environment: &EnvironmentName) -> Result<Account> {
        match &self.project.environment(environment)?.place {
            Place::Emulated => {
                let state = emulator::up(
                    &self.project,
                    &self.surroundings,
                    &self.tools,
                    &self.progress,
                    emulator::Ports::default(),
                )
                .await?;
                self.local_account(&state).await
            }
            Place::Cloud(cloud) => self.cloud_account(environment, cloud).await,
        }
    }

    /// Opens an environment's account for looking only: nothing is started, and nothing is said where it does not run.
    pub(crate) async fn account_if_there(&self, environment: &EnvironmentName) -> Result<Option<Account>> {
        match &self.project.environment(environment)?.place {
            Place::Emulated => match emulator::find(&emulator::folder(&self.project)).await? {
                slipway_local::Status::Running(state) => self.local_account(&state).await.map(Some),
                slipway_local::Status::Stopped => Ok(None),
                slipway_local::Status::Broken { dead, .. } => {
                    let dead: Vec<String> =
                        dead.iter().map(|dead| format!("{} ({})", dead.what, dead.why)).collect();
                    Err(Failure::failed(format!(
                        "a part of the local environment is dead: {}",
                        dead.join(", ")
                    ))
                    .hint("cargo xtask local up starts it anew; what a dead emulator held is gone"))
                }
            },
            Place::Cloud(cloud) => self.cloud_account(environment, cloud).await.map(Some),
        }
    }

    /// Opens the catalogue that an environment's releases come from; the project's own store where none is named.
    pub(crate) async fn catalogue(&self, environment: Option<&EnvironmentName>) -> Result<Catalogue> {
        match environment {
            Some(environment) => Ok(self.account(environment).await?.catalogue),
            None => {
                let (session, settings) = self.store_session().await?;
                self.cloud_catalogue(&session, &settings)
            }
        }
    }

    /// Opens a catalogue for looking only. Without a word, and without a store in the cloud, the local one is meant.
    pub(crate) async fn catalogue_if_there(
        &self,
        environment: Option<&EnvironmentName>,
    ) -> Result<Option<Catalogue>> {
        let local = || {
            let emulated = |settings: &EnvironmentSettings| matches!(settings.place, Place::Emulated);
            let mut environments = self.project.environments.iter();
            environments.find(|(_, settings)| emulated(settings)).map(|(name, _)| name)
        };
        match environment.or_else(|| local().filter(|_| self.project.settings.store.is_none())) {
            Some(environment) => {
                Ok(self.account_if_there(environment).await?.map(|account| account.catalogue))
            }
            None => self.catalogue(None).await.map(Some),
        }
    }

    /// The same, for a command that has nothing to say without releases.
    pub(crate) async fn catalogue_of(&self, environment: Option<&EnvironmentName>) -> Result<Catalogue> {
        let found = self.catalogue_if_there(environment).await.map_err(|failure| {
            // Whoever releases to the local environment alone has no store in the cloud to look into.
            if environment.is_none() && failure.report().message.starts_with("no credentials") {
                failure.hint("sign in first, or name the environment whose store is meant, as in --env local")
            } else {
                failure
            }
        });
        found?.ok_or_else(|| {
            Failure::failed("the local environment does not run, and what it held is gone")
                .hint("cargo xtask release --env local brings it up; --env names another environment")
        })
    }

    async fn local_account(&self, state: &slipway_local::State) -> Result<Account> {
        let credentials = Credentials::Static {
            access_key_id: state.access_key_id.clone(),
            secret_access_key: state.secret_access_key.clone(),
            session_token: state.session_token.clone(),
        };
        let target = Target {
            region: state.region.clone(),
            credentials,
            assume_role: None,
            // The gateway stands before all of the emulator: it answers Invoke, and keeps conditional writes atomic.
            endpoint: Some(state.gateway.url.clone()),
            lambda_endpoint: None,
        };
        let session = self.session(target).await?;
        let bucket = emulator::store_bucket(&self.project, &state.account);
        let state_bucket = format!("{}-{}-local-state", self.project.settings.name, state.account);
        let (store, own) = (session.store(&bucket, None), session.store(&state_bucket, None));
        self.make_buckets(state, &store, &own).await?;
        let mut variables = session.environment().await.map_err(explain)?;
        // A profile or a certificate bundle of the user's would lead Terraform away from the emulator.
        variables.extend(
            ["AWS_PROFILE", "AWS_CA_BUNDLE", "HTTP_PROXY", "http_proxy"]
                .map(|name| (name.to_owned(), String::new())),
        );
        let project = &self.project.settings.name;
        let images = Repositories::new(
            &format!("{}/{project}", state.registry()),
            Arc::new(slipway_cloud::Anonymous),
            None,
            self.observer(),
        )?;
        Ok(Account {
            catalogue: Catalogue::new(Arc::new(Bucket(store))).with_images(Some(Arc::new(images))),
            places: CodePlaces {
                bucket,
                // As Amazon's registry of that account would be called: the gateway looks at repository and digest alone,
                // because its port may be another one tomorrow.
                registry: Some(format!("{}/{project}", state.image_host())),
            },
            state: Arc::new(Bucket(own)),
            functions: Arc::new(Lambda(session.functions())),
            services: Arc::new(Open(session)),
            gateway: Some(state.gateway.url.clone()),
            backend: Backend {
                bucket: state_bucket,
                region: state.region.clone(),
                account: state.account.clone(),
                lock_table: None,
                endpoint: Some(state.gateway.url.clone()),
            },
            variables,
            emulated: true,
        })
    }

    /// Makes the local environment's buckets, once for each start of the emulator.
    async fn make_buckets(
        &self,
        state: &slipway_local::State,
        store: &ObjectStore,
        own: &ObjectStore,
    ) -> Result<()> {
        let mark = emulator::folder(&self.project).join("buckets");
        let made_for = format!("{} {} {}", state.emulator.url, state.account, state.started_at);
        if std::fs::read_to_string(&mark).is_ok_and(|known| known == made_for) {
            return Ok(());
        }
        futures::try_join!(store.create_bucket(true), own.create_bucket(true)).map_err(explain)?;
        // Only a saving of time: without the mark they are looked for again.
        let _ = std::fs::write(&mark, made_for);
        Ok(())
    }

    async fn cloud_account(&self, environment: &EnvironmentName, cloud: &Cloud) -> Result<Account> {
        let mut role =
            cloud.role.clone().map(|arn| AssumeRole { arn, session_name: format!("slipway-{environment}") });
        if let Some(wanted) = &role {
            let own = self.session(self.cloud_target(&cloud.region, None)).await?;
            let identity = own.identity().await.map_err(explain)?;
            if role::is_held(&identity.arn, &wanted.arn) {
                role = None;
            }
        }
        let session = self.session(self.cloud_target(&cloud.region, role)).await?;
        let identity = session.identity().await.map_err(explain)?;
        if identity.account != cloud.account {
            return Err(Failure::refused(format!(
                "these credentials do not lead into the account of {environment}"
            ))
            .detail("wanted", &cloud.account)
            .detail("got", format!("{} ({})", identity.account, identity.arn))
            .unchanged("Nothing was changed.")
            .hint(format!(
                "sign in to the account that terraform/environments/{environment}/environment.toml names"
            )));
        }
        let state = session.store(&cloud.state_bucket, None);
        match state.ownership(&cloud.account).await.map_err(explain)? {
            // Where it is missing, whoever needs it says so, and how it is made.
            Ownership::Own | Ownership::Missing => {}
            Ownership::Another => {
                return Err(self.foreign_bucket(environment, cloud, "is another account's"));
            }
            Ownership::Closed => {
                return Err(self.foreign_bucket(
                    environment,
                    cloud,
                    "is another account's, or closed to these credentials",
                ));
            }
        }
        let (store_session, settings) = self.store_session().await?;
        Ok(Account {
            places: CodePlaces { bucket: settings.bucket.clone(), registry: settings.repositories.clone() },
            catalogue: self.cloud_catalogue(&store_session, &settings)?,
            state: Arc::new(Bucket(state)),
            functions: Arc::new(Lambda(session.functions())),
            backend: Backend {
                bucket: cloud.state_bucket.clone(),
                region: cloud.region.clone(),
                account: cloud.account.clone(),
                lock_table: cloud.lock_table.clone(),
                endpoint: self.surroundings.get("AWS_ENDPOINT_URL").map(str::to_owned),
            },
            variables: session.environment().await.map_err(explain)?,
            services: Arc::new(Open(session)),
            // Whoever sends the calls to an emulator finds there what answers the addresses: not at AWS.
            gateway: self.surroundings.get("AWS_ENDPOINT_URL").map(str::to_owned),
            emulated: false,
        })
    }

    /// Makes the refusal of a state bucket that is not of its environment's account.
    fn foreign_bucket(&self, environment: &EnvironmentName, cloud: &Cloud, what: &str) -> Failure {
        let bucket = &cloud.state_bucket;
        let file = format!("terraform/environments/{environment}/environment.toml");
        Failure::refused(format!("the state bucket {bucket} of {environment} {what}"))
            .detail("wanted", format!("a bucket of {}, the account of {environment}", cloud.account))
            .detail("got", self.likely_owner(cloud))
            .unchanged("Nothing was read or written there.")
            .hint(format!(
                "[state] of {file} must name a bucket of that account: cargo xtask bootstrap --env {environment} makes it"
            ))
    }

    /// Says whose bucket it seems to be: S3 tells nobody, but another environment's settings or its own name may.
    fn likely_owner(&self, cloud: &Cloud) -> String {
        let bucket = &cloud.state_bucket;
        let clouds = self.project.environments.iter().filter_map(|(name, other)| match &other.place {
            Place::Cloud(other) => Some((name, other)),
            Place::Emulated => None,
        });
        let named =
            clouds.filter(|(_, other)| other.state_bucket == *bucket && other.account != cloud.account);
        if let Some((name, other)) = named.into_iter().next() {
            return format!("one of {}, as the environment {name} has it", other.account);
        }
        let account = |part: &&str| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit());
        match bucket.split(['-', '.']).find(account).filter(|account| *account != cloud.account) {
            Some(account) => format!("one of {account}, as its name has it"),
            None => "one of an account that S3 does not tell".into(),
        }
    }

    fn cloud_catalogue(&self, session: &Session, settings: &StoreSettings) -> Result<Catalogue> {
        let images =
            settings.repositories.as_deref().map(|place| self.repositories(session, settings, place));
        let store = session.store(&settings.bucket, settings.kms_key.clone());
        Ok(Catalogue::new(Arc::new(Bucket(store))).with_images(images.transpose()?))
    }

    fn repositories(
        &self,
        session: &Session,
        settings: &StoreSettings,
        place: &str,
    ) -> Result<Arc<dyn Images>> {
        let host = place.split('/').next().unwrap_or(place);
        let (credentials, amazon) = if is_ecr(host) {
            let ecr = session.ecr(host).map_err(explain)?;
            let (create, refuse) = (settings.create_repositories, settings.refuse_findings);
            (ecr.credentials(), Some(Amazon { ecr, create, refuse }))
        } else {
            (docker_credentials(&self.surroundings, &self.interrupt)?, None)
        };
        Ok(Arc::new(Repositories::new(place, credentials, amazon, self.observer())?))
    }

    /// Returns where base images come from.
    pub(crate) fn bases(&self) -> AnyRegistry {
        AnyRegistry::new(self.surroundings.clone(), self.interrupt.clone(), self.observer())
    }

    pub(super) async fn store_session(&self) -> Result<(Session, StoreSettings)> {
        let settings = self.project.settings.store.clone().ok_or_else(|| {
            Failure::usage("pipelines/project.toml has no [store]: releases have no place")
                .hint("add [store] with account, region and bucket, or use --env local, which brings its own")
        })?;
        let role = settings.role.clone().map(|arn| AssumeRole { arn, session_name: "slipway-store".into() });
        let session = self.session(self.cloud_target(&settings.region, role)).await?;
        Ok((session, settings))
    }

    pub(super) fn cloud_target(&self, region: &str, assume_role: Option<AssumeRole>) -> Target {
        let endpoint = |name: &str| self.surroundings.get(name).map(str::to_owned);
        Target {
            region: region.to_owned(),
            credentials: Credentials::Ambient { profile: None },
            assume_role,
            endpoint: endpoint("AWS_ENDPOINT_URL"),
            lambda_endpoint: endpoint("AWS_ENDPOINT_URL_LAMBDA"),
        }
    }

    /// Returns who writes every call into the run's record.
    fn observer(&self) -> Observer {
        let progress = self.progress.clone();
        Arc::new(move |call: Call| {
            let outcome = match &call.outcome {
                slipway_cloud::Outcome::Done => "ok".to_owned(),
                slipway_cloud::Outcome::Failed { kind, code } => {
                    code.clone().unwrap_or_else(|| format!("{kind:?}"))
                }
            };
            progress.call(call.service, call.operation, &call.subject, call.took, &outcome);
        })
    }

    pub(super) async fn session(&self, target: Target) -> Result<Session> {
        Session::open(target, Some(self.observer())).await.map_err(explain)
    }
}

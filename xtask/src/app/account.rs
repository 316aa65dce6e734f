//! Opens an environment's account: its stores, its functions, and what Terraform needs to reach it.

use std::sync::Arc;

use slipway_cloud::{
    AssumeRole, Call, Credentials, ObjectStore, Observer, Ownership, Session, SessionConfig,
};

use super::ports::{AccountServices, Bucket, Lambda, explain};
use super::registries::{AnyRegistry, EcrRegistry, Repositories, docker_credentials};
use super::{AppContext, role};
use crate::emulator;
use crate::failure::{Failure, Result};
use crate::ledger::Ledger;
use crate::name::{EnvironmentName, StackName};
use crate::ownership::ProjectIdentity;
use crate::partition::EcrHost;
use crate::plan::{Backend, CodePlaces, FunctionOutput};
use crate::ports::{Functions, Images, Services, Store};
use crate::release::Catalogue;
use crate::settings::{CloudAccount, EnvironmentAccount, ProcessEnvironment, StoreSettings};

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
    /// The gateway of an emulated account: addresses of the cloud are reached through it.
    pub(crate) gateway: Option<String>,
    /// Where Terraform keeps its state.
    pub(crate) backend: Backend,
    /// Environment variables for Terraform.
    pub(crate) variables: Vec<(String, String)>,
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

impl AppContext {
    /// Opens an environment's account; starts the local environment if it is not running.
    pub(crate) async fn account(&self, environment: &EnvironmentName) -> Result<Account> {
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
                self.local_account(&state).await
            }
            EnvironmentAccount::Cloud(cloud) => self.cloud_account(environment, cloud).await,
        }
    }

    /// Opens an environment's account without starting anything; `None` if the local environment is not running.
    pub(crate) async fn account_if_there(&self, environment: &EnvironmentName) -> Result<Option<Account>> {
        match &self.project.environment(environment)?.account {
            EnvironmentAccount::Emulated => match emulator::find(&emulator::folder(&self.project)).await? {
                slipway_local::Status::Running(state) => self.local_account(&state).await.map(Some),
                slipway_local::Status::Stopped => Ok(None),
                slipway_local::Status::Broken { dead, .. } => {
                    let dead: Vec<String> =
                        dead.iter().map(|dead| format!("{} ({})", dead.component, dead.reason)).collect();
                    Err(Failure::failed(format!(
                        "a part of the local environment is dead: {}",
                        dead.join(", ")
                    ))
                    .hint("cargo xtask local up starts it again; the data of a dead emulator is lost"))
                }
            },
            EnvironmentAccount::Cloud(cloud) => self.cloud_account(environment, cloud).await.map(Some),
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

    async fn local_account(&self, state: &slipway_local::State) -> Result<Account> {
        let credentials = Credentials::Static {
            access_key_id: state.access_key_id.clone(),
            secret_access_key: state.secret_access_key.clone(),
            session_token: state.session_token.clone(),
        };
        let target = SessionConfig {
            region: state.region.clone(),
            credentials,
            assume_role: None,
            // All calls go through the gateway, which implements Invoke and keeps conditional writes atomic.
            endpoint: Some(state.gateway.url.clone()),
            lambda_endpoint: None,
        };
        let session = self.session(target).await?;
        let bucket = emulator::store_bucket(&self.project, &state.account);
        let state_bucket = format!("{}-{}-local-state", self.project.settings.name, state.account);
        let (store, own) = (session.store(&bucket, None), session.store(&state_bucket, None));
        self.make_buckets(state, &store, &own).await?;
        let mut variables = session.environment().await.map_err(explain)?;
        variables.extend(only_local(&self.process_env, &variables));
        let (project, identity) = (&self.project.settings.name, self.identity());
        let images = Repositories::new(
            &format!("{}/{project}", state.registry()),
            Arc::new(slipway_cloud::Anonymous),
            None,
            self.observer(),
        )?;
        Ok(Account {
            catalogue: Catalogue::new(Arc::new(Bucket::new(store, "")))
                .with_images(Some(Arc::new(images)))
                .of_project(&identity)
                .with_tag_prefix(&self.project.settings.tag_prefix),
            places: CodePlaces {
                bucket,
                prefix: String::new(),
                // The name that ECR would have in that account: the gateway compares repository and digest only, because its
                // port may change.
                registry: Some(format!("{}/{project}", state.image_host())),
            },
            state: Arc::new(Bucket::new(own, "")),
            unprefixed_state: None,
            functions: Arc::new(Lambda(session.functions())),
            services: Arc::new(AccountServices(session)),
            gateway: Some(state.gateway.url.clone()),
            backend: Backend {
                bucket: state_bucket,
                prefix: String::new(),
                region: state.region.clone(),
                account: state.account.clone(),
                lock_table: None,
                endpoint: Some(state.gateway.url.clone()),
            },
            variables,
            emulated: true,
            project: identity,
        })
    }

    /// Creates the local environment's buckets, once for each start of the emulator.
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
        // The mark only saves time: without it the buckets are checked again.
        let _ = std::fs::write(&mark, made_for);
        Ok(())
    }

    async fn cloud_account(&self, environment: &EnvironmentName, cloud: &CloudAccount) -> Result<Account> {
        refuse_other_state(&self.process_env)?;
        let mut role =
            cloud.role.clone().map(|arn| AssumeRole { arn, session_name: format!("slipway-{environment}") });
        if let Some(wanted) = &role {
            let own = self.session(self.cloud_target(&cloud.region, None)).await?;
            let identity = own.identity().await.map_err(explain)?;
            if role::is_assumed(&identity.arn, &wanted.arn) {
                role = None;
            }
        }
        let session = self.session(self.cloud_target(&cloud.region, role)).await?;
        let identity = session.identity().await.map_err(explain)?;
        if identity.account != cloud.account {
            return Err(Failure::refused(format!(
                "the credentials are for account {}; {environment} uses {}",
                identity.account, cloud.account
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
            // If it is missing, the command that needs it reports that.
            Ownership::ThisAccount | Ownership::Missing => {}
            Ownership::OtherAccount => {
                return Err(self.foreign_bucket(environment, cloud, "belongs to another account"));
            }
            Ownership::Undetermined => {
                return Err(self.foreign_bucket(
                    environment,
                    cloud,
                    "belongs to another account, or these credentials may not read it",
                ));
            }
        }
        let (store_session, settings) = self.store_session().await?;
        Ok(Account {
            places: CodePlaces {
                bucket: settings.bucket.clone(),
                prefix: settings.prefix.clone(),
                registry: settings.repositories.clone(),
            },
            catalogue: self.cloud_catalogue(&store_session, &settings)?,
            unprefixed_state: (!cloud.state_prefix.is_empty()).then(|| {
                Arc::new(Bucket::new(session.store(&cloud.state_bucket, None), "")) as Arc<dyn Store>
            }),
            state: Arc::new(Bucket::new(state, &cloud.state_prefix)),
            functions: Arc::new(Lambda(session.functions())),
            backend: Backend {
                bucket: cloud.state_bucket.clone(),
                prefix: cloud.state_prefix.clone(),
                region: cloud.region.clone(),
                account: cloud.account.clone(),
                lock_table: cloud.lock_table.clone(),
                endpoint: self.process_env.get("AWS_ENDPOINT_URL").map(str::to_owned),
            },
            variables: session.environment().await.map_err(explain)?,
            services: Arc::new(AccountServices(session)),
            // With an emulator in place of AWS, addresses are reached through it, too.
            gateway: self.process_env.get("AWS_ENDPOINT_URL").map(str::to_owned),
            emulated: false,
            project: self.identity(),
        })
    }

    /// Returns the refusal of a state bucket that belongs to another account.
    fn foreign_bucket(&self, environment: &EnvironmentName, cloud: &CloudAccount, what: &str) -> Failure {
        let bucket = &cloud.state_bucket;
        let file = format!("terraform/environments/{environment}/environment.toml");
        Failure::refused(format!("the state bucket {bucket} of {environment} {what}"))
            .detail("wanted", format!("a bucket of {}, the account of {environment}", cloud.account))
            .detail("got", self.project.probable_bucket_owner(cloud))
            .unchanged("Nothing was read or written there.")
            .hint(format!(
                "[state] of {file} must name a bucket of that account: cargo xtask bootstrap --env {environment} makes it"
            ))
    }

    fn cloud_catalogue(&self, session: &Session, settings: &StoreSettings) -> Result<Catalogue> {
        let images =
            settings.repositories.as_deref().map(|place| self.repositories(session, settings, place));
        let store = session.store(&settings.bucket, settings.kms_key.clone());
        let store = Arc::new(Bucket::new(store, &settings.prefix));
        let tag_prefix = &self.project.settings.tag_prefix;
        let catalogue = Catalogue::new(store).of_project(&self.identity()).with_tag_prefix(tag_prefix);
        Ok(catalogue.with_images(images.transpose()?))
    }

    fn repositories(
        &self,
        session: &Session,
        settings: &StoreSettings,
        place: &str,
    ) -> Result<Arc<dyn Images>> {
        let host = place.split('/').next().unwrap_or(place);
        let (credentials, ecr) = if EcrHost::parse(host).is_some() {
            let api = session.ecr(host).map_err(explain)?;
            let create_missing = settings.create_repositories;
            let refuse_findings = settings.refuse_findings;
            (api.credentials(), Some(EcrRegistry { api, create_missing, refuse_findings }))
        } else {
            (docker_credentials(&self.process_env, &self.interrupt)?, None)
        };
        Ok(Arc::new(Repositories::new(place, credentials, ecr, self.observer())?))
    }

    /// Returns the registries of base images.
    pub(crate) fn bases(&self) -> AnyRegistry {
        AnyRegistry::new(self.process_env.clone(), self.interrupt.clone(), self.observer())
    }

    pub(super) async fn store_session(&self) -> Result<(Session, StoreSettings)> {
        let settings = self.project.settings.store.clone().ok_or_else(|| {
            Failure::usage("pipelines/project.toml has no [store], so there is nowhere to publish releases")
                .hint("add [store] with account, region and bucket, or use --env local, which has its own store")
        })?;
        let role = settings.role.clone().map(|arn| AssumeRole { arn, session_name: "slipway-store".into() });
        let session = self.session(self.cloud_target(&settings.region, role)).await?;
        Ok((session, settings))
    }

    pub(super) fn cloud_target(&self, region: &str, assume_role: Option<AssumeRole>) -> SessionConfig {
        let endpoint = |name: &str| self.process_env.get(name).map(str::to_owned);
        SessionConfig {
            region: region.to_owned(),
            credentials: Credentials::Ambient { profile: None },
            assume_role,
            endpoint: endpoint("AWS_ENDPOINT_URL"),
            lambda_endpoint: endpoint("AWS_ENDPOINT_URL_LAMBDA"),
        }
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

/// Refuses an endpoint for S3 alone: Terraform would keep its state there, and Slipway would read another one.
pub(super) fn refuse_other_state(process: &ProcessEnvironment) -> Result<()> {
    match (process.get("AWS_ENDPOINT_URL_S3"), process.get("AWS_ENDPOINT_URL")) {
        (Some(_), None) => Err(Failure::usage(
            "AWS_ENDPOINT_URL_S3 is set: Terraform would keep its state there, and Slipway would not find it",
        )
        .unchanged("Nothing was changed.")
        .hint("unset it, or set AWS_ENDPOINT_URL, which both use for every service")),
        _ => Ok(()),
    }
}

/// Returns the variables that keep a program on this machine, whatever the user's variables and files say: endpoints of
/// single services, FIPS, dual stack, profiles, a certificate bundle or a proxy would lead it elsewhere. An empty one is
/// removed from the program's environment.
fn only_local(process: &ProcessEnvironment, set: &[(String, String)]) -> Vec<(String, String)> {
    let of_user = process.variables_with_prefix("AWS_").map(|(name, _)| name);
    let removed = of_user
        .filter(|name| !set.iter().any(|(set, _)| set == name))
        .chain(["HTTP_PROXY", "http_proxy"])
        .map(|name| (name.to_owned(), String::new()));
    let files = ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"];
    // Last, so that they win over the removed ones.
    removed.chain(files.map(|name| (name.to_owned(), "/dev/null".to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_at_an_endpoint_that_slipway_does_not_use_is_refused() {
        let check = |set: &[(&str, &str)]| refuse_other_state(&ProcessEnvironment::of(set));
        let (s3, all) = (("AWS_ENDPOINT_URL_S3", "https://a"), ("AWS_ENDPOINT_URL", "https://b"));
        assert!(check(&[s3]).unwrap_err().message().starts_with("AWS_ENDPOINT_URL_S3 is set"));
        assert!(check(&[s3, all]).is_ok() && check(&[all]).is_ok() && check(&[]).is_ok());
    }

    #[test]
    fn local_environment_stays_local_whatever_the_variables_say() {
        let process = ProcessEnvironment::of(&[
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
            ("AWS_USE_FIPS_ENDPOINT", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_CONFIG_FILE", "/home/ada/config"),
            ("PATH", "/bin"),
        ]);
        let set = [("AWS_REGION".to_owned(), "eu-central-1".to_owned())];
        let variables = only_local(&process, &set);
        let of =
            |name: &str| variables.iter().rfind(|(known, _)| known == name).map(|(_, value)| value.as_str());
        for name in ["AWS_ENDPOINT_URL_S3", "AWS_USE_FIPS_ENDPOINT", "HTTP_PROXY"] {
            assert_eq!(of(name), Some(""), "{name}");
        }
        assert_eq!((of("AWS_REGION"), of("PATH"), of("AWS_CONFIG_FILE")), (None, None, Some("/dev/null")));
    }
}

//! An account of AWS: whose credentials and state bucket these are, and the store that releases come from.

use std::sync::Arc;

use slipway_cloud::{AssumeRole, Credentials, Ownership, Session, SessionConfig};

use super::{Access, Account};
use crate::app::ports::{AccountServices, Bucket, Lambda, explain};
use crate::app::registries::{EcrRegistry, Repositories, docker_credentials};
use crate::app::{AppContext, role};
use crate::failure::{Failure, Result};
use crate::name::EnvironmentName;
use crate::partition::EcrHost;
use crate::plan::{Backend, CodePlaces};
use crate::ports::{Images, Store};
use crate::release::Catalogue;
use crate::settings::{CloudAccount, ProcessEnvironment, StoreSettings};

impl AppContext {
    pub(super) async fn cloud_account(
        &self,
        environment: &EnvironmentName,
        cloud: &CloudAccount,
        access: Access,
    ) -> Result<Account> {
        refuse_other_state(&self.process_env)?;
        let wanted = match access {
            Access::Deploy => &cloud.role,
            Access::Read => cloud.read_role.as_ref().map_or(&cloud.role, |_| &cloud.read_role),
        };
        let mut role = wanted.clone().map(|arn| AssumeRole {
            arn,
            session_name: format!("slipway-{environment}"),
            external_id: cloud.external_id.clone(),
        });
        if role.is_some() {
            let own = self.session(self.cloud_target(&cloud.region, None)).await?;
            let identity = own.identity().await.map_err(explain)?;
            if [&cloud.role, wanted].into_iter().flatten().any(|arn| role::is_assumed(&identity.arn, arn)) {
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
            quotas: Arc::new(AccountServices(session.clone(), self.console.clone())),
            services: Arc::new(AccountServices(session, self.console.clone())),
            // With an emulator in place of AWS, addresses are reached through it, too.
            gateway: self.process_env.get("AWS_ENDPOINT_URL").map(str::to_owned),
            reads_states: !cloud
                .read_role
                .as_deref()
                .is_some_and(|role| role::is_session_of(&identity.arn, role)),
            caller: Some(identity.arn),
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

    pub(super) fn cloud_catalogue(&self, session: &Session, settings: &StoreSettings) -> Result<Catalogue> {
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

    pub(in crate::app) async fn store_session(&self) -> Result<(Session, StoreSettings)> {
        let settings = self.project.settings.store.clone().ok_or_else(|| {
            Failure::usage("pipelines/project.toml has no [store], so there is nowhere to publish releases")
                .hint("add [store] with account, region and bucket, or use --env local, which has its own store")
        })?;
        let role = settings.role.clone().map(|arn| AssumeRole {
            arn,
            session_name: "slipway-store".into(),
            external_id: None,
        });
        let session = self.session(self.cloud_target(&settings.region, role)).await?;
        Ok((session, settings))
    }

    pub(in crate::app) fn cloud_target(
        &self,
        region: &str,
        assume_role: Option<AssumeRole>,
    ) -> SessionConfig {
        let endpoint = |name: &str| self.process_env.get(name).map(str::to_owned);
        SessionConfig {
            region: region.to_owned(),
            credentials: Credentials::Ambient { profile: None },
            assume_role,
            endpoint: endpoint("AWS_ENDPOINT_URL"),
            lambda_endpoint: endpoint("AWS_ENDPOINT_URL_LAMBDA"),
        }
    }
}

/// Refuses an endpoint for S3 alone: Terraform would keep its state there, and Slipway would read another one.
pub(in crate::app) fn refuse_other_state(process: &ProcessEnvironment) -> Result<()> {
    match (process.get("AWS_ENDPOINT_URL_S3"), process.get("AWS_ENDPOINT_URL")) {
        (Some(_), None) => Err(Failure::usage(
            "AWS_ENDPOINT_URL_S3 is set: Terraform would keep its state there, and Slipway would not find it",
        )
        .unchanged("Nothing was changed.")
        .hint("unset it, or set AWS_ENDPOINT_URL, which both use for every service")),
        _ => Ok(()),
    }
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
}

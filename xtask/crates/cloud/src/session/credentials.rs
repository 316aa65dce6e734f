//! Credential providers for a session.
//!
//! In: the session's credentials and role. Out: a provider that the SDK asks when it signs its first call. Static
//! credentials read neither profile files nor the instance metadata service. A role is assumed at the first call that
//! needs it, and again before it expires. Where it is refused, the error is that of the `AssumeRole` call, not of the
//! call that needed it.

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::{AssumeRole, Credentials};
use crate::call::ServiceCalls;
use crate::error::{CloudError, CloudErrorKind};

/// Returns the provider of the session's own credentials, before a role is assumed.
pub(super) async fn base_provider(
    credentials: &Credentials,
    region: &Region,
    http: &SharedHttpClient,
) -> SharedCredentialsProvider {
    match credentials {
        Credentials::Static { access_key_id, secret_access_key, session_token } => {
            SharedCredentialsProvider::new(aws_credential_types::Credentials::new(
                access_key_id,
                secret_access_key,
                session_token.clone(),
                None,
                "slipway",
            ))
        }
        Credentials::Ambient { profile } => {
            let config = ProviderConfig::without_region()
                .with_region(Some(region.clone()))
                .with_behavior_version(Some(BehaviorVersion::v2026_01_12()))
                .with_http_client(http.clone());
            let mut chain = DefaultCredentialsChain::builder().configure(config).region(region.clone());
            if let Some(profile) = profile {
                chain = chain.profile_name(profile);
            }
            SharedCredentialsProvider::new(chain.build().await)
        }
    }
}

/// Assumes a role with its client's credentials.
pub(super) struct RoleProvider {
    pub(super) client: aws_sdk_sts::Client,
    pub(super) role: AssumeRole,
    pub(super) calls: ServiceCalls,
}

impl RoleProvider {
    async fn assume(&self) -> Result<aws_credential_types::Credentials, CloudError> {
        let AssumeRole { arn, session_name, external_id } = &self.role;
        let request = self
            .client
            .assume_role()
            .role_arn(arn)
            .role_session_name(session_name)
            .set_external_id(external_id.clone());
        let response = self.calls.run("AssumeRole", arn, request.send()).await?;
        let unreadable = || {
            let context = self.calls.context("AssumeRole", arn);
            CloudError::at(&context, CloudErrorKind::Other, "the response has no usable credentials")
        };
        let given = response.credentials().ok_or_else(unreadable)?;
        let expires = (*given.expiration()).try_into().map_err(|_| unreadable())?;
        Ok(aws_credential_types::Credentials::new(
            given.access_key_id(),
            given.secret_access_key(),
            Some(given.session_token().to_owned()),
            Some(expires),
            "slipway-role",
        ))
    }
}

impl std::fmt::Debug for RoleProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoleProvider").field("role", &self.role).finish_non_exhaustive()
    }
}

impl ProvideCredentials for RoleProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let assumed: provider::Result = self.assume().await.map_err(CredentialsError::provider_error);
            assumed
        })
    }
}

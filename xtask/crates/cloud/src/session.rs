//! A session: one account and region, with the clients for its services.
//!
//! In: a [`SessionConfig`]. Out: a [`Session`]. Opening one sends nothing; each client is created at its first use. Missing
//! credentials, a refused role and an unreachable endpoint are errors of the first call.

mod credentials;
pub(crate) mod transport;

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_s3::config::IdentityCache;

use crate::call::{Observer, ServiceCalls};
use crate::ecr::Ecr;
use crate::error::{CloudError, CloudErrorKind};
use crate::functions::Functions;
use crate::signing::KmsKey;
use crate::store::ObjectStore;
use credentials::RoleProvider;

/// The source of credentials.
#[derive(Clone)]
pub enum Credentials {
    /// The SDK's chain: environment, profile, SSO, web identity, container and instance roles.
    Ambient {
        /// The profile to use instead of `AWS_PROFILE` or the default one.
        profile: Option<String>,
    },
    /// Fixed credentials.
    Static {
        /// The access key's id.
        access_key_id: String,
        /// The access key's secret.
        secret_access_key: String,
        /// The session token of temporary credentials.
        session_token: Option<String>,
    },
}

/// A role to assume with the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumeRole {
    /// The role's ARN.
    pub arn: String,
    /// The session's name in CloudTrail.
    pub session_name: String,
    /// What the role's trust policy asks for in `sts:ExternalId`; `None` sends none.
    pub external_id: Option<String>,
}

/// Where a session's calls go, and with which credentials.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The region, `eu-central-1`.
    pub region: String,
    /// The source of credentials.
    pub credentials: Credentials,
    /// A role to assume with them.
    pub assume_role: Option<AssumeRole>,
    /// The URL of an emulator, for all services.
    pub endpoint: Option<String>,
    /// The URL for calls to Lambda, instead of `endpoint`.
    pub lambda_endpoint: Option<String>,
}

/// The caller that credentials belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account's 12 digits.
    pub account: String,
    /// The ARN of the user or role session.
    pub arn: String,
}

/// One account in one region. Clones share clients and credentials.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

/// What a session's services have in common.
pub(crate) struct Shared {
    config: SessionConfig,
    sdk_config: SdkConfig,
    provider: SharedCredentialsProvider,
    observer: Option<Observer>,
    s3: OnceLock<aws_sdk_s3::Client>,
    lambda: OnceLock<aws_sdk_lambda::Client>,
    sts: OnceLock<aws_sdk_sts::Client>,
    ecr: OnceLock<aws_sdk_ecr::Client>,
    kms: OnceLock<aws_sdk_kms::Client>,
}

impl Session {
    /// Opens a session without a call. The observer sees every later call.
    ///
    /// Profile files are read here only for [`Credentials::Ambient`].
    ///
    /// # Errors
    /// An endpoint that does not start with `http://` or `https://`.
    pub async fn open(config: SessionConfig, observer: Option<Observer>) -> Result<Self, CloudError> {
        for endpoint in [&config.endpoint, &config.lambda_endpoint].into_iter().flatten() {
            if !is_plain_http(endpoint) && !endpoint.starts_with("https://") {
                let message = "an endpoint starts with http:// or https://";
                return Err(CloudError::new(
                    CloudErrorKind::Other,
                    "AWS",
                    "open",
                    endpoint.as_str(),
                    message,
                ));
            }
        }
        let region = Region::new(config.region.clone());
        let http = transport::http_client(needs_no_tls(&config));
        let base = credentials::base_provider(&config.credentials, &region, &http).await;
        let mut sdk_config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(region)
            .http_client(http)
            .retry_config(transport::retries(config.endpoint.as_deref()))
            .timeout_config(transport::timeouts(config.endpoint.as_deref()))
            .identity_cache(IdentityCache::lazy().build())
            .credentials_provider(base.clone());
        if let Ok(name) = AppName::new("slipway") {
            sdk_config = sdk_config.app_name(name);
        }
        if let Some(endpoint) = &config.endpoint {
            sdk_config = sdk_config.endpoint_url(endpoint);
        }
        let mut sdk_config = sdk_config.build();
        let mut provider = base;
        if let Some(role) = config.assume_role.clone() {
            let client = aws_sdk_sts::Client::new(&sdk_config);
            let calls = calls("STS", &config, observer.as_ref());
            provider = SharedCredentialsProvider::new(RoleProvider { client, role, calls });
            sdk_config = sdk_config
                .into_builder()
                .identity_cache(IdentityCache::lazy().build())
                .credentials_provider(provider.clone())
                .build();
        }
        let shared = Shared {
            config,
            sdk_config,
            provider,
            observer,
            s3: OnceLock::new(),
            lambda: OnceLock::new(),
            sts: OnceLock::new(),
            ecr: OnceLock::new(),
            kms: OnceLock::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Returns a bucket's object store. With a key's ARN, id or alias, objects are encrypted with that KMS key.
    pub fn store(&self, bucket: &str, kms_key: Option<String>) -> ObjectStore {
        ObjectStore::new(Arc::clone(&self.shared), bucket, kms_key)
    }

    /// Returns the account's functions.
    pub fn functions(&self) -> Functions {
        Functions::new(Arc::clone(&self.shared))
    }

    /// Returns the ECR registry at `<account>.dkr.ecr.<region>.amazonaws.com`; any other host is taken for an
    /// emulator's.
    ///
    /// # Errors
    /// A host in another region than the session's.
    pub fn ecr(&self, host: &str) -> Result<Ecr, CloudError> {
        Ecr::new(Arc::clone(&self.shared), host)
    }

    /// Returns a signing key by id, ARN or alias, without a call.
    pub fn kms_key(&self, key: &str) -> KmsKey {
        KmsKey::new(Arc::clone(&self.shared), key)
    }

    /// Creates a signing key (ECDSA over P-256) under a new alias, `alias/shop-release`.
    ///
    /// # Errors
    /// [`CloudErrorKind::Conflict`] if the alias exists; nothing is created then.
    pub async fn create_kms_key(&self, alias: &str) -> Result<KmsKey, CloudError> {
        KmsKey::create(Arc::clone(&self.shared), alias).await
    }

    /// Returns the caller that the credentials belong to, from STS.
    ///
    /// # Errors
    /// Missing or refused credentials; an endpoint that does not respond.
    pub async fn identity(&self) -> Result<Identity, CloudError> {
        let calls = self.shared.calls("STS");
        let client = self.shared.sts.get_or_init(|| aws_sdk_sts::Client::new(&self.shared.sdk_config));
        let response = calls.run("GetCallerIdentity", "caller", client.get_caller_identity().send()).await?;
        match (response.account(), response.arn()) {
            (Some(account), Some(arn)) => Ok(Identity { account: account.into(), arn: arn.into() }),
            _ => {
                let context = calls.context("GetCallerIdentity", "caller");
                Err(CloudError::at(&context, CloudErrorKind::Other, "the response has no account"))
            }
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn region(&self) -> &str {
        self.shared.region()
    }

    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.shared.config.endpoint.as_deref()
    }

    pub(crate) fn provider(&self) -> &SharedCredentialsProvider {
        &self.shared.provider
    }

    /// Returns the environment variables that give another program (Terraform) this session's credentials:
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, and where the session has
    /// endpoints, `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_LAMBDA`.
    ///
    /// A role is assumed again, so that the program gets credentials with their full lifetime.
    ///
    /// # Errors
    /// Missing credentials; a role that may not be assumed.
    pub async fn environment(&self) -> Result<Vec<(String, String)>, CloudError> {
        let config = &self.shared.config;
        let credentials = self.shared.provider.provide_credentials().await.map_err(|error| {
            let calls = self.shared.calls("STS");
            CloudError::from_credentials(&calls.context("credentials", "caller"), &error)
        })?;
        let mut variables = vec![
            ("AWS_ACCESS_KEY_ID", credentials.access_key_id()),
            ("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key()),
        ];
        variables.extend(credentials.session_token().map(|token| ("AWS_SESSION_TOKEN", token)));
        variables.push(("AWS_REGION", &config.region));
        variables.extend(config.endpoint.as_deref().map(|url| ("AWS_ENDPOINT_URL", url)));
        variables.extend(config.lambda_endpoint.as_deref().map(|url| ("AWS_ENDPOINT_URL_LAMBDA", url)));
        Ok(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

impl Shared {
    pub(crate) fn region(&self) -> &str {
        &self.config.region
    }

    /// Returns whether calls go to a configured endpoint instead of AWS.
    pub(crate) fn has_endpoint(&self) -> bool {
        self.config.endpoint.is_some()
    }

    pub(crate) fn s3(&self) -> &aws_sdk_s3::Client {
        self.s3.get_or_init(|| {
            use aws_sdk_s3::config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation};
            let config = Builder::from(&self.sdk_config)
                .force_path_style(self.config.endpoint.is_some())
                // The object store sends and compares SHA-256 itself.
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
            aws_sdk_s3::Client::from_conf(config.build())
        })
    }

    pub(crate) fn lambda(&self) -> &aws_sdk_lambda::Client {
        self.lambda.get_or_init(|| {
            let mut config = aws_sdk_lambda::config::Builder::from(&self.sdk_config);
            if let Some(endpoint) = &self.config.lambda_endpoint {
                config = config
                    .endpoint_url(endpoint)
                    .retry_config(transport::retries(Some(endpoint)))
                    .timeout_config(transport::timeouts(Some(endpoint)));
            }
            aws_sdk_lambda::Client::from_conf(config.build())
        })
    }

    pub(crate) fn ecr(&self) -> &aws_sdk_ecr::Client {
        self.ecr.get_or_init(|| aws_sdk_ecr::Client::new(&self.sdk_config))
    }

    pub(crate) fn kms(&self) -> &aws_sdk_kms::Client {
        self.kms.get_or_init(|| aws_sdk_kms::Client::new(&self.sdk_config))
    }

    pub(crate) fn calls(&self, service: &'static str) -> ServiceCalls {
        calls(service, &self.config, self.observer.as_ref())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambient { profile } => f.debug_struct("Ambient").field("profile", profile).finish(),
            Self::Static { access_key_id, .. } => {
                f.debug_struct("Static").field("access_key_id", access_key_id).finish_non_exhaustive()
            }
        }
    }
}

fn calls(service: &'static str, config: &SessionConfig, observer: Option<&Observer>) -> ServiceCalls {
    let own = if service == "Lambda" { config.lambda_endpoint.as_ref() } else { None };
    let endpoint = own.or(config.endpoint.as_ref()).cloned().unwrap_or_else(|| config.region.clone());
    ServiceCalls { service, endpoint, observer: observer.cloned() }
}

/// Returns whether all calls are plain HTTP. Ambient credentials may need SSO or STS, which speak TLS.
fn needs_no_tls(config: &SessionConfig) -> bool {
    matches!(config.credentials, Credentials::Static { .. })
        && config.endpoint.as_deref().is_some_and(is_plain_http)
        && config.lambda_endpoint.as_deref().is_none_or(is_plain_http)
}

fn is_plain_http(endpoint: &str) -> bool {
    endpoint.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_no_secrets() {
        let credentials = Credentials::Static {
            access_key_id: "AKIAEXAMPLE".into(),
            secret_access_key: "hush".into(),
            session_token: Some("quiet".into()),
        };
        let config = SessionConfig {
            region: "eu-central-1".into(),
            credentials,
            assume_role: None,
            endpoint: None,
            lambda_endpoint: None,
        };
        let text = format!("{config:?}");
        assert!(text.contains("AKIAEXAMPLE") && !text.contains("hush") && !text.contains("quiet"), "{text}");
    }
}

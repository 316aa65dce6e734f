//! One account and region, and the clients for it.
//!
//! In: a [`Target`]. Out: a [`Session`]; opening one sends nothing, clients are made when they are first
//! used. What can go wrong shows at the first call: no credentials, a refused role, a dead endpoint.

mod credentials;
pub(crate) mod transport;

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_s3::config::IdentityCache;

use crate::call::{Calls, Observer};
use crate::ecr::Ecr;
use crate::error::{CloudError, Kind};
use crate::functions::Functions;
use crate::signing::KmsKey;
use crate::store::ObjectStore;
use credentials::RoleProvider;

/// Whose credentials are used.
#[derive(Clone)]
pub enum Credentials {
    /// What the SDK's chain finds: environment, profile, SSO, a web identity, container or instance roles.
    Ambient {
        /// The profile to use instead of `AWS_PROFILE` or the default one.
        profile: Option<String>,
    },
    /// These, and no look-up.
    Static {
        /// The public half.
        access_key_id: String,
        /// The secret half.
        secret_access_key: String,
        /// The third part of temporary credentials.
        session_token: Option<String>,
    },
}

/// A role to assume with the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumeRole {
    /// The role's ARN.
    pub arn: String,
    /// What the session is called in the account's trail.
    pub session_name: String,
}

/// Where calls go and as whom.
#[derive(Clone, Debug)]
pub struct Target {
    /// The region, `eu-central-1`.
    pub region: String,
    /// Whose credentials are used.
    pub credentials: Credentials,
    /// A role to assume with them.
    pub assume_role: Option<AssumeRole>,
    /// The URL of an emulator, for all services.
    pub endpoint: Option<String>,
    /// The URL that Lambda's calls go to instead.
    pub lambda_endpoint: Option<String>,
}

/// Who the credentials belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account's 12 digits.
    pub account: String,
    /// The user's or the role session's ARN.
    pub arn: String,
}

/// Open access to one account in one region. Clones share clients and credentials.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

/// What a session's stores and functions have in common.
pub(crate) struct Shared {
    target: Target,
    config: SdkConfig,
    provider: SharedCredentialsProvider,
    observer: Option<Observer>,
    s3: OnceLock<aws_sdk_s3::Client>,
    lambda: OnceLock<aws_sdk_lambda::Client>,
    sts: OnceLock<aws_sdk_sts::Client>,
    ecr: OnceLock<aws_sdk_ecr::Client>,
    kms: OnceLock<aws_sdk_kms::Client>,
}

impl Session {
    /// Settles where calls go and as whom, without a call. The observer sees every call made afterwards.
    ///
    /// Profile files are read here only for [`Credentials::Ambient`].
    ///
    /// # Errors
    /// An endpoint that is no `http://` or `https://` URL is refused.
    pub async fn open(target: Target, observer: Option<Observer>) -> Result<Self, CloudError> {
        for endpoint in [&target.endpoint, &target.lambda_endpoint].into_iter().flatten() {
            if !is_plain(endpoint) && !endpoint.starts_with("https://") {
                let message = "an endpoint starts with http:// or https://";
                return Err(CloudError::new(Kind::Other, "AWS", "open", endpoint.as_str(), message));
            }
        }
        let region = Region::new(target.region.clone());
        let http = transport::http_client(needs_no_tls(&target));
        let base = credentials::base(&target.credentials, &region, &http).await;
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(region)
            .http_client(http)
            .retry_config(transport::retries(target.endpoint.as_deref()))
            .timeout_config(transport::timeouts(target.endpoint.as_deref()))
            .identity_cache(IdentityCache::lazy().build())
            .credentials_provider(base.clone());
        if let Ok(name) = AppName::new("slipway") {
            config = config.app_name(name);
        }
        if let Some(endpoint) = &target.endpoint {
            config = config.endpoint_url(endpoint);
        }
        let mut config = config.build();
        let mut provider = base;
        if let Some(role) = target.assume_role.clone() {
            let client = aws_sdk_sts::Client::new(&config);
            let calls = calls("STS", &target, observer.as_ref());
            provider = SharedCredentialsProvider::new(RoleProvider { client, role, calls });
            config = config
                .into_builder()
                .identity_cache(IdentityCache::lazy().build())
                .credentials_provider(provider.clone())
                .build();
        }
        let shared = Shared {
            target,
            config,
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

    /// Gives access to one bucket. With a key's ARN, id or alias, objects are encrypted with that KMS key.
    pub fn store(&self, bucket: &str, kms_key: Option<String>) -> ObjectStore {
        ObjectStore::new(Arc::clone(&self.shared), bucket, kms_key)
    }

    /// Gives access to the account's functions.
    pub fn functions(&self) -> Functions {
        Functions::new(Arc::clone(&self.shared))
    }

    /// Gives access to a registry of Amazon's, `<account>.dkr.ecr.<region>.amazonaws.com`; any other host is taken
    /// for an emulator's.
    ///
    /// # Errors
    /// A host in another region than the session's.
    pub fn ecr(&self, host: &str) -> Result<Ecr, CloudError> {
        Ecr::new(Arc::clone(&self.shared), host)
    }

    /// Gives access to a signing key by id, ARN or alias, without a call.
    pub fn kms_key(&self, key: &str) -> KmsKey {
        KmsKey::new(Arc::clone(&self.shared), key)
    }

    /// Makes a signing key (ECDSA over P-256) under an alias that must be new, `alias/shop-release`.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if the alias exists; nothing is made then.
    pub async fn create_kms_key(&self, alias: &str) -> Result<KmsKey, CloudError> {
        KmsKey::create(Arc::clone(&self.shared), alias).await
    }

    /// Asks STS who the credentials belong to.
    ///
    /// # Errors
    /// Missing or refused credentials; an endpoint that does not answer.
    pub async fn identity(&self) -> Result<Identity, CloudError> {
        let calls = self.shared.calls("STS");
        let client = self.shared.sts.get_or_init(|| aws_sdk_sts::Client::new(&self.shared.config));
        let answer = calls.run("GetCallerIdentity", "caller", client.get_caller_identity().send()).await?;
        match (answer.account(), answer.arn()) {
            (Some(account), Some(arn)) => Ok(Identity { account: account.into(), arn: arn.into() }),
            _ => {
                let origin = calls.origin("GetCallerIdentity", "caller");
                Err(CloudError::at(&origin, Kind::Other, "the answer names no account"))
            }
        }
    }

    pub(crate) fn region(&self) -> &str {
        self.shared.region()
    }

    pub(crate) fn endpoint(&self) -> Option<&str> {
        self.shared.target.endpoint.as_deref()
    }

    pub(crate) fn provider(&self) -> &SharedCredentialsProvider {
        &self.shared.provider
    }

    /// Resolves the credentials into the variables that another program (Terraform) takes them from:
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, and with endpoints
    /// of their own `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_LAMBDA`.
    ///
    /// A role is assumed anew, so that the program gets credentials with their whole life before them.
    ///
    /// # Errors
    /// Missing credentials; a role that may not be assumed.
    pub async fn environment(&self) -> Result<Vec<(String, String)>, CloudError> {
        let target = &self.shared.target;
        let credentials = self.shared.provider.provide_credentials().await.map_err(|error| {
            let calls = self.shared.calls("STS");
            CloudError::from_credentials(&calls.origin("credentials", "caller"), &error)
        })?;
        let mut variables = vec![
            ("AWS_ACCESS_KEY_ID", credentials.access_key_id()),
            ("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key()),
        ];
        variables.extend(credentials.session_token().map(|token| ("AWS_SESSION_TOKEN", token)));
        variables.push(("AWS_REGION", &target.region));
        variables.extend(target.endpoint.as_deref().map(|url| ("AWS_ENDPOINT_URL", url)));
        variables.extend(target.lambda_endpoint.as_deref().map(|url| ("AWS_ENDPOINT_URL_LAMBDA", url)));
        Ok(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

impl Shared {
    pub(crate) fn region(&self) -> &str {
        &self.target.region
    }

    /// Tells whether AWS is reached at an address of its own.
    pub(crate) fn has_endpoint(&self) -> bool {
        self.target.endpoint.is_some()
    }

    pub(crate) fn s3(&self) -> &aws_sdk_s3::Client {
        self.s3.get_or_init(|| {
            use aws_sdk_s3::config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation};
            let config = Builder::from(&self.config)
                .force_path_style(self.target.endpoint.is_some())
                // SHA-256 is sent and compared by the store itself.
                .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
                .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
            aws_sdk_s3::Client::from_conf(config.build())
        })
    }

    pub(crate) fn lambda(&self) -> &aws_sdk_lambda::Client {
        self.lambda.get_or_init(|| {
            let mut config = aws_sdk_lambda::config::Builder::from(&self.config);
            if let Some(endpoint) = &self.target.lambda_endpoint {
                config = config
                    .endpoint_url(endpoint)
                    .retry_config(transport::retries(Some(endpoint)))
                    .timeout_config(transport::timeouts(Some(endpoint)));
            }
            aws_sdk_lambda::Client::from_conf(config.build())
        })
    }

    pub(crate) fn ecr(&self) -> &aws_sdk_ecr::Client {
        self.ecr.get_or_init(|| aws_sdk_ecr::Client::new(&self.config))
    }

    pub(crate) fn kms(&self) -> &aws_sdk_kms::Client {
        self.kms.get_or_init(|| aws_sdk_kms::Client::new(&self.config))
    }

    pub(crate) fn calls(&self, service: &'static str) -> Calls {
        calls(service, &self.target, self.observer.as_ref())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("target", &self.shared.target).finish_non_exhaustive()
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

fn calls(service: &'static str, target: &Target, observer: Option<&Observer>) -> Calls {
    let own = if service == "Lambda" { target.lambda_endpoint.as_ref() } else { None };
    let endpoint = own.or(target.endpoint.as_ref()).cloned().unwrap_or_else(|| target.region.clone());
    Calls { service, endpoint, observer: observer.cloned() }
}

/// Looking for ambient credentials may lead to SSO or STS, which speak TLS whatever the endpoint is.
fn needs_no_tls(target: &Target) -> bool {
    matches!(target.credentials, Credentials::Static { .. })
        && target.endpoint.as_deref().is_some_and(is_plain)
        && target.lambda_endpoint.as_deref().is_none_or(is_plain)
}

fn is_plain(endpoint: &str) -> bool {
    endpoint.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_in_debug_output() {
        let credentials = Credentials::Static {
            access_key_id: "AKIAEXAMPLE".into(),
            secret_access_key: "hush".into(),
            session_token: Some("quiet".into()),
        };
        let target = Target {
            region: "eu-central-1".into(),
            credentials,
            assume_role: None,
            endpoint: None,
            lambda_endpoint: None,
        };
        let text = format!("{target:?}");
        assert!(text.contains("AKIAEXAMPLE") && !text.contains("hush") && !text.contains("quiet"), "{text}");
    }
}

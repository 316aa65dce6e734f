//! Trusted keys and the signing key: from files or KMS, named by the settings or an environment variable.
//!
//! In: `[store] signing_key`, SLIPWAY_SIGNING_KEY, and an environment's `trusted_keys`. Out: a [`Signer`], or none; a
//! [`TrustPolicy`]. Errors: a file that does not exist or has no such key.

use std::sync::Arc;

use async_trait::async_trait;

use super::AppContext;
use super::ports::explain;
use crate::failure::{Failure, Result};
use crate::name::EnvironmentName;
use crate::ports::{Signer, SigningKeys};
use crate::release::{PrivateKey, PublicKey, TrustPolicy};

/// The environment variable with the path of a private key; it has precedence over the settings.
const VARIABLE: &str = "SLIPWAY_SIGNING_KEY";

/// A key in KMS.
struct KmsSigner {
    key: slipway_cloud::KmsKey,
    public: PublicKey,
}

#[async_trait]
impl Signer for KmsSigner {
    fn key_id(&self) -> &str {
        self.public.id()
    }

    fn public_key(&self) -> Result<Vec<u8>> {
        self.public.der()
    }

    fn is_release_key(&self) -> bool {
        true
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.key.sign(message).await.map_err(explain)
    }
}

/// A private key from a file.
struct FileSigner {
    key: PrivateKey,
    public: PublicKey,
}

#[async_trait]
impl Signer for FileSigner {
    fn key_id(&self) -> &str {
        self.public.id()
    }

    fn public_key(&self) -> Result<Vec<u8>> {
        self.public.der()
    }

    fn is_release_key(&self) -> bool {
        false
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok(self.key.sign(message))
    }
}

/// The signing key that the settings or the environment name.
pub(crate) struct ConfiguredKeys<'a> {
    app: &'a AppContext,
    /// Whether the releases go to the local store: a key in KMS is not used there.
    emulated: bool,
}

#[async_trait]
impl SigningKeys for ConfiguredKeys<'_> {
    async fn signer(&self) -> Result<Option<Arc<dyn Signer>>> {
        self.app.signer(self.emulated).await
    }
}

impl AppContext {
    /// Returns the configured signing key; with `emulated`, the releases go to the local store.
    pub(crate) fn signing_keys(&self, emulated: bool) -> ConfiguredKeys<'_> {
        ConfiguredKeys { app: self, emulated }
    }

    /// Returns the configured signer; `None` if no key is configured.
    ///
    /// With `emulated`, the releases go to the local store, and a key in KMS is not used.
    async fn signer(&self, emulated: bool) -> Result<Option<Arc<dyn Signer>>> {
        let (named, file) = match (self.process_env.get(VARIABLE), &self.project.settings.store) {
            (Some(file), _) => (VARIABLE.to_owned(), self.process_env.folder.join(file)),
            (None, Some(store)) => match &store.signing_key {
                Some(key) if key.starts_with("alias/") || key.starts_with("arn:") => {
                    return if emulated { Ok(None) } else { self.kms_signer(key).await.map(Some) };
                }
                Some(key) => {
                    ("[store] signing_key in pipelines/project.toml".to_owned(), self.project.root.join(key))
                }
                None => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        let pem = std::fs::read_to_string(&file).map_err(|error| {
            Failure::usage(format!("{named} names {}, which cannot be read", file.display()))
                .caused_by(error)
                .hint("create a key with cargo xtask key new; in CI, write it to a file and set SLIPWAY_SIGNING_KEY to its path")
        })?;
        let key = PrivateKey::read(&pem, &file.display().to_string())?;
        let public = key.public()?;
        Ok(Some(Arc::new(FileSigner { key, public })))
    }

    /// Returns the signer of a KMS key in the store's account.
    async fn kms_signer(&self, key: &str) -> Result<Arc<dyn Signer>> {
        let (session, _) = self.store_session().await?;
        let kms_key = session.kms_key(key);
        let hint = "[store] signing_key in pipelines/project.toml names it; it must be in the store's account and region";
        let response = kms_key.public_key().await.map_err(|error| explain(error).hint(hint))?;
        let public = PublicKey::read_der(&response.der, &format!("the KMS key {key}"))?;
        Ok(Arc::new(KmsSigner { key: kms_key, public }))
    }

    /// Returns the keys that an environment trusts, and the claims that it requires.
    pub(crate) fn trust(&self, environment: &EnvironmentName) -> Result<TrustPolicy> {
        let settings = self.project.environment(environment)?;
        let keys = settings.trusted_keys.iter().map(|path| {
            let place = format!(
                "terraform/environments/{environment}/environment.toml: `trusted_keys` names {path}, which"
            );
            let file = self.project.root.join(path);
            let pem = std::fs::read_to_string(&file).map_err(|error| {
                let failure = Failure::usage(format!("{place} cannot be read"));
                failure.caused_by(error).hint(
                    "the path is relative to the project; commit the .pub.pem that cargo xtask key new wrote",
                )
            })?;
            PublicKey::read(&pem, &place)
        });
        Ok(TrustPolicy {
            required: settings.signatures_required,
            keys: keys.collect::<Result<_>>()?,
            claims: settings.claims.clone(),
            issuer: self.project.required_issuer(settings).map(str::to_owned),
        })
    }
}

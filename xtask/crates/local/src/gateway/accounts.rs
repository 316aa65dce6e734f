//! Owners of access keys, the gateway's own access to each account, and the secrets of issued keys.
//!
//! A key that the emulator does not know belongs to its default account, as in the emulator. Errors: the emulator does not
//! respond.

use super::scope::CredentialScope;
use super::signature;
use crate::emulator::{Caller, EmulatorError, Identity, with_iam_checks_disabled};
use crate::signing::{self, Credential};
use axum::body::Bytes;
use axum::http::header;
use axum::http::request::Parts;
use slipway_values::partition::Partition;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A map of keys is emptied when it has this many entries.
const MOST_KEYS: usize = 4096;
/// An access key without permissions; the emulator lets it assume any role.
const UNKNOWN_ACCESS_KEY: &str = "AKIA0000000000000000";
/// The gateway's own role in each account. It is created only if the emulator's IAM checks are enabled.
const ROLE: &str = "slipway-gateway";

/// Everything that is known of accounts and access keys.
pub(crate) struct Accounts {
    authority: String,
    /// The supervisor's folder, whose state file has an access key and its secret.
    supervisor_folder: Option<PathBuf>,
    identities: Mutex<HashMap<String, Identity>>,
    /// The gateway's own credentials, by account.
    own_credentials: tokio::sync::Mutex<HashMap<String, Credential>>,
    issued: Mutex<HashMap<String, Credential>>,
    /// Held while the emulator's IAM checks are disabled for a call of the gateway.
    iam_checks: Arc<tokio::sync::Mutex<()>>,
}

impl Accounts {
    pub(crate) fn new(authority: String, supervisor_folder: Option<PathBuf>) -> Self {
        Self {
            authority,
            supervisor_folder,
            identities: Mutex::default(),
            own_credentials: tokio::sync::Mutex::default(),
            issued: Mutex::default(),
            iam_checks: Arc::default(),
        }
    }

    /// Returns the owner of an access key.
    pub(crate) async fn identity(&self, access_key_id: &str) -> Result<Identity, EmulatorError> {
        if let Some(identity) = lock(&self.identities).get(access_key_id) {
            return Ok(identity.clone());
        }
        let identity = self.caller(access_key_id, "us-east-1").identity().await?;
        remember(&self.identities, access_key_id, identity.clone());
        Ok(identity)
    }

    /// Returns a client with the gateway's own credential for an account.
    pub(crate) async fn own_caller(&self, account: &str, region: &str) -> Result<Caller, EmulatorError> {
        let mut credentials = self.own_credentials.lock().await;
        let credential = match credentials.get(account) {
            Some(credential) => credential.clone(),
            None => {
                let credential = self.enter(account, region).await?;
                credentials.insert(account.to_owned(), credential.clone());
                credential
            }
        };
        Ok(Caller::with_credential(self.authority.clone(), credential, region.to_owned()))
    }

    /// Gets a credential for an account. If the emulator's IAM checks are enabled, it is for a role with all permissions.
    async fn enter(&self, account: &str, region: &str) -> Result<Credential, EmulatorError> {
        let arn = Partition::of_region(region).arn("iam", "", account, &format!("role/{ROLE}"));
        let unknown = self.caller(UNKNOWN_ACCESS_KEY, region);
        match unknown.assume_role(&arn, ROLE).await {
            Err(EmulatorError::ErrorResponse { action, status, body }) => {
                let checks = Arc::clone(&self.iam_checks).lock_owned().await;
                let (authority, region) = (self.authority.clone(), region.to_owned());
                let entered = with_iam_checks_disabled(self.authority.clone(), checks, async move {
                    let credential = unknown.assume_role(&arn, ROLE).await?;
                    let caller = Caller::with_credential(authority, credential.clone(), region);
                    caller.create_admin_role(ROLE).await?;
                    Ok(credential)
                });
                entered.await?.ok_or(EmulatorError::ErrorResponse { action, status, body })
            }
            entered => entered,
        }
    }

    /// Assumes a function's role. Lambda may do that even if the caller may not.
    pub(crate) async fn assume_function_role(
        &self,
        caller: &Caller,
        role_arn: &str,
        session: &str,
    ) -> Result<Credential, EmulatorError> {
        match caller.assume_role(role_arn, session).await {
            Err(EmulatorError::ErrorResponse { action, status, body }) => {
                let checks = Arc::clone(&self.iam_checks).lock_owned().await;
                let (caller, role_arn, session) = (caller.clone(), role_arn.to_owned(), session.to_owned());
                let work = async move { caller.assume_role(&role_arn, &session).await };
                let assumed = with_iam_checks_disabled(self.authority.clone(), checks, work).await?;
                assumed.ok_or(EmulatorError::ErrorResponse { action, status, body })
            }
            assumed => assumed,
        }
    }

    /// Forgets the owners of keys and the gateway's own credentials, because the emulator was reset.
    pub(crate) async fn forget(&self) {
        lock(&self.identities).clear();
        self.own_credentials.lock().await.clear();
    }

    /// Remembers an issued credential.
    pub(crate) fn learn(&self, credential: &Credential) {
        remember(&self.issued, &credential.access_key_id, credential.clone());
    }

    /// Returns the secret of a key that was issued through this gateway or to the supervisor.
    pub(crate) fn secret(&self, access_key_id: &str) -> Option<String> {
        self.credential(access_key_id).map(|credential| credential.secret_access_key)
    }

    fn credential(&self, access_key_id: &str) -> Option<Credential> {
        if let Some(credential) = lock(&self.issued).get(access_key_id) {
            return Some(credential.clone());
        }
        let folder = self.supervisor_folder.as_deref()?;
        let state = crate::state::read(folder).ok().flatten()?;
        let credential = (state.access_key_id == access_key_id).then(|| Credential {
            access_key_id: state.access_key_id,
            secret_access_key: state.secret_access_key,
            session_token: state.session_token.unwrap_or_default(),
        })?;
        self.learn(&credential);
        Some(credential)
    }

    /// Signs a request in place of the client, if the secret of the request's key is known.
    pub(crate) fn resign(&self, parts: &mut Parts, body: &[u8]) {
        if let Some(scope) = CredentialScope::of(&parts.headers, &parts.uri)
            && let Some(credential) = self.credential(&scope.access_key_id)
        {
            signing::resign(parts, body, &credential, &scope.region, &scope.service);
        }
    }

    /// Signs a request without a body again if the client's signature is valid.
    ///
    /// The emulator rejects such signatures unless they cover the content's digest.
    pub(crate) fn resign_verified(&self, parts: &mut Parts) {
        let empty = parts.headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0");
        let chunked = parts.headers.contains_key(header::TRANSFER_ENCODING);
        let digest = parts.headers.contains_key("x-amz-content-sha256");
        if !empty || chunked || digest {
            return;
        }
        let secret = |key: &str| self.secret(key);
        if signature::is_valid(parts, &Bytes::new(), secret) {
            self.resign(parts, b"");
        }
    }

    /// Returns a client with an access key; it signs if the secret is known.
    pub(crate) fn caller(&self, access_key_id: &str, region: &str) -> Caller {
        Caller {
            authority: self.authority.clone(),
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            credential: self.credential(access_key_id),
        }
    }
}

fn remember<T>(map: &Mutex<HashMap<String, T>>, key: &str, value: T) {
    let mut map = lock(map);
    if map.len() >= MOST_KEYS {
        map.clear();
    }
    map.insert(key.to_owned(), value);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Whose an access key is, the gateway's own way into an account, and the secrets of keys that were handed out.
//!
//! In: access keys, accounts, and the answers of STS and IAM as they pass. Out: identities, callers, secrets. A key
//! that the emulator does not know belongs to its default account, as it does there. What can go wrong: the emulator
//! does not answer.

use super::forward::pass;
use super::scope::Scope;
use super::{Gateway, Shared, objects};
use crate::emulator::{Caller, Credential, EmulatorError, Identity, element};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keys are forgotten once there are this many.
const MANY: usize = 4096;
/// An answer that hands out a key is shorter than this, in bytes.
const LONGEST: usize = 64 << 10;
/// Leads nowhere by itself; the emulator lets it assume any role.
const STRANGER: &str = "AKIA0000000000000000";

/// What is known of accounts and keys.
pub(crate) struct Accounts {
    authority: String,
    /// The keeper's state, whose key is known from the beginning.
    state: Option<PathBuf>,
    identities: Mutex<HashMap<String, Identity>>,
    credentials: tokio::sync::Mutex<HashMap<String, Credential>>,
    secrets: Mutex<HashMap<String, String>>,
}

impl Accounts {
    /// Knows nobody yet.
    pub(crate) fn new(authority: String, kept_in: Option<&PathBuf>) -> Self {
        Self {
            authority,
            state: kept_in.cloned(),
            identities: Mutex::default(),
            credentials: tokio::sync::Mutex::default(),
            secrets: Mutex::default(),
        }
    }

    /// Asks whose a key is.
    pub(crate) async fn identity(&self, access_key_id: &str) -> Result<Identity, EmulatorError> {
        if let Some(identity) = lock(&self.identities).get(access_key_id) {
            return Ok(identity.clone());
        }
        let identity = self.caller(access_key_id, "us-east-1").identity().await?;
        remember(&self.identities, access_key_id, identity.clone());
        Ok(identity)
    }

    /// Gives the gateway's own caller in an account; the same one for its whole life.
    pub(crate) async fn own(&self, account: &str, region: &str) -> Result<Caller, EmulatorError> {
        let mut credentials = self.credentials.lock().await;
        let key = match credentials.get(account) {
            Some(credential) => credential.access_key_id.clone(),
            None => {
                let role = format!("arn:aws:iam::{account}:role/slipway-gateway");
                let credential = self.caller(STRANGER, region).assume_role(&role, "slipway-gateway").await?;
                let key = credential.access_key_id.clone();
                credentials.insert(account.to_owned(), credential);
                key
            }
        };
        Ok(self.caller(&key, region))
    }

    /// Notes down a credential that was handed out.
    pub(crate) fn learn(&self, credential: &Credential) {
        remember(&self.secrets, &credential.access_key_id, credential.secret_access_key.clone());
    }

    /// Gives a key's secret where it was handed out by way of this gateway, or by the keeper.
    pub(crate) fn secret(&self, access_key_id: &str) -> Option<String> {
        if let Some(secret) = lock(&self.secrets).get(access_key_id) {
            return Some(secret.clone());
        }
        let state = self.state.as_deref().and_then(|folder| crate::state::read(folder).ok().flatten())?;
        (state.access_key_id == access_key_id).then_some(state.secret_access_key)
    }

    fn caller(&self, access_key_id: &str, region: &str) -> Caller {
        Caller {
            authority: self.authority.clone(),
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
        }
    }
}

/// Answers what no other route does, and reads in passing which keys STS and IAM hand out.
pub(super) async fn answer(state: Shared, request: Request) -> Response {
    let service = Scope::of(request.headers(), request.uri()).map(|scope| scope.service);
    let hands_out = matches!(service.as_deref(), Some("sts" | "iam")) && request.method() == Method::POST;
    match hands_out {
        true => overheard(&state.0, request).await,
        false => objects::answer(state, request).await,
    }
}

async fn overheard(gateway: &Gateway, request: Request) -> Response {
    let answer = pass(gateway, request).await;
    let length = answer.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let short = length.and_then(|length| length.parse().ok()).is_some_and(|length: usize| length <= LONGEST);
    if !short || !answer.status().is_success() {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return super::refusal::Refusal::service("The emulator's answer broke off").into_response();
    };
    let text = String::from_utf8_lossy(&body);
    if let (Some(access_key_id), Some(secret_access_key)) =
        (element(&text, "AccessKeyId"), element(&text, "SecretAccessKey"))
    {
        let session_token = element(&text, "SessionToken").unwrap_or_default();
        gateway.accounts.learn(&Credential { access_key_id, secret_access_key, session_token });
    }
    Response::from_parts(parts, Body::from(body))
}

fn remember<T>(map: &Mutex<HashMap<String, T>>, key: &str, value: T) {
    let mut map = lock(map);
    if map.len() >= MANY {
        map.clear();
    }
    map.insert(key.to_owned(), value);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

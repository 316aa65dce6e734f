//! Whose an access key is, the gateway's own way into an account, and the secrets of keys that were handed out.
//!
//! In: access keys, accounts, and the answers of STS and IAM as they pass. Out: identities, callers, secrets. A key
//! that the emulator does not know belongs to its default account, as it does there. What can go wrong: the emulator
//! does not answer.

use super::forward::pass;
use super::scope::Scope;
use super::{Gateway, Shared, objects, signature};
use crate::emulator::{Caller, Credential, EmulatorError, Identity, element, unchecked};
use crate::signing;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keys are forgotten once there are this many.
const MANY: usize = 4096;
/// An answer that hands out a key is shorter than this, in bytes.
const LONGEST: usize = 64 << 10;
/// Leads nowhere by itself; the emulator lets it assume any role.
const STRANGER: &str = "AKIA0000000000000000";
/// The gateway's own role in each account; made only where the emulator checks policies.
const ROLE: &str = "slipway-gateway";

/// What is known of accounts and keys.
pub(crate) struct Accounts {
    authority: String,
    /// The keeper's state, whose key is known from the beginning.
    state: Option<PathBuf>,
    identities: Mutex<HashMap<String, Identity>>,
    credentials: tokio::sync::Mutex<HashMap<String, Credential>>,
    secrets: Mutex<HashMap<String, Credential>>,
    /// Held while the emulator's doors stand open for one call of ours.
    doors: Arc<tokio::sync::Mutex<()>>,
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
            doors: Arc::default(),
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
        let credential = match credentials.get(account) {
            Some(credential) => credential.clone(),
            None => {
                let credential = self.enter(account, region).await?;
                credentials.insert(account.to_owned(), credential.clone());
                credential
            }
        };
        Ok(Caller::with(self.authority.clone(), credential, region.to_owned()))
    }

    /// Gets into an account; where the emulator checks policies, by way of a role that may do anything there.
    async fn enter(&self, account: &str, region: &str) -> Result<Credential, EmulatorError> {
        let arn = format!("arn:aws:iam::{account}:role/{ROLE}");
        let stranger = self.caller(STRANGER, region);
        match stranger.assume_role(&arn, ROLE).await {
            Err(EmulatorError::Refused { action, status, body }) => {
                let turn = Arc::clone(&self.doors).lock_owned().await;
                let (authority, region) = (self.authority.clone(), region.to_owned());
                let entered = unchecked(self.authority.clone(), turn, async move {
                    let credential = stranger.assume_role(&arn, ROLE).await?;
                    Caller::with(authority, credential.clone(), region).make_administrator(ROLE).await?;
                    Ok(credential)
                });
                entered.await?.ok_or(EmulatorError::Refused { action, status, body })
            }
            entered => entered,
        }
    }

    /// Assumes a function's role, which Lambda may do and its caller may not.
    pub(crate) async fn assume(
        &self,
        caller: &Caller,
        role_arn: &str,
        session: &str,
    ) -> Result<Credential, EmulatorError> {
        match caller.assume_role(role_arn, session).await {
            Err(EmulatorError::Refused { action, status, body }) => {
                let turn = Arc::clone(&self.doors).lock_owned().await;
                let (caller, role_arn, session) = (caller.clone(), role_arn.to_owned(), session.to_owned());
                let work = async move { caller.assume_role(&role_arn, &session).await };
                let assumed = unchecked(self.authority.clone(), turn, work).await?;
                assumed.ok_or(EmulatorError::Refused { action, status, body })
            }
            assumed => assumed,
        }
    }

    /// Forgets whose keys are, and its own: the emulator was emptied.
    pub(crate) async fn forget(&self) {
        lock(&self.identities).clear();
        self.credentials.lock().await.clear();
    }

    /// Notes down a credential that was handed out.
    pub(crate) fn learn(&self, credential: &Credential) {
        remember(&self.secrets, &credential.access_key_id, credential.clone());
    }

    /// Gives a key's secret where it was handed out by way of this gateway, or by the keeper.
    pub(crate) fn secret(&self, access_key_id: &str) -> Option<String> {
        self.credential(access_key_id).map(|credential| credential.secret_access_key)
    }

    /// Gives all of a key that was handed out so.
    pub(crate) fn credential(&self, access_key_id: &str) -> Option<Credential> {
        if let Some(credential) = lock(&self.secrets).get(access_key_id) {
            return Some(credential.clone());
        }
        let state = self.state.as_deref().and_then(|folder| crate::state::read(folder).ok().flatten())?;
        let credential = (state.access_key_id == access_key_id).then(|| Credential {
            access_key_id: state.access_key_id,
            secret_access_key: state.secret_access_key,
            session_token: state.session_token.unwrap_or_default(),
        })?;
        self.learn(&credential);
        Some(credential)
    }

    /// Puts a signature of ours in the place of a client's, or of none, where the key's secret is known.
    pub(crate) fn resign(&self, parts: &mut Parts, body: &[u8]) {
        if let Some(scope) = Scope::of(&parts.headers, &parts.uri)
            && let Some(credential) = self.credential(&scope.access_key_id)
        {
            signing::resign(parts, body, &credential, &scope.region, &scope.service);
        }
    }

    /// Signs a request without a body anew where the client did so with its secret.
    ///
    /// The emulator finds such signatures wrong unless the content's digest is among what is signed.
    pub(crate) fn resign_genuine(&self, parts: &mut Parts) {
        let empty = parts.headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0");
        let chunked = parts.headers.contains_key(header::TRANSFER_ENCODING);
        let digest = parts.headers.contains_key("x-amz-content-sha256");
        if !empty || chunked || digest {
            return;
        }
        let secret = |key: &str| self.secret(key);
        if signature::is_genuine(parts, &Bytes::new(), secret) {
            self.resign(parts, b"");
        }
    }

    /// Gives the caller of a key, who signs where the key's secret is known.
    pub(crate) fn caller(&self, access_key_id: &str, region: &str) -> Caller {
        Caller {
            authority: self.authority.clone(),
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            credential: self.credential(access_key_id),
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

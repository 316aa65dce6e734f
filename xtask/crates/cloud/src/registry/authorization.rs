//! The header `Authorization` of each request.
//!
//! In: a registry's challenge, and the source of logins. Out: the header, cached for each scope until shortly before it
//! expires. Requests that are rejected at the same time cause one new login. Errors: there is no login, the token server
//! refuses or does not respond, or it must not be sent a password.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/>

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::challenge::Challenge;
use super::client::{Client, RegistryRequest, RequestBody};
use super::credentials::{Login, RegistryCredentials};
use super::response::AttemptError;
use crate::error::{CloudError, CloudErrorKind};

/// The lifetime of a token in seconds where the token server names none: the protocol's default.
const TOKEN_LIFETIME: u64 = 60;
/// The largest response of a token server, in bytes; some tokens list every permission.
const LARGEST_TOKEN: usize = 1 << 20;

pub(super) struct Authorization {
    credentials: Arc<dyn RegistryCredentials>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    cached: HashMap<String, CachedHeader>,
}

struct CachedHeader {
    header: String,
    until: Option<Instant>,
}

impl Authorization {
    pub(super) fn new(credentials: Arc<dyn RegistryCredentials>) -> Self {
        Self { credentials, state: Mutex::default() }
    }

    /// Returns the header for a first attempt; `None` until the registry has sent a challenge.
    pub(super) async fn header(
        &self,
        client: &Client,
        request: &RegistryRequest<'_>,
    ) -> Result<Option<String>, AttemptError> {
        let mut state = self.state.lock().await;
        let Some(challenge) = state.challenge.clone() else {
            return Ok(None);
        };
        let cached = state.cached.get(key(&challenge, request));
        let fresh = cached.filter(|cached| cached.until.is_none_or(|until| Instant::now() < until));
        if let Some(cached) = fresh {
            return Ok(Some(cached.header.clone()));
        }
        self.log_in(&mut state, client, request, challenge, false).await.map(Some)
    }

    /// Returns a header for a challenge. `rejected` is the header that the registry rejected.
    pub(super) async fn header_for_challenge(
        &self,
        client: &Client,
        request: &RegistryRequest<'_>,
        challenge: Challenge,
        rejected: Option<&str>,
    ) -> Result<String, AttemptError> {
        let mut state = self.state.lock().await;
        if let Some(cached) = state.cached.get(key(&challenge, request)) {
            // Another request was rejected at the same time, and has logged in since.
            if rejected != Some(&cached.header) && state.challenge.as_ref() == Some(&challenge) {
                return Ok(cached.header.clone());
            }
        }
        self.log_in(&mut state, client, request, challenge, rejected.is_some()).await
    }

    async fn log_in(
        &self,
        state: &mut State,
        client: &Client,
        request: &RegistryRequest<'_>,
        challenge: Challenge,
        rejected: bool,
    ) -> Result<String, AttemptError> {
        let cached = match &challenge {
            Challenge::Basic => {
                let login = self.credentials.login(&client.host, rejected).await?;
                let header = basic(&login).ok_or_else(|| no_login(client, request))?;
                CachedHeader { header, until: None }
            }
            Challenge::Bearer { realm, service } => {
                let subject = format!("{realm} for {}", request.subject);
                let (scope, service) = (request.scope.as_str(), service.as_deref());
                let ask = TokenRequest { client, subject, scope, realm, service };
                let login = self.credentials.login(&client.host, false).await?;
                match ask.token(&login).await {
                    Err(attempt)
                        if attempt.error.kind == CloudErrorKind::AccessDenied
                            && login != Login::Anonymous =>
                    {
                        ask.token(&self.credentials.login(&client.host, true).await?).await?
                    }
                    result => result?,
                }
            }
        };
        let header = cached.header.clone();
        state.cached.insert(key(&challenge, request).to_owned(), cached);
        state.challenge = Some(challenge);
        Ok(header)
    }
}

/// Returns the key in the cache: a password is valid for all requests, a token for its scope.
fn key<'a>(challenge: &Challenge, request: &'a RegistryRequest<'_>) -> &'a str {
    match challenge {
        Challenge::Basic => "",
        Challenge::Bearer { .. } => &request.scope,
    }
}

fn basic(login: &Login) -> Option<String> {
    match login {
        Login::Basic { username, password } => {
            Some(format!("Basic {}", BASE64.encode(format!("{username}:{password}"))))
        }
        Login::Anonymous | Login::IdentityToken(_) => None,
    }
}

fn no_login(client: &Client, request: &RegistryRequest<'_>) -> CloudError {
    let message = format!(
        "the registry {} asks for a name and a password for `{}`, but there are none",
        client.host, request.subject
    );
    CloudError::at(&request.context(client), CloudErrorKind::CredentialsMissing, message)
}

/// A request for a token.
struct TokenRequest<'a> {
    client: &'a Client,
    subject: String,
    scope: &'a str,
    realm: &'a str,
    service: Option<&'a str>,
}

impl TokenRequest<'_> {
    async fn token(&self, login: &Login) -> Result<CachedHeader, AttemptError> {
        let Self { client, ref subject, scope, service, .. } = *self;
        let mut url = self.token_url()?;
        // A scope for two repositories is sent as two scopes.
        let scopes = scope.split(' ');
        let (method, payload, mut headers);
        if let Login::IdentityToken(token) = login {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token);
            form.append_pair("client_id", "slipway").append_pair("scope", scope);
            form.extend_pairs(service.map(|service| ("service", service)));
            (method, payload) = ("POST", RequestBody::Bytes(Bytes::from(form.finish())));
            headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        } else {
            url.query_pairs_mut()
                .extend_pairs(service.map(|service| ("service", service)))
                .extend_pairs(scopes.map(|scope| ("scope", scope)));
            (method, payload, headers) = ("GET", RequestBody::Empty, Vec::new());
        }
        headers.push(("accept", "application/json".to_owned()));
        let (subject, scope) = (subject.clone(), String::new());
        let outgoing =
            RegistryRequest { operation: "GetToken", subject, method, url, headers, payload, scope };
        let mut response = client.send_with_redirects(&outgoing, basic(login).as_deref()).await?;
        let context = outgoing.context(client);
        if response.status != 200 {
            return Err(response.into_error(&context).await);
        }
        let token = response.bytes(LARGEST_TOKEN, &context).await?;
        let document: Value = serde_json::from_slice(&token).unwrap_or_default();
        let token = document["token"].as_str().or(document["access_token"].as_str());
        let token = token.filter(|token| !token.is_empty()).ok_or_else(|| {
            CloudError::at(&context, CloudErrorKind::Other, "the token server's response has no token")
        })?;
        let lifetime = document["expires_in"].as_u64().unwrap_or(TOKEN_LIFETIME);
        // Renewed early, because the lifetime began before the response arrived.
        let until = Instant::now().checked_add(Duration::from_secs(lifetime).mul_f64(0.9));
        Ok(CachedHeader { header: format!("Bearer {token}"), until })
    }

    /// Returns the token server's URL. A registry that uses TLS may not name a token server without it.
    fn token_url(&self) -> Result<Url, CloudError> {
        let secure = |url: &Url| url.scheme() == "https" || self.client.options.plain_http;
        Url::parse(self.realm).ok().filter(secure).ok_or_else(|| {
            let context = self.client.context("GetToken", &self.subject);
            CloudError::at(
                &context,
                CloudErrorKind::Other,
                "this is not a token server's URL that a login may be sent to",
            )
        })
    }
}

//! Getting in: what each request shows in its header `Authorization`.
//!
//! In: a registry's challenge and whoever knows the logins. Out: the header, kept for each scope until shortly
//! before it expires. Requests that are turned away together cause one new login. What can go wrong: nobody
//! knows a login, the token server refuses or does not answer, or is not to be trusted with a password.
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
use super::client::{Client, Outgoing, Payload};
use super::credentials::{Login, RegistryCredentials};
use super::response::Trouble;
use crate::error::{CloudError, Kind};

/// What a token lives where its server does not say: the protocol's own word.
const TOKEN_LIFE: u64 = 60;
/// The largest answer of a token server; tokens of some name every permission.
const TOKEN_ANSWER: usize = 1 << 20;

pub(super) struct Authorization {
    credentials: Arc<dyn RegistryCredentials>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    kept: HashMap<String, Kept>,
}

struct Kept {
    header: String,
    until: Option<Instant>,
}

impl Authorization {
    pub(super) fn new(credentials: Arc<dyn RegistryCredentials>) -> Self {
        Self { credentials, state: Mutex::default() }
    }

    /// Gives what to show before anybody asked; `None` until the registry was heard once.
    pub(super) async fn header(
        &self,
        client: &Client,
        request: &Outgoing<'_>,
    ) -> Result<Option<String>, Trouble> {
        let mut state = self.state.lock().await;
        let Some(challenge) = state.challenge.clone() else {
            return Ok(None);
        };
        let kept = state.kept.get(key(&challenge, request));
        let fresh = kept.filter(|kept| kept.until.is_none_or(|until| Instant::now() < until));
        if let Some(kept) = fresh {
            return Ok(Some(kept.header.clone()));
        }
        self.fetch(&mut state, client, request, challenge, false).await.map(Some)
    }

    /// Meets a challenge. `refused` is the header that was turned away.
    pub(super) async fn meet(
        &self,
        client: &Client,
        request: &Outgoing<'_>,
        challenge: Challenge,
        refused: Option<&str>,
    ) -> Result<String, Trouble> {
        let mut state = self.state.lock().await;
        if let Some(kept) = state.kept.get(key(&challenge, request)) {
            // Somebody else was turned away at the same time, and has been let in again since.
            if refused != Some(&kept.header) && state.challenge.as_ref() == Some(&challenge) {
                return Ok(kept.header.clone());
            }
        }
        self.fetch(&mut state, client, request, challenge, refused.is_some()).await
    }

    async fn fetch(
        &self,
        state: &mut State,
        client: &Client,
        request: &Outgoing<'_>,
        challenge: Challenge,
        refused: bool,
    ) -> Result<String, Trouble> {
        let kept = match &challenge {
            Challenge::Basic => {
                let login = self.credentials.login(&client.host, refused).await?;
                let header = basic(&login).ok_or_else(|| no_login(client, request))?;
                Kept { header, until: None }
            }
            Challenge::Bearer { realm, service } => {
                let subject = format!("{realm} for {}", request.subject);
                let (scope, service) = (request.scope.as_str(), service.as_deref());
                let ask = TokenRequest { client, subject, scope, realm, service };
                let login = self.credentials.login(&client.host, false).await?;
                match ask.token(&login).await {
                    Err(trouble)
                        if matches!(trouble.error.kind, Kind::AccessDenied) && login != Login::Anonymous =>
                    {
                        ask.token(&self.credentials.login(&client.host, true).await?).await?
                    }
                    result => result?,
                }
            }
        };
        let header = kept.header.clone();
        state.kept.insert(key(&challenge, request).to_owned(), kept);
        state.challenge = Some(challenge);
        Ok(header)
    }
}

/// A password is good for everything, a token for its scope.
fn key<'a>(challenge: &Challenge, request: &'a Outgoing<'_>) -> &'a str {
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

fn no_login(client: &Client, request: &Outgoing<'_>) -> CloudError {
    let message = format!(
        "the registry {} asks for a name and a password for `{}`, and there are none",
        client.host, request.subject
    );
    CloudError::at(&request.origin(client), Kind::CredentialsMissing, message)
}

/// What a token is asked for.
struct TokenRequest<'a> {
    client: &'a Client,
    subject: String,
    scope: &'a str,
    realm: &'a str,
    service: Option<&'a str>,
}

impl TokenRequest<'_> {
    async fn token(&self, login: &Login) -> Result<Kept, Trouble> {
        let Self { client, ref subject, scope, service, .. } = *self;
        let mut url = self.url()?;
        // A scope that allows two repositories is two scopes.
        let scopes = scope.split(' ');
        let (method, payload, mut headers);
        if let Login::IdentityToken(token) = login {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token);
            form.append_pair("client_id", "slipway").append_pair("scope", scope);
            form.extend_pairs(service.map(|service| ("service", service)));
            (method, payload) = ("POST", Payload::Bytes(Bytes::from(form.finish())));
            headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
        } else {
            url.query_pairs_mut()
                .extend_pairs(service.map(|service| ("service", service)))
                .extend_pairs(scopes.map(|scope| ("scope", scope)));
            (method, payload, headers) = ("GET", Payload::Empty, Vec::new());
        }
        headers.push(("accept", "application/json".to_owned()));
        let (subject, scope) = (subject.clone(), String::new());
        let outgoing = Outgoing { operation: "GetToken", subject, method, url, headers, payload, scope };
        let mut response = client.follow(&outgoing, basic(login).as_deref()).await?;
        let origin = outgoing.origin(client);
        if response.status != 200 {
            return Err(response.refusal(&origin).await);
        }
        let answer = response.bytes(TOKEN_ANSWER, &origin).await?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let token = answer["token"].as_str().or(answer["access_token"].as_str());
        let token = token.filter(|token| !token.is_empty()).ok_or_else(|| {
            CloudError::at(&origin, Kind::Other, "the token server's answer holds no token")
        })?;
        let life = answer["expires_in"].as_u64().unwrap_or(TOKEN_LIFE);
        // Renewed a little early: the clock began to run before the answer was here.
        let until = Instant::now().checked_add(Duration::from_secs(life).mul_f64(0.9));
        Ok(Kept { header: format!("Bearer {token}"), until })
    }

    /// A password that came over TLS is not sent on without.
    fn url(&self) -> Result<Url, CloudError> {
        let secure = |url: &Url| url.scheme() == "https" || self.client.options.plain_http;
        Url::parse(self.realm).ok().filter(secure).ok_or_else(|| {
            let origin = self.client.origin("GetToken", &self.subject);
            CloudError::at(&origin, Kind::Other, "this is no URL of a token server to trust with a login")
        })
    }
}

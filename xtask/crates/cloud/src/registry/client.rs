//! How requests to one registry travel: login, redirects, time limits, further attempts.
//!
//! In: an [`Outgoing`] request. Out: a [`Response`] of any status but 401 and 403, which are errors once a login
//! was tried. A login goes to the registry alone, not to where it redirects. There is no limit to how long an
//! upload takes, but to how long nothing moves: the HTTP client's own limits count from the first byte to the
//! answer. What can go wrong is a [`Trouble`], which knows whether to try again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures::future::BoxFuture;
use url::Url;

use super::RegistryOptions;
use super::authorization::Authorization;
use super::challenge;
use super::credentials::RegistryCredentials;
use super::docker::is_docker_hub;
use super::reference::is_repository;
use super::response::{Response, Trouble};
use crate::call::{Call, Outcome};
use crate::error::{CloudError, Kind, Origin, innermost};

/// How many redirects are followed.
const REDIRECTS: u32 = 5;
/// How often a request is shown a login: a first one, and one renewed.
const LOGINS: u32 = 2;

/// A connection to one registry.
pub(super) struct Client {
    pub(super) host: String,
    pub(super) options: RegistryOptions,
    base: Url,
    connector: Connector,
    authorization: Authorization,
    /// Held while the fallback index of referrers is read and written: the protocol knows no conditions.
    pub(super) indexing: tokio::sync::Mutex<()>,
}

/// A request and what it is about.
pub(super) struct Outgoing<'a> {
    pub(super) operation: &'static str,
    pub(super) subject: String,
    pub(super) method: &'static str,
    pub(super) url: Url,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) payload: Payload<'a>,
    /// What a token must allow, `repository:x:pull`.
    pub(super) scope: String,
}

/// What a request carries.
pub(super) enum Payload<'a> {
    Empty,
    Bytes(Bytes),
    /// A body that is opened anew for each sending.
    Stream {
        size: u64,
        open: &'a (dyn Fn() -> BoxFuture<'a, Result<SdkBody, Trouble>> + Send + Sync),
        watch: &'a Watch,
    },
}

/// What is known of a body while it is sent.
#[derive(Debug, Default)]
pub(super) struct Watch {
    sent: AtomicU64,
    fault: Mutex<Option<CloudError>>,
}

impl Watch {
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, sent: u64) {
        self.sent.store(sent, Ordering::Relaxed);
    }

    /// Keeps why a body broke off: the connection only knows that it did.
    pub(super) fn break_off(&self, error: CloudError) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn take_fault(&self) -> Option<CloudError> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Outgoing<'_> {
    pub(super) fn origin<'a>(&'a self, client: &'a Client) -> Origin<'a> {
        client.origin(self.operation, &self.subject)
    }
}

impl Client {
    pub(super) fn new(
        host: &str,
        credentials: Arc<dyn RegistryCredentials>,
        options: RegistryOptions,
    ) -> Result<Self, CloudError> {
        let wrong = |why: &str| CloudError::new(Kind::Other, "registry", "open", host, why);
        let scheme = if options.plain_http { "http" } else { "https" };
        let server = if is_docker_hub(host) { "registry-1.docker.io" } else { host };
        let base = Url::parse(&format!("{scheme}://{server}/")).ok();
        // What is no host alone would send requests elsewhere: `user@host`, `host/path`, `host?query`.
        let base = base.filter(|_| !server.is_empty() && !server.contains(['/', '@', '?', '#', '\\', ' ']));
        let base =
            base.ok_or_else(|| wrong("a registry is named by its host, with a port where it has one"))?;
        let settings = HttpConnectorSettings::builder().connect_timeout(options.connect_timeout).build();
        let connector = Connector::builder().connector_settings(settings);
        let connector = if options.plain_http {
            connector.build_http()
        } else {
            let mut roots = TrustStore::default().with_native_roots(true);
            if !options.certificates.is_empty() {
                if !options.certificates.starts_with(b"-----BEGIN CERTIFICATE-----") {
                    return Err(wrong("the certificates to trust are not PEM"));
                }
                let text = String::from_utf8_lossy(&options.certificates);
                for certificate in text.split_inclusive("-----END CERTIFICATE-----") {
                    if certificate.contains("BEGIN CERTIFICATE") {
                        roots = roots.with_pem_certificate(certificate.trim());
                    }
                }
            }
            let context = TlsContext::builder().with_trust_store(roots).build();
            let context = context.map_err(|error| wrong(&innermost(&error)))?;
            let connector = connector.proxy_config(ProxyConfig::from_env());
            connector.tls_provider(tls::Provider::rustls(CryptoMode::Ring)).tls_context(context).build()
        };
        let authorization = Authorization::new(credentials);
        Ok(Self {
            host: host.to_owned(),
            options,
            base,
            connector,
            authorization,
            indexing: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn origin<'a>(&'a self, operation: &'static str, subject: &'a str) -> Origin<'a> {
        Origin { service: "registry", operation, subject, endpoint: &self.host }
    }

    /// What errors call a thing in a repository.
    pub(super) fn subject(&self, repository: &str, separator: char, thing: &str) -> String {
        format!("{}/{repository}{separator}{thing}", self.host)
    }

    /// Makes the URL of something in a repository.
    pub(super) fn url(&self, repository: &str, rest: &str) -> Result<Url, CloudError> {
        let url = self.base.join(&format!("v2/{repository}/{rest}")).ok();
        url.filter(|_| is_repository(repository)).ok_or_else(|| {
            let subject = format!("{}/{repository}", self.host);
            CloudError::new(Kind::Other, "registry", "open", subject, "this can't be a repository's name")
        })
    }

    /// Resolves a `Location`, which may lack the host.
    pub(super) fn location(&self, response: &Response, request: &Outgoing<'_>) -> Result<Url, CloudError> {
        let location = response.header("location").and_then(|location| request.url.join(location).ok());
        let secure = |url: &Url| ["https", self.base.scheme()].contains(&url.scheme());
        location.filter(secure).ok_or_else(|| {
            let message = "the answer names no usable place to go on at (header Location)";
            CloudError::at(&request.origin(self), Kind::Other, message)
        })
    }

    /// Makes attempts until one succeeds, or fails for good.
    pub(super) async fn persist<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, CloudError>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut made = 1;
        loop {
            match attempt().await {
                Err(Trouble { again: true, pause, .. }) if made < self.options.attempts => {
                    tokio::time::sleep(self.pause(made, pause)).await;
                    made += 1;
                }
                result => return result.map_err(|trouble| trouble.error),
            }
        }
    }

    /// Sends a request, and again with a login where one is asked for.
    pub(super) async fn send(&self, request: &Outgoing<'_>) -> Result<Response, Trouble> {
        let started = Instant::now();
        let result = self.send_with_login(request).await;
        if let Some(observer) = &self.options.observer {
            let outcome = match &result {
                Ok(response) if response.status < 400 => Outcome::Done,
                Ok(response) if response.status == 404 => {
                    Outcome::Failed { kind: Kind::NotFound, code: None }
                }
                Ok(_) => Outcome::Failed { kind: Kind::Other, code: None },
                Err(Trouble { error, .. }) => Outcome::Failed { kind: error.kind, code: error.code.clone() },
            };
            let (operation, subject) = (request.operation, request.subject.clone());
            observer(Call { service: "registry", operation, subject, took: started.elapsed(), outcome });
        }
        result
    }

    /// Sends a request with this login, or none, and follows redirects of what only reads.
    pub(super) async fn follow(
        &self,
        request: &Outgoing<'_>,
        login: Option<&str>,
    ) -> Result<Response, Trouble> {
        let mut url = request.url.clone();
        for _ in 0..=REDIRECTS {
            let login = login.filter(|_| url.origin() == request.url.origin());
            let response = self.dispatch(request, &url, login).await?;
            let reads = ["GET", "HEAD"].contains(&request.method);
            if !reads || !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            url = self.location(&response, request)?;
        }
        let message = format!("more than {REDIRECTS} redirects");
        Err(CloudError::at(&request.origin(self), Kind::Other, message).into())
    }

    async fn send_with_login(&self, request: &Outgoing<'_>) -> Result<Response, Trouble> {
        // A place to upload to may be on another host, which is not the registry.
        let ours = request.url.origin() == self.base.origin();
        let mut login = match ours {
            true => self.authorization.header(self, request).await?,
            false => None,
        };
        for _ in 0..LOGINS {
            let response = self.follow(request, login.as_deref()).await?;
            let asked = match response.status {
                401 => challenge::choose(response.all("www-authenticate")),
                403 => {
                    let trouble = response.refusal(&request.origin(self)).await;
                    // Amazon's registry says this instead of asking for a new login.
                    if !trouble.error.message.contains("authorization token has expired") {
                        return Err(trouble);
                    }
                    Some(challenge::Challenge::Basic)
                }
                _ => return Ok(response),
            };
            let Some(asked) = asked.filter(|_| ours) else {
                return Err(self.turned_away(request));
            };
            login = Some(self.authorization.meet(self, request, asked, login.as_deref()).await?);
        }
        let response = self.follow(request, login.as_deref()).await?;
        match response.status {
            401 => Err(self.turned_away(request)),
            403 => Err(response.refusal(&request.origin(self)).await),
            _ => Ok(response),
        }
    }

    fn turned_away(&self, request: &Outgoing<'_>) -> Trouble {
        let message =
            format!("the registry {} did not accept the login for `{}`", self.host, request.subject);
        CloudError::at(&request.origin(self), Kind::CredentialsMissing, message).into()
    }

    async fn dispatch(
        &self,
        request: &Outgoing<'_>,
        url: &Url,
        login: Option<&str>,
    ) -> Result<Response, Trouble> {
        let origin = request.origin(self);
        let (body, length, watch) = match &request.payload {
            Payload::Empty => (SdkBody::empty(), 0, None),
            Payload::Bytes(bytes) => (SdkBody::from(bytes.clone()), bytes.len() as u64, None),
            Payload::Stream { size, open, watch } => (open().await?, *size, Some(*watch)),
        };
        let unsendable = |why: String| CloudError::at(&origin, Kind::Other, why);
        let mut message = HttpRequest::new(body);
        message.set_method(request.method).map_err(|error| unsendable(error.to_string()))?;
        message.set_uri(url.as_str()).map_err(|error| unsendable(error.to_string()))?;
        let headers = message.headers_mut();
        headers.insert("user-agent", concat!("slipway/", env!("CARGO_PKG_VERSION")));
        if !["GET", "HEAD"].contains(&request.method) {
            headers.insert("content-length", length.to_string());
        }
        let login = login.map(|login| ("authorization", login.to_owned()));
        for (name, value) in request.headers.iter().cloned().chain(login) {
            let valid = headers.try_insert(name, value);
            valid.map_err(|_| unsendable(format!("what was to go into the header `{name}` can't")))?;
        }
        let limit = self.options.read_timeout;
        let mut answer = std::pin::pin!(self.connector.call(message));
        let mut seen = 0;
        let answer = loop {
            tokio::select! {
                answer = &mut answer => break answer,
                () = tokio::time::sleep(limit) => match watch.map(Watch::sent) {
                    Some(sent) if sent != seen => seen = sent,
                    _ => return Err(origin.silent().into()),
                },
            }
        };
        if let Some(fault) = watch.and_then(Watch::take_fault) {
            return Err(fault.into());
        }
        let answer = answer.map_err(|error| {
            let cause = innermost(&error);
            let Origin { service, endpoint, subject, .. } = origin;
            if error.is_timeout() {
                let message =
                    format!("no connection in time to the {service} at {endpoint} (`{subject}`): {cause}");
                return CloudError::at(&origin, Kind::TimedOut, message);
            }
            let message = format!("the {service} at {endpoint} can't be reached (`{subject}`): {cause}");
            CloudError::at(&origin, Kind::Unreachable, message)
        })?;
        Ok(Response::new(answer, limit))
    }

    /// Doubles with each attempt, less a random part of up to a half; never shorter than the registry asks.
    fn pause(&self, made: u32, asked: Option<Duration>) -> Duration {
        let grown = self.options.backoff.saturating_mul(1 << (made - 1).min(16));
        let shortened = grown.mul_f64(1.0 - fastrand::f64() / 2.0);
        shortened.max(asked.unwrap_or_default()).min(self.options.longest_pause)
    }
}

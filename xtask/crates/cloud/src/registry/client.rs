//! Sends requests to one registry: login, redirects, time limits, retries.
//!
//! In: a [`RegistryRequest`]. Out: a [`Response`] of any status except 401 and 403, which are errors once a login was
//! tried. A login is sent to the registry only, not to hosts that it redirects to. An upload has no time limit as a whole,
//! only a limit without progress, because the HTTP client's own limits count from the first byte to the response. Errors:
//! an [`AttemptError`], which says whether to retry.

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
use super::response::{AttemptError, Response};
use crate::call::{Call, CallOutcome};
use crate::error::{CallContext, CloudError, CloudErrorKind, root_cause};

/// The largest number of redirects that are followed.
const REDIRECTS: u32 = 5;
/// How often a request gets a login: a first one, and a renewed one.
const LOGINS: u32 = 2;

/// A connection to one registry.
pub(super) struct Client {
    pub(super) host: String,
    pub(super) options: RegistryOptions,
    base: Url,
    connector: Connector,
    authorization: Authorization,
    /// Held while the fallback index of referrers is read and written: the protocol has no conditional writes.
    pub(super) indexing: tokio::sync::Mutex<()>,
}

/// A request to the registry.
pub(super) struct RegistryRequest<'a> {
    pub(super) operation: &'static str,
    pub(super) subject: String,
    pub(super) method: &'static str,
    pub(super) url: Url,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) payload: RequestBody<'a>,
    /// The scope that a token needs, `repository:x:pull`.
    pub(super) scope: String,
}

/// A request's body.
pub(super) enum RequestBody<'a> {
    Empty,
    Bytes(Bytes),
    /// A body that is opened again for each attempt.
    Stream {
        size: u64,
        open: &'a (dyn Fn() -> BoxFuture<'a, Result<SdkBody, AttemptError>> + Send + Sync),
        monitor: &'a BodyMonitor,
    },
}

/// Progress and failure of a body while it is sent.
#[derive(Debug, Default)]
pub(super) struct BodyMonitor {
    sent: AtomicU64,
    failure: Mutex<Option<CloudError>>,
}

impl BodyMonitor {
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn set_sent(&self, sent: u64) {
        self.sent.store(sent, Ordering::Relaxed);
    }

    /// Records why a body failed; the connection reports only that it did.
    pub(super) fn record_failure(&self, error: CloudError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn take_failure(&self) -> Option<CloudError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl RegistryRequest<'_> {
    pub(super) fn context<'a>(&'a self, client: &'a Client) -> CallContext<'a> {
        client.context(self.operation, &self.subject)
    }
}

impl Client {
    pub(super) fn new(
        host: &str,
        credentials: Arc<dyn RegistryCredentials>,
        options: RegistryOptions,
    ) -> Result<Self, CloudError> {
        let wrong = |why: &str| CloudError::new(CloudErrorKind::Other, "registry", "open", host, why);
        let scheme = if options.plain_http { "http" } else { "https" };
        let server = if is_docker_hub(host) { "registry-1.docker.io" } else { host };
        let base = Url::parse(&format!("{scheme}://{server}/")).ok();
        // A text with more than a host would send requests elsewhere: `user@host`, `host/path`, `host?query`.
        let base = base.filter(|_| !server.is_empty() && !server.contains(['/', '@', '?', '#', '\\', ' ']));
        let base =
            base.ok_or_else(|| wrong("a registry is named by its host, with its port if it has one"))?;
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
            let context = context.map_err(|error| wrong(&root_cause(&error)))?;
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

    pub(super) fn context<'a>(&'a self, operation: &'static str, subject: &'a str) -> CallContext<'a> {
        CallContext { service: "registry", operation, subject, endpoint: &self.host }
    }

    /// Returns the name of a tag or digest in errors.
    pub(super) fn subject(&self, repository: &str, separator: char, reference: &str) -> String {
        format!("{}/{repository}{separator}{reference}", self.host)
    }

    /// Returns a URL in a repository.
    pub(super) fn url(&self, repository: &str, rest: &str) -> Result<Url, CloudError> {
        let url = self.base.join(&format!("v2/{repository}/{rest}")).ok();
        url.filter(|_| is_repository(repository)).ok_or_else(|| {
            let subject = format!("{}/{repository}", self.host);
            CloudError::new(
                CloudErrorKind::Other,
                "registry",
                "open",
                subject,
                "this is not a valid repository name",
            )
        })
    }

    /// Returns the URL of the header `Location`, which may be relative.
    pub(super) fn location(
        &self,
        response: &Response,
        request: &RegistryRequest<'_>,
    ) -> Result<Url, CloudError> {
        let location = response.header("location").and_then(|location| request.url.join(location).ok());
        let secure = |url: &Url| ["https", self.base.scheme()].contains(&url.scheme());
        location.filter(secure).ok_or_else(|| {
            let message = "the response has no usable header Location";
            CloudError::at(&request.context(self), CloudErrorKind::Other, message)
        })
    }

    /// Repeats attempts until one succeeds, is not retryable or is the last.
    pub(super) async fn with_retries<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, CloudError>
    where
        F: Future<Output = Result<T, AttemptError>>,
    {
        let mut made = 1;
        loop {
            match attempt().await {
                Err(AttemptError { retryable: true, pause, .. }) if made < self.options.attempts => {
                    tokio::time::sleep(self.pause(made, pause)).await;
                    made += 1;
                }
                result => return result.map_err(|attempt| attempt.error),
            }
        }
    }

    /// Sends a request, and again with a login where the registry asks for one.
    pub(super) async fn send(&self, request: &RegistryRequest<'_>) -> Result<Response, AttemptError> {
        let started = Instant::now();
        let result = self.send_with_login(request).await;
        if let Some(observer) = &self.options.observer {
            let outcome = match &result {
                Ok(response) if response.status < 400 => CallOutcome::Succeeded,
                Ok(response) if response.status == 404 => {
                    CallOutcome::Failed { kind: CloudErrorKind::NotFound, code: None }
                }
                Ok(_) => CallOutcome::Failed { kind: CloudErrorKind::Other, code: None },
                Err(AttemptError { error, .. }) => {
                    CallOutcome::Failed { kind: error.kind, code: error.code.clone() }
                }
            };
            let (operation, subject) = (request.operation, request.subject.clone());
            observer(Call { service: "registry", operation, subject, took: started.elapsed(), outcome });
        }
        result
    }

    /// Sends a request with this login, or none; follows redirects of GET and HEAD.
    pub(super) async fn send_with_redirects(
        &self,
        request: &RegistryRequest<'_>,
        login: Option<&str>,
    ) -> Result<Response, AttemptError> {
        let mut url = request.url.clone();
        for _ in 0..=REDIRECTS {
            let login = login.filter(|_| url.origin() == request.url.origin());
            let response = self.send_once(request, &url, login).await?;
            let reads = ["GET", "HEAD"].contains(&request.method);
            if !reads || !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            url = self.location(&response, request)?;
        }
        let message = format!("more than {REDIRECTS} redirects");
        Err(CloudError::at(&request.context(self), CloudErrorKind::Other, message).into())
    }

    async fn send_with_login(&self, request: &RegistryRequest<'_>) -> Result<Response, AttemptError> {
        // An upload's URL may be on another host, which must not get the login.
        let ours = request.url.origin() == self.base.origin();
        let mut login = match ours {
            true => self.authorization.header(self, request).await?,
            false => None,
        };
        for _ in 0..LOGINS {
            let response = self.send_with_redirects(request, login.as_deref()).await?;
            let challenge = match response.status {
                401 => challenge::supported(response.header_values("www-authenticate")),
                403 => {
                    let attempt = response.into_error(&request.context(self)).await;
                    // ECR responds so instead of with 401 and a challenge.
                    if !attempt.login_expired {
                        return Err(attempt);
                    }
                    Some(challenge::Challenge::Basic)
                }
                _ => return Ok(response),
            };
            let Some(challenge) = challenge.filter(|_| ours) else {
                return Err(self.login_rejected(request));
            };
            login = Some(
                self.authorization.header_for_challenge(self, request, challenge, login.as_deref()).await?,
            );
        }
        let response = self.send_with_redirects(request, login.as_deref()).await?;
        match response.status {
            401 => Err(self.login_rejected(request)),
            403 => Err(response.into_error(&request.context(self)).await),
            _ => Ok(response),
        }
    }

    fn login_rejected(&self, request: &RegistryRequest<'_>) -> AttemptError {
        let message =
            format!("the registry {} did not accept the login for `{}`", self.host, request.subject);
        CloudError::at(&request.context(self), CloudErrorKind::CredentialsMissing, message).into()
    }

    async fn send_once(
        &self,
        request: &RegistryRequest<'_>,
        url: &Url,
        login: Option<&str>,
    ) -> Result<Response, AttemptError> {
        let context = request.context(self);
        let (body, length, monitor) = match &request.payload {
            RequestBody::Empty => (SdkBody::empty(), 0, None),
            RequestBody::Bytes(bytes) => (SdkBody::from(bytes.clone()), bytes.len() as u64, None),
            RequestBody::Stream { size, open, monitor } => (open().await?, *size, Some(*monitor)),
        };
        let unsendable = |why: String| CloudError::at(&context, CloudErrorKind::Other, why);
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
            valid.map_err(|_| unsendable(format!("the value of the header `{name}` cannot be sent")))?;
        }
        let limit = self.options.read_timeout;
        let mut response = std::pin::pin!(self.connector.call(message));
        let mut seen = 0;
        let response = loop {
            tokio::select! {
                response = &mut response => break response,
                () = tokio::time::sleep(limit) => match monitor.map(BodyMonitor::sent) {
                    Some(sent) if sent != seen => seen = sent,
                    _ => return Err(context.timed_out().into()),
                },
            }
        };
        if let Some(failure) = monitor.and_then(BodyMonitor::take_failure) {
            return Err(failure.into());
        }
        let response = response.map_err(|error| {
            let cause = root_cause(&error);
            let CallContext { service, endpoint, subject, .. } = context;
            if error.is_timeout() {
                let message =
                    format!("no connection in time to the {service} at {endpoint} (`{subject}`): {cause}");
                return CloudError::at(&context, CloudErrorKind::TimedOut, message);
            }
            let message = format!("the {service} at {endpoint} cannot be reached (`{subject}`): {cause}");
            CloudError::at(&context, CloudErrorKind::Unreachable, message)
        })?;
        Ok(Response::new(response, limit))
    }

    /// Returns the pause before the next attempt: it doubles with each, less a random part of up to a half, and is never
    /// shorter than the registry asks.
    fn pause(&self, made: u32, asked: Option<Duration>) -> Duration {
        let grown = self.options.backoff.saturating_mul(1 << (made - 1).min(16));
        let shortened = grown.mul_f64(1.0 - fastrand::f64() / 2.0);
        shortened.max(asked.unwrap_or_default()).min(self.options.longest_pause)
    }
}

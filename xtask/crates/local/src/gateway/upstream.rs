//! The emulator behind the gateway: requests are forwarded to it, and its responses back, while they stream.

use super::accounts::Accounts;
use super::lambda_error::LambdaError;
use super::unreachable;
use crate::http;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Headers of one connection, which are not forwarded (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// The emulator.
pub(crate) struct Upstream {
    url: String,
    authority: String,
    accounts: Arc<Accounts>,
}

impl Upstream {
    pub(super) fn new(url: String, authority: String, accounts: Arc<Accounts>) -> Self {
        Self { url, authority, accounts }
    }

    /// Returns host and port.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Returns the accounts of the emulator.
    pub(super) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Forwards a request and returns the emulator's response; 502 if the emulator does not respond.
    ///
    /// When this returns, the emulator has carried out the request, and the response's body may still stream.
    pub(super) async fn forward(&self, request: Request) -> Response {
        let (mut parts, body) = request.into_parts();
        self.accounts.resign_verified(&mut parts);
        let mut request = Request::from_parts(parts, body);
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let uri = match target.parse::<Uri>() {
            Ok(target) => target,
            Err(_) => return StatusCode::BAD_REQUEST.into_response(),
        };
        *request.uri_mut() = uri.clone();
        *request.version_mut() = axum::http::Version::HTTP_11;
        remove_hop_by_hop(request.headers_mut());
        let headers = request.headers().clone();
        match http::send(&self.authority, request).await {
            Ok(response) => {
                let (mut parts, body) = response.into_parts();
                parts.version = axum::http::Version::HTTP_11;
                remove_hop_by_hop(&mut parts.headers);
                Response::from_parts(parts, Body::new(body))
            }
            Err(error) => unreachable::response(&headers, &uri, &self.url, &error),
        }
    }

    /// Signs a request with the secret of its access key, in place of the client's signature, if the secret is known.
    pub(super) fn resign(&self, parts: &mut Parts, body: &[u8]) {
        self.accounts.resign(parts, body);
    }
}

/// Forwards a request.
pub(super) async fn forward(State(upstream): State<Arc<Upstream>>, request: Request) -> Response {
    upstream.forward(request).await
}

/// Runs work to its end even if the client disconnects, so that no lock is released before.
pub(super) async fn run_to_completion(work: impl Future<Output = Response> + Send + 'static) -> Response {
    tokio::spawn(work).await.unwrap_or_else(|error| LambdaError::service(error.to_string()).into_response())
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

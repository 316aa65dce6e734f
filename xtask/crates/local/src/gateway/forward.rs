//! Passes a request on to the emulator and its answer back, both as they are and while they stream.

use super::refusal::Refusal;
use super::unreachable::unreachable;
use super::{Gateway, Shared};
use crate::http;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// What belongs to one connection and not to the message (RFC 9110, 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Answers with what the emulator answers; 502 where it does not.
pub(super) async fn forward(State(gateway): Shared, request: Request) -> Response {
    pass(&gateway, request).await
}

/// The same; the answer has begun when this is done, and the emulator has then carried out what was asked.
pub(super) async fn pass(gateway: &Gateway, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    gateway.accounts.resign_genuine(&mut parts);
    let mut request = Request::from_parts(parts, body);
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let uri = match target.parse::<Uri>() {
        Ok(target) => target,
        Err(_) => return StatusCode::BAD_REQUEST.into_response(),
    };
    *request.uri_mut() = uri.clone();
    *request.version_mut() = axum::http::Version::HTTP_11;
    strip(request.headers_mut());
    let headers = request.headers().clone();
    match http::send(&gateway.authority, request).await {
        Ok(answer) => {
            let (mut parts, body) = answer.into_parts();
            parts.version = axum::http::Version::HTTP_11;
            strip(&mut parts.headers);
            Response::from_parts(parts, Body::new(body))
        }
        Err(error) => unreachable(&headers, &uri, &gateway.config.emulator_url, &error),
    }
}

/// Does something to its end, also where the client goes away: a lock must not be given back before.
pub(super) async fn to_the_end(work: impl Future<Output = Response> + Send + 'static) -> Response {
    tokio::spawn(work).await.unwrap_or_else(|error| Refusal::service(error.to_string()).into_response())
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

//! Passes a request on to the emulator and its answer back, both as they are and while they stream.

use super::Shared;
use super::refusal::chain;
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
pub(super) async fn forward(State(gateway): Shared, mut request: Request) -> Response {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    match target.parse::<Uri>() {
        Ok(target) => *request.uri_mut() = target,
        Err(_) => return StatusCode::BAD_REQUEST.into_response(),
    }
    *request.version_mut() = axum::http::Version::HTTP_11;
    strip(request.headers_mut());
    match http::send(&gateway.authority, request).await {
        Ok(answer) => {
            let (mut parts, body) = answer.into_parts();
            parts.version = axum::http::Version::HTTP_11;
            strip(&mut parts.headers);
            Response::from_parts(parts, Body::new(body))
        }
        Err(error) => {
            let message = format!("the emulator cannot be reached: {}", chain(&error));
            (StatusCode::BAD_GATEWAY, message).into_response()
        }
    }
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

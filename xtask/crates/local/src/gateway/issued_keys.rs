//! Learns the access keys that STS and IAM issue, from the emulator's responses.

use super::lambda_error::LambdaError;
use super::scope::CredentialScope;
use super::upstream::Upstream;
use crate::emulator::xml_element;
use crate::signing::Credential;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};

/// The longest response with an access key, in bytes.
const LONGEST: usize = 64 << 10;

/// Returns whether the response to a request may hold a new access key.
pub(super) fn may_issue_key(request: &Request) -> bool {
    let scope = CredentialScope::of(request.headers(), request.uri());
    let service = scope.as_ref().map(|scope| scope.service.as_str());
    matches!(service, Some("sts" | "iam")) && request.method() == Method::POST
}

/// Forwards a request and learns the access key in the response, if there is one.
pub(super) async fn forward_and_learn(upstream: &Upstream, request: Request) -> Response {
    let response = upstream.forward(request).await;
    let length = response.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let short = length.and_then(|length| length.parse().ok()).is_some_and(|length: usize| length <= LONGEST);
    if !short || !response.status().is_success() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return LambdaError::unreadable_response().into_response();
    };
    let text = String::from_utf8_lossy(&body);
    if let (Some(access_key_id), Some(secret_access_key)) =
        (xml_element(&text, "AccessKeyId"), xml_element(&text, "SecretAccessKey"))
    {
        let session_token = xml_element(&text, "SessionToken").unwrap_or_default();
        upstream.accounts().learn(&Credential { access_key_id, secret_access_key, session_token });
    }
    Response::from_parts(parts, Body::from(body))
}

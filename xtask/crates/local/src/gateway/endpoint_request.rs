//! A request to a function URL or an HTTP API, and what both have in common.

use super::accounts::Accounts;
use super::signature::Address;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::net::IpAddr;

/// A request to a function URL or an HTTP API.
pub(super) struct EndpointRequest {
    /// The id of the URL or API.
    pub(super) id: String,
    /// The path that the endpoint sees; begins with a slash.
    pub(super) path: String,
    /// The address that received the request.
    pub(super) received_at: Address,
    pub(super) source_ip: IpAddr,
    pub(super) request: Request,
}

impl EndpointRequest {
    /// Returns the addresses that the request may have been signed for; `domain` is the endpoint's host in the cloud.
    pub(super) fn signed_addresses(&self, domain: &str) -> [Address; 2] {
        let cloud = Address { host: domain.to_owned(), path: self.path.clone() };
        [self.received_at.clone(), cloud]
    }
}

/// Makes an error response as API Gateway and function URLs do.
///
/// They do not tell the reason, so it is in the header `x-slipway-reason`, for developers on this machine. `member` is the
/// name of the message in the JSON body.
pub(super) fn error_response(status: StatusCode, member: &str, message: &str, reason: &str) -> Response {
    let body = json!({ member: message }).to_string();
    let reason: String =
        reason.chars().map(|char| if (' '..='~').contains(&char) { char } else { '?' }).collect();
    let headers = [(header::CONTENT_TYPE.as_str(), "application/json"), ("x-slipway-reason", &reason)];
    (status, headers, body).into_response()
}

/// Returns the caller's identity as an event holds it in `requestContext.authorizer.iam`.
pub(super) async fn iam_identity(accounts: &Accounts, access_key_id: &str) -> serde_json::Value {
    let identity = accounts.identity(access_key_id).await.ok();
    let text =
        |take: fn(&crate::emulator::Identity) -> &String| identity.as_ref().map(|known| take(known).clone());
    json!({
        "accessKey": access_key_id,
        "accountId": text(|identity| &identity.account),
        "callerId": text(|identity| &identity.user_id),
        "cognitoIdentity": null,
        "principalOrgId": null,
        "userArn": text(|identity| &identity.arn),
        "userId": text(|identity| &identity.user_id),
    })
}

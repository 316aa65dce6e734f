//! Responds to a request to a function URL by invoking the function.
//!
//! In: a request, and the URL's id. Out: the function's response, with the URL's CORS headers. Errors: there is no such URL
//! or the caller's signature is missing or invalid (403), the function fails (502), too many instances run (429).

use super::{FunctionUrl, FunctionUrls};
use crate::error_chain::error_chain;
use crate::gateway::accounts::Accounts;
use crate::gateway::cors::CorsRules;
use crate::gateway::endpoint_request::{EndpointRequest, error_response, iam_identity};
use crate::gateway::function_name::FunctionName;
use crate::gateway::invoke::Invoker;
use crate::gateway::lambda_error::LambdaError;
use crate::gateway::signature;
use crate::http_event::{self, HttpEndpoint, LONGEST};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use std::sync::Arc;

/// Responds to a request to the function URL with the request's id.
pub(in crate::gateway) async fn respond(
    urls: &FunctionUrls,
    accounts: &Accounts,
    invoker: &Arc<Invoker>,
    request: EndpointRequest,
) -> Response {
    let forbidden = |reason: &str| error_response(StatusCode::FORBIDDEN, "Message", "Forbidden", reason);
    let Some(url) = urls.urls.get(&request.id) else {
        return forbidden(&format!("no function URL has the id {}", request.id));
    };
    let domain = url.domain(&request.id);
    let addresses = request.signed_addresses(&domain);
    let EndpointRequest { id, path, source_ip, request, .. } = request;
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        let reason = "the request is longer than 6 MB or incomplete";
        return error_response(StatusCode::PAYLOAD_TOO_LARGE, "Message", "Request Entity Too Large", reason);
    };
    let rules = CorsRules::read(&url.cors);
    if let Some(preflight) = rules.as_ref().and_then(|rules| rules.preflight(&parts, StatusCode::OK)) {
        return preflight;
    }
    let iam = match url.auth_type.as_str() {
        "NONE" => None,
        _ => match signature::verify(&parts, &body, "lambda", &addresses, |key| accounts.secret(key)) {
            Ok(key) => Some(iam_identity(accounts, &key).await),
            Err(error) => return forbidden(&format!("the request is not authorized: {error}")),
        },
    };
    let account = iam.as_ref().and_then(|iam| iam["accountId"].as_str()).unwrap_or("anonymous");
    let endpoint = HttpEndpoint {
        account,
        id: &id,
        domain: &domain,
        route_key: "$default",
        stage: "$default",
        path: &path,
        source_ip,
    };
    let mut event = http_event::event(&parts, &body, &endpoint);
    if let Some(iam) = &iam {
        event["requestContext"]["authorizer"] = json!({ "iam": iam });
    }
    let mut response = invoke(accounts, invoker, &url, event.to_string()).await;
    if let Some(rules) = rules {
        rules.apply(&parts.headers, &mut response);
    }
    response
}

async fn invoke(accounts: &Accounts, invoker: &Arc<Invoker>, url: &FunctionUrl, event: String) -> Response {
    let failed =
        |reason: &str| error_response(StatusCode::BAD_GATEWAY, "Message", "Internal Server Error", reason);
    let name = FunctionName {
        account: Some(url.account.clone()),
        name: url.function.clone(),
        qualifier: url.qualifier.clone(),
    };
    let caller = match accounts.own_caller(&url.account, &url.region).await {
        Ok(caller) => caller,
        Err(error) => return failed(&error_chain(&error)),
    };
    match invoker.invoke(caller, &name, |_| event.into()).await {
        // The client must not see a function's error; the function's log has it.
        Ok(result) if result.failed => failed("the function failed; see its log"),
        Ok(result) => http_event::response(&result.body)
            .unwrap_or_else(|| failed("the function's result is not an HTTP response")),
        Err(LambdaError::Own { status: StatusCode::TOO_MANY_REQUESTS, message, .. }) => {
            error_response(StatusCode::TOO_MANY_REQUESTS, "Message", "Too Many Requests", &message)
        }
        Err(error) => failed(&error.message()),
    }
}

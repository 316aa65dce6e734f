//! Answers a request to a function URL by running the function.
//!
//! In: a request, and the URL's id. Out: what the function answers, with the URL's rules for other origins. What can go
//! wrong: there is no such URL or the caller did not sign (403), the function fails (502), too many run (429).

use crate::gateway::cors::Rules;
use crate::gateway::front::{Visit, iam, refused};
use crate::gateway::functions::FunctionName;
use crate::gateway::refusal::Refusal;
use crate::gateway::{Gateway, invoke, signature};
use crate::http_event::{self, Front, LONGEST};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use std::sync::Arc;

/// Answers a request to the URL of an id.
pub(in crate::gateway) async fn answer(gateway: &Arc<Gateway>, visit: Visit) -> Response {
    let forbidden = |why: &str| refused(StatusCode::FORBIDDEN, "Message", "Forbidden", why);
    let Some(url) = gateway.function_urls.get(&visit.id) else {
        return forbidden(&format!("no function URL has the id {}", visit.id));
    };
    let domain = url.domain(&visit.id);
    let addresses = visit.addresses(&domain);
    let (parts, body) = visit.request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        let why = "the request is longer than 6 MB or broke off";
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "Message", "Request Entity Too Large", why);
    };
    let rules = Rules::read(&url.cors);
    if let Some(preflight) = rules.as_ref().and_then(|rules| rules.preflight(&parts, StatusCode::OK)) {
        return preflight;
    }
    let signer = match url.auth_type.as_str() {
        "NONE" => None,
        _ => match signature::signer(&parts, &body, "lambda", &addresses, |key| gateway.accounts.secret(key))
        {
            Ok(key) => Some(key),
            Err(unsigned) => return forbidden(&format!("the request is refused: {unsigned}")),
        },
    };
    let mut front = Front {
        account: "anonymous",
        id: &visit.id,
        domain: &domain,
        route_key: "$default",
        stage: "$default",
        path: &visit.path,
        source_ip: visit.source_ip,
    };
    let mut response = {
        let iam = match &signer {
            Some(key) => Some(iam(gateway, key).await),
            None => None,
        };
        let account = iam.as_ref().and_then(|iam| iam["accountId"].as_str()).unwrap_or("anonymous");
        front.account = account;
        let mut event = http_event::event(&parts, &body, &front);
        if let Some(iam) = &iam {
            event["requestContext"]["authorizer"] = json!({ "iam": iam });
        }
        run(gateway, &url, event.to_string()).await
    };
    if let Some(rules) = rules {
        rules.mark(&parts.headers, &mut response);
    }
    response
}

async fn run(gateway: &Arc<Gateway>, url: &super::FunctionUrl, event: String) -> Response {
    let broken = |why: &str| refused(StatusCode::BAD_GATEWAY, "Message", "Internal Server Error", why);
    let wanted = FunctionName {
        account: Some(url.account.clone()),
        name: url.function.clone(),
        qualifier: url.qualifier.clone(),
    };
    let caller = match gateway.accounts.own(&url.account, &url.region).await {
        Ok(caller) => caller,
        Err(error) => return broken(&crate::gateway::refusal::chain(&error)),
    };
    match invoke::run(gateway, caller, &wanted, |_| event.into()).await {
        // A function's error is not shown to the world; its log has it.
        Ok(invoked) if invoked.failed => broken("the function failed; its log says why"),
        Ok(invoked) => http_event::response(&invoked.body)
            .unwrap_or_else(|| broken("the function's answer is not an HTTP response")),
        Err(Refusal::Ours { status: StatusCode::TOO_MANY_REQUESTS, message, .. }) => {
            refused(StatusCode::TOO_MANY_REQUESTS, "Message", "Too Many Requests", &message)
        }
        Err(refusal) => broken(&refusal.message()),
    }
}

//! HTTP APIs: a request to an API is routed as the emulator's API Gateway is configured, and answered by a function.
//!
//! In: a request, and the API's id. Out: what the function behind the route answers. What can go wrong: no stage or
//! route fits (404), the caller did not sign where the route wants it (403), the function fails (500), the emulator does
//! not answer (502), too many run (503), the integration's time is over (504); and what the local environment cannot do
//! is said so (501). See <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>.

mod api;
mod routes;

pub(super) use api::Apis;

use super::front::{Visit, iam, refused};
use super::functions::FunctionName;
use super::refusal::{Refusal, chain};
use super::scope::Scope;
use super::{Gateway, Shared, invoke, objects, signature};
use crate::http_event::{self, Front, LONGEST};
use api::{Api, Integration};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Answers a request to the API of an id.
pub(super) async fn answer(gateway: &Arc<Gateway>, visit: Visit) -> Response {
    let not_found = |why: &str| refused(StatusCode::NOT_FOUND, "message", "Not Found", why);
    let signed_by = Scope::of(visit.request.headers(), visit.request.uri());
    let api = match api::find(gateway, &visit.id, signed_by).await {
        Ok(Some(api)) => api,
        Ok(None) => return not_found(&format!("no HTTP API has the id {}", visit.id)),
        Err(error) => return refused(StatusCode::BAD_GATEWAY, "message", "Bad Gateway", &chain(&error)),
    };
    let domain = format!("{}.execute-api.{}.amazonaws.com", visit.id, api.region);
    let addresses = visit.addresses(&domain);
    let (parts, body) = visit.request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        let why = "the request is longer than the local environment passes on, or broke off";
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "message", "Request Entity Too Large", why);
    };
    let preflight = api.cors.as_ref().and_then(|rules| rules.preflight(&parts, StatusCode::NO_CONTENT));
    if let Some(preflight) = preflight {
        return preflight;
    }
    let mut response = async {
        let Some((stage, path)) = api.stage(&visit.path) else {
            return not_found(&format!("the API {} has no stage for {}", visit.id, visit.path));
        };
        let Some((route, parameters)) = routes::choose(&api.routes, parts.method.as_str(), path) else {
            return not_found(&format!("no route of the API {} fits {} {path}", visit.id, parts.method));
        };
        let authorizer = match route.authorization.as_str() {
            "NONE" => Value::Null,
            "AWS_IAM" => {
                let secret = |key: &str| gateway.accounts.secret(key);
                match signature::signer(&parts, &body, "execute-api", &addresses, secret) {
                    Ok(key) => json!({ "iam": iam(gateway, &key).await }),
                    Err(unsigned) => {
                        let why = format!("the request is refused: {unsigned}");
                        return refused(StatusCode::FORBIDDEN, "message", "Forbidden", &why);
                    }
                }
            }
            other => return unable(&format!("the route {} is authorized by {other}", route.key)),
        };
        let Some(integration) = route.integration.as_ref().and_then(|id| api.integrations.get(id)) else {
            let why = format!("the route {} has no integration", route.key);
            return refused(StatusCode::INTERNAL_SERVER_ERROR, "message", "Internal Server Error", &why);
        };
        let front = Front {
            account: &api.account,
            id: &visit.id,
            domain: &domain,
            route_key: &route.key,
            stage: &stage.name,
            path: &visit.path,
            source_ip: visit.source_ip,
        };
        let mut event = http_event::event(&parts, &body, &front);
        if !parameters.is_empty() {
            event["pathParameters"] = parameters
                .into_iter()
                .map(|(name, value)| (name, Value::String(value)))
                .collect::<Map<_, _>>()
                .into();
        }
        if !stage.variables.is_empty() {
            event["stageVariables"] = Value::Object(stage.variables.clone());
        }
        if !authorizer.is_null() {
            event["requestContext"]["authorizer"] = authorizer;
        }
        run(gateway, &api, integration, event.to_string()).await
    }
    .await;
    if let Some(rules) = &api.cors {
        rules.mark(&parts.headers, &mut response);
    }
    response
}

/// Passes calls to API Gateway on, and takes note of which APIs there are and when they change.
pub(super) async fn manage(state: Shared, request: Request) -> Response {
    let asked = (request.method().clone(), request.uri().path().to_owned());
    let scope = Scope::of(request.headers(), request.uri());
    let gateway = Arc::clone(&state.0);
    let answer = objects::answer(state, request).await;
    let (method, path) = asked;
    if method == Method::GET || !answer.status().is_success() {
        return answer;
    }
    match (path.trim_end_matches('/'), scope) {
        ("/v2/apis", Some(scope)) => api::made(&gateway, &scope, answer).await,
        (path, _) => {
            if let Some(id) = path.strip_prefix("/v2/apis/").and_then(|rest| rest.split('/').next()) {
                let gone = method == Method::DELETE && path.ends_with(id);
                gateway.apis.changed(id, gone);
            }
            answer
        }
    }
}

/// Invokes the function of an integration.
async fn run(gateway: &Arc<Gateway>, api: &Api, integration: &Integration, event: String) -> Response {
    let failed = |status: StatusCode, message: &str, why: &str| refused(status, "message", message, why);
    let broken = |why: &str| failed(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error", why);
    if integration.kind != "AWS_PROXY" || integration.format != "2.0" {
        let (kind, format) = (&integration.kind, &integration.format);
        return unable(&format!("the integration is {kind} with payload format {format}"));
    }
    let Ok(wanted) = FunctionName::parse(function_arn(&integration.uri), None) else {
        return broken(&format!("`{}` names no function", integration.uri));
    };
    // A function may belong to another account; who calls it there is the gateway.
    let account = wanted.account.clone().unwrap_or_else(|| api.account.clone());
    let caller = match gateway.accounts.own(&account, &api.region).await {
        Ok(caller) => caller,
        Err(error) => return failed(StatusCode::BAD_GATEWAY, "Bad Gateway", &chain(&error)),
    };
    let call = invoke::run(gateway, caller, &wanted, |_| event.into());
    match tokio::time::timeout(integration.within, call).await {
        Err(_) => {
            let why = format!("the function took longer than {:?}", integration.within);
            failed(StatusCode::GATEWAY_TIMEOUT, "Gateway Timeout", &why)
        }
        Ok(Ok(invoked)) if invoked.failed => broken("the function failed; its log says why"),
        Ok(Ok(invoked)) => http_event::response(&invoked.body)
            .unwrap_or_else(|| broken("the function's answer is not an HTTP response")),
        Ok(Err(Refusal::Ours { status: StatusCode::TOO_MANY_REQUESTS, message, .. })) => {
            failed(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable", &message)
        }
        Ok(Err(Refusal::Ours { status: StatusCode::BAD_GATEWAY, message, .. })) => {
            failed(StatusCode::BAD_GATEWAY, "Bad Gateway", &message)
        }
        Ok(Err(refusal)) => broken(&refusal.message()),
    }
}

fn unable(what: &str) -> Response {
    let why = format!("{what}, which the local environment cannot do");
    refused(StatusCode::NOT_IMPLEMENTED, "message", "Not Implemented", &why)
}

/// Takes the function out of `arn:aws:apigateway:…:lambda:path/2015-03-31/functions/<arn>/invocations`.
fn function_arn(uri: &str) -> &str {
    match uri.split_once("/functions/") {
        Some((_, rest)) => rest.strip_suffix("/invocations").unwrap_or(rest),
        None => uri,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integration_names_a_function_in_two_forms() {
        let arn = "arn:aws:lambda:eu-central-1:111111111111:function:f:live";
        let long =
            format!("arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/{arn}/invocations");
        assert_eq!((function_arn(&long), function_arn(arn)), (arn, arn));
    }
}

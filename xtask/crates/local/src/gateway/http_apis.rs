//! Serves HTTP APIs: routes a request as the emulator's API Gateway is configured, and invokes the function.
//!
//! In: a request, and the API's id. Out: the response of the route's function. Errors: no stage or route matches (404), the
//! caller's signature is missing or invalid (403), the function fails (500), the emulator does not respond (502), too many
//! instances run (503), the integration's time limit is over (504), or the local environment does not support the route or
//! integration (501).
//! See <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>.

mod api;
mod routes;

use super::accounts::Accounts;
use super::endpoint_request::{EndpointRequest, error_response, iam_identity};
use super::function_name::FunctionName;
use super::invoke::Invoker;
use super::lambda_error::LambdaError;
use super::scope::CredentialScope;
use super::signature;
use super::upstream::Upstream;
use crate::error_chain::error_chain;
use crate::http_event::{self, HttpEndpoint, LONGEST};
use api::{Api, ApiStore, Integration};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};
use slipway_values::partition::Partition;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// All HTTP APIs, and the handler of requests to them and of calls about them.
pub(crate) struct HttpApis {
    apis: ApiStore,
    accounts: Arc<Accounts>,
    upstream: Arc<Upstream>,
    invoker: Arc<Invoker>,
}

impl HttpApis {
    pub(super) fn open(
        folder: PathBuf,
        accounts: Arc<Accounts>,
        upstream: Arc<Upstream>,
        invoker: Arc<Invoker>,
    ) -> io::Result<Self> {
        let apis = ApiStore::open(folder, Arc::clone(&accounts))?;
        Ok(Self { apis, accounts, upstream, invoker })
    }

    /// Responds to a request to the API with the request's id.
    pub(super) async fn respond(&self, request: EndpointRequest) -> Response {
        let scope = CredentialScope::of(request.request.headers(), request.request.uri());
        let api = match self.apis.find(&request.id, scope).await {
            Ok(Some(api)) => api,
            Ok(None) => return not_found(&format!("no HTTP API has the id {}", request.id)),
            Err(error) => return failed(StatusCode::BAD_GATEWAY, "Bad Gateway", &error_chain(&error)),
        };
        let domain =
            Partition::of_region(&api.region).host(&format!("{}.execute-api", request.id), &api.region);
        let addresses = request.signed_addresses(&domain);
        let EndpointRequest { id, path: full_path, source_ip, request, .. } = request;
        let (parts, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
            let reason = "the request is longer than the local environment supports, or incomplete";
            return failed(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large", reason);
        };
        let preflight = api.cors.as_ref().and_then(|rules| rules.preflight(&parts, StatusCode::NO_CONTENT));
        if let Some(preflight) = preflight {
            return preflight;
        }
        let mut response = async {
            let Some((stage, path)) = api.stage(&full_path) else {
                return not_found(&format!("the API {id} has no stage for {full_path}"));
            };
            let Some((route, parameters)) = routes::find_route(&api.routes, parts.method.as_str(), path)
            else {
                return not_found(&format!("no route of the API {id} matches {} {path}", parts.method));
            };
            let authorizer = match route.authorization.as_str() {
                "NONE" => Value::Null,
                "AWS_IAM" => {
                    let secret = |key: &str| self.accounts.secret(key);
                    match signature::verify(&parts, &body, "execute-api", &addresses, secret) {
                        Ok(key) => json!({ "iam": iam_identity(&self.accounts, &key).await }),
                        Err(error) => {
                            let reason = format!("the request is not authorized: {error}");
                            return failed(StatusCode::FORBIDDEN, "Forbidden", &reason);
                        }
                    }
                }
                other => return unsupported(&format!("the route {} is authorized by {other}", route.key)),
            };
            let integration = route.integration.as_ref().and_then(|id| api.integrations.get(id));
            let Some(integration) = integration else {
                return internal_error(&format!("the route {} has no integration", route.key));
            };
            let endpoint = HttpEndpoint {
                account: &api.account,
                id: &id,
                domain: &domain,
                route_key: &route.key,
                stage: &stage.name,
                path: &full_path,
                source_ip,
            };
            let mut event = http_event::event(&parts, &body, &endpoint);
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
            self.invoke(&api, integration, event.to_string()).await
        }
        .await;
        if let Some(rules) = &api.cors {
            rules.apply(&parts.headers, &mut response);
        }
        response
    }

    /// Forwards a call to API Gateway, and records which APIs it creates, changes or deletes.
    pub(super) async fn forward(&self, request: Request) -> Response {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let scope = CredentialScope::of(request.headers(), request.uri());
        let response = self.upstream.forward(request).await;
        if method == Method::GET || !response.status().is_success() {
            return response;
        }
        match (path.trim_end_matches('/'), scope) {
            ("/v2/apis", Some(scope)) => self.apis.record_owner(&scope, response).await,
            (path, _) => {
                if let Some(id) = path.strip_prefix("/v2/apis/").and_then(|rest| rest.split('/').next()) {
                    let deleted = method == Method::DELETE && path.ends_with(id);
                    self.apis.record_change(id, deleted);
                }
                response
            }
        }
    }

    /// Invokes the function of an integration.
    async fn invoke(&self, api: &Api, integration: &Integration, event: String) -> Response {
        if integration.integration_type != "AWS_PROXY" || integration.payload_format != "2.0" {
            let Integration { integration_type, payload_format, .. } = integration;
            return unsupported(&format!(
                "the integration is {integration_type} with payload format {payload_format}"
            ));
        }
        let Ok(name) = FunctionName::parse(function_arn(&integration.uri), None) else {
            return internal_error(&format!("`{}` is not the ARN of a function", integration.uri));
        };
        // The function may belong to another account; the gateway invokes it there with its own credential.
        let account = name.account.clone().unwrap_or_else(|| api.account.clone());
        let caller = match self.accounts.own_caller(&account, &api.region).await {
            Ok(caller) => caller,
            Err(error) => return failed(StatusCode::BAD_GATEWAY, "Bad Gateway", &error_chain(&error)),
        };
        let call = self.invoker.invoke(caller, &name, |_| event.into());
        match tokio::time::timeout(integration.time_limit, call).await {
            Err(_) => {
                let reason = format!("the function took longer than {:?}", integration.time_limit);
                failed(StatusCode::GATEWAY_TIMEOUT, "Gateway Timeout", &reason)
            }
            Ok(Ok(result)) if result.failed => internal_error("the function failed; see its log"),
            Ok(Ok(result)) => http_event::response(&result.body)
                .unwrap_or_else(|| internal_error("the function's result is not an HTTP response")),
            Ok(Err(LambdaError::Own { status: StatusCode::TOO_MANY_REQUESTS, message, .. })) => {
                failed(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable", &message)
            }
            Ok(Err(LambdaError::Own { status: StatusCode::BAD_GATEWAY, message, .. })) => {
                failed(StatusCode::BAD_GATEWAY, "Bad Gateway", &message)
            }
            Ok(Err(error)) => internal_error(&error.message()),
        }
    }
}

fn failed(status: StatusCode, message: &str, reason: &str) -> Response {
    error_response(status, "message", message, reason)
}

fn not_found(reason: &str) -> Response {
    failed(StatusCode::NOT_FOUND, "Not Found", reason)
}

fn internal_error(reason: &str) -> Response {
    failed(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error", reason)
}

fn unsupported(what: &str) -> Response {
    let reason = format!("{what}, which the local environment does not support");
    failed(StatusCode::NOT_IMPLEMENTED, "Not Implemented", &reason)
}

/// Returns the function in `arn:aws:apigateway:…:lambda:path/2015-03-31/functions/<arn>/invocations`.
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
    fn function_arn_is_read_from_both_forms_of_an_integration_uri() {
        let arn = "arn:aws:lambda:eu-central-1:111111111111:function:f:live";
        let long =
            format!("arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/{arn}/invocations");
        assert_eq!((function_arn(&long), function_arn(arn)), (arn, arn));
    }
}

//! The routes of the gateway.
//!
//! A request for a function URL or an HTTP API is recognized by its host, as in the cloud, or by a path of the gateway; see
//! [`crate::lambda_url_address`]. All other requests are for AWS services: they are dispatched by path, and those without a
//! route of their own by service.

use super::config::HEALTH_PATH;
use super::endpoint_request::EndpointRequest;
use super::parts::Parts;
use super::scope::CredentialScope;
use super::signature::Address;
use super::upstream::forward;
use super::{
    aliases, event_sources, function_cache, function_urls, image_functions, invoke, issued_keys, publication,
    streams, tables,
};
use crate::addresses::{EXECUTE_API_PATH, LAMBDA_URL_PATH, api_id, lambda_url_id};
use crate::registry;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post, put};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Makes the router of a gateway.
pub(super) fn router(parts: Parts) -> Router {
    let functions = "/2015-03-31/functions";
    let one = "/2015-03-31/functions/{name}";
    let mappings = "/2015-03-31/event-source-mappings";
    let cache = (Arc::clone(&parts.function_cache), Arc::clone(&parts.accounts));
    let invocations = || post(invoke::invoke).fallback(forward);
    let all = || post(image_functions::create).get(image_functions::describe).fallback(forward);
    let versions = || post(publication::publish).get(image_functions::describe).fallback(forward);
    Router::new()
        .route(HEALTH_PATH, get(async || "ok"))
        .route("/v2", any(version_2))
        .route("/v2/", any(version_2))
        .route("/v2/{*rest}", any(version_2))
        .route(functions, all())
        .route(&format!("{functions}/"), all())
        .route(one, get(image_functions::describe).delete(aliases::delete_function).fallback(forward))
        .route(&format!("{one}/invocations"), invocations())
        .route(&format!("{one}/invocations/"), invocations())
        .route(&format!("{one}/code"), put(publication::update_code).fallback(forward))
        .route(
            &format!("{one}/configuration"),
            get(image_functions::describe).put(image_functions::update_configuration).fallback(forward),
        )
        .route(&format!("{one}/versions"), versions())
        .route(&format!("{one}/versions/"), versions())
        .route(&format!("{one}/aliases"), get(aliases::read).post(aliases::create).fallback(forward))
        .route(
            &format!("{one}/aliases/{{alias}}"),
            get(aliases::read).put(aliases::update).delete(aliases::delete).fallback(forward),
        )
        .route("/2021-10-31/functions/{name}/url", any(function_urls::one))
        .route("/2021-10-31/functions/{name}/urls", get(function_urls::list))
        .route(mappings, any(event_sources::api::all))
        .route(&format!("{mappings}/"), any(event_sources::api::all))
        .route(&format!("{mappings}/{{uuid}}"), any(event_sources::api::one))
        .route("/2017-03-31/tags/{arn}", any(event_sources::api::tags))
        .fallback(by_service)
        .layer(middleware::from_fn_with_state(cache, function_cache::invalidate_on_change))
        .layer(middleware::from_fn_with_state(parts.clone(), endpoints_first))
        .with_state(parts)
}

/// Dispatches a request without a route of its own to the service that it is for.
async fn by_service(State(parts): State<Parts>, request: Request) -> Response {
    if tables::is_write(&request) {
        parts.tables.write(request).await
    } else if streams::is_create(&request) {
        streams::create(&parts.upstream, request).await
    } else if issued_keys::may_issue_key(&request) {
        issued_keys::forward_and_learn(&parts.upstream, request).await
    } else {
        parts.objects.handle(request).await
    }
}

/// Dispatches paths under `/v2`: the registry's requests are not signed; API Gateway and SES have the same paths.
async fn version_2(State(parts): State<Parts>, request: Request) -> Response {
    match CredentialScope::of(request.headers(), request.uri()) {
        Some(scope) if scope.service == "apigateway" => parts.http_apis.forward(request).await,
        Some(_) => parts.objects.handle(request).await,
        None => registry::handle(&parts.registry, request).await,
    }
}

/// Responds to requests for function URLs and HTTP APIs, and passes all others on.
async fn endpoints_first(State(parts): State<Parts>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let Some((endpoint, path)) = endpoint(host, request.uri().path()) else {
        return next.run(request).await;
    };
    let received_at = Address { host: host.to_owned(), path: request.uri().path().to_owned() };
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let source_ip = client.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |client| client.0.ip());
    let with_id = |id| EndpointRequest { id, path, received_at, source_ip, request };
    match endpoint {
        Endpoint::FunctionUrl(id) => {
            let Parts { function_urls: urls, accounts, invoker, .. } = &parts;
            function_urls::serve::respond(urls, accounts, invoker, with_id(id)).await
        }
        Endpoint::HttpApi(id) => parts.http_apis.respond(with_id(id)).await,
    }
}

/// A function URL or an HTTP API, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Endpoint {
    FunctionUrl(String),
    HttpApi(String),
}

/// Returns the endpoint of a request and the path that it sees; `None` for a request to an AWS service.
fn endpoint(host: &str, path: &str) -> Option<(Endpoint, String)> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    if let Some(id) = lambda_url_id(&name) {
        return Some((Endpoint::FunctionUrl(id.to_owned()), path.to_owned()));
    }
    if let Some(id) = api_id(&name) {
        return Some((Endpoint::HttpApi(id.to_owned()), path.to_owned()));
    }
    let under = |prefix: &str| {
        let rest = path.strip_prefix(prefix)?.strip_prefix('/')?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (id, path) = rest.split_at(end);
        Some((id.to_owned(), if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
    };
    under(LAMBDA_URL_PATH)
        .map(|(id, path)| (Endpoint::FunctionUrl(id), path))
        .or_else(|| under(EXECUTE_API_PATH).map(|(id, path)| (Endpoint::HttpApi(id), path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_is_recognized_by_host_or_path() {
        let url = |path: &str| Some((Endpoint::FunctionUrl("ab".to_owned()), path.to_owned()));
        let api = |path: &str| Some((Endpoint::HttpApi("q1".to_owned()), path.to_owned()));
        assert_eq!(endpoint("ab.lambda-url.eu-central-1.on.aws", "/x/y"), url("/x/y"));
        assert_eq!(endpoint("AB.lambda-url.eu-central-1.on.aws:8080", "/"), url("/"));
        assert_eq!(endpoint("q1.execute-api.eu-central-1.amazonaws.com", "/v1/x"), api("/v1/x"));
        assert_eq!(endpoint("127.0.0.1:1", "/_slipway/lambda-url/ab"), url("/"));
        assert_eq!(endpoint("127.0.0.1:1", "/_slipway/lambda-url/ab/x%20y/"), url("/x%20y/"));
        assert_eq!(endpoint("127.0.0.1:1", "/_slipway/execute-api/q1/a"), api("/a"));
        for path in ["/", "/_slipway/health", "/2015-03-31/functions", "/bucket/_slipway/lambda-url/ab"] {
            assert_eq!(endpoint("127.0.0.1:1", path), None);
        }
        assert_eq!(endpoint("lambda.eu-central-1.amazonaws.com", "/"), None);
    }
}

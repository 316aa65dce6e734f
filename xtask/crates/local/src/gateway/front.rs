//! Requests for function URLs and HTTP APIs, told from calls to AWS.
//!
//! In: any request. Out: what it is for, by its host as in the cloud or by a path of the gateway's own, with the path
//! that is left; what is for neither goes on. See [`crate::lambda_url_address`].

use super::function_urls::serve as function_url;
use super::signature::Address;
use super::{Gateway, Shared, http_apis};
use crate::addresses::{EXECUTE_API_PATH, LAMBDA_URL_PATH, api_id, lambda_url_id};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Site {
    FunctionUrl(String),
    HttpApi(String),
}

/// A request that came to a URL or an API.
pub(super) struct Visit {
    /// The URL's or API's.
    pub(super) id: String,
    /// What is left of the path; begins with a slash.
    pub(super) path: String,
    /// Where the request came to.
    pub(super) came_to: Address,
    pub(super) source_ip: IpAddr,
    pub(super) request: Request,
}

impl Visit {
    /// The addresses it may have been signed for.
    pub(super) fn addresses(&self, domain: &str) -> [Address; 2] {
        let cloud = Address { host: domain.to_owned(), path: self.path.clone() };
        [self.came_to.clone(), cloud]
    }
}

/// Answers what is for a URL or an API, and hands on the rest.
pub(super) async fn answer(State(gateway): Shared, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let Some((site, path)) = site(host, request.uri().path()) else {
        return next.run(request).await;
    };
    let came_to = Address { host: host.to_owned(), path: request.uri().path().to_owned() };
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let source_ip = client.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |client| client.0.ip());
    let visit = |id| Visit { id, path, came_to, source_ip, request };
    match site {
        Site::FunctionUrl(id) => function_url::answer(&gateway, visit(id)).await,
        Site::HttpApi(id) => http_apis::answer(&gateway, visit(id)).await,
    }
}

/// A refusal as API Gateway and function URLs write it; `why` is for whoever looks for the reason on this machine.
pub(super) fn refused(status: StatusCode, member: &str, message: &str, why: &str) -> Response {
    let body = json!({ member: message }).to_string();
    let why: String = why.chars().map(|char| if (' '..='~').contains(&char) { char } else { '?' }).collect();
    let headers = [(header::CONTENT_TYPE.as_str(), "application/json"), ("x-slipway-reason", &why)];
    (status, headers, body).into_response()
}

/// What the emulator knows of a caller, as an event tells it.
pub(super) async fn iam(gateway: &Arc<Gateway>, access_key_id: &str) -> serde_json::Value {
    let identity = gateway.accounts.identity(access_key_id).await.ok();
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

fn site(host: &str, path: &str) -> Option<(Site, String)> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    if let Some(id) = lambda_url_id(&name) {
        return Some((Site::FunctionUrl(id.to_owned()), path.to_owned()));
    }
    if let Some(id) = api_id(&name) {
        return Some((Site::HttpApi(id.to_owned()), path.to_owned()));
    }
    let within = |prefix: &str| {
        let rest = path.strip_prefix(prefix)?.strip_prefix('/')?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (id, path) = rest.split_at(end);
        Some((id.to_owned(), if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
    };
    within(LAMBDA_URL_PATH)
        .map(|(id, path)| (Site::FunctionUrl(id), path))
        .or_else(|| within(EXECUTE_API_PATH).map(|(id, path)| (Site::HttpApi(id), path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_or_path_tell_what_a_request_is_for() {
        let found = |host: &str, path: &str| site(host, path).map(|(site, path)| (site, path.to_owned()));
        let url = |path: &str| Some((Site::FunctionUrl("ab".to_owned()), path.to_owned()));
        let api = |path: &str| Some((Site::HttpApi("q1".to_owned()), path.to_owned()));
        assert_eq!(found("ab.lambda-url.eu-central-1.on.aws", "/x/y"), url("/x/y"));
        assert_eq!(found("AB.lambda-url.eu-central-1.on.aws:8080", "/"), url("/"));
        assert_eq!(found("q1.execute-api.eu-central-1.amazonaws.com", "/v1/x"), api("/v1/x"));
        assert_eq!(found("127.0.0.1:1", "/_slipway/lambda-url/ab"), url("/"));
        assert_eq!(found("127.0.0.1:1", "/_slipway/lambda-url/ab/x%20y/"), url("/x%20y/"));
        assert_eq!(found("127.0.0.1:1", "/_slipway/execute-api/q1/a"), api("/a"));
        for path in ["/", "/_slipway/health", "/2015-03-31/functions", "/bucket/_slipway/lambda-url/ab"] {
            assert_eq!(found("127.0.0.1:1", path), None);
        }
        assert_eq!(found("lambda.eu-central-1.amazonaws.com", "/"), None);
    }
}

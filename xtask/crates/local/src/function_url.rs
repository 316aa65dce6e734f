//! Serves one function over HTTP on this machine, as a function URL does.
//!
//! In: HTTP requests, and the function to invoke through a gateway. Out: the function's response; 502 if the function
//! fails, as in the cloud. The event has payload format 2.0:
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>.

use crate::http::{self, HttpError};
use crate::http_event::{self, HttpEndpoint, LONGEST};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Lambda's longest time limit, and some seconds for the start.
const WITHIN: Duration = Duration::from_secs(910);

/// The function to invoke, and the gateway that runs it.
#[derive(Debug, Clone)]
pub struct InvokeTarget {
    /// The gateway: `http://host:port`.
    pub gateway_url: String,
    /// The function's name or ARN.
    pub function: String,
    /// A version or an alias.
    pub qualifier: Option<String>,
    /// The `Authorization` header of the invocation; its credential selects the account.
    pub authorization: String,
}

/// Why a function cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gateway's address is invalid.
    #[error("the gateway's address is invalid")]
    Gateway(#[from] HttpError),
    /// The address cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// The server failed.
    #[error("the HTTP server failed")]
    Server(#[source] std::io::Error),
}

/// Returns an `Authorization` header that names an access key, for an emulator that does not check signatures.
pub fn authorization(access_key_id: &str, region: &str) -> String {
    let caller = crate::emulator::Caller {
        authority: String::new(),
        access_key_id: access_key_id.to_owned(),
        region: region.to_owned(),
        credential: None,
    };
    caller.authorization("lambda")
}

/// Serves until `shutdown` completes; calls `listening` with the address.
pub async fn serve_function_url(
    listen: SocketAddr,
    target: InvokeTarget,
    listening: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let authority = http::authority(&target.gateway_url)?;
    let failed = |source| Error::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    listening(listener.local_addr().map_err(failed)?);
    let router = Router::new().fallback(invoke).with_state(Arc::new((authority, target)));
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(shutdown)
        .await
        .map_err(Error::Server)
}

async fn invoke(
    State(state): State<Arc<(String, InvokeTarget)>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (authority, target) = &*state;
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let endpoint = HttpEndpoint {
        account: "anonymous",
        id: "local",
        domain: host,
        route_key: "$default",
        stage: "$default",
        path: parts.uri.path(),
        source_ip: client.ip(),
    };
    let event = http_event::event(&parts, &body, &endpoint);
    let mut path = format!("/2015-03-31/functions/{}/invocations", http::encode(&target.function));
    if let Some(qualifier) = &target.qualifier {
        path.push_str(&format!("?Qualifier={}", http::encode(qualifier)));
    }
    let invoke = Request::post(path)
        .header(header::AUTHORIZATION, &target.authorization)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(event.to_string()));
    let Ok(invoke) = invoke else {
        return plain(StatusCode::BAD_GATEWAY, "Bad Gateway");
    };
    match http::exchange(authority, invoke, 2 * LONGEST, WITHIN).await {
        Ok(result)
            if result.status == StatusCode::OK && !result.headers.contains_key("x-amz-function-error") =>
        {
            http_event::response(&result.body)
                .unwrap_or_else(|| plain(StatusCode::BAD_GATEWAY, "Internal Server Error"))
        }
        Ok(result) if result.status == StatusCode::TOO_MANY_REQUESTS => {
            plain(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests")
        }
        // The client must not see a function's error; the function's log has it.
        Ok(_) | Err(_) => plain(StatusCode::BAD_GATEWAY, "Internal Server Error"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain")], text).into_response()
}

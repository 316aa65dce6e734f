//! A function URL on this machine: any HTTP request becomes an event of payload format 2.0, and the function's
//! answer an HTTP response.
//!
//! In: HTTP, and which function to invoke through a gateway. Out: what the function answers; 502 where it fails, as
//! in the cloud. The format: <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>.

use crate::http::{self, HttpError};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Lambda's longest request, in bytes.
const LONGEST: usize = 6 << 20;
/// Lambda's longest time limit.
const WITHIN: Duration = Duration::from_secs(910);

/// Which function answers, and how it is reached.
#[derive(Debug, Clone)]
pub struct InvokeTarget {
    /// The gateway: `http://host:port`.
    pub gateway_url: String,
    /// The function's name or ARN.
    pub function: String,
    /// A version or an alias.
    pub qualifier: Option<String>,
    /// The `Authorization` header to invoke with; its credential decides on the account.
    pub authorization: String,
}

/// What keeps a function URL from being served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gateway's address is of no use.
    #[error("the gateway's address is wrong")]
    Gateway(#[from] HttpError),
    /// The address cannot be listened on.
    #[error("the function URL cannot be served on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server broke down.
    #[error("the function URL's server broke down")]
    Broken(#[source] std::io::Error),
}

/// Gives an `Authorization` header that names an access key, for an emulator that checks no signature.
pub fn authorization(access_key_id: &str, region: &str) -> String {
    let caller = crate::emulator::Caller {
        authority: String::new(),
        access_key_id: access_key_id.to_owned(),
        region: region.to_owned(),
    };
    caller.authorization("lambda")
}

/// Serves until `shutdown` is done; `listening` learns the address.
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
    let router = Router::new().fallback(answer).with_state(Arc::new((authority, target)));
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(shutdown)
        .await
        .map_err(Error::Broken)
}

async fn answer(
    State(state): State<Arc<(String, InvokeTarget)>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (authority, target) = &*state;
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
    };
    let event = event(&parts, &body, client);
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
        Ok(answer)
            if answer.status == StatusCode::OK && !answer.headers.contains_key("x-amz-function-error") =>
        {
            response(&answer.body).unwrap_or_else(|| plain(StatusCode::BAD_GATEWAY, "Internal Server Error"))
        }
        Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
            plain(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests")
        }
        // A function's error is not shown to the world; its log has it.
        Ok(_) | Err(_) => plain(StatusCode::BAD_GATEWAY, "Internal Server Error"),
    }
}

fn event(parts: &Parts, body: &Bytes, client: SocketAddr) -> Value {
    let now = jiff::Timestamp::now();
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let path = parts.uri.path();
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": joined(&parts.headers),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "local",
            "domainName": host,
            "domainPrefix": "local",
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": format!("{:?}", parts.version),
                "sourceIp": client.ip().to_string(),
                "userAgent": parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default(),
            },
            "requestId": crate::gateway::request_id(),
            "routeKey": "$default",
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "isBase64Encoded": false,
    });
    let cookies: Vec<&str> = parts
        .headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';').map(str::trim))
        .collect();
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    let mut query = Map::new();
    for (name, value) in http::query_pairs(parts.uri.query().unwrap_or_default()) {
        join(&mut query, name, &value);
    }
    if !query.is_empty() {
        event["queryStringParameters"] = Value::Object(query);
    }
    if !body.is_empty() {
        match std::str::from_utf8(body) {
            Ok(text) if is_text(&parts.headers) => event["body"] = json!(text),
            _ => {
                event["body"] = json!(BASE64_STANDARD.encode(body));
                event["isBase64Encoded"] = json!(true);
            }
        }
    }
    event
}

/// Lower-case names, values of one name joined by commas; cookies have a place of their own.
fn joined(headers: &HeaderMap) -> Value {
    let mut all = Map::new();
    for (name, value) in headers {
        if name != header::COOKIE {
            join(&mut all, name.as_str().to_owned(), &String::from_utf8_lossy(value.as_bytes()));
        }
    }
    Value::Object(all)
}

fn join(map: &mut Map<String, Value>, name: String, value: &str) {
    let joined = match map.get(&name).and_then(Value::as_str) {
        Some(former) => format!("{former},{value}"),
        None => value.to_owned(),
    };
    map.insert(name, Value::String(joined));
}

/// Anything else is handed over in base64.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("text/plain");
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(kind.as_str(), "application/json" | "application/xml" | "application/javascript")
}

/// Reads a function's answer: one with a `statusCode` says how to respond, any other is the body itself.
fn response(answer: &[u8]) -> Option<Response> {
    let value: Value = serde_json::from_slice(answer).ok()?;
    let Some(status) = value.get("statusCode") else {
        let body = match value {
            Value::String(text) => text.into_bytes(),
            _ => answer.to_vec(),
        };
        return Some(([(header::CONTENT_TYPE, "application/json")], body).into_response());
    };
    let status = StatusCode::from_u16(u16::try_from(status.as_u64()?).ok()?).ok()?;
    let body = match value.get("body") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) if value.get("isBase64Encoded") == Some(&Value::Bool(true)) => {
            BASE64_STANDARD.decode(text).ok()?
        }
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(other) => other.to_string().into_bytes(),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in value.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        // The length is ours to tell.
        if name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING {
            headers.insert(name, HeaderValue::from_str(&text).ok()?);
        }
    }
    for cookie in value.get("cookies").and_then(Value::as_array).into_iter().flatten() {
        headers.append(header::SET_COOKIE, HeaderValue::from_str(cookie.as_str()?).ok()?);
    }
    Some(response)
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(request: axum::http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_becomes_an_event() {
        let client = SocketAddr::from(([127, 0, 0, 1], 4000));
        let parts = parts(
            Request::put("/a%20b?x=1&x=2&y=%C3%BC")
                .header("Host", "localhost:9000")
                .header("X-One", "a")
                .header("X-One", "b")
                .header("Cookie", "c=1; d=2")
                .header("Content-Type", "application/json; charset=utf-8"),
        );
        let event = event(&parts, &Bytes::from_static(b"{}"), client);
        assert_eq!(event["rawPath"], "/a%20b");
        assert_eq!(event["rawQueryString"], "x=1&x=2&y=%C3%BC");
        assert_eq!(event["queryStringParameters"], json!({ "x": "1,2", "y": "ü" }));
        assert_eq!(event["headers"]["x-one"], "a,b");
        assert_eq!(event["headers"].get("cookie"), None);
        assert_eq!(event["cookies"], json!(["c=1", "d=2"]));
        assert_eq!(event["requestContext"]["http"]["method"], "PUT");
        assert_eq!(event["requestContext"]["http"]["protocol"], "HTTP/1.1");
        assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{}"), &json!(false)));
    }

    #[test]
    fn bytes_are_handed_over_in_base64() {
        let client = SocketAddr::from(([127, 0, 0, 1], 4000));
        let parts = parts(Request::post("/").header("Content-Type", "application/octet-stream"));
        let event = event(&parts, &Bytes::from_static(b"\x00\x01"), client);
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("AAE="), &json!(true)));
    }

    #[tokio::test]
    async fn an_answer_becomes_a_response() {
        let read = async |answer: Value| {
            let response = response(answer.to_string().as_bytes()).unwrap();
            let (parts, body) = response.into_parts();
            (parts.status.as_u16(), parts.headers, axum::body::to_bytes(body, 100).await.unwrap())
        };
        let (status, headers, body) = read(json!({
            "statusCode": 201, "headers": { "X-Number": 7, "Content-Type": "image/png", "Content-Length": "99" },
            "cookies": ["a=1", "b=2"], "body": "AAE=", "isBase64Encoded": true
        }))
        .await;
        assert_eq!((status, &body[..]), (201, &b"\x00\x01"[..]));
        assert_eq!(
            (&headers["x-number"], &headers["content-type"]),
            (&"7".parse().unwrap(), &"image/png".parse().unwrap())
        );
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
        assert!(!headers.contains_key("content-length"));
        let (status, headers, body) = read(json!({ "greeting": "Hello" })).await;
        assert_eq!((status, &body[..]), (200, &br#"{"greeting":"Hello"}"#[..]));
        assert_eq!(headers["content-type"], "application/json");
        assert!(response(br#"{"statusCode":"x"}"#).is_none());
    }
}

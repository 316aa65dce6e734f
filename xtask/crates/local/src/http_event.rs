//! Payload format 2.0: converts an HTTP request to a function's event, and the function's result to an HTTP response.
//!
//! In: a request with its complete body, and the endpoint that received it. Out: the event. For the way back: the
//! response, or `None` where the result has a `statusCode` but is malformed. Function URLs and HTTP APIs share the
//! format: <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>.

use crate::http;
use crate::id::request_id;
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// The longest request that Lambda takes, in bytes.
pub(crate) const LONGEST: usize = 6 << 20;

/// The HTTP endpoint in front of a function: a function URL, or a stage of an HTTP API.
pub(crate) struct HttpEndpoint<'a> {
    /// The account in the event: the owner's or the caller's, or `anonymous`.
    pub(crate) account: &'a str,
    /// The id of the URL or API.
    pub(crate) id: &'a str,
    /// The host in the cloud.
    pub(crate) domain: &'a str,
    pub(crate) route_key: &'a str,
    pub(crate) stage: &'a str,
    /// The path that the function sees.
    pub(crate) path: &'a str,
    pub(crate) source_ip: IpAddr,
}

/// Returns the event for a request.
pub(crate) fn event(parts: &Parts, body: &Bytes, endpoint: &HttpEndpoint<'_>) -> Value {
    let now = jiff::Timestamp::now();
    let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let mut headers = joined(&parts.headers);
    headers.insert("host".to_owned(), endpoint.domain.into());
    let mut event = json!({
        "version": "2.0",
        "routeKey": endpoint.route_key,
        "rawPath": endpoint.path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": headers,
        "requestContext": {
            "accountId": endpoint.account,
            "apiId": endpoint.id,
            "domainName": endpoint.domain,
            "domainPrefix": endpoint.domain.split('.').next().unwrap_or_default(),
            "http": {
                "method": parts.method.as_str(),
                "path": endpoint.path,
                "protocol": format!("{:?}", parts.version),
                "sourceIp": endpoint.source_ip.to_string(),
                "userAgent": agent.unwrap_or_default(),
            },
            "requestId": request_id(),
            "routeKey": endpoint.route_key,
            "stage": endpoint.stage,
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

/// Returns the headers with lower-case names and the values of one name joined by commas, without cookies.
fn joined(headers: &HeaderMap) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in headers {
        if name != header::COOKIE {
            join(&mut all, name.as_str().to_owned(), &String::from_utf8_lossy(value.as_bytes()));
        }
    }
    all
}

fn join(map: &mut Map<String, Value>, name: String, value: &str) {
    let joined = match map.get(&name).and_then(Value::as_str) {
        Some(earlier) => format!("{earlier},{value}"),
        None => value.to_owned(),
    };
    map.insert(name, Value::String(joined));
}

/// Returns whether the body is passed as text; any other body is passed in base64.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("text/plain");
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(kind.as_str(), "application/json" | "application/xml" | "application/javascript")
}

/// Returns the response for a function's result: a result without `statusCode` is the body itself.
pub(crate) fn response(result: &[u8]) -> Option<Response> {
    let value: Value = serde_json::from_slice(result).ok()?;
    let Some(status) = value.get("statusCode") else {
        let body = match value {
            Value::String(text) => text.into_bytes(),
            _ => result.to_vec(),
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
        // The server sets the length itself.
        if name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING {
            headers.insert(name, HeaderValue::from_str(&text).ok()?);
        }
    }
    for cookie in value.get("cookies").and_then(Value::as_array).into_iter().flatten() {
        headers.append(header::SET_COOKIE, HeaderValue::from_str(cookie.as_str()?).ok()?);
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    use axum::http::Request;

    const ENDPOINT: HttpEndpoint<'static> = HttpEndpoint {
        account: "anonymous",
        id: "abc",
        domain: "abc.lambda-url.eu-central-1.on.aws",
        route_key: "$default",
        stage: "$default",
        path: "/a%20b",
        source_ip: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    };

    fn parts(request: axum::http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn event_holds_the_parts_of_the_request() {
        let parts = parts(
            Request::put("/a%20b?x=1&x=2&y=%C3%BC")
                .header("Host", "localhost:9000")
                .header("X-One", "a")
                .header("X-One", "b")
                .header("Cookie", "c=1; d=2")
                .header("Content-Type", "application/json; charset=utf-8"),
        );
        let event = event(&parts, &Bytes::from_static(b"{}"), &ENDPOINT);
        assert_eq!(event["rawPath"], "/a%20b");
        assert_eq!(event["rawQueryString"], "x=1&x=2&y=%C3%BC");
        assert_eq!(event["queryStringParameters"], json!({ "x": "1,2", "y": "ü" }));
        assert_eq!(event["headers"]["x-one"], "a,b");
        assert_eq!(event["headers"].get("cookie"), None);
        assert_eq!(event["headers"]["host"], ENDPOINT.domain);
        assert_eq!(event["requestContext"]["domainPrefix"], "abc");
        assert_eq!(event["cookies"], json!(["c=1", "d=2"]));
        assert_eq!(event["requestContext"]["http"]["method"], "PUT");
        assert_eq!(event["requestContext"]["http"]["protocol"], "HTTP/1.1");
        assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{}"), &json!(false)));
    }

    #[test]
    fn binary_body_is_base64_in_the_event() {
        let parts = parts(Request::post("/").header("Content-Type", "application/octet-stream"));
        let event = event(&parts, &Bytes::from_static(b"\x00\x01"), &ENDPOINT);
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("AAE="), &json!(true)));
    }

    #[tokio::test]
    async fn response_follows_the_functions_result() {
        let read = async |result: Value| {
            let response = response(result.to_string().as_bytes()).unwrap();
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

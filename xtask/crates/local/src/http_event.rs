//! Payload format 2.0: how an HTTP request becomes a function's event, and its answer an HTTP response.
//!
//! In: a request that is here whole, and what stands in front of the function. Out: the event; and of a function's
//! answer the response, or nothing where the answer has a `statusCode` and is malformed all the same. Function URLs and
//! HTTP APIs share the format: <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>.

use crate::http;
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// Lambda's longest request, in bytes.
pub(crate) const LONGEST: usize = 6 << 20;

/// What stands in front of a function: a URL of its own, or a stage of an API.
pub(crate) struct Front<'a> {
    /// The owner's account, or `anonymous`.
    pub(crate) account: &'a str,
    /// The URL's or API's id.
    pub(crate) id: &'a str,
    /// The host that it has in the cloud.
    pub(crate) domain: &'a str,
    pub(crate) route_key: &'a str,
    pub(crate) stage: &'a str,
    /// The path that the function sees.
    pub(crate) path: &'a str,
    pub(crate) source_ip: IpAddr,
}

/// Makes the event of a request.
pub(crate) fn event(parts: &Parts, body: &Bytes, front: &Front<'_>) -> Value {
    let now = jiff::Timestamp::now();
    let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let mut headers = joined(&parts.headers);
    headers.insert("host".to_owned(), front.domain.into());
    let mut event = json!({
        "version": "2.0",
        "routeKey": front.route_key,
        "rawPath": front.path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": headers,
        "requestContext": {
            "accountId": front.account,
            "apiId": front.id,
            "domainName": front.domain,
            "domainPrefix": front.domain.split('.').next().unwrap_or_default(),
            "http": {
                "method": parts.method.as_str(),
                "path": front.path,
                "protocol": format!("{:?}", parts.version),
                "sourceIp": front.source_ip.to_string(),
                "userAgent": agent.unwrap_or_default(),
            },
            "requestId": crate::gateway::request_id(),
            "routeKey": front.route_key,
            "stage": front.stage,
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
pub(crate) fn response(answer: &[u8]) -> Option<Response> {
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

#[cfg(test)]
mod tests {
    use super::*;

    use axum::http::Request;

    const FRONT: Front<'static> = Front {
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
    fn a_request_becomes_an_event() {
        let parts = parts(
            Request::put("/a%20b?x=1&x=2&y=%C3%BC")
                .header("Host", "localhost:9000")
                .header("X-One", "a")
                .header("X-One", "b")
                .header("Cookie", "c=1; d=2")
                .header("Content-Type", "application/json; charset=utf-8"),
        );
        let event = event(&parts, &Bytes::from_static(b"{}"), &FRONT);
        assert_eq!(event["rawPath"], "/a%20b");
        assert_eq!(event["rawQueryString"], "x=1&x=2&y=%C3%BC");
        assert_eq!(event["queryStringParameters"], json!({ "x": "1,2", "y": "ü" }));
        assert_eq!(event["headers"]["x-one"], "a,b");
        assert_eq!(event["headers"].get("cookie"), None);
        assert_eq!(event["headers"]["host"], FRONT.domain);
        assert_eq!(event["requestContext"]["domainPrefix"], "abc");
        assert_eq!(event["cookies"], json!(["c=1", "d=2"]));
        assert_eq!(event["requestContext"]["http"]["method"], "PUT");
        assert_eq!(event["requestContext"]["http"]["protocol"], "HTTP/1.1");
        assert_eq!(event["requestContext"]["http"]["sourceIp"], "127.0.0.1");
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{}"), &json!(false)));
    }

    #[test]
    fn bytes_are_handed_over_in_base64() {
        let parts = parts(Request::post("/").header("Content-Type", "application/octet-stream"));
        let event = event(&parts, &Bytes::from_static(b"\x00\x01"), &FRONT);
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

//! Requests to a function: as events of payload format 2.0 to one version, or over its URL.
//!
//! In: a request with all its values. Out: `{status, headers, body}`, the body parsed if it is JSON. The format:
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use crate::ports::HttpResponse;

/// A request with all its values.
#[derive(Debug, Clone)]
pub(super) struct FunctionRequest {
    pub(super) method: String,
    /// Path and query.
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Option<String>,
}

impl FunctionRequest {
    /// Returns the event that a function URL or an HTTP API would send.
    pub(super) fn event(&self) -> Value {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let mut parameters: Map<String, Value> = Map::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let joined = match parameters.get(name.as_ref()).and_then(Value::as_str) {
                Some(first) => format!("{first},{value}"),
                None => value.into_owned(),
            };
            parameters.insert(name.into_owned(), joined.into());
        }
        let headers: BTreeMap<String, &String> =
            self.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let mut event = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers,
            "requestContext": {
                "accountId": "anonymous",
                "apiId": "slipway",
                "domainName": "slipway.invalid",
                "domainPrefix": "slipway",
                "http": {
                    "method": self.method,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "slipway",
                },
                "requestId": "slipway-verification",
                "routeKey": "$default",
                "stage": "$default",
                "time": "01/Jan/1970:00:00:00 +0000",
                "timeEpoch": 0,
            },
            "isBase64Encoded": false,
        });
        if !parameters.is_empty() {
            event["queryStringParameters"] = Value::Object(parameters);
        }
        if let Some(body) = &self.body {
            event["body"] = body.clone().into();
        }
        event
    }
}

/// Reads a function's result as its URL would: a result without a status is the body of a 200.
pub(super) fn response_of_function(answer: &Value) -> Value {
    let Some(status) = answer.get("statusCode").and_then(Value::as_u64) else {
        return json!({ "status": 200, "headers": {}, "body": answer });
    };
    let text = answer.get("body").and_then(Value::as_str).unwrap_or_default();
    let encoded = answer.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or_default();
    let bytes = if encoded { BASE64.decode(text).unwrap_or_default() } else { text.as_bytes().to_vec() };
    let headers = answer.get("headers").and_then(Value::as_object).into_iter().flatten();
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    response_value(status, headers, &bytes)
}

/// Reads a response that came over HTTP.
pub(super) fn response_of_url(answer: &HttpResponse) -> Value {
    let headers = answer.headers.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    response_value(u64::from(answer.status), headers, &answer.body)
}

fn response_value(status: u64, headers: Map<String, Value>, body: &[u8]) -> Value {
    let body = serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()));
    json!({ "status": status, "headers": headers, "body": body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_becomes_the_event_of_a_function_url() {
        let request = FunctionRequest {
            method: "POST".into(),
            path: "/api/traces?limit=2&tag=a&tag=b%20c".into(),
            headers: BTreeMap::from([("X-API-Key".to_owned(), "k".to_owned())]),
            body: Some("{\"a\":1}".into()),
        };
        let event = request.event();
        assert_eq!(event["rawPath"], "/api/traces");
        assert_eq!(event["rawQueryString"], "limit=2&tag=a&tag=b%20c");
        assert_eq!(event["queryStringParameters"], json!({ "limit": "2", "tag": "a,b c" }));
        assert_eq!(event["headers"], json!({ "x-api-key": "k" }));
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{\"a\":1}"), &json!(false)));
        assert_eq!(event["requestContext"]["http"]["method"], "POST");
    }

    #[test]
    fn response_of_function_equals_response_of_url() {
        let encoded = BASE64.encode("{\"id\":7}");
        let answer = json!({ "statusCode": 201, "headers": { "X-Id": "7" }, "body": encoded, "isBase64Encoded": true });
        let over_http = HttpResponse {
            status: 201,
            headers: vec![("x-id".into(), "7".into())],
            body: b"{\"id\":7}".to_vec(),
            took: Default::default(),
        };
        assert_eq!(response_of_function(&answer), response_of_url(&over_http));
        assert_eq!(
            response_of_function(&json!({ "a": 1 })),
            json!({ "status": 200, "headers": {}, "body": { "a": 1 } })
        );
    }
}

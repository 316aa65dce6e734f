//! HTTP as Lambda speaks it: payload format 2.0, of function URLs and of HTTP APIs.
//!
//! In: an event. Out: a [`Request`]; and from a [`Response`] the object that Lambda turns into HTTP. What can go
//! wrong: an event of another shape is a function error, `InvalidEvent`: it did not come from a URL or an API. The
//! format: <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lambda_runtime::Diagnostic;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ApiError;

/// The longest body that is read, in bytes. Two of them, of a record and of its completion, fit into one item of
/// DynamoDB, [400 KB](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
pub const LONGEST_BODY: usize = 160 << 10;

/// Holds what of a request the API looks at.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the stage of an HTTP API; not decoded.
    pub(crate) path: String,
    pub(crate) query: String,
    headers: BTreeMap<String, String>,
    body: String,
    is_base64: bool,
}

/// Says why an event is no request.
#[derive(Debug, thiserror::Error)]
#[error("the event is no HTTP request of payload format 2.0: {0}")]
pub struct InvalidEvent(String);

/// Is what Lambda turns into an HTTP response.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    status_code: u16,
    headers: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    version: String,
    raw_path: String,
    raw_query_string: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    request_context: Context,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
struct Context {
    http: Http,
    stage: Option<String>,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

impl Request {
    /// Reads an event.
    pub(crate) fn parse(event: Value) -> Result<Self, InvalidEvent> {
        let event: Event = serde_json::from_value(event).map_err(|error| InvalidEvent(error.to_string()))?;
        if event.version != "2.0" {
            return Err(InvalidEvent(format!("its version is `{}`", event.version)));
        }
        // Lower case by Lambda's promise; an emulator may not keep it.
        let headers = event.headers.unwrap_or_default().into_iter();
        Ok(Self {
            method: event.request_context.http.method.to_ascii_uppercase(),
            path: without_stage(&event.raw_path, event.request_context.stage.as_deref()).to_owned(),
            query: event.raw_query_string.unwrap_or_default(),
            headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
            body: event.body.unwrap_or_default(),
            is_base64: event.is_base64_encoded,
        })
    }

    /// Gives a header by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Gives the body as it was sent.
    pub(crate) fn body(&self) -> Result<Vec<u8>, ApiError> {
        let longest = if self.is_base64 { LONGEST_BODY.div_ceil(3) * 4 } else { LONGEST_BODY };
        let too_long = || ApiError::too_large(format!("the body is longer than {LONGEST_BODY} bytes"));
        if self.body.len() > longest {
            return Err(too_long());
        }
        if !self.is_base64 {
            return Ok(self.body.clone().into_bytes());
        }
        let invalid = |_| ApiError::invalid("invalid_body", "the body is marked as base64 and is none");
        let body = BASE64_STANDARD.decode(&self.body).map_err(invalid)?;
        if body.len() > LONGEST_BODY { Err(too_long()) } else { Ok(body) }
    }
}

impl Response {
    /// Answers with JSON.
    pub(crate) fn json(status_code: u16, body: &Value) -> Self {
        let mut response = Self { body: Some(body.to_string()), ..Self::empty(status_code) };
        response.set("content-type", "application/json");
        response
    }

    /// Answers without a body.
    pub(crate) fn empty(status_code: u16) -> Self {
        // Nothing here may be kept by a cache in between: every answer depends on a key.
        let headers = BTreeMap::from([("cache-control", "no-store".to_owned())]);
        Self { status_code, headers, body: None, is_base64_encoded: false }
    }

    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.insert(name, value.into());
    }

    pub(crate) fn status(&self) -> u16 {
        self.status_code
    }

    #[cfg(test)]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

impl From<InvalidEvent> for Diagnostic {
    fn from(error: InvalidEvent) -> Self {
        Self { error_type: "InvalidEvent".to_owned(), error_message: error.to_string() }
    }
}

/// An HTTP API puts the name of a stage before the path, unless it is `$default`.
fn without_stage<'a>(path: &'a str, stage: Option<&str>) -> &'a str {
    let rest = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    rest.filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{LONGEST_BODY, Request, Response, without_stage};

    fn event(body: &str, is_base64: bool) -> Value {
        json!({
            "version": "2.0", "rawPath": "/api/traces", "headers": { "X-Api-Key": "k" },
            "requestContext": { "http": { "method": "post" } }, "body": body, "isBase64Encoded": is_base64,
        })
    }

    #[test]
    fn reads_requests_and_refuses_other_events() {
        let request = Request::parse(event("{}", false)).expect("a request");
        assert_eq!((request.method.as_str(), request.header("x-api-key")), ("POST", Some("k")));
        assert_eq!(request.body().expect("a body"), b"{}");
        let mut old = event("{}", false);
        old["version"] = json!("1.0");
        for (other, why) in [
            (json!({ "Records": [] }), "missing field `version`"),
            (json!("hello"), "expected struct Event"),
            (old, "its version is `1.0`"),
        ] {
            let error = Request::parse(other).expect_err(why).to_string();
            assert!(error.contains("payload format 2.0") && error.contains(why), "{error}");
        }
    }

    #[test]
    fn decodes_base64_and_limits_both_forms() {
        let body = |text: &str, is_base64| Request::parse(event(text, is_base64)).expect("a request").body();
        assert_eq!(body("eyJhIjoxfQ==", true).expect("a body"), br#"{"a":1}"#);
        assert_eq!(body("%%%", true).expect_err("no base64").status(), 400);
        let longest = "x".repeat(LONGEST_BODY);
        assert_eq!(body(&longest, false).expect("a body").len(), LONGEST_BODY);
        assert_eq!(body(&format!("{longest}x"), false).expect_err("too long").status(), 413);
        let encode = |length: usize| "QUFB".repeat(length / 3);
        assert_eq!(body(&encode(LONGEST_BODY + 3), true).expect_err("too long").status(), 413);
        assert_eq!(body(&encode(6 << 20), true).expect_err("too long").status(), 413);
        assert!(body(&encode(LONGEST_BODY - 3), true).is_ok());
    }

    #[test]
    fn leaves_out_the_stage() {
        for (path, stage, expected) in [
            ("/api/health", Some("$default"), "/api/health"),
            ("/prod/api/health", Some("prod"), "/api/health"),
            ("/production/api", Some("prod"), "/production/api"),
            ("/api/health", None, "/api/health"),
        ] {
            assert_eq!(without_stage(path, stage), expected);
        }
    }

    #[test]
    fn answers_in_the_format_that_lambda_reads() {
        let answer = serde_json::to_value(Response::json(201, &json!({ "a": 1 }))).expect("JSON");
        assert_eq!(
            answer,
            json!({
                "statusCode": 201, "body": "{\"a\":1}", "isBase64Encoded": false,
                "headers": { "cache-control": "no-store", "content-type": "application/json" },
            })
        );
    }
}

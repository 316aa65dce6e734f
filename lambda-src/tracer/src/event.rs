//! Reads the headers and the body of a request.
//!
//! In: an event of a function URL or an HTTP API. Out: a [`Request`]. What can go wrong: an event of another shape is a
//! function error, `InvalidEvent`; a body that is too long, or no base64 where it is marked as such, is refused.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_function::{ApiError, InvalidEvent, RequestLine};
use serde::Deserialize;
use serde_json::Value;

/// The longest body that is read, in bytes. Two of them, of a record and of its completion, fit into one item of
/// DynamoDB, [400 KB](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
pub const LONGEST_BODY: usize = 160 << 10;

/// The parts of a request that the API reads.
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    headers: Option<BTreeMap<String, String>>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

impl Request {
    /// Reads an event.
    pub(crate) fn parse(event: Value) -> Result<Self, InvalidEvent> {
        let (RequestLine { method, path, query }, content) = http_function::parse::<Content>(event)?;
        // Lower case by Lambda's promise; an emulator may not keep it.
        let headers = content.headers.unwrap_or_default().into_iter();
        Ok(Self {
            method,
            path,
            query,
            headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect(),
            body: content.body.unwrap_or_default(),
            is_base64: content.is_base64_encoded,
        })
    }

    /// Returns a header by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Returns the body as it was sent.
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{LONGEST_BODY, Request};

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
}

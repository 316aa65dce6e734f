//! HTTP requests and responses in Lambda's payload format 2.0, of HTTP APIs and function URLs.
//!
//! In: an event. Out: a [`RequestLine`] and what else of the event a function reads; and from a [`Response`] the object
//! that Lambda turns into HTTP. What can go wrong: an event of another shape is a function error, `InvalidEvent`: it did
//! not come from an API or a URL. The formats:
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>.

use std::collections::BTreeMap;

use lambda_runtime::Diagnostic;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The parts of a request that every API reads.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestLine {
    /// The method, in upper case.
    pub method: String,
    /// Without the stage of an HTTP API; as it came: an HTTP API has decoded it, a function URL has not.
    pub path: String,
    /// Still encoded, without its question mark.
    pub query: String,
}

/// The error for an event that is not an HTTP request.
#[derive(Debug, thiserror::Error)]
#[error("the event is no HTTP request of payload format 2.0: {0}")]
pub struct InvalidEvent(String);

/// A response, which Lambda turns into HTTP.
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
    request_context: Context,
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

/// Reads an event: the request's line, and the members that `Own` names.
pub fn parse<Own: DeserializeOwned>(event: Value) -> Result<(RequestLine, Own), InvalidEvent> {
    let invalid = |error: serde_json::Error| InvalidEvent(error.to_string());
    let common = Event::deserialize(&event).map_err(invalid)?;
    if common.version != "2.0" {
        return Err(InvalidEvent(format!("its version is `{}`", common.version)));
    }
    let line = RequestLine {
        method: common.request_context.http.method.to_ascii_uppercase(),
        path: without_stage(&common.raw_path, common.request_context.stage.as_deref()).to_owned(),
        query: common.raw_query_string.unwrap_or_default(),
    };
    Ok((line, serde_json::from_value(event).map_err(invalid)?))
}

/// Returns a method for logs: they never contain what a caller sent.
pub fn known(method: &str) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "POST", "PATCH", "OPTIONS", "PUT", "DELETE", "HEAD"];
    METHODS.into_iter().find(|known| *known == method).unwrap_or("other")
}

impl Response {
    /// Returns a response with JSON.
    pub fn json(status_code: u16, body: &Value) -> Self {
        let mut response = Self { body: Some(body.to_string()), ..Self::empty(status_code) };
        response.set("content-type", "application/json");
        response
    }

    /// Returns a response without a body.
    pub fn empty(status_code: u16) -> Self {
        // Nothing here may be kept by a cache in between: every answer is for the caller who signed or had a key.
        let headers = BTreeMap::from([("cache-control", "no-store".to_owned())]);
        Self { status_code, headers, body: None, is_base64_encoded: false }
    }

    /// Sets a header, by its name in lower case.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.insert(name, value.into());
    }

    /// Returns the status.
    pub fn status(&self) -> u16 {
        self.status_code
    }

    /// Returns a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
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
    use lambda_runtime::Diagnostic;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::{RequestLine, Response, known, parse, without_stage};

    #[derive(Debug, Deserialize)]
    struct Own {
        body: Option<String>,
    }

    fn event() -> Value {
        json!({
            "version": "2.0", "rawPath": "/prod/objects/a%20b", "rawQueryString": "limit=1", "body": "{}",
            "requestContext": { "http": { "method": "get" }, "stage": "prod" },
        })
    }

    #[test]
    fn reads_the_line_and_what_a_function_names() {
        let (line, own) = parse::<Own>(event()).expect("a request");
        let (method, path, query) = ("GET".to_owned(), "/objects/a%20b".to_owned(), "limit=1".to_owned());
        assert_eq!(line, RequestLine { method, path, query });
        assert_eq!(own.body.as_deref(), Some("{}"));
    }

    #[test]
    fn other_events_are_function_errors_that_say_why() {
        let (mut old, mut own) = (event(), event());
        old["version"] = json!("1.0");
        own["body"] = json!(7);
        for (other, why) in [
            (json!({ "Records": [] }), "missing field `version`"),
            (json!("hello"), "expected struct Event"),
            (json!(null), "expected struct Event"),
            (old, "its version is `1.0`"),
            (own, "invalid type: integer `7`, expected a string"),
        ] {
            let error: Diagnostic = parse::<Own>(other).expect_err(why).into();
            assert_eq!(error.error_type, "InvalidEvent");
            let message = error.error_message;
            assert!(message.contains("payload format 2.0") && message.contains(why), "{message}");
        }
    }

    #[test]
    fn leaves_out_the_stage() {
        for (path, stage, expected) in [
            ("/health", Some("$default"), "/health"),
            ("/prod/health", Some("prod"), "/health"),
            ("/production/health", Some("prod"), "/production/health"),
            ("/objects/objects/a", Some("objects"), "/objects/a"),
            ("/health", None, "/health"),
        ] {
            assert_eq!(without_stage(path, stage), expected);
        }
    }

    #[test]
    fn answers_in_the_format_that_lambda_reads() {
        let answer = serde_json::to_value(Response::json(201, &json!({ "a": 1 }))).expect("JSON");
        let headers = json!({ "cache-control": "no-store", "content-type": "application/json" });
        let expected =
            json!({ "statusCode": 201, "body": "{\"a\":1}", "isBase64Encoded": false, "headers": headers });
        assert_eq!(answer, expected);
        let empty = serde_json::to_value(Response::empty(204)).expect("JSON");
        let headers = json!({ "cache-control": "no-store" });
        assert_eq!(empty, json!({ "statusCode": 204, "isBase64Encoded": false, "headers": headers }));
    }

    #[test]
    fn a_log_never_holds_what_a_caller_made_up() {
        assert_eq!(["PATCH", "patch", "GET\n"].map(known), ["PATCH", "other", "other"]);
    }
}

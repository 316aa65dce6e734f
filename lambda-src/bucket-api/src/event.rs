//! HTTP as Lambda speaks it: payload format 2.0, of HTTP APIs and of function URLs.
//!
//! In: an event. Out: a [`Request`]; and from a [`Response`] the object that Lambda turns into HTTP. What can go
//! wrong: an event of another shape is a function error, `InvalidEvent`: it did not come from an API or a URL. The
//! format: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>.

use std::collections::BTreeMap;

use lambda_runtime::Diagnostic;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Ends the name of the HTTP API's route that has an object's key as its variable.
const KEY_ROUTE: &str = " /objects/{key+}";

/// Holds what of a request the API looks at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the stage of an HTTP API; as it came.
    pub(crate) path: String,
    /// Still encoded.
    pub(crate) query: String,
    /// The object's key, decoded, where an HTTP API found it.
    pub(crate) key: Option<String>,
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
    body: String,
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    version: String,
    route_key: Option<String>,
    raw_path: String,
    raw_query_string: Option<String>,
    path_parameters: Option<BTreeMap<String, String>>,
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

impl Request {
    /// Reads an event.
    pub(crate) fn parse(event: Value) -> Result<Self, InvalidEvent> {
        let event: Event = serde_json::from_value(event).map_err(|error| InvalidEvent(error.to_string()))?;
        if event.version != "2.0" {
            return Err(InvalidEvent(format!("its version is `{}`", event.version)));
        }
        // An HTTP API decodes `rawPath` and a function URL does not, so a `%` in it may mean either. The variable of a
        // route was decoded once, by whoever routed.
        let is_routed = event.route_key.is_some_and(|route| route.ends_with(KEY_ROUTE));
        let key = event.path_parameters.and_then(|mut parameters| parameters.remove("key"));
        Ok(Self {
            method: event.request_context.http.method.to_ascii_uppercase(),
            path: without_stage(&event.raw_path, event.request_context.stage.as_deref()).to_owned(),
            query: event.raw_query_string.unwrap_or_default(),
            key: key.filter(|_| is_routed),
        })
    }
}

impl Response {
    /// Answers with JSON.
    pub(crate) fn json(status_code: u16, body: &Value) -> Self {
        // Nothing here may be kept by a cache in between: every answer is for the caller who signed.
        let headers = BTreeMap::from([
            ("cache-control", "no-store".to_owned()),
            ("content-type", "application/json".to_owned()),
        ]);
        Self { status_code, headers, body: body.to_string(), is_base64_encoded: false }
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

    use super::{Request, Response, without_stage};

    fn event(route: &str, key: &Value) -> Value {
        json!({
            "version": "2.0", "routeKey": route, "rawPath": "/prod/objects/a%20b", "rawQueryString": "limit=1",
            "pathParameters": { "key": key }, "requestContext": { "http": { "method": "get" }, "stage": "prod" },
        })
    }

    #[test]
    fn reads_requests() {
        let request = Request::parse(event("GET /objects/{key+}", &json!("a b"))).expect("a request");
        let expected = Request {
            method: "GET".to_owned(),
            path: "/objects/a%20b".to_owned(),
            query: "limit=1".to_owned(),
            key: Some("a b".to_owned()),
        };
        assert_eq!(request, expected);
        // A variable of that name on another route is no object's key.
        let request = Request::parse(event("GET /tenants/{key}", &json!("a b"))).expect("a request");
        assert_eq!(request.key, None);
    }

    #[test]
    fn refuses_other_events() {
        let mut old = event("$default", &json!("a"));
        old["version"] = json!("1.0");
        for (other, why) in [
            (json!({ "Records": [] }), "missing field `version`"),
            (json!("hello"), "expected struct Event"),
            (json!(null), "expected struct Event"),
            (event("$default", &json!(7)), "expected a string"),
            (old, "its version is `1.0`"),
        ] {
            let error = Request::parse(other).expect_err(why).to_string();
            assert!(error.contains("payload format 2.0") && error.contains(why), "{error}");
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
        let answer = serde_json::to_value(Response::json(200, &json!({ "a": 1 }))).expect("JSON");
        let headers = json!({ "cache-control": "no-store", "content-type": "application/json" });
        let expected =
            json!({ "statusCode": 200, "body": "{\"a\":1}", "isBase64Encoded": false, "headers": headers });
        assert_eq!(answer, expected);
    }
}

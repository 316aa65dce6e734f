//! Reads the object's key of a request, where the HTTP API's route has it.
//!
//! In: an event of an HTTP API or a function URL. Out: a [`Request`]. What can go wrong: an event of another shape is a
//! function error, `InvalidEvent`.

use std::collections::BTreeMap;

use http_function::{InvalidEvent, RequestLine};
use serde::Deserialize;
use serde_json::Value;

/// Ends the name of the HTTP API's route that has an object's key as its variable.
const KEY_ROUTE: &str = " /objects/{key+}";

/// The parts of a request that the API reads.
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Routed {
    route_key: Option<String>,
    path_parameters: Option<BTreeMap<String, String>>,
}

impl Request {
    /// Reads an event.
    pub(crate) fn parse(event: Value) -> Result<Self, InvalidEvent> {
        let (RequestLine { method, path, query }, routed) = http_function::parse::<Routed>(event)?;
        // An HTTP API decodes `rawPath` and a function URL does not, so a `%` in it may mean either. The variable of a
        // route was decoded once, by whoever routed.
        let is_routed = routed.route_key.is_some_and(|route| route.ends_with(KEY_ROUTE));
        let key = routed.path_parameters.and_then(|mut parameters| parameters.remove("key"));
        Ok(Self { method, path, query, key: key.filter(|_| is_routed) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Request;

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
}

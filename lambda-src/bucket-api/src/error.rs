//! What a caller is told when something is wrong.
//!
//! In: where it went wrong. Out: a status and `{"error": {"code", "message", "field"?, "request_id"?}}`. The cause of
//! what is not the caller's fault goes to the log alone, with the request's id in both.

use serde_json::{Map, Value, json};

use crate::event::Response;

/// Says in how many seconds a caller may try again.
const AGAIN: &str = "2";

/// Refuses a request, or gives up on it.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub(crate) struct ApiError(Box<Told>);

#[derive(Debug)]
struct Told {
    status: u16,
    code: &'static str,
    message: String,
    field: Option<String>,
    header: Option<(&'static str, &'static str)>,
    /// For the log: what AWS said. Never shown to a caller.
    cause: Option<String>,
}

impl ApiError {
    /// 400: a part of the path or of the query.
    pub(crate) fn field(code: &'static str, field: &str, message: impl Into<String>) -> Self {
        let mut error = Self::new(400, code, message);
        error.0.field = Some(field.to_owned());
        error
    }

    /// 404
    pub(crate) fn not_found(message: &str) -> Self {
        Self::new(404, "not_found", message)
    }

    /// 405: the path knows another method.
    pub(crate) fn method(allowed: &'static str) -> Self {
        let mut error = Self::new(405, "method_not_allowed", format!("this path knows {allowed} alone"));
        error.0.header = Some(("allow", allowed));
        error
    }

    /// 502: AWS answered what it never should, such as that the bucket does not exist.
    pub(crate) fn bad_gateway(code: &'static str, message: &str, cause: String) -> Self {
        let mut error = Self::new(502, code, message);
        error.0.cause = Some(cause);
        error
    }

    /// 503: it may work later.
    pub(crate) fn unavailable(code: &'static str, message: &str, cause: String) -> Self {
        let mut error = Self::new(503, code, message);
        error.0.header = Some(("retry-after", AGAIN));
        error.0.cause = Some(cause);
        error
    }

    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Told { status, code, message: message.into(), field: None, header: None, cause: None }))
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> u16 {
        self.0.status
    }

    pub(crate) fn code(&self) -> &'static str {
        self.0.code
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    pub(crate) fn response(&self, request_id: &str) -> Response {
        let mut error = Map::new();
        error.insert("code".to_owned(), json!(self.0.code));
        error.insert("message".to_owned(), json!(self.0.message));
        if let Some(field) = &self.0.field {
            error.insert("field".to_owned(), json!(field));
        }
        if self.0.status >= 500 {
            error.insert("request_id".to_owned(), json!(request_id));
        }
        let mut response = Response::json(self.0.status, &json!({ "error": Value::Object(error) }));
        if let Some((name, value)) = self.0.header {
            response.set(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::ApiError;

    fn shown(error: &ApiError) -> (u16, Value) {
        let answer = serde_json::to_value(error.response("request-1")).expect("JSON");
        let body = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
        (error.status(), body)
    }

    #[test]
    fn tells_the_caller_which_field_and_never_the_cause() {
        let (status, body) = shown(&ApiError::field("invalid_parameter", "limit", "is no number"));
        let expected = json!({ "code": "invalid_parameter", "message": "is no number", "field": "limit" });
        assert_eq!((status, body), (400, json!({ "error": expected })));

        let error = ApiError::unavailable("storage_unavailable", "later", "bucket shop-objects".to_owned());
        let (status, body) = shown(&error);
        let expected =
            json!({ "code": "storage_unavailable", "message": "later", "request_id": "request-1" });
        assert_eq!((status, body), (503, json!({ "error": expected })));
        assert_eq!(error.response("request-1").header("retry-after"), Some("2"));
        assert_eq!(ApiError::method("GET").response("").header("allow"), Some("GET"));
    }
}

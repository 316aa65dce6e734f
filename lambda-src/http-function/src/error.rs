//! Error responses.
//!
//! In: where it went wrong. Out: a status and `{"error": {"code", "message", "field"?, "request_id"?}}`. The cause of
//! what is not the caller's fault goes to the log alone, with the request's id in both.

use serde_json::{Map, Value, json};

use crate::event::Response;

/// The value of `Retry-After`, in seconds.
const AGAIN: &str = "2";

/// An error response.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub struct ApiError(Box<Details>);

#[derive(Debug)]
struct Details {
    status: u16,
    code: &'static str,
    message: String,
    field: Option<String>,
    header: Option<(&'static str, &'static str)>,
    /// What AWS reported; for the log only, never sent to a caller.
    cause: Option<String>,
}

impl ApiError {
    /// 400: the request as a whole.
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    /// 400: one field of the body, or a part of the path or of the query.
    pub fn field(code: &'static str, field: &str, message: impl Into<String>) -> Self {
        let mut error = Self::new(400, code, message);
        error.0.field = Some(field.to_owned());
        error
    }

    /// 401: the caller is not authenticated.
    pub fn unauthorized(message: &str) -> Self {
        Self::new(401, "unauthorized", message)
    }

    /// 403: the caller is known, and may not do this.
    pub fn forbidden(message: &str) -> Self {
        Self::new(403, "forbidden", message)
    }

    /// 404: it does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "not_found", message)
    }

    /// 405: the path has another method.
    pub fn method(allowed: &'static str) -> Self {
        let mut error = Self::new(405, "method_not_allowed", format!("this path knows {allowed} alone"));
        error.0.header = Some(("allow", allowed));
        error
    }

    /// 409: the id belongs to another record.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, "conflict", message)
    }

    /// 413: the body is too large.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, "too_large", message)
    }

    /// 502: an unexpected response of AWS, such as that a table or a bucket does not exist.
    pub fn bad_gateway(code: &'static str, message: &str, cause: String) -> Self {
        let mut error = Self::new(502, code, message);
        error.0.cause = Some(cause);
        error
    }

    /// 503: a retry may succeed.
    pub fn unavailable(code: &'static str, message: &str, cause: String) -> Self {
        let mut error = Self::new(503, code, message);
        error.0.header = Some(("retry-after", AGAIN));
        error.0.cause = Some(cause);
        error
    }

    fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            status,
            code,
            message: message.into(),
            field: None,
            header: None,
            cause: None,
        }))
    }

    /// Returns the status of the response.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Returns the error's code, which programs compare.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Returns the cause, for the log only.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Returns the response, with the request's id where the caller is not at fault.
    pub fn response(&self, request_id: &str) -> Response {
        let details = &*self.0;
        let mut error = Map::new();
        error.insert("code".to_owned(), json!(details.code));
        error.insert("message".to_owned(), json!(details.message));
        if let Some(field) = &details.field {
            error.insert("field".to_owned(), json!(field));
        }
        if details.status >= 500 {
            error.insert("request_id".to_owned(), json!(request_id));
        }
        let mut response = Response::json(details.status, &json!({ "error": Value::Object(error) }));
        if let Some((name, value)) = details.header {
            response.set(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::ApiError;

    fn status_and_body(error: &ApiError) -> (u16, Value) {
        let answer = serde_json::to_value(error.response("request-1")).expect("JSON");
        let body = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
        (error.status(), body)
    }

    #[test]
    fn tells_the_caller_which_field_and_never_the_cause() {
        let (status, body) = status_and_body(&ApiError::field("invalid_field", "name", "is blank"));
        assert_eq!(status, 400);
        assert_eq!(
            body,
            json!({ "error": { "code": "invalid_field", "message": "is blank", "field": "name" } })
        );
        let error = ApiError::unavailable("storage_unavailable", "later", "table shop-traces".to_owned());
        let (status, body) = status_and_body(&error);
        let expected =
            json!({ "code": "storage_unavailable", "message": "later", "request_id": "request-1" });
        assert_eq!((status, body), (503, json!({ "error": expected })));
        assert_eq!(error.response("request-1").header("retry-after"), Some("2"));
        assert_eq!(ApiError::method("POST").response("").header("allow"), Some("POST"));
    }
}

//! The registry's refusals: a status and `{"errors": [{code, message, detail}]}`.
//!
//! The codes are those of <https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes>, and
//! `TAG_INVALID`, which ECR has from the protocol's older form.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::io;

/// A request that is not carried out.
#[derive(Debug)]
pub(crate) struct Fault {
    status: StatusCode,
    code: &'static str,
    message: String,
    detail: Value,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), detail: Value::Null }
    }

    pub(crate) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn missing(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// Adds what a program may want to read.
    pub(crate) fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        let message = format!("the registry cannot read or write its folder: {error}");
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "DENIED", message)
            }
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", message),
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body =
            json!({ "errors": [{ "code": self.code, "message": self.message, "detail": self.detail }] });
        let headers = [(header::CONTENT_TYPE, "application/json")];
        (self.status, headers, body.to_string()).into_response()
    }
}

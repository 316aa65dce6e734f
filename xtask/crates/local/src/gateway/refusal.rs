//! Lambda's own errors: a status, an error type in `x-amzn-ErrorType`, and a JSON body.
//!
//! The types are those of <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors>.

use super::unreachable;
use crate::emulator::EmulatorError;
use crate::http::{Answer, HttpError};
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An Invoke that is not carried out.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// One that we decide on.
    Ours { status: StatusCode, kind: &'static str, message: String },
    /// One that the emulator decided on, passed on.
    Emulator(Box<Answer>),
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self::Ours { status, kind, message: message.into() }
    }

    pub(crate) fn parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameterValueException", message)
    }

    pub(crate) fn content(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestContentException", message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ResourceConflictException", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    /// Gives what it says, for a log or another service's answer.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Ours { message, .. } => message.clone(),
            Self::Emulator(answer) => {
                let said = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
                let message = said["Message"].as_str().or(said["message"].as_str()).map(str::to_owned);
                message.unwrap_or_else(|| format!("{answer:?}"))
            }
        }
    }

    /// Ours to answer for; SDKs try again on it.
    pub(crate) fn service(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", message)
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

impl From<HttpError> for Refusal {
    fn from(error: HttpError) -> Self {
        let message = format!("The emulator (moto) cannot be reached: {}", chain(&error));
        Self::new(StatusCode::BAD_GATEWAY, unreachable::CODE, message)
    }
}

impl From<EmulatorError> for Refusal {
    fn from(error: EmulatorError) -> Self {
        Self::service(format!("The emulator failed: {}", chain(&error)))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Ours { status, kind, message } => {
                let owner = if status.is_server_error() { "Service" } else { "User" };
                let body = json!({ "Type": owner, "Message": message, "message": message });
                let headers =
                    [("x-amzn-errortype", kind), (header::CONTENT_TYPE.as_str(), "application/json")];
                (status, headers, body.to_string()).into_response()
            }
            Self::Emulator(answer) => {
                let mut response = Response::new(Body::from(answer.body));
                *response.status_mut() = answer.status;
                for name in ["x-amzn-errortype", "content-type"] {
                    if let Some(value) = answer.headers.get(name) {
                        response.headers_mut().insert(name, value.clone());
                    }
                }
                response
            }
        }
    }
}

/// Joins an error and its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

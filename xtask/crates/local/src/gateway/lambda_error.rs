//! Errors of the Lambda API: a status, an error type in `x-amzn-ErrorType`, and a JSON body.
//!
//! The types are those of <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors>.

use super::unreachable;
use crate::emulator::EmulatorError;
use crate::error_chain::error_chain;
use crate::http::{BufferedResponse, HttpError};
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Why a call to the Lambda API failed.
#[derive(Debug)]
pub(crate) enum LambdaError {
    /// An error of the gateway.
    Own { status: StatusCode, error_type: &'static str, message: String },
    /// An error response of the emulator, passed on.
    Emulator(Box<BufferedResponse>),
}

impl LambdaError {
    pub(crate) fn new(status: StatusCode, error_type: &'static str, message: impl Into<String>) -> Self {
        Self::Own { status, error_type, message: message.into() }
    }

    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameterValueException", message)
    }

    pub(crate) fn invalid_content(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestContentException", message)
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ResourceConflictException", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
    }

    /// Makes the error of a request without a signature.
    pub(crate) fn missing_authentication() -> Self {
        let error_type = "MissingAuthenticationTokenException";
        Self::new(StatusCode::FORBIDDEN, error_type, "Missing Authentication Token")
    }

    /// Makes the error of a request whose body was cut off or is too long.
    pub(crate) fn unreadable_request() -> Self {
        Self::invalid_content("The request's body is incomplete or too long")
    }

    /// Makes the error of a response of the emulator that was cut off or is too long.
    pub(crate) fn unreadable_response() -> Self {
        Self::service("The emulator's response is incomplete or too long")
    }

    /// Makes an internal error, on which SDKs retry.
    pub(crate) fn service(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", message)
    }

    /// Returns the message, for a log or for another service's response.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Own { message, .. } => message.clone(),
            Self::Emulator(response) => {
                let body = serde_json::from_slice::<Value>(&response.body).unwrap_or_default();
                let message = body["Message"].as_str().or(body["message"].as_str()).map(str::to_owned);
                message.unwrap_or_else(|| format!("{response:?}"))
            }
        }
    }
}

impl From<HttpError> for LambdaError {
    fn from(error: HttpError) -> Self {
        let message = format!("The emulator (moto) cannot be reached: {}", error_chain(&error));
        Self::new(StatusCode::BAD_GATEWAY, unreachable::CODE, message)
    }
}

impl From<EmulatorError> for LambdaError {
    fn from(error: EmulatorError) -> Self {
        Self::service(format!("The emulator failed: {}", error_chain(&error)))
    }
}

impl IntoResponse for LambdaError {
    fn into_response(self) -> Response {
        match self {
            Self::Own { status, error_type, message } => {
                let fault = if status.is_server_error() { "Service" } else { "User" };
                let body = json!({ "Type": fault, "Message": message, "message": message });
                let headers =
                    [("x-amzn-errortype", error_type), (header::CONTENT_TYPE.as_str(), "application/json")];
                (status, headers, body.to_string()).into_response()
            }
            Self::Emulator(error) => {
                let mut response = Response::new(Body::from(error.body));
                *response.status_mut() = error.status;
                for name in ["x-amzn-errortype", "content-type"] {
                    if let Some(value) = error.headers.get(name) {
                        response.headers_mut().insert(name, value.clone());
                    }
                }
                response
            }
        }
    }
}

/// Makes a JSON response.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

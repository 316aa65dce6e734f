//! What a client hears while the emulator is dead: 502, in the form that its service's errors have.
//!
//! In: the request's headers and address, and what went wrong. Out: an answer that names the emulator. SDKs count 502
//! as passing and try again as often as they are told to: a client of the local environment allows one or two attempts.

use super::refusal::chain;
use super::scope::Scope;
use crate::http::HttpError;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The error's code.
pub(crate) const CODE: &str = "EmulatorUnreachable";

/// How a service writes its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// S3's own.
    S3,
    /// <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>.
    Query,
    Json,
}

/// Says, without trying again, that the emulator does not answer.
pub(super) fn unreachable(headers: &HeaderMap, uri: &Uri, emulator_url: &str, error: &HttpError) -> Response {
    let message = format!(
        "the emulator (moto) at {emulator_url} cannot be reached: {}; what it held is lost, bring the local environment up anew",
        chain(error)
    );
    let (kind, body) = match form(headers, uri) {
        Form::S3 => ("application/xml", xml(CODE, &message)),
        Form::Query => {
            let error = element("Type", "Receiver") + &element("Code", CODE) + &element("Message", &message);
            ("text/xml", format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"))
        }
        Form::Json => {
            let body = json!({ "__type": CODE, "message": message, "Message": message });
            ("application/json", body.to_string())
        }
    };
    let headers = [
        (header::CONTENT_TYPE.as_str(), kind),
        ("x-amzn-errortype", CODE),
        (header::CONNECTION.as_str(), "close"),
    ];
    (StatusCode::BAD_GATEWAY, headers, body).into_response()
}

/// Writes an error as S3 does: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
pub(super) fn xml(code: &str, message: &str) -> String {
    let error = element("Code", code) + &element("Message", message);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{error}</Error>")
}

fn form(headers: &HeaderMap, uri: &Uri) -> Form {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match Scope::of(headers, uri).as_ref().map(|scope| scope.service.as_str()) {
        Some("s3") => Form::S3,
        _ if kind.starts_with("application/x-www-form-urlencoded") => Form::Query,
        None if kind.is_empty() => Form::S3,
        _ => Form::Json,
    }
}

fn element(name: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<{name}>{text}</{name}>")
}

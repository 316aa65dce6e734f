//! The response while the emulator is dead: 502, in the form of the service's errors.
//!
//! In: the request's headers and address, and the error. Out: a response that names the emulator. SDKs take 502 for a
//! temporary error and retry, so clients of the local environment are configured with one or two attempts.

use super::scope::CredentialScope;
use crate::error_chain::error_chain;
use crate::http::HttpError;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The error's code.
pub(crate) const CODE: &str = "EmulatorUnreachable";

/// The format of a service's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorFormat {
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
    S3,
    /// <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>.
    Query,
    Json,
}

/// Makes the response for a request that could not be sent to the emulator.
pub(super) fn response(headers: &HeaderMap, uri: &Uri, emulator_url: &str, error: &HttpError) -> Response {
    let message = message(emulator_url, error);
    let (kind, body) = match error_format(headers, uri) {
        ErrorFormat::S3 => ("application/xml", s3_error(CODE, &message)),
        ErrorFormat::Query => {
            let error = element("Type", "Receiver") + &element("Code", CODE) + &element("Message", &message);
            ("text/xml", format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"))
        }
        ErrorFormat::Json => {
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

/// Says what is known of the emulator: that nothing listens is evidence that it ended; a connection that broke is none.
fn message(emulator_url: &str, error: &HttpError) -> String {
    let what = match error {
        HttpError::Connect { .. } => {
            "it has ended, and what it held is lost: start the local environment again (cargo xtask local up)"
        }
        _ => {
            "nothing shows that it has ended, nor whether it carried out the request: repeat the command; cargo xtask local status says what runs"
        }
    };
    format!("no response from the emulator (moto) at {emulator_url}: {}; {what}", error_chain(error))
}

/// Formats an error as S3 does: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.
pub(super) fn s3_error(code: &str, message: &str) -> String {
    let error = element("Code", code) + &element("Message", message);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{error}</Error>")
}

fn error_format(headers: &HeaderMap, uri: &Uri) -> ErrorFormat {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match CredentialScope::of(headers, uri).as_ref().map(|scope| scope.service.as_str()) {
        Some("s3") => ErrorFormat::S3,
        _ if kind.starts_with("application/x-www-form-urlencoded") => ErrorFormat::Query,
        None if kind.is_empty() => ErrorFormat::S3,
        _ => ErrorFormat::Json,
    }
}

fn element(name: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<{name}>{text}</{name}>")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_an_emulator_that_does_not_listen_has_lost_what_it_held() {
        let authority = "127.0.0.1:1".to_owned();
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let ended =
            message("http://m", &HttpError::Connect { authority: authority.clone(), source: refused });
        assert!(ended.contains("what it held is lost"), "{ended}");
        let slow = message("http://m", &HttpError::Slow { authority, within: Duration::from_secs(1) });
        assert!(!slow.contains("is lost") && slow.contains("nothing shows that it has ended"), "{slow}");
    }
}

//! The client of S3, and what its errors mean.
//!
//! In: [`Aws`]. Out: a client with limits that leave a call of the function the time to answer; and [`Refusal`], which
//! sorts what the SDK reports into what is missing, what may work later and what won't.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::settings::Aws;

/// How long one attempt may take: S3 answers in tens of milliseconds, a new connection included.
const ATTEMPT: Duration = Duration::from_secs(3);
/// How long a call may take with its retries; a request makes one, and the stack gives it 10 s.
const OPERATION: Duration = Duration::from_secs(7);
const ATTEMPTS: u32 = 3;

/// Creates the client; nothing is sent yet.
pub(crate) fn client(aws: &Aws) -> Client {
    let is_plain = aws.s3_endpoint.as_deref().is_some_and(|url| url.starts_with("http://"));
    // TLS roots are read only where something speaks TLS.
    let http: SharedHttpClient = if is_plain {
        Builder::new().build_http()
    } else {
        Builder::new().tls_provider(Provider::rustls(CryptoMode::Ring)).build_https()
    };
    let token = aws.session_token.clone();
    let credentials =
        Credentials::new(&aws.access_key_id, &aws.secret_access_key, token, None, "Lambda's environment");
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(1));
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(aws.region.clone()))
        .credentials_provider(credentials)
        .http_client(http)
        .retry_config(retries)
        .timeout_config(timeouts)
        // An emulator has no host for each bucket.
        .force_path_style(aws.s3_endpoint.is_some());
    config.set_endpoint_url(aws.s3_endpoint.clone());
    Client::from_conf(config.build())
}

/// A failed call to S3 and its meaning.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// For the log: operation, what S3 said, and its request's id.
    pub(crate) cause: String,
    pub(crate) meaning: Meaning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It does not exist.
    Missing,
    /// Too many requests.
    Throttled,
    /// No response, or one that reports a fault of S3.
    Unavailable,
    /// S3 refused the request.
    Refused,
}

impl Refusal {
    /// Returns the meaning of an SDK error.
    pub(crate) fn of<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let id = error.request_id().map(|id| format!(" (S3's request {id})")).unwrap_or_default();
        let status = error.raw_response().map(|response| response.status().as_u16());
        let (said, meaning) = match error.as_service_error() {
            // The SDK's own words would hold the answer's headers and body.
            Some(error) => {
                let code = error.code();
                let number = status.map_or("without a status".to_owned(), |status| status.to_string());
                let message = error.message().map(|message| format!(": {message}")).unwrap_or_default();
                let said = format!("{} {}{message}", number, code.unwrap_or("without a code"));
                (said, meaning(status, code))
            }
            None if matches!(error, SdkError::ConstructionFailure(_)) => {
                ("the request could not be made".to_owned(), Meaning::Refused)
            }
            None => (DisplayErrorContext(error).to_string(), Meaning::Unavailable),
        };
        Self { cause: format!("{operation}: {said}{id}"), meaning }
    }
}

/// An answer to HEAD has no body and so no code: there the status alone decides.
fn meaning(status: Option<u16>, code: Option<&str>) -> Meaning {
    match (code, status) {
        (Some("SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded"), _)
        | (_, Some(429)) => Meaning::Throttled,
        (Some("InternalError" | "ServiceUnavailable" | "RequestTimeout"), _) | (_, Some(500..) | None) => {
            Meaning::Unavailable
        }
        // With a code it is the bucket that is missing, which is no fault of the caller's.
        (None | Some("NotFound" | "NoSuchKey"), Some(404)) => Meaning::Missing,
        _ => Meaning::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::{Meaning, meaning};

    #[test]
    fn sorts_what_s3_says() {
        for (status, code, expected) in [
            (Some(404), None, Meaning::Missing),
            (Some(404), Some("NotFound"), Meaning::Missing),
            (Some(404), Some("NoSuchBucket"), Meaning::Refused),
            (Some(403), None, Meaning::Refused),
            (Some(403), Some("AccessDenied"), Meaning::Refused),
            (Some(503), Some("SlowDown"), Meaning::Throttled),
            (Some(503), None, Meaning::Unavailable),
            (Some(500), Some("InternalError"), Meaning::Unavailable),
            (Some(400), Some("RequestTimeout"), Meaning::Unavailable),
            (None, None, Meaning::Unavailable),
        ] {
            assert_eq!(meaning(status, code), expected, "{status:?} {code:?}");
        }
    }
}

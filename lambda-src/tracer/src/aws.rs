//! The clients of DynamoDB and Secrets Manager, and what their errors mean.
//!
//! In: [`Aws`]. Out: clients that share one HTTP client, with limits that leave a call of the function the time to
//! answer; and [`Refusal`], which sorts what the SDK reports into what may work later and what won't.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lambda_runtime::tracing::instrument::Instrumented;
use lambda_runtime::tracing::{Instrument as _, info_span};

use crate::settings::Aws;

/// The number of attempts of a call.
const ATTEMPTS: u32 = 3;

/// Creates both clients.
pub(crate) fn clients(aws: &Aws) -> (aws_sdk_dynamodb::Client, aws_sdk_secretsmanager::Client) {
    let is_plain =
        |endpoint: &Option<String>| endpoint.as_deref().is_some_and(|url| url.starts_with("http://"));
    // TLS roots are read only where something speaks TLS.
    let http: SharedHttpClient = if is_plain(&aws.dynamodb_endpoint) && is_plain(&aws.secrets_endpoint) {
        Builder::new().build_http()
    } else {
        Builder::new().tls_provider(Provider::rustls(CryptoMode::Ring)).build_https()
    };
    let token = aws.session_token.clone();
    let credentials =
        Credentials::new(&aws.access_key_id, &aws.secret_access_key, token, None, "Lambda's environment");
    let region = Region::new(aws.region.clone());
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(Duration::from_millis(100))
        .with_max_backoff(Duration::from_secs(1));
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(aws.patience.attempt)
        .operation_timeout(aws.patience.call)
        .build();

    let mut tables = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region.clone())
        .credentials_provider(credentials.clone())
        .http_client(http.clone())
        .retry_config(retries.clone())
        .timeout_config(timeouts.clone());
    tables.set_endpoint_url(aws.dynamodb_endpoint.clone());
    let mut secrets = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(credentials)
        .http_client(http)
        .retry_config(retries)
        .timeout_config(timeouts);
    secrets.set_endpoint_url(aws.secrets_endpoint.clone());
    (
        aws_sdk_dynamodb::Client::from_conf(tables.build()),
        aws_sdk_secretsmanager::Client::from_conf(secrets.build()),
    )
}

/// A call to AWS that is a span of its own.
pub(crate) trait Traced: Future + Sized {
    /// Names the call, as `DynamoDB.GetItem`.
    fn traced(self, call: &'static str) -> Instrumented<Self> {
        self.instrument(info_span!(
            "AWS",
            "otel.name" = call,
            "otel.kind" = "client",
            "rpc.system" = "aws-api"
        ))
    }
}

impl<F: Future> Traced for F {}

/// A failed call to AWS and its meaning.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// AWS's error code, where AWS responded.
    pub(crate) code: Option<String>,
    /// For the log: operation, what AWS said, and its request's id.
    pub(crate) cause: String,
    pub(crate) meaning: Meaning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Too many requests.
    Throttled,
    /// No response, or one that reports a fault of AWS.
    Unavailable,
    /// AWS refused the request.
    Refused,
}

impl Refusal {
    /// Returns the meaning of an SDK error.
    pub(crate) fn of<E, R>(operation: &str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
        SdkError<E, R>: RequestId,
    {
        let id = error.request_id().map(|id| format!(" (AWS's request {id})")).unwrap_or_default();
        let service = error.as_service_error();
        let code = service.and_then(|error| error.code()).map(str::to_owned);
        let said = match service {
            // The SDK's own words would hold the answer's headers and body.
            Some(error) => format!(
                "{}: {}",
                error.code().unwrap_or("an error without a code"),
                error.message().unwrap_or("without a message")
            ),
            None => DisplayErrorContext(error).to_string(),
        };
        let meaning = service.map_or(Meaning::Unavailable, |_| meaning(code.as_deref()));
        Self { code, cause: format!("{operation}: {said}{id}"), meaning }
    }
}

fn meaning(code: Option<&str>) -> Meaning {
    match code {
        Some(
            "ProvisionedThroughputExceededException"
            | "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestLimitExceeded"
            | "RequestThrottledException"
            | "LimitExceededException"
            | "TooManyRequestsException"
            | "SlowDown",
        ) => Meaning::Throttled,
        None
        | Some(
            "InternalServerError"
            | "InternalServiceError"
            | "InternalFailure"
            | "ServiceUnavailable"
            | "ServiceUnavailableException",
        ) => Meaning::Unavailable,
        Some(_) => Meaning::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::{Meaning, meaning};

    #[test]
    fn sorts_what_aws_says() {
        assert_eq!(meaning(Some("ThrottlingException")), Meaning::Throttled);
        assert_eq!(meaning(Some("InternalServerError")), Meaning::Unavailable);
        assert_eq!(meaning(None), Meaning::Unavailable);
        assert_eq!(meaning(Some("AccessDeniedException")), Meaning::Refused);
    }
}

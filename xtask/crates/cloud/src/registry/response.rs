//! A registry's response, and the error that an unsuccessful one stands for.
//!
//! In: an HTTP response. Out: its status, headers and body, or an [`AttemptError`]: the registry's code and message,
//! whether a retry may succeed, and how long to wait before it. Bodies that are read into memory have a size limit.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::{DateTime, Format};
use bytes::Bytes;
use http_body::Body as _;
use serde_json::Value;

use crate::error::{CallContext, CloudError, CloudErrorKind, ErrorDetails};

/// The largest error document that is read, in bytes.
const LARGEST_ERROR: usize = 64 << 10;

/// An attempt that failed.
#[derive(Debug)]
pub(super) struct AttemptError {
    pub(super) error: CloudError,
    /// Whether another attempt may succeed.
    pub(super) retryable: bool,
    /// Whether the registry says that the login has expired, and a new one is needed.
    pub(super) login_expired: bool,
    /// How long the registry asks to wait.
    pub(super) pause: Option<Duration>,
}

impl From<CloudError> for AttemptError {
    fn from(error: CloudError) -> Self {
        let retryable = matches!(
            error.kind,
            CloudErrorKind::Unreachable | CloudErrorKind::TimedOut | CloudErrorKind::Throttled
        );
        Self { error, retryable, login_expired: false, pause: None }
    }
}

/// A registry's response, before its body is read.
pub(super) struct Response {
    pub(super) status: u16,
    http: HttpResponse,
    limit: Duration,
}

impl Response {
    pub(super) fn new(http: HttpResponse, limit: Duration) -> Self {
        Self { status: http.status().as_u16(), http, limit }
    }

    pub(super) fn header(&self, name: &'static str) -> Option<&str> {
        self.http.headers().get(name)
    }

    pub(super) fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.http.headers().get_all(name)
    }

    pub(super) fn into_body(self) -> SdkBody {
        self.http.into_body()
    }

    /// Returns the next chunk of the body; `None` at its end.
    pub(super) async fn next_chunk(
        &mut self,
        context: &CallContext<'_>,
    ) -> Result<Option<Bytes>, CloudError> {
        let body = self.http.body_mut();
        let next = std::future::poll_fn(|task| std::pin::Pin::new(&mut *body).poll_frame(task));
        match tokio::time::timeout(self.limit, next).await {
            Err(_) => Err(context.timed_out()),
            Ok(None) => Ok(None),
            Ok(Some(Err(error))) => Err(CloudError::body(context, error.as_ref())),
            // Trailers come last.
            Ok(Some(Ok(frame))) => Ok(frame.into_data().ok()),
        }
    }

    /// Returns the whole body.
    pub(super) async fn bytes(
        &mut self,
        limit: usize,
        context: &CallContext<'_>,
    ) -> Result<Vec<u8>, CloudError> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.next_chunk(context).await? {
            if whole.len() + bytes.len() > limit {
                let message = format!("the response is larger than {limit} bytes");
                return Err(CloudError::at(context, CloudErrorKind::Other, message));
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }

    /// Turns an unsuccessful response into an error.
    pub(super) async fn into_error(mut self, context: &CallContext<'_>) -> AttemptError {
        let retryable = matches!(self.status, 408 | 425 | 429 | 500 | 502 | 503 | 504);
        let pause = self.header("retry-after").and_then(retry_after);
        let body = self.bytes(LARGEST_ERROR, context).await.unwrap_or_default();
        let document: Value = serde_json::from_slice(&body).unwrap_or_default();
        let first = &document["errors"][0];
        let code = first["code"].as_str().map(str::to_owned);
        let kind = error_kind(self.status, code.as_deref());
        let mut message = match first["message"].as_str().filter(|message| !message.is_empty()) {
            Some(message) => message.to_owned(),
            None => format!("HTTP status {}", self.status),
        };
        if kind == CloudErrorKind::TimedOut {
            message = format!("{} responded about `{}`: {message}", context.endpoint, context.subject);
        }
        // ECR has the code DENIED both for an expired login and for a missing permission: only the message differs.
        let login_expired = self.status == 403 && message.contains("authorization token has expired");
        let request_id = self.header("x-amzn-requestid").map(str::to_owned);
        let (service, operation) = (context.service, context.operation);
        let subject = context.subject.to_owned();
        let error = ErrorDetails { kind, service, operation, subject, code, message, request_id }.into();
        AttemptError { error, retryable, login_expired, pause }
    }
}

impl CallContext<'_> {
    /// Returns the error for a connection without progress within the time limit.
    pub(super) fn timed_out(&self) -> CloudError {
        let CallContext { service, subject, endpoint, .. } = self;
        let message = format!("{service} at {endpoint} did not respond in time about `{subject}`");
        CloudError::at(self, CloudErrorKind::TimedOut, message)
    }
}

fn error_kind(status: u16, code: Option<&str>) -> CloudErrorKind {
    match (status, code) {
        (401 | 403, _) => CloudErrorKind::AccessDenied,
        (404, _) => CloudErrorKind::NotFound,
        (409, _) => CloudErrorKind::Conflict,
        (412, _) => CloudErrorKind::PreconditionFailed,
        (429 | 503, _) | (_, Some("TOOMANYREQUESTS")) => CloudErrorKind::Throttled,
        (408 | 504, _) => CloudErrorKind::TimedOut,
        _ => CloudErrorKind::Other,
    }
}

/// Reads the header Retry-After: seconds, or a date.
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::from_str(text.trim(), Format::HttpDate).ok()?;
    let date = std::time::SystemTime::try_from(date).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_in_seconds_or_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let in_2100 = retry_after("Fri, 01 Jan 2100 00:00:00 GMT").unwrap();
        assert!(in_2100 > Duration::from_secs(86_400), "{in_2100:?}");
        assert_eq!(retry_after("soon"), None);
    }
}

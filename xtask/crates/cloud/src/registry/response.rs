//! What a registry answered, and what its refusals mean.
//!
//! In: an HTTP answer. Out: its status, headers and body, or a [`Trouble`]: the error in the registry's own code
//! and words, whether to try again, and when the registry allows it. Bodies that are read whole have a limit.

use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::date_time::{DateTime, Format};
use bytes::Bytes;
use http_body::Body as _;
use serde_json::Value;

use crate::error::{CloudError, Failure, Kind, Origin};

/// The largest refusal that is read.
const REFUSAL: usize = 64 << 10;

/// An attempt that failed.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) error: CloudError,
    /// Whether another attempt may succeed.
    pub(super) again: bool,
    /// How long the registry asks to wait.
    pub(super) pause: Option<Duration>,
}

impl From<CloudError> for Trouble {
    fn from(error: CloudError) -> Self {
        let again = matches!(error.kind, Kind::Unreachable | Kind::TimedOut | Kind::Throttled);
        Self { error, again, pause: None }
    }
}

/// A registry's answer; the body is still on its way.
pub(super) struct Response {
    pub(super) status: u16,
    answer: HttpResponse,
    limit: Duration,
}

impl Response {
    pub(super) fn new(answer: HttpResponse, limit: Duration) -> Self {
        Self { status: answer.status().as_u16(), answer, limit }
    }

    pub(super) fn header(&self, name: &'static str) -> Option<&str> {
        self.answer.headers().get(name)
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.answer.headers().get_all(name)
    }

    pub(super) fn into_body(self) -> SdkBody {
        self.answer.into_body()
    }

    /// Waits for the next piece of the body; `None` at its end.
    pub(super) async fn next(&mut self, origin: &Origin<'_>) -> Result<Option<Bytes>, CloudError> {
        let body = self.answer.body_mut();
        let next = std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context));
        match tokio::time::timeout(self.limit, next).await {
            Err(_) => Err(origin.silent()),
            Ok(None) => Ok(None),
            Ok(Some(Err(error))) => Err(CloudError::body(origin, error.as_ref())),
            // Trailers come last.
            Ok(Some(Ok(frame))) => Ok(frame.into_data().ok()),
        }
    }

    /// Reads the whole body.
    pub(super) async fn bytes(&mut self, limit: usize, origin: &Origin<'_>) -> Result<Vec<u8>, CloudError> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.next(origin).await? {
            if whole.len() + bytes.len() > limit {
                let message = format!("the answer is larger than {limit} bytes");
                return Err(CloudError::at(origin, Kind::Other, message));
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole)
    }

    /// Explains an answer that is not the hoped-for one.
    pub(super) async fn refusal(mut self, origin: &Origin<'_>) -> Trouble {
        let again = matches!(self.status, 408 | 425 | 429 | 500 | 502 | 503 | 504);
        let pause = self.header("retry-after").and_then(retry_after);
        let body = self.bytes(REFUSAL, origin).await.unwrap_or_default();
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        let first = &said["errors"][0];
        let code = first["code"].as_str().map(str::to_owned);
        let kind = kind_of(self.status, code.as_deref());
        let mut message = match first["message"].as_str().filter(|message| !message.is_empty()) {
            Some(message) => message.to_owned(),
            None => format!("HTTP status {}", self.status),
        };
        if kind == Kind::TimedOut {
            message = format!("{} answered about `{}`: {message}", origin.endpoint, origin.subject);
        }
        let request_id = self.header("x-amzn-requestid").map(str::to_owned);
        let (service, operation) = (origin.service, origin.operation);
        let subject = origin.subject.to_owned();
        let error = Failure { kind, service, operation, subject, code, message, request_id }.into();
        Trouble { error, again, pause }
    }
}

impl Origin<'_> {
    /// Nothing moved for longer than is allowed.
    pub(super) fn silent(&self) -> CloudError {
        let Origin { service, subject, endpoint, .. } = self;
        let message = format!("{service} at {endpoint} did not answer in time about `{subject}`");
        CloudError::at(self, Kind::TimedOut, message)
    }
}

fn kind_of(status: u16, code: Option<&str>) -> Kind {
    match (status, code) {
        (401 | 403, _) => Kind::AccessDenied,
        (404, _) => Kind::NotFound,
        (409, _) => Kind::Conflict,
        (412, _) => Kind::PreconditionFailed,
        (429 | 503, _) | (_, Some("TOOMANYREQUESTS")) => Kind::Throttled,
        (408 | 504, _) => Kind::TimedOut,
        _ => Kind::Other,
    }
}

/// Seconds, or a date.
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
    fn a_pause_is_asked_for_in_seconds_or_as_a_date() {
        assert_eq!(retry_after("7"), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let in_2100 = retry_after("Fri, 01 Jan 2100 00:00:00 GMT").unwrap();
        assert!(in_2100 > Duration::from_secs(86_400), "{in_2100:?}");
        assert_eq!(retry_after("soon"), None);
    }
}

//! Runs one call of a service, reports it to the observer and turns a failure into a [`CloudError`].
//!
//! In: the SDK's future for one operation. Out: its response or a [`CloudError`], and a [`Call`] for the observer. The
//! observer also sees refusals that the caller expects (a 404, a lost race), with the service's own code.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::{CallContext, CloudError, CloudErrorKind};

/// Gets each call after its response, or after the last attempt.
pub type Observer = Arc<dyn Fn(Call) + Send + Sync>;

/// One call of a service, retries included.
#[derive(Clone, Debug)]
pub struct Call {
    /// The service: `S3`, `Lambda`, `STS`, `ECR`, `KMS` or `registry`.
    pub service: &'static str,
    /// The operation as the service's reference calls it, `PutObject`.
    pub operation: &'static str,
    /// What was called on: `bucket/key`, `function:qualifier`, `host/repository@digest`, a key or a role.
    pub subject: String,
    /// The time from the call to its response, without the body of a download.
    pub took: Duration,
    /// Whether it succeeded.
    pub outcome: CallOutcome,
}

/// Result of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The service executed it.
    Succeeded,
    /// The service refused it, or sent no response.
    Failed {
        /// The kind of failure.
        kind: CloudErrorKind,
        /// The service's own code, `NoSuchKey`.
        code: Option<String>,
    },
}

/// Makes the calls of one service.
#[derive(Clone)]
pub(crate) struct ServiceCalls {
    pub(crate) service: &'static str,
    pub(crate) endpoint: String,
    pub(crate) observer: Option<Observer>,
}

impl ServiceCalls {
    /// Awaits one operation and reports it to the observer.
    pub(crate) async fn run<T, E>(
        &self,
        operation: &'static str,
        subject: &str,
        response: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, CloudError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let started = Instant::now();
        let result =
            response.await.map_err(|error| CloudError::from_sdk(&self.context(operation, subject), &error));
        if let Some(observer) = &self.observer {
            observer(Call {
                service: self.service,
                operation,
                subject: subject.to_owned(),
                took: started.elapsed(),
                outcome: match &result {
                    Ok(_) => CallOutcome::Succeeded,
                    Err(error) => CallOutcome::Failed { kind: error.kind, code: error.code.clone() },
                },
            });
        }
        result
    }

    /// Returns the context for an error that is found in a response.
    pub(crate) fn context<'a>(&'a self, operation: &'static str, subject: &'a str) -> CallContext<'a> {
        CallContext { service: self.service, operation, subject, endpoint: &self.endpoint }
    }
}

/// How often a throttled call is made, the first time included.
const THROTTLED_ATTEMPTS: u32 = 4;

/// Repeats a call that is not idempotent, but only where it was throttled: then the service did not execute it.
pub(crate) async fn retry_throttled<T, F>(mut call: impl FnMut() -> F) -> Result<T, CloudError>
where
    F: Future<Output = Result<T, CloudError>>,
{
    let mut attempt = 1;
    loop {
        match call().await {
            Err(error) if error.kind == CloudErrorKind::Throttled && attempt < THROTTLED_ATTEMPTS => {
                tokio::time::sleep(Duration::from_millis(250 << attempt)).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

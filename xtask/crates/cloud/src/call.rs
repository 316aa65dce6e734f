//! One call of a service: how it is made, observed and, where it failed, explained.
//!
//! In: the SDK's future for one operation. Out: its answer or a [`CloudError`], and a [`Call`] for the
//! observer. A refusal that the caller expected (a 404, a lost race) is shown as the service answered it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::error::{CloudError, Kind, Origin};

/// Sees each call after it was answered, or given up.
pub type Observer = Arc<dyn Fn(Call) + Send + Sync>;

/// One call of a service, retries included.
#[derive(Clone, Debug)]
pub struct Call {
    /// The service: `S3`, `Lambda`, `STS`, `ECR`, `KMS` or `registry`.
    pub service: &'static str,
    /// The operation as the service's reference calls it, `PutObject`.
    pub operation: &'static str,
    /// What it was about: `bucket/key`, `function:qualifier`, `host/repository@digest`, a key or a role.
    pub subject: String,
    /// The time from the call to its answer, without the body of a download.
    pub took: Duration,
    /// What was answered.
    pub outcome: Outcome,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service did it.
    Done,
    /// The service refused, or gave no answer.
    Failed {
        /// What sort of failure it was.
        kind: Kind,
        /// The service's own code, `NoSuchKey`.
        code: Option<String>,
    },
}

/// Makes the calls of one service.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) service: &'static str,
    pub(crate) endpoint: String,
    pub(crate) observer: Option<Observer>,
}

impl Calls {
    /// Waits for one operation, shows it to the observer and explains its failure.
    pub(crate) async fn run<T, E>(
        &self,
        operation: &'static str,
        subject: &str,
        answer: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, CloudError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let started = Instant::now();
        let result =
            answer.await.map_err(|error| CloudError::from_sdk(&self.origin(operation, subject), &error));
        if let Some(observer) = &self.observer {
            observer(Call {
                service: self.service,
                operation,
                subject: subject.to_owned(),
                took: started.elapsed(),
                outcome: match &result {
                    Ok(_) => Outcome::Done,
                    Err(error) => Outcome::Failed { kind: error.kind, code: error.code.clone() },
                },
            });
        }
        result
    }

    /// Names an operation for an error that is found after its answer.
    pub(crate) fn origin<'a>(&'a self, operation: &'static str, subject: &'a str) -> Origin<'a> {
        Origin { service: self.service, operation, subject, endpoint: &self.endpoint }
    }
}

/// How often a call that the service turned away unexecuted is made again.
const THROTTLED_ATTEMPTS: u32 = 4;

/// Repeats a call that must not be repeated blindly, only where the service says that it did nothing.
pub(crate) async fn unless_throttled<T, F>(mut call: impl FnMut() -> F) -> Result<T, CloudError>
where
    F: Future<Output = Result<T, CloudError>>,
{
    let mut attempt = 1;
    loop {
        match call().await {
            Err(error) if error.kind == Kind::Throttled && attempt < THROTTLED_ATTEMPTS => {
                tokio::time::sleep(Duration::from_millis(250 << attempt)).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

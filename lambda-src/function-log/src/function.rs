//! A function's process, from its start to Lambda's events.

use std::fmt::Debug;

use lambda_runtime::layers::TracingLayer;
use lambda_runtime::tracing::subscriber::filter::LevelFilter;
#[cfg(not(feature = "opentelemetry"))]
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt as _;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, Runtime, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::lines::json_lines;

/// A process that logs, and so can say why it does not start.
#[must_use = "Lambda's events are answered by `run`"]
pub struct Function {
    #[cfg(feature = "opentelemetry")]
    traces: Option<crate::traces::Traces>,
}

/// Starts logging to stdout, as the crate `own`: the root of the targets of its lines, as `module_path!` names it.
///
/// With the feature `opentelemetry`, and only where `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector, traces are sent there.
#[expect(
    clippy::disallowed_methods,
    reason = "the level is read before there are settings, so that they can log"
)]
pub fn start(own: &str) -> Function {
    let level = |name| std::env::var(name).ok()?.parse().ok();
    let level = level("AWS_LAMBDA_LOG_LEVEL").or_else(|| level("RUST_LOG")).unwrap_or(LevelFilter::INFO);
    let lines = json_lines(own, level, std::io::stdout);
    #[cfg(not(feature = "opentelemetry"))]
    {
        lines.init();
        Function {}
    }
    #[cfg(feature = "opentelemetry")]
    Function { traces: crate::traces::start(lines) }
}

impl Function {
    /// Answers Lambda's events, one after another, until Lambda ends the process.
    ///
    /// # Errors
    ///
    /// The Runtime API does not answer.
    pub async fn run<E, R, X, F>(self, handler: impl Fn(LambdaEvent<E>) -> F) -> Result<(), Error>
    where
        E: DeserializeOwned,
        R: Serialize,
        X: Into<Diagnostic> + Debug,
        F: Future<Output = Result<R, X>>,
    {
        // Boxed, since the layers nest its type deeper than the compiler follows.
        let handler = service_fn(|event| Box::pin(handler(event)));
        // The layer has the request's id, which every log line takes from there.
        let runtime = Runtime::new(handler).layer(TracingLayer::new());
        #[cfg(feature = "opentelemetry")]
        if let Some(traces) = self.traces {
            return runtime.layer(traces.spans()).layer(traces.parents()).run().await;
        }
        runtime.run().await
    }
}

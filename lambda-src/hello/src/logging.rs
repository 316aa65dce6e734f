//! Logging as one JSON object a line on stdout, which Lambda sends to CloudWatch Logs.
//!
//! In: the level that Lambda's
//! [logging controls](https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html) set in
//! `AWS_LAMBDA_LOG_LEVEL`, else `RUST_LOG`, else `info`. Out: lines with `timestamp` and `level` as those controls
//! expect them, the message, its fields, and in `span` the request's id.

use lambda_runtime::tracing::Subscriber;
use lambda_runtime::tracing::subscriber::EnvFilter;
use lambda_runtime::tracing::subscriber::filter::Directive;
use lambda_runtime::tracing::subscriber::fmt::{MakeWriter, fmt};
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;

/// Starts logging to stdout.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("AWS_LAMBDA_LOG_LEVEL")
        .or_else(|_| EnvFilter::try_from_default_env())
        .unwrap_or_else(|_| EnvFilter::new("info"));
    json_lines(filter, std::io::stdout).init();
}

fn json_lines<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    // The runtime opens a span with the request's id at the level `info`. At a higher level all lines would lose
    // the id, and at a lower one the runtime would log whole events.
    let runtime: Directive = "lambda_runtime=info".parse().expect("a directive");
    fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false)
        .with_env_filter(filter.add_directive(runtime))
        .with_writer(writer)
        .finish()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use lambda_runtime::layers::trace::request_span;
    use lambda_runtime::tracing::subscriber::EnvFilter;
    use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;
    use lambda_runtime::tracing::{Instrument, error};
    use lambda_runtime::{Context, LambdaEvent};
    use serde_json::{Value, json};

    use super::json_lines;
    use crate::greeting::handle;

    const REQUEST: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Handles an event and logs an error, inside the runtime's span, and returns what was logged.
    async fn logged(level: &str) -> Vec<Value> {
        let shared = Shared::default();
        let writer = shared.clone();
        let guard = json_lines(EnvFilter::new(level), move || writer.clone()).set_default();
        let mut context = Context::default();
        context.request_id = REQUEST.to_owned();
        let span = request_span(&context);
        let request = serde_json::from_value(json!({ "name": "Ada" })).expect("an event");
        let work = async {
            handle(LambdaEvent::new(request, context)).await.expect("a greeting");
            error!("afterwards");
        };
        work.instrument(span).await;
        drop(guard);
        let bytes = shared.0.lock().expect("one thread").clone();
        let text = String::from_utf8(bytes).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[tokio::test]
    async fn every_line_carries_the_request_id_at_every_level() {
        for (level, expected) in [
            ("trace", &["greeted", "afterwards"][..]),
            ("info", &["greeted", "afterwards"]),
            ("warn", &["afterwards"]),
            ("ERROR", &["afterwards"]),
        ] {
            let lines = logged(level).await;
            let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().expect("text")).collect();
            assert_eq!(messages, expected, "at {level}");
            for line in &lines {
                assert_eq!(line["span"]["requestId"], REQUEST, "{line}");
                assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
                assert!(!line.to_string().contains("Ada"), "people's names are not logged: {line}");
            }
        }
    }
}

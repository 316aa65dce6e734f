//! Logging as one JSON object a line on stdout, which Lambda sends to CloudWatch Logs.
//!
//! In: the level that Lambda's
//! [logging controls](https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html) set in
//! `AWS_LAMBDA_LOG_LEVEL`, else `RUST_LOG`, else `info`. Out: lines with `timestamp` and `level` as those controls
//! expect them, the message, its fields, and in `span` the request's id. The level is the function's own: whatever it
//! is, the runtime and the AWS SDK say no more than at `info`. Below that the runtime writes whole events, keys
//! and what clients sent included, and the SDK dozens of lines for each call.

use lambda_runtime::tracing::Subscriber;
use lambda_runtime::tracing::subscriber::EnvFilter;
use lambda_runtime::tracing::subscriber::filter::LevelFilter;
use lambda_runtime::tracing::subscriber::fmt::{MakeWriter, fmt};
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;

/// Starts logging to stdout, as the crate `own`: the root of the targets of its lines, as `module_path!` names it.
#[expect(
    clippy::disallowed_methods,
    reason = "the level is read before there are settings, so that they can log"
)]
pub fn start(own: &str) {
    let level = |name| std::env::var(name).ok()?.parse().ok();
    let level = level("AWS_LAMBDA_LOG_LEVEL").or_else(|| level("RUST_LOG")).unwrap_or(LevelFilter::INFO);
    json_lines(own, level, std::io::stdout).init();
}

/// Writes the lines of the crate `own` down to `level` to `writer`.
pub fn json_lines<W>(own: &str, level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    // The runtime opens a span with the request's id at the level `info`. At a higher level all lines would lose
    // the id, and at a lower one the runtime would log whole events.
    let others = level.min(LevelFilter::INFO);
    let filter = EnvFilter::new(format!("{others},{own}={level},lambda_runtime=info"));
    fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_target(false)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use lambda_runtime::tracing::subscriber::filter::LevelFilter;
    use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;
    use lambda_runtime::tracing::{debug, error, info};

    use super::json_lines;

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

    /// Logs as three crates at a level; returns target and message of what was written.
    fn logged(level: LevelFilter) -> Vec<String> {
        let shared = Shared::default();
        let writer = shared.clone();
        let guard = json_lines("shop", level, move || writer.clone()).set_default();
        error!(target: "shop::api", "own error");
        info!(target: "shop::api", answer = 7, "own info");
        debug!(target: "shop::api", "own debug");
        debug!(target: "aws_smithy_runtime", "an answer of AWS");
        debug!(target: "lambda_runtime", "a whole event");
        error!(target: "aws_smithy_runtime", "an error of the SDK");
        drop(guard);
        let bytes = shared.0.lock().expect("one thread").clone();
        let text = String::from_utf8(bytes).expect("text");
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON");
        let lines: Vec<_> = text.lines().map(line).collect();
        for line in &lines {
            assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
            if line["message"] == "own info" {
                assert_eq!(line["answer"], 7);
            }
        }
        lines.iter().map(|line| line["message"].as_str().expect("a message").to_owned()).collect()
    }

    #[test]
    fn the_level_is_the_functions_own_and_others_say_no_more_than_at_info() {
        let all = ["own error", "own info", "own debug", "an error of the SDK"];
        assert_eq!(logged(LevelFilter::TRACE), all);
        assert_eq!(logged(LevelFilter::INFO), ["own error", "own info", "an error of the SDK"]);
        assert_eq!(logged(LevelFilter::ERROR), ["own error", "an error of the SDK"]);
    }
}

//! Logging as one JSON object a line on stdout, which Lambda sends to CloudWatch Logs.
//!
//! In: the level that Lambda's
//! [logging controls](https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html) set in
//! `AWS_LAMBDA_LOG_LEVEL`, else `RUST_LOG`, else `info`. Out: lines with `timestamp` and `level` as those controls
//! expect them, the message, its fields, and in `span` the request's id. The level is the function's own: whatever it
//! is, the runtime and the AWS SDK say no more than at `info`. Below that they write whole events and answers, keys of
//! objects included.

use lambda_runtime::tracing::Subscriber;
use lambda_runtime::tracing::subscriber::EnvFilter;
use lambda_runtime::tracing::subscriber::filter::LevelFilter;
use lambda_runtime::tracing::subscriber::fmt::{MakeWriter, fmt};
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;

/// Logs to stdout from here on.
#[expect(
    clippy::disallowed_methods,
    reason = "the level is read before there are settings, so that they can log"
)]
pub(crate) fn start() {
    let level = |name| std::env::var(name).ok()?.parse().ok();
    let level = level("AWS_LAMBDA_LOG_LEVEL").or_else(|| level("RUST_LOG")).unwrap_or(LevelFilter::INFO);
    json_lines(level, std::io::stdout).init();
}

/// Writes the function's lines down to `level` to `writer`.
pub fn json_lines<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    // The runtime opens a span with the request's id at the level `info`. At a higher level all lines would lose
    // the id, and at a lower one the runtime would log whole events.
    let others = level.min(LevelFilter::INFO);
    let filter = EnvFilter::new(format!("{others},bucket_api={level},lambda_runtime=info"));
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

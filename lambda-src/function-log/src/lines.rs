//! Log lines.
//!
//! In: the level that Lambda's
//! [logging controls](https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html) set in
//! `AWS_LAMBDA_LOG_LEVEL`, else `RUST_LOG`, else `info`. Out: lines with `timestamp` and `level` as those controls
//! expect them, `requestId` as Lambda's own lines and those of the Python functions have it, the message, its fields. The
//! level is the function's own: whatever it is, the runtime and the AWS SDK say no more than at `info`. Below that the
//! runtime writes whole events, keys and what clients sent included, and the SDK dozens of lines for each call.

use std::fmt;

use lambda_runtime::tracing::field::{Field, Visit};
use lambda_runtime::tracing::subscriber::EnvFilter;
use lambda_runtime::tracing::subscriber::filter::LevelFilter;
use lambda_runtime::tracing::subscriber::fmt::format::{JsonFields, Writer};
use lambda_runtime::tracing::subscriber::fmt::time::{FormatTime as _, SystemTime};
use lambda_runtime::tracing::subscriber::fmt::{FmtContext, FormatEvent, FormattedFields, MakeWriter};
use lambda_runtime::tracing::subscriber::registry::LookupSpan;
use lambda_runtime::tracing::{Event, Subscriber};
use serde_json::{Map, Value, json};

/// Writes the lines of the crate `own` down to `level` to `writer`.
pub fn json_lines<W>(
    own: &str,
    level: LevelFilter,
    writer: W,
) -> impl Subscriber + for<'span> LookupSpan<'span> + Send + Sync + use<W>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    // The runtime opens a span with the request's id at the level `info`. At a higher level all lines would lose
    // the id, and at a lower one the runtime would log whole events.
    let others = level.min(LevelFilter::INFO);
    let filter = EnvFilter::new(format!("{others},{own}={level},lambda_runtime=info"));
    lambda_runtime::tracing::subscriber::fmt()
        .fmt_fields(JsonFields::new())
        .event_format(Line)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish()
}

/// One event as one JSON object.
struct Line;

impl<S> FormatEvent<S, JsonFields> for Line
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), json!(time));
        line.insert("level".to_owned(), json!(event.metadata().level().as_str()));
        let spans = context.event_scope().into_iter().flatten();
        if let Some(id) = spans
            .filter_map(|span| {
                let extensions = span.extensions();
                let fields = extensions.get::<FormattedFields<JsonFields>>()?;
                serde_json::from_str::<Value>(fields).ok()?.get_mut("requestId").map(Value::take)
            })
            .next()
        {
            line.insert("requestId".to_owned(), id);
        }
        event.record(&mut Fields(&mut line));
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Takes the fields of an event.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    /// A field does not replace what every line has.
    fn add(&mut self, field: &Field, value: Value) {
        self.0.entry(field.name()).or_insert(value);
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, json!(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, json!(value));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use lambda_runtime::Context;
    use lambda_runtime::layers::trace::request_span;
    use lambda_runtime::tracing::subscriber::filter::LevelFilter;
    use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;
    use lambda_runtime::tracing::{Instrument, debug, error, info, info_span};
    use serde_json::Value;

    use super::json_lines;

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

    /// Logs as three crates at a level, inside the runtime's span and one of the function's own; returns the lines.
    async fn logged(level: LevelFilter) -> Vec<Value> {
        let shared = Shared::default();
        let writer = shared.clone();
        let guard = json_lines("shop", level, move || writer.clone()).set_default();
        let mut context = Context::default();
        context.request_id = REQUEST.to_owned();
        let work = async {
            error!(target: "shop::api", requestId = "another", "own error");
            info!(target: "shop::api", answer = 7, share = 0.5, is_new = true, who = ?Some("x"), name = "a", "own info");
            debug!(target: "shop::api", "own debug");
            debug!(target: "aws_smithy_runtime", "an answer of AWS");
            debug!(target: "lambda_runtime", "a whole event");
            error!(target: "aws_smithy_runtime", "an error of the SDK");
        };
        let request = request_span(&context);
        let own = request.in_scope(|| info_span!(target: "shop", "own", step = 1));
        work.instrument(own).instrument(request).await;
        drop(guard);
        let bytes = shared.0.lock().expect("one thread").clone();
        let text = String::from_utf8(bytes).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[tokio::test]
    async fn level_is_the_functions_own_and_others_say_no_more_than_at_info() {
        let messages = async |level| -> Vec<String> {
            let lines = logged(level).await;
            lines.iter().map(|line| line["message"].as_str().expect("a message").to_owned()).collect()
        };
        let all = ["own error", "own info", "own debug", "an error of the SDK"];
        assert_eq!(messages(LevelFilter::TRACE).await, all);
        assert_eq!(messages(LevelFilter::INFO).await, ["own error", "own info", "an error of the SDK"]);
        assert_eq!(messages(LevelFilter::ERROR).await, ["own error", "an error of the SDK"]);
    }

    #[tokio::test]
    async fn every_line_has_the_request_id_at_every_level_and_its_fields_as_they_are() {
        for level in [LevelFilter::TRACE, LevelFilter::INFO, LevelFilter::WARN, LevelFilter::ERROR] {
            let lines = logged(level).await;
            assert!(lines.len() >= 2, "{lines:?}");
            for line in lines {
                assert_eq!(line["requestId"], REQUEST, "{line}");
                let time = line["timestamp"].as_str().expect("a time");
                assert!(time.ends_with('Z') && time.contains('T'), "{time}");
                assert!(line["level"].is_string(), "{line}");
                if line["message"] == "own info" {
                    assert_eq!((&line["answer"], &line["share"]), (&Value::from(7), &Value::from(0.5)));
                    assert_eq!(
                        (&line["is_new"], &line["who"], &line["name"]),
                        (&true.into(), &"Some(\"x\")".into(), &"a".into())
                    );
                }
            }
        }
    }
}

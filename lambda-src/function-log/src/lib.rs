//! What functions tell about their work. Log lines and [`metrics`] go to stdout, which Lambda sends to CloudWatch Logs: one JSON
//! object a line. Traces of OpenTelemetry are a choice, the feature `opentelemetry`.
//!
//! [`start`] turns log lines on, each with the request's id; [`Function::run`] answers Lambda's events.

mod function;
mod lines;
pub mod metrics;
#[cfg(feature = "opentelemetry")]
mod traces;

pub use function::{Function, start};
pub use lines::json_lines;

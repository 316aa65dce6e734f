//! What functions write to stdout, which Lambda sends to CloudWatch Logs: one JSON object a line.
//!
//! [`start`] turns log lines on, each with the request's id; [`metrics`] writes numbers that CloudWatch makes metrics of.

mod lines;
pub mod metrics;

pub use lines::{json_lines, start};

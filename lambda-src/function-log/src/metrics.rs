//! Metrics in the log, without a call of CloudWatch: its embedded metric format,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
//!
//! In: a namespace, dimensions, values with their units. Out: one line on stdout, of which CloudWatch makes data points. Each
//! combination of dimensions is a metric of its own, and paid by the month: dimensions are a few fixed words, never an id.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// The unit of a metric, as CloudWatch calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A time in milliseconds.
    Milliseconds,
}

/// One value of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric<'a> {
    /// The metric's name.
    pub name: &'a str,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
}

/// Writes metrics with their dimensions, as one line on stdout.
pub fn write(namespace: &str, dimensions: &[(&str, &str)], metrics: &[Metric<'_>]) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let line = line(namespace, dimensions, metrics, u64::try_from(now).unwrap_or(u64::MAX));
    // A function does not fail because a metric is lost.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn line(namespace: &str, dimensions: &[(&str, &str)], metrics: &[Metric<'_>], milliseconds: u64) -> Value {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let definitions: Vec<Value> = metrics
        .iter()
        .map(|metric| json!({ "Name": metric.name, "Unit": format!("{:?}", metric.unit) }))
        .collect();
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": milliseconds,
            "CloudWatchMetrics": [{ "Namespace": namespace, "Dimensions": [names], "Metrics": definitions }],
        }),
    );
    line.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    line.extend(metrics.iter().map(|metric| (metric.name.to_owned(), json!(metric.value))));
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_is_that_of_the_specification() {
        let metrics = [
            Metric { name: "Requests", value: 1.0, unit: Unit::Count },
            Metric { name: "Duration", value: 12.5, unit: Unit::Milliseconds },
        ];
        let expected = json!({
            "_aws": {
                "Timestamp": 1_700_000_000_000_u64,
                "CloudWatchMetrics": [{
                    "Namespace": "shop",
                    "Dimensions": [["Route", "Status"]],
                    "Metrics": [{ "Name": "Requests", "Unit": "Count" }, { "Name": "Duration", "Unit": "Milliseconds" }],
                }],
            },
            "Route": "list",
            "Status": "2xx",
            "Requests": 1.0,
            "Duration": 12.5,
        });
        let dimensions = [("Route", "list"), ("Status", "2xx")];
        assert_eq!(line("shop", &dimensions, &metrics, 1_700_000_000_000), expected);
    }
}

//! Applies the request of CreateEventSourceMapping or UpdateEventSourceMapping to a mapping, with Lambda's checks.
//!
//! In: the request's JSON, and the current mapping. Out: the changed mapping. Errors: a value is not allowed, or the local
//! environment does not support it; the error names it.

use super::filter::Pattern;
use super::mapping::Mapping;
use super::stream::Stream;
use crate::gateway::lambda_error::LambdaError;
use serde_json::Value;
use std::collections::BTreeMap;

/// Settings of event sources that are not streams.
const UNSUPPORTED: [&str; 9] = [
    "Topics",
    "Queues",
    "SourceAccessConfigurations",
    "SelfManagedEventSource",
    "AmazonManagedKafkaEventSourceConfig",
    "SelfManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
    "ScalingConfig",
    "ProvisionedPollerConfig",
];

/// Makes a new mapping. The caller sets UUID, owner and function.
pub(super) fn create(requested: &Value) -> Result<Mapping, LambdaError> {
    let event_source_arn = requested["EventSourceArn"].as_str().unwrap_or_default();
    let stream = Stream::of(event_source_arn)?;
    let mut mapping = Mapping {
        uuid: String::new(),
        account: String::new(),
        region: String::new(),
        event_source_arn: event_source_arn.to_owned(),
        function_arn: String::new(),
        enabled: true,
        enabled_at: None,
        modified_at: 0.0,
        starting_position: String::new(),
        starting_position_timestamp: None,
        batch_size: 100,
        window: 0,
        parallelization_factor: 1,
        bisect: false,
        maximum_retries: -1,
        maximum_age: -1,
        response_types: Vec::new(),
        filters: Vec::new(),
        on_failure: None,
        kms_key_arn: None,
        tags: tags(&requested["Tags"])?,
    };
    let position = requested["StartingPosition"].as_str();
    mapping.starting_position = match (position, stream) {
        (Some(position @ ("TRIM_HORIZON" | "LATEST")), _) => position.to_owned(),
        (Some(position @ "AT_TIMESTAMP"), Stream::Kinesis) => position.to_owned(),
        (given, _) => {
            let given = given.unwrap_or("nothing");
            return Err(LambdaError::invalid_parameter(format!(
                "StartingPosition is {given}; a stream needs TRIM_HORIZON or LATEST, and Kinesis knows AT_TIMESTAMP"
            )));
        }
    };
    if mapping.starting_position == "AT_TIMESTAMP" {
        let time = requested["StartingPositionTimestamp"].as_f64();
        mapping.starting_position_timestamp = Some(time.ok_or_else(|| {
            LambdaError::invalid_parameter(
                "StartingPositionTimestamp is required for AT_TIMESTAMP, in seconds since 1970",
            )
        })?);
    }
    update(&mut mapping, requested)?;
    Ok(mapping)
}

/// Changes a mapping; settings that the request does not name stay.
pub(super) fn update(mapping: &mut Mapping, requested: &Value) -> Result<(), LambdaError> {
    if let Some(name) = UNSUPPORTED.into_iter().find(|name| is_set(&requested[*name])) {
        return Err(LambdaError::invalid_parameter(format!(
            "{name} is not a setting of streams, and the local environment supports only streams"
        )));
    }
    if is_set(&requested["MetricsConfig"]) {
        return Err(LambdaError::invalid_parameter("MetricsConfig: the local environment has no metrics"));
    }
    number(requested, "TumblingWindowInSeconds", 0, 0)?;
    if let Some(size) = number(requested, "BatchSize", 1, 10_000)? {
        mapping.batch_size = usize::try_from(size).unwrap_or(1);
    }
    if let Some(window) = number(requested, "MaximumBatchingWindowInSeconds", 0, 300)? {
        mapping.window = window.unsigned_abs();
    }
    if let Some(factor) = number(requested, "ParallelizationFactor", 1, 10)? {
        mapping.parallelization_factor = factor.unsigned_abs();
    }
    if let Some(retries) = number(requested, "MaximumRetryAttempts", -1, 10_000)? {
        mapping.maximum_retries = retries;
    }
    if let Some(age) = number(requested, "MaximumRecordAgeInSeconds", -1, 604_800)? {
        if (0..60).contains(&age) {
            let message = format!("MaximumRecordAgeInSeconds is {age}; allowed are -1 and 60 to 604800");
            return Err(LambdaError::invalid_parameter(message));
        }
        mapping.maximum_age = age;
    }
    if let Some(bisect) = requested["BisectBatchOnFunctionError"].as_bool() {
        mapping.bisect = bisect;
    }
    if let Some(enabled) = requested["Enabled"].as_bool() {
        mapping.enabled = enabled;
    }
    if let Some(types) = requested["FunctionResponseTypes"].as_array() {
        if let Some(other) = types.iter().find(|kind| *kind != "ReportBatchItemFailures") {
            let message =
                format!("FunctionResponseTypes contains {other}; allowed is ReportBatchItemFailures");
            return Err(LambdaError::invalid_parameter(message));
        }
        mapping.response_types = types.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect();
    }
    if !requested["FilterCriteria"].is_null() {
        mapping.filters = filters(&requested["FilterCriteria"])?;
    }
    if !requested["DestinationConfig"].is_null() {
        mapping.on_failure = destination(&requested["DestinationConfig"])?;
    }
    if let Some(key) = requested["KMSKeyArn"].as_str() {
        mapping.kms_key_arn = Some(key.to_owned()).filter(|key| !key.is_empty());
    }
    Ok(())
}

/// Reads tags, whose names and values are texts.
pub(super) fn tags(requested: &Value) -> Result<BTreeMap<String, String>, LambdaError> {
    let tags = requested.as_object().into_iter().flatten();
    tags.map(|(name, value)| match value.as_str() {
        Some(value) => Ok((name.clone(), value.to_owned())),
        None => Err(LambdaError::invalid_parameter(format!("the tag `{name}` is {value}, not a text"))),
    })
    .collect()
}

fn filters(requested: &Value) -> Result<Vec<String>, LambdaError> {
    let mut patterns = Vec::new();
    for filter in requested["Filters"].as_array().into_iter().flatten() {
        let pattern = filter["Pattern"].as_str().unwrap_or_default();
        Pattern::parse(pattern).map_err(|reason| {
            LambdaError::invalid_parameter(format!("Invalid filter pattern definition `{pattern}`: {reason}"))
        })?;
        patterns.push(pattern.to_owned());
    }
    if patterns.len() > 5 {
        return Err(LambdaError::invalid_parameter("FilterCriteria has more than 5 filters"));
    }
    Ok(patterns)
}

fn destination(requested: &Value) -> Result<Option<String>, LambdaError> {
    let Some(arn) = requested["OnFailure"]["Destination"].as_str().filter(|arn| !arn.is_empty()) else {
        return Ok(None);
    };
    match arn.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", _, "sqs" | "sns", _, _, name] if !name.ends_with(".fifo") => Ok(Some(arn.to_owned())),
        _ => Err(LambdaError::invalid_parameter(format!(
            "The destination `{arn}` is not supported by the local environment, only standard SQS queues and SNS topics"
        ))),
    }
}

fn number(requested: &Value, name: &str, minimum: i64, maximum: i64) -> Result<Option<i64>, LambdaError> {
    match &requested[name] {
        Value::Null => Ok(None),
        value => match value.as_i64().filter(|number| (minimum..=maximum).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let message = format!("{name} is {value}; allowed here are {minimum} to {maximum}");
                Err(LambdaError::invalid_parameter(message))
            }
        },
    }
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const STREAM: &str = "arn:aws:kinesis:eu-central-1:111111111111:stream/events";

    fn request(more: Value) -> Value {
        let mut request = json!({ "EventSourceArn": STREAM, "StartingPosition": "LATEST" });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    }

    #[test]
    fn unset_values_are_lambdas_defaults_and_stay_on_update() {
        let mut mapping = create(&request(json!({}))).unwrap();
        assert_eq!((mapping.batch_size, mapping.maximum_retries, mapping.maximum_age), (100, -1, -1));
        assert!(mapping.enabled && !mapping.bisect);
        update(&mut mapping, &json!({ "BatchSize": 7, "Enabled": false })).unwrap();
        update(&mut mapping, &json!({ "MaximumRetryAttempts": 2 })).unwrap();
        assert_eq!((mapping.batch_size, mapping.maximum_retries, mapping.enabled), (7, 2, false));
        let queue = "arn:aws:sqs:eu-central-1:111111111111:dead";
        let with = json!({ "DestinationConfig": { "OnFailure": { "Destination": queue } },
            "FilterCriteria": { "Filters": [{ "Pattern": "{\"data\":{\"a\":[1]}}" }] } });
        update(&mut mapping, &with).unwrap();
        assert_eq!((mapping.on_failure.as_deref(), mapping.filters.len()), (Some(queue), 1));
        update(&mut mapping, &json!({ "DestinationConfig": { "OnFailure": {} }, "FilterCriteria": {} }))
            .unwrap();
        assert_eq!((mapping.on_failure, mapping.filters.len()), (None, 0));
    }

    #[test]
    fn invalid_value_is_an_error_that_names_it() {
        for (more, named) in [
            (json!({ "BatchSize": 0 }), "BatchSize"),
            (json!({ "BatchSize": 10_001 }), "BatchSize"),
            (json!({ "StartingPosition": "FIRST" }), "StartingPosition"),
            (json!({ "StartingPosition": "AT_TIMESTAMP" }), "StartingPositionTimestamp"),
            (json!({ "MaximumRecordAgeInSeconds": 59 }), "MaximumRecordAgeInSeconds"),
            (json!({ "TumblingWindowInSeconds": 30 }), "TumblingWindowInSeconds"),
            (json!({ "FunctionResponseTypes": ["All"] }), "FunctionResponseTypes"),
            (json!({ "Topics": ["a"] }), "Topics"),
            (json!({ "EventSourceArn": "arn:aws:sqs:eu-central-1:111111111111:queue" }), "arn:aws:sqs"),
            (json!({ "FilterCriteria": { "Filters": [{ "Pattern": "{" }] } }), "filter pattern"),
            (
                json!({ "DestinationConfig": { "OnFailure": { "Destination": "arn:aws:s3:::b" } } }),
                "arn:aws:s3:::b",
            ),
        ] {
            let message = create(&request(more)).unwrap_err().message();
            assert!(message.contains(named), "{message}");
        }
    }
}

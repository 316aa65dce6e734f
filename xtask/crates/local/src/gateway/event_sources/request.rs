//! What is asked of a mapping, checked as Lambda checks it.
//!
//! In: the JSON of CreateEventSourceMapping or UpdateEventSourceMapping, and the mapping as it is. Out: the mapping as it
//! is to be. What can go wrong: a value is not one of those allowed, or asks for what the local environment cannot do;
//! the refusal names it.

use super::filter::Pattern;
use super::mapping::Mapping;
use super::stream::Stream;
use crate::gateway::refusal::Refusal;
use serde_json::Value;
use std::collections::BTreeMap;

/// What only other sources than streams have, and streams of tumbling windows.
const UNABLE: [&str; 9] = [
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

/// Makes a mapping of what is asked; whose it is and what it feeds is the caller's to fill in.
pub(super) fn create(asked: &Value) -> Result<Mapping, Refusal> {
    let event_source_arn = asked["EventSourceArn"].as_str().unwrap_or_default();
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
        tags: tags(&asked["Tags"])?,
    };
    let position = asked["StartingPosition"].as_str();
    mapping.starting_position = match (position, stream) {
        (Some(position @ ("TRIM_HORIZON" | "LATEST")), _) => position.to_owned(),
        (Some(position @ "AT_TIMESTAMP"), Stream::Kinesis) => position.to_owned(),
        (given, _) => {
            let given = given.unwrap_or("nothing");
            return Err(Refusal::parameter(format!(
                "StartingPosition is {given}; a stream needs TRIM_HORIZON or LATEST, and Kinesis knows AT_TIMESTAMP"
            )));
        }
    };
    if mapping.starting_position == "AT_TIMESTAMP" {
        let time = asked["StartingPositionTimestamp"].as_f64();
        mapping.starting_position_timestamp = Some(time.ok_or_else(|| {
            Refusal::parameter(
                "StartingPositionTimestamp is required for AT_TIMESTAMP, in seconds since 1970",
            )
        })?);
    }
    update(&mut mapping, asked)?;
    Ok(mapping)
}

/// Changes a mapping as is asked; what is not named stays.
pub(super) fn update(mapping: &mut Mapping, asked: &Value) -> Result<(), Refusal> {
    if let Some(name) = UNABLE.into_iter().find(|name| given(&asked[*name]).is_some()) {
        return Err(Refusal::parameter(format!(
            "{name} is not for streams, and the local environment reads streams"
        )));
    }
    if given(&asked["MetricsConfig"]).is_some() {
        return Err(Refusal::parameter("MetricsConfig: the local environment counts nothing"));
    }
    number(asked, "TumblingWindowInSeconds", 0, 0)?;
    if let Some(size) = number(asked, "BatchSize", 1, 10_000)? {
        mapping.batch_size = usize::try_from(size).unwrap_or(1);
    }
    if let Some(window) = number(asked, "MaximumBatchingWindowInSeconds", 0, 300)? {
        mapping.window = window.unsigned_abs();
    }
    if let Some(factor) = number(asked, "ParallelizationFactor", 1, 10)? {
        mapping.parallelization_factor = factor.unsigned_abs();
    }
    if let Some(retries) = number(asked, "MaximumRetryAttempts", -1, 10_000)? {
        mapping.maximum_retries = retries;
    }
    if let Some(age) = number(asked, "MaximumRecordAgeInSeconds", -1, 604_800)? {
        if (0..60).contains(&age) {
            let message = format!("MaximumRecordAgeInSeconds is {age}; allowed are -1 and 60 to 604800");
            return Err(Refusal::parameter(message));
        }
        mapping.maximum_age = age;
    }
    if let Some(bisect) = asked["BisectBatchOnFunctionError"].as_bool() {
        mapping.bisect = bisect;
    }
    if let Some(enabled) = asked["Enabled"].as_bool() {
        mapping.enabled = enabled;
    }
    if let Some(types) = asked["FunctionResponseTypes"].as_array() {
        if let Some(other) = types.iter().find(|kind| *kind != "ReportBatchItemFailures") {
            let message = format!("FunctionResponseTypes holds {other}; allowed is ReportBatchItemFailures");
            return Err(Refusal::parameter(message));
        }
        mapping.response_types = types.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect();
    }
    if !asked["FilterCriteria"].is_null() {
        mapping.filters = filters(&asked["FilterCriteria"])?;
    }
    if !asked["DestinationConfig"].is_null() {
        mapping.on_failure = destination(&asked["DestinationConfig"])?;
    }
    if let Some(key) = asked["KMSKeyArn"].as_str() {
        mapping.kms_key_arn = Some(key.to_owned()).filter(|key| !key.is_empty());
    }
    Ok(())
}

/// Reads tags: names and values are texts.
pub(super) fn tags(asked: &Value) -> Result<BTreeMap<String, String>, Refusal> {
    let tags = asked.as_object().into_iter().flatten();
    tags.map(|(name, value)| match value.as_str() {
        Some(value) => Ok((name.clone(), value.to_owned())),
        None => Err(Refusal::parameter(format!("the tag `{name}` is {value}, not a text"))),
    })
    .collect()
}

fn filters(asked: &Value) -> Result<Vec<String>, Refusal> {
    let mut patterns = Vec::new();
    for filter in asked["Filters"].as_array().into_iter().flatten() {
        let pattern = filter["Pattern"].as_str().unwrap_or_default();
        Pattern::read(pattern).map_err(|why| {
            Refusal::parameter(format!("Invalid filter pattern definition `{pattern}`: {why}"))
        })?;
        patterns.push(pattern.to_owned());
    }
    if patterns.len() > 5 {
        return Err(Refusal::parameter("FilterCriteria holds more than 5 filters"));
    }
    Ok(patterns)
}

fn destination(asked: &Value) -> Result<Option<String>, Refusal> {
    let Some(arn) = asked["OnFailure"]["Destination"].as_str().filter(|arn| !arn.is_empty()) else {
        return Ok(None);
    };
    match arn.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", _, "sqs" | "sns", _, _, name] if !name.ends_with(".fifo") => Ok(Some(arn.to_owned())),
        _ => Err(Refusal::parameter(format!(
            "The destination `{arn}` is not one that the local environment can send to: a standard queue of SQS or topic \
             of SNS"
        ))),
    }
}

fn number(asked: &Value, name: &str, least: i64, most: i64) -> Result<Option<i64>, Refusal> {
    match &asked[name] {
        Value::Null => Ok(None),
        value => match value.as_i64().filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let message = format!("{name} is {value}; allowed here are {least} to {most}");
                Err(Refusal::new(
                    axum::http::StatusCode::BAD_REQUEST,
                    "InvalidParameterValueException",
                    message,
                ))
            }
        },
    }
}

fn given(value: &Value) -> Option<&Value> {
    let empty = match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    (!empty).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const STREAM: &str = "arn:aws:kinesis:eu-central-1:111111111111:stream/events";

    fn asked(more: Value) -> Value {
        let mut asked = json!({ "EventSourceArn": STREAM, "StartingPosition": "LATEST" });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked
    }

    #[test]
    fn what_is_not_named_is_lambdas_default_and_stays() {
        let mut mapping = create(&asked(json!({}))).unwrap();
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
    fn what_is_wrong_is_named() {
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
            let message = create(&asked(more)).unwrap_err().message();
            assert!(message.contains(named), "{message}");
        }
    }
}

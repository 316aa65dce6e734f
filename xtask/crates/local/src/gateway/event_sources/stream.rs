//! The emulator's streams: their shards and records, in the form that functions get.
//!
//! In: the ARN of a Kinesis stream or of a DynamoDB table's stream. Out: shards, shard iterators, records. Errors: the stream
//! does not exist, an iterator has expired, or the emulator does not respond.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html> for the form of a record.

use super::mapping::Mapping;
use crate::emulator::{Caller, EmulatorError};
use crate::gateway::accounts::Accounts;
use crate::gateway::lambda_error::LambdaError;
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// A service that has streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Kinesis,
    DynamoDb,
}

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) sequence_number: String,
    /// In seconds since 1970.
    pub(super) arrived_at: f64,
    /// As functions get it, except for `invokeIdentityArn`.
    pub(super) event: Value,
    /// What filters compare: the event's content with decoded `data`.
    pub(super) content: Value,
    /// Approximate, in bytes.
    pub(super) size: usize,
}

/// Records, and the iterator after them.
pub(super) struct Page {
    pub(super) records: Vec<Record>,
    /// `None` if the shard was closed and read to its end.
    pub(super) next: Option<String>,
}

impl Stream {
    /// Returns the service of a stream.
    pub(super) fn of(arn: &str) -> Result<Self, LambdaError> {
        match arn.split(':').collect::<Vec<_>>().as_slice() {
            ["arn", _, "kinesis", _, _, name]
                if name.starts_with("stream/") && !name.contains("/consumer/") =>
            {
                Ok(Self::Kinesis)
            }
            ["arn", _, "dynamodb", _, _, name, ..] if name.contains("/stream/") => Ok(Self::DynamoDb),
            _ => Err(LambdaError::invalid_parameter(format!(
                "The event source `{arn}` is not supported by the local environment, only Kinesis streams and the \
                 streams of DynamoDB tables"
            ))),
        }
    }

    /// Fails if a stream does not exist.
    pub(super) async fn check_exists(accounts: &Accounts, arn: &str) -> Result<(), LambdaError> {
        let stream = Self::of(arn)?;
        let caller = caller(accounts, arn).await?;
        let (service, target, input) = match stream {
            Self::Kinesis => {
                let target = "Kinesis_20131202.DescribeStreamSummary";
                ("kinesis", target, json!({ "StreamName": name(arn) }))
            }
            Self::DynamoDb => {
                ("dynamodb", "DynamoDBStreams_20120810.DescribeStream", json!({ "StreamArn": arn }))
            }
        };
        match caller.call_json(service, target, &input).await {
            Ok(_) => Ok(()),
            // For a table whose stream is disabled, moto's DynamoDB responds with an internal error.
            Err(EmulatorError::ErrorResponse { status, .. })
                if status == StatusCode::BAD_REQUEST || stream == Self::DynamoDb =>
            {
                Err(LambdaError::invalid_parameter(format!("Stream not found: {arn}")))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the ids of all shards.
    pub(super) async fn shards(self, caller: &Caller, arn: &str) -> Result<Vec<String>, EmulatorError> {
        let description = match self {
            Self::Kinesis => {
                let input = json!({ "StreamName": name(arn) });
                caller.call_json("kinesis", "Kinesis_20131202.ListShards", &input).await?
            }
            Self::DynamoDb => {
                let target = "DynamoDBStreams_20120810.DescribeStream";
                let response = caller.call_json("dynamodb", target, &json!({ "StreamArn": arn })).await?;
                response["StreamDescription"].clone()
            }
        };
        let shards = description["Shards"].as_array().into_iter().flatten();
        Ok(shards.filter_map(|shard| shard["ShardId"].as_str().map(str::to_owned)).collect())
    }

    /// Returns a shard iterator after the sequence number `processed`, or at the mapping's starting position.
    pub(super) async fn iterator(
        self,
        caller: &Caller,
        mapping: &Mapping,
        shard: &str,
        processed: Option<&str>,
    ) -> Result<String, EmulatorError> {
        let arn = &mapping.event_source_arn;
        let mut input = json!({ "ShardId": shard });
        let (service, target, sequence) = match self {
            Self::Kinesis => {
                input["StreamName"] = json!(name(arn));
                ("kinesis", "Kinesis_20131202.GetShardIterator", "StartingSequenceNumber")
            }
            Self::DynamoDb => {
                input["StreamArn"] = json!(arn);
                ("dynamodb", "DynamoDBStreams_20120810.GetShardIterator", "SequenceNumber")
            }
        };
        match (processed, mapping.starting_position.as_str(), self) {
            (Some(processed), _, _) => {
                input["ShardIteratorType"] = json!("AFTER_SEQUENCE_NUMBER");
                input[sequence] = json!(processed);
            }
            // With a timestamp, so that records that arrive before the first read are not missed.
            (None, "LATEST", Self::Kinesis) => {
                input["ShardIteratorType"] = json!("AT_TIMESTAMP");
                input["Timestamp"] = json!(mapping.enabled_at);
            }
            (None, "AT_TIMESTAMP", _) => {
                input["ShardIteratorType"] = json!("AT_TIMESTAMP");
                input["Timestamp"] = json!(mapping.starting_position_timestamp);
            }
            (None, position, _) => input["ShardIteratorType"] = json!(position),
        }
        let response = caller.call_json(service, target, &input).await?;
        let iterator = response["ShardIterator"].as_str().map(str::to_owned);
        iterator.ok_or(EmulatorError::Incomplete { action: target, missing: "ShardIterator" })
    }

    /// Reads at most `limit` records at a shard iterator.
    pub(super) async fn read(
        self,
        caller: &Caller,
        mapping: &Mapping,
        shard: &str,
        iterator: &str,
        limit: usize,
    ) -> Result<Page, EmulatorError> {
        let input = json!({ "ShardIterator": iterator, "Limit": limit.clamp(1, 1000) });
        let (service, target) = match self {
            Self::Kinesis => ("kinesis", "Kinesis_20131202.GetRecords"),
            Self::DynamoDb => ("dynamodb", "DynamoDBStreams_20120810.GetRecords"),
        };
        let response = caller.call_json(service, target, &input).await?;
        let records = response["Records"].as_array().into_iter().flatten();
        let records = records.map(|record| match self {
            Self::Kinesis => kinesis_record(record, mapping, shard),
            Self::DynamoDb => dynamodb_record(record, mapping),
        });
        let next = response["NextShardIterator"].as_str().map(str::to_owned);
        Ok(Page { records: records.collect(), next })
    }

    /// Returns the name of the batch in a message about discarded records.
    pub(super) fn batch_info(self) -> &'static str {
        match self {
            Self::Kinesis => "KinesisBatchInfo",
            Self::DynamoDb => "DDBStreamBatchInfo",
        }
    }
}

/// Returns a client for the account and region of an ARN.
pub(super) async fn caller(accounts: &Accounts, arn: &str) -> Result<Caller, EmulatorError> {
    let mut parts = arn.split(':').skip(3);
    let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    accounts.own_caller(account, region).await
}

fn kinesis_record(record: &Value, mapping: &Mapping, shard: &str) -> Record {
    let sequence_number = record["SequenceNumber"].as_str().unwrap_or_default().to_owned();
    let encoded = record["Data"].as_str().unwrap_or_default();
    let arrived_at = record["ApproximateArrivalTimestamp"].as_f64().unwrap_or_default();
    let inner = json!({
        "kinesisSchemaVersion": "1.0",
        "partitionKey": record["PartitionKey"],
        "sequenceNumber": sequence_number,
        "data": encoded,
        "approximateArrivalTimestamp": arrived_at,
    });
    let mut content = inner.clone();
    let data = BASE64_STANDARD.decode(encoded).unwrap_or_default();
    content["data"] = match serde_json::from_slice(&data) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
        _ => String::from_utf8(data).map_or(Value::Null, Value::String),
    };
    let event = json!({
        "kinesis": inner,
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": format!("{shard}:{sequence_number}"),
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": null,
        "awsRegion": region(&mapping.event_source_arn),
        "eventSourceARN": mapping.event_source_arn,
    });
    Record { sequence_number, arrived_at, size: encoded.len() + 700, event, content }
}

fn dynamodb_record(record: &Value, mapping: &Mapping) -> Record {
    let mut event = record.clone();
    event["eventSourceARN"] = json!(mapping.event_source_arn);
    let inner = &record["dynamodb"];
    Record {
        sequence_number: inner["SequenceNumber"].as_str().unwrap_or_default().to_owned(),
        arrived_at: inner["ApproximateCreationDateTime"].as_f64().unwrap_or_default(),
        size: record.to_string().len() + 200,
        content: record.clone(),
        event,
    }
}

fn name(arn: &str) -> &str {
    arn.split_once(":stream/").map_or(arn, |(_, name)| name)
}

fn region(arn: &str) -> &str {
    arn.split(':').nth(3).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_is_recognized_by_its_arn() {
        let of = |arn: &str| Stream::of(arn).ok();
        assert_eq!(of("arn:aws:kinesis:eu-central-1:111111111111:stream/a"), Some(Stream::Kinesis));
        assert_eq!(
            of("arn:aws:dynamodb:eu-central-1:111111111111:table/t/stream/2026-01-01T00:00:00.000"),
            Some(Stream::DynamoDb)
        );
        for other in
            ["", "arn:aws:sqs:eu-central-1:111111111111:q", "arn:aws:kinesis:x:1:stream/a/consumer/b:1"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }
}

//! The emulator's streams: whether there is one, its shards, and their records in the form that functions get.
//!
//! In: a stream's ARN, of Kinesis or of a DynamoDB table. Out: shards, places in them, records. What can go wrong: the
//! stream is not there, a place is too old to go on from, or the emulator does not answer.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html> for the form of a record.

use super::mapping::Mapping;
use crate::emulator::{Caller, EmulatorError};
use crate::gateway::Gateway;
use crate::gateway::refusal::Refusal;
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

/// One record, on its way to a function.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) sequence_number: String,
    /// In seconds since 1970.
    pub(super) arrived_at: f64,
    /// As functions get it, but for who invokes.
    pub(super) event: Value,
    /// What filters look at; `data` is decoded.
    pub(super) content: Value,
    /// In bytes, about.
    pub(super) size: usize,
}

/// Records, and where to go on.
pub(super) struct Page {
    pub(super) records: Vec<Record>,
    /// Nothing where the shard was closed and is read to its end.
    pub(super) next: Option<String>,
}

impl Stream {
    /// Tells the service from a stream's ARN.
    pub(super) fn of(arn: &str) -> Result<Self, Refusal> {
        match arn.split(':').collect::<Vec<_>>().as_slice() {
            ["arn", _, "kinesis", _, _, name]
                if name.starts_with("stream/") && !name.contains("/consumer/") =>
            {
                Ok(Self::Kinesis)
            }
            ["arn", _, "dynamodb", _, _, name, ..] if name.contains("/stream/") => Ok(Self::DynamoDb),
            _ => Err(Refusal::parameter(format!(
                "The event source `{arn}` is not one that the local environment reads: a stream of Kinesis or of a \
                 DynamoDB table"
            ))),
        }
    }

    /// Refuses a stream that is not there.
    pub(super) async fn exists(gateway: &Gateway, arn: &str) -> Result<(), Refusal> {
        let stream = Self::of(arn)?;
        let caller = caller(gateway, arn).await?;
        let asked = match stream {
            Self::Kinesis => {
                caller
                    .json(
                        "kinesis",
                        "Kinesis_20131202.DescribeStreamSummary",
                        &json!({ "StreamName": name(arn) }),
                    )
                    .await
            }
            Self::DynamoDb => {
                caller
                    .json("dynamodb", "DynamoDBStreams_20120810.DescribeStream", &json!({ "StreamArn": arn }))
                    .await
            }
        };
        match asked {
            Ok(_) => Ok(()),
            // moto's DynamoDB fails on a table whose stream is switched off.
            Err(EmulatorError::Refused { status: StatusCode::BAD_REQUEST, .. }) => {
                Err(Refusal::parameter(format!("Stream not found: {arn}")))
            }
            Err(EmulatorError::Refused { .. }) if stream == Self::DynamoDb => {
                Err(Refusal::parameter(format!("Stream not found: {arn}")))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lists the ids of all shards.
    pub(super) async fn shards(self, caller: &Caller, arn: &str) -> Result<Vec<String>, EmulatorError> {
        let told = match self {
            Self::Kinesis => {
                caller
                    .json("kinesis", "Kinesis_20131202.ListShards", &json!({ "StreamName": name(arn) }))
                    .await?
            }
            Self::DynamoDb => {
                let target = "DynamoDBStreams_20120810.DescribeStream";
                let told = caller.json("dynamodb", target, &json!({ "StreamArn": arn })).await?;
                told["StreamDescription"].clone()
            }
        };
        let shards = told["Shards"].as_array().into_iter().flatten();
        Ok(shards.filter_map(|shard| shard["ShardId"].as_str().map(str::to_owned)).collect())
    }

    /// Finds the place to read on from: after what is done, or where the mapping begins.
    pub(super) async fn place(
        self,
        caller: &Caller,
        mapping: &Mapping,
        shard: &str,
        done: Option<&str>,
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
        match (done, mapping.starting_position.as_str(), self) {
            (Some(done), _, _) => {
                input["ShardIteratorType"] = json!("AFTER_SEQUENCE_NUMBER");
                input[sequence] = json!(done);
            }
            // By the time, so that what comes between this moment and the first reading is not missed.
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
        let told = caller.json(service, target, &input).await?;
        let place = told["ShardIterator"].as_str().map(str::to_owned);
        place.ok_or(EmulatorError::Incomplete { action: target, missing: "ShardIterator" })
    }

    /// Reads records at a place.
    pub(super) async fn read(
        self,
        caller: &Caller,
        mapping: &Mapping,
        shard: &str,
        place: &str,
        most: usize,
    ) -> Result<Page, EmulatorError> {
        let input = json!({ "ShardIterator": place, "Limit": most.clamp(1, 1000) });
        let told = match self {
            Self::Kinesis => caller.json("kinesis", "Kinesis_20131202.GetRecords", &input).await?,
            Self::DynamoDb => caller.json("dynamodb", "DynamoDBStreams_20120810.GetRecords", &input).await?,
        };
        let records = told["Records"].as_array().into_iter().flatten();
        let records = records.map(|record| match self {
            Self::Kinesis => kinesis(record, mapping, shard),
            Self::DynamoDb => dynamodb(record, mapping),
        });
        Ok(Page { records: records.collect(), next: told["NextShardIterator"].as_str().map(str::to_owned) })
    }

    /// What a failed batch is called in the message about it.
    pub(super) fn batch_info(self) -> &'static str {
        match self {
            Self::Kinesis => "KinesisBatchInfo",
            Self::DynamoDb => "DDBStreamBatchInfo",
        }
    }
}

/// Gives the caller that may read a stream.
pub(super) async fn caller(gateway: &Gateway, arn: &str) -> Result<Caller, EmulatorError> {
    let mut parts = arn.split(':').skip(3);
    let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    gateway.accounts.own(account, region).await
}

fn kinesis(record: &Value, mapping: &Mapping, shard: &str) -> Record {
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

fn dynamodb(record: &Value, mapping: &Mapping) -> Record {
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
    fn only_streams_are_read() {
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

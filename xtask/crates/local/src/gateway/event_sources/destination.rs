//! Where batches go that are given up: a queue or a topic, which gets a message about them.
//!
//! In: the records, why they are given up, and the last answer of the function. Out: the message is with the emulator's SQS
//! or SNS. What can go wrong: the destination is not there, or the emulator does not answer.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>.

use super::mapping::Mapping;
use super::stream::{self, Record, Stream};
use crate::emulator::EmulatorError;
use crate::gateway::Gateway;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Why records are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
}

/// The last call with the records.
#[derive(Debug, Clone, Default)]
pub(super) struct LastCall {
    pub(super) request_id: String,
    pub(super) executed_version: String,
    /// Whether the function failed, and did not only name records that it failed on.
    pub(super) failed: bool,
    pub(super) calls: u64,
}

/// Sends the message about records that are given up; does nothing where the mapping names no destination.
pub(super) async fn send(
    gateway: &Gateway,
    mapping: &Mapping,
    stream: Stream,
    shard: &str,
    records: &[Record],
    condition: Condition,
    call: &LastCall,
) -> Result<(), EmulatorError> {
    let Some(arn) = &mapping.on_failure else {
        return Ok(());
    };
    let message = message(mapping, stream, shard, records, condition, call).to_string();
    let caller = stream::caller(gateway, arn).await?;
    if arn.split(':').nth(2) == Some("sns") {
        return caller.publish(arn, &message).await;
    }
    let name = arn.rsplit(':').next().unwrap_or_default();
    let told = caller.json("sqs", "AmazonSQS.GetQueueUrl", &json!({ "QueueName": name })).await?;
    let url = &told["QueueUrl"];
    let input = json!({ "QueueUrl": url, "MessageBody": message });
    caller.json("sqs", "AmazonSQS.SendMessage", &input).await.map(drop)
}

fn message(
    mapping: &Mapping,
    stream: Stream,
    shard: &str,
    records: &[Record],
    condition: Condition,
    call: &LastCall,
) -> Value {
    let time = |record: Option<&Record>| {
        let at = record.map_or(0.0, |record| record.arrived_at);
        text(Timestamp::from_millisecond((at * 1000.0) as i64).unwrap_or_default())
    };
    let number = |record: Option<&Record>| record.map(|record| record.sequence_number.clone());
    let mut message = json!({
        "requestContext": {
            "requestId": call.request_id,
            "functionArn": mapping.function_arn,
            "condition": format!("{condition:?}"),
            "approximateInvokeCount": call.calls,
        },
        "version": "1.0",
        "timestamp": text(Timestamp::now()),
    });
    if call.calls > 0 {
        message["responseContext"] =
            json!({ "statusCode": 200, "executedVersion": call.executed_version, "functionError": null });
        if call.failed {
            message["responseContext"]["functionError"] = json!("Unhandled");
        }
    }
    message[stream.batch_info()] = json!({
        "shardId": shard,
        "startSequenceNumber": number(records.first()),
        "endSequenceNumber": number(records.last()),
        "approximateArrivalOfFirstRecord": time(records.first()),
        "approximateArrivalOfLastRecord": time(records.last()),
        "batchSize": records.len(),
        "streamArn": mapping.event_source_arn,
    });
    message
}

fn text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

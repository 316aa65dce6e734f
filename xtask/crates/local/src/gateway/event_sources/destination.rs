//! Sends a message about discarded records to a mapping's on-failure destination: an SQS queue or an SNS topic.
//!
//! In: the records, why they are discarded, and the last call of the function. Out: the message, in the emulator. Errors:
//! the destination does not exist, or the emulator does not respond.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>.

use super::mapping::Mapping;
use super::stream::{self, Record, Stream};
use crate::emulator::EmulatorError;
use crate::gateway::accounts::Accounts;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Why records are discarded, with Lambda's names for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiscardReason {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
}

/// The last call with the records.
#[derive(Debug, Clone, Default)]
pub(super) struct LastCall {
    pub(super) request_id: String,
    pub(super) executed_version: String,
    /// Whether the function returned an error; `false` if it only named failed records.
    pub(super) failed: bool,
    /// How often the function was called with the records.
    pub(super) calls: u64,
}

/// Sends the message about discarded records; does nothing if the mapping has no destination.
pub(super) async fn send(
    accounts: &Accounts,
    mapping: &Mapping,
    stream: Stream,
    shard: &str,
    records: &[Record],
    reason: DiscardReason,
    call: &LastCall,
) -> Result<(), EmulatorError> {
    let Some(arn) = &mapping.on_failure else {
        return Ok(());
    };
    let message = message(mapping, stream, shard, records, reason, call).to_string();
    let caller = stream::caller(accounts, arn).await?;
    if arn.split(':').nth(2) == Some("sns") {
        return caller.publish(arn, &message).await;
    }
    let name = arn.rsplit(':').next().unwrap_or_default();
    let queue = caller.call_json("sqs", "AmazonSQS.GetQueueUrl", &json!({ "QueueName": name })).await?;
    let input = json!({ "QueueUrl": queue["QueueUrl"], "MessageBody": message });
    caller.call_json("sqs", "AmazonSQS.SendMessage", &input).await.map(drop)
}

fn message(
    mapping: &Mapping,
    stream: Stream,
    shard: &str,
    records: &[Record],
    reason: DiscardReason,
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
            "condition": format!("{reason:?}"),
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

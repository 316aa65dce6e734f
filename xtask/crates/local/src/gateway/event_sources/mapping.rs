//! An event source mapping, as it is stored and as Lambda describes it.
//!
//! See <https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html>.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slipway_values::partition::Partition;
use std::collections::BTreeMap;

/// The stream, the function that its records invoke, and the settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Mapping {
    pub(super) uuid: String,
    pub(super) account: String,
    pub(super) region: String,
    pub(super) event_source_arn: String,
    /// With the qualifier of the request.
    pub(super) function_arn: String,
    pub(super) enabled: bool,
    /// When it was first enabled, in seconds since 1970; the position of LATEST.
    pub(super) enabled_at: Option<f64>,
    /// In seconds since 1970.
    pub(super) modified_at: f64,
    pub(super) starting_position: String,
    /// In seconds since 1970.
    pub(super) starting_position_timestamp: Option<f64>,
    pub(super) batch_size: usize,
    /// In seconds.
    pub(super) window: u64,
    pub(super) parallelization_factor: u64,
    pub(super) bisect: bool,
    /// -1 for no limit.
    pub(super) maximum_retries: i64,
    /// In seconds; -1 for any age.
    pub(super) maximum_age: i64,
    pub(super) response_types: Vec<String>,
    /// The patterns of the request.
    pub(super) filters: Vec<String>,
    /// The ARN of a queue or topic.
    pub(super) on_failure: Option<String>,
    pub(super) kms_key_arn: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
}

/// `State` of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MappingState {
    Creating,
    Enabling,
    Enabled,
    Disabling,
    Disabled,
    Updating,
    Deleting,
}

impl Mapping {
    /// Returns the ARN of the mapping itself.
    pub(super) fn arn(&self) -> String {
        let Self { account, region, uuid, .. } = self;
        let resource = format!("event-source-mapping:{uuid}");
        Partition::of_region(region).arn("lambda", region, account, &resource)
    }

    /// Returns whether the function may name the records that it failed on.
    pub(super) fn reports_failures(&self) -> bool {
        self.response_types.iter().any(|kind| kind == "ReportBatchItemFailures")
    }

    /// Returns Lambda's description of the mapping.
    pub(super) fn to_json(&self, state: MappingState, last_result: &str) -> Value {
        let on_failure = match &self.on_failure {
            Some(arn) => json!({ "Destination": arn }),
            None => json!({}),
        };
        let mut description = json!({
            "UUID": self.uuid,
            "EventSourceMappingArn": self.arn(),
            "EventSourceArn": self.event_source_arn,
            "FunctionArn": self.function_arn,
            "State": format!("{state:?}"),
            "StateTransitionReason": "User action",
            "LastModified": self.modified_at,
            "LastProcessingResult": last_result,
            "StartingPosition": self.starting_position,
            "BatchSize": self.batch_size,
            "MaximumBatchingWindowInSeconds": self.window,
            "ParallelizationFactor": self.parallelization_factor,
            "BisectBatchOnFunctionError": self.bisect,
            "MaximumRetryAttempts": self.maximum_retries,
            "MaximumRecordAgeInSeconds": self.maximum_age,
            "TumblingWindowInSeconds": 0,
            "FunctionResponseTypes": self.response_types,
            "DestinationConfig": { "OnFailure": on_failure },
        });
        if let Some(time) = self.starting_position_timestamp {
            description["StartingPositionTimestamp"] = json!(time);
        }
        if !self.filters.is_empty() {
            let filters: Vec<Value> =
                self.filters.iter().map(|pattern| json!({ "Pattern": pattern })).collect();
            description["FilterCriteria"] = json!({ "Filters": filters });
        }
        if let Some(key) = &self.kms_key_arn {
            description["KMSKeyArn"] = json!(key);
        }
        description
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapping_of_an_earlier_version_is_read_and_written_unchanged() {
        let stored = json!({
            "uuid": "u",
            "account": "111111111111",
            "region": "eu-central-1",
            "event_source_arn": "arn:aws:kinesis:eu-central-1:111111111111:stream/s",
            "function_arn": "arn:aws:lambda:eu-central-1:111111111111:function:f:live",
            "enabled": true,
            "enabled_at": 1.5,
            "modified_at": 2.5,
            "starting_position": "LATEST",
            "starting_position_timestamp": null,
            "batch_size": 100,
            "window": 0,
            "parallelization_factor": 1,
            "bisect": false,
            "maximum_retries": -1,
            "maximum_age": -1,
            "response_types": ["ReportBatchItemFailures"],
            "filters": ["{}"],
            "on_failure": null,
            "kms_key_arn": null,
            "tags": { "a": "b" },
        });
        let mapping: Mapping = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(mapping).unwrap(), stored);
    }
}

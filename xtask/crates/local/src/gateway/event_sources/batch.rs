//! Interprets a function's response to a batch, and decides the next step.
//!
//! In: the response, and how often the batch was tried. Out: the next step; this module carries nothing out.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html> and
//! <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>.

use serde_json::Value;

/// The result of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchResult {
    Success,
    /// The record with this index failed, and those after it; those before are processed.
    FailedFrom(usize),
}

/// How a mapping handles failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RetryPolicy {
    pub(super) bisect: bool,
    /// -1 for no limit.
    pub(super) maximum_retries: i64,
}

/// The next step with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextStep {
    Done,
    /// The records before `from` are processed, the others are retried.
    Retry {
        from: usize,
        tried: u64,
    },
    /// Each half becomes a batch; that does not count as a try.
    Bisect,
    /// The records before `from` are processed, the others are discarded.
    Discard {
        from: usize,
    },
}

/// Returns the result of a batch whose records have these sequence numbers.
///
/// `failed` says that the response is the function's error, `reports` that the function may name failed records.
pub(super) fn batch_result(
    response: &[u8],
    failed: bool,
    reports: bool,
    sequence_numbers: &[&str],
) -> BatchResult {
    const ALL: BatchResult = BatchResult::FailedFrom(0);
    if failed {
        return ALL;
    }
    if !reports {
        return BatchResult::Success;
    }
    let Ok(response) = serde_json::from_slice::<Value>(response) else {
        return ALL;
    };
    let failures = match (&response, response.get("batchItemFailures")) {
        (Value::Null, _) | (Value::Object(_), None | Some(Value::Null)) => return BatchResult::Success,
        (Value::Object(_), Some(Value::Array(failures))) => failures,
        _ => return ALL,
    };
    let mut lowest = None;
    for failure in failures {
        let number = failure["itemIdentifier"].as_str().unwrap_or_default();
        let Some(index) = sequence_numbers.iter().position(|other| *other == number) else {
            return ALL;
        };
        lowest = Some(lowest.map_or(index, |lowest: usize| lowest.min(index)));
    }
    lowest.map_or(BatchResult::Success, BatchResult::FailedFrom)
}

/// Returns the next step with a batch of `records` records that was tried `tried` times before.
pub(super) fn next_step(result: BatchResult, records: usize, tried: u64, policy: RetryPolicy) -> NextStep {
    let BatchResult::FailedFrom(from) = result else {
        return NextStep::Done;
    };
    // After a partial success the first remaining record has failed once.
    let tried = if from > 0 { 1 } else { tried + 1 };
    let divisible = policy.bisect && records - from > 1;
    if divisible && from == 0 {
        return NextStep::Bisect;
    }
    let exhausted = u64::try_from(policy.maximum_retries).is_ok_and(|most| tried > most);
    match exhausted && !divisible {
        true => NextStep::Discard { from },
        false => NextStep::Retry { from, tried },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_result_is_read_as_lambda_reads_it() {
        let read = |response: &str| batch_result(response.as_bytes(), false, true, &["1", "2", "3"]);
        for success in ["null", "{}", r#"{"batchItemFailures":[]}"#, r#"{"batchItemFailures":null}"#] {
            assert_eq!(read(success), BatchResult::Success, "{success}");
        }
        let some = r#"{"batchItemFailures":[{"itemIdentifier":"3"},{"itemIdentifier":"2"}]}"#;
        assert_eq!(read(some), BatchResult::FailedFrom(1));
        for all in [
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"other":"2"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"9"}]}"#,
            r#"{"batchItemFailures":"2"}"#,
            "[",
            "7",
        ] {
            assert_eq!(read(all), BatchResult::FailedFrom(0), "{all}");
        }
        assert_eq!(batch_result(some.as_bytes(), false, false, &["1"]), BatchResult::Success);
        assert_eq!(batch_result(b"{}", true, true, &["1"]), BatchResult::FailedFrom(0));
    }

    #[test]
    fn next_step_follows_the_retry_policy() {
        let policy = |bisect, maximum_retries| RetryPolicy { bisect, maximum_retries };
        let failed = BatchResult::FailedFrom;
        assert_eq!(next_step(BatchResult::Success, 5, 3, policy(true, 0)), NextStep::Done);
        assert_eq!(next_step(failed(0), 5, 0, policy(false, -1)), NextStep::Retry { from: 0, tried: 1 });
        assert_eq!(next_step(failed(0), 5, 99, policy(false, -1)), NextStep::Retry { from: 0, tried: 100 });
        assert_eq!(next_step(failed(0), 5, 1, policy(false, 2)), NextStep::Retry { from: 0, tried: 2 });
        assert_eq!(next_step(failed(0), 5, 2, policy(false, 2)), NextStep::Discard { from: 0 });
        assert_eq!(next_step(failed(3), 5, 2, policy(false, 2)), NextStep::Retry { from: 3, tried: 1 });
        assert_eq!(next_step(failed(3), 5, 0, policy(false, 0)), NextStep::Discard { from: 3 });
        assert_eq!(next_step(failed(0), 5, 0, policy(true, 0)), NextStep::Bisect);
        assert_eq!(next_step(failed(3), 5, 0, policy(true, 0)), NextStep::Retry { from: 3, tried: 1 });
        assert_eq!(next_step(failed(0), 1, 0, policy(true, 0)), NextStep::Discard { from: 0 });
    }
}

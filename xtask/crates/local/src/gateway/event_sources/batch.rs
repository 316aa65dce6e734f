//! What a function's answer to a batch means, and what is done next.
//!
//! In: the answer, and how often the batch was tried. Out: what is done with its records; this module does nothing itself.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html> and
//! <https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html>.

use serde_json::Value;

/// What a function said of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Success,
    /// It failed from this record on; those before are done.
    FailedFrom(usize),
}

/// How a mapping wants failures handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) bisect: bool,
    /// -1 for as many as it takes.
    pub(super) maximum_retries: i64,
}

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Done,
    /// Those before `from` are done, the others are tried again.
    Again {
        from: usize,
        tried: u64,
    },
    /// Each half is tried for itself; that counts as no try.
    Halves,
    /// Those before `from` are done, the others are given up.
    GiveUp {
        from: usize,
    },
}

/// Reads the answer to a batch whose records have these sequence numbers.
pub(super) fn verdict(answer: &[u8], failed: bool, reports: bool, sequence_numbers: &[&str]) -> Verdict {
    const ALL: Verdict = Verdict::FailedFrom(0);
    if failed {
        return ALL;
    }
    if !reports {
        return Verdict::Success;
    }
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
        return ALL;
    };
    let failures = match (&answer, answer.get("batchItemFailures")) {
        (Value::Null, _) | (Value::Object(_), None | Some(Value::Null)) => return Verdict::Success,
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
    lowest.map_or(Verdict::Success, Verdict::FailedFrom)
}

/// Decides what is done with a batch of so many records that was tried `tried` times before.
pub(super) fn next(verdict: Verdict, records: usize, tried: u64, rules: Rules) -> Next {
    let Verdict::FailedFrom(from) = verdict else {
        return Next::Done;
    };
    // The record that comes first now has failed once; those before it had the tries so far.
    let tried = if from > 0 { 1 } else { tried + 1 };
    let divisible = rules.bisect && records - from > 1;
    if divisible && from == 0 {
        return Next::Halves;
    }
    let last = u64::try_from(rules.maximum_retries).is_ok_and(|most| tried > most);
    match last && !divisible {
        true => Next::GiveUp { from },
        false => Next::Again { from, tried },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_lambda_reads_it() {
        let read = |answer: &str| verdict(answer.as_bytes(), false, true, &["1", "2", "3"]);
        for success in ["null", "{}", r#"{"batchItemFailures":[]}"#, r#"{"batchItemFailures":null}"#] {
            assert_eq!(read(success), Verdict::Success, "{success}");
        }
        let some = r#"{"batchItemFailures":[{"itemIdentifier":"3"},{"itemIdentifier":"2"}]}"#;
        assert_eq!(read(some), Verdict::FailedFrom(1));
        for all in [
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"other":"2"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"9"}]}"#,
            r#"{"batchItemFailures":"2"}"#,
            "[",
            "7",
        ] {
            assert_eq!(read(all), Verdict::FailedFrom(0), "{all}");
        }
        assert_eq!(verdict(some.as_bytes(), false, false, &["1"]), Verdict::Success);
        assert_eq!(verdict(b"{}", true, true, &["1"]), Verdict::FailedFrom(0));
    }

    #[test]
    fn a_batch_is_tried_again_halved_and_given_up() {
        let rules = |bisect, maximum_retries| Rules { bisect, maximum_retries };
        let failed = Verdict::FailedFrom;
        assert_eq!(next(Verdict::Success, 5, 3, rules(true, 0)), Next::Done);
        assert_eq!(next(failed(0), 5, 0, rules(false, -1)), Next::Again { from: 0, tried: 1 });
        assert_eq!(next(failed(0), 5, 99, rules(false, -1)), Next::Again { from: 0, tried: 100 });
        assert_eq!(next(failed(0), 5, 1, rules(false, 2)), Next::Again { from: 0, tried: 2 });
        assert_eq!(next(failed(0), 5, 2, rules(false, 2)), Next::GiveUp { from: 0 });
        assert_eq!(next(failed(3), 5, 2, rules(false, 2)), Next::Again { from: 3, tried: 1 });
        assert_eq!(next(failed(3), 5, 0, rules(false, 0)), Next::GiveUp { from: 3 });
        assert_eq!(next(failed(0), 5, 0, rules(true, 0)), Next::Halves);
        assert_eq!(next(failed(3), 5, 0, rules(true, 0)), Next::Again { from: 3, tried: 1 });
        assert_eq!(next(failed(0), 1, 0, rules(true, 0)), Next::GiveUp { from: 0 });
    }
}

//! Reads ledger entries, for `crate::fuzzing`.

use super::format::{Entry, FORMATS, read};
use super::{DeploymentOutcome, Ended, Started, known_releases, lock_held, serves_text, to_json};

/// Reads the beginning and the end of a deployment, and does with them what `status`, `history` and `recover` do. An entry that
/// is written again is read again, the same.
pub(crate) fn entry(bytes: &[u8]) {
    let started = read::<Started>(FORMATS, bytes, "bucket/key").ok();
    if let Some(started) = &started {
        started.describe();
        serves_text(&started.serves);
        lock_held(&started.stack, &started.environment, started);
        same_when_read_again(started);
        same_when_read_again(&Ended::of(started, None, DeploymentOutcome::Interrupted, started.at));
    }
    let Ok(ended) = read::<Ended>(FORMATS, bytes, "bucket/key") else { return };
    serves_text(&ended.serves);
    ended.unfinished_rollback_text();
    ended.brought_back();
    ended.outcome.text();
    same_when_read_again(&ended);
    if let Some(started) = &started {
        same_when_read_again(&Ended::of(started, Some(&ended), ended.outcome, ended.at));
    }
    known_releases(&[ended]);
}

fn same_when_read_again<T: Entry + PartialEq + serde::Serialize>(entry: &T) {
    let written = to_json(entry).expect("JSON");
    let again = read::<T>(FORMATS, &written, "bucket/key");
    let again = again.unwrap_or_else(|failure| panic!("{failure}: {}", String::from_utf8_lossy(&written)));
    assert!(again == *entry, "{}", String::from_utf8_lossy(&written));
}

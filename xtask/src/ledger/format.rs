//! The formats of ledger entries: readers for each schema.
//!
//! An entry is read by the schema that it names, whatever newer schemas there are. A new schema is another entry in
//! [`FORMATS`]; the entries before it do not change. New entries are written in the newest one.

use serde::de::DeserializeOwned;

use super::chain::StoredDigest;
use super::entry::{Ended, Started};
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, StackName};
use crate::schema::{schema_of, unknown_schema};

/// One format of ledger entries.
#[derive(Clone, Copy)]
pub(super) struct EntryFormat {
    /// The schema's name.
    pub(super) schema: &'static str,
    /// Reads the beginning of a deployment.
    pub(super) read_started: fn(&[u8]) -> serde_json::Result<Started>,
    /// Reads the end of a deployment.
    pub(super) read_ended: fn(&[u8]) -> serde_json::Result<Ended>,
}

/// All formats, oldest first.
pub(super) const FORMATS: &[EntryFormat] =
    &[EntryFormat { schema: "slipway.ledger/1", read_started: read_1, read_ended: read_1 }];

fn read_1<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(bytes)
}

/// One of the two entries of a deployment.
pub(super) trait Entry: Sized {
    /// Returns the reader of this entry in a format.
    fn reader(format: &EntryFormat) -> fn(&[u8]) -> serde_json::Result<Self>;
    /// Returns the deployment that the entry says it is of: its number, stack and environment.
    fn identity(&self) -> (u64, &StackName, &EnvironmentName);
    /// Notes the digest of the bytes that it was read from.
    fn note_stored(&mut self, digest: Digest);
}

impl Entry for Started {
    fn reader(format: &EntryFormat) -> fn(&[u8]) -> serde_json::Result<Self> {
        format.read_started
    }

    fn identity(&self) -> (u64, &StackName, &EnvironmentName) {
        (self.deployment, &self.stack, &self.environment)
    }

    fn note_stored(&mut self, _: Digest) {}
}

impl Entry for Ended {
    fn reader(format: &EntryFormat) -> fn(&[u8]) -> serde_json::Result<Self> {
        format.read_ended
    }

    fn identity(&self) -> (u64, &StackName, &EnvironmentName) {
        (self.deployment, &self.stack, &self.environment)
    }

    fn note_stored(&mut self, digest: Digest) {
        self.stored = StoredDigest(Some(digest));
    }
}

/// Reads an entry in the format that it names. `place` names it in the failure, such as `bucket/key`.
pub(super) fn read<T: Entry>(formats: &[EntryFormat], bytes: &[u8], place: &str) -> Result<T> {
    let subject = format!("the ledger entry {place}");
    let edited = || {
        Failure::failed(format!("{subject} cannot be read"))
            .unchanged("Nothing was changed.")
            .hint("it was edited: restore the object's first version")
    };
    let schema = schema_of(bytes).ok_or_else(edited)?;
    let Some(format) = formats.iter().find(|format| format.schema == schema) else {
        let newest = formats.last().map_or("", |format| format.schema);
        return Err(unknown_schema(&subject, &schema, newest).unchanged("Nothing was changed."));
    };
    T::reader(format)(bytes).map_err(|error| edited().caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries that version 0.1.0 stored.
    const STARTED: [&str; 2] =
        [include_str!("stored/release.started.json"), include_str!("stored/rollback.started.json")];
    const ENDED: [&str; 2] =
        [include_str!("stored/release.ended.json"), include_str!("stored/rollback.ended.json")];

    fn read_stored<T: Entry>(text: &str) -> T {
        read(FORMATS, text.as_bytes(), "bucket/key").unwrap()
    }

    #[test]
    fn stored_entries_are_read_and_written_with_the_same_bytes() {
        for text in STARTED {
            let started: Started = read_stored(text);
            assert_eq!(serde_json::to_string_pretty(&started).unwrap(), text);
        }
        for text in ENDED {
            let ended: Ended = read_stored(text);
            assert_eq!(serde_json::to_string_pretty(&ended).unwrap(), text);
        }
    }

    #[test]
    fn entries_of_two_schemas_are_read_side_by_side() {
        // An invented second schema that calls a deployment's number `number`.
        fn read_2<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
            let mut entry: serde_json::Value = serde_json::from_slice(bytes)?;
            entry["deployment"] = entry["number"].take();
            serde_json::from_value(entry)
        }
        let second = EntryFormat { schema: "slipway.ledger/2", read_started: read_2, read_ended: read_2 };
        let formats = [FORMATS[0], second];
        let old = ENDED[1];
        let new = old.replace("ledger/1", "ledger/2").replacen("\"deployment\"", "\"number\"", 1);
        let old: Ended = read(&formats, old.as_bytes(), "b/1").unwrap();
        let new: Ended = read(&formats, new.as_bytes(), "b/2").unwrap();
        assert_eq!((old.deployment, &old.serves), (new.deployment, &new.serves));
        assert_eq!(new.schema, "slipway.ledger/2");
    }

    #[test]
    fn entry_of_an_unknown_schema_is_refused_with_its_name() {
        let newer = ENDED[0].replace("ledger/1", "ledger/9");
        let failure = read::<Ended>(FORMATS, newer.as_bytes(), "b/k").unwrap_err();
        assert_eq!(
            failure.message(),
            "the ledger entry b/k has the schema slipway.ledger/9; the newest that this Slipway reads is slipway.ledger/1"
        );
        for edited in ["{}", "not JSON", &ENDED[0].replace("\"deployment\": 2", "\"deployment\": -2")] {
            let failure = read::<Ended>(FORMATS, edited.as_bytes(), "b/k").unwrap_err();
            assert_eq!(failure.message(), "the ledger entry b/k cannot be read");
        }
    }
}

//! The inputs that a release was built from, stored by the inputs digest: `inputs/sha256/<hex>.json`.
//!
//! The manifest has the digest alone. The record lists the inputs behind it, so that two versions can be compared later,
//! whatever happened to the history since.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::catalogue::Catalogue;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::ports::Put;
use crate::schema::{schema_of, unknown_schema};
use crate::source::SourceInputs;

/// The schema of these records.
const SCHEMA: &str = "slipway.inputs/1";

/// The inputs behind an inputs digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InputsRecord {
    /// `slipway.inputs/1`.
    schema: String,
    /// Path -> git's object id, followed by ` x` where the file is executable.
    pub(crate) files: BTreeMap<String, String>,
    /// Parts of files, and what comes from Slipway itself: name -> text.
    pub(crate) parts: BTreeMap<String, String>,
}

impl InputsRecord {
    /// Describes inputs.
    pub(crate) fn of(inputs: &SourceInputs) -> Self {
        let file = |content: &crate::source::FileContent| {
            format!("{}{}", content.blob, if content.executable { " x" } else { "" })
        };
        Self {
            schema: SCHEMA.into(),
            files: inputs.files.iter().map(|(path, content)| (path.clone(), file(content))).collect(),
            parts: inputs.parts.clone(),
        }
    }

    /// Returns the record's bytes as they are stored.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self).map_err(|error| {
            Failure::defect("the record of a release's inputs cannot be written as JSON").caused_by(error)
        })
    }

    /// Stores the record by its inputs digest. One that exists already has the same content.
    pub(crate) async fn store(&self, catalogue: &Catalogue, digest: &Digest) -> Result<()> {
        match catalogue.store().put_new(&key(digest), self.bytes()?).await? {
            Put::Created | Put::Same => Ok(()),
            Put::Different => Err(Failure::failed("the store has another record for these inputs")
                .detail("object", format!("{}/{}", catalogue.store().place(), key(digest)))
                .unchanged("The release was not published; the object was not changed.")
                .hint(
                    "somebody replaced that object: restore or delete it, then run the same command again",
                )),
        }
    }

    /// Returns whether the record of an inputs digest was stored.
    pub(super) async fn exists(catalogue: &Catalogue, digest: &Digest) -> Result<bool> {
        Ok(catalogue.store().size(&key(digest)).await?.is_some())
    }

    /// Reads the record of an inputs digest, where it was stored.
    pub(crate) async fn find(catalogue: &Catalogue, digest: &Digest) -> Result<Option<Self>> {
        let Some(stored) = catalogue.store().get(&key(digest)).await? else {
            return Ok(None);
        };
        Self::read(&stored.bytes, &key(digest)).map(Some)
    }

    /// Reads a record's bytes; `key` names it in errors.
    pub(super) fn read(bytes: &[u8], key: &str) -> Result<Self> {
        if let Some(schema) = schema_of(bytes).filter(|schema| schema != SCHEMA) {
            return Err(unknown_schema(key, &schema, SCHEMA));
        }
        serde_json::from_slice(bytes)
            .map_err(|error| Failure::failed(format!("{key} is not a record of inputs")).caused_by(error))
    }

    /// Lists how the inputs of another record differ: `~`, `-` or `+` with a file's path, or a part's name and line.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let names = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| -> BTreeSet<String> {
            a.keys().chain(b.keys()).cloned().collect()
        };
        for path in names(&self.files, &other.files) {
            match (self.files.get(&path), other.files.get(&path)) {
                (None, Some(_)) => lines.push(format!("+ {path}")),
                (Some(_), None) => lines.push(format!("- {path}")),
                (a, b) if a != b => lines.push(format!("~ {path}")),
                _ => {}
            }
        }
        for name in names(&self.parts, &other.parts) {
            let part = |record: &Self| -> BTreeSet<String> {
                let text = record.parts.get(&name);
                text.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default()
            };
            let (a, b) = (part(self), part(other));
            lines.extend(a.difference(&b).map(|line| format!("- {name}: {line}")));
            lines.extend(b.difference(&a).map(|line| format!("+ {name}: {line}")));
        }
        lines
    }
}

fn key(digest: &Digest) -> String {
    format!("inputs/sha256/{}.json", digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_differ_by_file_and_by_line() {
        let record = |files: &[(&str, &str)], parts: &[(&str, &str)]| -> InputsRecord {
            let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
                pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
            };
            InputsRecord { schema: SCHEMA.into(), files: map(files), parts: map(parts) }
        };
        let before = record(&[("a.rs", "1"), ("b.rs", "2")], &[("Cargo.lock", "x 1\ny 1"), ("recipe", "r")]);
        let after = record(&[("a.rs", "1 x"), ("c.rs", "3")], &[("Cargo.lock", "x 2\ny 1"), ("recipe", "r")]);
        assert_eq!(
            before.differences(&after),
            ["~ a.rs", "- b.rs", "+ c.rs", "- Cargo.lock: x 1", "+ Cargo.lock: x 2"]
        );
        assert!(before.differences(&before).is_empty());
    }

    #[test]
    fn unknown_schema_is_named_with_the_known_one() {
        let failure = InputsRecord::read(br#"{"schema":"slipway.inputs/2"}"#, "inputs/x.json").unwrap_err();
        assert!(
            failure.message().starts_with("inputs/x.json has the schema slipway.inputs/2; the newest"),
            "{failure}"
        );
        let failure = InputsRecord::read(b"{}", "inputs/x.json").unwrap_err();
        assert_eq!(failure.message(), "inputs/x.json is not a record of inputs");
    }
}

//! The inputs that a release was built from, stored by the inputs digest: `inputs/sha256/<hex>.json`.
//!
//! The manifest has the digest alone. The record lists the inputs behind it, so that two versions can be compared later,
//! whatever happened to the history since.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::catalogue::Catalogue;
use crate::digest::{Digest, DigestBuilder};
use crate::failure::{Failure, Result};
use crate::ports::Put;
use crate::schema::{schema_of, unknown_schema};
use crate::source::{SourceInputs, differences};

/// The schema of these records.
const SCHEMA: &str = "slipway.inputs/2";

/// The schema of records that name files by git's object id. It is read, and no longer written.
const SCHEMA_1: &str = "slipway.inputs/1";

/// The inputs behind an inputs digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InputsRecord {
    /// `slipway.inputs/2`.
    schema: String,
    /// Path -> SHA-256 of the bytes, followed by ` x` for an executable file and ` l` for a link; in `slipway.inputs/1`, git's
    /// object id and ` x`.
    pub(crate) files: BTreeMap<String, String>,
    /// Parts of files, and what comes from Slipway itself: name -> text.
    pub(crate) parts: BTreeMap<String, String>,
}

impl InputsRecord {
    /// Describes inputs.
    pub(crate) fn of(inputs: &SourceInputs) -> Self {
        Self {
            schema: SCHEMA.into(),
            files: inputs.files.iter().map(|(path, content)| (path.clone(), content.to_text())).collect(),
            parts: inputs.parts.clone(),
        }
    }

    /// Hashes the inputs, as the schema says.
    fn digest(&self) -> Digest {
        let mut digest = DigestBuilder::new(&self.schema);
        for (path, content) in &self.files {
            match self.schema.as_str() {
                SCHEMA_1 if !content.ends_with(" x") => digest.part(path, format!("{content} -")),
                _ => digest.part(path, content),
            }
        }
        self.parts.iter().for_each(|(name, text)| digest.part(name, text));
        digest.finish()
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
        Ok(catalogue.store().head(&key(digest)).await?.is_some())
    }

    /// Reads the record of an inputs digest, where it was stored.
    pub(crate) async fn find(catalogue: &Catalogue, digest: &Digest) -> Result<Option<Self>> {
        let Some(stored) = catalogue.store().get(&key(digest)).await? else {
            return Ok(None);
        };
        let record = Self::read(&stored.bytes, &key(digest))?;
        if record.digest() != *digest {
            return Err(Failure::failed(format!(
                "{} does not describe the inputs that its name says",
                key(digest)
            ))
            .detail("object", format!("{}/{}", catalogue.store().place(), key(digest)))
            .unchanged("Nothing was changed.")
            .hint("the object was replaced: restore it, or delete it"));
        }
        Ok(Some(record))
    }

    /// Reads a record's bytes; `key` names it in errors.
    pub(super) fn read(bytes: &[u8], key: &str) -> Result<Self> {
        if let Some(schema) = schema_of(bytes).filter(|schema| schema != SCHEMA && schema != SCHEMA_1) {
            return Err(unknown_schema(key, &schema, SCHEMA));
        }
        serde_json::from_slice(bytes)
            .map_err(|error| Failure::failed(format!("{key} is not a record of inputs")).caused_by(error))
    }

    /// Lists the files of the repository in which the inputs of another record differ; `None` where that cannot be said: the
    /// records name contents in different ways, or something differs that no file holds alone.
    pub(crate) fn differing_files(&self, other: &Self) -> Option<Vec<String>> {
        if self.schema != other.schema {
            return None;
        }
        fn differing<'a>(
            one: &'a BTreeMap<String, String>,
            other: &'a BTreeMap<String, String>,
        ) -> impl Iterator<Item = &'a String> {
            let names: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            names.into_iter().filter(move |name| one.get(*name) != other.get(*name))
        }
        let parts: Vec<&String> = differing(&self.parts, &other.parts).collect();
        if parts.iter().any(|part| !part.ends_with(".lock") && !part.ends_with(".toml")) {
            return None;
        }
        Some(differing(&self.files, &other.files).chain(parts).cloned().collect())
    }

    /// Lists how the inputs of another record differ: `~`, `-` or `+` with a file's path, or a part's name and line; nothing
    /// where the two records name contents in different ways.
    pub(crate) fn differences(&self, other: &Self) -> Option<Vec<String>> {
        if self.schema != other.schema {
            return None;
        }
        Some(differences((&self.files, &self.parts), (&other.files, &other.parts)))
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
            before.differences(&after).unwrap(),
            ["~ a.rs", "- b.rs", "+ c.rs", "- Cargo.lock: x 1", "+ Cargo.lock: x 2"]
        );
        assert_eq!(before.differences(&before), Some(Vec::new()));
        assert_eq!(before.differing_files(&after).unwrap(), ["a.rs", "b.rs", "c.rs", "Cargo.lock"]);
        let other_recipe = record(&[("a.rs", "1")], &[("Cargo.lock", "x 1\ny 1"), ("recipe", "s")]);
        assert_eq!(before.differing_files(&other_recipe), None, "any file may have changed the recipe");
        let earlier = InputsRecord { schema: SCHEMA_1.into(), ..before.clone() };
        assert_eq!(earlier.differences(&after), None, "git's object ids and SHA-256 cannot be compared");
    }

    #[test]
    fn unknown_schema_is_named_with_the_known_one() {
        let failure = InputsRecord::read(br#"{"schema":"slipway.inputs/3"}"#, "inputs/x.json").unwrap_err();
        assert!(
            failure.message().starts_with("inputs/x.json has the schema slipway.inputs/3; the newest"),
            "{failure}"
        );
        let failure = InputsRecord::read(b"{}", "inputs/x.json").unwrap_err();
        assert_eq!(failure.message(), "inputs/x.json is not a record of inputs");
    }
}

//! What a release was built from, kept in the store by the inputs digest: `inputs/sha256/<hex>.json`.
//!
//! The manifest holds the digest alone. The record says what is behind it, so that two versions can be told apart later,
//! whatever became of the history since.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::catalogue::Catalogue;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::ports::Put;
use crate::source::Inputs;

/// The inputs behind a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InputsRecord {
    /// `slipway.inputs/1`.
    schema: String,
    /// Path -> git's object id, with ` x` behind it where the file is executable.
    pub(crate) files: BTreeMap<String, String>,
    /// What is a part of a file, or comes from Slipway: name -> text.
    pub(crate) parts: BTreeMap<String, String>,
}

impl InputsRecord {
    /// Describes inputs.
    pub(crate) fn of(inputs: &Inputs) -> Self {
        let file = |content: &crate::source::FileContent| {
            format!("{}{}", content.blob, if content.executable { " x" } else { "" })
        };
        Self {
            schema: "slipway.inputs/1".into(),
            files: inputs.files.iter().map(|(path, content)| (path.clone(), file(content))).collect(),
            parts: inputs.parts.clone(),
        }
    }

    /// Writes the record under its inputs digest; one that is there already says the same.
    pub(crate) async fn keep(&self, catalogue: &Catalogue, digest: &Digest) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| {
            Failure::defect("the record of a release's inputs cannot be written as JSON").caused_by(error)
        })?;
        match catalogue.store().put_new(&key(digest), bytes).await? {
            Put::Created | Put::Same => Ok(()),
            Put::Different => Err(Failure::failed("the store holds another record under these inputs")
                .detail("object", format!("{}/{}", catalogue.store().place(), key(digest)))
                .unchanged("The release was not published; the object was left as it is.")
                .hint(
                    "somebody replaced that object: restore or delete it, then run the same command again",
                )),
        }
    }

    /// Reads the record behind an inputs digest, where it was kept.
    pub(crate) async fn find(catalogue: &Catalogue, digest: &Digest) -> Result<Option<Self>> {
        let Some(stored) = catalogue.store().get(&key(digest)).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&stored.bytes).map(Some).map_err(|error| {
            Failure::failed(format!("{} is no record of inputs", key(digest))).caused_by(error)
        })
    }
}

fn key(digest: &Digest) -> String {
    format!("inputs/sha256/{}.json", digest.hex())
}

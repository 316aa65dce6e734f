//! A stack's Terraform state in the environment's bucket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::name::StackName;
use crate::ports::Store;

/// The version of a Terraform state: it changes with each write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "StateMark")]
pub(crate) struct StateVersion {
    /// The state's lineage.
    pub(crate) lineage: String,
    /// The state's serial.
    pub(crate) serial: u64,
}

/// Reads a stack's state and its version; `None` if there is no state yet.
pub(crate) async fn read_state(
    store: &dyn Store,
    stack: &StackName,
) -> Result<Option<(StateVersion, Value)>> {
    let Some(stored) = store.get(&format!("{stack}.tfstate")).await? else {
        return Ok(None);
    };
    let state: Value = serde_json::from_slice(&stored.bytes).map_err(|error| {
        Failure::failed(format!("the state {}/{stack}.tfstate is not JSON", store.place())).caused_by(error)
    })?;
    let lineage = state.get("lineage").and_then(Value::as_str).unwrap_or_default().to_owned();
    let serial = state.get("serial").and_then(Value::as_u64).unwrap_or_default();
    Ok(Some((StateVersion { lineage, serial }, state)))
}

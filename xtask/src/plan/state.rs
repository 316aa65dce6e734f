//! A stack's Terraform state in the environment's bucket.

use std::collections::BTreeMap;

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

impl std::fmt::Display for StateVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "serial {} of lineage {}", self.serial, self.lineage)
    }
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

/// Returns address and id of each managed resource in a state: `module.a["x"].aws_iam_role.this[0]`.
///
/// The state's format: <https://developer.hashicorp.com/terraform/internals/json-format> does not describe it, so that the keys are
/// those which Terraform 1.10 to 1.15 write (version 4).
pub(crate) fn instance_ids(state: &Value) -> BTreeMap<String, String> {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut ids = BTreeMap::new();
    let resources = state.get("resources").and_then(Value::as_array);
    for resource in resources.into_iter().flatten().filter(|resource| resource["mode"] == "managed") {
        let module = text(resource, "module");
        let dot = if module.is_empty() { "" } else { "." };
        let address = format!("{module}{dot}{}.{}", text(resource, "type"), text(resource, "name"));
        for instance in resource.get("instances").and_then(Value::as_array).into_iter().flatten() {
            let index = match instance.get("index_key") {
                Some(Value::String(key)) => format!("[{key:?}]"),
                Some(Value::Number(number)) => format!("[{number}]"),
                _ => String::new(),
            };
            let id = instance.pointer("/attributes/id").and_then(Value::as_str).unwrap_or_default();
            ids.insert(format!("{address}{index}"), id.to_owned());
        }
    }
    ids
}

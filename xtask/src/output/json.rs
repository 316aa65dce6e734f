//! The one JSON document that `--output json` prints: `{schema, ok, data | error}`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{ErrorReport, Failure};

/// The document around every command's data.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Document<T> {
    /// Which document this is, such as `slipway.status/1`.
    pub(crate) schema: String,
    /// Whether the command succeeded.
    pub(crate) ok: bool,
    /// The command's result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<T>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<ErrorReport>,
}

/// Renders the document of a command's result.
pub(crate) fn document<T: Serialize>(name: &str, data: Option<T>, failure: Option<&Failure>) -> String {
    let document = Document {
        schema: format!("slipway.{name}/1"),
        ok: failure.is_none(),
        data,
        error: failure.map(Failure::report),
    };
    serde_json::to_string_pretty(&document).unwrap_or_else(|error| {
        format!(
            "{{\"schema\":\"slipway.{name}/1\",\"ok\":false,\"error\":{{\"message\":{:?}}}}}",
            error.to_string()
        )
    })
}

//! `terraform/stacks/<stack>/stack.toml`: what a stack runs and needs.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::file;
use crate::failure::Outcome;
use crate::name::{FunctionName, StackName};

/// A stack's settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StackSettings {
    /// The functions that the stack runs.
    #[serde(default)]
    pub(crate) functions: Vec<FunctionName>,
    /// Stacks that must be applied before this one.
    #[serde(default)]
    pub(crate) after: Vec<StackName>,
    /// Addresses, with `*`, that no plan may delete or replace.
    #[serde(default)]
    pub(crate) protect: Vec<String>,
    /// Values taken from other stacks' outputs: variable = "<stack>.<output>".
    #[serde(default)]
    pub(crate) inputs: BTreeMap<String, String>,
}

impl StackSettings {
    /// Reads a stack's settings.
    pub(super) fn load(root: &Path, relative: &Path) -> Outcome<Self> {
        let settings: Self = file::load(root, relative)?;
        if let Some(unsupported) = [
            (!settings.inputs.is_empty()).then_some("inputs"),
            (!settings.after.is_empty()).then_some("after"),
        ]
        .into_iter()
        .flatten()
        .next()
        {
            return Err(crate::failure::Failure::usage(format!(
                "{}: `{unsupported}` is not supported by this version of Slipway: stacks cannot depend on each other yet",
                relative.display()
            )));
        }
        Ok(settings)
    }
}

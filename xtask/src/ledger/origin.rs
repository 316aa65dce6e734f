//! By which way releases reached an environment: directly, by promotion or as a hotfix, and what was lost on purpose.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{EnvironmentName, FunctionName};

/// By which way a deployment's releases reached the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Origin {
    /// The environment that they were promoted from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) promoted_from: Option<PromotedFrom>,
    /// Whether they came past the environment that they should be promoted from.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) hotfix: bool,
    /// Commits that served before and that the new releases lack, as was accepted with `--allow-loss`, by function. A commit
    /// that the repository did not have stands for everything that only it may hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) lost: BTreeMap<FunctionName, Vec<String>>,
}

impl Origin {
    /// Returns the record of a deployment; nothing where there is nothing to say.
    pub(crate) fn recorded(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

/// What releases were promoted from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PromotedFrom {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The stack's deployment there that verified them.
    pub(crate) deployment: u64,
}

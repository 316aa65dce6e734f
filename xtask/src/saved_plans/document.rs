//! The document of a saved plan, `slipway.saved-plan/1`: everything that the plan was made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::ledger::PromotedFrom;
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::plan::{PlannedChange, StateVersion};

/// The name of this layout.
pub(crate) const SCHEMA: &str = "slipway.saved-plan/1";

/// A saved plan of one environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedPlanDocument {
    /// `slipway.saved-plan/1`.
    pub(crate) schema: String,
    /// What it was planned for.
    pub(crate) target: Target,
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// When it was planned.
    pub(crate) at: jiff::Timestamp,
    /// After which moment it is refused.
    pub(crate) expires: jiff::Timestamp,
    /// Who planned, as the ledger would name them.
    pub(crate) by: String,
    /// The ARN of the caller, where the account says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) caller: Option<String>,
    /// The CI run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run_url: Option<String>,
    /// The stacks, in the order in which they are applied.
    pub(crate) stacks: Vec<SavedStack>,
}

/// What a plan was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    /// The project's name.
    pub(crate) project: String,
    /// The environment's name.
    pub(crate) environment: String,
    /// The account, 12 digits.
    pub(crate) account: String,
    /// The region.
    pub(crate) region: String,
    /// The bucket of states.
    pub(crate) bucket: String,
    /// What each key in it begins with.
    pub(crate) prefix: String,
}

/// One stack of a saved plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedStack {
    /// The stack.
    pub(crate) stack: StackName,
    /// The commit of its files.
    pub(crate) commit: Option<String>,
    /// Whether they differed from it.
    pub(crate) dirty: bool,
    /// The number of its newest deployment; 0 where there was none.
    pub(crate) deployment: u64,
    /// What served then.
    pub(crate) serves: BTreeMap<FunctionName, SavedRelease>,
    /// The environment and deployment that its releases are promoted from; nothing where they come directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) promoted_from: Option<PromotedFrom>,
    /// What it was planned with, for every function of the stack.
    pub(crate) releases: BTreeMap<FunctionName, SavedRelease>,
    /// Digests of the values from other stacks, by variable, sensitive ones included.
    #[serde(default)]
    pub(crate) inputs: BTreeMap<String, Digest>,
    /// The state's lineage and serial; nothing where there was no state.
    pub(crate) state: Option<StateVersion>,
    /// The version of Terraform.
    pub(crate) terraform: String,
    /// The version of each provider, from the lock file.
    pub(crate) providers: BTreeMap<String, String>,
    /// The saved Terraform plan.
    pub(crate) plan: StoredFile,
    /// The archive of the stack's files.
    pub(crate) archive: StoredFile,
    /// What it changes, as it was shown, with the digests of the values.
    pub(crate) changes: Vec<PlannedChange>,
    /// Whether it changes outputs.
    pub(crate) outputs_change: bool,
}

/// A release of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedRelease {
    /// The version.
    pub(crate) release: Version,
    /// The manifest's digest.
    pub(crate) digest: Digest,
}

/// A file of a saved plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredFile {
    /// SHA-256 of its bytes.
    pub(crate) sha256: Digest,
    /// Its size in bytes.
    pub(crate) size: u64,
}

impl SavedPlanDocument {
    /// Returns the document as it is stored.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::defect("a saved plan cannot be written as JSON").caused_by(error))
    }
}

/// Returns the version of each provider in a lock file
/// (<https://developer.hashicorp.com/terraform/language/files/dependency-lock>).
pub(crate) fn locked_providers(lock_file: &str) -> BTreeMap<String, String> {
    let quoted = |line: &str| line.split('"').nth(1).map(str::to_owned);
    let (mut providers, mut current) = (BTreeMap::new(), None);
    for line in lock_file.lines().map(str::trim) {
        if line.starts_with("provider ") {
            current = quoted(line);
        } else if line.starts_with("version ")
            && let (Some(name), Some(version)) = (current.take(), quoted(line))
        {
            providers.insert(name, version);
        }
    }
    providers
}

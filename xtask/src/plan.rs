//! Plans: one stack in one environment with the releases it is to run, decided before anything changes.
//!
//! In: a stack's files, an environment and the chosen releases. Out: a saved Terraform plan, what it would change, and
//! what it depends on. Errors: unreadable files, locks, a plan that removes a protected resource.

mod account;
mod adopt;
mod backend;
mod changes;
mod comparison;
mod configuration;
mod contract;
mod data_types;
mod demands;
mod destruction;
mod file_contract;
mod fingerprint;
mod guard;
mod infrastructure;
mod inputs;
mod lock;
mod names;
mod provider_lock;
mod review;
mod root_module;
mod saved_plan;
mod sources;
mod state;
mod taken_back;
mod unsaved;
mod working_copy;

pub(crate) use account::{ACCOUNT_FOLDER, AccountPreparation, prepare_account};
pub(crate) use adopt::{AdoptionCandidate, adoption_candidates};
pub(crate) use backend::Backend;
pub(crate) use changes::{Action, Change, changes_summary, changes_text};
pub(crate) use comparison::{differing_files, stored_sources};
pub(crate) use configuration::{CodePlaces, Configuration, PlanContext, ReleaseInput, StackFiles, prepare};
pub(crate) use contract::{
    ContractFunction, ContractFunctions, Places, UNPUBLISHED, changes_alias, check_contract,
    created_functions, creates_function, exists_already, ignore_hint, output_hint, refuse_removal_of_serving,
    unpublished,
};
pub(crate) use data_types::resource_type;
#[cfg(test)]
pub(crate) use demands::Reserved;
pub(crate) use demands::{Demands, demands};
pub(crate) use destruction::DestructionGuard;
pub(crate) use file_contract::check_files_contract;
pub(crate) use fingerprint::{FRESH_HOURS, fingerprint};
pub(crate) use guard::{removed_protected_addresses, unrelated_addresses};
pub(crate) use infrastructure::Infrastructure;
pub(crate) use inputs::{StackInput, StackInputs, input_digests, read_inputs, read_outputs};
pub(crate) use lock::{LockRequest, WorkLock};
pub(crate) use names::{long_names, refuse_long_names};
pub(crate) use provider_lock::{ProviderLock, no_provider_lock};
pub(crate) use review::{
    PlanDifference, PlannedChange, ReviewedChange, plan_differences, remaining_differences, reviewed_changes,
    reviewed_drift, without_sensitive,
};
pub(crate) use saved_plan::{PLAN_FILE, SavedPlan};
pub(crate) use sources::StackSources;
#[cfg(test)]
pub(crate) use sources::{SourceFile, Variable};
pub(crate) use state::{StateVersion, instance_ids, read_state};
pub(crate) use taken_back::{Reach, reach};
pub(crate) use unsaved::{keep_unsaved, refuse_unsaved, unsaved, unsaved_of_stack, unsaved_states};
pub(crate) use working_copy::{PackedSources, pack as pack_sources, unpack_stored};

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::name::FunctionName;

/// A saved plan and what it would change.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Changes, in Terraform's order.
    pub(crate) changes: Vec<Change>,
    /// Changes made outside Terraform.
    pub(crate) drift: Vec<Change>,
    /// Whether applying would change outputs.
    pub(crate) outputs_change: bool,
    /// The saved plan, which is deleted with this value.
    pub(crate) file: SavedPlan,
    /// Warnings, one line each.
    pub(crate) warnings: Vec<String>,
}

impl Planned {
    /// Tells whether there is nothing to apply.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.outputs_change
    }

    /// Returns the drift of resources with a planned change; the rest is values that AWS normalised.
    pub(crate) fn relevant_drift(&self) -> Vec<Change> {
        let planned = |address: &String| self.changes.iter().any(|change| change.address == *address);
        self.drift.iter().filter(|drift| planned(&drift.address)).cloned().collect()
    }

    /// Returns `+7 ~0 -0`.
    pub(crate) fn summary(&self) -> String {
        changes_summary(&self.changes)
    }
}

/// The outputs of an applied stack.
#[derive(Debug, Clone, Default)]
pub(crate) struct Applied {
    /// Outputs by name.
    pub(crate) outputs: BTreeMap<String, Output>,
}

/// One output value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Output {
    /// The value; `null` if it is sensitive.
    #[serde(default)]
    pub(crate) value: serde_json::Value,
    /// Whether Terraform hides it.
    #[serde(default)]
    pub(crate) sensitive: bool,
}

/// One element of a stack's output `functions`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct FunctionOutput {
    /// The function's name in Lambda.
    pub(crate) function_name: String,
    /// The alias that users reach.
    pub(crate) alias: String,
    /// The newest published version.
    pub(crate) version: String,
    /// The hash of that version's code.
    pub(crate) code_sha256: String,
    /// The address that users reach the function at.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// The service that requests to that address are signed for: `lambda` or `execute-api`; `None` if anybody may call it.
    #[serde(default)]
    pub(crate) url_signed_for: Option<String>,
    /// The event sources that invoke the function once it is verified.
    #[serde(default)]
    pub(crate) event_sources: Vec<EventSource>,
}

/// An event source mapping of a function's alias. The stack creates it disabled; a rollout enables it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct EventSource {
    /// The mapping's id.
    pub(crate) uuid: String,
    /// Whether it is to be enabled.
    pub(crate) enabled: bool,
}

impl Applied {
    /// Returns the value of an output; `null` if there is no such output.
    pub(crate) fn output(&self, name: &str) -> serde_json::Value {
        self.outputs.get(name).map(|output| output.value.clone()).unwrap_or_default()
    }

    /// Returns the output `functions`: see docs/terraform.md.
    pub(crate) fn functions(&self) -> Result<BTreeMap<FunctionName, FunctionOutput>> {
        let Some(output) = self.outputs.get("functions") else {
            return Ok(BTreeMap::new());
        };
        serde_json::from_value(output.value.clone()).map_err(|error| {
            Failure::failed("the stack's output `functions` is not as Slipway needs it")
                .caused_by(error)
                .hint("it must be { <function> = { function_name, alias, version, code_sha256 } }: see https://github.com/slipway/slipway/blob/main/docs/terraform.md#what-a-stack-must-provide")
        })
    }
}

//! The world of a scene as it is, beside what delivery says of it: what blocks a stack, and what runs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Scene;
use crate::delivery::model::step::{Blocked, Lost};
use crate::release::Manifest;

const STATE: &str = "s.tfstate";
const LOCK: &str = "s.tfstate.tflock";

impl Scene {
    /// Returns what blocks the stack.
    pub(in crate::delivery::model) fn blocked(&self) -> Blocked {
        Blocked {
            locked: self.state.objects(LOCK).contains_key(LOCK),
            unsaved: self.folder.path().join("work/errored.tfstate").exists(),
            unknown: self.unknown_resources(),
        }
    }

    /// Returns whether functions or aliases exist that the stored state does not have.
    fn unknown_resources(&self) -> bool {
        let state = self.state.objects(STATE).remove(STATE);
        let state: Value = state.map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
        let resources = state["resources"].as_array().cloned().unwrap_or_default();
        let has = |name: &str, kind: &str| {
            resources.iter().any(|resource| {
                resource["type"] == kind && resource["instances"][0]["attributes"]["function_name"] == name
            })
        };
        self.functions.iter().map(Self::function_name).any(|name| {
            self.lambda.latest(&name).is_some() && !has(&name, "aws_lambda_function")
                || self.lambda.serving(&name).is_some() && !has(&name, "aws_lambda_alias")
        })
    }

    /// Returns whether the state can be lost so that the ledger knows better: nothing blocks, and the last entry has it.
    pub(in crate::delivery::model) fn may_lose_state(&self) -> bool {
        let is_known = self.history().first().is_some_and(|last| last.state.is_some());
        let ledger = self.state.objects("ledger/");
        let begun = ledger.keys().filter(|key| key.contains(".started.")).count();
        is_known && !self.blocked().is_blocked() && begun == self.history().len() && !self.is_state_lost()
    }

    /// Returns whether the state is not the one that the ledger knows.
    pub(in crate::delivery::model) fn is_state_lost(&self) -> bool {
        self.lost_state.is_some()
    }

    pub(super) fn lose_state(&mut self, how: Lost) {
        let stored = self.state.objects(STATE).remove(STATE).unwrap();
        let mut state: Value = serde_json::from_slice(&stored).unwrap();
        let known = self.history()[0].state.clone().unwrap();
        match how {
            Lost::Gone => self.state.remove(STATE),
            Lost::Another => state["lineage"] = "another".into(),
            Lost::Older => state["serial"] = (known.serial - 1).into(),
        }
        if how != Lost::Gone {
            self.state.set(STATE, state.to_string());
        }
        self.lost_state = Some(stored);
    }

    pub(super) fn restore_state(&mut self) {
        if let Some(state) = self.lost_state.take() {
            self.state.set(STATE, state);
        }
    }

    /// Returns whether the bytes of a release are not those that it was published with.
    pub(in crate::delivery::model) fn is_replaced(&self, manifest: &Manifest) -> bool {
        self.replaced.contains_key(&manifest.artifact.key)
    }

    /// Returns the codes of all versions that no release has.
    pub(in crate::delivery::model) fn foreign_codes(&self) -> BTreeSet<String> {
        let releases = self.releases.values().flatten();
        let released: BTreeSet<&str> =
            releases.map(|release| release.artifact.code_sha256.as_str()).collect();
        let mut codes = self.lambda.codes();
        codes.retain(|code| !released.contains(code.as_str()) && !code.starts_with("by hand "));
        codes
    }

    /// Returns everything that a command may change: the environment's store, without the lease, and the aliases.
    pub(in crate::delivery::model) fn everything(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let mut objects = self.state.objects("");
        objects.retain(|key, _| !key.starts_with("leases/"));
        (objects, self.lambda.aliases())
    }
}

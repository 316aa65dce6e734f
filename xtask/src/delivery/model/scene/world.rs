//! The world of a scene as it is, beside what delivery says of it: what blocks a stack, and what runs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Scene;
use crate::delivery::model::step::Blocked;
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

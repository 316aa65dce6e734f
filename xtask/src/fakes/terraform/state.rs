//! Terraform's state in memory: the functions that it created, as they are in Lambda, and the outputs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::saved_plan::{PlannedFunction, function_name};
use super::{FakeTerraform, StackFlaw};
use crate::failure::Failure;
use crate::plan::{self, Configuration, Output};

/// The state: the functions that Terraform created, and the outputs.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) lineage: String,
    pub(super) serial: u64,
    pub(super) outputs: BTreeMap<String, Output>,
    pub(super) resources: Vec<Value>,
}

/// The types of the resources that a state has.
pub(super) const FUNCTION: &str = "aws_lambda_function";
pub(super) const ALIAS: &str = "aws_lambda_alias";

impl State {
    /// Returns whether it has a function's resource of a type.
    pub(super) fn has(&self, function_name: &str, kind: &str) -> bool {
        self.resources.iter().any(|resource| {
            resource["type"] == kind
                && resource["instances"][0]["attributes"]["function_name"] == function_name
        })
    }
}

impl FakeTerraform {
    /// Makes the state of functions that were applied by hand, before any deployment, and have no output yet.
    pub(crate) fn adopt(&self, stack: &str, names: &[String]) {
        let mut state = State { lineage: "8d7f".into(), serial: 1, ..State::default() };
        let resources = |name: &String| [FUNCTION, ALIAS].map(|kind| resource(name, name, kind));
        state.resources = names.iter().flat_map(resources).collect();
        self.store.set(&format!("{stack}.tfstate"), serde_json::to_vec(&state).expect("a state"));
    }

    pub(super) fn state(&self, configuration: &Configuration) -> State {
        let key = format!("{}.tfstate", configuration.context.stack);
        self.store.objects(&key).get(&key).map_or_else(
            || State { lineage: "8d7f".into(), ..State::default() },
            |bytes| serde_json::from_slice(bytes).expect("a state"),
        )
    }

    /// Adds a resource that exists to the state: `module.<name>.<type>.<label>` with a function's name, or that and an alias.
    pub(super) fn import_resource(&self, configuration: &Configuration, address: &str, id: &str) {
        let mut state = self.state(configuration);
        state.serial += 1;
        let (module, kind) = (address.split('.').nth(1), address.split('.').nth(2));
        let (module, kind) = module.zip(kind).expect("an address in a module");
        let function_name = id.split('/').next().unwrap_or_default();
        let mut resource = resource(module, function_name, kind);
        resource["instances"][0]["attributes"]["id"] = format!("imported as {id}").into();
        state.resources.push(resource);
        let key = format!("{}.tfstate", configuration.context.stack);
        self.store.set(&key, serde_json::to_vec(&state).expect("a state"));
    }

    /// Writes the state that an apply could not save into the work folder; returns the apply's failure.
    pub(super) fn leave_unsaved(
        &self,
        configuration: &Configuration,
        names: &BTreeMap<String, PlannedFunction>,
        created: &BTreeSet<(String, &'static str)>,
    ) -> Failure {
        let (key, before) = (format!("{}.tfstate", configuration.context.stack), self.state(configuration));
        let stored = self.store.objects(&key).remove(&key);
        self.save(configuration, names, created);
        let unsaved = self.store.objects(&key).remove(&key).expect("the state that was just saved");
        match stored {
            Some(stored) => self.store.set(&key, stored),
            None => self.store.remove(&key),
        }
        assert_eq!(self.state(configuration).serial, before.serial, "the stored state is as it was");
        let file = configuration.context.work.join("errored.tfstate");
        std::fs::write(&file, unsaved).expect("the work folder");
        plan::unsaved(&configuration.context, &file)
    }

    /// Writes the state of what it had and what was `created`, as it is in Lambda; returns the outputs.
    pub(super) fn save(
        &self,
        configuration: &Configuration,
        names: &BTreeMap<String, PlannedFunction>,
        created: &BTreeSet<(String, &'static str)>,
    ) -> BTreeMap<String, Output> {
        let mut state = self.state(configuration);
        state.serial += 1;
        let mut resources = Vec::new();
        for name in names.keys() {
            let function_name = function_name(configuration, name);
            for (kind, exists) in [
                (FUNCTION, self.lambda.newest(&function_name).is_some()),
                (ALIAS, self.lambda.serving(&function_name).is_some()),
            ] {
                let is_known = state.has(&function_name, kind)
                    || created.iter().any(|(name, of)| *name == function_name && *of == kind);
                if exists && is_known {
                    resources.push(resource(name, &function_name, kind));
                }
            }
        }
        state.resources = resources;
        // What Terraform does not know is in no output.
        let mut names = names.clone();
        names.retain(|name, _| {
            let function_name = function_name(configuration, name);
            state.has(&function_name, FUNCTION) && state.has(&function_name, ALIAS)
        });
        state.outputs = self.outputs_now(configuration, &names);
        self.store.set(
            &format!("{}.tfstate", configuration.context.stack),
            serde_json::to_vec(&state).expect("a state"),
        );
        state.outputs
    }

    pub(super) fn outputs_now(
        &self,
        configuration: &Configuration,
        names: &BTreeMap<String, PlannedFunction>,
    ) -> BTreeMap<String, Output> {
        let mut functions = serde_json::Map::new();
        if self.flaw == StackFlaw::HasNoOutput {
            return BTreeMap::new();
        }
        for name in names.keys() {
            let function_name = function_name(configuration, name);
            if let (Some(newest), Some(latest)) =
                (self.lambda.newest(&function_name), self.lambda.latest(&function_name))
            {
                let published = self.flaw != StackFlaw::PublishesNothing;
                let version = if published { newest.to_string() } else { "$LATEST".to_owned() };
                functions.insert(
                    name.clone(),
                    json!({"function_name": function_name, "alias": "live", "version": version, "code_sha256": latest.code_sha256}),
                );
            }
        }
        BTreeMap::from([(
            "functions".to_owned(),
            Output { value: Value::Object(functions), sensitive: self.flaw == StackFlaw::HidesOutput },
        )])
    }
}

/// Returns a function or its alias as it is in a state.
fn resource(name: &str, function_name: &str, kind: &str) -> Value {
    let label = if kind == ALIAS { "live" } else { "this" };
    json!({
        "module": format!("module.{name}"), "mode": "managed", "type": kind, "name": label,
        "instances": [{"attributes": {"id": format!("{function_name}/{label}"), "function_name": function_name, "name": label}}],
    })
}

//! A saved plan in memory: the code and configuration that the var-files ask for, and the plan as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FakeTerraform, FakeVersion, StackFlaw};
use crate::architecture::Architecture;
use crate::failure::{Result, io};
use crate::plan::{Change, Configuration};
use crate::runtime::Runtime;

/// A saved plan: the serial of its state, and the planned code and configuration of each function.
#[derive(Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) serial: u64,
    pub(super) wanted: BTreeMap<String, PlannedFunction>,
    /// The functions to delete, by their name in Lambda.
    #[serde(default)]
    pub(super) gone: Vec<String>,
    /// What `terraform show -json` prints of it: as it was when it was planned.
    #[serde(default)]
    pub(super) values: Value,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PlannedFunction {
    code_sha256: String,
    key: String,
    memory: u32,
    runtime: Runtime,
    handler: String,
    architecture: Architecture,
}

impl PlannedFunction {
    /// Returns the key of its code in the artifact store.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn is(&self, version: &FakeVersion) -> bool {
        (&self.code_sha256, self.memory, Some(&self.runtime), Some(&self.handler))
            == (&version.code_sha256, version.memory, version.runtime.as_ref(), version.handler.as_ref())
    }

    pub(super) fn version(&self) -> FakeVersion {
        FakeVersion {
            code_sha256: self.code_sha256.clone(),
            memory: self.memory,
            runtime: Some(self.runtime.clone()),
            handler: Some(self.handler.clone()),
            architecture: self.architecture,
            state: "Active".into(),
        }
    }
}

impl FakeTerraform {
    /// Returns a plan as `terraform show -json` prints it, as far as the contract is checked by it.
    pub(super) fn values_of(&self, configuration: &Configuration, all: &[Change], plan: &Plan) -> Value {
        let (mut known, mut unknown) = (serde_json::Map::new(), serde_json::Map::new());
        let mut changes = Vec::new();
        for (name, wanted) in &plan.wanted {
            let function_name = function_name(configuration, name);
            let action = |kind: &str| {
                let address = format!("module.{name}.{kind}");
                all.iter().find(|change| change.address == address).map(|change| change.action)
            };
            let mut output = json!({"function_name": function_name, "alias": "live"});
            let version_is_unknown = action("aws_lambda_function.this").is_some();
            if let Some(newest) = self.lambda.newest(&function_name).filter(|_| !version_is_unknown) {
                output["version"] = newest.to_string().into();
            }
            known.insert(name.clone(), output);
            unknown.insert(name.clone(), json!({"version": version_is_unknown}));
            if let Some(action) = action("aws_lambda_function.this") {
                let publish = self.flaw != StackFlaw::PublishesNothing;
                let before = self.lambda.latest(&function_name).map(|latest| {
                    json!({
                        "function_name": function_name, "package_type": "Zip", "publish": publish,
                        "memory_size": latest.memory, "source_code_hash": latest.code_sha256,
                    })
                });
                changes.push(json!({
                    "address": format!("module.{name}.aws_lambda_function.this"), "type": "aws_lambda_function",
                    "change": {"actions": [action.word()], "before": before, "after": {
                        "function_name": function_name, "package_type": "Zip", "publish": publish,
                        "source_code_hash": wanted.code_sha256, "memory_size": wanted.memory,
                    }},
                }));
            }
            if let Some(action) = action("aws_lambda_alias.live") {
                let before = self.lambda.serving(&function_name).map(|(version, _)| version);
                changes.push(json!({
                    "address": format!("module.{name}.aws_lambda_alias.live"), "type": "aws_lambda_alias",
                    "change": {
                        "actions": [action.word()],
                        "before": {"function_name": function_name, "name": "live", "function_version": before},
                        "after": {"function_name": function_name, "name": "live"},
                        "after_unknown": {"function_version": true},
                    },
                }));
            }
        }
        let mut outputs = json!({});
        if self.flaw != StackFlaw::HasNoOutput {
            outputs["functions"] = json!({"actions": ["update"], "after": known, "after_unknown": unknown});
        }
        json!({"output_changes": outputs, "resource_changes": changes})
    }
}

/// Returns the functions that the var-files describe: `memory = <number>` for all, and the release of each.
pub(super) fn wanted(configuration: &Configuration) -> Result<BTreeMap<String, PlannedFunction>> {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| io("read", path, error));
    let [tfvars, slipway] = configuration.var_files.as_slice() else {
        panic!("two var-files: {:?}", configuration.var_files);
    };
    let tfvars = read(tfvars)?;
    let memory = tfvars.trim().strip_prefix("memory = ").and_then(|text| text.parse().ok());
    let values: Value = serde_json::from_str(&read(slipway)?).expect("a var-file in JSON");
    let releases = values["releases"].as_object().expect("releases");
    let text = |release: &Value, name: &str| release[name].as_str().expect("a text").to_owned();
    Ok(releases
        .iter()
        .map(|(name, release)| {
            let wanted = PlannedFunction {
                code_sha256: text(&release["code"], "sha256"),
                key: text(&release["code"]["s3"], "key"),
                memory: memory.expect("memory = <number>"),
                runtime: text(release, "runtime").into(),
                handler: text(release, "handler"),
                architecture: serde_json::from_value(release["architecture"].clone())
                    .expect("an architecture"),
            };
            (name.clone(), wanted)
        })
        .collect())
}

pub(super) fn function_name(configuration: &Configuration, name: &str) -> String {
    format!("shop-333333333333-{}-{name}", configuration.context.environment)
}

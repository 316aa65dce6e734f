//! Terraform in memory: it refreshes from Lambda, plans against the var-files, applies a plan and stores its state.
//!
//! It keeps the contract with stacks: it publishes versions, creates the alias once and never moves it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::lambda::FakeVersion;
use super::{FakeLambda, FakeStore, Faults};
use crate::architecture::Architecture;
use crate::failure::{Failure, FailureKind, Result, io};
use crate::plan::Infrastructure;
use crate::plan::{Action, Applied, Change, Configuration, Output, Planned};
use crate::runtime::Runtime;

/// Terraform over [`FakeLambda`], with its state in a [`FakeStore`].
pub(crate) struct FakeTerraform {
    faults: Arc<Faults>,
    store: Arc<FakeStore>,
    lambda: Arc<FakeLambda>,
}

/// The state: the functions that Terraform created, and the outputs.
#[derive(Default, Serialize, Deserialize)]
struct State {
    lineage: String,
    serial: u64,
    outputs: BTreeMap<String, Output>,
    resources: Vec<Value>,
}

/// A saved plan: the serial of its state, and the planned code and configuration of each function.
#[derive(Serialize, Deserialize)]
struct Plan {
    serial: u64,
    wanted: BTreeMap<String, PlannedFunction>,
    /// The functions to delete, by their name in Lambda.
    #[serde(default)]
    gone: Vec<String>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct PlannedFunction {
    code_sha256: String,
    memory: u32,
    runtime: Runtime,
    handler: String,
    architecture: Architecture,
}

impl PlannedFunction {
    fn is(&self, version: &FakeVersion) -> bool {
        (&self.code_sha256, self.memory, Some(&self.runtime), Some(&self.handler))
            == (&version.code_sha256, version.memory, version.runtime.as_ref(), version.handler.as_ref())
    }

    fn version(&self) -> FakeVersion {
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
    /// Returns Terraform for an account, with its state in the account's bucket.
    pub(crate) fn new(faults: Arc<Faults>, store: Arc<FakeStore>, lambda: Arc<FakeLambda>) -> Arc<Self> {
        Arc::new(Self { faults, store, lambda })
    }

    fn state(&self, configuration: &Configuration) -> State {
        let key = format!("{}.tfstate", configuration.context.stack);
        self.store.objects(&key).get(&key).map_or_else(
            || State { lineage: "8d7f".into(), ..State::default() },
            |bytes| serde_json::from_slice(bytes).expect("a state"),
        )
    }

    /// Writes the state of the functions that Terraform created, as they are in Lambda; returns the outputs.
    fn save(
        &self,
        configuration: &Configuration,
        names: &BTreeMap<String, PlannedFunction>,
    ) -> BTreeMap<String, Output> {
        let mut state = self.state(configuration);
        state.serial += 1;
        state.outputs = self.outputs_now(configuration, names);
        state.resources = names
            .keys()
            .filter(|name| self.lambda.newest(&function_name(configuration, name)).is_some())
            .map(|name| {
                json!({
                    "module": format!("module.{name}"), "type": "aws_lambda_function", "name": "this",
                    "instances": [{"attributes": {"function_name": function_name(configuration, name)}}],
                })
            })
            .collect();
        self.store.set(
            &format!("{}.tfstate", configuration.context.stack),
            serde_json::to_vec(&state).expect("a state"),
        );
        state.outputs
    }

    fn outputs_now(
        &self,
        configuration: &Configuration,
        names: &BTreeMap<String, PlannedFunction>,
    ) -> BTreeMap<String, Output> {
        let mut functions = serde_json::Map::new();
        for name in names.keys() {
            let function_name = function_name(configuration, name);
            if let (Some(newest), Some(latest)) =
                (self.lambda.newest(&function_name), self.lambda.latest(&function_name))
            {
                functions.insert(
                    name.clone(),
                    json!({"function_name": function_name, "alias": "live", "version": newest.to_string(), "code_sha256": latest.code_sha256}),
                );
            }
        }
        BTreeMap::from([(
            "functions".to_owned(),
            Output { value: Value::Object(functions), sensitive: false },
        )])
    }
}

#[async_trait]
impl Infrastructure for FakeTerraform {
    async fn identity(&self, _: &Configuration) -> Result<Vec<(String, String)>> {
        Ok(vec![("terraform".into(), "in memory".into())])
    }

    async fn plan(&self, configuration: &Configuration) -> Result<Planned> {
        self.faults
            .call("plan", || {
                let wanted = wanted(configuration)?;
                let state = self.state(configuration);
                let mut changes = Vec::new();
                for (name, wanted) in &wanted {
                    let function_name = function_name(configuration, name);
                    let mut add = |kind: &str, action| {
                        changes.push(Change {
                            address: format!("module.{name}.{kind}"),
                            action,
                            reason: None,
                        });
                    };
                    match self.lambda.latest(&function_name) {
                        None => add("aws_lambda_function.this", Action::Create),
                        Some(latest) if !wanted.is(&latest) => {
                            add("aws_lambda_function.this", Action::Update)
                        }
                        Some(_) => {}
                    }
                    if self.lambda.serving(&function_name).is_none() {
                        add("aws_lambda_alias.live", Action::Create);
                    }
                }
                let outputs_change = state.outputs != self.outputs_now(configuration, &wanted);
                let file = configuration.context.work.join("plan.tfplan");
                let plan = Plan { serial: state.serial, wanted, gone: Vec::new() };
                std::fs::write(&file, serde_json::to_vec(&plan).expect("a plan"))
                    .map_err(|error| io("write", &file, error))?;
                Ok(Planned { changes, drift: Vec::new(), outputs_change, file, warnings: Vec::new() })
            })
            .await
    }

    async fn values(&self, _: &Configuration, planned: &Planned) -> Result<Value> {
        let bytes = std::fs::read(&planned.file).map_err(|error| io("read", &planned.file, error))?;
        Ok(serde_json::from_slice(&bytes).expect("a plan"))
    }

    async fn plan_destroy(&self, configuration: &Configuration) -> Result<Planned> {
        self.faults
            .call("plan the destruction", || {
                let state = self.state(configuration);
                let name = |resource: &Value| {
                    resource["instances"][0]["attributes"]["function_name"].as_str().map(str::to_owned)
                };
                let gone: Vec<String> = state.resources.iter().filter_map(name).collect();
                let changes = gone.iter().map(|name| Change {
                    address: format!("module.{name}.aws_lambda_function.this"),
                    action: Action::Delete,
                    reason: None,
                });
                let changes = changes.collect();
                let file = configuration.context.work.join("plan.tfplan");
                let plan = Plan { serial: state.serial, wanted: BTreeMap::new(), gone };
                std::fs::write(&file, serde_json::to_vec(&plan).expect("a plan"))
                    .map_err(|error| io("write", &file, error))?;
                Ok(Planned { changes, drift: Vec::new(), outputs_change: true, file, warnings: Vec::new() })
            })
            .await
    }

    async fn apply(&self, configuration: &Configuration, planned: &Planned) -> Result<Applied> {
        let bytes = std::fs::read(&planned.file).map_err(|error| io("read", &planned.file, error))?;
        let plan: Plan = serde_json::from_slice(&bytes).expect("a plan");
        std::fs::remove_file(&planned.file).map_err(|error| io("remove", &planned.file, error))?;
        if plan.serial != self.state(configuration).serial {
            return Err(Failure::new(FailureKind::PlanStale, "saved plan is stale"));
        }
        for name in &plan.gone {
            self.faults
                .call(&format!("delete {name}"), || {
                    self.lambda.delete(name);
                    Ok(())
                })
                .await?;
        }
        for (name, wanted) in &plan.wanted {
            let function_name = function_name(configuration, name);
            let result = self
                .faults
                .call(&format!("apply {name}"), || {
                    if self.lambda.latest(&function_name).is_none_or(|latest| !wanted.is(&latest)) {
                        self.lambda.publish(&function_name, wanted.version());
                    }
                    Ok(())
                })
                .await;
            let result = match result {
                Ok(()) => {
                    self.faults
                        .call(&format!("apply the alias of {name}"), || {
                            if self.lambda.serving(&function_name).is_none() {
                                self.lambda.create_alias(&function_name);
                            }
                            Ok(())
                        })
                        .await
                }
                failed => failed,
            };
            if let Err(failure) = result {
                // A failed apply saves what it did; one that is killed does not.
                self.save(configuration, &plan.wanted);
                return Err(failure);
            }
        }
        self.faults
            .call("save the state", || Ok(Applied { outputs: self.save(configuration, &plan.wanted) }))
            .await
    }

    async fn outputs(&self, configuration: &Configuration) -> Result<Applied> {
        self.faults.call("outputs", || Ok(Applied { outputs: self.state(configuration).outputs })).await
    }

    async fn unlock(&self, configuration: &Configuration, _lock: &str) -> Result<()> {
        let unlock = || {
            self.store.remove(&format!("{}.tfstate.tflock", configuration.context.stack));
            Ok(())
        };
        self.faults.call("unlock", unlock).await
    }

    async fn push_state(&self, configuration: &Configuration, file: &Path) -> Result<()> {
        let push = || {
            let state = std::fs::read(file).map_err(|error| io("read", file, error))?;
            self.store.set(&format!("{}.tfstate", configuration.context.stack), state);
            Ok(())
        };
        self.faults.call("push the state", push).await
    }
}

/// Returns the functions that the var-files describe: `memory = <number>` for all, and the release of each.
fn wanted(configuration: &Configuration) -> Result<BTreeMap<String, PlannedFunction>> {
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

fn function_name(configuration: &Configuration, name: &str) -> String {
    format!("shop-333333333333-{}-{name}", configuration.context.environment)
}

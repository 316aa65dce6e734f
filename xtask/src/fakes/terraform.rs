//! Terraform in memory: it refreshes from Lambda, plans against the var-files, applies a plan and stores its state.
//!
//! It keeps the contract with stacks: it publishes versions, creates the alias once and never moves it, unless the stack has a
//! [`StackFlaw`].

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

/// How a stack breaks its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum StackFlaw {
    /// It keeps it.
    #[default]
    None,
    /// Its alias has no `ignore_changes`: each apply moves it to the newest version, as the plan shows.
    MovesAlias,
    /// Something that no plan shows moves the alias to the newest version in each apply that changes something.
    MovesAliasUnseen,
    /// It publishes no versions.
    PublishesNothing,
    /// It has no output `functions`.
    HasNoOutput,
    /// Its output `functions` is sensitive.
    HidesOutput,
    /// It no longer has its functions.
    DeletesFunctions,
    /// Its state does not have the functions that exist.
    ForgotFunctions,
}

/// Terraform over [`FakeLambda`], with its state in a [`FakeStore`].
pub(crate) struct FakeTerraform {
    faults: Arc<Faults>,
    store: Arc<FakeStore>,
    lambda: Arc<FakeLambda>,
    flaw: StackFlaw,
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
    /// Returns Terraform for an account, with its state in the account's bucket, for a stack with this flaw.
    pub(crate) fn new(
        faults: Arc<Faults>,
        store: Arc<FakeStore>,
        lambda: Arc<FakeLambda>,
        flaw: StackFlaw,
    ) -> Arc<Self> {
        Arc::new(Self { faults, store, lambda, flaw })
    }

    /// Makes the state of functions that were applied by hand, before any deployment, and have no output yet.
    pub(crate) fn adopt(&self, stack: &str, names: &[String]) {
        let mut state = State { lineage: "8d7f".into(), serial: 1, ..State::default() };
        state.resources = names.iter().flat_map(|name| resources(name, name)).collect();
        self.store.set(&format!("{stack}.tfstate"), serde_json::to_vec(&state).expect("a state"));
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
            .flat_map(|name| resources(name, &function_name(configuration, name)))
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

/// Returns a function and its alias as they are in a state.
fn resources(name: &str, function_name: &str) -> [Value; 2] {
    ["aws_lambda_function.this", "aws_lambda_alias.live"].map(|address| {
        let (kind, label) = address.split_once('.').expect("a type and a name");
        json!({
            "module": format!("module.{name}"), "type": kind, "name": label,
            "instances": [{"attributes": {"function_name": function_name, "name": label}}],
        })
    })
}

impl FakeTerraform {
    /// Returns a plan as `terraform show -json` prints it, as far as the contract is checked by it.
    fn values_of(&self, configuration: &Configuration, planned: &Planned, plan: &Plan) -> Value {
        let (mut known, mut unknown) = (serde_json::Map::new(), serde_json::Map::new());
        let mut changes = Vec::new();
        for (name, wanted) in &plan.wanted {
            let function_name = function_name(configuration, name);
            let action = |kind: &str| {
                let address = format!("module.{name}.{kind}");
                planned.changes.iter().find(|change| change.address == address).map(|change| change.action)
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
                changes.push(json!({
                    "address": format!("module.{name}.aws_lambda_function.this"), "type": "aws_lambda_function",
                    "change": {"actions": [action.word()], "after": {
                        "function_name": function_name, "package_type": "Zip", "publish": publish,
                        "source_code_hash": wanted.code_sha256,
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
                    if self.flaw == StackFlaw::DeletesFunctions {
                        if self.lambda.latest(&function_name).is_some() {
                            add("aws_lambda_function.this", Action::Delete);
                        }
                        continue;
                    }
                    let change = match self.lambda.latest(&function_name) {
                        None => Some(Action::Create),
                        Some(_) if self.flaw == StackFlaw::ForgotFunctions => Some(Action::Create),
                        Some(latest) if !wanted.is(&latest) => Some(Action::Update),
                        Some(_) => None,
                    };
                    change.into_iter().for_each(|action| add("aws_lambda_function.this", action));
                    match self.lambda.serving(&function_name) {
                        None => add("aws_lambda_alias.live", Action::Create),
                        Some((version, _)) if self.flaw == StackFlaw::MovesAlias => {
                            let newest = self.lambda.newest(&function_name).map(|newest| newest.to_string());
                            if change.is_some() || newest != Some(version) {
                                add("aws_lambda_alias.live", Action::Update);
                            }
                        }
                        Some(_) => {}
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

    async fn values(&self, configuration: &Configuration, planned: &Planned) -> Result<Value> {
        let read = || {
            let bytes = std::fs::read(&planned.file).map_err(|error| io("read", &planned.file, error))?;
            let plan: Plan = serde_json::from_slice(&bytes).expect("a plan");
            Ok(self.values_of(configuration, planned, &plan))
        };
        self.faults.call("show the plan", read).await
    }

    async fn plan_destroy(&self, configuration: &Configuration) -> Result<Planned> {
        self.faults
            .call("plan the destruction", || {
                let state = self.state(configuration);
                let name = |resource: &Value| {
                    resource["instances"][0]["attributes"]["function_name"].as_str().map(str::to_owned)
                };
                let is_function = |resource: &&Value| resource["type"] == "aws_lambda_function";
                let gone: Vec<String> = state.resources.iter().filter(is_function).filter_map(name).collect();
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
            if self.flaw == StackFlaw::DeletesFunctions {
                self.lambda.delete(&function_name);
                continue;
            }
            let result = self
                .faults
                .call(&format!("apply {name}"), || {
                    if self.lambda.latest(&function_name).is_none_or(|latest| !wanted.is(&latest)) {
                        if self.flaw == StackFlaw::PublishesNothing {
                            self.lambda.update_latest(&function_name, wanted.version());
                        } else {
                            self.lambda.publish(&function_name, wanted.version());
                        }
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
                            if matches!(self.flaw, StackFlaw::MovesAlias | StackFlaw::MovesAliasUnseen) {
                                self.lambda.move_alias_to_newest(&function_name);
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
        let save = || {
            let mut outputs = self.save(configuration, &plan.wanted);
            // As Terraform's stream: it has no values of sensitive outputs.
            outputs
                .values_mut()
                .filter(|output| output.sensitive)
                .for_each(|output| output.value = Value::Null);
            Ok(Applied { outputs })
        };
        self.faults.call("save the state", save).await
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

//! Terraform in memory: it refreshes from Lambda, plans against the var-files, applies a plan and stores its state.
//!
//! It keeps the contract with stacks: it publishes versions, creates the alias once and never moves it, unless the stack has a
//! [`StackFlaw`].

mod saved_plan;
mod state;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::saved_plan::{Plan, function_name, wanted};
use super::lambda::FakeVersion;
use super::{FakeLambda, FakeStore, Faults};
use crate::failure::{Failure, FailureKind, Result, io};
use crate::plan::Infrastructure;
use crate::plan::{Action, Applied, Change, Configuration, Planned, SavedPlan};

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
    /// Its bucket takes no state: what an apply did is in `errored.tfstate`.
    CannotSave,
}

/// Terraform over [`FakeLambda`], with its state in a [`FakeStore`].
pub(crate) struct FakeTerraform {
    faults: Arc<Faults>,
    store: Arc<FakeStore>,
    lambda: Arc<FakeLambda>,
    flaw: StackFlaw,
    /// Makes the lock on the state of which the next plan loses the answer.
    lost_lock: Mutex<Option<MakeLock>>,
}

/// Returns the content of a lock file.
pub(crate) type MakeLock = Box<dyn FnOnce() -> String + Send>;

impl FakeTerraform {
    /// Returns Terraform for an account, with its state in the account's bucket, for a stack with this flaw.
    pub(crate) fn new(
        faults: Arc<Faults>,
        store: Arc<FakeStore>,
        lambda: Arc<FakeLambda>,
        flaw: StackFlaw,
    ) -> Arc<Self> {
        Arc::new(Self { faults, store, lambda, flaw, lost_lock: Mutex::default() })
    }
}

impl FakeTerraform {
    /// Makes the next plan lose the answer to its lock on the state.
    pub(crate) fn lose_lock_answer(&self, lock: MakeLock) {
        *self.lost_lock.lock().unwrap() = Some(lock);
    }

    /// Locks the state, as far as it can be seen from outside: a lock that is there is refused.
    fn lock(&self, configuration: &Configuration) -> Result<()> {
        let key = format!("{}.tfstate.tflock", configuration.context.stack);
        if let Some(lock) = self.lost_lock.lock().unwrap().take() {
            self.store.set(&key, lock());
        }
        match self.store.objects(&key).is_empty() {
            true => Ok(()),
            false => Err(Failure::new(FailureKind::LockHeld, "the state is locked")),
        }
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
                self.lock(configuration)?;
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
                let file = SavedPlan::create(&configuration.context.work)?;
                let plan = Plan { serial: state.serial, wanted, gone: Vec::new() };
                std::fs::write(file.path(), serde_json::to_vec(&plan).expect("a plan"))
                    .map_err(|error| io("write", file.path(), error))?;
                Ok(Planned { changes, drift: Vec::new(), outputs_change, file, warnings: Vec::new() })
            })
            .await
    }

    async fn values(&self, configuration: &Configuration, planned: &Planned) -> Result<Value> {
        let read = || {
            let bytes =
                std::fs::read(planned.file.path()).map_err(|error| io("read", planned.file.path(), error))?;
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
                let file = SavedPlan::create(&configuration.context.work)?;
                let plan = Plan { serial: state.serial, wanted: BTreeMap::new(), gone };
                std::fs::write(file.path(), serde_json::to_vec(&plan).expect("a plan"))
                    .map_err(|error| io("write", file.path(), error))?;
                Ok(Planned { changes, drift: Vec::new(), outputs_change: true, file, warnings: Vec::new() })
            })
            .await
    }

    async fn apply(&self, configuration: &Configuration, planned: &Planned) -> Result<Applied> {
        let bytes =
            std::fs::read(planned.file.path()).map_err(|error| io("read", planned.file.path(), error))?;
        let plan: Plan = serde_json::from_slice(&bytes).expect("a plan");
        planned.file.delete();
        self.lock(configuration)?;
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
            if let (Err(_), StackFlaw::CannotSave) = (&result, self.flaw) {
                return Err(self.leave_unsaved(configuration, &plan.wanted));
            }
            if let Err(failure) = result {
                // A failed apply saves what it did; one that is killed does not.
                self.save(configuration, &plan.wanted);
                return Err(failure);
            }
        }
        if self.flaw == StackFlaw::CannotSave {
            return Err(self.leave_unsaved(configuration, &plan.wanted));
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

    async fn import(&self, configuration: &Configuration, address: &str, id: &str) -> Result<()> {
        let import = || {
            self.import_resource(configuration, address, id);
            Ok(())
        };
        self.faults.call(&format!("import {address}"), import).await
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

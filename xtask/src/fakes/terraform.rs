//! Terraform in memory: it refreshes from Lambda, plans against the var-files, applies a plan and stores its state.
//!
//! It keeps the contract with stacks: it publishes versions, creates the alias once and never moves it, unless the stack has a
//! [`StackFlaw`]. It knows what its state has: what exists beside it is in its way, as names are that are taken. Its code is
//! the bytes that the artifact store has, whatever digest they are asked for by.

mod lock;
mod saved_plan;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use self::lock::MakeLock;
use self::lock::{APPLY, Meanwhile, PLAN};
use self::saved_plan::{Plan, PlannedFunction, function_name, wanted};
use self::state::{ALIAS, FUNCTION};
use super::lambda::FakeVersion;
use super::{FakeClock, FakeLambda, FakeStore, Faults};
use crate::digest::Digest;
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

/// The account that a [`FakeTerraform`] works on.
#[derive(Clone)]
pub(crate) struct FakeAccount {
    /// The faults of the test.
    pub(crate) faults: Arc<Faults>,
    /// Where states are.
    pub(crate) state: Arc<FakeStore>,
    /// Where code is.
    pub(crate) artifacts: Arc<FakeStore>,
    /// Its functions.
    pub(crate) lambda: Arc<FakeLambda>,
    /// The clock of the machine that Terraform runs on.
    pub(crate) clock: Arc<FakeClock>,
}

/// Terraform over [`FakeLambda`], with its state in a [`FakeStore`].
pub(crate) struct FakeTerraform {
    faults: Arc<Faults>,
    store: Arc<FakeStore>,
    artifacts: Arc<FakeStore>,
    lambda: Arc<FakeLambda>,
    clock: Arc<FakeClock>,
    flaw: StackFlaw,
    /// Makes the lock on the state of which the next plan loses the answer.
    lost_lock: Mutex<Option<MakeLock>>,
    /// Happens while the next apply holds its lock.
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl FakeTerraform {
    /// Returns Terraform for an account, for a stack with this flaw.
    pub(crate) fn new(account: FakeAccount, flaw: StackFlaw) -> Arc<Self> {
        let FakeAccount { faults, state, artifacts, lambda, clock } = account;
        let (lost_lock, meanwhile) = (Mutex::default(), Mutex::default());
        Arc::new(Self { faults, store: state, artifacts, lambda, clock, flaw, lost_lock, meanwhile })
    }

    /// Creates or updates a function; returns whether it was created.
    async fn apply_function(
        &self,
        name: &str,
        function_name: &str,
        wanted: &PlannedFunction,
        is_known: bool,
    ) -> Result<bool> {
        let apply = || {
            let latest = self.lambda.latest(function_name);
            if latest.is_some() && !is_known {
                return Err(Failure::failed(format!("{function_name}: ResourceConflictException")));
            }
            if latest.as_ref().is_none_or(|latest| !wanted.is(latest)) {
                let version = self.version(wanted)?;
                if self.flaw == StackFlaw::PublishesNothing {
                    self.lambda.update_latest(function_name, version);
                } else {
                    self.lambda.publish(function_name, version);
                }
            }
            Ok(latest.is_none())
        };
        self.faults.call(&format!("apply {name}"), apply).await
    }

    /// Creates a function's alias where there is none; returns whether it did.
    async fn apply_alias(&self, name: &str, function_name: &str, is_known: bool) -> Result<bool> {
        let apply = || {
            let exists = self.lambda.serving(function_name).is_some();
            if exists && !is_known {
                return Err(Failure::failed(format!(
                    "the alias of {function_name}: ResourceConflictException"
                )));
            }
            if !exists {
                self.lambda.create_alias(function_name);
            }
            if matches!(self.flaw, StackFlaw::MovesAlias | StackFlaw::MovesAliasUnseen) {
                self.lambda.move_alias_to_newest(function_name);
            }
            Ok(!exists)
        };
        self.faults.call(&format!("apply the alias of {name}"), apply).await
    }

    /// Returns the version that an apply publishes: its code is what the store has.
    fn version(&self, wanted: &PlannedFunction) -> Result<FakeVersion> {
        let key = wanted.key();
        let bytes = self.artifacts.objects(key).remove(key);
        let bytes = bytes.ok_or_else(|| Failure::failed(format!("NoSuchKey: {key}")))?;
        Ok(FakeVersion { code_sha256: Digest::of(bytes).base64(), ..wanted.version() })
    }

    /// Applies functions and aliases; `created` are the resources that it created, by the function's name and their type.
    async fn apply_functions(
        &self,
        configuration: &Configuration,
        plan: &Plan,
        created: &mut BTreeSet<(String, &'static str)>,
    ) -> Result<()> {
        let state = self.state(configuration);
        for (name, wanted) in &plan.wanted {
            let function_name = function_name(configuration, name);
            if self.flaw == StackFlaw::DeletesFunctions {
                self.lambda.delete(&function_name);
                continue;
            }
            if self.apply_function(name, &function_name, wanted, state.has(&function_name, FUNCTION)).await? {
                created.insert((function_name.clone(), FUNCTION));
            }
            if self.apply_alias(name, &function_name, state.has(&function_name, ALIAS)).await? {
                created.insert((function_name, ALIAS));
            }
        }
        Ok(())
    }

    async fn apply_locked(&self, configuration: &Configuration, plan: &Plan) -> Result<Applied> {
        if plan.serial != self.state(configuration).serial {
            return Err(Failure::new(FailureKind::PlanStale, "saved plan is stale"));
        }
        self.let_it_happen();
        for name in &plan.gone {
            self.faults
                .call(&format!("delete {name}"), || {
                    self.lambda.delete(name);
                    Ok(())
                })
                .await?;
        }
        let mut created = BTreeSet::new();
        let applied = self.apply_functions(configuration, plan, &mut created).await;
        if self.flaw == StackFlaw::CannotSave {
            return Err(self.leave_unsaved(configuration, &plan.wanted, &created));
        }
        if let Err(failure) = applied {
            // A failed apply saves what it did and heard of; one that is killed does not.
            self.save(configuration, &plan.wanted, &created);
            return Err(failure);
        }
        let save = || {
            let mut outputs = self.save(configuration, &plan.wanted, &created);
            // As Terraform's stream: it has no values of sensitive outputs.
            outputs
                .values_mut()
                .filter(|output| output.sensitive)
                .for_each(|output| output.value = Value::Null);
            Ok(Applied { outputs })
        };
        self.faults.call("save the state", save).await
    }

    /// Returns the changes that a plan makes.
    fn changes(
        &self,
        configuration: &Configuration,
        wanted: &BTreeMap<String, PlannedFunction>,
    ) -> Vec<Change> {
        let state = self.state(configuration);
        let mut changes = Vec::new();
        for (name, wanted) in wanted {
            let function_name = function_name(configuration, name);
            let mut add = |kind: &str, action| {
                changes.push(Change { address: format!("module.{name}.{kind}"), action, reason: None });
            };
            if self.flaw == StackFlaw::DeletesFunctions {
                if self.lambda.latest(&function_name).is_some() {
                    add("aws_lambda_function.this", Action::Delete);
                }
                continue;
            }
            let is_known = state.has(&function_name, FUNCTION) && self.flaw != StackFlaw::ForgotFunctions;
            let change = match self.lambda.latest(&function_name).filter(|_| is_known) {
                None => Some(Action::Create),
                Some(latest) if !wanted.is(&latest) => Some(Action::Update),
                Some(_) => None,
            };
            change.into_iter().for_each(|action| add("aws_lambda_function.this", action));
            match self.lambda.serving(&function_name).filter(|_| state.has(&function_name, ALIAS)) {
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
        changes
    }

    /// Writes a plan and returns it.
    fn planned(
        &self,
        configuration: &Configuration,
        changes: Vec<Change>,
        outputs_change: bool,
        plan: &Plan,
    ) -> Result<Planned> {
        let file = SavedPlan::create(&configuration.context.work)?;
        std::fs::write(file.path(), serde_json::to_vec(plan).expect("a plan"))
            .map_err(|error| io("write", file.path(), error))?;
        Ok(Planned { changes, drift: Vec::new(), outputs_change, file, warnings: Vec::new() })
    }
}

#[async_trait]
impl Infrastructure for FakeTerraform {
    async fn identity(&self, _: &Configuration) -> Result<Vec<(String, String)>> {
        Ok(vec![("terraform".into(), "in memory".into())])
    }

    async fn plan(&self, configuration: &Configuration) -> Result<Planned> {
        if configuration.takes_lock {
            self.lock(configuration, PLAN).await?;
        }
        let plan = || {
            let wanted = wanted(configuration)?;
            let changes = self.changes(configuration, &wanted);
            let state = self.state(configuration);
            let outputs_change = state.outputs != self.outputs_now(configuration, &wanted);
            let mut plan = Plan { serial: state.serial, wanted, gone: Vec::new(), values: Value::Null };
            plan.values = self.values_of(configuration, &changes, &plan);
            self.planned(configuration, changes, outputs_change, &plan)
        };
        let planned = self.faults.call("plan", plan).await;
        if configuration.takes_lock {
            self.release(configuration);
        }
        planned
    }

    async fn values(&self, _: &Configuration, planned: &Planned) -> Result<Value> {
        let read = || {
            let bytes =
                std::fs::read(planned.file.path()).map_err(|error| io("read", planned.file.path(), error))?;
            let plan: Plan = serde_json::from_slice(&bytes).expect("a plan");
            Ok(plan.values)
        };
        self.faults.call("show the plan", read).await
    }

    async fn open_saved(&self, configuration: &Configuration, planned: &Planned) -> Result<Value> {
        self.values(configuration, planned).await
    }

    async fn plan_destroy(&self, configuration: &Configuration) -> Result<Planned> {
        self.lock(configuration, PLAN).await?;
        let plan = || {
            let state = self.state(configuration);
            let name = |resource: &Value| {
                resource["instances"][0]["attributes"]["function_name"].as_str().map(str::to_owned)
            };
            let is_function = |resource: &&Value| resource["type"] == FUNCTION;
            let gone: Vec<String> = state.resources.iter().filter(is_function).filter_map(name).collect();
            let changes = gone.iter().map(|name| Change {
                address: format!("module.{name}.aws_lambda_function.this"),
                action: Action::Delete,
                reason: None,
            });
            let changes = changes.collect();
            let plan = Plan { serial: state.serial, wanted: BTreeMap::new(), gone, values: Value::Null };
            self.planned(configuration, changes, true, &plan)
        };
        let planned = self.faults.call("plan the destruction", plan).await;
        self.release(configuration);
        planned
    }

    async fn apply(&self, configuration: &Configuration, planned: &Planned) -> Result<Applied> {
        let bytes =
            std::fs::read(planned.file.path()).map_err(|error| io("read", planned.file.path(), error))?;
        let plan: Plan = serde_json::from_slice(&bytes).expect("a plan");
        planned.file.delete();
        self.lock(configuration, APPLY).await?;
        let applied = self.apply_locked(configuration, &plan).await;
        self.release(configuration);
        applied
    }

    async fn outputs(&self, configuration: &Configuration) -> Result<Applied> {
        self.faults.call("outputs", || Ok(Applied { outputs: self.state(configuration).outputs })).await
    }

    async fn unlock(&self, configuration: &Configuration, _lock: &str) -> Result<()> {
        let unlock = || {
            self.release(configuration);
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

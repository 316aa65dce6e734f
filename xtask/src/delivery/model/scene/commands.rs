//! The commands that are run on a scene, and what they leave.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt as _;

use super::Scene;
use crate::delivery::model::step::{Circumstances, RollbackTo, Step, StepResult};
use crate::delivery::{
    self, Delivered, DeployRequest, EnvironmentStack, Intent, RecoverRequest, RollbackRequest,
};
use crate::failure::Result;
use crate::fakes::{Fault, StackFlaw};
use crate::ledger::{DeploymentKind, Ended, Holder};
use crate::name::FunctionName;
use crate::release::Manifest;

impl Scene {
    /// Runs a step; afterwards its process is dead.
    pub(in crate::delivery::model) async fn run(
        &mut self,
        step: &Step,
        fault: Option<(u64, Fault)>,
    ) -> StepResult {
        self.run_under(step, Circumstances { fault, ..Circumstances::default() }).await
    }

    /// Runs a step to which something happens; afterwards its process is dead.
    pub(in crate::delivery::model) async fn run_under(
        &mut self,
        step: &Step,
        circumstances: Circumstances,
    ) -> StepResult {
        self.faults.arm(circumstances.fault);
        let (blocked_before, before, mut recovered) = (self.blocked(), self.everything(), Vec::new());
        let flaw = self.flaw;
        if circumstances.cannot_save {
            self.flaw = StackFlaw::CannotSave;
        }
        let artifacts_before = self.artifacts.objects("");
        let moves_before = self.lambda.moves.lock().unwrap().len();
        let aliases_before = self.lambda.aliases();
        let faults = self.faults.clone();
        let mut chosen = BTreeMap::new();
        let outcome = match step {
            Step::Configure(memory) => {
                self.memory = *memory;
                self.write_values();
                Some(Ok(None))
            }
            Step::EditStack(flaw) => {
                self.write_flaw(*flaw);
                Some(Ok(None))
            }
            Step::DeleteOldVersions(function) => {
                self.lambda.delete_old_versions(&Self::function_name(function));
                Some(Ok(None))
            }
            Step::Wait(seconds) => {
                self.clock.advance(*seconds);
                self.state.advance(*seconds);
                Some(Ok(None))
            }
            Step::Skew(seconds) => {
                self.skew_clock(*seconds);
                Some(Ok(None))
            }
            Step::ReplaceArtifact(replaced) => {
                match replaced {
                    Some(manifest) => self.replace_artifact_for_now(manifest),
                    None => self.restore_artifacts(),
                }
                Some(Ok(None))
            }
            Step::LoseState(lost) => {
                match lost {
                    Some(how) => self.lose_state(*how),
                    None => self.restore_state(),
                }
                Some(Ok(None))
            }
            Step::Recover { approved } => {
                let stack = self.stack(*approved);
                let request = RecoverRequest::default();
                let outcome = faults.run_until_crash(delivery::recover(&stack, &request)).await;
                outcome.map(|outcome| {
                    let leftovers = outcome?.leftovers.into_iter();
                    recovered = leftovers.map(|leftover| (leftover.found, leftover.done)).collect();
                    Ok(None)
                })
            }
            Step::Deploy { targets, lift_hold, always_plan, approved } => {
                let stack = self.stack_under(*approved, circumstances);
                let request = DeployRequest {
                    kind: DeploymentKind::Deploy,
                    releases: targets.iter().cloned().collect(),
                    lift_hold: *lift_hold,
                    always_plan: *always_plan,
                    intent: Intent::default(),
                };
                let outcome = faults.run_until_crash(delivery::deliver(&stack, &request)).await;
                outcome.map(|outcome| outcome.map(Some))
            }
            Step::RollBack { functions, back, lift_hold, approved } => {
                let stack = self.stack_under(*approved, circumstances);
                let request = RollbackRequest {
                    functions: functions.clone(),
                    to: match back {
                        RollbackTo::To(version) => Some(version.clone()),
                        _ => None,
                    },
                    to_deployment: match back {
                        RollbackTo::ToDeployment(number) => Some(*number),
                        _ => None,
                    },
                    lift_hold: *lift_hold,
                };
                faults.run_until_crash(roll_back(&stack, &request, &mut chosen)).await
            }
        };
        let (faulted_call, calls) = (self.faults.triggered_at(), self.faults.calls());
        let by = format!("process {}", self.processes);
        self.faults.arm(None);
        self.flaw = if let Step::EditStack(edited) = step { *edited } else { flaw };
        StepResult {
            outcome,
            by,
            faulted_call,
            calls,
            aliases_before,
            aliases_after: self.lambda.aliases(),
            moves: self.lambda.moves.lock().unwrap()[moves_before..].to_vec(),
            chosen,
            wrote_artifacts: !matches!(step, Step::ReplaceArtifact(_))
                && self.artifacts.objects("") != artifacts_before,
            blocked_before,
            blocked_after: self.blocked(),
            changed_anything: self.everything() != before,
            recovered,
        }
    }

    /// Makes the stack of a command to which something happens.
    fn stack_under(&mut self, approved: bool, circumstances: Circumstances) -> EnvironmentStack {
        if !circumstances.recover_beside {
            return self.stack(approved);
        }
        // A machine beside this one, with a work folder of its own, where the command's process is seen to run.
        let mut beside = self.stack(true);
        Arc::get_mut(&mut beside.plan).unwrap().work = self.folder.path().join("work-beside");
        let mut stack = self.stack(approved);
        let Holder { pid, start_ticks, .. } = Holder::here();
        (stack.holder.pid, stack.holder.start_ticks) = (pid, start_ticks);
        let (state, lambda) = (self.state.clone(), self.lambda.clone());
        let terraform = self.terraform();
        terraform.while_applying(Box::new(move || {
            let world = || (state.objects("ledger/"), state.objects("s."), lambda.aliases());
            let before = world();
            let request = RecoverRequest::default();
            let recovered = delivery::recover(&beside, &request).now_or_never();
            let recovered = recovered.expect("nothing in memory waits").expect("recover reads what it needs");
            let texts: Vec<_> = recovered.leftovers.iter().map(|found| (&found.found, &found.done)).collect();
            assert_eq!(world(), before, "recover took something from a run that lives: {texts:?}");
            assert!(texts.iter().all(|(_, done)| done.starts_with("left alone")), "{texts:?}");
            assert!(!texts.is_empty(), "recover does not see the run");
        }));
        stack.infrastructure = terraform;
        stack
    }

    /// Reads all ended deployments, newest first, as they lie in the store.
    pub(in crate::delivery::model) fn history(&self) -> Vec<Ended> {
        let entries = self.state.objects("ledger/");
        entries
            .iter()
            .filter(|(key, _)| key.ends_with(".ended.json"))
            .map(|(_, bytes)| serde_json::from_slice(bytes).unwrap())
            .collect()
    }

    /// Closes what is open, as every command does first.
    pub(in crate::delivery::model) async fn settle(&mut self) -> Result<Option<Ended>> {
        self.faults.arm(None);
        let stack = self.stack(true);
        delivery::settle(&stack).await
    }

    /// Deploys a new release of every function, which succeeds.
    pub(in crate::delivery) async fn deploy_new_releases(&mut self) {
        self.deploy_all().await.unwrap();
    }

    /// Deploys a new release of every function.
    pub(in crate::delivery) async fn deploy_all(&mut self) -> Result<Delivered> {
        self.deploy_new(self.functions.clone()).await
    }

    /// Deploys a new release of each of these functions; without any, the configuration alone.
    pub(in crate::delivery) async fn deploy(&mut self, functions: &[&str]) -> Result<Delivered> {
        self.deploy_new(functions.iter().map(|name| name.parse().unwrap()).collect()).await
    }

    async fn deploy_new(&mut self, functions: Vec<FunctionName>) -> Result<Delivered> {
        let releases = functions.into_iter().map(|function| {
            let manifest = self.release_of(&function, None);
            (function, manifest)
        });
        let request = deploy_request(releases.collect());
        delivery::deliver(&self.stack(true), &request).await
    }

    /// Reads the newest deployment that ended.
    pub(in crate::delivery) async fn last_ended(&mut self) -> Option<Ended> {
        self.stack(true).ledger.head().await.unwrap().last
    }
}

/// Returns the request of the command `deploy` without options.
pub(in crate::delivery) fn deploy_request(releases: BTreeMap<FunctionName, Manifest>) -> DeployRequest {
    DeployRequest {
        kind: DeploymentKind::Deploy,
        releases,
        lift_hold: false,
        always_plan: false,
        intent: Intent::default(),
    }
}

/// Does what the command `rollback` does with one stack.
async fn roll_back(
    stack: &EnvironmentStack,
    request: &RollbackRequest,
    chosen: &mut BTreeMap<FunctionName, delivery::rollback::RollbackStep>,
) -> Result<Option<Delivered>> {
    let last = delivery::settle(stack).await?;
    let choice = delivery::rollback::choose_rollback(stack, last.as_ref(), request).await?;
    chosen.clone_from(&choice.steps);
    delivery::roll_back_stack(stack, request).await.map(|done| done.delivered)
}

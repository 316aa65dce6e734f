//! The oracle: what must hold after each step, judged by what the world is, not by what delivery says.

use std::collections::{BTreeMap, BTreeSet};

use super::judge;
use super::scene::Scene;
use super::step::{Step, StepResult};
use crate::failure::{FailureKind, Result};
use crate::fakes::StackFlaw;
use crate::ledger::{DeploymentOutcome, Ended, Hold};
use crate::name::{FunctionName, Version};

/// What the oracle remembers from step to step.
#[derive(Default)]
pub(super) struct Oracle {
    /// Releases that a rollback left, and that nobody lifted since.
    left: BTreeSet<(FunctionName, Version)>,
    /// Releases of which only the ledger can tell whether they are held: nothing moved, and a fault faulted_call.
    unsure: BTreeSet<(FunctionName, Version)>,
    /// Functions that the ledger said to be served once.
    served: BTreeSet<FunctionName>,
    /// The memory size of the configuration that was applied and verified last, where no fault makes that uncertain.
    applied: Option<u32>,
    /// The ledger's objects, which never change.
    kept: BTreeMap<String, Vec<u8>>,
    /// The newest ended entry.
    last: Option<Ended>,
    /// Whether traffic is back by a rollback that Terraform does not agree with, and nothing was deployed since.
    terraform_pending: bool,
}

impl Oracle {
    /// Judges a step.
    pub(super) async fn after(&mut self, scene: &mut Scene, step: &Step, did: &StepResult) {
        self.nothing_bad_was_pointed_to(scene, did);
        what_is_said_is_so(scene, did);
        assert!(!did.wrote_artifacts, "a deployment wrote to the artifact store");
        self.remember_holds(step, did);
        self.rollbacks_apply_what_was_applied(scene, step, did);
        self.history_only_grew(scene);
        self.remember_pending(step, did);
        let foreign = scene.foreign_codes();
        assert!(foreign.is_empty(), "code that was never released runs: {foreign:?}, {did:?}");
        own_lock_is_recognised(did);
        let faulted = did.faulted_call.is_some();
        if let (false, Some(outcome)) = (faulted, &did.outcome) {
            nothing_bad_was_left(scene, did);
            let head = scene.stack(true).ledger.head().await.unwrap();
            if let Step::Recover { approved } = step {
                judge::recovery(scene, *approved, did);
                assert!(head.open.is_none() || !approved, "left open: {:?}", head.open);
            }
            if step.delivers() {
                assert!(head.open.is_none(), "left open: {:?}", head.open);
                judge::command(scene, &self.left, step, did, outcome);
            }
            if head.open.is_none() {
                self.ledger_agrees(scene, head.last.as_ref());
            }
        }
    }

    /// Judges the closing of what was open.
    pub(super) async fn after_settling(&mut self, scene: &mut Scene, did: &Result<Option<Ended>>) {
        let last = did.as_ref().expect("nothing stands in the way of settling");
        let head = scene.stack(true).ledger.head().await.unwrap();
        assert!(head.open.is_none(), "left open: {:?}", head.open);
        assert_eq!(head.last.as_ref(), last.as_ref());
        self.history_only_grew(scene);
        self.ledger_agrees(scene, last.as_ref());
    }

    /// However a sequence went, releases that are well can be deployed in the end.
    pub(super) async fn everything_can_be_repaired(&mut self, scene: &mut Scene) {
        scene.run(&Step::Configure(128), None).await;
        scene.run(&Step::EditStack(StackFlaw::None), None).await;
        scene.run(&Step::LoseState(None), None).await;
        let step = Step::Recover { approved: true };
        let did = scene.run(&step, None).await;
        self.after(scene, &step, &did).await;
        let functions = scene.functions.clone();
        let targets: Vec<_> =
            functions.iter().map(|function| (function.clone(), scene.release_of(function, None))).collect();
        let step =
            Step::Deploy { targets: targets.clone(), lift_hold: false, always_plan: false, approved: true };
        let did = scene.run(&step, None).await;
        self.after(scene, &step, &did).await;
        let last = scene.settle().await.unwrap().unwrap();
        for (function, manifest) in targets {
            assert_eq!(last.serves[&function].release, manifest.version, "{:?}", did.outcome);
        }
    }

    fn nothing_bad_was_pointed_to(&self, scene: &Scene, did: &StepResult) {
        for moved in &did.moves {
            let (number, version) = scene.lambda.serving(&moved.function).unwrap();
            // What was moved away without being asked is moved back to where it was.
            let back =
                did.aliases_before.get(&moved.function).map(u64::to_string).as_ref() == Some(&moved.to);
            if number == moved.to && !back {
                assert!(scene.lambda.responds_correctly(&version), "{moved:?} serves and is not well");
            }
        }
    }

    /// A rollback that moved an alias leaves a hold; a command that lifts it and serves the release ends it.
    fn remember_holds(&mut self, step: &Step, did: &StepResult) {
        let moved = |function: &FunctionName| {
            let name = Scene::function_name(function);
            did.aliases_before.get(&name) != did.aliases_after.get(&name)
        };
        let well = matches!(did.outcome, Some(Ok(Some(_))));
        match step {
            Step::RollBack { .. } => {
                for (function, back) in &did.chosen {
                    let (from, to) = (
                        (function.clone(), back.from.release.clone()),
                        (function.clone(), back.to.release.clone()),
                    );
                    if well || moved(function) {
                        if from != to {
                            self.left.insert(from);
                        }
                        self.left.remove(&to);
                    } else if back.from.lambda_version == back.to.lambda_version {
                        self.unsure.extend([from, to]);
                    }
                }
            }
            Step::Deploy { targets, lift_hold, .. } => {
                for (function, manifest) in targets {
                    let release = (function.clone(), manifest.version.clone());
                    let was_held = self.left.contains(&release);
                    if well || moved(function) {
                        assert!(*lift_hold || !was_held, "{function} {} was held", manifest.version);
                        self.left.remove(&release);
                    } else if *lift_hold {
                        self.unsure.insert(release);
                    }
                }
            }
            _ => {}
        }
    }

    /// A rollback that failed after it moved traffic is unfinished until one ends well, however often it fails.
    fn remember_pending(&mut self, step: &Step, did: &StepResult) {
        match (step, &did.outcome) {
            (Step::RollBack { .. }, Some(Err(_))) => {
                self.terraform_pending |= did.chosen.iter().any(|(function, back)| {
                    let alias = did.aliases_after.get(&Scene::function_name(function));
                    let moved = back.resumed || back.from.lambda_version != back.to.lambda_version;
                    moved && alias.map(u64::to_string).as_ref() == Some(&back.to.lambda_version)
                });
            }
            (Step::RollBack { .. }, Some(Ok(Some(_)))) | (Step::Deploy { .. }, _) => {
                self.terraform_pending = false;
            }
            // The ledger alone says whether a rollback that died had moved anything.
            (Step::RollBack { .. }, None) => self.terraform_pending = false,
            _ => {}
        }
    }

    /// A rollback brings Terraform to agree with what is applied, not with what lies in the tree by now.
    fn rollbacks_apply_what_was_applied(&mut self, scene: &Scene, step: &Step, did: &StepResult) {
        let well = matches!(did.outcome, Some(Ok(Some(_))));
        match step {
            Step::Deploy { .. } if well => self.applied = Some(scene.memory),
            Step::Deploy { .. } if did.faulted_call.is_some() || did.blocked_after.unsaved => {
                self.applied = None;
            }
            Step::RollBack { .. } if well && self.applied.is_some() => {
                for function in &scene.functions {
                    let latest = scene.lambda.latest(&Scene::function_name(function)).unwrap();
                    assert_eq!(Some(latest.memory), self.applied, "the configuration of {function}");
                }
            }
            _ => {}
        }
    }

    fn history_only_grew(&mut self, scene: &Scene) {
        let ledger = scene.state.objects("ledger/");
        for (key, bytes) in &self.kept {
            assert_eq!(ledger.get(key), Some(bytes), "{key} was changed");
        }
        self.kept = ledger;
        let count = |phase: &str| self.kept.keys().filter(|key| key.contains(phase)).count();
        let (started, ended) = (count(".started."), count(".ended."));
        assert!(started == ended || started == ended + 1, "{started} started, {ended} ended");
    }

    /// What the newest ended entry says is what the aliases and versions say.
    fn ledger_agrees(&mut self, scene: &Scene, last: Option<&Ended>) {
        let Some(last) = last else { return };
        if self.terraform_pending {
            // Interrupted where the entry could not be written and a later command closed it.
            let pending = [DeploymentOutcome::TerraformPending, DeploymentOutcome::Interrupted];
            assert!(pending.contains(&last.outcome), "the warning is lost: {last:?}");
            let text = last.unfinished_rollback_text().unwrap_or_default();
            assert!(text.starts_with("traffic is back on "), "the warning is lost: {last:?}");
        }
        for (function, serving) in &last.serves {
            let (number, version) = scene.lambda.serving(&serving.function_name).expect("an alias");
            let manifest = scene.manifest(function, &serving.release);
            assert_eq!(number, serving.lambda_version, "the alias of {function} and the ledger");
            assert_eq!(serving.alias_elsewhere, None, "{function}");
            assert_eq!(version.code_sha256, serving.code_sha256, "the code of {function}");
            assert_eq!(manifest.artifact.code_sha256, serving.code_sha256, "{function} {}", serving.release);
            assert_eq!(manifest.digest().unwrap(), serving.digest, "{function} {}", serving.release);
            assert!(
                !serving.verified || scene.lambda.responds_correctly(&version),
                "{function} {} is not well, and the ledger says that it was verified",
                serving.release
            );
            let must_be = last.outcome == DeploymentOutcome::Verified;
            assert!(serving.verified || !must_be, "{function} was not verified in {:?}", last.outcome);
            let held = last.hold_on(function, &serving.release);
            assert!(held.is_none(), "{function} {} serves and is held", serving.release);
            self.served.insert(function.clone());
        }
        for function in &self.served {
            assert!(last.serves.contains_key(function), "{function} vanished from the ledger");
        }
        let holds: BTreeSet<_> = last
            .holds
            .iter()
            .map(|Hold { function, release, .. }| (function.clone(), release.clone()))
            .collect();
        for release in std::mem::take(&mut self.unsure) {
            if holds.contains(&release) {
                self.left.insert(release);
            } else {
                self.left.remove(&release);
            }
        }
        assert_eq!(holds, self.left, "the ledger's holds and those that rollbacks left");
        self.last = Some(last.clone());
    }
}

/// A command leaves no alias on a version that is not well, unless it was there before, or Terraform created it there.
fn nothing_bad_was_left(scene: &Scene, did: &StepResult) {
    for (name, version) in &did.aliases_after {
        let before = did.aliases_before.get(name);
        if before.is_some_and(|before| before != version) {
            let (_, serving) = scene.lambda.serving(name).unwrap();
            assert!(scene.lambda.responds_correctly(&serving), "{name} was left on {version}: {did:?}");
        }
    }
}

/// A lock on the state that Terraform made, and whose answer was lost, is its own: it does not lock the run out.
pub(super) fn own_lock_is_recognised(did: &StepResult) {
    let lost = did.faulted_call.as_deref() == Some("ErrorAfter at lock the state");
    if lost && !did.blocked_before.locked {
        assert!(!did.blocked_after.locked, "its own lock was left: {did:?}");
        let held = matches!(&did.outcome, Some(Err(failure)) if failure.kind() == FailureKind::LockHeld);
        assert!(!held, "its own lock locked it out: {did:?}");
    }
}

/// What a failure says about the aliases is so.
fn what_is_said_is_so(scene: &Scene, did: &StepResult) {
    let Some(Err(failure)) = &did.outcome else { return };
    let said = failure.report().unchanged.unwrap_or_default();
    if ["No alias was moved", "Nothing was changed", "Nothing was applied"]
        .iter()
        .any(|text| said.contains(text))
    {
        assert_eq!(did.aliases_before, did.aliases_after, "it says: {said}");
    }
    for function in &scene.functions {
        for subject in [format!("`live` of `{function}`"), format!("of `{function}`: its alias `live`")] {
            let Some((_, after)) = said.split_once(&format!("{subject} points to version ")) else {
                continue;
            };
            let number: String = after.chars().take_while(char::is_ascii_digit).collect();
            let alias = did.aliases_after[&Scene::function_name(function)].to_string();
            assert_eq!(number, alias, "it says: {said}");
            // An error that is injected into a smoke event fails a verification as well.
            let failed =
                did.faulted_call.is_none() && after[number.len()..].starts_with(", which did not verify");
            if failed {
                let (_, version) = scene.lambda.serving(&Scene::function_name(function)).unwrap();
                assert!(!scene.lambda.responds_correctly(&version), "it says: {said}");
            }
        }
    }
}

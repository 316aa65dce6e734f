//! Checks the result of a command without a fault: it succeeded or was refused as it had to, and a rollback chose what an
//! independent reading of the history gives.

use std::collections::{BTreeMap, BTreeSet};

use super::scene::Scene;
use super::step::{RollbackTo, Step, StepResult};
use crate::delivery::Delivered;
use crate::failure::{Failure, FailureKind, Result};
use crate::fakes::StackFlaw;
use crate::ledger::{DeploymentKind, DeploymentOutcome, Ended, PlannedRelease, Serving};
use crate::name::{FunctionName, Version};
use crate::release::Manifest;

type Releases = BTreeSet<(FunctionName, Version)>;

/// Judges a command; `held` are the releases that a rollback left.
pub(super) fn command(
    scene: &Scene,
    held: &Releases,
    step: &Step,
    did: &StepResult,
    outcome: &Result<Option<Delivered>>,
) {
    // The history as it was when the command began to choose.
    let before: Vec<Ended> = scene.history().into_iter().filter(|ended| ended.by != did.by).collect();
    let outcome = outcome.as_ref().map(Option::as_ref).map_err(Failure::kind);
    if step.delivers() {
        let blocked = blocks(did, &outcome);
        if blocked {
            return;
        }
    }
    if scene.is_state_lost() && step.delivers() {
        let stopped = matches!(outcome, Ok(None) | Err(FailureKind::Refused | FailureKind::Usage));
        let version_gone =
            matches!(step, Step::RollBack { .. }) && matches!(outcome, Err(FailureKind::VerificationFailed));
        assert!(stopped || version_gone, "planned with a state that is not the ledger's: {did:?}");
        if matches!(step, Step::Deploy { .. }) {
            assert_eq!(did.aliases_before, did.aliases_after, "{did:?}");
            return;
        }
    }
    match step {
        Step::Deploy { targets, lift_hold, approved, .. } => {
            let held = !lift_hold
                && targets
                    .iter()
                    .any(|(function, manifest)| held.contains(&(function.clone(), manifest.version.clone())));
            let is_target = |name: &FunctionName| targets.iter().any(|(function, _)| function == name);
            let others = || scene.functions.iter().filter(|name| !is_target(name));
            let serves = |name: &FunctionName| before.first().and_then(|last| last.serves.get(name));
            let incomplete = others().any(|name| serves(name).is_none());
            // What another function serves without a verification is verified together with the targets.
            let bad_code = scene.lambda.bad_code.lock().unwrap().clone();
            let others_well = others()
                .filter_map(serves)
                .all(|serving| serving.verified || !bad_code.contains(&serving.code_sha256));
            let targets_well =
                targets.iter().all(|(_, manifest)| !bad_code.contains(&manifest.artifact.code_sha256));
            let all_well = scene.memory != scene.lambda.bad_memory && others_well && targets_well;
            let other_releases = others().filter_map(|name| Some((name, serves(name)?)));
            let other_replaced = other_releases
                .map(|(name, serving)| scene.manifest(name, &serving.release))
                .any(|manifest| scene.is_replaced(&manifest));
            let replaced = other_replaced || targets.iter().any(|(_, manifest)| scene.is_replaced(manifest));
            let expected = Expected { refused: held || incomplete, replaced, all_well };
            deployment(scene, targets, *approved, expected, did, outcome);
        }
        Step::RollBack { functions, back, lift_hold, approved } => {
            rollback(scene, functions, back, did);
            match outcome {
                Ok(Some(_)) => {
                    assert!(approved, "nobody approved");
                    assert!(
                        *lift_hold
                            || did.chosen.iter().all(|(function, back)| !held
                                .contains(&(function.clone(), back.to.release.clone())))
                    );
                }
                Ok(None) => assert!(did.moves.is_empty()),
                Err(FailureKind::Refused | FailureKind::Usage) => {}
                // An old version that is gone goes through Terraform, with the configuration that is applied now.
                Err(FailureKind::VerificationFailed) => {
                    assert!(!did.moves.is_empty() || !did.chosen.is_empty())
                }
                Err(_) => panic!("{did:?}"),
            }
            if matches!(back, RollbackTo::Previous) {
                let wanted = wanted(&before, functions);
                let chosen: Vec<&FunctionName> = did.chosen.keys().collect();
                let there: Vec<&FunctionName> =
                    wanted.iter().copied().filter(|name| previous(&before, name).is_some()).collect();
                // By name all go back, or none; without a name a function that has nothing to go back to stays.
                let all = functions.is_empty() || there.len() == wanted.len();
                assert_eq!(chosen, if all { there } else { Vec::new() }, "what goes back: {did:?}");
            }
        }
        _ => {}
    }

    fn deployment(
        scene: &Scene,
        targets: &[(FunctionName, Manifest)],
        approved: bool,
        expected: Expected,
        did: &StepResult,
        outcome: Result<Option<&Delivered>, FailureKind>,
    ) {
        let Expected { refused: must_be_refused, replaced, all_well } = expected;
        match outcome {
            Ok(Some(delivered)) => {
                assert!(!must_be_refused && all_well, "a deployment went well that could not: {did:?}");
                // Nothing is read where nothing is planned.
                assert!(!replaced || delivered.plan_skipped, "bytes that nobody published: {did:?}");
                assert!(approved || delivered.unchanged, "nobody approved");
                let last = &scene.history()[0];
                for (function, manifest) in targets {
                    assert_eq!(last.serves[function].release, manifest.version, "what was deployed");
                    let serving = &last.serves[function];
                    let (_, version) = scene.lambda.serving(&serving.function_name).unwrap();
                    // A rollback brought back an old version with its configuration, and Terraform stands on a newer one.
                    let rolled_back = serving.newest_version != serving.lambda_version;
                    assert!(
                        version.memory == scene.memory || rolled_back,
                        "{function} serves with another configuration than was deployed"
                    );
                }
            }
            Ok(None) => panic!("a deployment returned nothing"),
            Err(FailureKind::Refused | FailureKind::Usage) => {
                let flawed = scene.flaw != StackFlaw::None;
                let reasons =
                    must_be_refused || !approved || flawed || replaced || did.blocked_before.unknown;
                assert!(reasons, "refused without a reason: {did:?}");
            }
            Err(FailureKind::VerificationFailed) => {
                assert!(!all_well && !replaced, "well, and did not verify: {did:?}");
            }
            Err(_) => panic!("{did:?}"),
        }
    }
}

/// What a deployment has to come to.
struct Expected {
    /// A guard refuses it.
    refused: bool,
    /// Bytes that it needs are not those of their release.
    replaced: bool,
    /// Everything that it verifies is well.
    all_well: bool,
}

/// Judges a command on a stack that is blocked, or that could not save its state; returns whether that decided its result.
///
/// What cannot be saved stops everything, and a lock whose holder is dead whatever plans. Neither is got rid of by a command.
fn blocks(did: &StepResult, outcome: &Result<Option<&Delivered>, FailureKind>) -> bool {
    let (before, after) = (did.blocked_before, did.blocked_after);
    assert!(after.locked || !before.locked, "a lock was taken from somebody: {did:?}");
    assert!(after.unsaved || !before.unsaved, "a state that was not saved is gone: {did:?}");
    match outcome {
        Err(FailureKind::StateNotSaved) => {
            assert!(after.unsaved, "everything was saved: {did:?}");
            assert!(!before.unsaved || did.aliases_before == did.aliases_after, "not stopped: {did:?}");
            true
        }
        Err(FailureKind::LockHeld) => {
            assert!(before.locked, "nobody locks it: {did:?}");
            true
        }
        // What was chosen, or that there is nothing to choose, is said before anything is looked at.
        Ok(None) | Err(FailureKind::Refused | FailureKind::Usage) if before.unsaved => {
            assert!(did.moves.is_empty(), "not stopped: {did:?}");
            true
        }
        _ => {
            assert!(!before.unsaved && !after.unsaved, "what cannot be saved stops everything: {did:?}");
            let skipped = |delivered: &Delivered| delivered.plan_skipped || delivered.deployment.is_none();
            let planned = matches!(outcome, Ok(Some(delivered)) if !skipped(delivered));
            assert!(!(planned && before.locked), "planned with a locked state: {did:?}");
            assert!(!(planned && before.unknown), "applied beside what no state knows: {did:?}");
            false
        }
    }
}

/// Judges `recover`: with approval one is enough for everything that was left behind, without it changes nothing.
pub(super) fn recovery(scene: &Scene, approved: bool, did: &StepResult) {
    let Some(Ok(_)) = did.outcome else { panic!("recover failed: {did:?}") };
    if scene.is_state_lost() {
        assert!(
            did.recovered.iter().any(|(found, _)| found.starts_with("the state is ")),
            "not said: {did:?}"
        );
        assert!(!approved || !did.blocked_after.locked, "a lock is left: {did:?}");
    } else if approved {
        assert!(!did.blocked_after.is_blocked(), "one recover was not enough: {did:?}");
    } else {
        assert!(!did.changed_anything, "nobody approved: {did:?}");
        assert_eq!(did.blocked_before, did.blocked_after, "{did:?}");
        assert!(!did.blocked_before.is_blocked() || !did.recovered.is_empty(), "not found: {did:?}");
    }
}

/// A rollback that is typed again means what it meant the first time: no second step back, and nothing more is held.
pub(super) fn repeated(first: &Step, again: &Step, did: &StepResult, second: &StepResult) {
    let same = match (first, again) {
        (
            Step::RollBack { functions, back, .. },
            Step::RollBack { functions: named_again, back: again, .. },
        ) => functions == named_again && back == again,
        _ => return,
    };
    // Without names another deployment may be the newest one, unless the first one was recorded.
    if !same && !matches!(did.outcome, Some(Ok(Some(_)))) {
        return;
    }
    for (function, back) in &second.chosen {
        if let Some(meant) = did.chosen.get(function) {
            assert_eq!(back.to.release, meant.to.release, "{function} by {first:?}, then {again:?}");
        }
    }
}

/// A rollback chose what it should.
fn rollback(scene: &Scene, functions: &[FunctionName], back: &RollbackTo, did: &StepResult) {
    let before: Vec<Ended> = scene.history().into_iter().filter(|ended| ended.by != did.by).collect();
    for (function, chosen) in &did.chosen {
        assert!(functions.is_empty() || functions.contains(function));
        let expected = match back {
            RollbackTo::To(version) => newest(&before, function, |serving| serving.release == *version),
            RollbackTo::ToDeployment(number) => {
                let one: Vec<Ended> =
                    before.iter().filter(|ended| ended.deployment == *number).cloned().collect();
                newest(&one, function, |_| true)
            }
            RollbackTo::Previous => previous(&before, function),
        };
        let expected = expected.expect("something to go back to");
        assert_eq!(
            (&chosen.to.release, &chosen.to.lambda_version),
            (&expected.release, &expected.lambda_version),
            "what {function} goes back to: {did:?}"
        );
    }
}

/// The functions that a rollback without a target is about: the named ones, else those of an unfinished rollback, else those
/// whose release came with the newest deployment that ended well or changed something.
fn wanted<'a>(before: &'a [Ended], functions: &'a [FunctionName]) -> Vec<&'a FunctionName> {
    let Some(last) = before.first() else { return functions.iter().collect() };
    if !functions.is_empty() {
        return functions.iter().collect();
    }
    let unfinished = unfinished(before);
    if !unfinished.is_empty() {
        return unfinished.into_keys().collect();
    }
    let came_with = |ended: &Ended| {
        let serves = last.serves.iter();
        serves.filter(|(_, serving)| serving.since == ended.deployment).map(|(name, _)| name).collect()
    };
    let mut newest = before.iter().map(|ended| (ended_well(ended), came_with(ended)));
    newest
        .find(|(ended_well, came): &(bool, Vec<&FunctionName>)| *ended_well || !came.is_empty())
        .map(|(_, came)| came)
        .unwrap_or_default()
}

/// What a function goes back to by itself: where an unfinished rollback wanted to go, else what served before the
/// release that serves now came, without what is held.
fn previous(before: &[Ended], function: &FunctionName) -> Option<Serving> {
    let last = before.first()?;
    let now = last.serves.get(function)?;
    if let Some(wanted) = unfinished(before).get(function) {
        return newest(before, function, |serving| {
            serving.release == wanted.release
                && Some(&serving.lambda_version) == wanted.lambda_version.as_ref()
        });
    }
    // What a rollback brought stays: the same command again means the same.
    let came = before.iter().find(|ended| ended.deployment == now.since);
    if now.verified && came.is_some_and(|came| came.kind == DeploymentKind::Rollback) {
        return Some(now.clone());
    }
    let run = before
        .iter()
        .take_while(|ended| ended.serves.get(function).is_some_and(|serving| serving.release == now.release))
        .count();
    let earlier = &before[run..];
    let added = earlier.iter().position(|ended| ended_well(ended) && !ended.serves.contains_key(function));
    newest(&earlier[..added.unwrap_or(earlier.len())], function, |serving| {
        serving.release != now.release && last.hold_on(function, &serving.release).is_none()
    })
}

fn ended_well(ended: &Ended) -> bool {
    matches!(ended.outcome, DeploymentOutcome::Verified | DeploymentOutcome::RolledBack)
}

/// What an unfinished rollback wants, by function. A deployment that failed before Terraform agreed leaves undone what was
/// brought back before it.
fn unfinished(before: &[Ended]) -> BTreeMap<&FunctionName, &PlannedRelease> {
    let Some((last, earlier)) = before.split_first() else { return BTreeMap::new() };
    if last.kind == DeploymentKind::Rollback {
        let open = last.outcome != DeploymentOutcome::RolledBack;
        return last.will.iter().filter(|(_, choice)| open && choice.lambda_version.is_some()).collect();
    }
    if !matches!(last.outcome, DeploymentOutcome::Failed | DeploymentOutcome::Interrupted) {
        return BTreeMap::new();
    }
    let mut earlier = unfinished(earlier);
    earlier.retain(|function, wanted| {
        let serving = last.serves.get(*function).map(|serving| &serving.lambda_version);
        serving == wanted.lambda_version.as_ref()
    });
    earlier
}

/// The newest release of a function that fits, among those of deployments that verified.
fn newest(entries: &[Ended], function: &FunctionName, fits: impl Fn(&Serving) -> bool) -> Option<Serving> {
    let well = entries.iter().filter(|ended| ended_well(ended));
    well.filter_map(|ended| ended.serves.get(function))
        .find(|serving| serving.verified && fits(serving))
        .cloned()
}

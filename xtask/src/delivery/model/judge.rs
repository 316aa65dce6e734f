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
            deployment(scene, targets, *approved, (held || incomplete, all_well), did, outcome);
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
        (must_be_refused, all_well): (bool, bool),
        did: &StepResult,
        outcome: Result<Option<&Delivered>, FailureKind>,
    ) {
        match outcome {
            Ok(Some(delivered)) => {
                assert!(!must_be_refused && all_well, "a deployment went well that could not: {did:?}");
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
                assert!(must_be_refused || !approved || flawed, "refused without a reason: {did:?}");
            }
            Err(FailureKind::VerificationFailed) => assert!(!all_well, "well, and did not verify: {did:?}"),
            Err(_) => panic!("{did:?}"),
        }
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

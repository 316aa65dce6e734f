//! A model test of delivery: random sequences of deployments, configuration changes, rollbacks, deleted versions, errors
//! and deaths of the process, over ports in memory. What the ledger says is served is what the aliases say.
//!
//! A failing sequence prints its seed and every step; `SEEDS` narrowed to that seed runs it alone.

mod judge;
mod oracle;
mod random;
pub(super) mod scene;
mod step;

use std::collections::BTreeMap;
use std::ops::Range;

use oracle::Oracle;
use random::Random;
use scene::Scene;
use step::{Circumstances, Lost, RollbackTo, Step};

use crate::delivery;
use crate::failure::FailureKind;
use crate::fakes::{Fault, StackFlaw};
use crate::ledger::{DeploymentKind, DeploymentOutcome, Holder};
use crate::ports::Functions as _;

/// How many steps a sequence has.
const STEPS: usize = 14;

fn run_sequences(seeds: Range<u64>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for seed in seeds {
        runtime.block_on(run_sequence(seed));
    }
}

async fn run_sequence(seed: u64) {
    let mut random = Random::new(seed);
    let protected = random.one_in(3);
    let mut scene = if random.one_in(4) { Scene::adopted(protected) } else { Scene::new(protected) };
    let mut oracle = Oracle::default();
    let mut transcript = Transcript { seed, lines: Vec::new() };
    for _ in 0..STEPS {
        let step = random_step(&mut random, &mut scene);
        let circumstances = circumstances(&mut random, &scene, &step);
        transcript.lines.push(format!("{step:?}, {circumstances:?}"));
        let did = scene.run_under(&step, circumstances).await;
        transcript.lines.push(format!("    -> {did:?}"));
        oracle.after(&mut scene, &step, &did).await;
        // What failed, or what nobody heard the end of, is run again, as its hint says.
        if matches!(step, Step::RollBack { .. }) && random.one_in(2) {
            let again = step.again(random.one_in(3));
            transcript.lines.push(format!("{again:?}"));
            let second = scene.run(&again, None).await;
            transcript.lines.push(format!("    -> {second:?}"));
            oracle.after(&mut scene, &again, &second).await;
            judge::repeated(&step, &again, &did, &second);
        }
        if random.one_in(2) {
            transcript.lines.push("settle".into());
            let did = scene.settle().await;
            oracle.after_settling(&mut scene, &did).await;
        }
    }
    transcript.lines.push("the end: everything can be repaired".into());
    oracle.everything_can_be_repaired(&mut scene).await;
    transcript.lines.clear();
}

/// The steps so far, printed if the sequence fails.
struct Transcript {
    seed: u64,
    lines: Vec<String>,
}

impl Drop for Transcript {
    #[expect(clippy::print_stderr, reason = "the steps that led to the failure of a test")]
    fn drop(&mut self) {
        if !self.lines.is_empty() {
            eprintln!("seed {}:\n{}", self.seed, self.lines.join("\n"));
        }
    }
}

fn random_step(random: &mut Random, scene: &mut Scene) -> Step {
    let function = scene.functions[random.below(scene.functions.len())].clone();
    // What blocks the stack is recovered sooner or later; `recover` is typed at other times as well.
    if random.one_in(if scene.blocked().is_blocked() { 2 } else { 12 }) {
        return Step::Recover { approved: !random.one_in(4) };
    }
    if scene.is_state_lost() && random.one_in(3) {
        return Step::LoseState(None);
    }
    // The command that moves traffic before it plans has to stop as well.
    if scene.blocked().unsaved && random.one_in(3) {
        let (functions, back) = (Vec::new(), RollbackTo::Previous);
        return Step::RollBack { functions, back, lift_hold: false, approved: true };
    }
    match random.below(26) {
        0..=5 => {
            let mut targets = vec![function];
            if random.one_in(3) || !scene.all_have_releases() {
                targets = scene.functions.clone();
            }
            let targets = targets
                .into_iter()
                .map(|function| (function.clone(), scene.new_release(&function, random)))
                .collect();
            Step::Deploy {
                targets,
                lift_hold: random.one_in(8),
                always_plan: random.one_in(4),
                approved: !random.one_in(12),
            }
        }
        6..=9 => match scene.some_release(&function, random) {
            Some(release) => Step::Deploy {
                targets: vec![(function, release)],
                lift_hold: random.one_in(3),
                always_plan: random.one_in(4),
                approved: true,
            },
            None => Step::Wait(60),
        },
        10..=14 => Step::RollBack {
            functions: if random.one_in(3) { Vec::new() } else { vec![function.clone()] },
            back: match random.below(4) {
                0 => scene
                    .some_release(&function, random)
                    .map_or(RollbackTo::Previous, |release| RollbackTo::To(release.version)),
                1 => RollbackTo::ToDeployment(1 + random.below(8) as u64),
                _ => RollbackTo::Previous,
            },
            lift_hold: random.one_in(4),
            approved: !random.one_in(12),
        },
        15 | 16 => Step::Configure(if random.one_in(4) { 666 } else { 128 + random.below(4) as u32 }),
        17 => Step::DeleteOldVersions(function),
        18 => Step::Wait(100_000),
        19..=21 => Step::EditStack(
            [StackFlaw::None, StackFlaw::None, StackFlaw::MovesAlias, StackFlaw::MovesAliasUnseen]
                [random.below(4)],
        ),
        22 | 23 => {
            let replaced = scene.some_release(&function, random).filter(|_| !random.one_in(3));
            Step::ReplaceArtifact(replaced.map(Box::new))
        }
        24 if scene.may_lose_state() => {
            Step::LoseState(Some([Lost::Gone, Lost::Another, Lost::Older][random.below(3)]))
        }
        _ => Step::Skew([60, -60, 86_400, -86_400][random.below(4)]),
    }
}

/// Returns what happens to a command.
fn circumstances(random: &mut Random, scene: &Scene, step: &Step) -> Circumstances {
    let fault = fault(random);
    let keeps_contract = step.delivers() && scene.flaw == StackFlaw::None;
    let cannot_save = random.one_in(8) && keeps_contract;
    let recover_beside = random.one_in(4) && keeps_contract && fault.is_none() && !cannot_save;
    Circumstances { fault, cannot_save, recover_beside }
}

fn fault(random: &mut Random) -> Option<(u64, Fault)> {
    let kinds =
        [Fault::CrashAfter, Fault::CrashBefore, Fault::ErrorAfter, Fault::ErrorBefore, Fault::CutAfter];
    random.one_in(3).then(|| (random.below(45) as u64, kinds[random.below(kinds.len())]))
}

#[test]
fn ledger_and_aliases_agree_after_any_sequence_of_commands() {
    // On two threads: this is the longest of all unit tests.
    std::thread::scope(|scope| {
        scope.spawn(|| run_sequences(0..150));
        run_sequences(150..300);
    });
}

#[test]
fn alias_moved_by_hand_is_moved_back_by_deploying_again() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut scene = Scene::new(true);
        let functions = scene.functions.clone();
        let name = Scene::function_name(&functions[0]);
        let mut step = Step::Wait(0);
        for _ in 0..2 {
            let targets = functions
                .iter()
                .map(|function| (function.clone(), scene.release_of(function, None)))
                .collect();
            step = Step::Deploy { targets, lift_hold: false, always_plan: false, approved: true };
            scene.run(&step, None).await.outcome.unwrap().unwrap();
        }
        let revision = scene.lambda.alias(&name, "live").await.unwrap().unwrap().revision_id.unwrap();
        scene.lambda.move_alias(&name, "live", "1", &revision).await.unwrap();
        let did = scene.run(&step, None).await;
        let moves: Vec<(&str, &str)> =
            did.moves.iter().map(|moved| (moved.from.as_str(), moved.to.as_str())).collect();
        assert_eq!(moves, [("1", "2")], "{did:?}");
        assert_eq!(scene.settle().await.unwrap().unwrap().deployment, 3);
    });
}

#[test]
fn running_deployment_is_left_alone_and_dead_one_is_closed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut scene = Scene::new(false);
        let mut stack = scene.stack(true);
        // This very process: it lives.
        stack.holder = Holder::here();
        let started = stack.started(DeploymentKind::Deploy, None, BTreeMap::new());
        stack.ledger.begin(&started).await.unwrap();
        let mut other = scene.stack(true);
        other.holder = Holder { pid: 1, start_ticks: None, ..Holder::here() };
        let failure = delivery::settle(&other).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::LockHeld);
        let failure = other.ledger.begin(&other.started(DeploymentKind::Deploy, None, BTreeMap::new())).await;
        assert_eq!(failure.unwrap_err().kind(), FailureKind::LockHeld);
        assert!(stack.ledger.head().await.unwrap().open.is_some());
        let ended = delivery::settle::close_cut_off(&other, &started, None).await.unwrap();
        assert_eq!(ended.outcome, DeploymentOutcome::Interrupted);
        // The second one to close it finds the first one's entry.
        assert_eq!(delivery::settle::close_cut_off(&stack, &started, None).await.unwrap(), ended);
        assert_eq!(delivery::settle(&other).await.unwrap(), Some(ended));
    });
}

/// Two deployments and a rollback, one of them cut off at every call: run again, they end the same.
#[test]
fn process_that_died_at_any_call_can_be_run_again() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (end, calls) = three_commands(None).await;
        assert_eq!(end[0], "a 1.0.0 on 1 with 128");
        for (step, calls) in calls.into_iter().enumerate() {
            for call in 0..calls {
                for fault in [Fault::CrashAfter, Fault::ErrorAfter, Fault::CutAfter] {
                    let (other, _) = three_commands(Some((step, call, fault))).await;
                    assert_eq!(other, end, "{fault:?} at call {call} of step {step}");
                }
            }
        }
    });
}

/// Runs the three commands with a fault in one of them; returns what serves and what is on hold in the end, and the calls.
async fn three_commands(cut: Option<(usize, u64, Fault)>) -> (Vec<String>, Vec<u64>) {
    let mut scene = Scene::new(false);
    let mut calls = Vec::new();
    for number in 0..3 {
        scene.run(&Step::Configure(128 + number), None).await;
        let functions = scene.functions.clone();
        let step = if number == 2 {
            Step::RollBack {
                functions: Vec::new(),
                back: RollbackTo::Previous,
                lift_hold: false,
                approved: true,
            }
        } else {
            let targets = functions
                .iter()
                .map(|function| (function.clone(), scene.release_of(function, None)))
                .collect();
            Step::Deploy { targets, lift_hold: false, always_plan: false, approved: true }
        };
        let fault = cut.filter(|(at, ..)| *at == calls.len()).map(|(_, call, fault)| (call, fault));
        let did = scene.run(&step, fault).await;
        calls.push(did.calls);
        if !matches!(did.outcome, Some(Ok(_))) {
            // Also where all was done and only the answer was lost: what is repeated means the same.
            recover_what_blocks(&mut scene).await;
            scene.run(&step, None).await.outcome.unwrap().unwrap();
        }
    }
    let last = scene.settle().await.unwrap().unwrap();
    let mut end: Vec<String> = last
        .serves
        .iter()
        .map(|(function, serving)| {
            let (number, version) = scene.lambda.serving(&serving.function_name).unwrap();
            assert_eq!(number, serving.lambda_version);
            // Terraform stands on the configuration that was applied, not on what lies in the tree by now.
            let latest = scene.lambda.latest(&serving.function_name).unwrap();
            assert!(latest.memory == 129, "Terraform stands on {}", latest.memory);
            format!("{function} {} on {number} with {}", serving.release, version.memory)
        })
        .collect();
    end.extend(last.holds.iter().map(|hold| format!("{} {} is held", hold.function, hold.release)));
    (end, calls)
}

/// What a kill in a first apply leaves, and what cannot be saved: `recover` itself is cut off at every call, and typed again.
#[tokio::test]
async fn recovery_cut_off_at_any_call_can_be_run_again() {
    for cannot_save in [false, true] {
        for fault in [Fault::CrashAfter, Fault::ErrorBefore, Fault::ErrorAfter, Fault::CutAfter] {
            for call in 0.. {
                let mut scene = blocked_scene(cannot_save).await;
                let recover = Step::Recover { approved: true };
                let did = scene.run(&recover, Some((call, fault))).await;
                let faulted_call = did.faulted_call.is_some();
                oracle::own_lock_is_recognised(&did);
                let again = scene.run(&recover, None).await;
                judge::recovery(&scene, true, &again);
                deploy_all(&mut scene).await;
                if !faulted_call {
                    break;
                }
            }
        }
    }
}

/// Returns a scene whose first deployment could not save its state, or was killed after it had created a function.
async fn blocked_scene(cannot_save: bool) -> Scene {
    for call in 0.. {
        let mut scene = Scene::new(false);
        let functions = scene.functions.clone();
        let targets =
            functions.iter().map(|function| (function.clone(), scene.release_of(function, None))).collect();
        let step = Step::Deploy { targets, lift_hold: false, always_plan: false, approved: true };
        let fault = (!cannot_save).then_some((call, Fault::CrashAfter));
        let circumstances = Circumstances { fault, cannot_save, recover_beside: false };
        let did = scene.run_under(&step, circumstances).await;
        if cannot_save || did.faulted_call.as_deref() == Some("CrashAfter at apply the alias of a") {
            assert!(scene.blocked().is_blocked(), "{did:?}");
            return scene;
        }
    }
    unreachable!("an apply creates aliases");
}

/// Types `recover` once, where a process that died left something that blocks the stack.
async fn recover_what_blocks(scene: &mut Scene) {
    if scene.blocked().is_blocked() {
        let did = scene.run(&Step::Recover { approved: true }, None).await;
        judge::recovery(scene, true, &did);
    }
}

#[tokio::test]
async fn destruction_cut_off_at_any_call_can_be_run_again() {
    for fault in
        [Fault::CrashBefore, Fault::CrashAfter, Fault::ErrorBefore, Fault::ErrorAfter, Fault::CutAfter]
    {
        for call in 0.. {
            let mut scene = Scene::new(false);
            deploy_all(&mut scene).await;
            scene.faults.arm(Some((call, fault)));
            destroy(&mut scene).await;
            let faulted_call = scene.faults.triggered_at().is_some();
            // What the ledger says is served stands, wherever it was cut off.
            let last = scene.settle().await.unwrap().unwrap();
            for serving in last.serves.values() {
                assert!(scene.lambda.serving(&serving.function_name).is_some(), "{fault:?} at call {call}");
            }
            recover_what_blocks(&mut scene).await;
            destroy(&mut scene).await;
            let last = scene.settle().await.unwrap().unwrap();
            assert!(last.serves.is_empty(), "{fault:?} at call {call}: {:?}", last.serves);
            assert_eq!((last.kind, last.outcome), (DeploymentKind::Destroy, DeploymentOutcome::Destroyed));
            deploy_all(&mut scene).await;
            if !faulted_call {
                break;
            }
        }
    }
}

async fn deploy_all(scene: &mut Scene) {
    let functions = scene.functions.clone();
    let targets =
        functions.iter().map(|function| (function.clone(), scene.release_of(function, None))).collect();
    let step = Step::Deploy { targets, lift_hold: false, always_plan: false, approved: true };
    scene.run(&step, None).await.outcome.unwrap().unwrap();
}

async fn destroy(scene: &mut Scene) {
    let (stack, faults) = (scene.stack(true), scene.faults.clone());
    let interrupt = crate::interrupt::Interrupt::never();
    let stacks = [stack];
    let request = delivery::DestroyRequest { stacks: &stacks, kept: &[], confirmed: &Default::default() };
    faults.run_until_crash(delivery::destroy_all(&request, &interrupt)).await;
}

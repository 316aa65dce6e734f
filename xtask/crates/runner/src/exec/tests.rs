//! Programs that end in every way, and their lines.

use super::*;

fn shell(script: &str) -> Program {
    Program::new("sh", ".").arg("-c").arg(script)
}

async fn run_shell(options: RunOptions, script: &str) -> (ProgramResult, Vec<String>) {
    let mut lines = Vec::new();
    let mut keep = |_, line: &str| lines.push(line.to_owned());
    let result = run(&shell(script), &options, &Interrupt::never(), &mut keep).await.unwrap();
    (result, lines)
}

#[tokio::test]
async fn pipes_and_followed_files_give_the_same_lines() {
    let script = "printf 'a\\nb\\nlast without newline'; exit 3";
    let folder = tempfile::tempdir().unwrap();
    let files = OutputTarget::Files { out: folder.path().join("out"), err: folder.path().join("err") };
    for output in [OutputTarget::Pipes, files] {
        let (result, lines) = run_shell(RunOptions { output, ..RunOptions::default() }, script).await;
        assert_eq!(lines, ["a", "b", "last without newline"]);
        assert_eq!(result.code, Some(3));
    }
}

#[tokio::test]
async fn program_that_prints_bytes_of_another_encoding_goes_on() {
    let script = "printf 'caf\\351\\n'; sleep 0.2; echo more; exit 3";
    let folder = tempfile::tempdir().unwrap();
    let files = OutputTarget::Files { out: folder.path().join("out"), err: folder.path().join("err") };
    for output in [OutputTarget::Pipes, files] {
        let (result, lines) = run_shell(RunOptions { output, ..RunOptions::default() }, script).await;
        assert_eq!(lines, ["caf\u{fffd}", "more"]);
        assert_eq!(result.code, Some(3));
    }
}

#[tokio::test]
async fn time_limit_stops_a_program_and_its_children() {
    let options = RunOptions { time_limit: Some(Duration::from_millis(100)), ..RunOptions::default() };
    let (result, _) = run_shell(options, "sleep 60 & sleep 60; wait").await;
    assert!(result.timed_out && result.took < Duration::from_secs(30));
}

#[tokio::test]
async fn program_that_is_given_up_gets_one_sigint_and_ends_by_itself() {
    let give_up = std::sync::Arc::new(tokio::sync::Notify::new());
    let options =
        RunOptions { on_signal: OnSignal::Finish, give_up: Some(give_up.clone()), ..RunOptions::default() };
    let script = "trap 'echo saved; exit 1' INT; echo ready; sleep 60 & wait";
    let mut lines = Vec::new();
    let mut keep = |_, line: &str| {
        lines.push(line.to_owned());
        give_up.notify_one();
    };
    let result = run(&shell(script), &options, &Interrupt::never(), &mut keep).await.unwrap();
    assert_eq!((result.code, result.interrupted, result.timed_out), (Some(1), false, false));
    assert_eq!(lines, ["ready", "saved"]);
}

/// Starts a child that ignores SIGTERM if `stubborn`, and dies by SIGKILL; returns the child's number.
async fn orphan_of_a_killed_program(stubborn: bool) -> u32 {
    let trap = if stubborn { "trap '' TERM; " } else { "" };
    let script = format!("sh -c \"{trap}echo \\$\\$; while :; do sleep 1; done\" & sleep 0.3; kill -9 $$");
    let (result, lines) = run_shell(RunOptions::default(), &script).await;
    assert_eq!(result.code, None);
    lines[0].parse().unwrap()
}

#[tokio::test]
async fn program_that_dies_by_a_signal_takes_its_children_with_it() {
    let started = Instant::now();
    let child = orphan_of_a_killed_program(false).await;
    assert_eq!(crate::process::start_ticks(child), None);
    assert!(started.elapsed() < KILL_AFTER, "nothing ignores SIGTERM here");
}

#[tokio::test]
async fn child_that_ignores_sigterm_is_killed() {
    let child = orphan_of_a_killed_program(true).await;
    assert_eq!(crate::process::start_ticks(child), None);
}

#[tokio::test]
async fn program_that_exits_leaves_its_children_alone() {
    let script = "sleep 30 >/dev/null 2>&1 & echo $!; exit 1";
    let (result, lines) = run_shell(RunOptions::default(), script).await;
    let child: u32 = lines[0].parse().unwrap();
    assert_eq!(result.code, Some(1));
    assert!(crate::process::start_ticks(child).is_some());
    end_group(crate::process::group(child)).await;
}

#[tokio::test]
async fn missing_program_is_named_once_with_its_hint() {
    let program = Program::new("no-such-program-here", ".").hint("install it");
    let (options, interrupt) = (RunOptions::default(), Interrupt::never());
    let failure = run(&program, &options, &interrupt, &mut |_, _| {}).await.unwrap_err();
    assert!(is_program_missing(&failure));
    let report = failure.report();
    assert_eq!(report.message, "the program `no-such-program-here` was not found");
    assert_eq!(report.causes, Vec::<String>::new());
    assert_eq!(report.hint.as_deref(), Some("install it"));
}

#[test]
fn failure_is_a_missing_program_by_its_cause_not_by_its_text() {
    assert!(!is_program_missing(&Failure::failed("the bucket was not found")));
}

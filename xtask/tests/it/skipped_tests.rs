//! Tests that cannot run are reported as skipped, and do not pass silently.

use std::fs;
use std::path::Path;
use std::process::Output;

use super::support::machine::repository;
use super::support::process::command;

/// A test that needs Terraform.
const TEST: &str = "rollback::first_release_cannot_be_rolled_back";
const MISSING: &str = "terraform is not on the PATH";

/// The folders with the sources of tests.
const SOURCES: [&str; 4] = ["xtask/tests", "xtask/crates", "xtask/rust-builder/tests", "lambda-src"];

/// Runs one test of this executable with an empty PATH.
fn run_without_programs(list: &Path, variables: &[(&str, &str)]) -> Output {
    command(&std::env::current_exe().expect("this executable"))
        .args(["--exact", TEST])
        .env("PATH", "")
        .env("SLIPWAY_SKIPPED_TESTS", list)
        .envs(variables.iter().copied())
        .output()
        .expect("a run of the tests")
}

#[test]
fn test_without_its_program_is_reported_and_listed_as_skipped() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("skipped-tests");
    let output = run_without_programs(&list, &[]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), format!("skipped: {TEST}: {MISSING}\n"));
    let files: Vec<_> = fs::read_dir(&list).expect("the list's folder").flatten().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].file_name().to_string_lossy().starts_with("xtask-it-"), "{files:?}");
    assert_eq!(fs::read_to_string(files[0].path()).expect("the list"), format!("{TEST}\t{MISSING}\n"));
}

#[test]
fn test_without_its_program_fails_in_ci() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("skipped-tests");
    let output = run_without_programs(&list, &[("CI", "true")]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && stdout.contains("1 failed"), "{stdout}");
    assert!(stdout.contains(&format!("CI=true, and {TEST} cannot run: {MISSING}")), "{stdout}");
    assert!(!list.exists(), "a failed test is listed as skipped");
}

#[test]
fn test_sources_have_no_silent_early_return() {
    // In two parts, so that this file does not contain it.
    let silent = ["else {", "return; }"].map(str::to_owned).join(" ");
    let mut found = Vec::new();
    let mut files = 0;
    for entry in SOURCES.iter().flat_map(|folder| walkdir::WalkDir::new(repository().join(folder))) {
        let entry = entry.expect("a file of the repository");
        let path = entry.path().strip_prefix(repository()).expect("a path in the repository");
        let is_test = path.components().any(|part| part.as_os_str() == "tests");
        if !is_test || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(entry.path()).expect("a source");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("return }", "return; }");
        files += 1;
        if text.contains(&silent) {
            found.push(path.display().to_string());
        }
    }
    assert!(files > 80, "only {files} sources of tests");
    assert_eq!(found, Vec::<String>::new(), "use require! (tests/support/skip.rs) to skip a test");
}

//! Runs of Terraform, and of programs in its place.

use super::*;
use crate::plan::SourceFile;

/// Runs what follows an `init` that left `new` as the lock file of the copy; returns the project's lock file.
fn lock_after_init(of_project: &str, policy: ProviderLock, ignored: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (project, copy) = (folder.path().join("project"), folder.path().join("copy"));
    let stack = project.join("terraform/stacks/hello");
    [&stack, &copy].iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
    let mut configuration = commands::tests::configuration(policy);
    let path = configuration.sources.lock_path();
    configuration.sources.files.clear();
    if !of_project.is_empty() {
        std::fs::write(project.join(&path), of_project).unwrap();
        let file = SourceFile { content: of_project.into(), executable: false };
        configuration.sources.files.insert(path.clone(), file);
    }
    configuration.sources.lock_ignored = ignored;
    (configuration.folder, configuration.project) = (copy.clone(), Some(project.clone()));
    std::fs::write(copy.join(".terraform.lock.hcl"), "new").unwrap();
    let terraform = Terraform::new(
        "terraform",
        TerraformVariables::default(),
        folder.path(),
        Interrupt::never(),
        Progress::silent(),
    );
    terraform.write_lock_back(&configuration).unwrap();
    assert_eq!(configuration.planned_sources().files[&path].content, b"new");
    std::fs::read_to_string(project.join(&path)).unwrap_or_default()
}

/// A Terraform whose provider waits for the name of a function that it created itself: its first call's answer was lost.
#[tokio::test]
async fn apply_whose_function_is_created_without_end_is_given_up_and_recover_is_named() {
    use std::os::unix::fs::PermissionsExt as _;

    use crate::plan::Infrastructure as _;

    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("terraform");
    let hook = r#"{"type":"apply_progress","@message":"Still creating...","hook":{"resource":{"addr":"module.a.aws_lambda_function.this","resource_type":"aws_lambda_function"},"action":"create","elapsed_seconds":600}}"#;
    let script = format!("#!/bin/sh\ntrap 'exit 1' INT\necho '{hook}'\nsleep 60 &\nwait\n");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut configuration = commands::tests::configuration(ProviderLock::Completed);
    let work = folder.path().to_path_buf();
    configuration.folder = work.clone();
    Arc::get_mut(&mut configuration.context).unwrap().work = work.clone();
    let terraform = Terraform::new(
        &program.display().to_string(),
        TerraformVariables::default(),
        &work,
        Interrupt::never(),
        Progress::silent(),
    );
    let (changes, drift, warnings) = (Vec::new(), Vec::new(), Vec::new());
    let file = SavedPlan::create(&work).unwrap();
    let planned = Planned { changes, drift, outputs_change: false, file, warnings };
    let failure = terraform.apply(&configuration, &planned).await.unwrap_err();
    let report = failure.report();
    assert_eq!(report.kind, FailureKind::Failed);
    assert!(report.message.contains("was given up: module.a.aws_lambda_function.this was being created"));
    assert!(report.hint.unwrap().starts_with("cargo xtask recover --env dev finds"), "{failure}");
}

#[test]
fn lock_file_is_written_back_but_not_in_ci_and_not_if_git_ignores_it() {
    use ProviderLock::{Completed, Kept};
    assert_eq!(lock_after_init("", Completed, false), "new");
    assert_eq!(lock_after_init("old", Completed, false), "new");
    assert_eq!(lock_after_init("", Kept, false), "");
    assert_eq!(lock_after_init("", Completed, true), "");
}

#[test]
fn providers_that_init_chose_are_not_planned_with_where_the_project_must_lock_them() {
    let copy = tempfile::tempdir().unwrap();
    let chosen = |policy, locked: bool, of_project: bool| {
        let mut configuration = commands::tests::configuration(policy);
        if !locked {
            configuration.sources.files.clear();
        }
        configuration.folder = copy.path().to_path_buf();
        configuration.project = of_project.then(|| "/p".into());
        configuration.refuse_chosen_providers()
    };
    assert!(chosen(ProviderLock::Required, false, true).is_ok(), "init needed no provider");
    std::fs::write(copy.path().join(".terraform.lock.hcl"), "chosen").unwrap();
    let refused = chosen(ProviderLock::Required, false, true).unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Refused);
    assert!(refused.message().contains("has no terraform/stacks/hello/.terraform.lock.hcl"));
    assert!(chosen(ProviderLock::Required, true, true).is_ok());
    assert!(chosen(ProviderLock::Required, false, false).is_ok(), "files that were applied before");
    assert!(chosen(ProviderLock::Kept, false, true).is_ok());
}

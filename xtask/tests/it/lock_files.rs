//! The lock file of providers: a protected environment takes no providers that `init` chose.

use std::fs;
use std::path::Path;

use super::support::sandbox::init_repository;
use super::support::{EchoProject, TestRun, process};
use crate::require;

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];
const ENVIRONMENT: &str = "terraform/environments/local/environment.toml";

fn protect(project: &EchoProject) {
    project.write(ENVIRONMENT, "emulated = true\nprotected = true\n");
    project.commit("build: protect it");
}

/// Runs the command that the hints name.
fn write_lock(project: &EchoProject, stack: &str) {
    let machine = project.test_run.machine;
    let output = process::command(Path::new("terraform"))
        .arg(format!("-chdir={stack}"))
        .args(["init", "-backend=false"])
        .current_dir(&project.folder)
        .env("PATH", &machine.path)
        .env("HOME", &project.home)
        .envs(machine.terraform_settings.as_ref().map(|file| ("TF_CLI_CONFIG_FILE", file)))
        .output()
        .expect("terraform");
    assert!(output.status.success(), "{output:?}");
    project.commit("build: lock the providers");
}

#[test]
fn protected_environment_requires_a_lock_file_that_has_every_provider() {
    let test_run = require!(TestRun::shared());
    let project = EchoProject::with_provider(test_run);
    let stack = "terraform/stacks/hello";
    let lock = format!("{stack}/.terraform.lock.hcl");
    fs::remove_file(project.folder.join(&lock)).expect("the lock file");
    protect(&project);
    let refused = project
        .run(&RELEASE)
        .exits(6)
        .says(&format!("local is protected and the stack `hello` has no {lock}"))
        .says("Nothing was changed.")
        .says(&format!("run terraform -chdir={stack} init -backend=false"));
    assert!(!refused.ran_step("build") && !refused.ran_step("init"), "{refused}");

    write_lock(&project, stack);
    project.run(&RELEASE).exits(0).says("hello 0.1.0 serves in local.");

    // A provider that the file lacks.
    project.write(&lock, "# Nothing is locked.\n");
    project.commit("build: lose the lock");
    let refused = project
        .run(&RELEASE)
        .exits(6)
        .says(&format!("{lock} lacks a provider that the stack `hello` requires"))
        .says(&format!("run terraform -chdir={stack} init -backend=false, and commit {lock}"));
    assert!(!refused.ran_step("plan"), "{refused}");
    write_lock(&project, stack);
    project.run(&RELEASE).exits(0);
}

/// What a module from elsewhere needs is known only after `init`.
#[test]
fn provider_that_only_a_remote_module_requires_is_refused_before_the_plan() {
    let project = require!(EchoProject::new());
    let module = project.folder.with_extension("module");
    fs::create_dir_all(&module).expect("a folder");
    let provider = "terraform {\n  required_providers {\n    aws = { source = \"hashicorp/aws\" }\n  }\n}\n";
    fs::write(module.join("main.tf"), provider).expect("the module");
    init_repository(&module);
    project.write(
        "terraform/stacks/echo/remote.tf",
        &format!("module \"remote\" {{\n  source = \"git::file://{}\"\n}}\n", module.display()),
    );
    protect(&project);
    let refused = project
        .run(&RELEASE)
        .exits(6)
        .says("the stack `echo` has no terraform/stacks/echo/.terraform.lock.hcl: init would choose");
    assert!(refused.ran_step("init") && !refused.ran_step("plan"), "{refused}");
    write_lock(&project, "terraform/stacks/echo");
    project.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
}

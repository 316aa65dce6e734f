//! A stack's files: what is planned is what is kept, from the files that git lists, whatever the user's variables say.
//!
//! In: the echo project, whose stack needs no provider; one test has the real AWS provider.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use super::support::commands::{RELEASE, ROLLBACK};
use super::support::{EchoProject, TestRun};
use crate::require;

const STACK: &str = "terraform/stacks/echo";
const ENVIRONMENT: &str = "terraform/environments/local/environment.toml";

/// Adds an output `note` with this expression to the stack.
fn add_note(project: &EchoProject, expression: &str) {
    project.write(&format!("{STACK}/note.tf"), &format!("output \"note\" {{\n  value = {expression}\n}}\n"));
}

fn note(project: &EchoProject) -> Value {
    let outputs = project.run(&["output", "--env", "local", "--output", "json"]).exits(0).json();
    outputs["data"]["stacks"]["echo"]["note"]["value"].clone()
}

/// Panics if a release was published or a deployment recorded.
#[track_caller]
fn assert_nothing_published(project: &EchoProject) {
    for bucket in project.account.buckets() {
        assert_eq!(project.account.keys(&bucket), Vec::<String>::new(), "{bucket}");
    }
}

/// R23, F4: a file outside the stack is declared, or it does not exist for the plan.
#[test]
fn file_outside_the_stack_is_planned_kept_and_rolled_back_once_it_is_declared() {
    let project = require!(EchoProject::new());
    project.write("terraform/policies/note.txt", "one");
    add_note(&project, "trimspace(file(\"${path.module}/../../policies/note.txt\"))");
    project.commit("build: a note");
    project
        .run(&RELEASE)
        .exits(2)
        .says("reads terraform/policies/note.txt, which is not part of the stack `echo`")
        .says("files = [\"../../policies/**\"]");
    assert_nothing_published(&project);

    project
        .write(&format!("{STACK}/stack.toml"), "functions = [\"echo\"]\nfiles = [\"../../policies/**\"]\n");
    project.commit("build: declare the note");
    project.run(&RELEASE).exits(0);
    assert_eq!(note(&project), "one");
    let again = project.run(&RELEASE).exits(0).says("plan skipped");
    assert!(!again.ran_step("plan") && !again.ran_step("init"), "{again}");

    project.write("terraform/policies/note.txt", "two");
    project.commit("build: another note");
    let changed = project.run(&RELEASE).exits(0);
    assert!(changed.ran_step("plan") && !changed.ran_step("init"), "{changed}");
    assert_eq!(note(&project), "two");

    project.change_code();
    project.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    fs::remove_file(project.folder.join("terraform/policies/note.txt")).expect("the note");
    project.run(&ROLLBACK).exits(0).says("echo 0.1.0 serves in local again.");
    assert_eq!(note(&project), "two");
}

/// A path that only the plan knows: Terraform's error gets the line for stack.toml.
#[test]
fn file_that_only_the_plan_names_is_missing_with_a_hint() {
    let project = require!(EchoProject::new());
    project.write("terraform/policies/note.txt", "one");
    project.write(
        &format!("{STACK}/note.tf"),
        "variable \"note\" {\n  default = \"../../policies/note.txt\"\n}\noutput \"note\" {\n  value = file(var.note)\n}\n",
    );
    project
        .run(&RELEASE)
        .exits(1)
        .says("no file exists at")
        .says("add it to terraform/stacks/echo/stack.toml, files = [\"../../policies/note.txt\"]");
}

/// R26, F7: ignored files are in no plan and no archive; a protected environment refuses them.
#[test]
fn ignored_files_are_not_planned_and_a_protected_environment_refuses_them() {
    let project = require!(EchoProject::new());
    add_note(&project, "\"committed\"");
    project.write(".gitignore", "/target/\n**/.terraform/\noverride.tf\ncrash.log\n");
    project.write(ENVIRONMENT, "emulated = true\nprotected = true\n");
    project.commit("build: protect it");
    project.write(&format!("{STACK}/override.tf"), "output \"note\" {\n  value = \"not committed\"\n}\n");
    project.write(&format!("{STACK}/crash.log"), "db_password = \"hush\"\n");
    project
        .run(&RELEASE)
        .exits(6)
        .says("local is protected and git ignores terraform/stacks/echo/override.tf")
        .says("Nothing was changed.");
    assert_nothing_published(&project);

    project.write(ENVIRONMENT, "emulated = true\n");
    project.commit("build: open it");
    project
        .run(&RELEASE)
        .exits(0)
        .says("git ignores terraform/stacks/echo/override.tf: it is not part of the plan");
    assert_eq!(note(&project), "committed");
    let [_, bucket] = project.account.buckets();
    let keys = project.account.keys(&bucket);
    let key = keys.iter().find(|key| key.starts_with("configurations/")).expect("a configuration");
    let zip = project.account.object(&bucket, key);
    for name in ["override.tf", "crash.log"] {
        assert!(!zip.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
    }
    let main = "terraform/stacks/echo/main.tf";
    assert!(zip.windows(main.len()).any(|window| window == main.as_bytes()));
}

/// R22: links to files of the project are followed, and a change of what they lead to is planned and rolled back.
#[test]
fn linked_file_is_planned_kept_and_rolled_back() {
    let project = require!(EchoProject::new());
    project.write("terraform/shared/note.tf", "output \"note\" {\n  value = \"one\"\n}\n");
    symlink("../../shared/note.tf", project.folder.join(STACK).join("note.tf")).expect("a link");
    project.commit("build: a linked file");
    project.run(&RELEASE).exits(0);
    project.write("terraform/shared/note.tf", "output \"note\" {\n  value = \"two\"\n}\n");
    project.commit("build: change it");
    let changed = project.run(&RELEASE).exits(0);
    assert!(changed.ran_step("plan"), "{changed}");
    assert_eq!(note(&project), "two");
    project.change_code();
    project.run(&RELEASE).exits(0);
    project.run(&ROLLBACK).exits(0).says("echo 0.1.0 serves in local again.");
    assert_eq!(note(&project), "two");
}

/// F9: a stack's folder may be a link to a root module elsewhere, whose modules Terraform finds from there.
#[test]
fn linked_stack_is_released_and_rolled_back_with_its_modules() {
    let project = require!(EchoProject::new());
    let elsewhere = project.folder.join("infra/envs/dev");
    fs::create_dir_all(elsewhere.parent().expect("a folder")).expect("a folder");
    fs::rename(project.folder.join(STACK), &elsewhere).expect("the stack's folder");
    symlink("../../infra/envs/dev", project.folder.join(STACK)).expect("a link");
    project.write("infra/modules/note/main.tf", "output \"text\" {\n  value = \"from the module\"\n}\n");
    project.write(
        "infra/envs/dev/note.tf",
        "module \"note\" {\n  source = \"../../modules/note\"\n}\noutput \"note\" {\n  value = module.note.text\n}\n",
    );
    project.commit("build: move the stack");
    project.run(&RELEASE).exits(0);
    assert_eq!(note(&project), "from the module");
    project.change_code();
    project.run(&RELEASE).exits(0);
    fs::remove_dir_all(project.folder.join("infra/modules")).expect("the module");
    project.run(&ROLLBACK).exits(0).says("echo 0.1.0 serves in local again.");
    assert_eq!(note(&project), "from the module");
}

/// R21: the JSON syntaxes are read as Terraform reads them.
#[test]
fn json_files_are_read_as_terraform_reads_them() {
    let project = require!(EchoProject::new());
    project.write(
        &format!("{STACK}/note.tf.json"),
        r#"{"module": {"note": {"source": "../../modules/note"}}, "variable": {"suffix": {"default": "x"}},
            "output": {"note": {"value": "${module.note.text}${var.suffix}"}}}"#,
    );
    project.write("terraform/modules/note/main.tf", "output \"text\" {\n  value = \"one\"\n}\n");
    let values = "terraform/environments/local/echo.tfvars.json";
    project.write(values, r#"{"suffix": "!", "no_such_variable": 1}"#);
    project
        .run(&RELEASE)
        .exits(2)
        .says("echo.tfvars.json: the stack `echo` declares no variable `no_such_variable`");
    project.write(values, r#"{"suffix": "!"}"#);
    project.run(&RELEASE).exits(0);
    assert_eq!(note(&project), "one!");
    project.write("terraform/modules/note/main.tf", "output \"text\" {\n  value = \"two\"\n}\n");
    project.run(&RELEASE).exits(0);
    assert_eq!(note(&project), "two!");
}

/// F6, and the contract's other parts: refused before anything is built or published.
#[test]
fn stack_that_breaks_the_contract_is_refused_before_anything_is_published() {
    let project = require!(EchoProject::new());
    let path = format!("{STACK}/main.tf");
    let main = fs::read_to_string(project.folder.join(&path)).expect("the stack");
    for (part, instead, words) in [
        ("  backend \"s3\" {}\n", "", "the stack `echo` has no backend \"s3\""),
        ("backend \"s3\"", "backend \"local\"", "the stack `echo` keeps its state in `local`"),
        ("variable \"releases\"", "variable \"release\"", "declares no variable `releases`"),
        ("output \"functions\"", "output \"function\"", "has no output `functions`"),
    ] {
        project.write(&path, &main.replace(part, instead));
        let refused = project.run(&RELEASE).exits(2).says(words).says("Nothing was changed.");
        assert!(!refused.ran_step("init") && !refused.ran_step("build"), "{refused}");
        assert_nothing_published(&project);
        assert!(!project.folder.join(STACK).join("terraform.tfstate").exists());
    }
    project.write(&path, &main);
    project.run(&RELEASE).exits(0);
}

/// R27: the user's variables change no command line, no workspace and no value.
#[test]
fn variables_that_would_change_a_plan_are_removed_or_refused() {
    let project = require!(EchoProject::new());
    project.write(
        &format!("{STACK}/note.tf"),
        "variable \"note\" {\n  default = \"file\"\n}\noutput \"note\" {\n  value = var.note\n}\n",
    );
    let run = |variables: &[(&str, &str)]| {
        let always: Vec<&str> = RELEASE.into_iter().chain(["--plan"]).collect();
        project.start_with(&always, variables).wait()
    };
    run(&[
        ("TF_CLI_ARGS_init", "-upgrade"),
        ("TF_CLI_ARGS_plan", "-target=terraform_data.account"),
        ("TF_CLI_ARGS_apply", "-var=note=argument"),
        ("TF_WORKSPACE", "other"),
        ("TF_DATA_DIR", "elsewhere"),
        ("CI", "true"),
    ])
    .exits(0)
    .says("echo 0.1.0 serves in local.");
    run(&[("TF_CLI_ARGS_plan", "-destroy"), ("TF_CLI_ARGS_output", "-raw")]).exits(0);
    assert_eq!(note(&project), "file");
    run(&[("TF_VAR_note", "variable")])
        .exits(2)
        .says("TF_VAR_note is set")
        .says("terraform/environments/local/echo.tfvars");
    // Without `--plan` as well: what it says must not be passed over.
    project.start_with(&RELEASE, &[("TF_VAR_note", "variable")]).wait().exits(2).says("TF_VAR_note is set");
    run(&[("TF_VAR_versions", "of another tool")]).exits(0);
    assert_eq!(note(&project), "file");
}

/// R29, with the real provider: a local environment stays local. And a lock file that `init` writes is written back.
#[test]
fn local_environment_stays_local_whatever_the_variables_say() {
    let test_run = require!(TestRun::shared());
    let project = EchoProject::with_provider(test_run);
    let lock = "terraform/stacks/hello/.terraform.lock.hcl";
    fs::remove_file(project.folder.join(lock)).expect("the lock file");
    project.commit("build: no lock file");
    project.write("aws-config", "[default]\nendpoint_url = http://127.0.0.1:9\nuse_fips_endpoint = true\n");
    let config = project.folder.join("aws-config");
    let variables = [
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL_IAM", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9"),
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
        ("AWS_PROFILE", "nobody"),
        ("AWS_CONFIG_FILE", config.to_str().expect("a path")),
    ];
    project
        .start_with(&RELEASE, &variables)
        .wait()
        .exits(0)
        .says("hello 0.1.0 serves in local.")
        .says("init changed terraform/stacks/hello/.terraform.lock.hcl: commit it");
    let text = fs::read_to_string(project.folder.join(lock)).expect("the lock file");
    assert!(text.contains("registry.terraform.io/hashicorp/aws"), "{text}");
    let again = project.run(&RELEASE).exits(0).says("plan skipped");
    assert!(!again.ran_step("init"), "{again}");
}

//! Secrets that are planted, and searched for in everything that is printed and written below Slipway's own folder.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::json;

use super::support::EchoProject;
use super::support::commands::RELEASE;
use super::support::sandbox::files_below;
use crate::require;

const SECRET: &str = "planted-smoke-secret-4711";
const VARIABLE: &str = "planted-variable-secret-4712";

/// Sends a secret that the function echoes, and expects another status, so that the response is shown.
const SMOKE: &str = r#"
[[smoke]]
name = "shows the key"
request = { method = "GET", path = "/", headers = { x-key = "${secret.keys}" } }
expect = { status = 418 }
within = "30s"
safe = true
"#;

fn append(project: &EchoProject, path: &str, text: &str) {
    let present = std::fs::read_to_string(project.folder.join(path)).unwrap_or_default();
    project.write(path, &format!("{present}{text}"));
}

/// The files below Slipway's folder that have a text, without the logs and the state of the emulated services.
fn files_with(project: &EchoProject, text: &str) -> Vec<PathBuf> {
    let work = project.folder.join("target/slipway");
    let files = files_below(&work).into_iter().filter(|path| !path.starts_with(work.join("local")));
    files
        .filter(|path| {
            let bytes = std::fs::read(path).unwrap_or_default();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
        .collect()
}

#[test]
fn secret_that_a_smoke_request_carried_is_nowhere() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    append(&project, "lambda-src/echo/function.toml", SMOKE);
    append(&project, "terraform/stacks/echo/main.tf", "\noutput \"keys\" {\n  value = \"shop-keys\"\n}\n");
    project.change_code();
    let body = json!({ "Name": "shop-keys", "SecretString": SECRET });
    project.account.call_json("secretsmanager", "secretsmanager.CreateSecret", "1.1", &body);
    for output in ["text", "json"] {
        let failed = project.run(&["release", "--env", "local", "--yes", "--output", output]).exits(5);
        let failed = failed.says("did not verify");
        assert!(
            failed.stdout.contains("***") || failed.stderr.contains("***"),
            "the echo is shown: {failed}"
        );
        for printed in [&failed.stdout, &failed.stderr] {
            assert!(!printed.contains(SECRET), "{failed}");
        }
    }
    assert_eq!(files_with(&project, SECRET), Vec::<PathBuf>::new());
}

#[test]
fn plan_that_fails_leaves_no_saved_plan_and_values_are_private() {
    let project = require!(EchoProject::new());
    append(
        &project,
        "terraform/stacks/echo/main.tf",
        "\nvariable \"password\" {\n  type      = string\n  sensitive = true\n}\n\nresource \"terraform_data\" \"password\" {\n  input = var.password\n}\n",
    );
    append(&project, "terraform/environments/local/echo.tfvars", &format!("password = \"{VARIABLE}\"\n"));
    project.commit("build: a password");
    // Fails in the middle of the plan, after the values are known.
    append(
        &project,
        "terraform/stacks/echo/main.tf",
        "\noutput \"fails\" {\n  value = tonumber(terraform_data.account.output)\n  precondition {\n    condition     = var.environment.name == \"other\"\n    error_message = \"not here\"\n  }\n}\n",
    );
    let failed = project.run(&RELEASE).exits(1);
    assert!(!failed.stdout.contains(VARIABLE) && !failed.stderr.contains(VARIABLE), "{failed}");
    let work = project.folder.join("target/slipway");
    let plans = || -> Vec<PathBuf> {
        let files = files_below(&work);
        files.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "tfplan")).collect()
    };
    assert_eq!(plans(), Vec::<PathBuf>::new(), "{failed}");
    assert_eq!(work.metadata().expect("Slipway's folder").permissions().mode() & 0o777, 0o700);
    let stack =
        std::fs::read_to_string(project.folder.join("terraform/stacks/echo/main.tf")).expect("the stack");
    let repaired = stack.split("\noutput \"fails\"").next().expect("the stack").to_owned();
    project.write("terraform/stacks/echo/main.tf", &repaired);
    project.run(&RELEASE).exits(0);
    project.run(&["release", "--env", "local", "--yes", "--plan"]).exits(0).says("already serves");
    assert_eq!(plans(), Vec::<PathBuf>::new(), "after an empty plan");
    // The values are in the copy of the stack's files and in what is stored of them, which the folder keeps private.
    let places = files_with(&project, VARIABLE);
    let copy = work.join("terraform/local/echo/source");
    assert!(places.iter().all(|path| path.starts_with(&copy)), "{places:?}");
}

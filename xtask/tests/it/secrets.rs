//! A smoke request that needs a secret: without its value nothing new serves, the error names the secret and the command
//! that sets it, and the same command continues from there without applying again.

use serde_json::{Value, json};

use super::support::commands::RELEASE;
use super::support::{EchoProject, ObservedState};
use crate::require;

const SECRET: &str = "shop-keys";
const FUNCTION: &str = "lambda-src/echo/function.toml";
const STACK: &str = "terraform/stacks/echo/main.tf";

/// Sends a member of the secret that the stack's output names, and expects it in the response.
const SMOKE: &str = r#"
[[smoke]]
name = "lets the key in"
request = { method = "GET", path = "/", headers = { x-key = "${secret.keys/key}" } }
expect = { status = 200, body = { event = { headers = { x-key = "${secret.keys/key}" } } } }
within = "30s"
safe = true
"#;

fn append(project: &EchoProject, path: &str, text: &str) {
    let present = std::fs::read_to_string(project.folder.join(path)).expect(path);
    project.write(path, &format!("{present}{text}"));
}

/// Makes the next release need the secret.
fn require_secret(project: &EchoProject) {
    append(project, FUNCTION, SMOKE);
    append(project, STACK, &format!("\noutput \"keys\" {{\n  value = \"{SECRET}\"\n}}\n"));
    project.change_code();
}

fn call_secrets_manager(project: &EchoProject, operation: &str, body: &Value) {
    project.account.call_json("secretsmanager", &format!("secretsmanager.{operation}"), "1.1", body);
}

#[test]
fn release_without_its_secret_does_not_serve_and_continues_once_it_is_set() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    require_secret(&project);
    let put = |value: &str| {
        call_secrets_manager(
            &project,
            "PutSecretValue",
            &json!({ "SecretId": SECRET, "SecretString": value }),
        )
    };
    let release_without_secret = |what: &str| {
        project
            .run(&RELEASE)
            .exits(5)
            .says("`echo` version 2 in local did not verify")
            .says(&format!("the secret {SECRET} {what}"))
            .says("(JSON with a value at /key)")
            .says(&format!("aws secretsmanager put-secret-value --secret-id {SECRET} --secret-string"))
            .says("No alias was moved: users reach the same version as before.")
    };
    let first = release_without_secret("does not exist, or has no value yet");
    assert!(first.ran_step("apply") && !first.ran_step("rollout"), "{first}");
    call_secrets_manager(&project, "CreateSecret", &json!({ "Name": SECRET }));
    for (value, what) in [
        (None, "does not exist, or has no value yet"),
        (Some("plain"), "holds no JSON"),
        (Some("{\"other\": \"hush-1\"}"), "has no value at /key"),
    ] {
        value.into_iter().for_each(put);
        let again = release_without_secret(what);
        assert!(!again.ran_step("apply") && !again.ran_step("build"), "{again}");
        assert!(!again.stdout.contains("hush-1") && !again.stderr.contains("hush-1"), "{again}");
    }
    let observed = ObservedState::of(&project);
    assert_eq!((observed.alias.as_str(), &observed.status["release"]), ("1", &"0.1.0".into()));
    assert_eq!((observed.unfinished, observed.locks), (vec![], vec![]));
    let history = project.run(&["history", "--env", "local", "--output", "json"]).exits(0).json();
    let outcomes: Vec<&str> = history["data"]["deployments"]
        .as_array()
        .expect("deployments")
        .iter()
        .map(|one| one["outcome"].as_str().expect("an outcome"))
        .collect();
    assert_eq!(outcomes, [&["verification_failed"; 4][..], &["verified"]].concat());

    put("{\"key\": \"hush-2\"}");
    let done = project.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    assert!(!done.ran_step("apply") && !done.ran_step("build") && done.ran_step("verify"), "{done}");
    assert!(!done.stdout.contains("hush-2") && !done.stderr.contains("hush-2"), "{done}");
    assert_eq!(ObservedState::of(&project).alias, "2");
}

/// A stack that creates its secret and leaves the value to the secret's owner.
#[test]
fn first_release_names_the_missing_secret_and_how_to_set_it() {
    let project = require!(EchoProject::new());
    append(&project, FUNCTION, SMOKE);
    append(&project, STACK, &format!("\noutput \"keys\" {{\n  value = \"{SECRET}\"\n}}\n"));
    project.commit("feat: a key");
    call_secrets_manager(&project, "CreateSecret", &json!({ "Name": SECRET }));
    project
        .run(&RELEASE)
        .exits(5)
        .says(&format!("the secret {SECRET} does not exist, or has no value yet"))
        .says("This was the first deployment of `")
        .says(&format!("aws secretsmanager put-secret-value --secret-id {SECRET} --secret-string"));
    let status = project.run(&["status", "--env", "local", "--output", "json"]).exits(0).json();
    let serves = &status["data"]["environments"]["local"]["functions"]["echo"]["verified"];
    assert_ne!(serves, true, "{status}");
    call_secrets_manager(
        &project,
        "PutSecretValue",
        &json!({ "SecretId": SECRET, "SecretString": "{\"key\": \"k\"}" }),
    );
    let done = project.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    assert!(!done.ran_step("apply") && !done.ran_step("build"), "{done}");
}

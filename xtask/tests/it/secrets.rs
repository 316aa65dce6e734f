//! A smoke request that needs a secret: without its value nothing new serves, the secret and the way to put it are named,
//! and the same command goes on from there without applying again.

use serde_json::{Value, json};

use super::support::{Settled, World};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];
const SECRET: &str = "shop-keys";
const FUNCTION: &str = "lambda-src/echo/function.toml";
const STACK: &str = "terraform/stacks/echo/main.tf";

/// Asks for a member of the secret whose name the stack puts out, and finds it in the answer.
const SMOKE: &str = r#"
[[smoke]]
name = "lets the key in"
request = { method = "GET", path = "/", headers = { x-key = "${secret.keys/key}" } }
expect = { status = 200, body = { event = { headers = { x-key = "${secret.keys/key}" } } } }
within = "30s"
safe = true
"#;

fn append(world: &World, path: &str, text: &str) {
    let present = std::fs::read_to_string(world.project.join(path)).expect(path);
    world.write(path, &format!("{present}{text}"));
}

/// Has the second release need the secret.
fn needs_a_secret(world: &World) {
    append(world, FUNCTION, SMOKE);
    append(world, STACK, &format!("\noutput \"keys\" {{\n  value = \"{SECRET}\"\n}}\n"));
    world.second_code();
}

fn secrets(world: &World, operation: &str, body: &Value) {
    world.account.target("secretsmanager", &format!("secretsmanager.{operation}"), "1.1", body);
}

#[test]
fn a_release_waits_for_its_secret_and_then_goes_on() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    needs_a_secret(&world);
    let put = |value: &str| {
        secrets(&world, "PutSecretValue", &json!({ "SecretId": SECRET, "SecretString": value }))
    };
    let missing = |what: &str| {
        world
            .run(&RELEASE)
            .exits(5)
            .says("`echo` version 2 in local did not verify")
            .says(&format!("the secret {SECRET} {what}"))
            .says("(JSON with a value at /key)")
            .says(&format!("aws secretsmanager put-secret-value --secret-id {SECRET} --secret-string"))
            .says("No alias was moved: users reach the same version as before.")
    };
    let first = missing("does not exist, or has no value yet");
    assert!(first.did("apply") && !first.did("rollout"), "{first}");
    secrets(&world, "CreateSecret", &json!({ "Name": SECRET }));
    for (value, what) in [
        (None, "does not exist, or has no value yet"),
        (Some("plain"), "holds no JSON"),
        (Some("{\"other\": \"hush-1\"}"), "has no value at /key"),
    ] {
        value.into_iter().for_each(put);
        let again = missing(what);
        assert!(!again.did("apply") && !again.did("build"), "{again}");
        assert!(!again.stdout.contains("hush-1") && !again.stderr.contains("hush-1"), "{again}");
    }
    let settled = Settled::of(&world);
    assert_eq!((settled.alias.as_str(), &settled.status["release"]), ("1", &"0.1.0".into()));
    assert_eq!((settled.open, settled.locks), (vec![], vec![]));
    let history = world.run(&["history", "--env", "local", "--output", "json"]).exits(0).json();
    let outcomes: Vec<&str> = history["data"]["deployments"]
        .as_array()
        .expect("deployments")
        .iter()
        .map(|one| one["outcome"].as_str().expect("an outcome"))
        .collect();
    assert_eq!(outcomes, [&["verification_failed"; 4][..], &["verified"]].concat());

    put("{\"key\": \"hush-2\"}");
    let done = world.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    assert!(!done.did("apply") && !done.did("build") && done.did("verify"), "{done}");
    assert!(!done.stdout.contains("hush-2") && !done.stderr.contains("hush-2"), "{done}");
    assert_eq!(Settled::of(&world).alias, "2");
}

/// The way of a stack that makes its own secret and leaves the value to whoever owns it.
#[test]
fn a_first_release_says_what_is_to_be_put_where() {
    let Some(world) = World::new() else { return };
    append(&world, FUNCTION, SMOKE);
    append(&world, STACK, &format!("\noutput \"keys\" {{\n  value = \"{SECRET}\"\n}}\n"));
    world.commit("feat: a key");
    secrets(&world, "CreateSecret", &json!({ "Name": SECRET }));
    world
        .run(&RELEASE)
        .exits(5)
        .says(&format!("the secret {SECRET} does not exist, or has no value yet"))
        .says("This was the first deployment: its alias points to the version that did not verify.")
        .says(&format!("aws secretsmanager put-secret-value --secret-id {SECRET} --secret-string"));
    let status = world.run(&["status", "--env", "local", "--output", "json"]).exits(0).json();
    let serves = &status["data"]["environments"]["local"]["functions"]["echo"]["verified"];
    assert_ne!(serves, true, "{status}");
    secrets(&world, "PutSecretValue", &json!({ "SecretId": SECRET, "SecretString": "{\"key\": \"k\"}" }));
    let done = world.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.");
    assert!(!done.did("apply") && !done.did("build"), "{done}");
}

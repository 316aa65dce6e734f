//! The whole way with the real AWS provider, the repository's own module and its stack `hello`.
//!
//! The function is the small one of the fast world under the name that the stack knows, so that the build is short.

use super::support::{World, guard};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];

#[test]
fn released_twice_and_taken_back() {
    let Some(run) = guard::run() else { return };
    let world = World::with_provider(run);
    let first = world.run(&RELEASE).exits(0).says("hello 0.1.0 serves in local.");
    assert!(first.did("build") && first.did("apply"), "{first}");
    assert_eq!(world.account.alias("hello"), "1");
    let again = world.run(&RELEASE).exits(0).says("already serves");
    assert!(!again.did("plan"), "{again}");

    world.second_code_of("hello");
    world.run(&RELEASE).exits(0).says("hello 0.2.0 serves in local.").says("hello live 1 -> 2");
    assert_eq!(world.account.alias("hello"), "2");
    assert!(world.run(&["local", "invoke"]).exits(0).stdout.contains("\"two\""));

    world
        .run(&["rollback", "--env", "local", "--yes"])
        .exits(0)
        .says("hello 0.1.0 serves in local again.")
        .says("hello live 2 -> 1");
    assert_eq!(world.account.alias("hello"), "1");
    assert!(world.run(&["local", "invoke"]).exits(0).stdout.contains("\"one\""));
    // Terraform agrees: the old code with nothing to change.
    world.run(&["plan", "hello", "--env", "local", "--version", "0.1.0", "--exit-code"]).exits(0);
    let status = world.run(&["status", "--env", "local", "--output", "json"]).exits(0).json();
    let local = &status["data"]["environments"]["local"];
    assert_eq!(local["warnings"], serde_json::json!([]));
    let hello = &local["functions"]["hello"];
    assert_eq!(hello["release"], "0.1.0");
    assert_eq!(hello["as_recorded"], true);
    assert_eq!(hello["outcome"], "rolled_back");
    assert_eq!(hello["held"], serde_json::json!(["0.2.0"]));
    // Rolling back published the old code again; traffic stays on the version that was verified.
    assert_eq!((&hello["lambda_version"], &hello["newest_version"]), (&"1".into(), &"3".into()));
}

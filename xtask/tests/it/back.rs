//! Rollback where something is in the way: others' changes, versions that are gone, nothing to go back to.

use super::support::{Settled, World};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];
const BACK: [&str; 4] = ["rollback", "--env", "local", "--yes"];

#[test]
fn there_is_nothing_before_the_first() {
    let Some(world) = World::new() else { return };
    world.run(&BACK).exits(2).says("nothing was deployed");
    world.run(&RELEASE).exits(0);
    world.run(&BACK).exits(6).says("is the only verified release").says("Nothing was changed.");
    world.run(&["rollback", "--env", "local", "--yes", "--to", "0.9.0"]).exits(2).says("0.1.0");
}

/// The stack has something beside the function that follows each release: a rollback must not touch it.
#[test]
fn traffic_goes_back_where_terraform_would_touch_more() {
    let Some(world) = World::new() else { return };
    let path = "terraform/stacks/echo/main.tf";
    let stack = std::fs::read_to_string(world.project.join(path)).expect("the stack");
    world.write(
        path,
        &format!("{stack}\nresource \"terraform_data\" \"follows\" {{\n  input = local.code\n}}\n"),
    );
    world.commit("build: something that follows each release");
    world.run(&RELEASE).exits(0);
    world.second_code();
    world.run(&RELEASE).exits(0);
    world.run(&BACK).exits(6).says("terraform_data.follows").says("Traffic is back on the earlier release");
    assert_eq!(world.account.alias("echo"), "1");
    let status = world.run(&["status", "--env", "local", "--output", "json"]).exits(0).json();
    let local = &status["data"]["environments"]["local"];
    assert_eq!(local["functions"]["echo"]["outcome"], "terraform_pending");
    assert_eq!(local["functions"]["echo"]["release"], "0.1.0");
    assert_eq!(local["functions"]["echo"]["held"], serde_json::json!(["0.2.0"]));
    // Running it again comes to the same end, and a deployment of the earlier release brings Terraform to agree.
    world.run(&BACK).exits(6);
    assert_eq!(world.account.alias("echo"), "1");
    world.run(&["deploy", "echo", "--env", "local", "--version", "0.1.0", "--yes"]).exits(0);
    let settled = Settled::of(&world);
    assert_eq!(settled.alias, "1");
    assert_eq!(settled.status["warnings"], serde_json::json!([]));
    assert_eq!(settled.status["held"], serde_json::json!(["0.2.0"]));
    assert_eq!((settled.open, settled.locks), (vec![], vec![]));
}

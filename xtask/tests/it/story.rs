//! One release's life, and the next one's: released, verified, served; refused where it must be; nothing left behind.

use insta::assert_json_snapshot;
use serde_json::Value;

use super::support::{Settled, World, redacted};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];

fn status(world: &World) -> Value {
    let document = world.run(&["status", "--output", "json"]).exits(0).json();
    redacted(document, world)
}

#[test]
fn a_release_serves_and_is_not_made_twice() {
    let Some(world) = World::new() else { return };
    let first = world.run(&RELEASE).exits(0).says("echo 0.1.0 serves in local.").says("smoke \"echoes\"");
    assert!(first.did("publish") && first.did("apply") && first.did("rollout"));
    assert_json_snapshot!(status(&world), @r#"
    {
      "schema": "slipway.status/1",
      "ok": true,
      "data": {
        "environments": {
          "local": {
            "reached": true,
            "functions": {
              "echo": {
                "stack": "echo",
                "release": "0.1.0",
                "commit": "[commit]",
                "lambda_version": "1",
                "alias_version": "1",
                "newest_version": "1",
                "verified": true,
                "as_recorded": true,
                "deployment": 1,
                "outcome": "verified",
                "since": "[time]",
                "by": "[by]",
                "held": []
              }
            },
            "warnings": []
          }
        }
      }
    }
    "#);

    let again = world.run(&RELEASE).exits(0).says("echo 0.1.0 already serves in local (plan skipped");
    for step in ["checks", "build", "publish", "init", "plan", "apply", "verify", "rollout"] {
        assert!(!again.did(step), "{step} in {again}");
    }
    assert_eq!(again.calls("PutObject", ""), 0, "{again}");

    let planned =
        world.run(&["release", "--env", "local", "--yes", "--plan"]).exits(0).says("already serves");
    assert!(planned.did("plan") && !planned.did("apply"), "{planned}");

    let down = world.run(&["local", "invoke", "--event", r#"{"word":"over"}"#]).exits(0);
    assert_eq!(down.stdout, "{\n  \"says\": \"one\",\n  \"event\": {\n    \"word\": \"over\"\n  }\n}\n");
}

#[test]
fn the_next_release_is_a_minor_one_and_goes_back() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0);
    world.second_code();
    world.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    assert_eq!(world.account.alias("echo"), "2");
    assert!(world.run(&["local", "invoke"]).exits(0).stdout.contains("\"two\""));

    world
        .run(&["rollback", "--env", "local", "--yes"])
        .exits(0)
        .says("echo 0.1.0 serves in local again.")
        .says("echo 0.2.0 is held");
    assert_eq!(world.account.alias("echo"), "1");
    assert!(world.run(&["local", "invoke"]).exits(0).stdout.contains("\"one\""));
    assert_json_snapshot!(status(&world), @r#"
    {
      "schema": "slipway.status/1",
      "ok": true,
      "data": {
        "environments": {
          "local": {
            "reached": true,
            "functions": {
              "echo": {
                "stack": "echo",
                "release": "0.1.0",
                "commit": "[commit]",
                "lambda_version": "1",
                "alias_version": "1",
                "newest_version": "1",
                "verified": true,
                "as_recorded": true,
                "deployment": 3,
                "outcome": "rolled_back",
                "since": "[time]",
                "by": "[by]",
                "held": [
                  "0.2.0"
                ]
              }
            },
            "warnings": []
          }
        }
      }
    }
    "#);
    let history = world.run(&["history", "--env", "local", "--output", "json"]).exits(0).json();
    assert_json_snapshot!(redacted(history, &world)["data"]["deployments"][0], @r#"
    {
      "schema": "slipway.ledger/1",
      "deployment": 3,
      "stack": "echo",
      "environment": "local",
      "kind": "rollback",
      "outcome": "rolled_back",
      "serves": {
        "echo": {
          "release": "0.1.0",
          "digest": "[digest]",
          "commit": "[commit]",
          "code_sha256": "[digest]",
          "function_name": "echo-[account]-local-echo",
          "alias": "live",
          "lambda_version": "1",
          "newest_version": "1",
          "config_digest": "[digest]",
          "verified": true,
          "since": 3,
          "since_at": "[time]"
        }
      },
      "will": {
        "echo": {
          "release": "0.1.0",
          "digest": "[digest]",
          "code_sha256": "[digest]",
          "commit": "[commit]",
          "lambda_version": "1"
        }
      },
      "holds": [
        {
          "function": "echo",
          "release": "0.2.0",
          "deployment": 3
        }
      ],
      "commit": "[commit]",
      "dirty": false,
      "configuration": "[digest]",
      "plan_inputs": "[digest]",
      "state": {
        "lineage": "[lineage]",
        "serial": 3
      },
      "by": "[by]",
      "run_url": null,
      "started_at": "[time]",
      "at": "[time]"
    }
    "#);

    // What is held comes back only when asked for by name.
    let deploy = ["deploy", "echo", "--env", "local", "--version", "0.2.0", "--yes"];
    let before = Settled::of(&world);
    world.run(&deploy).exits(6).says("`echo` 0.2.0 is on hold in local since rollback 3").says("--lift-hold");
    world.run(&RELEASE).exits(6).says("is on hold");
    assert_eq!(Settled::of(&world), before);
    let lifted: Vec<&str> = deploy.iter().copied().chain(["--lift-hold"]).collect();
    world.run(&lifted).exits(0).says("echo 0.2.0 serves in local.");
    let after = Settled::of(&world);
    assert_eq!(after.alias, "2");
    assert_eq!(after.status["held"], serde_json::json!([]));
}

#[test]
fn a_rollback_leaves_nothing_to_plan() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0);
    world.second_code();
    world.run(&["plan", "echo", "--env", "local", "--version", "0.1.0", "--exit-code"]).exits(0);
    world.run(&RELEASE).exits(0);
    world.run(&["plan", "echo", "--env", "local", "--version", "0.1.0", "--exit-code"]).exits(4);
    world.run(&["rollback", "--env", "local", "--yes"]).exits(0);
    world.run(&["plan", "echo", "--env", "local", "--version", "0.1.0", "--exit-code"]).exits(0);
}

#[test]
fn without_a_yes_nothing_is_changed() {
    let Some(world) = World::new() else { return };
    world.run(&["release", "--env", "local"]).exits(6).says("Nothing was changed.");
    let [_, state] = world.account.buckets();
    assert_eq!(world.account.keys(&state), Vec::<String>::new());
    world.run(&RELEASE).exits(0);
    world.second_code();
    world.run(&RELEASE).exits(0);
    let before = (Settled::of(&world), world.account.keys(&state));
    world.run(&["rollback", "--env", "local"]).exits(6);
    let deploy = ["deploy", "echo", "--env", "local", "--version", "0.1.0"];
    world.run(&deploy).exits(6);
    assert_eq!((Settled::of(&world), world.account.keys(&state)), before);
}

#[test]
fn an_unknown_name_is_told_with_its_neighbours() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0);
    world
        .run(&["deploy", "echo", "--env", "local", "--version", "0.1.1", "--yes"])
        .exits(2)
        .says("0.1.1")
        .says("0.1.0");
    world.run(&["deploy", "ecco", "--env", "local", "--version", "0.1.0", "--yes"]).exits(2).says("echo");
    world.run(&["status", "--env", "locol"]).exits(2).says("environments here: local");
}

#[test]
fn an_alias_moved_by_hand_is_seen_and_put_right() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0);
    world.account.point("echo", "2");
    let seen = status(&world);
    let local = &seen["data"]["environments"]["local"];
    assert_eq!(local["functions"]["echo"]["alias_version"], "2");
    assert_eq!(local["functions"]["echo"]["as_recorded"], false);
    assert!(local["warnings"][0].as_str().is_some_and(|text| text.contains("moved it by hand")));
    // It is no reason to skip the plan, and the release takes the alias back.
    let again = world.run(&RELEASE).exits(0);
    assert!(again.did("plan") && again.did("rollout"), "{again}");
    assert_eq!(world.account.alias("echo"), "1");
    assert_eq!(Settled::of(&world).status["warnings"], serde_json::json!([]));
}

#[test]
fn local_down_leaves_no_process() {
    let Some(world) = World::new() else { return };
    world.run(&RELEASE).exits(0);
    // The gateway, and the instance of the function that was tried.
    assert!(world.servers().len() >= 2, "{:?}", world.servers());
    world.down().exits(0);
    assert_eq!(world.servers(), Vec::<String>::new());
    let status = status(&world);
    assert_eq!(status["data"]["environments"]["local"]["reached"], false);
    // The emulated AWS was another's: what it holds is there still.
    world.run(&RELEASE).exits(0).says("already serves");
}

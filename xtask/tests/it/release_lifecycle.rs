//! The lifecycle of releases: released, verified, served, rolled back, held; commands that change nothing; clean shutdown.

use insta::assert_json_snapshot;
use serde_json::Value;

use super::support::commands::RELEASE;
use super::support::{EchoProject, ObservedState, redacted};
use crate::require;

fn status(project: &EchoProject) -> Value {
    let document = project.run(&["status", "--output", "json"]).exits(0).json();
    redacted(document, project)
}

#[test]
fn release_serves_and_a_second_run_changes_nothing() {
    let project = require!(EchoProject::new());
    let outputs = project.folder.with_file_name("step-outputs");
    let release = || {
        let variables = [("GITHUB_OUTPUT", outputs.to_str().expect("UTF-8"))];
        project.start_with(&RELEASE, &variables).with_long_timeout().wait().exits(0)
    };
    let first = release().says("echo 0.1.0 serves in local.").says("smoke \"echoes\"");
    assert!(first.ran_step("publish") && first.ran_step("apply") && first.ran_step("rollout"));
    assert_json_snapshot!(status(&project), @r#"
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

    let again = release().says("echo 0.1.0 already serves in local (plan skipped");
    // A workflow attests what was published, and nothing where nothing was.
    assert_eq!(std::fs::read_to_string(&outputs).expect("outputs"), "new_zips=true\nnew_zips=false\n");
    for step in ["check", "build", "publish", "init", "plan", "apply", "verify", "rollout"] {
        assert!(!again.ran_step(step), "{step} in {again}");
    }
    assert_eq!(again.calls("PutObject", ""), 0, "{again}");

    let planned =
        project.run(&["release", "--env", "local", "--yes", "--plan"]).exits(0).says("already serves");
    assert!(planned.ran_step("plan") && !planned.ran_step("apply"), "{planned}");

    let invoked = project.run(&["local", "invoke", "--event", r#"{"word":"over"}"#]).exits(0);
    assert_eq!(invoked.stdout, "{\n  \"says\": \"one\",\n  \"event\": {\n    \"word\": \"over\"\n  }\n}\n");
}

#[test]
fn second_release_is_a_minor_version_and_can_be_rolled_back() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    project.change_code();
    project.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    assert_eq!(project.account.alias("echo"), "2");
    assert!(project.run(&["local", "invoke"]).exits(0).stdout.contains("\"two\""));

    project
        .run(&["rollback", "--env", "local", "--yes"])
        .exits(0)
        .says("echo 0.1.0 serves in local again.")
        .says("echo 0.2.0 is on hold");
    assert_eq!(project.account.alias("echo"), "1");
    assert!(project.run(&["local", "invoke"]).exits(0).stdout.contains("\"one\""));
    assert_json_snapshot!(status(&project), @r#"
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
    let history = project.run(&["history", "--env", "local", "--output", "json"]).exits(0).json();
    assert_json_snapshot!(redacted(history, &project)["data"]["deployments"][0], @r#"
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
          "alias_revision": "[revision]",
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
      "trust": {
        "digest": "[digest]",
        "protected": false,
        "signatures_required": false
      },
      "by": "[by]",
      "run_url": null,
      "started_at": "[time]",
      "previous": "[digest]",
      "at": "[time]"
    }
    "#);

    // A held release is deployed again only with --lift-hold.
    let deploy = ["deploy", "echo", "--env", "local", "--version", "0.2.0", "--yes"];
    let before = ObservedState::of(&project);
    project
        .run(&deploy)
        .exits(6)
        .says("`echo` 0.2.0 is on hold in local since rollback 3")
        .says("--lift-hold");
    project.run(&RELEASE).exits(6).says("is on hold");
    assert_eq!(ObservedState::of(&project), before);
    let lifted: Vec<&str> = deploy.iter().copied().chain(["--lift-hold"]).collect();
    project.run(&lifted).exits(0).says("echo 0.2.0 serves in local.");
    let after = ObservedState::of(&project);
    assert_eq!(after.alias, "2");
    assert_eq!(after.status["held"], serde_json::json!([]));
}

#[test]
fn rollback_leaves_no_changes_to_plan() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    project.change_code();
    project.run(&["plan", "echo", "--env", "local", "--version", "0.1.0", "--exit-code"]).exits(0);
    project.run(&RELEASE).exits(0);
    project.run(&["plan", "echo", "--env", "local", "--version", "0.1.0", "--exit-code"]).exits(4);
    project.run(&["rollback", "--env", "local", "--yes"]).exits(0);
    project.run(&["plan", "echo", "--env", "local", "--version", "0.1.0", "--exit-code"]).exits(0);
}

#[test]
fn unconfirmed_commands_change_nothing() {
    let project = require!(EchoProject::new());
    project.run(&["release", "--env", "local"]).exits(6).says("Nothing was changed.");
    let [_, state] = project.account.buckets();
    assert_eq!(project.account.keys(&state), Vec::<String>::new());
    project.run(&RELEASE).exits(0);
    project.change_code();
    project.run(&RELEASE).exits(0);
    let before = (ObservedState::of(&project), project.account.keys(&state));
    project.run(&["rollback", "--env", "local"]).exits(6);
    let head = project.head();
    let deploy = ["deploy", "echo", "--env", "local", "--version", "0.1.0", "--allow-loss", &head];
    project.run(&deploy).exits(6).says("approval is needed");
    assert_eq!((ObservedState::of(&project), project.account.keys(&state)), before);
}

#[test]
fn deploy_of_an_unknown_function_version_or_environment_names_similar_ones() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    project
        .run(&["deploy", "echo", "--env", "local", "--version", "0.1.1", "--yes"])
        .exits(2)
        .says("0.1.1")
        .says("0.1.0");
    project.run(&["deploy", "ecco", "--env", "local", "--version", "0.1.0", "--yes"]).exits(2).says("echo");
    project.run(&["status", "--env", "locol"]).exits(2).says("environments here: local");
}

#[test]
fn alias_moved_by_hand_is_reported_and_corrected() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    project.account.move_alias("echo", "2");
    let reported = status(&project);
    let local = &reported["data"]["environments"]["local"];
    assert_eq!(local["functions"]["echo"]["alias_version"], "2");
    assert_eq!(local["functions"]["echo"]["as_recorded"], false);
    assert!(
        local["warnings"][0]
            .as_str()
            .is_some_and(|text| text.contains("the alias points to 2, the ledger says 1"))
    );
    // What users reach is not what was verified.
    project
        .run(&["verify", "--env", "local"])
        .exits(5)
        .says("`echo` version 1 in local did not verify")
        .says("echo alias");
    // The plan is not skipped, and the release moves the alias back.
    let again = project.run(&RELEASE).exits(0);
    assert!(again.ran_step("plan") && again.ran_step("rollout"), "{again}");
    assert_eq!(project.account.alias("echo"), "1");
    assert_eq!(ObservedState::of(&project).status["warnings"], serde_json::json!([]));
}

#[test]
fn local_down_leaves_no_process() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    // The gateway, and the function's instance that the smoke test used.
    assert!(project.server_processes().len() >= 2, "{:?}", project.server_processes());
    project.local_down().exits(0);
    assert_eq!(project.server_processes(), Vec::<String>::new());
    let status = status(&project);
    assert_eq!(status["data"]["environments"]["local"]["reached"], false);
    // The emulated AWS belongs to the test run and was not stopped: its content still exists.
    project.run(&RELEASE).exits(0).says("already serves");
}

#[test]
fn plan_for_a_review_has_the_next_version_and_the_size_of_each_changed_function() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    let plan = ["plan", "--env", "local", "--markdown"];
    project.run(&plan).exits(0).says("1 function keeps its release.");
    project.change_code();
    let size = |version: &str| {
        let [artifacts, _] = project.account.buckets();
        let manifest = project.account.object(&artifacts, &format!("releases/echo/{version}.json"));
        let manifest: Value = serde_json::from_slice(&manifest).expect("a manifest");
        manifest["artifact"]["size"].as_u64().expect("a size")
    };
    let before = size("0.1.0");
    let row = "| echo | 0.1.0 | 0.2.0 |";
    // The artifacts of both codes are there from the start.
    project.remove_artifacts();
    project
        .run(&plan)
        .exits(0)
        .says(&format!("{row} {before} → ? | not built here | 1 change since 0.1.0 |"));
    project.run(&["build"]).exits(0);
    let summary = project.home.join("summary.md");
    let file = summary.to_string_lossy().into_owned();
    let json = ["plan", "--env", "local", "--output", "json"];
    let planned = project.start_with(&json, &[("SLIPWAY_SUMMARY", &file)]).wait().exits(0).json();
    let next = &planned["data"]["releases"]["changed"][0];
    assert_eq!((&next["serves"], &next["next"]), (&"0.1.0".into(), &"0.2.0".into()), "{planned}");
    project.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    let after = size("0.2.0");
    assert_eq!((&next["serves_size"], &next["size"]), (&before.into(), &after.into()), "{planned}");
    let summary = std::fs::read_to_string(summary).expect("the job's summary");
    assert!(summary.contains(&format!("{row} {before} → {after} | ")), "{summary}");
    // A release that exists is compared by its manifest.
    let named = [&["plan", "echo", "--version", "0.1.0"][..], &plan[1..]].concat();
    project.run(&named).exits(0).says(&format!("| echo | 0.2.0 | 0.1.0 | {after} → {before} | "));
}

//! Promotion from one emulated environment to another: the same releases, said before it begins, and nothing lost unnoticed.

use serde_json::Value;

use super::support::EchoProject;
use super::support::commands::RELEASE;
use crate::require;

const PROMOTE: [&str; 4] = ["promote", "--to", "staging", "--yes"];

/// Returns the release that an environment serves, with the digests of its manifest and its code.
fn serves(project: &EchoProject, environment: &str) -> (Value, Value, Value) {
    let document = project.run(&["history", "--env", environment, "--output", "json"]).exits(0).json();
    let echo = &document["data"]["deployments"][0]["serves"]["echo"];
    (echo["release"].clone(), echo["digest"].clone(), echo["code_sha256"].clone())
}

#[test]
fn promotion_brings_the_release_that_serves_verified_and_says_what_differs_before_it_begins() {
    let project = require!(EchoProject::with_staging());
    project.run(&RELEASE).exits(0);
    // Nothing comes to staging by another way.
    for direct in [
        &["release", "--env", "staging", "--yes"][..],
        &["deploy", "echo", "--env", "staging", "--version", "0.1.0", "--yes"][..],
        &["deploy", "--stack", "echo", "--env", "staging", "--yes"][..],
    ] {
        let refused = project.run(direct).exits(6).says("staging takes only what serves verified in local");
        let refused = refused.says("cargo xtask promote --to staging");
        assert!(!refused.ran_step("plan") && !refused.ran_step("publish"), "{refused}");
    }
    let dry = project.run(&["promote", "--to", "staging", "--dry-run"]).exits(0);
    let dry = dry.says("from local, serving and verified there, to staging").says("0.1.0");
    assert!(!dry.ran_step("apply"), "{dry}");
    project.run(&["history", "--env", "staging"]).exits(0).says("Nothing was deployed to staging yet.");

    let first = project.run(&PROMOTE).exits(0).says("echo 0.1.0 serves in staging.");
    assert!(!first.ran_step("build") && !first.ran_step("publish"), "{first}");
    assert_eq!(serves(&project, "staging"), serves(&project, "local"));

    project.change_code();
    project.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    assert_eq!(project.account.alias("staging"), "1", "a release to local is nothing for staging");
    project.run(&["notes", "--env", "local"]).exits(0).says("0.1.0 -> 0.2.0").says("Ada: feat: say two");
    let notes = project.run(&["notes", "--env", "local", "--markdown"]).exits(0);
    assert!(notes.stdout.contains("local has, and staging lacks: 1 release"), "{notes}");
    let notes = project.run(&["notes", "--env", "local", "--output", "json"]).exits(0).json();
    assert_eq!(notes["data"]["next"][0]["commits"][0]["subject"], "feat: say two");

    let summary = project.home.join("summary.md");
    let file = summary.to_string_lossy().into_owned();
    let arguments = ["promote", "--from", "local", "--to", "staging", "echo", "--yes"];
    let second = project.start_with(&arguments, &[("GITHUB_STEP_SUMMARY", &file)]).wait().exits(0);
    second.says("1 commit").says("+ ").says("echo 0.2.0 serves in staging.");
    let summary = std::fs::read_to_string(summary).expect("the job's summary");
    assert!(summary.contains("promote · local to staging") && summary.contains("feat: say two"), "{summary}");
    assert_eq!(serves(&project, "staging"), serves(&project, "local"));
    assert_eq!(project.account.alias("staging"), "2");
    project.run(&["history", "--env", "staging"]).exits(0).says("promote from local");
    project.run(&PROMOTE).exits(0).says("staging already has what serves verified in local");

    // A rollback needs no promotion, and its hold counts.
    project.run(&["rollback", "--env", "staging", "--yes"]).exits(0);
    assert_eq!(project.account.alias("staging"), "1");
    project.run(&PROMOTE).exits(6).says("is on hold in staging");
    project.run(&[&PROMOTE[..], &["--lift-hold"]].concat()).exits(0);
    assert_eq!(project.account.alias("staging"), "2");
    // What served verified in local before may be named.
    let earlier = ["promote", "echo", "--to", "staging", "--version", "0.1.0", "--yes"];
    project.run(&earlier).exits(6).says("lacks 1 commit").says("cargo xtask rollback echo --env staging");
    project
        .run(&["promote", "echo", "--to", "staging", "--version", "9.9.9"])
        .exits(6)
        .says("never served verified");
}

#[test]
fn set_of_which_a_member_changed_since_it_was_verified_is_refused() {
    let project = require!(EchoProject::with_staging());
    project.run(&RELEASE).exits(0);
    project.account.move_alias("echo", "2");
    let moved =
        project.run(&PROMOTE).exits(6).says("what was verified together in local has changed since: `echo`");
    moved.says("points to 2").says("--without echo");
    project.run(&[&PROMOTE[..], &["--without", "echo"]].concat()).exits(2).says("nothing is left to promote");
    project.run(&[&PROMOTE[..], &["--without", "ecco"]].concat()).exits(2).says("no function or stack");
    project.account.move_alias("echo", "1");

    // The stack's files are a part of it; an environment's own values are not.
    let path = "terraform/stacks/echo/main.tf";
    let stack = std::fs::read_to_string(project.folder.join(path)).expect("the stack");
    project.write(path, &format!("{stack}\n# changed\n"));
    let commit = project.commit("build: change the stack");
    project
        .run(&PROMOTE)
        .exits(6)
        .says("are not those that were verified in local")
        .says(path)
        .says("git checkout ");
    assert_eq!(project.account.alias("staging"), "1");
    project.write(path, &stack);
    project.write("terraform/environments/staging/more.txt", &commit);
    project.commit("build: the stack as it was");
    project.run(&PROMOTE).exits(0).says("echo 0.1.0 serves in staging.");
}

#[test]
fn hotfix_passes_and_what_would_lose_it_is_refused_by_the_name_of_its_commit() {
    let project = require!(EchoProject::with_staging());
    project.run(&RELEASE).exits(0);
    project.run(&PROMOTE).exits(0);
    project.change_code();
    let hotfix = ["release", "--env", "staging", "--hotfix", "--yes"];
    project.run(&hotfix).exits(0).says("echo 0.2.0 serves in staging.");
    project.run(&["history", "--env", "staging"]).exits(0).says("release (hotfix)");

    let head = project.head();
    let refused = project.run(&PROMOTE).exits(6).says("`echo` 0.1.0 lacks 1 commit that 0.2.0 has");
    refused.says(&head[..7]).says("Ada: feat: say two (hotfix, deployment 2)").says("--allow-loss ");
    project.run(&["promote", "--to", "staging", "--dry-run"]).exits(0).says("refused ");
    project.run(&["notes", "--env", "local"]).exits(0).says("- ").says("feat: say two");
    assert_eq!(project.account.alias("staging"), "2", "nothing was moved");
    let again = ["deploy", "echo", "--env", "staging", "--version", "0.1.0", "--hotfix", "--yes"];
    project.run(&again).exits(6).says("a hotfix must descend from what runs in staging");

    let accepted = [&PROMOTE[..], &["--allow-loss", &head[..8]]].concat();
    project.run(&accepted).exits(0).says("echo 0.1.0 serves in staging.");
    assert_eq!(project.account.alias("staging"), "1");
    project.run(&["history", "--env", "staging"]).exits(0).says("loses 1 commit");
    // Forward again is no loss, and a clone that lacks the history says so.
    project.make_shallow();
    project.run(&RELEASE).exits(6).says("git fetch --unshallow");
}

#[test]
fn release_that_would_lose_commits_is_refused_before_anything_is_built_or_published() {
    let project = require!(EchoProject::with_staging());
    let first = project.head();
    project.run(&RELEASE).exits(0);
    project.change_code();
    let second = project.head();
    project.run(&RELEASE).exits(0).says("echo 0.2.0 serves in local.");
    project.run(&PROMOTE).exits(0).says("echo 0.2.0 serves in staging.");

    project.branch("other", &first);
    project.write("lambda-src/echo/NOTES.md", "Another line.\n");
    project.commit("fix: another line");
    let [artifacts, _] = project.account.buckets();
    let before = project.account.keys(&artifacts);
    let release = [&RELEASE[..], &["--version", "0.9.0"]].concat();
    let refused = project.run(&release).exits(6).says("`echo` 0.9.0 lacks 1 commit that 0.2.0 has");
    let refused = refused.says("feat: say two").says("Nothing was built, published or deployed.");
    assert!(!refused.ran_step("build") && !refused.ran_step("publish"), "{refused}");
    let hotfix = ["release", "--env", "staging", "--hotfix", "--version", "0.9.0", "--yes"];
    let refused = project.run(&hotfix).exits(6).says("a hotfix must descend from what runs in staging");
    assert!(!refused.ran_step("build") && !refused.ran_step("publish"), "{refused}");
    assert_eq!(project.account.keys(&artifacts), before, "something was published");

    let accepted = [&release[..], &["--allow-loss", &second]].concat();
    project.run(&accepted).exits(0).says("echo 0.9.0 serves in local.");
    assert_eq!(project.account.alias("echo"), "1");
}

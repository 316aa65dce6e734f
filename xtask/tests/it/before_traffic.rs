//! A gate of the project's own decides whether a new version gets traffic.

use super::support::EchoProject;
use super::support::commands::RELEASE;
use crate::require;

const STACK: &str = "terraform/stacks/echo/stack.toml";

#[test]
fn gate_that_fails_leaves_the_alias_and_is_recorded() {
    let project = require!(EchoProject::new());
    project.run(&RELEASE).exits(0);
    let gate = "\n[[before_traffic]]\nname = \"asks\"\nrun = \"sh gate.sh\"\nwithin = \"20s\"\nexpect = { ok = true }\n";
    project.write(STACK, &format!("functions = [\"echo\"]\n{gate}"));
    let script = "echo $SLIPWAY_ENVIRONMENT $SLIPWAY_STACK > seen; echo \"$SLIPWAY_VERSIONS\" >> seen\necho asking\necho '{\"ok\": ";
    project.write("gate.sh", &format!("{script}false}}'\n"));
    project.change_code();
    let failed = project.run(&RELEASE).exits(5).says("gate \"asks\"").says("asking");
    assert!(failed.ran_step("gate") && !failed.ran_step("rollout"), "{failed}");
    assert_eq!(project.account.alias("echo"), "1");
    project.run(&["history", "--env", "local"]).exits(0).says("verification failed");
    let seen = std::fs::read_to_string(project.folder.join("seen")).expect("what the gate was given");
    assert!(seen.starts_with("local echo\n") && seen.contains("\"release\":\"0.2.0\""), "{seen}");
    assert!(seen.contains("-local-echo:2\""), "the ARN names the version: {seen}");

    project.write("gate.sh", &format!("{script}true}}'\n"));
    project.run(&RELEASE).exits(0).says("the stack's gate \"asks\"").says("echo 0.2.0 serves in local.");
    assert_eq!(project.account.alias("echo"), "2");
}

#[test]
fn program_of_a_gate_that_is_missing_is_named_before_anything_is_planned() {
    let project = require!(EchoProject::new());
    let gate = "\n[[before_traffic]]\nname = \"asks\"\nrun = \"no-such-program-here --all\"\n";
    project.write(STACK, &format!("functions = [\"echo\"]\n{gate}"));
    project.commit("build: a gate");
    let refused = project.run(&RELEASE).exits(2).says("`no-such-program-here` of the gate `asks`");
    assert!(!refused.ran_step("publish") && !refused.ran_step("plan"), "{refused}");
    let doctor = project.run(&["doctor"]);
    for words in ["gate asks", "`no-such-program-here` not found", "install `no-such-program-here`"] {
        assert!(doctor.stdout.contains(words), "`{words}` in {doctor}");
    }
    project.write(
        STACK,
        "functions = [\"echo\"]\n[[before_traffic]]\nname = \"asks\"\nrun = \"true\"\nafter = 3\n",
    );
    project.run(&RELEASE).exits(2).says("unknown key `after`").says("name, run, within, expect, env");
    project.write(STACK, "functions = [\"echo\"]\n");
}

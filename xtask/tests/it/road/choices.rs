//! What people choose beside the page's way: an approval is refused, a release is deployed by hand, a plan is applied that was refused.

use std::collections::BTreeSet;

use serde_json::json;

use super::Road;
use super::page::{Block, ended, waiting};
use super::workflow::Start;
use super::world::{Observed, World};
use crate::require;

/// Answers a run that waits for prod, as the page does.
fn answer(road: &Road<'_>, run: u64, state: &str, comment: &str) {
    let commands = format!(
        "gh api --method POST repos/acme/shop/actions/runs/{run}/pending_deployments --silent --input - <<END\n{{\"environment_ids\": [$prod], \"state\": \"{state}\", \"comment\": \"{comment}\"}}\nEND\n"
    );
    road.typist.type_block(&Block { step: 10, commands });
}

#[test]
#[ignore = "minutes; cargo xtask test road"]
fn refused_plan_is_never_applied_and_a_chosen_release_is() {
    let world = &require!(World::new());
    let mut road = Road::new(world);
    road.prepare();
    let (seen, first) = road.release_first();
    ended(world, road.step(8));
    let runs = road.step(9);
    let (run, second) = road.reaches_gate(runs, &seen, "0.2.0");
    let waited = world.observe();

    // Refused: the job has no identity at all, and the rest of the run is as it was.
    answer(&road, run.number, "rejected", "not on a Friday");
    let refused = run.end().ran(&[
        ("build", "success"),
        ("publish", "success"),
        ("dev", "success"),
        ("staging", "success"),
        ("plan-prod", "success"),
        ("prod", "failure"),
        ("tags", "success"),
    ]);
    let log = refused.log("prod");
    assert!(log.contains("not on a Friday"), "who refused says why: {log}");
    assert!(!log.contains("slipway deploy"), "no command of Slipway ran: {log}");
    assert_eq!(world.observe(), waited, "a refusal changes nothing");
    let plans = |seen: &Observed| {
        let keys = seen.keys("prod", "plans/").into_iter();
        keys.filter_map(|key| Some(key.strip_suffix("/plan.json")?.rsplit('/').next()?.to_owned()))
            .collect::<BTreeSet<_>>()
    };
    let own = &plans(&waited) - &plans(&seen);
    let [plan] = &own.iter().collect::<Vec<_>>()[..] else { panic!("one plan was refused: {own:?}") };

    // The same release, chosen by hand on another day.
    let inputs = json!({ "environment": "prod", "function": "hello", "version": "0.2.0" });
    let dispatch = |inputs| {
        let start = Start {
            workflow: "deploy.yml",
            event: "workflow_dispatch",
            branch: "main",
            inputs,
            matrix: None,
        };
        world.start_workflow(&start)
    };
    let run = waiting(world, vec![dispatch(inputs.clone())]);
    let number = run.number;
    answer(&road, number, "approved", "now");
    run.end().ran(&[("plan", "success"), ("deploy", "success")]);
    let chosen = world.observe();
    assert_eq!(road.serves(&chosen, "prod", "0.2.0", &format!("prod-ci-apply/deploy-{number}")), second);
    assert_ne!(first, second);
    for environment in ["dev", "staging"] {
        assert_eq!(chosen.0[environment], waited.0[environment], "{environment} is as it was");
    }

    // The plan that was refused is of another time: not even main's own workflow can slip it in now.
    let text = std::fs::read_to_string(world.folder.join("team/shop/.github/workflows/deploy.yml"));
    let edited = text
        .expect("the workflow")
        .replace("if: github.ref == 'refs/heads/main'", "if: false")
        .replace("    needs: [plan]\n", "")
        .replace("${{ needs.plan.outputs.plan }}", plan);
    let folder = world.folder.join("other");
    let url = format!("{}/acme/shop.git", world.github);
    world.git(&world.folder, &["clone", "--quiet", &url, &folder.to_string_lossy()]);
    std::fs::write(folder.join(".github/workflows/deploy.yml"), edited).expect("an edited workflow");
    world.git(&folder, &["commit", "--quiet", "--all", "-m", "ci: the plan of last week"]);
    world.git(&folder, &["push", "--quiet", "origin", "main"]);
    let run = waiting(world, vec![dispatch(inputs.clone())]);
    answer(&road, run.number, "approved", "what could go wrong");
    run.end()
        .ran(&[("deploy", "failure")])
        .says("deploy", "serves another release in prod than when it was planned")
        .says("deploy", "exit status 8");
    assert_eq!(world.observe(), chosen, "another plan changes nothing");
    world.git(&folder, &["revert", "--no-edit", "HEAD"]);
    world.git(&folder, &["push", "--quiet", "origin", "main"]);

    // A release that nobody verified in staging is not to be chosen.
    let mut unknown = inputs;
    unknown["version"] = json!("0.3.0");
    ended(world, vec![dispatch(unknown)]).ran(&[("plan", "failure")]).says("plan", "0.3.0");
    assert_eq!(world.observe(), chosen, "a release that there is not changes nothing");
}

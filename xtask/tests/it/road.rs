//! The road from a pull request to production and back, driven: docs/how-to/production.md is typed, GitHub's workflows run.
//!
//! Real are the workflows and the composite action of `.github`, run by `act` from a fresh clone of a bare `origin`; the tool; Terraform
//! with its provider; `bootstrap`, whose roles the jobs assume; the OIDC tokens and the check of their signatures; the trust policies, by
//! which a role is given; the key that signs, in the emulated KMS; the emulator's IAM checks from the first workflow on.
//!
//! Stood in for:
//! - GitHub: `tests/ci/issuer.py` (tokens, rules of environments, the gate of reviewers, the API that `bootstrap` reads), `tests/ci/bin/gh`
//!   (what a command would change there) and `tests/ci/actions` (actions that need its servers). It is an Enterprise Server on 127.0.0.1, so
//!   that the project names its issuer in `[builders.github]`. The runs that an event starts are started by this test; `act` knows no
//!   concurrency groups and no gate: a job of a reviewed environment waits where it asks for its token.
//! - Variables of GitHub environments: `act` has one set for all jobs. A variable's value is its name there, which the stand-in of
//!   configure-aws-credentials resolves for the job's environment.
//! - The rows of drift.yml's matrix: one run of `act` each, since nothing tells a stand-in its row.
//! - The compilation of the tool: `tests/ci/bin/cargo` puts the program under test where cargo would put it. Whether it is built, restored or
//!   refused is decided by the workflow.
//! - AWS: moto emulates it. `emulated = true` leaves the conditions out of the policies of buckets and keys, which moto does not evaluate. Of
//!   the roles' own policies it evaluates the actions alone: it gets each of them without conditions and for all resources. With `cargo xtask
//!   test road`, S3, KMS and STS are first asked of the policies as they are on AWS (`tests/policies/judge.mjs`), an attacker's calls as
//!   well. `tests/ci/trust.py` decides which token gets a role, in CI too. For all other services only tests/policies evaluates resources
//!   and conditions.

mod attacks;
mod choices;
mod page;
mod workflow;
mod world;

use serde_json::{Value, json};

use self::page::{Typist, blocks, ended, waiting};
use self::workflow::{Ended, WorkflowRun, summary_of};
use self::world::{Observed, World};
use crate::require;

/// What must hold after each block of the page.
struct Road<'a> {
    world: &'a World,
    typist: Typist<'a>,
    blocks: std::vec::IntoIter<page::Block>,
}

impl<'a> Road<'a> {
    fn new(world: &'a World) -> Self {
        Self { world, typist: Typist::new(world), blocks: blocks().into_iter() }
    }

    /// Types what makes accounts, rules and roles; from then on policies are enforced.
    #[track_caller]
    fn prepare(&mut self) {
        for step in 1..=5 {
            assert!(self.step(step).is_empty(), "nothing is pushed");
        }
        self.world.enforce_policies();
    }

    /// Brings the first release to the gate of prod, and through it; returns what is so then, and the code that serves.
    #[track_caller]
    fn release_first(&mut self) -> (Observed, Value) {
        let nothing = self.world.observe();
        assert_eq!(nothing.newest("dev"), &Value::Null);
        let runs = self.step(6);
        let (run, code) = self.reaches_gate(runs, &nothing, "0.1.0");
        let number = run.number;
        self.approve(7, run).ran(&[&RELEASE_JOBS[..], &[("attest", "success")]].concat());
        let seen = self.world.observe();
        let caller = format!("prod-ci-apply/prod-{number}");
        assert_eq!(self.serves(&seen, "prod", "0.1.0", &caller), code, "the same bytes everywhere");
        let planned = self.session("prod", &format!("prod-ci-plan/plan-prod-{number}"));
        assert_eq!(seen.newest("prod")["plan"]["caller"], planned, "{:#}", seen.newest("prod"));
        (seen, code)
    }

    /// Types the next block, which must be of this step, and starts what GitHub would start.
    #[track_caller]
    fn step(&mut self, step: usize) -> Vec<WorkflowRun> {
        let block = self.blocks.next().expect("a block");
        assert_eq!(block.step, step, "the page's steps are those that this test knows: {block:?}");
        self.typist.type_block(&block);
        self.typist.start_runs()
    }

    /// Types the block that approves a run, and waits for the run's end.
    #[track_caller]
    fn approve(&mut self, step: usize, run: WorkflowRun) -> Ended {
        assert_eq!(run.waits_for(self.world).as_deref(), Some("prod"));
        assert!(self.step(step).is_empty(), "an approval starts nothing");
        ended(self.world, vec![run])
    }

    /// Checks who brought a release to an environment, by ledger and alias; returns the code that serves.
    #[track_caller]
    fn serves(&self, seen: &Observed, environment: &str, release: &str, caller: &str) -> Value {
        let outcome = if caller.contains("/rollback-") { "rolled_back" } else { "verified" };
        let newest = seen.newest(environment);
        let hello = &newest["serves"]["hello"];
        assert_eq!(newest["outcome"], outcome, "{environment}: {newest:#}");
        assert_eq!(hello["release"], release, "{environment}: {newest:#}");
        assert_eq!(hello["verified"], true, "{environment}: {newest:#}");
        assert_eq!(newest["caller"], self.session(environment, caller), "{environment}: {newest:#}");
        assert_eq!(
            seen.alias(environment),
            &json!([hello["lambda_version"], hello["code_sha256"]]),
            "{environment}: the alias is where the ledger says"
        );
        hello["code_sha256"].clone()
    }

    /// The ARN of a job's session: `prod-ci-apply/prod-2`.
    fn session(&self, environment: &str, caller: &str) -> String {
        let role = self.world.role(environment, caller).replace(":iam:", ":sts:");
        role.replace("role/slipway/ci/", "assumed-role/")
    }

    /// Checks a run up to the gate of prod: everything before it is done, the plan is seen, and prod is as it was.
    #[track_caller]
    fn reaches_gate(&self, runs: Vec<WorkflowRun>, before: &Observed, release: &str) -> (WorkflowRun, Value) {
        let run = waiting(self.world, runs);
        let seen = self.world.observe();
        let plan = summary_of(&run.events(), "plan-prod");
        for words in ["module.hello.aws_lambda_function.this", release] {
            assert!(plan.contains(words), "`{words}` is not in the summary that reviewers see:\n{plan}");
        }
        let number = run.number;
        let code = self.serves(&seen, "dev", release, &format!("dev-ci-apply/dev-{number}"));
        assert_eq!(
            code,
            self.serves(&seen, "staging", release, &format!("staging-ci-apply/staging-{number}"))
        );
        for what in ["ledger", "aliases"] {
            assert_eq!(seen.0["prod"][what], before.0["prod"][what], "prod changes after the approval alone");
        }
        assert_eq!(
            seen.keys("prod", "plans/").len() - before.keys("prod", "plans/").len(),
            3,
            "a saved plan"
        );
        (run, code)
    }
}

const RELEASE_JOBS: [(&str, &str); 7] = [
    ("build", "success"),
    ("publish", "success"),
    ("dev", "success"),
    ("staging", "success"),
    ("plan-prod", "success"),
    ("prod", "success"),
    ("tags", "success"),
];

#[test]
fn page_leads_from_an_empty_account_to_production_and_back() {
    follow_page(&require!(World::new()));
}

#[test]
#[ignore = "minutes, and needs Node; cargo xtask test road"]
fn page_needs_no_more_than_the_exact_policies_give() {
    follow_page(&require!(World::judged()));
}

fn follow_page(world: &World) {
    let mut road = Road::new(world);
    road.prepare();
    let (seen, first) = road.release_first();
    // Signed once, by the publisher alone, as main's release.
    let attestations = seen.keys("store", "attestations/");
    let of = |kind: &str| attestations.iter().filter(|key| key.ends_with(kind)).collect::<Vec<_>>();
    assert!(of(".dsse.json").len() == 1 && attestations.len() == 2, "{attestations:?}");
    let github =
        of(".sigstore.json")[0].replace("attestations/", "artifacts/").replace(".sigstore.json", ".zip");
    assert!(seen.keys("store", "artifacts/").contains(&github), "GitHub's is of the artifact: {github}");
    assert_eq!(
        world.tool_builds(),
        1,
        "later jobs take the program that the first one built and `attest` attested"
    );

    // A pull request is checked, built and planned; nothing is changed by it.
    ended(world, road.step(8)).ran(&[
        ("changes", "success"),
        ("check", "success"),
        ("test", "success"),
        ("build", "success"),
        ("plan", "success"),
        ("comment", "success"),
    ]);
    let comment = std::fs::read_to_string(world.folder.join("comment.md")).expect("the request's comment");
    assert!(comment.contains("plan · dev: no changes"), "{comment}");
    assert_eq!(world.observe(), seen, "a pull request changes nothing");

    // Merged, and approved.
    let runs = road.step(9);
    let (run, second) = road.reaches_gate(runs, &seen, "0.2.0");
    assert_ne!(first, second);
    let number = run.number;
    road.approve(10, run).ran(&RELEASE_JOBS);
    let seen = world.observe();
    assert_eq!(road.serves(&seen, "prod", "0.2.0", &format!("prod-ci-apply/prod-{number}")), second);

    // And back.
    let run = waiting(world, road.step(11));
    assert_eq!(world.observe(), seen, "nothing is taken back before the approval");
    let number = run.number;
    road.approve(11, run).ran(&[("rollback", "success")]);
    let back = world.observe();
    assert_eq!(road.serves(&back, "prod", "0.1.0", &format!("prod-ci-apply/rollback-{number}")), first);
    assert_eq!(back.newest("prod")["kind"], "rollback", "{:#}", back.newest("prod"));
    for environment in ["dev", "staging"] {
        assert_eq!(back.0[environment], seen.0[environment], "{environment} is as it was");
    }

    for mut run in road.step(12) {
        assert!(run.settle(world));
        run.end().ran(&[("drift", "success")]).says("drift", "no drift");
    }
    assert_eq!(world.observe(), back, "a comparison changes nothing");
    assert!(road.blocks.next().is_none(), "every block of the page was typed");
}

//! Workflows that an attacker edited, run like those of main, in the world where `hello` 0.1.0 is in production. Each is refused for a
//! reason that the test names, and afterwards ledgers, store and aliases are as before.
//!
//! Who refuses: GitHub's rules of environments and the trust policies of the roles by `tests/ci/issuer.py` and `trust.py`; calls of S3, KMS
//! and STS by the exact policies of roles, boundaries, buckets and keys, judged by `tests/policies/judge.mjs` before they reach the
//! emulator; all other calls by the emulator, by their actions alone; what the tool refuses, by the tool.

use serde_json::{Value, json};

use super::super::support::sandbox::files_below;
use super::Road;
use super::workflow::{Ended, Start};
use super::world::{Observed, World};
use crate::require;

const CHECKOUT: &str = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683";
const CREDENTIALS: &str = "aws-actions/configure-aws-credentials@ececac1a45f3b08a01d2dd070d28d111c5fe6722";
const BRANCH: &str = "attack";

/// A job that asks for a role, and what it does with it.
struct Job<'a> {
    name: &'a str,
    environment: Option<&'a str>,
    role: String,
    run: String,
}

/// Writes release.yml anew with these jobs, to be dispatched.
fn workflow(jobs: &[Job<'_>]) -> String {
    let mut text = "name: release\non: workflow_dispatch\npermissions: {}\njobs:\n".to_owned();
    for Job { name, environment, role, run } in jobs {
        let environment = environment.map(|name| format!("    environment: {name}\n")).unwrap_or_default();
        text.push_str(&format!(
            "  {name}:\n    runs-on: ubuntu-24.04\n{environment}    permissions:\n      contents: read\n      id-token: write\n    steps:\n      - uses: {CHECKOUT}\n      - uses: ./.github/actions/setup\n      - uses: {CREDENTIALS}\n        with:\n          role-to-assume: {role}\n          aws-region: eu-central-1\n      - run: {run}\n"
        ));
    }
    text
}

/// The attacker, and what was so before.
struct Attacker<'a> {
    world: &'a World,
    before: Observed,
}

impl Attacker<'_> {
    /// Pushes a branch of main with another text of a workflow.
    fn push(&self, file: &str, text: &str) {
        let folder = self.world.folder.join("attacker");
        let _ = std::fs::remove_dir_all(&folder);
        let url = format!("{}/acme/shop.git", self.world.github);
        self.world.git(&self.world.folder, &["clone", "--quiet", &url, &folder.to_string_lossy()]);
        self.world.git(&folder, &["switch", "--quiet", "--create", BRANCH]);
        let path = folder.join(".github/workflows").join(file);
        assert_ne!(std::fs::read_to_string(&path).expect("a workflow of main"), text, "{file} is edited");
        std::fs::write(path, text).expect("an edited workflow");
        self.world.git(&folder, &["commit", "--quiet", "--all", "-m", "feat: harmless"]);
        self.world.git(&folder, &["push", "--quiet", "--force", "origin", BRANCH]);
    }

    fn dispatch(&self, workflow: &str, branch: &str, inputs: Value) -> Ended {
        let event = "workflow_dispatch";
        let mut run = self.world.start_workflow(&Start { workflow, event, branch, inputs, matrix: None });
        assert!(run.settle(self.world), "the run waits for {:?}", run.waits_for(self.world));
        run.end()
    }

    fn run_jobs(&self, jobs: &[Job<'_>]) -> Ended {
        self.push("release.yml", &workflow(jobs));
        self.dispatch("release.yml", BRANCH, json!({}))
    }

    #[track_caller]
    fn got_nowhere(&self) {
        assert_eq!(self.world.observe(), self.before, "ledgers, buckets and aliases are as before");
    }
}

/// The line of a script's attempts.
fn attempts(attempts: &[String]) -> String {
    format!("exec \"$ROAD_PYTHON\" -B \"$ROAD_TESTS/attack.py\" {}", attempts.join(" "))
}

/// Panics unless each attempt was refused.
#[track_caller]
fn all_refused(log: &str, attempts: &[String], reason: &str) {
    for attempt in attempts {
        let line = log.lines().find(|line| line.contains(&format!("{attempt}: ")));
        let line = line.unwrap_or_else(|| panic!("{attempt} was not tried:\n{log}"));
        assert!(line.contains("AccessDenied") && line.contains(reason), "{line}");
    }
}

#[test]
#[ignore = "minutes, and needs Node; cargo xtask test road"]
fn edited_workflows_get_nowhere() {
    let world = require!(World::judged());
    let mut road = Road::new(&world);
    road.prepare();
    road.release_first();
    let attacker = Attacker { world: &world, before: world.observe() };

    branches_get_no_role_of_prod(&attacker);
    environments_without_rules_are_worth_nothing(&attacker);
    plan_role_writes_nothing_but_plans(&attacker);
    apply_role_neither_signs_nor_publishes(&attacker);
    rollback_takes_no_options_and_no_branch(&attacker);
    planted_program_is_not_run_with_an_identity(&attacker);
}

/// H4, C1: a branch asks for prod's plan role and for the publisher, without an environment and in theirs.
fn branches_get_no_role_of_prod(attacker: &Attacker<'_>) {
    let world = attacker.world;
    let (plan, publisher) = (world.role("prod", "prod-ci-plan"), world.role("store", "publisher"));
    let run = "echo got it";
    let job =
        |name, environment, role: &str| Job { name, environment, role: role.to_owned(), run: run.into() };
    let ended = attacker.run_jobs(&[
        job("plan-none", None, &plan),
        job("plan-own", Some("prod-plan"), &plan),
        job("plan-dev", Some("dev-plan"), &plan),
        job("sign-none", None, &publisher),
        job("sign-own", Some("release"), &publisher),
    ]);
    let of_branch = "as repo:acme/shop:ref:refs/heads/attack of refs/heads/attack";
    let not_given = |role: &str, who: &str| {
        format!("Not authorized to perform sts:AssumeRoleWithWebIdentity on {role} {who}")
    };
    for (name, reason) in [
        ("plan-none", not_given(&plan, of_branch)),
        ("plan-own", "refs/heads/attack may not deploy to the environment prod-plan".into()),
        ("plan-dev", "refs/heads/attack may not deploy to the environment dev-plan".into()),
        ("sign-none", not_given(&publisher, of_branch)),
        ("sign-own", "refs/heads/attack may not deploy to the environment release".into()),
    ] {
        assert!(ended.log(name).contains(&reason), "{name}: `{reason}` is not in {}", ended.log(name));
        assert!(!ended.log(name).contains("got it"), "{}", ended.log(name));
        assert_eq!(ended.jobs()[name], "failure");
    }
    attacker.got_nowhere();
}

/// M3: an environment that nobody made, and those of prod and of the publisher after they were deleted: GitHub makes them anew at their
/// first mention, without rules, and the branch is a condition of the roles anyway.
fn environments_without_rules_are_worth_nothing(attacker: &Attacker<'_>) {
    let world = attacker.world;
    let (apply, publisher) = (world.role("prod", "prod-ci-apply"), world.role("store", "publisher"));
    let rules = world.folder.join("github/environments");
    let deleted = ["prod", "release"].map(|name| rules.join(format!("{name}.json")));
    let kept = deleted.each_ref().map(|file| std::fs::read(file).expect("rules"));
    for file in &deleted {
        std::fs::remove_file(file).expect("rules");
    }
    let job = |name, environment, role: &str| Job {
        name,
        environment: Some(environment),
        role: role.to_owned(),
        run: "echo got it".into(),
    };
    let ended = attacker.run_jobs(&[
        job("other", "production", &apply),
        job("own", "prod", &apply),
        job("sign", "release", &publisher),
    ]);
    for (file, text) in deleted.iter().zip(kept) {
        std::fs::write(file, text).expect("rules");
    }
    for (name, role, environment) in
        [("other", &apply, "production"), ("own", &apply, "prod"), ("sign", &publisher, "release")]
    {
        let reason = format!("on {role} as repo:acme/shop:environment:{environment} of refs/heads/attack");
        assert!(ended.log(name).contains(&reason), "{name}: `{reason}` is not in {}", ended.log(name));
    }
    let given = world.decisions();
    let tokens = given.iter().rev().filter(|decision| decision["token"].is_string()).take(3);
    assert!(
        tokens.clone().all(|token| token["given"] == true),
        "GitHub gave the tokens, AWS no role: {given:?}"
    );
    attacker.got_nowhere();
}

/// H2, H3, H4: what a branch may have is the plan role of dev, which is not protected. It writes no lock, no archive, no entry of the
/// ledger, no lease and no configuration, and reads nothing of prod.
fn plan_role_writes_nothing_but_plans(attacker: &Attacker<'_>) {
    let world = attacker.world;
    let state = world.state_bucket("dev");
    let tried: Vec<String> = [
        "put:{}/archive/bootstrap/9999.tflock",
        "put:{}/archive/bootstrap/9999.tfstate",
        "put:{}/ledger/hello/!.tflock",
        "put:{}/ledger/hello/0000000000.ended.json",
        "put:{}/hello.tfstate.tflock",
        "overwrite:{}/hello.tfstate",
        "put:{}/leases/hello.json",
        "delete:{}/hello.tfstate.tflock",
        "delete:{}/hello.tfstate",
        "put:{}/configurations/sha256/00.zip",
        "get:{}/archive/bootstrap/0001.tfstate",
    ]
    .iter()
    .map(|attempt| attempt.replace("{}", &state))
    .collect();
    let elsewhere: Vec<String> = [
        format!("put:{}/plans/0123.tfplan", world.state_bucket("prod")),
        format!("get:{}/hello.tfstate", world.state_bucket("prod")),
        format!("get:{}/configurations/sha256/00.zip", world.state_bucket("prod")),
        format!("put:{}/releases/hello/9.9.9.json", world.store_bucket()),
        format!("assume:{}", world.role("prod", "prod-ci-plan")),
        format!("assume:{}", world.role("staging", "staging-ci-read")),
        format!("sign:{}", world.release_key()),
    ]
    .into();
    // What it may do: so the refusals are not those of a judge that refuses everything.
    let allowed = [format!("get:{state}/hello.tfstate"), format!("list:{state}")];
    let all = [&tried[..], &elsewhere, &allowed].concat();
    let role = world.role("dev", "dev-ci-plan");
    let ended = attacker.run_jobs(&[Job {
        name: "plan",
        environment: None,
        role: role.clone(),
        run: attempts(&all),
    }]);
    let log = ended.ran(&[("plan", "success")]).log("plan");
    all_refused(&log, &tried, &format!("{role} is not authorized to perform s3:"));
    all_refused(&log, &elsewhere, &format!("{role} is not authorized to perform "));
    for attempt in &allowed {
        assert!(log.contains(&format!("{attempt}: allowed")), "{attempt}: {log}");
    }
    attacker.got_nowhere();
}

/// C1, C2, H6, M1: whoever may deploy to dev, from a branch too if dev's environment takes it, neither signs nor publishes, has no way to
/// the keys, and cannot rewrite the past. What it says of itself in variables proves nothing.
fn apply_role_neither_signs_nor_publishes(attacker: &Attacker<'_>) {
    let world = attacker.world;
    let rules = world.folder.join("github/environments/dev.json");
    let kept = std::fs::read(&rules).expect("rules");
    let mut wide: Value = serde_json::from_slice(&kept).expect("rules");
    wide["branches"] = json!(["attack", "main"]);
    std::fs::write(&rules, wide.to_string()).expect("rules");

    let (state, store, key) = (world.state_bucket("dev"), world.store_bucket(), world.release_key());
    let ledger = attacker.before.keys("dev", "ledger/hello/");
    let manifest = attacker.before.keys("store", "releases/hello/");
    let tried: Vec<String> = [
        format!("sign:{key}"),
        format!("tag:{key}"),
        format!("policy:{key}"),
        format!("remove:{key}"),
        format!("put:{store}/releases/hello/9.9.9.json"),
        format!("delete:{store}/{}", manifest[0]),
        format!("overwrite:{state}/{}", ledger[0]),
        format!("delete:{state}/{}", ledger[0]),
        format!("put:{state}/archive/bootstrap/9999.tfstate"),
        format!("put:{state}/ledger/hello/!.tflock"),
        format!("get:{}/hello.tfstate", world.state_bucket("prod")),
        format!("assume:{}", world.role("store", "publisher")),
        format!("assume:{}", world.role("prod", "prod-ci-apply")),
        format!("assume:{}", world.role("prod", "prod-ci-plan")),
    ]
    .into();
    let role = world.role("dev", "dev-ci-apply");
    let claims = "GITHUB_REF=refs/heads/main GITHUB_WORKFLOW_REF=acme/shop/.github/workflows/release.yml@refs/heads/main";
    let ended = attacker.run_jobs(&[
        Job { name: "tries", environment: Some("dev"), role: role.clone(), run: attempts(&tried) },
        Job {
            name: "claims",
            environment: Some("dev"),
            role: role.clone(),
            run: format!("{claims} slipway release hello --force --yes"),
        },
    ]);
    std::fs::write(&rules, kept).expect("rules");
    assert_eq!(ended.jobs()["tries"], "success", "the branch has dev's role: {}", ended.readable());
    all_refused(&ended.log("tries"), &tried, &format!("{role} is not authorized to perform "));
    assert_eq!(ended.jobs()["claims"], "failure", "{}", ended.readable());
    let log = ended.log("claims");
    // It ends before any claim is looked at: it may not even read the key that would sign.
    let reason = format!("{role} is not authorized to perform kms:GetPublicKey on {key}");
    assert!(log.contains(&reason), "{log}");
    attacker.got_nowhere();
}

/// M2: a rollback with the name of an option for a function, and one that a branch edited.
fn rollback_takes_no_options_and_no_branch(attacker: &Attacker<'_>) {
    let inputs = |environment: &str, function: &str| json!({ "environment": environment, "function": function, "version": "0.1.0" });
    for option in ["--lift-hold", "-h"] {
        let ended = attacker.dispatch("rollback.yml", "main", inputs("dev", option));
        let ended = ended.ran(&[("rollback", "failure")]);
        let reason = format!("`{option}` is not a valid function name");
        assert!(ended.log("rollback").contains(&reason), "{}", ended.log("rollback"));
        attacker.got_nowhere();
    }
    // As it is, no job of a branch begins.
    attacker.push("drift.yml", "name: drift\non: workflow_dispatch\njobs: {}\n");
    let ended = attacker.dispatch("rollback.yml", BRANCH, inputs("prod", "hello"));
    assert!(ended.jobs().is_empty(), "{:?}", ended.jobs());
    // Without the condition, prod's environment takes main alone.
    let own = attacker.world.folder.join("attacker/.github/workflows/rollback.yml");
    let text = std::fs::read_to_string(own).expect("the workflow");
    let edited = text
        .replace("    if: github.ref == 'refs/heads/main'\n", "")
        .replace("--to \"$VERSION\"", "--lift-hold");
    attacker.push("rollback.yml", &edited);
    let ended = attacker.dispatch("rollback.yml", BRANCH, inputs("prod", "hello"));
    ended
        .ran(&[("rollback", "failure")])
        .says("rollback", "refs/heads/attack may not deploy to the environment prod");
    attacker.got_nowhere();
}

/// H7: a program that somebody put into the cache under main's key is not run by a job with an identity.
fn planted_program_is_not_run_with_an_identity(attacker: &Attacker<'_>) {
    let world = attacker.world;
    let cached = files_below(&world.folder.join("cache"));
    let [program] = &cached[..] else { panic!("one program is cached: {cached:?}") };
    let (kept, builds) = (std::fs::read(program).expect("the program"), world.tool_builds());
    let mark = world.folder.join("planted");
    std::fs::write(program, format!("#!/bin/sh\nenv > '{}'\n", mark.display())).expect("a planted program");
    let start = Start {
        workflow: "drift.yml",
        event: "workflow_dispatch",
        branch: "main",
        inputs: json!({}),
        matrix: Some(("environment", "dev")),
    };
    let mut run = world.start_workflow(&start);
    assert!(run.settle(world));
    let ended = run.end().ran(&[("drift", "success")]);
    std::fs::write(program, kept).expect("the program");
    assert!(!mark.exists(), "the planted program ran: {}", ended.readable());
    assert!(
        ended.log("drift").contains("no attestation of release.yml on refs/heads/main"),
        "{}",
        ended.readable()
    );
    assert_eq!(world.tool_builds(), builds + 1, "the job built its own");
    attacker.got_nowhere();
}

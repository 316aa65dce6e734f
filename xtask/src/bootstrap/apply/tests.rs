//! Accounts that are new, that lost their state, that are up to date, and plans that are not applied.

use std::path::Path;
use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::failure::FailureKind;
use crate::fakes::FakeApprover;
use crate::plan::{AccountPreparation, Action, Backend, Output, SavedPlan, WorkLock, prepare_account};
use crate::ports::Resource;

const BUCKET: &str = "module.state[\"dev\"].module.bucket.aws_s3_bucket.this";

/// A role that trusts a GitHub environment without rules.
const UNPROTECTED: &str = "module.ci_roles[0].aws_iam_role.this[\"prod/apply\"]";

/// Terraform for one account: each plan has the next of the listed changes.
struct AccountTerraform {
    plans: Mutex<Vec<Vec<(&'static str, Action)>>>,
    calls: Mutex<Vec<String>>,
}

#[async_trait]
impl Infrastructure for AccountTerraform {
    async fn identity(&self, _: &Configuration) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    async fn plan(&self, configuration: &Configuration) -> Result<Planned> {
        let adopts = configuration.folder.join("adopt.tf").is_file();
        self.calls.lock().unwrap().push(format!("plan{}", if adopts { " with imports" } else { "" }));
        let file = SavedPlan::create(&configuration.context.work).unwrap();
        std::fs::write(file.path(), "secret").unwrap();
        let changes = self.plans.lock().unwrap().remove(0);
        let change =
            |(address, action): (&str, Action)| Change { address: address.into(), action, reason: None };
        let changes = changes.into_iter().map(change).collect();
        Ok(Planned { changes, drift: Vec::new(), outputs_change: false, file, warnings: Vec::new() })
    }

    async fn open_saved(&self, _: &Configuration, _: &Planned) -> Result<serde_json::Value> {
        panic!("plans of accounts are not saved")
    }

    async fn plan_destroy(&self, _: &Configuration) -> Result<Planned> {
        panic!("an account is never destroyed")
    }

    async fn values(&self, _: &Configuration, planned: &Planned) -> Result<serde_json::Value> {
        let created = planned.changes.iter().filter(|change| change.action == Action::Create);
        let created: Vec<_> = created
            .map(|change| {
                json!({
                    "address": change.address, "type": "aws_s3_bucket",
                    "change": { "actions": ["create"], "after": { "bucket": "shop-dev-state" } },
                })
            })
            .collect();
        let trusted =
            planned.changes.iter().any(|change| change.address == UNPROTECTED).then_some("unprotected");
        let outputs = json!({ "trusted_github_environments": { "value": trusted } });
        Ok(json!({ "resource_changes": created, "planned_values": { "outputs": outputs } }))
    }

    async fn apply(&self, _: &Configuration, planned: &Planned) -> Result<Applied> {
        self.calls.lock().unwrap().push("apply".into());
        planned.file.delete();
        Ok(outputs())
    }

    async fn outputs(&self, _: &Configuration) -> Result<Applied> {
        self.calls.lock().unwrap().push("outputs".into());
        Ok(outputs())
    }

    async fn unlock(&self, _: &Configuration, _: &str) -> Result<()> {
        panic!("an account's state is never unlocked")
    }

    async fn import(&self, _: &Configuration, _: &str, _: &str) -> Result<()> {
        panic!("an account's resources are imported by its plan")
    }

    async fn push_state(&self, _: &Configuration, _: &Path) -> Result<()> {
        panic!("an account's state is never pushed")
    }
}

fn outputs() -> Applied {
    let output = Output { value: json!({ "dev": "arn" }), sensitive: false };
    Applied { outputs: [("boundaries".to_owned(), output)].into() }
}

/// An account in which the bucket exists, or does not.
struct Account {
    has_bucket: bool,
}

#[async_trait]
impl ResourceLookup for Account {
    async fn existing(&self, candidates: &[AdoptionCandidate]) -> Result<Vec<(String, String)>> {
        let resource = Resource::Bucket("shop-dev-state".into());
        assert_eq!(candidates, [AdoptionCandidate { address: BUCKET.into(), resource }]);
        let found = candidates.iter().map(|found| (found.address.clone(), "shop-dev-state".to_owned()));
        Ok(found.filter(|_| self.has_bucket).collect())
    }
}

struct NobodyAsked;

#[async_trait]
impl GithubTrust for NobodyAsked {
    async fn refuse_unprotected(&self, trusted: &serde_json::Value) -> Result<()> {
        match trusted.as_str() {
            Some(problem) => Err(Failure::refused(problem.to_owned())),
            None => Ok(()),
        }
    }
}

/// Result of a run: what was applied, the calls to Terraform, and whether a plan is left on disk.
struct RunResult {
    applied: Result<AppliedAccount>,
    calls: Vec<String>,
    asked: Vec<String>,
    plan_is_left: bool,
}

async fn run(plans: Vec<Vec<(&'static str, Action)>>, has_bucket: bool, answer: bool) -> RunResult {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir_all(root.join("terraform/bootstrap")).unwrap();
    std::fs::write(root.join("terraform/bootstrap/main.tf"), "variable \"account\" {}\n").unwrap();
    let work = root.join("work");
    std::fs::create_dir_all(&work).unwrap();
    let spec = AccountSpec::for_tests("222222222222");
    let terraform = AccountTerraform { plans: Mutex::new(plans), calls: Mutex::default() };
    let approver = FakeApprover::new(answer);
    let applied = AccountApply {
        spec: &spec,
        partition: Partition::Aws,
        infrastructure: &terraform,
        configuration: &|adopted| configuration(root, &work, &spec, adopted),
        resources: &Account { has_bucket },
        github: &NobodyAsked,
        approver: &approver,
        progress: &Progress::silent(),
    };
    RunResult {
        applied: applied.run().await,
        calls: terraform.calls.into_inner().unwrap(),
        asked: approver.asked.into_inner().unwrap(),
        plan_is_left: work.join("plan.tfplan").exists(),
    }
}

fn configuration(
    root: &Path,
    work: &Path,
    spec: &AccountSpec,
    adopted: &[(String, String)],
) -> Result<Configuration> {
    let backend = Backend {
        bucket: spec.bootstrap_bucket(),
        prefix: String::new(),
        region: spec.region.clone(),
        account: spec.account.clone(),
        lock_table: None,
        endpoint: None,
    };
    prepare_account(AccountPreparation {
        root,
        work: work.to_path_buf(),
        label: &spec.label,
        backend: &backend,
        values: spec.values(),
        adopted,
        variables: Vec::new(),
        provider_lock: crate::plan::ProviderLock::Completed,
        lock_timeout: std::time::Duration::ZERO,
        lock: &WorkLock::of_temporary_file(),
    })
}

#[tokio::test]
async fn new_account_is_planned_approved_and_applied_once() {
    let result = run(vec![vec![(BUCKET, Action::Create)]], false, true).await;
    let applied = result.applied.unwrap();
    assert_eq!(result.calls, ["plan", "apply"]);
    assert_eq!(result.asked, ["Apply 1 change to the account 222222222222?"]);
    assert_eq!((applied.adopted, applied.changes.len()), (Vec::new(), 1));
    assert_eq!(applied.outputs.output("boundaries"), json!({ "dev": "arn" }));
    assert_eq!(applied.outputs.output("absent"), serde_json::Value::Null);
}

#[tokio::test]
async fn existing_resources_are_adopted_by_a_second_plan() {
    let plans = vec![vec![(BUCKET, Action::Create)], vec![(BUCKET, Action::Import)]];
    let result = run(plans, true, true).await;
    let applied = result.applied.unwrap();
    assert_eq!(result.calls, ["plan", "plan with imports", "apply"]);
    assert_eq!(applied.adopted, [BUCKET]);
    assert_eq!(applied.changes[0].action, Action::Import);
}

#[tokio::test]
async fn account_without_changes_is_not_applied_and_nobody_is_asked() {
    let result = run(vec![Vec::new()], true, false).await;
    let applied = result.applied.unwrap();
    assert_eq!(result.calls, ["plan", "outputs"]);
    assert_eq!((result.asked.len(), applied.changes.len(), result.plan_is_left), (0, 0, false));
    assert_eq!(applied.outputs.output("boundaries"), json!({ "dev": "arn" }));
}

#[tokio::test]
async fn refused_plan_is_deleted_and_not_applied() {
    let result = run(vec![vec![(BUCKET, Action::Update)]], true, false).await;
    let failure = result.applied.unwrap_err();
    assert_eq!((failure.kind(), failure.message()), (FailureKind::Refused, "not approved"));
    assert_eq!((result.calls, result.plan_is_left), (vec!["plan".to_owned()], false));
}

#[tokio::test]
async fn role_that_trusts_an_environment_without_rules_is_refused_without_a_question() {
    let result = run(vec![vec![(UNPROTECTED, Action::Update)]], true, true).await;
    let failure = result.applied.unwrap_err();
    assert_eq!((failure.kind(), failure.message()), (FailureKind::Refused, "unprotected"));
    assert_eq!((result.asked.len(), result.calls.len(), result.plan_is_left), (0, 1, false));
}

#[tokio::test]
async fn plan_that_removes_a_bucket_is_deleted_without_a_question() {
    let result = run(vec![vec![(BUCKET, Action::Delete)]], true, true).await;
    let failure = result.applied.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(failure.message().contains(BUCKET), "{failure}");
    assert_eq!((result.asked.len(), result.calls.len(), result.plan_is_left), (0, 1, false));
}

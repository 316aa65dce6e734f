//! Recovery: finds what a dead run left behind in a stack, and repairs it after approval.
//!
//! In: a stack. Out: each leftover with what was done about it. Leftovers are an open deployment in the ledger, a lock on
//! the state, a state that Terraform could not save, and an alias that is not where the ledger says. Errors: nobody can be
//! asked for approval (reported beside the findings), or a repair fails.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::EnvironmentStack;
use super::settle::close_cut_off;
use super::unknown_resources::{self, Search, UnknownResources};
use super::unsaved_state::{UnsavedState, set_aside};
use crate::failure::{self, Failure, Result};
use crate::ledger::{self, Ended, Serving, Started};
use crate::name::StackName;
use crate::plan::{self, Configuration};
use crate::rollout::{self, Evidence};

/// One thing that was left behind.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Finding")]
pub(crate) struct Leftover {
    /// The stack.
    pub(crate) stack: StackName,
    /// What was found.
    pub(crate) found: String,
    /// What was done about it.
    pub(crate) done: String,
}

/// Result of recovering a stack.
pub(crate) struct Recovered {
    /// Everything that was left behind.
    pub(crate) leftovers: Vec<Leftover>,
    /// Why nobody could be asked for approval.
    pub(crate) refused: Option<Failure>,
}

/// A repair of one leftover.
enum Repair {
    CloseDeployment(Box<Started>),
    Unlock(String),
    SaveState(PathBuf),
    SetAside(PathBuf),
    MoveAlias(Box<Serving>),
    Import(Box<UnknownResources>),
}

/// Terraform's lock file: <https://developer.hashicorp.com/terraform/language/backend/s3#state-locking>.
#[derive(Deserialize)]
struct LockFile {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Who")]
    who: String,
    #[serde(rename = "Operation")]
    operation: String,
    #[serde(rename = "Created")]
    created: String,
}

/// Finds what was left behind in a stack and repairs each leftover that the approver agrees to.
pub(crate) async fn recover(stack: &EnvironmentStack) -> Result<Recovered> {
    let mut recovered = Recovered { leftovers: Vec::new(), refused: None };
    for (found, repair) in find(stack).await? {
        recovered.repair(stack, found, repair).await?;
    }
    // Only now: what exists is compared with a state that is saved and not locked.
    match unknown_resources::search(stack).await? {
        Search::Nothing => {}
        Search::Found(unknown) => {
            let list = unknown_resources::text(&unknown.resources).replace('\n', "\n    ");
            let found = format!("what an apply created that was cut off is not in the state:\n    {list}");
            recovered.repair(stack, found, Ok(Repair::Import(unknown))).await?;
        }
        Search::NotLooked(why) => {
            let found = format!("what exists and is not in the state was not looked for: {why}");
            let again = format!("afterwards: cargo xtask recover --env {}", stack.environment());
            recovered.repair(stack, found, Err(again)).await?;
        }
    }
    Ok(recovered)
}

impl Recovered {
    /// Repairs a leftover if the approver agrees, and lists it.
    async fn repair(
        &mut self,
        stack: &EnvironmentStack,
        found: String,
        repair: Result<Repair, String>,
    ) -> Result<()> {
        let done = match repair {
            Err(left) => left,
            Ok(repair) => {
                stack.progress.note(format!("recover   {found}"));
                match stack.approver.approve(repair.question()) {
                    Ok(true) => repair.run(stack).await?,
                    Ok(false) => "left as it is".to_owned(),
                    Err(failure) => {
                        self.refused.get_or_insert(failure.unchanged("Nothing was changed."));
                        "left as it is".to_owned()
                    }
                }
            }
        };
        self.leftovers.push(Leftover { stack: stack.name().clone(), found, done });
        Ok(())
    }
}

/// Returns what was left behind, each with its repair, or with what there is to do instead.
async fn find(stack: &EnvironmentStack) -> Result<Vec<(String, Result<Repair, String>)>> {
    let mut found = Vec::new();
    let head = stack.ledger.head().await?;
    if let Some(open) = head.open {
        let what = format!(
            "deployment {} ({}) by {} since {} has not ended",
            open.deployment,
            open.describe(),
            open.by,
            open.at
        );
        if ledger::is_alive(&open, &stack.holder, &stack.ledger.lease(), stack.clock.as_ref()).await? {
            found.push((format!("{what}, and its process is running"), Err("left alone".to_owned())));
        } else {
            let repair = Repair::CloseDeployment(Box::new(open));
            found.push((format!("{what}, and its process is gone"), Ok(repair)));
        }
    }
    let key = format!("{}.tfstate.tflock", stack.name());
    if let Some(stored) = stack.store.get(&key).await? {
        found.push(match serde_json::from_slice(&stored.bytes) {
            Ok(LockFile { id, who, operation, created }) => {
                let what = format!("the state is locked by {who} ({operation}) since {created}, lock {id}");
                (what, Ok(Repair::Unlock(id)))
            }
            Err(_) => (
                format!("the state is locked, and {}/{key} does not say by whom", stack.store.place()),
                Err("if no Terraform runs there, delete that object".to_owned()),
            ),
        });
    }
    let folders = [stack.root.join("terraform/stacks").join(stack.name().as_str()), stack.plan.work.clone()];
    for path in plan::unsaved_states(&folders) {
        let what = format!("a state that could not be saved is in {}", path.display());
        found.push(unsaved_leftover(stack, path, what).await?);
    }
    let environment = stack.environment();
    if let Some(unfinished) = head.last.as_ref().and_then(Ended::unfinished_rollback_text) {
        found.push((unfinished, Err(format!("to continue: cargo xtask rollback --env {environment}"))));
    }
    for (function, serving) in head.last.iter().flat_map(|last| &last.serves) {
        let alias = stack.functions.alias(&serving.function_name, &serving.alias).await?;
        if serving.matches(alias.as_ref()) {
            continue;
        }
        let (name, version, release) = (&serving.alias, &serving.lambda_version, &serving.release);
        let Some(alias) = alias else {
            let what =
                format!("the alias `{name}` of {function} is gone, the ledger says {version} ({release})");
            found.push((what, Err(format!("to create it again: cargo xtask release --env {environment}"))));
            continue;
        };
        let what = format!(
            "the alias `{name}` of {function} points to {}, the ledger says {version} ({release})",
            alias.points_to()
        );
        let repair = if serving.verified {
            Ok(Repair::MoveAlias(Box::new(serving.clone())))
        } else {
            Err(format!("version {version} was not verified: cargo xtask release --env {environment}"))
        };
        found.push((what, repair));
    }
    Ok(found)
}

/// Returns a state that could not be saved, with what there is to do about it.
async fn unsaved_leftover(
    stack: &EnvironmentStack,
    path: PathBuf,
    what: String,
) -> Result<(String, Result<Repair, String>)> {
    let aside = format!("then give the file another name: mv {0} {0}.kept", path.display());
    Ok(match UnsavedState::compare(stack, &path).await? {
        UnsavedState::Newer => (what, Ok(Repair::SaveState(path))),
        UnsavedState::NothingNew => {
            (format!("{what}; everything in it is in the stored state"), Ok(Repair::SetAside(path)))
        }
        UnsavedState::HasMore { why, missing, conflicting } => {
            let lines = missing.iter().map(|(address, id)| format!("\n    {address}: {id}"));
            let mut text = format!("{what}; it cannot be pushed: {why}");
            if !missing.is_empty() {
                text.push_str(&format!(
                    ". The stored state lacks these, which exist unless somebody deleted them:{}",
                    lines.collect::<String>()
                ));
            }
            if !conflicting.is_empty() {
                let both = crate::format::list(conflicting);
                text.push_str(&format!("\n    both states have another resource as {both}"));
            }
            let work = stack.plan.work.display();
            (
                text,
                Err(format!(
                    "import what you keep, delete what you do not, {aside}. To import: TF_DATA_DIR={work}/data terraform import -var-file={work}/slipway.tfvars.json <address> <id> in the stack's folder below {work}/source, with the environment's tfvars as another -var-file"
                )),
            )
        }
        UnsavedState::Unreadable(why) => (
            format!("{what}, and cannot be read: {why}"),
            Err(format!("compare it with the state by hand, {aside}")),
        ),
    })
}

impl Repair {
    fn question(&self) -> &'static str {
        match self {
            Self::CloseDeployment(_) => "Close it with what its aliases serve now?",
            Self::Unlock(_) => {
                "Remove that lock? Only if that run is dead: two applies at once lose a state."
            }
            Self::SaveState(_) => "Save that state now?",
            Self::SetAside(_) => "Give that file another name, so that deployments go on?",
            Self::Import(_) => {
                "Import them into the state? Only what this stack created: its next deployment changes them."
            }
            Self::MoveAlias(_) => "Move the alias back to what the ledger says?",
        }
    }

    /// Runs the repair and returns what it did.
    async fn run(self, stack: &EnvironmentStack) -> Result<String> {
        match self {
            Self::CloseDeployment(open) => {
                let last = stack.ledger.head().await?.last;
                let ended = close_cut_off(stack, &open, last.as_ref()).await?;
                Ok(format!("closed: {} {}", stack.environment(), ledger::serves_text(&ended.serves)))
            }
            Self::Unlock(id) => {
                stack.infrastructure.unlock(&configuration(stack).await?, &id).await?;
                Ok("unlocked".into())
            }
            Self::SaveState(path) => {
                stack.infrastructure.push_state(&configuration(stack).await?, &path).await?;
                let kept = set_aside(&path, "pushed", stack.clock.now().as_second());
                let kept = kept.map_err(|error| failure::io("rename", &path, error))?;
                Ok(format!("saved; the file is now {}", kept.display()))
            }
            Self::SetAside(path) => {
                let kept = set_aside(&path, "kept", stack.clock.now().as_second());
                let kept = kept.map_err(|error| failure::io("rename", &path, error))?;
                Ok(format!("the file is now {}", kept.display()))
            }
            Self::Import(unknown) => unknown.import(stack).await,
            Self::MoveAlias(serving) => {
                let moved = rollout::point(
                    &stack.functions,
                    &serving.function_name,
                    &serving.alias,
                    &serving.lambda_version,
                    Evidence::Served(&serving),
                )
                .await?;
                Ok(format!("moved from {} to {}", moved.from, moved.to))
            }
        }
    }
}

/// Returns a configuration of the stack's backend: unlocking and saving a state need no more.
async fn configuration(stack: &EnvironmentStack) -> Result<Configuration> {
    let lock = stack.lock_work_to_recover().await?;
    stack.configure_for_state(&lock)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::delivery::model::scene::Scene;
    use crate::failure::FailureKind;
    use crate::fakes::FakeApprover;
    use crate::ledger::{DeploymentKind, DeploymentOutcome};
    use crate::ports::{Approver, Functions as _};

    /// Returns a scene whose functions serve their first release.
    async fn serving_scene() -> Scene {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        scene
    }

    async fn texts(stack: &EnvironmentStack) -> Vec<(String, String)> {
        let recovered = recover(stack).await.unwrap();
        recovered.leftovers.into_iter().map(|leftover| (leftover.found, leftover.done)).collect()
    }

    #[tokio::test]
    async fn stack_that_is_well_has_no_leftovers() {
        let mut scene = serving_scene().await;
        assert_eq!(texts(&scene.stack(true)).await, []);
    }

    #[tokio::test]
    async fn open_deployment_of_a_dead_process_is_closed_with_what_serves() {
        let mut scene = serving_scene().await;
        let dead = scene.stack(true);
        let last = dead.ledger.head().await.unwrap().last;
        let started = dead.started(DeploymentKind::Deploy, last.as_ref(), BTreeMap::new());
        dead.ledger.begin(&started).await.unwrap();
        let stack = scene.stack(true);
        let texts = texts(&stack).await;
        assert!(texts[0].0.starts_with("deployment 2 (deploy"), "{texts:?}");
        assert!(texts[0].0.ends_with("has not ended, and its process is gone"), "{texts:?}");
        assert_eq!(texts[0].1, "closed: dev serves a 1.0.0 and b 1.0.0");
        let head = stack.ledger.head().await.unwrap();
        assert!(head.open.is_none());
        assert_eq!(head.last.unwrap().outcome, DeploymentOutcome::Interrupted);
    }

    #[tokio::test]
    async fn deployment_is_not_closed_as_if_an_alias_that_stands_elsewhere_served_its_release() {
        let mut scene = serving_scene().await;
        let dead = scene.stack(true);
        let last = dead.ledger.head().await.unwrap().last;
        let started = dead.started(DeploymentKind::Deploy, last.as_ref(), BTreeMap::new());
        dead.ledger.begin(&started).await.unwrap();
        let name = Scene::function_name(&scene.functions[0]);
        let (_, version) = scene.lambda.serving(&name).unwrap();
        scene.lambda.publish(&name, version);
        let revision = scene.lambda.alias(&name, "live").await.unwrap().unwrap().revision_id.unwrap();
        scene.lambda.move_alias(&name, "live", "2", &revision).await.unwrap();
        let texts = texts(&scene.stack(true)).await;
        assert_eq!(
            texts[0].1,
            "closed: dev serves b 1.0.0; the alias `live` of a points to 2, not to 1 (1.0.0)"
        );
    }

    #[tokio::test]
    async fn open_deployment_of_a_running_process_is_left_alone() {
        let mut scene = serving_scene().await;
        let mut running = scene.stack(true);
        running.holder = ledger::Holder::here();
        let last = running.ledger.head().await.unwrap().last;
        let started = running.started(DeploymentKind::Deploy, last.as_ref(), BTreeMap::new());
        running.ledger.begin(&started).await.unwrap();
        let texts = texts(&running).await;
        assert!(texts[0].0.ends_with("and its process is running"), "{texts:?}");
        assert_eq!(texts[0].1, "left alone");
        assert!(running.ledger.head().await.unwrap().open.is_some());
    }

    #[tokio::test]
    async fn lock_on_the_state_is_removed() {
        let mut scene = serving_scene().await;
        let lock = r#"{"ID":"5f2e","Who":"ci@build-7","Operation":"OperationTypeApply","Created":"today"}"#;
        scene.state.set("s.tfstate.tflock", lock);
        let found = "the state is locked by ci@build-7 (OperationTypeApply) since today, lock 5f2e";
        let expected = [(found.to_owned(), "unlocked".to_owned())];
        assert_eq!(texts(&scene.stack(true)).await, expected);
        assert_eq!(texts(&scene.stack(true)).await, []);
        // One that cannot be read is there as well.
        scene.state.set("s.tfstate.tflock", "");
        let texts = texts(&scene.stack(true)).await;
        assert!(texts[0].0.ends_with("s.tfstate.tflock does not say by whom"), "{texts:?}");
        assert!(texts[0].1.ends_with("delete that object"), "{texts:?}");
    }

    #[tokio::test]
    async fn unsaved_state_is_saved_and_its_file_renamed() {
        let mut scene = serving_scene().await;
        let stack = scene.stack(true);
        let path = stack.root.join("terraform/stacks/s/errored.tfstate");
        std::fs::write(&path, r#"{"lineage":"8d7f","serial":99}"#).unwrap();
        let texts = texts(&stack).await;
        assert!(texts[0].1.starts_with("saved; the file is now "), "{texts:?}");
        assert!(!path.exists());
        assert!(scene.state.objects("s.tfstate")["s.tfstate"].ends_with(br#""serial":99}"#));
    }

    #[tokio::test]
    async fn alias_that_was_moved_by_hand_goes_back_to_the_ledgers_version() {
        let mut scene = serving_scene().await;
        let name = Scene::function_name(&scene.functions[0]);
        let (_, version) = scene.lambda.serving(&name).unwrap();
        scene.lambda.publish(&name, version);
        let revision = scene.lambda.alias(&name, "live").await.unwrap().unwrap().revision_id.unwrap();
        scene.lambda.move_alias(&name, "live", "2", &revision).await.unwrap();
        let found = "the alias `live` of a points to 2, the ledger says 1 (1.0.0)".to_owned();
        assert_eq!(texts(&scene.stack(true)).await, [(found, "moved from 2 to 1".to_owned())]);
        assert_eq!(scene.lambda.serving(&name).unwrap().0, "1");
    }

    #[tokio::test]
    async fn refusal_leaves_everything_as_it_is() {
        let mut scene = serving_scene().await;
        scene.state.set("s.tfstate.tflock", r#"{"ID":"1","Who":"ci","Operation":"apply","Created":"today"}"#);
        let texts = texts(&scene.stack(false)).await;
        assert_eq!(texts[0].1, "left as it is");
        assert!(scene.state.objects("").contains_key("s.tfstate.tflock"));

        struct Nobody;
        impl Approver for Nobody {
            fn approve(&self, _question: &str) -> Result<bool> {
                Err(Failure::refused("nobody can be asked"))
            }
            fn typed(&self, _name: &str) -> Result<bool> {
                Ok(false)
            }
        }
        let mut stack = scene.stack(false);
        stack.approver = Arc::new(Nobody);
        let recovered = recover(&stack).await.unwrap();
        assert_eq!(recovered.refused.unwrap().kind(), FailureKind::Refused);
        assert_eq!(recovered.leftovers[0].done, "left as it is");

        let approver = Arc::new(FakeApprover::new(false));
        stack.approver = approver.clone();
        recover(&stack).await.unwrap();
        let asked = approver.asked.lock().unwrap();
        assert!(asked[0].starts_with("Remove that lock?"), "{asked:?}");
    }
}

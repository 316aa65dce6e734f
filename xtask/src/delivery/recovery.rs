//! Recovery: finds what a dead run left behind in a stack, and repairs it after approval.
//!
//! In: a stack. Out: each leftover with what was done about it. Leftovers are an open deployment in the ledger, a lock on
//! the state, a state that Terraform could not save, and an alias that is not where the ledger says. Errors: nobody can be
//! asked for approval (reported beside the findings), or a repair fails.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::EnvironmentStack;
use super::rollback::served_version;
use super::settle::{self, await_other, close_cut_off};
use super::state_lock::{LockProof, StateLock};
use super::unknown_resources::{self, Search, UnknownResources};
use super::unsaved_state::{UnsavedState, set_aside};
use crate::failure::{self, Failure, FailureKind, Result};
use crate::ledger::{self, Ended, HolderState, OtherState, Serving, Started};
use crate::name::{FunctionName, StackName};
use crate::plan::{self, Configuration};
use crate::ports::Alias;
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

/// What `recover` is to do besides what it can prove.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecoverRequest {
    /// The id of a lock on a state that is to be removed although nothing here shows that nobody holds it (`--unlock`).
    pub(crate) unlock: Option<String>,
    /// The number of a deployment that is to be closed although its process seems to run (`--close`).
    pub(crate) close: Option<u64>,
}

/// A leftover, with its repair, or with what there is to do instead.
type Found = (String, Result<Repair, String>);

/// Finds what was left behind in a stack and repairs each leftover that the approver agrees to. What belongs to a run that may be
/// alive is left alone.
pub(crate) async fn recover(stack: &EnvironmentStack, request: &RecoverRequest) -> Result<Recovered> {
    let mut recovered = Recovered { leftovers: Vec::new(), refused: None };
    let (head, state) = await_other(stack, settle::deadline(stack)).await?;
    let open = head.open.map(|open| (open, state));
    let found = open.as_ref().map(|(open, state)| open_deployment(open, *state, request));
    recovered.handle(stack, found).await?;
    for lock in StateLock::read(stack).await? {
        let found = state_lock(stack, lock, open.as_ref(), request).await?;
        recovered.handle(stack, found).await?;
    }
    recovered.handle(stack, unsaved_states(stack).await?).await?;
    // Read again: what a deployment that was closed just now left is in its entry.
    let head = stack.ledger.head().await?;
    let found = match (&head.open, &head.last) {
        (Some(open), _) => aliases_of_open(stack, open).await?,
        (None, Some(last)) => aliases(stack, last).await?,
        (None, None) => Vec::new(),
    };
    recovered.handle(stack, found).await?;
    if let (None, Some(last)) = (&head.open, &head.last)
        && let Some(found) = other_state(stack, last).await?
    {
        // Nothing is imported into it: it would only look like the one that was lost.
        recovered.handle(stack, [found]).await?;
        return Ok(recovered);
    }
    // Only now: what exists is compared with a state that is saved and not locked.
    match unknown_resources::search(stack).await? {
        Search::Nothing => {}
        Search::Found(unknown) => {
            let list = unknown_resources::text(&unknown.resources).replace('\n', "\n    ");
            let what =
                if stack.accept_state { "what exists" } else { "what an apply created that was cut off" };
            let found = format!("{what} is not in the state:\n    {list}");
            recovered.handle(stack, [(found, Ok(Repair::Import(unknown)))]).await?;
        }
        Search::NotLooked(why) => {
            let found = format!("what exists and is not in the state was not looked for: {why}");
            let again = format!("afterwards: cargo xtask recover --env {}", stack.environment());
            recovered.handle(stack, [(found, Err(again))]).await?;
        }
    }
    Ok(recovered)
}

impl Recovered {
    /// Repairs each leftover that the approver agrees to.
    async fn handle(
        &mut self,
        stack: &EnvironmentStack,
        found: impl IntoIterator<Item = Found>,
    ) -> Result<()> {
        for (found, repair) in found {
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
        }
        Ok(())
    }
}

/// Returns a deployment that has not ended.
fn open_deployment(open: &Started, state: HolderState, request: &RecoverRequest) -> Found {
    let what = format!(
        "deployment {} ({}) by {} since {} has not ended, and {}",
        open.deployment,
        open.describe(),
        open.by,
        open.at,
        state.text()
    );
    if state.is_alive() && request.close != Some(open.deployment) {
        return (what, Err("left alone".to_owned()));
    }
    (what, Ok(Repair::CloseDeployment(Box::new(open.clone()))))
}

/// Returns a lock on the stack's state, with its repair only where nobody holds it.
async fn state_lock(
    stack: &EnvironmentStack,
    lock: std::result::Result<StateLock, String>,
    open: Option<&(Started, HolderState)>,
    request: &RecoverRequest,
) -> Result<Option<Found>> {
    let lock = match lock {
        Ok(lock) => lock,
        Err(place) => {
            return Ok(Some((
                format!("the state is locked, and {place} does not say by whom"),
                Err("if no Terraform runs there, delete it".to_owned()),
            )));
        }
    };
    let StateLock { id, who, operation, created } = &lock;
    let what = format!("the state is locked by {who} ({operation}) since {created}, lock {id}");
    let unlock = || Ok(Some((what.clone(), Ok(Repair::Unlock(id.clone())))));
    if request.unlock.as_ref() == Some(id) {
        return unlock();
    }
    let mut proof = lock.proof(stack, open.map(|(open, state)| (open, *state)));
    if matches!(proof, LockProof::Free(_)) {
        // The Terraform of a run that was cut off holds the work folder's lock until it has ended: it is waited for.
        match stack.lock_work_to_recover().await {
            Ok(_) => {}
            Err(failure) if failure.kind() == FailureKind::LockHeld => {
                proof = LockProof::Held(failure.message().to_owned());
            }
            Err(failure) => return Err(failure),
        }
    }
    let environment = stack.environment();
    let override_hint =
        format!("if you know that it runs no more: cargo xtask recover --env {environment} --unlock {id}");
    match proof {
        // It may have been released meanwhile.
        LockProof::Free(why) => {
            let is_there = StateLock::read(stack).await?.contains(&Ok(lock.clone()));
            Ok(is_there.then(|| (format!("{what}; {why}"), Ok(Repair::Unlock(id.clone())))))
        }
        LockProof::Held(why) => Ok(Some((what, Err(format!("left alone: {why}; {override_hint}"))))),
        LockProof::Unknown(why) => Ok(Some((what, Err(format!("left as it is: {why}; {override_hint}"))))),
    }
}

/// Returns the states that Terraform could not save.
async fn unsaved_states(stack: &EnvironmentStack) -> Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    let folders = [stack.root.join("terraform/stacks").join(stack.name().as_str()), stack.plan.work.clone()];
    for path in plan::unsaved_states(&folders) {
        let what = format!("a state that could not be saved is in {}", path.display());
        found.push(unsaved_leftover(stack, path, what).await?);
    }
    Ok(found)
}

/// Returns a state that is gone, or that is not the one which the last deployments left. A backup is better than an import, which
/// finds only what has a unique name: it is made where the state is accepted as it is.
async fn other_state(stack: &EnvironmentStack, last: &Ended) -> Result<Option<Found>> {
    if stack.accept_state {
        return Ok(None);
    }
    let now = plan::read_state(stack.store.as_ref(), stack.name()).await?.map(|(version, _)| version);
    let Some(OtherState { what, deployment, left }) = stack.ledger.other_state(last, now.as_ref()).await?
    else {
        return Ok(None);
    };
    let (place, name, environment) = (stack.store.place(), stack.name(), stack.environment());
    let digest = stack.plan.backend.lock_table.as_ref().map_or_else(String::new, |table| {
        format!(" and delete the item {}-md5 of the table {table}", stack.plan.lock_path())
    });
    Ok(Some((
        format!("the state {what}: deployment {deployment} left {left}"),
        Err(format!(
            "restore an earlier version of {place}/{name}.tfstate{digest}; if there is none: cargo xtask recover --env {environment} --accept-state imports what exists and has a name, then cargo xtask release --env {environment} --accept-state"
        )),
    )))
}

/// Returns the aliases that are not where the ledger's last entry says, while a deployment has not ended: they are that
/// deployment's, until it is closed.
async fn aliases_of_open(stack: &EnvironmentStack, open: &Started) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for (function, serving) in &open.serves {
        let alias = stack.functions.alias(&serving.function_name, &serving.alias).await?;
        if !serving.matches(alias.as_ref()) {
            found.push((
                different_alias(function, serving, alias.as_ref()),
                Err(format!("left alone: deployment {} has not ended", open.deployment)),
            ));
        }
    }
    Ok(found)
}

/// Returns a rollback that did not end, and the aliases that are not where the ledger says.
async fn aliases(stack: &EnvironmentStack, last: &Ended) -> Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    let environment = stack.environment();
    if let Some(unfinished) = last.unfinished_rollback_text() {
        found.push((unfinished, Err(format!("to continue: cargo xtask rollback --env {environment}"))));
    }
    for (function, serving) in &last.serves {
        let alias = stack.functions.alias(&serving.function_name, &serving.alias).await?;
        if serving.matches(alias.as_ref()) {
            continue;
        }
        let version = &serving.lambda_version;
        let repair = if alias.is_none() {
            Err(format!("to create it again: cargo xtask release --env {environment}"))
        } else if !serving.verified {
            Err(format!("version {version} was not verified: cargo xtask release --env {environment}"))
        } else {
            // The ledger's word alone moves nothing: the version has to be the one that it recorded.
            match served_version(stack, function, serving).await {
                Ok(Some(())) => Ok(Repair::MoveAlias(Box::new(serving.clone()))),
                Ok(None) => {
                    Err(format!("version {version} does not exist: cargo xtask release --env {environment}"))
                }
                Err(failure) if failure.kind() == FailureKind::VerificationFailed => Err(format!(
                    "left as it is: {}; cargo xtask release --env {environment} verifies what there is",
                    failure.message()
                )),
                Err(failure) => return Err(failure),
            }
        };
        found.push((different_alias(function, serving, alias.as_ref()), repair));
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

/// Says where an alias is that is not where the ledger says.
fn different_alias(function: &FunctionName, serving: &Serving, alias: Option<&Alias>) -> String {
    let Serving { alias: name, lambda_version: version, release, .. } = serving;
    match alias {
        None => format!("the alias `{name}` of {function} is gone, the ledger says {version} ({release})"),
        Some(alias) => format!(
            "the alias `{name}` of {function} points to {}, the ledger says {version} ({release})",
            alias.points_to()
        ),
    }
}

impl Repair {
    fn question(&self) -> &'static str {
        match self {
            Self::CloseDeployment(_) => "Close it with what its aliases serve now?",
            Self::Unlock(_) => "Remove that lock? Two applies at once lose a state.",
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
                StateLock::remove(stack, &configuration(stack).await?, &id).await?;
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
mod tests;

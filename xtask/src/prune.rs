//! Prune: removes old Lambda versions, zips, images and saved plans that nothing needs any more; by default it only says what it
//! would remove.
//!
//! In: an environment's stacks, the ledgers of every environment that uses the same releases, how much to keep. Out: what is
//! removed and what is kept, each with the reason. Manifests are never removed: a version is never cut again. Errors: a
//! deployment is running; a ledger of this environment cannot be read. A ledger of another one that cannot be read keeps every
//! zip and image.

mod artifacts;
mod saved;
mod versions;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{Failure, FailureKind, Result};
use crate::ledger::{Ended, Ledger, lock_held};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::ports::{Functions, Store};
use crate::progress::Progress;
use crate::release::Catalogue;

/// How many deployments of a ledger are read: more than a rollback looks at.
const HISTORY: usize = 500;

/// What kind of thing is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PrunedKind {
    /// A published Lambda version.
    LambdaVersion,
    /// A saved plan.
    SavedPlan,
    /// The zip of a release.
    Artifact,
    /// The image of a release.
    Image,
}

impl PrunedKind {
    /// Returns the kind in words.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::LambdaVersion => "Lambda version",
            Self::SavedPlan => "saved plan",
            Self::Artifact => "artifact",
            Self::Image => "image",
        }
    }
}

/// What of an environment is never removed.
const CONFIGURATIONS: &str = "the applied files under configurations/: the bucket's policy lets nobody delete them, as little as the ledger";

/// Something that is removed or kept, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct PruneItem {
    /// What kind of thing it is.
    pub(crate) kind: PrunedKind,
    /// Its name: `shop-dev-hello:7`, a plan's id, a release.
    pub(crate) name: String,
    /// Why it is removed, or kept.
    pub(crate) why: String,
    /// Its keys in a store, or the version's number.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) parts: Vec<String>,
}

/// What is to be removed, and what stays.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct PrunePlan {
    /// What is removed.
    pub(crate) remove: Vec<PruneItem>,
    /// What stays.
    pub(crate) keep: Vec<PruneItem>,
    /// What was not looked at, and why: it stays.
    pub(crate) untouched: Vec<String>,
}

/// One stack of the environment that is pruned.
pub(crate) struct StackToPrune {
    /// The stack.
    pub(crate) stack: StackName,
    /// Its ledger.
    pub(crate) ledger: Ledger,
}

/// The environment that is pruned.
pub(crate) struct Pruner<'a> {
    /// Its name.
    pub(crate) environment: &'a EnvironmentName,
    /// Its stacks.
    pub(crate) stacks: &'a [StackToPrune],
    /// Its own store.
    pub(crate) store: &'a dyn Store,
    /// Its functions.
    pub(crate) functions: &'a dyn Functions,
    /// The releases.
    pub(crate) catalogue: &'a Catalogue,
    /// How many earlier verified releases of a function stay.
    pub(crate) keep: usize,
    /// The time.
    pub(crate) now: jiff::Timestamp,
    /// Receives progress events.
    pub(crate) progress: &'a Progress,
}

/// What the ledger of a stack needs, by function.
#[derive(Debug, Default, Clone)]
pub(crate) struct Needed {
    /// Releases, each with the reason.
    releases: BTreeMap<(FunctionName, Version), String>,
}

impl Needed {
    fn add(&mut self, function: &FunctionName, release: &Version, why: impl Into<String>) {
        self.releases.entry((function.clone(), release.clone())).or_insert_with(|| why.into());
    }

    /// Adds what another environment needs.
    pub(crate) fn extend(&mut self, other: Self) {
        for (release, why) in other.releases {
            self.releases.entry(release).or_insert(why);
        }
    }

    /// Adds what saved plans of an environment that did not expire would deploy.
    pub(crate) async fn add_plans(
        &mut self,
        store: &dyn Store,
        environment: &EnvironmentName,
        now: jiff::Timestamp,
    ) -> Result<()> {
        for digest in crate::saved_plans::list(store, "").await? {
            let plan = crate::saved_plans::read(store, environment, digest).await?;
            if plan.refuse_expired(now).is_ok() {
                for (function, saved) in plan.document.stacks.iter().flat_map(|stack| &stack.releases) {
                    self.add(
                        function,
                        &saved.release,
                        format!("the saved plan {} of {environment} has it", plan.id),
                    );
                }
            }
        }
        Ok(())
    }
}

/// Reads what a stack's ledger needs: what serves, what is wanted or held, and the verified releases before it that a rollback may
/// want.
pub(crate) async fn needed(ledger: &Ledger, environment: &EnvironmentName, keep: usize) -> Result<Needed> {
    let head = ledger.head().await?;
    if let Some(open) = &head.open {
        return Err(Failure::new(
            FailureKind::LockHeld,
            format!("deployment {} of {} has not ended", open.deployment, ledger.name()),
        )
        .unchanged("Nothing was removed."));
    }
    let Some(last) = head.last else { return Ok(Needed::default()) };
    Ok(needed_by(&ledger.history(HISTORY).await?, &last, environment, keep))
}

fn needed_by(history: &[Ended], last: &Ended, environment: &EnvironmentName, keep: usize) -> Needed {
    let mut needed = Needed::default();
    for (function, serving) in &last.serves {
        needed.add(function, &serving.release, format!("serves in {environment}"));
    }
    for (function, wanted) in &last.will {
        needed.add(
            function,
            &wanted.release,
            format!("deployment {} of {environment} wanted it", last.deployment),
        );
    }
    for (function, wanted) in last.unfinished_rollback() {
        needed.add(function, &wanted.release, format!("a rollback in {environment} is not finished"));
    }
    for hold in &last.holds {
        needed.add(&hold.function, &hold.release, format!("is on hold in {environment}"));
    }
    let mut earlier: BTreeMap<&FunctionName, BTreeSet<&Version>> = BTreeMap::new();
    for ended in history {
        for (function, serving) in ended.serves.iter().filter(|(_, serving)| serving.verified) {
            let seen = earlier.entry(function).or_default();
            // The serving one is not an earlier one.
            let serves = last.serves.get(function).is_some_and(|now| now.release == serving.release);
            if serves || (seen.len() >= keep && !seen.contains(&serving.release)) {
                continue;
            }
            seen.insert(&serving.release);
            needed.add(function, &serving.release, format!("a rollback in {environment} may want it"));
        }
    }
    needed
}

impl Pruner<'_> {
    /// Returns what would be removed. `others` is what other environments of the same releases need; where that could not be read,
    /// no zip is removed.
    pub(crate) async fn plan(&self, others: std::result::Result<Needed, String>) -> Result<PrunePlan> {
        let (mut plan, mut needed) = (PrunePlan::default(), Needed::default());
        let (mut used, mut running) = (BTreeSet::new(), BTreeSet::new());
        for StackToPrune { stack, ledger } in self.stacks {
            let head = ledger.head().await?;
            if let Some(open) = &head.open {
                return Err(lock_held(stack, self.environment, open).unchanged("Nothing was removed."));
            }
            let Some(last) = head.last else { continue };
            let history = ledger.history(HISTORY).await?;
            needed.extend(needed_by(&history, &last, self.environment, self.keep));
            used.extend(
                history.iter().take(self.keep.max(1)).filter_map(|ended| Some(ended.plan.as_ref()?.id)),
            );
            running.extend(self.plan_versions(&history, &last, &mut plan).await?);
        }
        needed.add_plans(self.store, self.environment, self.now).await?;
        self.plan_saved(&used, &mut plan).await?;
        match others {
            Ok(others) => {
                needed.extend(others);
                self.plan_artifacts(&needed, &running, &mut plan).await?;
            }
            Err(why) => {
                let what = "all artifacts and images, because other environments may run them";
                plan.untouched.push(format!("{what}: {why}"));
            }
        }
        plan.untouched.push(CONFIGURATIONS.to_owned());
        plan.remove.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        Ok(plan)
    }

    /// Removes what a plan says. Returns the number of removed things; after a failure of one, the others go on.
    pub(crate) async fn apply(&self, plan: &PrunePlan) -> Result<usize> {
        let (mut removed, mut failed) = (0, Vec::new());
        for item in &plan.remove {
            let step = self.progress.step("remove", format!("{} {}", item.kind.word(), item.name));
            match self.remove(item).await {
                Ok(()) => {
                    step.done("removed");
                    removed += 1;
                }
                Err(failure) if failure.kind() == FailureKind::Interrupted => return Err(failure),
                Err(failure) => {
                    step.failed("failed");
                    failed.push((item, failure));
                }
            }
        }
        let Some((first, failure)) = failed.into_iter().next() else { return Ok(removed) };
        Err(Failure::failed(format!("{} {} could not be removed", first.kind.word(), first.name))
            .detail("removed before", removed.to_string())
            .caused_by(failure)
            .hint("the same command again goes on with what is left; deploying roles may not delete: run it as an administrator"))
    }

    async fn remove(&self, item: &PruneItem) -> Result<()> {
        match item.kind {
            PrunedKind::LambdaVersion => {
                let [function, version] = item.parts.as_slice() else {
                    return Err(Failure::defect("a version without its function"));
                };
                self.functions.delete_version(function, version).await
            }
            PrunedKind::SavedPlan => {
                for key in &item.parts {
                    self.store.delete(key).await?;
                }
                Ok(())
            }
            PrunedKind::Artifact => {
                for key in &item.parts {
                    self.catalogue.store().delete(key).await?;
                }
                Ok(())
            }
            PrunedKind::Image => {
                let [repository, digest] = item.parts.as_slice() else {
                    return Err(Failure::defect("an image without its repository"));
                };
                let digest = digest.parse().map_err(|_| Failure::defect("an image without its digest"))?;
                self.catalogue.images()?.delete(repository, &digest).await
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Nothing is lost unnoticed: a release whose history lacks commits that serve is refused, with their names.
//!
//! In: the releases of a request, what the stack serves. Out: what users would lose, and what of it was accepted. A release of
//! the same inputs loses nothing; else the commits of both are compared, for the files that differ. Errors: refusals (exit code
//! 6), also where git does not have a commit. A rollback goes back on purpose and is not asked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{DeployRequest, EnvironmentStack, Intent, Route};
use crate::failure::{Failure, Result};
use crate::format;
use crate::ledger::{Ended, Serving};
use crate::name::{FunctionName, Version};
use crate::release::{Catalogue, InputsRecord, Manifest, ReleaseCandidate};
use crate::source::{CommitLine, Lineage, Repository};

/// How many commits a refusal names.
const NAMED: usize = 10;

/// What a function's users would lose.
#[derive(Debug, Clone)]
pub(crate) struct Loss {
    /// The function.
    pub(crate) function: FunctionName,
    /// The release that serves.
    pub(crate) serves: Version,
    /// Its commit.
    pub(crate) commit: String,
    /// The release that would serve instead.
    pub(crate) release: Version,
    /// The lost commits, newest first; `None` where git cannot say, because it lacks `missing`.
    pub(crate) commits: Option<Vec<CommitLine>>,
    /// The commit that the repository does not have.
    pub(crate) missing: Option<String>,
    /// The deployment that brought what serves as a hotfix.
    pub(crate) hotfix: Option<u64>,
}

/// A loss as a reviewer of a plan sees it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ReviewedLoss {
    /// What is lost, a sentence without a full stop.
    pub(crate) what: String,
    /// The commits, newest first, each with its author and subject; empty where git cannot say.
    pub(crate) commits: Vec<String>,
    /// What a deployment must name: `--allow-loss <commit>`.
    pub(crate) accepted_by: String,
}

impl Loss {
    /// Returns whether the loss was accepted: each lost commit is one of those, or comes before one of them.
    fn is_allowed(&self, allowed: &[String], repository: Option<&Repository>) -> Result<bool> {
        let named = |commit: &str| allowed.iter().any(|allowed| is_beginning(allowed, commit));
        let Some(commits) = &self.commits else {
            // Of a commit that is not here, only its own name says anything.
            return Ok(named(&self.commit) || self.missing.as_deref().is_some_and(named));
        };
        for lost in commits.iter().filter(|lost| !named(&lost.commit)) {
            let Some(repository) = repository else { return Ok(false) };
            if !allowed
                .iter()
                .map(|allowed| repository.covers(allowed, &lost.commit))
                .collect::<Result<Vec<_>>>()?
                .contains(&true)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns the ids to record.
    fn ids(&self) -> Vec<String> {
        match &self.commits {
            Some(commits) => commits.iter().map(|commit| commit.commit.clone()).collect(),
            None => vec![self.commit.clone()],
        }
    }

    /// Returns it for a reviewer: the sentence and the lost commits, and the option that accepts it.
    pub(crate) fn reviewed(&self) -> ReviewedLoss {
        let lines = self.commits.iter().flatten().take(NAMED).map(ToString::to_string);
        let more = self.commits.iter().flatten().count().saturating_sub(NAMED);
        let more = (more > 0).then(|| format!("and {more} more"));
        ReviewedLoss {
            what: self.sentence(),
            commits: lines.chain(more).collect(),
            accepted_by: self.accepting_option(),
        }
    }

    /// Returns the option that accepts the loss.
    fn accepting_option(&self) -> String {
        format!("--allow-loss {}", self.commit.get(..12).unwrap_or(&self.commit))
    }

    /// Says it in a sentence without a full stop.
    pub(crate) fn sentence(&self) -> String {
        let Self { function, serves, release, .. } = self;
        match &self.commits {
            Some(commits) => format!(
                "`{function}` {release} lacks {} that {serves} has",
                format::plural(commits.len(), "commit")
            ),
            None => format!("whether `{function}` {release} has what {serves} has cannot be said"),
        }
    }
}

/// Returns whether a text is the beginning of a commit's id, long enough to mean it.
fn is_beginning(text: &str, commit: &str) -> bool {
    text.len() >= 7 && commit.starts_with(&text.to_ascii_lowercase())
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns what the users of a stack's functions would lose by some releases, and notes about what cannot be compared.
pub(crate) async fn losses(
    stack: &EnvironmentStack,
    releases: &[ReleaseCandidate],
    last: Option<&Ended>,
) -> Result<(Vec<Loss>, Vec<String>)> {
    let (mut losses, mut notes) = (Vec::new(), Vec::new());
    for release in releases {
        let function = &release.function;
        let Some(serving) = last.and_then(|last| last.serves.get(function)) else { continue };
        if serving.release == release.version && release.manifest == Some(serving.digest) {
            continue;
        }
        let (from, to) = (&serving.commit, &release.commit);
        if serving.release.is_dirty() {
            notes.push(format!(
                "`{function}` {} serves changes that no commit has: whether {} has them is not known",
                serving.release, release.version
            ));
        }
        if from == to {
            continue;
        }
        if let Some((unknown, _)) =
            [(&serving.release, from), (&release.version, to)].iter().find(|(_, commit)| !is_commit(commit))
        {
            notes.push(format!(
                "`{function}` {unknown} has no commit on record: whether {} has everything that {} has is not known",
                release.version, serving.release
            ));
            continue;
        }
        let Some(paths) = differing_paths(&stack.catalogue, serving, release).await? else {
            continue;
        };
        let lineage = match Repository::open(&stack.root) {
            Ok(repository) => repository.lineage(from, to, paths.as_deref())?,
            Err(_) => Lineage::Unknown(from.clone()),
        };
        let (commits, missing) = match lineage {
            Lineage::Contains => continue,
            Lineage::Lacks(commits) => (Some(commits), None),
            Lineage::Unknown(missing) => (None, Some(missing)),
        };
        let brought = stack.ledger.deployment(serving.since).await?.and_then(|ended| ended.origin);
        losses.push(Loss {
            function: function.clone(),
            serves: serving.release.clone(),
            commit: from.clone(),
            release: release.version.clone(),
            commits,
            missing,
            hotfix: brought.filter(|origin| origin.hotfix).map(|_| serving.since),
        });
    }
    Ok((losses, notes))
}

/// Returns the files in which the inputs of two releases differ: `None` where none does, so that nothing can be lost;
/// `Some(None)` where the store does not say, so that every file counts.
pub(super) async fn differing_paths(
    catalogue: &Catalogue,
    serving: &Serving,
    release: &ReleaseCandidate,
) -> Result<Option<Option<Vec<String>>>> {
    let Some(before) = catalogue.find(&release.function, &serving.release).await? else {
        return Ok(Some(None));
    };
    if before.digest()? != serving.digest {
        return Ok(Some(None));
    }
    let (one, other) = (before.source.inputs_digest, release.inputs_digest);
    if one == other {
        return Ok(None);
    }
    let other = async || match &release.inputs {
        Some(inputs) => Ok(Some(inputs.clone())),
        None => InputsRecord::find(catalogue, &other).await,
    };
    let records = futures::try_join!(InputsRecord::find(catalogue, &one), other())?;
    let (Some(one), Some(other)) = records else { return Ok(Some(None)) };
    Ok(Some(one.differing_files(&other)))
}

/// Checks a request: refuses what was not accepted, and returns what was, by function.
pub(super) async fn check(
    stack: &EnvironmentStack,
    request: &DeployRequest,
    last: Option<&Ended>,
) -> Result<BTreeMap<FunctionName, Vec<String>>> {
    let releases = candidates(&request.releases)?;
    if request.intent.route == Route::Hotfix {
        refuse_not_descending(stack, &releases, last)?;
    }
    let (losses, notes) = losses(stack, &releases, last).await?;
    notes.iter().for_each(|note| stack.progress.note(format!("history   {note}")));
    refuse_losses(stack, &losses, &request.intent.allow_loss)?;
    Ok(losses.iter().map(|loss| (loss.function.clone(), loss.ids())).collect())
}

/// Describes the releases of a request.
pub(crate) fn candidates(releases: &BTreeMap<FunctionName, Manifest>) -> Result<Vec<ReleaseCandidate>> {
    releases.values().map(ReleaseCandidate::published).collect()
}

/// Refuses releases that a delivery to a stack would refuse for their commits, before they are built. What has to be compared
/// again, because another deployment may end in between, is: the delivery does it.
pub(crate) async fn refuse_early(
    stack: &EnvironmentStack,
    releases: &[ReleaseCandidate],
    intent: &Intent,
) -> Result<()> {
    let last = stack.ledger.head().await?.last;
    if intent.route == Route::Hotfix {
        refuse_not_descending(stack, releases, last.as_ref())?;
    }
    let (losses, _) = losses(stack, releases, last.as_ref()).await?;
    refuse_losses(stack, &losses, &intent.allow_loss)
}

/// Refuses losses that were not accepted.
pub(crate) fn refuse_losses(stack: &EnvironmentStack, losses: &[Loss], allowed: &[String]) -> Result<()> {
    let repository = Repository::open(&stack.root).ok();
    let mut refused = Vec::new();
    for loss in losses {
        if !loss.is_allowed(allowed, repository.as_ref())? {
            refused.push(loss);
        }
    }
    let Some(first) = refused.first() else { return Ok(()) };
    let environment = stack.environment();
    let mut failure = Failure::refused(match &first.commits {
        Some(_) => format!("{}, and {environment} serves {}", first.sentence(), first.serves),
        None => {
            let missing = first.missing.as_deref().unwrap_or(&first.commit);
            format!("{}: git does not have the commit {missing} here", first.sentence())
        }
    });
    for loss in &refused {
        let commits = loss.commits.iter().flatten();
        for commit in commits.clone().take(NAMED) {
            let hotfix = loss.hotfix.map(|number| format!(" (hotfix, deployment {number})"));
            failure = failure.detail("would be lost", format!("{commit}{}", hotfix.unwrap_or_default()));
        }
        let more = commits.count().saturating_sub(NAMED);
        if more > 0 {
            failure = failure.detail("would be lost", format!("and {more} more"));
        }
        if loss.commits.is_none() {
            failure =
                failure.detail("serves", format!("{} {} of {}", loss.function, loss.serves, loss.commit));
        }
    }
    let flags: Vec<String> = refused.iter().map(|loss| loss.accepting_option()).collect();
    let accept = format!("to go on without them: {}", flags.join(" "));
    let hint = match &first.commits {
        Some(_) => format!(
            "merge or cherry-pick them and release again; to go back on purpose: cargo xtask rollback {} --env {environment} --to <VERSION>; {accept}",
            first.function
        ),
        None => format!(
            "fetch the whole history: git fetch --unshallow --tags, or clone without --depth; {accept}"
        ),
    };
    Err(failure.unchanged("Nothing was changed.").hint(hint))
}

/// Refuses a hotfix that does not descend from what runs.
fn refuse_not_descending(
    stack: &EnvironmentStack,
    releases: &[ReleaseCandidate],
    last: Option<&Ended>,
) -> Result<()> {
    let Some(last) = last else { return Ok(()) };
    let functions = releases.iter().filter_map(|release| {
        let ReleaseCandidate { function, version, commit, .. } = release;
        let serving = last.serves.get(function).filter(|serving| serving.release != *version)?;
        Some((format!("`{function}` {version}"), &serving.commit, commit))
    });
    let files = stack.commit.as_ref().zip(last.commit.as_ref());
    let files = files.map(|(now, before)| (format!("the files of `{}`", stack.name()), before, &now.commit));
    for (what, before, now) in functions.chain(files).filter(|(_, before, now)| before != now) {
        let descends = Repository::open(&stack.root)?.descends_from(now, before)?;
        if descends == Some(true) {
            continue;
        }
        let environment = stack.environment();
        let failure = Failure::refused(format!(
            "a hotfix must descend from what runs in {environment}, and {what} {}",
            if descends.is_none() { "cannot be compared with it" } else { "does not" }
        ))
        .detail("runs", before.clone())
        .detail("hotfix", now.clone())
        .unchanged("Nothing was changed.");
        return Err(match descends {
            None => failure.hint(
                "git lacks one of these commits: git fetch --unshallow --tags, or clone without --depth",
            ),
            Some(_) => failure.hint(format!("begin there: git switch --create hotfix {before}")),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;

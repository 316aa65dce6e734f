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
mod tests {
    use super::*;
    use crate::delivery::model::scene::{Scene, deploy_request};
    use crate::delivery::{Intent, RollbackRequest, deliver, roll_back_stack};
    use crate::failure::FailureKind;
    use crate::ledger::Origin;
    use crate::source::tests::Tree;

    /// A scene whose project is a repository, and a release of `a` for each of some commits.
    async fn served(scene: &mut Scene, commit: &str) -> Manifest {
        let releases = scene.functions.clone().into_iter().map(|function| {
            let commit = commit.to_owned();
            (function.clone(), scene.release_from(&function, &commit))
        });
        let releases: BTreeMap<FunctionName, Manifest> = releases.collect();
        let first = releases.values().next().unwrap().clone();
        deliver(&scene.stack(true), &deploy_request(releases)).await.unwrap();
        first
    }

    fn tree_with_two_lines() -> (Tree, String, String, String) {
        let tree = Tree::new();
        let first = tree.commit("feat: begin");
        tree.git(&["checkout", "--quiet", "-b", "hotfix"]);
        tree.write("lambda-src/hello/src/main.rs", "fn mended() {}\n");
        let fix = tree.commit("fix: the leak");
        tree.git(&["checkout", "--quiet", "main"]);
        tree.write("lambda-src/hello/src/other.rs", "fn more() {}\n");
        let main = tree.commit("feat: more");
        (tree, first, fix, main)
    }

    fn stack_of(scene: &mut Scene, tree: &Tree) -> EnvironmentStack {
        let stack = scene.stack(true);
        scene.copy_project_to(&tree.root());
        EnvironmentStack { root: tree.root(), ..stack }
    }

    fn only_a(scene: &mut Scene, commit: &str) -> DeployRequest {
        let a = scene.functions[0].clone();
        let release = scene.release_from(&a, commit);
        deploy_request(BTreeMap::from([(a, release)]))
    }

    #[tokio::test]
    async fn release_without_the_commits_that_serve_is_refused_until_their_loss_is_accepted() {
        let (tree, first, fix, main) = tree_with_two_lines();
        let mut scene = Scene::new(false);
        served(&mut scene, &first).await;
        let request = only_a(&mut scene, &fix);
        deliver(&stack_of(&mut scene, &tree), &request).await.unwrap();

        let mut request = only_a(&mut scene, &main);
        let (aliases, ledger) = (scene.lambda.aliases(), scene.state.objects("ledger/"));
        let failure = deliver(&stack_of(&mut scene, &tree), &request).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        let report = failure.report();
        assert_eq!(report.message, "`a` 1.2.0 lacks 1 commit that 1.1.0 has, and dev serves 1.1.0");
        assert!(report.details[0].value.starts_with(&fix[..7]), "{:?}", report.details);
        assert!(report.details[0].value.ends_with("fix: the leak"), "{:?}", report.details);
        assert!(report.hint.unwrap().contains(&format!("--allow-loss {}", &fix[..12])));
        assert_eq!((scene.lambda.aliases(), scene.state.objects("ledger/")), (aliases, ledger));

        request.intent.allow_loss = vec![first.clone()];
        deliver(&stack_of(&mut scene, &tree), &request).await.unwrap_err();
        request.intent.allow_loss = vec![fix[..7].to_owned()];
        deliver(&stack_of(&mut scene, &tree), &request).await.unwrap();
        let origin = scene.last_ended().await.unwrap().origin.unwrap();
        assert_eq!(origin.lost, BTreeMap::from([(scene.functions[0].clone(), vec![fix])]));
    }

    #[tokio::test]
    async fn older_commit_is_refused_and_a_rollback_and_the_way_forward_are_not() {
        let (tree, first, fix, _) = tree_with_two_lines();
        let mut scene = Scene::new(false);
        let older = served(&mut scene, &first).await;
        let forward = only_a(&mut scene, &fix);
        deliver(&stack_of(&mut scene, &tree), &forward).await.unwrap();
        let back = deploy_request(BTreeMap::from([(older.function.clone(), older)]));
        let failure = deliver(&stack_of(&mut scene, &tree), &back).await.unwrap_err();
        assert!(failure.report().hint.unwrap().contains("cargo xtask rollback a --env dev --to"));
        roll_back_stack(&stack_of(&mut scene, &tree), &RollbackRequest::default()).await.unwrap();
        let forward = DeployRequest { lift_hold: true, ..forward };
        deliver(&stack_of(&mut scene, &tree), &forward).await.unwrap();
    }

    #[tokio::test]
    async fn commit_that_git_does_not_have_is_refused_by_name() {
        let (tree, _, _, main) = tree_with_two_lines();
        let unknown = "0123456789012345678901234567890123456789";
        let mut scene = Scene::new(false);
        served(&mut scene, unknown).await;
        let mut request = only_a(&mut scene, &main);
        let failure = deliver(&stack_of(&mut scene, &tree), &request).await.unwrap_err();
        assert!(failure.message().contains(&format!("git does not have the commit {unknown}")), "{failure}");
        assert!(failure.report().hint.unwrap().contains("git fetch --unshallow"));
        request.intent.allow_loss = vec![unknown[..12].to_owned()];
        deliver(&stack_of(&mut scene, &tree), &request).await.unwrap();
        // A release without a commit is noted, and not refused.
        let request = only_a(&mut scene, "unknown");
        let (losses, notes) = losses(
            &stack_of(&mut scene, &tree),
            &candidates(&request.releases).unwrap(),
            scene.last_ended().await.as_ref(),
        )
        .await
        .unwrap();
        assert!(losses.is_empty() && notes[0].contains("no commit on record"), "{notes:?}");
    }

    #[tokio::test]
    async fn environment_that_is_promoted_to_takes_nothing_else_but_a_hotfix_that_descends() {
        let (tree, first, fix, main) = tree_with_two_lines();
        let mut scene = Scene::new(false);
        served(&mut scene, &first).await;
        let promoted = |scene: &mut Scene| {
            let mut stack = stack_of(scene, &tree);
            stack.environment_settings.promote_from = Some("test".parse().unwrap());
            stack
        };
        let direct = only_a(&mut scene, &fix);
        let failure = deliver(&promoted(&mut scene), &direct).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        assert_eq!(failure.message(), "dev takes only what serves verified in test");
        assert!(failure.report().hint.unwrap().starts_with("cargo xtask promote --to dev"));
        let hotfix = DeployRequest { intent: Intent::of_arguments(true, &[]), ..direct };
        deliver(&promoted(&mut scene), &hotfix).await.unwrap();
        let ended = scene.last_ended().await.unwrap();
        assert_eq!(ended.origin, Some(Origin { hotfix: true, ..Origin::default() }));

        let other = only_a(&mut scene, &main);
        // Its loss may be accepted, but it is no hotfix then.
        let other = DeployRequest { intent: Intent::of_arguments(true, std::slice::from_ref(&fix)), ..other };
        let failure = deliver(&promoted(&mut scene), &other).await.unwrap_err();
        assert!(failure.message().starts_with("a hotfix must descend from what runs in dev"), "{failure}");
        // A later release that lacks it names it.
        let later = only_a(&mut scene, &main);
        let (losses, _) = losses(
            &stack_of(&mut scene, &tree),
            &candidates(&later.releases).unwrap(),
            scene.last_ended().await.as_ref(),
        )
        .await
        .unwrap();
        assert_eq!(losses[0].hotfix, Some(2));
    }
}

//! The set that was verified together in an environment, read from ledger and aliases as they are now.

use std::collections::BTreeMap;

use crate::delivery::execute::configuration_key;
use crate::delivery::observe::HISTORY;
use crate::delivery::{EnvironmentStack, skip};
use crate::digest::Digest;
use crate::failure::{Failure, FailureKind, Result};
use crate::format;
use crate::ledger::{self, Ended, PromotedFrom, Serving};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::plan::{self, StackSources};
use crate::ports::side_by_side;
use crate::release::Manifest;

/// What a stack serves verified in an environment.
#[derive(Debug, Clone)]
pub(crate) struct VerifiedStack {
    /// The deployment that verified it.
    pub(crate) from: PromotedFrom,
    /// What its functions serve.
    pub(crate) serves: BTreeMap<FunctionName, Serving>,
    /// Their releases.
    pub(crate) releases: BTreeMap<FunctionName, Manifest>,
    /// The files that the stack was applied with.
    pub(crate) files: Option<StackSources>,
}

/// A member of a set that is not as it was verified.
#[derive(Debug, Clone)]
pub(crate) struct ChangedMember {
    /// The function or stack.
    pub(crate) member: String,
    /// What is so about it.
    pub(crate) why: String,
    /// What to type, where there is something better than to leave the member out.
    pub(crate) hint: Option<String>,
}

impl ChangedMember {
    fn new(member: impl ToString, why: impl Into<String>) -> Self {
        Self { member: member.to_string(), why: why.into(), hint: None }
    }
}

/// Reads what a stack serves verified in an environment, for some of its functions; `version` is one that served verified there
/// before. Returns the members that are not as they were verified beside it.
///
/// `to` is the same stack in the environment that it is promoted to, whose files are those of the checkout.
pub(crate) async fn verified_stack(
    from: &EnvironmentStack,
    to: &EnvironmentStack,
    functions: &[FunctionName],
    version: Option<&Version>,
) -> Result<(Option<VerifiedStack>, Vec<ChangedMember>)> {
    let (stack, environment) = (from.name(), from.environment());
    let head = from.ledger.head().await?;
    if let Some(open) = &head.open {
        return Err(ledger::lock_held(stack, environment, open));
    }
    let Some(mut last) = head.last else {
        return Ok((None, vec![ChangedMember::new(stack, format!("was never deployed to {environment}"))]));
    };
    if let (Some(version), [function]) = (version, functions) {
        last = verified_before(from, function, version).await?;
    } else if !last.outcome.is_settled() {
        let why = format!("deployment {} to {environment} ended {}", last.deployment, last.outcome.text());
        return Ok((None, vec![ChangedMember::new(stack, why)]));
    }
    let mut changed = Vec::new();
    let checks = functions.iter().map(async |function| {
        Ok((function.clone(), not_verified(from, &last, function, version.is_some()).await?))
    });
    let mut serves = BTreeMap::new();
    for (function, why) in side_by_side(checks).await? {
        match (why, last.serves.get(&function)) {
            (None, Some(serving)) => drop(serves.insert(function, serving.clone())),
            (why, _) => changed.push(ChangedMember::new(function, why.unwrap_or_default())),
        }
    }
    let files = stored_files(from, &last).await?;
    changed.extend(changed_files(from, to, &last, files.as_ref())?);
    let manifests = serves.iter().map(async |(function, serving)| {
        let manifest = from.recorded_manifest(function, &serving.release, serving.digest).await?;
        Ok((function.clone(), manifest))
    });
    let releases = side_by_side(manifests).await?.into_iter().collect();
    let from = PromotedFrom { environment: environment.clone(), deployment: last.deployment };
    Ok((Some(VerifiedStack { from, serves, releases, files }), changed))
}

/// Finds the newest deployment of a stack in which a function's version served verified.
async fn verified_before(
    from: &EnvironmentStack,
    function: &FunctionName,
    version: &Version,
) -> Result<Ended> {
    let verified = |ended: &Ended| {
        ended.outcome.is_settled()
            && ended.verified(function).is_some_and(|serving| serving.release == *version)
    };
    let environment = from.environment();
    let mut history = from.ledger.history(HISTORY).await?.into_iter();
    history.find(verified).ok_or_else(|| {
        Failure::refused(format!("`{function}` {version} never served verified in {environment}"))
            .unchanged("Nothing was changed.")
            .hint(format!("see what did: cargo xtask history --env {environment}"))
    })
}

/// Returns what of a set is in the environment that it is promoted to, and does not serve verified there: functions, or the stack
/// whose last deployment did not end well, each with the reason.
pub(crate) async fn unsettled(
    to: &EnvironmentStack,
    last: Option<&Ended>,
    set: &VerifiedStack,
) -> Result<BTreeMap<String, String>> {
    let Some(last) = last else { return Ok(BTreeMap::new()) };
    let same = set.serves.iter().filter(|(function, serving)| {
        last.serves.get(*function).is_some_and(|there| there.digest == serving.digest)
    });
    let checks = same.map(async |(function, _)| {
        Ok((function.to_string(), not_verified(to, last, function, false).await?))
    });
    let mut unsettled = BTreeMap::new();
    for (function, why) in side_by_side(checks).await? {
        unsettled.extend(why.map(|why| (function, why)));
    }
    if unsettled.is_empty() && !last.outcome.is_settled() {
        let (environment, outcome) = (to.environment(), last.outcome.text());
        let why = format!("deployment {} to {environment} ended {outcome}", last.deployment);
        unsettled.insert(to.name().to_string(), why);
    }
    Ok(unsettled)
}

/// Returns why a function does not serve as it was verified; nothing where it does.
async fn not_verified(
    from: &EnvironmentStack,
    last: &Ended,
    function: &FunctionName,
    before: bool,
) -> Result<Option<String>> {
    let environment = from.environment();
    let Some(serving) = last.serves.get(function) else {
        return Ok(Some(format!("does not serve in {environment}")));
    };
    if !serving.verified {
        return Ok(Some(format!("{} serves in {environment} and was not verified", serving.release)));
    }
    // What served before need not serve now.
    if before {
        return Ok(None);
    }
    let alias = from.functions.alias(&serving.function_name, &serving.alias).await?;
    if !serving.matches(alias.as_ref()) {
        let found = alias.map_or("nothing".to_owned(), |alias| alias.points_to());
        return Ok(Some(format!(
            "its alias `{}` points to {found} in {environment}, and the ledger says {} ({})",
            serving.alias, serving.lambda_version, serving.release
        )));
    }
    let alone = Ended { serves: BTreeMap::from([(function.clone(), serving.clone())]), ..last.clone() };
    let stands = skip::matches_ledger(from, &alone).await?;
    Ok((!stands).then(|| {
        format!(
            "version {} has another code or configuration in {environment} than the ledger recorded",
            serving.lambda_version
        )
    }))
}

/// Reads the files that a deployment applied; nothing where the ledger names none.
async fn stored_files(stack: &EnvironmentStack, ended: &Ended) -> Result<Option<StackSources>> {
    let Some(digest) = ended.configuration else { return Ok(None) };
    let key = configuration_key(&digest);
    let place = format!("{}/{key}", stack.store.place());
    let Some(stored) = stack.store.get(&key).await? else {
        return Err(Failure::refused(format!(
            "the files that were applied in {} are missing",
            stack.environment()
        ))
        .detail("object", place)
        .unchanged("Nothing was changed.")
        .hint("restore that object, or deploy there again, which stores it anew"));
    };
    if Digest::of(&stored.bytes) != digest {
        return Err(Failure::refused(format!("{place} does not contain the bytes that its name says"))
            .unchanged("Nothing was changed.")
            .hint("restore the object's first version"));
    }
    plan::stored_sources(&stored.bytes, stack.name(), stack.environment()).map(Some)
}

/// Returns the stack as a changed member where the checkout's files are not those that were applied and verified.
fn changed_files(
    from: &EnvironmentStack,
    to: &EnvironmentStack,
    last: &Ended,
    files: Option<&StackSources>,
) -> Result<Option<ChangedMember>> {
    let (stack, environment) = (from.name(), from.environment());
    let Some(verified) = files else {
        let why = format!("the ledger of {environment} does not say which files were applied");
        return Ok(Some(ChangedMember::new(stack, why)));
    };
    let here = StackSources::read(&to.root, stack, to.environment(), to.settings.files.as_deref())?;
    let differing = plan::differing_files(verified, &here);
    if differing.is_empty() {
        return Ok(None);
    }
    let why = format!(
        "its files here are not those that were verified in {environment}: {}",
        format::list(&differing[..differing.len().min(5)])
    );
    let hint = match &last.commit {
        Some(commit) if !last.dirty => {
            format!("git checkout {commit}, which has the files that were verified")
        }
        _ => format!("deploy them to {environment} first: cargo xtask release --env {environment}"),
    };
    Ok(Some(ChangedMember { hint: Some(hint), ..ChangedMember::new(stack, why) }))
}

impl VerifiedStack {
    /// Lists the stack's files that differ from those that another environment applied last.
    pub(crate) async fn differing_files(&self, to: &EnvironmentStack) -> Result<Vec<String>> {
        let Some(last) = to.ledger.head().await?.last else { return Ok(Vec::new()) };
        let (Some(own), Some(applied)) = (&self.files, stored_files(to, &last).await?) else {
            return Ok(Vec::new());
        };
        Ok(plan::differing_files(own, &applied))
    }
}

/// Refuses a set of which members changed since they were verified.
pub(crate) fn refuse_changed(from: &EnvironmentName, changed: &[ChangedMember]) -> Result<()> {
    let Some(first) = changed.first() else { return Ok(()) };
    let names = format::list(changed.iter().map(|member| format!("`{}`", member.member)));
    let failure = changed.iter().fold(
        Failure::refused(format!("what was verified together in {from} has changed since: {names}")),
        |failure, member| failure.detail(&member.member, &member.why),
    );
    let without: Vec<String> = changed.iter().map(|member| format!("--without {}", member.member)).collect();
    let without = format!("promote the rest: {}", without.join(" "));
    let repair = format!("make {from} verified again: cargo xtask release --env {from}");
    Err(failure
        .unchanged("Nothing was changed.")
        .hint(format!("{}; or {without}", first.hint.as_deref().unwrap_or(&repair))))
}

/// Refuses to go on if a deployment began in the earlier environment since the set was read (exit code 8).
pub(crate) async fn refuse_changed_since(
    from: &EnvironmentStack,
    stack: &StackName,
    deployment: u64,
) -> Result<()> {
    let head = from.ledger.head().await?;
    if head.open.is_none() && head.last.is_some_and(|last| last.deployment == deployment) {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::PlanStale,
        format!("`{stack}` was deployed to {} since this promotion was shown", from.environment()),
    )
    .unchanged("Nothing was changed.")
    .hint("run the same command again: it shows what serves there now"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::{Scene, deploy_request};
    use crate::delivery::{RollbackRequest, deliver, roll_back_stack};

    async fn read(scene: &mut Scene, version: Option<&str>) -> (Option<VerifiedStack>, Vec<String>) {
        let functions = match version {
            Some(_) => scene.functions[..1].to_vec(),
            None => scene.functions.clone(),
        };
        let version = version.map(|version| version.parse().unwrap());
        let (from, to) = (scene.stack(true), scene.stack(true));
        let (verified, changed) = verified_stack(&from, &to, &functions, version.as_ref()).await.unwrap();
        (verified, changed.into_iter().map(|member| format!("{}: {}", member.member, member.why)).collect())
    }

    #[tokio::test]
    async fn set_is_what_the_last_deployment_verified_with_its_digests() {
        let mut scene = Scene::new(false);
        let (nothing, changed) = read(&mut scene, None).await;
        assert!(nothing.is_none());
        assert_eq!(changed, ["s: was never deployed to dev"]);
        scene.deploy_new_releases().await;
        let (verified, changed) = read(&mut scene, None).await;
        assert_eq!(changed, Vec::<String>::new());
        let verified = verified.unwrap();
        assert_eq!(verified.from.deployment, 1);
        for (function, manifest) in &verified.releases {
            assert_eq!(manifest.digest().unwrap(), verified.serves[function].digest);
        }
        // A rollback's end is verified as well.
        scene.deploy_new_releases().await;
        roll_back_stack(&scene.stack(true), &RollbackRequest::default()).await.unwrap();
        let (verified, changed) = read(&mut scene, None).await;
        assert_eq!(changed, Vec::<String>::new());
        let served: Vec<String> =
            verified.unwrap().serves.values().map(|serving| serving.release.to_string()).collect();
        assert_eq!(served, ["1.0.0", "1.0.0"]);
    }

    #[tokio::test]
    async fn members_that_are_not_as_they_were_verified_are_named() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        scene.deploy_new_releases().await;
        scene.move_alias_by_hand("a", "1").await;
        let (verified, changed) = read(&mut scene, None).await;
        assert_eq!(changed, ["a: its alias `live` points to 1 in dev, and the ledger says 2 (1.1.0)"]);
        assert!(verified.unwrap().serves.keys().all(|function| function.as_str() == "b"), "the rest is left");
        scene.move_alias_by_hand("a", "2").await;
        assert_eq!(read(&mut scene, None).await.1, Vec::<String>::new());

        // Files of the stack that changed since; the environment's own values do not count.
        scene.write_memory(256);
        assert_eq!(read(&mut scene, None).await.1, Vec::<String>::new());
        scene.write_flaw(crate::fakes::StackFlaw::HidesOutput);
        let (_, changed) = read(&mut scene, None).await;
        assert_eq!(
            changed,
            ["s: its files here are not those that were verified in dev: terraform/stacks/s/main.tf"]
        );
        let member = ChangedMember::new("s", changed[0].clone());
        let failure = refuse_changed(&"dev".parse().unwrap(), &[member]).unwrap_err();
        assert_eq!(failure.message(), "what was verified together in dev has changed since: `s`");
        assert!(failure.report().hint.unwrap().ends_with("promote the rest: --without s"));
    }

    #[tokio::test]
    async fn failed_deployment_leaves_nothing_to_promote_but_a_version_that_was_verified_before() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        scene.fail_next_release("a");
        let a = scene.functions[0].clone();
        let release = scene.release_of(&a, None);
        let request = deploy_request(BTreeMap::from([(a, release)]));
        deliver(&scene.stack(true), &request).await.unwrap_err();
        let (nothing, changed) = read(&mut scene, None).await;
        assert!(nothing.is_none());
        assert_eq!(changed, ["s: deployment 2 to dev ended verification failed"]);
        let (verified, changed) = read(&mut scene, Some("1.0.0")).await;
        assert_eq!((verified.unwrap().from.deployment, changed.len()), (1, 0));
        let (from, to) = (scene.stack(true), scene.stack(true));
        let never = verified_stack(&from, &to, &scene.functions[..1], Some(&"1.1.0".parse().unwrap())).await;
        assert_eq!(never.unwrap_err().message(), "`a` 1.1.0 never served verified in dev");
    }

    #[tokio::test]
    async fn same_release_that_does_not_serve_verified_there_is_named() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        scene.deploy_new_releases().await;
        let set = read(&mut scene, None).await.0.unwrap();
        let stack = scene.stack(true);
        let last = scene.last_ended().await.unwrap();
        let named = async |last: &Ended| {
            let found = unsettled(&stack, Some(last), &set).await.unwrap();
            found.into_iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>()
        };
        assert_eq!(named(&last).await, Vec::<String>::new());
        assert_eq!(unsettled(&stack, None, &set).await.unwrap(), BTreeMap::new());

        let mut unverified = last.clone();
        unverified.serves.get_mut(&scene.functions[0]).unwrap().verified = false;
        assert_eq!(named(&unverified).await, ["a: 1.1.0 serves in dev and was not verified"]);
        let failed = Ended { outcome: crate::ledger::DeploymentOutcome::VerificationFailed, ..last.clone() };
        assert_eq!(named(&failed).await, ["s: deployment 2 to dev ended verification failed"]);
        scene.move_alias_by_hand("b", "1").await;
        assert_eq!(
            named(&last).await,
            ["b: its alias `live` points to 1 in dev, and the ledger says 2 (1.1.0)"]
        );
    }

    #[tokio::test]
    async fn deployment_that_begins_after_the_set_was_shown_is_noticed() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        let stack = scene.stack(true);
        refuse_changed_since(&stack, stack.name(), 1).await.unwrap();
        scene.deploy_new_releases().await;
        let failure = refuse_changed_since(&stack, stack.name(), 1).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::PlanStale);
        let last = scene.last_ended().await;
        let started = stack.started(crate::ledger::DeploymentKind::Deploy, last.as_ref(), BTreeMap::new());
        stack.ledger.begin(&started).await.unwrap();
        refuse_changed_since(&stack, stack.name(), 2).await.unwrap_err();
        let (from, to) = (scene.stack(true), scene.stack(true));
        let failure = verified_stack(&from, &to, &scene.functions, None).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::LockHeld);
    }
}

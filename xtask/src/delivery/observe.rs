//! Reads where a stack's aliases point, and which releases serve by it. Nothing here is assumed.
//!
//! In: a deployment, what its run verified. Out: what serves now, and sentences about it. A release counts as verified only
//! by a verification of this run, or by an entry of the ledger about that very Lambda version. Errors: Lambda, the state or
//! the ledger cannot be read.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::OnceCell;

use super::EnvironmentStack;
use crate::failure::Result;
use crate::ledger::{Ended, PlannedRelease, Serving, Started};
use crate::name::{FunctionName, Version};
use crate::plan::{self, FunctionOutput};
use crate::ports::{Alias, FunctionConfiguration, side_by_side};
use crate::verification::Verification;

/// How many deployments of the ledger are searched for a verified Lambda version.
pub(super) const HISTORY: usize = 500;

/// An alias as it was read.
#[derive(Debug, Clone)]
pub(super) struct ObservedAlias {
    /// The function's name in Lambda.
    pub(super) function_name: String,
    /// The alias's name.
    pub(super) alias: String,
    /// Where it points; `None` if it does not exist.
    pub(super) found: Option<Alias>,
}

/// What a stack's aliases say.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// The releases that serve.
    pub(super) serves: BTreeMap<FunctionName, Serving>,
    /// The aliases.
    pub(super) aliases: BTreeMap<FunctionName, ObservedAlias>,
}

/// Reads the aliases of the functions that were served before a deployment, or that it wants to serve, and that exist.
pub(super) async fn aliases(
    stack: &EnvironmentStack,
    started: &Started,
) -> Result<BTreeMap<FunctionName, ObservedAlias>> {
    let functions: BTreeSet<&FunctionName> = started.serves.keys().chain(started.will.keys()).collect();
    // What the ledger does not know yet may still exist: a stack that was applied before its first deployment.
    let outputs = if functions.iter().all(|function| started.serves.contains_key(*function)) {
        BTreeMap::new()
    } else {
        outputs_in_state(stack).await?
    };
    let places = functions.into_iter().filter_map(|function| {
        let serving = started.serves.get(function).map(|serving| (&serving.function_name, &serving.alias));
        let output = outputs.get(function).map(|output| (&output.function_name, &output.alias));
        serving.or(output).map(|(name, alias)| (function.clone(), (name.clone(), alias.clone())))
    });
    read_aliases(stack, places).await
}

/// Returns the output `functions` in the stack's state: empty without a state, or where the output is not as it has to be.
pub(super) async fn outputs_in_state(
    stack: &EnvironmentStack,
) -> Result<BTreeMap<FunctionName, FunctionOutput>> {
    let applied = plan::read_outputs(stack.store.as_ref(), stack.name()).await?.unwrap_or_default();
    Ok(applied.functions().unwrap_or_default())
}

/// Compares what should serve with the aliases: a function without its alias serves nobody, and one whose alias is elsewhere
/// is recorded with where that is.
pub(super) fn compare(
    serves: &mut BTreeMap<FunctionName, Serving>,
    aliases: &BTreeMap<FunctionName, ObservedAlias>,
) {
    serves.retain(|function, serving| match aliases.get(function).map(|observed| &observed.found) {
        Some(None) => false,
        Some(Some(alias)) => {
            let stands = serving.matches(Some(alias));
            serving.alias_elsewhere = (!stands).then(|| alias.points_to());
            serving.alias_revision = alias.revision_id.clone().filter(|_| stands);
            true
        }
        None => true,
    });
}

/// Returns the releases whose alias stands where a deployment left it, and reports the others: somebody moved them since.
pub(super) fn standing(
    stack: &EnvironmentStack,
    ended: &Ended,
    releases: BTreeMap<FunctionName, Version>,
) -> BTreeMap<FunctionName, Version> {
    let stands = |function: &FunctionName| {
        let why = match ended.serves.get(function) {
            Some(Serving { alias_elsewhere: None, .. }) => return true,
            Some(Serving { alias, alias_elsewhere: Some(elsewhere), lambda_version, .. }) => {
                format!(
                    "the alias `{alias}` of {function} points to {elsewhere} by now, not to {lambda_version}"
                )
            }
            None => format!("the alias of {function} is gone by now"),
        };
        let environment = stack.environment();
        stack.progress.note(format!("          ⚠ {why}: cargo xtask status --env {environment}"));
        false
    };
    releases.into_iter().filter(|(function, _)| stands(function)).collect()
}

/// Reads aliases, each by the function's name in Lambda and its own.
pub(super) async fn read_aliases(
    stack: &EnvironmentStack,
    places: impl Iterator<Item = (FunctionName, (String, String))>,
) -> Result<BTreeMap<FunctionName, ObservedAlias>> {
    let reads = places.map(|(function, (function_name, alias))| async move {
        let found = stack.functions.alias(&function_name, &alias).await?;
        Ok::<_, crate::failure::Failure>((function, ObservedAlias { function_name, alias, found }))
    });
    Ok(side_by_side(reads).await?.into_iter().collect())
}

/// Reads what serves now, whatever a deployment did before it failed or was cut off; `verifications` are those of this run.
pub(super) async fn serving_now(
    stack: &EnvironmentStack,
    started: &Started,
    verifications: &[Verification],
) -> Result<Observed> {
    let aliases = aliases(stack, started).await?;
    let (mut serves, history) = (BTreeMap::new(), OnceCell::new());
    for (function, observed) in &aliases {
        // Without its alias a function serves nobody, so that there is nothing to record.
        let Some(alias) = &observed.found else { continue };
        let serving = served_by(stack, started, function, observed, alias, verifications, &history).await?;
        serves.extend(serving.map(|serving| (function.clone(), serving)));
    }
    Ok(Observed { serves, aliases })
}

/// Returns which release an alias serves; `None` if it points to code that no deployment of this stack knows. `history` is
/// read at most once for all functions.
async fn served_by(
    stack: &EnvironmentStack,
    started: &Started,
    function: &FunctionName,
    observed: &ObservedAlias,
    alias: &Alias,
    verifications: &[Verification],
    history: &OnceCell<Vec<Ended>>,
) -> Result<Option<Serving>> {
    let before = started.serves.get(function);
    if let Some(before) = before.filter(|before| before.matches(Some(alias))) {
        let verified = before.verified || verified_in(verifications, before);
        return Ok(Some(Serving { verified, alias_elsewhere: None, ..before.clone() }));
    }
    if let Some(choice) = started.will.get(function).filter(|_| alias.weights.is_empty())
        && let Some(published) = stack.functions.published(&observed.function_name, &alias.version).await?
        && published.code_sha256 == choice.code_sha256
    {
        let mut serving = chosen(started, function, choice, observed, &published);
        serving.verified = verified_in(verifications, &serving)
            || verified_before(
                history.get_or_try_init(|| stack.ledger.history(HISTORY)).await?,
                function,
                &serving,
            );
        return Ok(Some(serving));
    }
    // Neither side fits: somebody else moved it. The ledger keeps its record, and says where the alias points.
    Ok(before.map(|before| Serving { alias_elsewhere: Some(alias.points_to()), ..before.clone() }))
}

/// Returns the record of a release that a deployment wanted to serve, and that an alias serves.
fn chosen(
    started: &Started,
    function: &FunctionName,
    choice: &PlannedRelease,
    observed: &ObservedAlias,
    published: &FunctionConfiguration,
) -> Serving {
    let before = started.serves.get(function);
    let same_release = before.filter(|before| before.release == choice.release);
    // A rollback goes back to an old version, while Terraform stays on the newest one.
    let newest = before.filter(|_| choice.lambda_version.is_some()).map(|before| &before.newest_version);
    Serving {
        release: choice.release.clone(),
        digest: choice.digest,
        commit: choice.commit.clone(),
        code_sha256: choice.code_sha256.clone(),
        function_name: observed.function_name.clone(),
        alias: observed.alias.clone(),
        lambda_version: published.version.clone(),
        alias_elsewhere: None,
        alias_revision: None,
        newest_version: newest.unwrap_or(&published.version).clone(),
        config_digest: published.digest(),
        verified: false,
        since: same_release.map_or(started.deployment, |before| before.since),
        since_at: same_release.map_or(started.at, |before| before.since_at),
    }
}

fn verified_in(verifications: &[Verification], serving: &Serving) -> bool {
    verifications.iter().any(|verification| {
        verification.passed()
            && verification.function_name == serving.function_name
            && verification.lambda_version == serving.lambda_version
            && verification.config_digest == Some(serving.config_digest)
    })
}

fn verified_before(history: &[Ended], function: &FunctionName, serving: &Serving) -> bool {
    let mut proofs = history.iter().filter(|ended| ended.outcome.is_settled());
    proofs.any(|ended| ended.verified(function).is_some_and(|proof| proof.is_same_version(serving)))
}

impl Observed {
    /// Returns whether every alias points where it pointed before a deployment, according to the ledger.
    pub(super) fn nothing_moved(&self, started: &Started) -> bool {
        let stands = |(function, before): (&FunctionName, &Serving)| {
            self.aliases.get(function).is_some_and(|observed| before.matches(observed.found.as_ref()))
        };
        started.serves.iter().all(stands)
            && self
                .aliases
                .iter()
                .all(|(function, observed)| started.serves.contains_key(function) || observed.found.is_none())
    }

    /// Says where the aliases point after a deployment that did not verify, was refused or failed.
    pub(super) fn sentences(&self, started: &Started, verifications: &[Verification]) -> String {
        if self.nothing_moved(started) {
            return "No alias was moved: users reach the same version as before.".into();
        }
        let mut sentences = Vec::new();
        let mut others = false;
        for (function, observed) in &self.aliases {
            match (started.serves.get(function), &observed.found) {
                (Some(before), found) if before.matches(found.as_ref()) => others = true,
                (None, None) => {}
                _ => sentences.push(sentence(started, function, observed, verifications)),
            }
        }
        if others {
            sentences.push("The other aliases were not moved.".into());
        }
        sentences.join(" ")
    }
}

fn sentence(
    started: &Started,
    function: &FunctionName,
    observed: &ObservedAlias,
    verifications: &[Verification],
) -> String {
    let name = &observed.alias;
    let before = started.serves.get(function);
    let Some(alias) = &observed.found else {
        return format!("`{function}` has no alias `{name}`, so that nobody reaches it by that name.");
    };
    let version = &alias.version;
    let tested = verifications.iter().find(|verification| verification.function == *function);
    let failed = tested.filter(|tested| !tested.passed());
    let serves_tested = tested.is_some_and(|tested| tested.lambda_version == *version);
    match (before, failed) {
        (None, Some(_)) if serves_tested => format!(
            "This was the first deployment of `{function}`: its alias `{name}` points to version {version}, which did not verify."
        ),
        (Some(before), Some(_)) if serves_tested => format!(
            "The alias `{name}` of `{function}` points to version {version}, which did not verify, instead of {}: users reach it.",
            before.lambda_version
        ),
        (Some(before), _) => format!(
            "The alias `{name}` of `{function}` points to version {}; before this deployment the ledger said {}.",
            alias.points_to(),
            before.lambda_version
        ),
        (None, Some(failed)) => format!(
            "The alias `{name}` of `{function}` points to version {}, not to version {}, which did not verify.",
            alias.points_to(),
            failed.lambda_version
        ),
        (None, None) if serves_tested => {
            format!("The alias `{name}` of `{function}` points to version {version}, which verified.")
        }
        (None, None) => {
            format!("The alias `{name}` of `{function}` points to version {}.", alias.points_to())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::Scene;
    use crate::ledger::DeploymentKind;

    #[tokio::test]
    async fn history_is_read_once_for_all_functions() {
        let mut calls_beside = Vec::new();
        for functions in [3, 30] {
            let mut scene = Scene::new(false);
            scene.functions = (0..functions).map(|number| format!("f{number:03}").parse().unwrap()).collect();
            scene.deploy_new_releases().await;
            let first = scene.last_ended().await.unwrap();
            scene.deploy_new_releases().await;
            let will = scene.last_ended().await.unwrap().will;
            // As a later command finds a deployment that was cut off after its rollout.
            let stack = scene.stack(true);
            let started = stack.started(DeploymentKind::Deploy, Some(&first), will);
            scene.faults().arm(None);
            let observed = serving_now(&stack, &started, &[]).await.unwrap();
            assert!(
                observed.serves.values().all(|serving| serving.verified && serving.lambda_version == "2")
            );
            // The alias and the version of each function.
            calls_beside.push(scene.faults().calls() - 2 * functions);
        }
        assert_eq!(calls_beside[0], calls_beside[1]);
    }

    #[tokio::test]
    async fn release_whose_alias_was_moved_meanwhile_does_not_count_as_serving() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        let stack = scene.stack(true);
        let mut ended = stack.ledger.head().await.unwrap().last.unwrap();
        let releases: BTreeMap<FunctionName, Version> = ended
            .serves
            .iter()
            .map(|(function, serving)| (function.clone(), serving.release.clone()))
            .collect();
        assert_eq!(standing(&stack, &ended, releases.clone()), releases);
        let (first, second) = (scene.functions[0].clone(), scene.functions[1].clone());
        ended.serves.get_mut(&first).unwrap().alias_elsewhere = Some("7".into());
        assert!(standing(&stack, &ended, releases.clone()).into_keys().eq([second.clone()]));
        ended.serves.remove(&second);
        assert!(standing(&stack, &ended, releases).is_empty());
    }
}

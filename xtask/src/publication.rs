//! Publication: from the source of functions to their releases in the store.
//!
//! source -> artifact -> release: choose versions, check, build, describe, publish.
//!
//! This is the only place that knows that order; [`crate::delivery`] continues from the releases. In: a
//! [`PublicationContext`], the functions and a [`VersionRequest`]. Out: [`FunctionRelease`]s. Goes wrong: changes that are not
//! committed where the environment is protected, a missing signing key where signatures are required, checks, builds and
//! publishing that fail; nothing is deployed then.

mod changed_inputs;
mod comparison;
mod functions;
mod materials;
mod next_releases;
mod rebuild;
mod sbom;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::LocalBoxFuture;

pub(crate) use comparison::{CompareWith, ReleaseComparison, compare};
pub(crate) use next_releases::{NextRelease, NextReleases, next_releases};
pub(crate) use rebuild::{RebuiltRelease, rebuild};

use crate::artifact::{self, BuildContext};
use crate::checks::{self, Checks};
use crate::digest::Digest;
use crate::failure::{Failure, FailureKind, Result};
use crate::format;
use crate::identity::RunIdentity;
use crate::name::{EnvironmentName, FunctionName, Version};
use crate::ports::{Clock, Signer, SigningKeys, side_by_side};
use crate::release::{
    self, Catalogue, Manifest, RecordedReleases, ReleaseCandidate, TrustPolicy, VersionChoice, VersionRequest,
};
use crate::settings::{BuildSettings, EnvironmentSettings};
use crate::source::{self, Source, Uncommitted, refuse_uncommitted};

/// What publishing needs: settings, ports and tools.
pub(crate) struct PublicationContext<'a> {
    /// The project, its repository and the tools that build.
    pub(crate) build: BuildContext<'a>,
    /// Where releases are published.
    pub(crate) catalogue: &'a Catalogue,
    /// What the environment's ledgers know.
    pub(crate) ledgers: LedgerReleases<'a>,
    /// The key that signs releases.
    pub(crate) signing_keys: &'a dyn SigningKeys,
    /// The token of the CI system that runs this, where there is one.
    pub(crate) identity: &'a dyn RunIdentity,
    /// What the environments that require signatures trust: the one that the releases are for, or all that use the store.
    pub(crate) policies: BTreeMap<EnvironmentName, TrustPolicy>,
    /// The time.
    pub(crate) clock: &'a dyn Clock,
    /// The environment that the releases are for; a release that it would refuse is refused before it is built.
    pub(crate) environment: Option<&'a EnvironmentName>,
    /// Whether releases get git tags.
    pub(crate) tags: bool,
    /// The folder for the output of checks.
    pub(crate) logs: PathBuf,
    /// The digest of the artifacts that another job of the pipeline built and checked. With it nothing is built or checked here.
    pub(crate) prebuilt: Option<Digest>,
}

/// The releases that the ledgers of an environment know.
pub(crate) struct LedgerReleases<'a> {
    /// Those that serve, where they were read.
    pub(crate) recorded: RecordedReleases,
    /// Reads all that were deployed; asked only where a new version is chosen.
    pub(crate) deployed: &'a DeployedReleases<'a>,
    /// Refuses releases that the environment would refuse for their commits; asked only where one of them is new.
    pub(crate) refuse: &'a RefuseCandidates<'a>,
}

/// Reads which releases were deployed to an environment, each with where that is recorded.
pub(crate) type DeployedReleases<'a> =
    dyn Fn() -> LocalBoxFuture<'a, Result<BTreeMap<(FunctionName, Version), String>>> + 'a;

/// Refuses releases by what serves in an environment, before they are built.
pub(crate) type RefuseCandidates<'a> = dyn Fn(Vec<ReleaseCandidate>) -> LocalBoxFuture<'a, Result<()>> + 'a;

/// A function's release.
#[derive(Debug, Clone)]
pub(crate) struct FunctionRelease {
    /// Its manifest.
    pub(crate) manifest: Manifest,
    /// Whether it was published now; if not, an earlier release has the same inputs.
    pub(crate) new: bool,
}

/// A function's source and the version that was chosen for it.
struct ChosenVersion {
    function: FunctionName,
    source: Source,
    choice: VersionChoice,
}

/// Returns a release of each function: an existing one where its inputs are unchanged, else one that is built, checked and
/// published now.
pub(crate) async fn publish(
    context: &PublicationContext<'_>,
    functions: &[FunctionName],
    request: &VersionRequest,
) -> Result<Vec<FunctionRelease>> {
    let chosen = choose_versions(context, functions, request).await?;
    changed_inputs::report_unchanged(context, &chosen);
    refuse_dirty_sources(context, &chosen)?;
    refuse_deployed_versions(context, &chosen).await?;
    refuse_candidates(context, &chosen).await?;
    trust::refuse_untrusted_reuse(context, &chosen).await?;
    let signer = signer(context, &chosen).await?;
    let identity = match &signer {
        Some(_) => trust::proven_identity(context, &chosen).await?,
        None => None,
    };
    let builds_rust =
        chosen.iter().any(|chosen| chosen.choice.is_new() && is_rust(context, &chosen.function));
    // What is signed, or runs in a protected environment, was built and checked by this run: nothing that another run left is
    // taken for it.
    let trust_earlier = signer.is_none() && !is_protected(context)?;
    match &context.prebuilt {
        Some(expected) => check_prebuilt(context, &chosen, expected)?,
        None => check(context, functions, builds_rust, trust_earlier).await?,
    }
    let force = context.prebuilt.is_none() && (request.force || signer.is_some());
    let releases = functions::publish_all(
        context,
        &chosen,
        signer.as_deref().map(|signer| (signer, identity.as_ref())),
        force,
    )
    .await?;
    if context.tags {
        releases.iter().for_each(|release| write_tag(context, &release.manifest));
    }
    Ok(releases)
}

/// Refuses artifacts that are not those that the pipeline's build job built. A job that signs runs no code of the project, so it takes
/// what a job without an identity built, by its digest.
fn check_prebuilt(
    context: &PublicationContext<'_>,
    chosen: &[ChosenVersion],
    expected: &Digest,
) -> Result<()> {
    let project = context.build.project;
    let mut found = Vec::new();
    for chosen in chosen {
        let artifact = artifact::prebuilt(project, &chosen.function, &chosen.source)?;
        found.push((&chosen.function, &chosen.source.inputs_digest, artifact.sha256));
    }
    let digest =
        artifact::digest_of_set(found.iter().map(|(function, inputs, sha256)| (*function, *inputs, sha256)));
    if digest == *expected {
        return Ok(());
    }
    Err(Failure::refused("the artifacts are not those that were built")
        .detail("built", expected.to_string())
        .detail("found", digest.to_string())
        .unchanged("Nothing was published.")
        .hint("--prebuilt takes the digest that cargo xtask build printed for the same functions; if it is that one, something replaced the files between the jobs"))
}

/// Reads the functions' sources and chooses a version for each: side by side, so that the number of round trips does not grow
/// with the number of functions.
async fn choose_versions(
    context: &PublicationContext<'_>,
    functions: &[FunctionName],
    request: &VersionRequest,
) -> Result<Vec<ChosenVersion>> {
    let BuildContext { project, process_env, repository, .. } = context.build;
    let sources = Source::read_all(project, process_env, repository, functions)?;
    let snapshot;
    let catalogue = match functions {
        [_] => context.catalogue,
        _ => {
            let folder = project.work_folder().join("manifests");
            snapshot = context.catalogue.snapshot(functions, &context.ledgers.recorded, &folder).await?;
            &snapshot
        }
    };
    side_by_side(functions.iter().zip(sources).map(async |(function, source)| {
        let settings = project.function(function)?;
        let choice =
            release::choose_version(catalogue, repository, function, settings, &source, request).await?;
        Ok(ChosenVersion { function: function.clone(), source, choice })
    }))
    .await
}

/// Refuses new releases of uncommitted changes that the environment would refuse to run.
fn refuse_dirty_sources(context: &PublicationContext<'_>, chosen: &[ChosenVersion]) -> Result<()> {
    let Some(environment) = context.environment else { return Ok(()) };
    let BuildContext { project, repository, .. } = context.build;
    let settings = project.environment(environment)?;
    if is_protected(context)? {
        let files = source::uncommitted_settings(repository, project, environment, None)?;
        let files = files.iter().map(|(file, why)| Uncommitted::File(file, *why));
        let settings = EnvironmentSettings { protected: true, ..settings.clone() };
        refuse_uncommitted(environment, &settings, files)
            .map_err(|failure| failure.unchanged("Nothing was built, published or deployed."))?;
    }
    let dirty = chosen.iter().filter(|chosen| chosen.source.dirty && chosen.choice.is_new());
    let uncommitted =
        dirty.map(|chosen| Uncommitted::Inputs(&chosen.function, &chosen.source.inputs.changed));
    refuse_uncommitted(environment, settings, uncommitted)
        .map_err(|failure| failure.unchanged("Nothing was built, published or deployed."))
}

/// Refuses a new version with a number that was deployed already, and that the catalogue lost: it would mean two things.
async fn refuse_deployed_versions(context: &PublicationContext<'_>, chosen: &[ChosenVersion]) -> Result<()> {
    let new = |chosen: &ChosenVersion| match &chosen.choice {
        VersionChoice::New { version, .. } => Some((chosen.function.clone(), version.clone())),
        VersionChoice::Reuse { .. } => None,
    };
    let new: Vec<(FunctionName, Version)> = chosen.iter().filter_map(new).collect();
    if new.is_empty() {
        return Ok(());
    }
    let deployed = (context.ledgers.deployed)().await?;
    let Some((release, place)) = new.iter().find_map(|release| deployed.get_key_value(release)) else {
        return Ok(());
    };
    let (function, version) = release;
    let numbers = deployed.keys().filter(|(name, _)| name == function).map(|(_, version)| version);
    let (major, minor, patch) = numbers.max().unwrap_or(version).numbers();
    Err(Failure::refused(format!("`{function}` {version} was deployed already, and its manifest is missing"))
        .detail("recorded", place.clone())
        .detail(
            "manifest",
            format!("{}/{}", context.catalogue.store().place(), Manifest::key(function, version)),
        )
        .unchanged("Nothing was built, published or deployed. A version is never cut again.")
        .hint(format!(
            "restore that object, or take a version that was never used: --version {major}.{minor}.{}",
            patch + 1
        )))
}

/// Asks the environment whether it would take the chosen releases, by their commits: a refusal after publishing would leave
/// releases that nobody wanted.
async fn refuse_candidates(context: &PublicationContext<'_>, chosen: &[ChosenVersion]) -> Result<()> {
    if !chosen.iter().any(|chosen| chosen.choice.is_new()) {
        return Ok(());
    }
    let candidate = |chosen: &ChosenVersion| match &chosen.choice {
        VersionChoice::New { version, .. } => {
            Ok(ReleaseCandidate::of_source(&chosen.function, version, &chosen.source))
        }
        VersionChoice::Reuse { manifest, .. } => ReleaseCandidate::published(manifest),
    };
    let candidates = chosen.iter().map(candidate).collect::<Result<_>>()?;
    (context.ledgers.refuse)(candidates)
        .await
        .map_err(|failure| failure.unchanged("Nothing was built, published or deployed."))
}

/// Returns the signing key for new releases. Without one: refuses where the environment requires signatures, and warns where
/// another one does.
async fn signer(
    context: &PublicationContext<'_>,
    chosen: &[ChosenVersion],
) -> Result<Option<Arc<dyn Signer>>> {
    if !chosen.iter().any(|chosen| chosen.choice.is_new()) {
        return Ok(None);
    }
    let signer = context.signing_keys.signer().await?;
    if let Some(signer) = signer {
        trust::refuse_to_sign_uncommitted(context, chosen, signer.as_ref())?;
        return Ok(Some(signer));
    }
    let environments = &context.build.project.environments;
    let requires = |environment: &EnvironmentName| {
        environments.get(environment).is_some_and(|settings| settings.signatures_required)
    };
    if let Some(environment) = context.environment.filter(|environment| requires(environment)) {
        return Err(Failure::refused(format!(
            "{environment} requires signatures and no signing key is configured"
        ))
        .unchanged("Nothing was built, published or deployed.")
        .hint("name one with [store] signing_key in pipelines/project.toml, or a file with SLIPWAY_SIGNING_KEY; cargo xtask key new makes one"));
    }
    let names: Vec<&str> = environments
        .keys()
        .filter(|environment| requires(environment))
        .map(EnvironmentName::as_str)
        .collect();
    if !names.is_empty() {
        context.build.progress.note(format!(
            "unsigned  no signing key is configured: {} will refuse these releases",
            format::list(names)
        ));
    }
    Ok(None)
}

/// Returns whether the releases are for a protected environment.
fn is_protected(context: &PublicationContext<'_>) -> Result<bool> {
    let Some(environment) = context.environment else { return Ok(false) };
    let settings = context.build.project.environment(environment)?;
    source::is_protected(context.build.repository, environment, settings)
}

fn is_rust(context: &PublicationContext<'_>, function: &FunctionName) -> bool {
    let settings = context.build.project.functions.get(function);
    settings.is_some_and(|settings| matches!(settings.build, BuildSettings::Cargo { .. }))
}

/// Runs the checks, and prepares the Rust builder at the same time. If one of them fails, the other is stopped and waited for:
/// nothing runs on in the background.
async fn check(
    context: &PublicationContext<'_>,
    functions: &[FunctionName],
    builds_rust: bool,
    trust_earlier: bool,
) -> Result<()> {
    let build = &context.build;
    let (checks_interrupt, stop_checks) = build.interrupt.stoppable();
    let (builder_interrupt, stop_builder) = build.interrupt.stoppable();
    let checks = Checks {
        project: build.project,
        repository: build.repository,
        process_env: build.process_env,
        tools: build.uv.tools(),
        logs: context.logs.clone(),
        progress: build.progress,
        interrupt: &checks_interrupt,
        stop_on_failure: Some(&stop_builder),
    };
    let builder = build.rust.clone().with_interrupt(builder_interrupt);
    let checking = async {
        let reports = checks.run_for(functions, trust_earlier).await;
        let failure = match reports {
            Ok(reports) => checks::failure(&reports),
            Err(failure) => Some(failure),
        };
        failure.iter().for_each(|_| stop_builder.stop());
        failure
    };
    let preparing = async {
        let failure = if builds_rust { builder.ensure().await.err() } else { None };
        // A builder that was stopped for a failed check must not stop the other checks, which then hide that check.
        let failed = |failure: &&Failure| failure.kind() != FailureKind::Interrupted;
        failure.iter().filter(failed).for_each(|_| stop_checks.stop());
        failure
    };
    let (checked, prepared) = futures::join!(checking, preparing);
    // The one that was stopped reports an interruption; the other one's failure is the cause.
    let mut failures: Vec<Failure> = checked.into_iter().chain(prepared).collect();
    let cause = failures.iter().position(|failure| failure.kind() != FailureKind::Interrupted);
    match (cause, failures.is_empty()) {
        (_, true) => Ok(()),
        (cause, false) => Err(failures.swap_remove(cause.unwrap_or_default())),
    }
}

/// Writes a release's tag. The catalogue decides which versions exist, so a tag that cannot be written is only reported.
fn write_tag(context: &PublicationContext<'_>, manifest: &Manifest) {
    if manifest.source.dirty {
        return;
    }
    if let (name, Err(failure)) = release::write_tag(context.catalogue, context.build.repository, manifest) {
        context
            .build
            .progress
            .note(format!("tag       {name} was not written: {failure} (repair with cargo xtask tags)"));
    }
}

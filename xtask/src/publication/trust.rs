//! What a run may sign, and what it may take as released already: the token of its CI system, commits, attestations.
//!
//! In: the chosen versions. Out: the identity that a token proves. Goes wrong, before anything is built: a token for another
//! commit or repository, claims that the environment would refuse, a release that is unchanged and not trusted.

use super::{ChosenVersion, PublicationContext};
use crate::failure::{Failure, FailureKind, Result};
use crate::format;
use crate::identity::{VerifiedIdentity, how_to_offer};
use crate::name::FunctionName;
use crate::ports::{Signer, side_by_side};
use crate::release::{self, BuildInvocation, Manifest, VersionChoice};
use crate::source::Source;

/// Returns the identity that the token of this run proves, after comparing it with what is built.
pub(super) async fn proven_identity(
    context: &PublicationContext<'_>,
    chosen: &[ChosenVersion],
) -> Result<Option<VerifiedIdentity>> {
    let identity = context.identity.verified().await?;
    let built = || chosen.iter().filter(|chosen| chosen.choice.is_new()).map(|chosen| &chosen.source);
    if let Some(identity) = &identity {
        for source in built() {
            refuse_other_source(identity, source)?;
        }
        let commit = identity.commit.as_deref().map_or("no commit", |commit| &commit[..7.min(commit.len())]);
        let git_ref = identity.git_ref.as_deref().unwrap_or("no ref");
        context
            .build
            .progress
            .note(format!("builder   {}: {git_ref} at {commit}, proven by its token", identity.builder));
    }
    refuse_missing_claims(context, identity.as_ref(), built().next())?;
    Ok(identity)
}

/// Refuses a token of a run that is for something else than what is built.
fn refuse_other_source(identity: &VerifiedIdentity, source: &Source) -> Result<()> {
    let differ = |what: &str, token: &str, built: &str| {
        Failure::refused(format!(
            "the token of this run is for another {what} than the one that would be built"
        ))
        .detail("token", token)
        .detail("built", built)
        .unchanged("Nothing was built, published or deployed.")
        .hint("build what the run was started for: check out its own commit")
    };
    if let Some(commit) = identity.commit.as_ref().filter(|commit| **commit != source.commit) {
        return Err(differ("commit", commit, &source.commit));
    }
    let (Some(proven), Some(remote)) = (&identity.repository, &source.repository) else { return Ok(()) };
    match (place_of(proven), place_of(remote)) {
        (Some(token), Some(built)) if token != built => Err(differ("repository", proven, remote)),
        _ => Ok(()),
    }
}

/// Returns host and path of a repository's address, `https://…` or `git@host:path`; nothing of a folder.
fn place_of(address: &str) -> Option<String> {
    let rest = match address.split_once("://") {
        Some(("file", _)) => return None,
        Some((_, rest)) => rest.split_once('@').map_or(rest, |(_, rest)| rest).to_owned(),
        None => {
            let (_, rest) = address.split_once('@')?;
            rest.replacen(':', "/", 1)
        }
    };
    Some(rest.trim_end_matches('/').trim_end_matches(".git").to_ascii_lowercase())
}

/// Refuses a build whose provenance the environment that it is for would refuse.
fn refuse_missing_claims(
    context: &PublicationContext<'_>,
    identity: Option<&VerifiedIdentity>,
    source: Option<&Source>,
) -> Result<()> {
    let (Some(environment), Some(source)) = (context.environment, source) else { return Ok(()) };
    let Some(policy) = context.policies.get(environment) else { return Ok(()) };
    let project = context.build.project;
    let now = context.clock.real_time();
    let built = BuildInvocation::of(context.build.process_env, source.branch.as_deref(), now, identity);
    let missing =
        release::claims_of_build(&policy.claims, policy.issuer.as_deref(), &built, &source.repository);
    if missing.is_empty() {
        return Ok(());
    }
    let builder = policy.claims.builder.as_ref().and_then(|name| project.settings.builders.get(name));
    let hint = match (builder, identity) {
        (Some(builder), None) => format!("release in CI, and {}", how_to_offer(builder.kind)),
        _ => format!(
            "[provenance] in terraform/environments/{environment}/environment.toml says what it takes"
        ),
    };
    Err(Failure::refused(format!("{environment} would refuse what this run builds: {}", missing.join("; ")))
        .unchanged("Nothing was built, published or deployed.")
        .hint(hint))
}

/// Refuses to sign uncommitted changes with the release key where the environment requires a signature; says so elsewhere.
pub(super) fn refuse_to_sign_uncommitted(
    context: &PublicationContext<'_>,
    chosen: &[ChosenVersion],
    signer: &dyn Signer,
) -> Result<()> {
    let is_dirty = |chosen: &&ChosenVersion| chosen.choice.is_new() && chosen.source.dirty;
    let dirty: Vec<&FunctionName> = chosen.iter().filter(is_dirty).map(|chosen| &chosen.function).collect();
    if !signer.is_release_key() || dirty.is_empty() {
        return Ok(());
    }
    let names = format::list(dirty.iter().map(|function| function.as_str()));
    if let Some(environment) = context.environment.filter(|name| context.policies.contains_key(*name)) {
        return Err(Failure::refused(format!(
            "{environment} requires signatures, and the release key does not sign uncommitted changes: {names}"
        ))
        .unchanged("Nothing was built, published or deployed.")
        .hint("commit the changes, or release them to an environment without required signatures"));
    }
    context
        .build
        .progress
        .note(format!("unsigned  {names}: the release key does not sign uncommitted changes"));
    Ok(())
}

/// Refuses a release that has the same inputs already and that no environment with required signatures trusts: somebody may
/// have put it there in the place of what these inputs give. The attestations are read side by side.
pub(super) async fn refuse_untrusted_reuse(
    context: &PublicationContext<'_>,
    chosen: &[ChosenVersion],
) -> Result<()> {
    let reused = chosen.iter().filter_map(|chosen| match &chosen.choice {
        VersionChoice::Reuse { manifest, .. } => Some(&**manifest),
        VersionChoice::New { .. } => None,
    });
    let refusals = side_by_side(reused.map(async |manifest| refusal(context, manifest).await)).await?;
    for (manifest, refusal) in refusals.into_iter().flatten() {
        // A run that could sign would hand on what it did not build; one that could not changes nothing.
        if context.environment.is_none() && context.signing_keys.signer().await?.is_none() {
            context.build.progress.note(format!("unsigned  {}", refusal.message()));
            continue;
        }
        let Manifest { function, version, .. } = manifest;
        return Err(Failure::refused(format!(
            "`{function}` {version} has the same inputs, and is not taken as released already: {}",
            refusal.message()
        ))
        .unchanged("Nothing was built, published or deployed.")
        .hint(format!(
            "build and sign it anew, as the next version: cargo xtask release {function} --force"
        )));
    }
    Ok(())
}

/// Returns why a release is not trusted, with its manifest; nothing where one of the environments trusts it.
async fn refusal<'a>(
    context: &PublicationContext<'_>,
    manifest: &'a Manifest,
) -> Result<Option<(&'a Manifest, Failure)>> {
    let mut first = None;
    for (environment, policy) in &context.policies {
        match release::check_trust(context.catalogue, manifest, policy, environment).await {
            Ok(()) => return Ok(None),
            Err(failure) if failure.kind() == FailureKind::Refused => first = first.or(Some(failure)),
            Err(failure) => return Err(failure),
        }
    }
    Ok(first.map(|failure| (manifest, failure)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_compared_by_host_and_path() {
        let shop = place_of("https://github.com/acme/shop");
        for same in [
            "https://github.com/Acme/shop.git",
            "git@github.com:acme/shop.git",
            "ssh://git@github.com/acme/shop",
        ] {
            assert_eq!(place_of(same), shop, "{same}");
        }
        assert_ne!(place_of("https://github.com/evil/shop"), shop);
        assert_eq!((place_of("file:///srv/shop"), place_of("/srv/shop")), (None, None));
    }
}

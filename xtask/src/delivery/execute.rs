//! Apply, verify, roll out: the part of a delivery that changes the environment, under the deploy lock.

use std::collections::BTreeMap;

use super::skip::Current;
use super::{EnvironmentStack, events};
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::ledger::{DeploymentOutcome, Ended, Serving, Started};
use crate::name::FunctionName;
use crate::plan::{Applied, Configuration, FunctionOutput, Output, PackedSources, Planned, input_digests};
use crate::ports::Put;
use crate::release::Manifest;
use crate::rollout::{self, Evidence};
use crate::verification::{self, Clients, Endpoint, Verification, VersionUnderTest};

/// Result of executing a plan.
pub(super) struct ExecutionResult {
    /// The ledger entry, not yet written.
    pub(super) ended: Ended,
    /// Verified Lambda versions.
    pub(super) verifications: Vec<Verification>,
}

/// Applies a plan, verifies the new versions and rolls them out.
pub(super) async fn execute(
    stack: &EnvironmentStack,
    started: &Started,
    last: Option<&Ended>,
    configuration: &Configuration,
    planned: &Planned,
    known: Option<Applied>,
    releases: &BTreeMap<FunctionName, Manifest>,
) -> Result<ExecutionResult> {
    let stored = store_configuration(stack, configuration).await?;
    let applied = match known {
        Some(applied) => applied,
        None => stack.infrastructure.apply(configuration, planned).await?,
    };
    stack.interrupt.check()?;
    let outputs = outputs_of(stack, &applied, releases)?;
    let pending = pending(stack, &applied, releases, last).await?;
    let mut verifications = Vec::new();
    for function in &pending {
        verifications
            .push(verify(stack, &releases[function], &outputs[function], &applied.outputs, last).await?);
    }
    if !verifications.iter().all(Verification::passed) {
        let first: Vec<&FunctionName> =
            pending.iter().filter(|function| !started.serves.contains_key(*function)).collect();
        let failure = verification::failure(stack.environment().as_str(), &verifications);
        return Err(if first.is_empty() {
            failure.unchanged("No alias was moved: users reach the same version as before.")
        } else {
            failure.unchanged(
                "This was the first deployment: its alias points to the version that did not verify.",
            )
        });
    }
    stack.interrupt.check()?;
    let mut serves = started.serves.clone();
    for (function, verification) in pending.iter().zip(&verifications) {
        let output = &outputs[function];
        roll_out(stack, function, output, verification).await?;
        serves.insert(function.clone(), serving(stack, started, &releases[function], output, verification)?);
    }
    for output in outputs.values() {
        events::switch(stack, output).await?;
    }
    let current = Current::read(stack, configuration).await?;
    let mut ended = Ended::of(started, last, DeploymentOutcome::Verified, stack.clock.now());
    ended.serves = serves;
    ended.commit = stack.commit.as_ref().map(|commit| commit.commit.clone());
    ended.dirty = stack.commit.as_ref().is_some_and(|commit| commit.dirty);
    ended.configuration = Some(stored);
    ended.inputs = input_digests(&configuration.inputs);
    ended.plan_inputs = current.plan_inputs;
    ended.state = current.state;
    Ok(ExecutionResult { ended, verifications })
}

/// Returns the functions whose newest version is not verified, or is not the one that the alias points to.
pub(super) async fn pending(
    stack: &EnvironmentStack,
    applied: &Applied,
    releases: &BTreeMap<FunctionName, Manifest>,
    last: Option<&Ended>,
) -> Result<Vec<FunctionName>> {
    let outputs = outputs_of(stack, applied, releases)?;
    let mut pending = Vec::new();
    for (function, output) in &outputs {
        let alias = stack.functions.alias(&output.function_name, &output.alias).await?;
        let settled = last.and_then(|last| last.verified(function)).is_some_and(|serving| {
            serving.release == releases[function].version
                && (output.version == serving.lambda_version || output.version == serving.newest_version)
                && serving.matches(alias.as_ref())
        });
        if !settled {
            pending.push(function.clone());
        }
    }
    Ok(pending)
}

/// Returns the output of each function that the stack runs; a missing one is a mistake in the stack.
pub(super) fn outputs_of(
    stack: &EnvironmentStack,
    applied: &Applied,
    releases: &BTreeMap<FunctionName, Manifest>,
) -> Result<BTreeMap<FunctionName, FunctionOutput>> {
    let mut outputs = applied.functions()?;
    if let Some(missing) = releases.keys().find(|function| !outputs.contains_key(function)) {
        return Err(Failure::failed(format!("the stack `{}` runs `{missing}`, but its output `functions` does not contain it", stack.name()))
            .hint("outputs.tf must contain: output \"functions\" { value = { <function> = { function_name, alias, version, code_sha256 } } }"));
    }
    outputs.retain(|function, _| releases.contains_key(function));
    Ok(outputs)
}

pub(super) async fn verify(
    stack: &EnvironmentStack,
    manifest: &Manifest,
    output: &FunctionOutput,
    outputs: &BTreeMap<String, Output>,
    last: Option<&Ended>,
) -> Result<Verification> {
    let function = &manifest.function;
    let step = stack.progress.step("verify", format!("{function} version {}", output.version));
    // A version in the ledger must still have the configuration that was verified then.
    let known = last
        .and_then(|last| last.verified(function))
        .filter(|serving| serving.lambda_version == output.version)
        .map(|serving| serving.config_digest);
    let clients =
        Clients { functions: &stack.functions, services: &stack.services, interrupt: &stack.interrupt };
    let version = VersionUnderTest {
        manifest,
        function_name: &output.function_name,
        version: &output.version,
        known_configuration: known,
        protected: stack.environment_settings.protected,
        outputs,
        endpoint: Endpoint::Version,
    };
    let verification = verification::verify(&clients, &version).await?;
    let title = format!("{function} version {}: {}", output.version, verification.summary());
    if verification.passed() {
        step.done_as(title, "verified");
    } else {
        step.failed("failed");
    }
    Ok(verification)
}

pub(super) async fn roll_out(
    stack: &EnvironmentStack,
    function: &FunctionName,
    output: &FunctionOutput,
    verification: &Verification,
) -> Result<()> {
    let step = stack.progress.step("rollout", format!("{function} {} -> {}", output.alias, output.version));
    let evidence = Evidence::Verified(verification);
    let moved =
        rollout::point(&stack.functions, &output.function_name, &output.alias, &output.version, evidence)
            .await;
    let moved = match moved {
        Ok(moved) => moved,
        Err(failure) => {
            step.failed("failed");
            return Err(failure);
        }
    };
    let title = if moved.from == moved.to {
        format!("{function} {} -> {}", output.alias, moved.to)
    } else {
        format!("{function} {} {} -> {}", output.alias, moved.from, moved.to)
    };
    step.done_as(title, "serving");
    Ok(())
}

pub(super) fn serving(
    stack: &EnvironmentStack,
    started: &Started,
    manifest: &Manifest,
    output: &FunctionOutput,
    verification: &Verification,
) -> Result<Serving> {
    let before = started.serves.get(&manifest.function).filter(|serving| serving.release == manifest.version);
    Ok(Serving {
        release: manifest.version.clone(),
        digest: manifest.digest()?,
        commit: manifest.source.commit.clone(),
        code_sha256: manifest.artifact.code_sha256.clone(),
        function_name: output.function_name.clone(),
        alias: output.alias.clone(),
        lambda_version: output.version.clone(),
        newest_version: output.version.clone(),
        config_digest: verification.config_digest.ok_or_else(|| {
            Failure::defect(format!("`{}` was verified without its configuration", manifest.function))
        })?,
        verified: true,
        since: before.map_or(started.deployment, |serving| serving.since),
        since_at: before.map_or(stack.clock.now(), |serving| serving.since_at),
    })
}

/// Stores the stack's files in the environment's store, under their digest.
async fn store_configuration(stack: &EnvironmentStack, configuration: &Configuration) -> Result<Digest> {
    let PackedSources { zip, digest } = configuration.pack()?;
    match stack.store.put_new_file(&configuration_key(&digest), &zip, digest, &|_| {}).await? {
        Put::Created | Put::Same => Ok(digest),
        Put::Different => Err(Failure::failed(format!(
            "{}/{} does not contain the bytes that its name says",
            stack.store.place(),
            configuration_key(&digest)
        ))
        .unchanged("Nothing was applied.")
        .hint("the object was replaced: delete it and run the same command again")),
    }
}

/// Returns the key of a stored configuration.
pub(super) fn configuration_key(digest: &Digest) -> String {
    format!("configurations/sha256/{}.zip", digest.hex())
}

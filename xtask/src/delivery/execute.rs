//! Apply, verify, roll out: the part of a delivery that changes the environment, under the deploy lock.

use std::collections::BTreeMap;

use super::contract::{self, AliasesBefore};
use super::skip::Current;
use super::{EnvironmentStack, events, observe, state_lock};
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::gates::{CandidateVersion, GateContext};
use crate::ledger::{DeploymentOutcome, Ended, Serving, Started};
use crate::name::FunctionName;
use crate::partition::Partition;
use crate::plan::{
    Applied, Configuration, FunctionOutput, Output, PackedSources, Places, Planned, input_digests,
};
use crate::ports::{Put, side_by_side};
use crate::release::Manifest;
use crate::rollout::{self, Evidence};
use crate::verification::{self, Clients, Endpoint, Verification, VersionUnderTest};

/// A plan that was approved, with the releases that it is to serve.
pub(super) struct Execution<'a> {
    /// The deployment's entry.
    pub(super) started: &'a Started,
    /// The deployment before it.
    pub(super) last: Option<&'a Ended>,
    /// The stack's files, in `configuration.zip` of the work folder as well.
    pub(super) configuration: &'a Configuration,
    /// The plan.
    pub(super) planned: &'a Planned,
    /// The names in Lambda and the aliases that are known before the apply.
    pub(super) places: &'a Places,
    /// A release for each function.
    pub(super) releases: &'a BTreeMap<FunctionName, Manifest>,
}

/// Applies a plan, unless it is empty and its outputs are `known`; verifies the new versions and rolls them out. Returns the
/// ledger entry, not yet written. `verifications` are what was verified, even where the rest fails.
pub(super) async fn execute(
    stack: &EnvironmentStack,
    execution: &Execution<'_>,
    known: Option<Applied>,
    verifications: &mut Vec<Verification>,
) -> Result<Ended> {
    let Execution { started, last, configuration, planned, places, releases } = *execution;
    // Packed again: `init` may have completed the lock file.
    let files = store_configuration(stack, configuration).await?;
    let mut applied = match known {
        Some(applied) => applied,
        None => {
            let before = AliasesBefore::read(stack, started, places).await?;
            let applied = state_lock::apply(stack, configuration, planned).await;
            before.applied(stack, started, applied).await?
        }
    };
    stack.interrupt.check()?;
    let outputs = contract::outputs_of(stack, &mut applied, releases).await?;
    let pending = pending(stack, &outputs, releases, last).await?;
    for function in &pending {
        verifications
            .push(verify(stack, &releases[function], &outputs[function], &applied.outputs, last).await?);
    }
    if verifications.iter().all(Verification::passed) {
        run_gates(stack, &pending, &outputs, releases, &applied.outputs, verifications).await?;
    }
    if !verifications.iter().all(Verification::passed) {
        return Err(verification::failure(stack.environment().as_str(), verifications));
    }
    stack.interrupt.check()?;
    if !pending.is_empty() {
        // The apply may have taken longer than this machine was awake.
        stack.ledger.refuse_closed(started.deployment).await?;
    }
    let mut serves = started.serves.clone();
    for (function, verification) in pending.iter().zip(verifications.iter()) {
        let output = &outputs[function];
        roll_out(stack, function, output, verification).await?;
        serves.insert(function.clone(), serving(stack, started, &releases[function], output, verification)?);
    }
    observe::compare(&mut serves, &observe::aliases(stack, started).await?);
    for output in outputs.values() {
        events::switch(stack, output).await?;
    }
    let current = Current::read(stack, configuration).await?;
    let mut ended = Ended::of(started, last, DeploymentOutcome::Verified, stack.clock.now());
    ended.serves = serves;
    ended.commit = stack.commit.as_ref().map(|commit| commit.commit.clone());
    ended.dirty = stack.commit.as_ref().is_some_and(|commit| commit.dirty);
    ended.configuration = Some(files);
    ended.inputs = input_digests(&configuration.inputs);
    ended.plan_inputs = current.plan_inputs;
    ended.state = current.state;
    Ok(ended)
}

/// Runs the project's own gates on versions that verified, and adds their checks.
async fn run_gates(
    stack: &EnvironmentStack,
    pending: &[FunctionName],
    outputs: &BTreeMap<FunctionName, FunctionOutput>,
    releases: &BTreeMap<FunctionName, Manifest>,
    stack_outputs: &BTreeMap<String, Output>,
    verifications: &mut [Verification],
) -> Result<()> {
    if pending.is_empty() || stack.gates.is_empty() {
        return Ok(());
    }
    let backend = &stack.plan.backend;
    let candidate = |function: &FunctionName| {
        let FunctionOutput { function_name, version, url, .. } = &outputs[function];
        let resource = format!("function:{function_name}:{version}");
        CandidateVersion {
            release: releases[function].version.clone(),
            lambda_version: version.clone(),
            arn: Partition::of_region(&backend.region).arn(
                "lambda",
                &backend.region,
                &backend.account,
                &resource,
            ),
            url: url.clone(),
        }
    };
    let versions = pending.iter().map(|function| (function.clone(), candidate(function))).collect();
    let context = GateContext {
        root: &stack.root,
        environment: stack.environment().as_str(),
        stack: stack.name().as_str(),
        variables: &stack.plan.variables,
        region: &backend.region,
        outputs: stack_outputs,
        versions: &versions,
        services: &stack.services,
        interrupt: &stack.interrupt,
    };
    for (at, function) in pending.iter().enumerate() {
        let of_stack = at == 0 && !stack.gates.stack.is_empty();
        if !of_stack && stack.gates.functions.get(function).is_none_or(Vec::is_empty) {
            continue;
        }
        let step = stack.progress.slow_step("gate", format!("{function} before traffic"));
        let mut checks = stack.gates.run_for(function, &context).await?;
        if of_stack {
            checks.extend(stack.gates.run_for_stack(&context).await?);
        }
        let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
        let title = format!("{function} before traffic: {}", crate::format::list(names));
        match checks.iter().all(|check| check.passed) {
            true => step.done_as(title, "passed"),
            false => step.failed("failed"),
        }
        verifications[at].checks.extend(checks);
    }
    Ok(())
}

/// Returns the functions whose newest version is not verified, or is not the one that the alias points to.
pub(super) async fn pending(
    stack: &EnvironmentStack,
    outputs: &BTreeMap<FunctionName, FunctionOutput>,
    releases: &BTreeMap<FunctionName, Manifest>,
    last: Option<&Ended>,
) -> Result<Vec<FunctionName>> {
    let reads = outputs.iter().map(|(function, output)| async move {
        let alias = stack.functions.alias(&output.function_name, &output.alias).await?;
        let settled = last.and_then(|last| last.verified(function)).is_some_and(|serving| {
            serving.release == releases[function].version
                && (&serving.function_name, &serving.alias) == (&output.function_name, &output.alias)
                && (output.version == serving.lambda_version || output.version == serving.newest_version)
                && serving.matches(alias.as_ref())
        });
        Ok::<_, Failure>((!settled).then(|| function.clone()))
    });
    Ok(side_by_side(reads).await?.into_iter().flatten().collect())
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
        emulated: stack.environment_settings.is_emulated(),
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
    let before = started
        .serves
        .get(&manifest.function)
        .filter(|serving| serving.release == manifest.version && serving.verified);
    Ok(Serving {
        release: manifest.version.clone(),
        digest: manifest.digest()?,
        commit: manifest.source.commit.clone(),
        code_sha256: manifest.artifact.code_sha256.clone(),
        function_name: output.function_name.clone(),
        alias: output.alias.clone(),
        lambda_version: output.version.clone(),
        alias_elsewhere: None,
        alias_revision: None,
        newest_version: output.version.clone(),
        config_digest: verification.config_digest.ok_or_else(|| {
            Failure::defect(format!("`{}` was verified without its configuration", manifest.function))
        })?,
        verified: true,
        since: before.map_or(started.deployment, |serving| serving.since),
        since_at: before.map_or(stack.clock.now(), |serving| serving.since_at),
    })
}

/// Packs the stack's files into the work folder; returns the digest under which they are stored.
pub(super) fn pack_configuration(configuration: &Configuration) -> Result<Digest> {
    Ok(configuration.pack()?.digest)
}

/// Stores the stack's files in the environment's store, under their digest.
async fn store_configuration(stack: &EnvironmentStack, configuration: &Configuration) -> Result<Digest> {
    let PackedSources { zip, digest } = configuration.pack()?;
    let key = configuration_key(&digest);
    match stack.store.put_new_file(&key, &zip, digest, &|_| {}).await? {
        Put::Created | Put::Same => Ok(digest),
        Put::Different => Err(Failure::failed(format!(
            "{}/{key} does not contain the bytes that its name says",
            stack.store.place()
        ))
        .unchanged("Nothing was applied.")
        .hint("the object was replaced: delete it and run the same command again")),
    }
}

/// Returns the key of a stored configuration.
pub(super) fn configuration_key(digest: &Digest) -> String {
    format!("configurations/sha256/{}.zip", digest.hex())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use crate::delivery::deliver;
    use crate::delivery::model::scene::{Scene, deploy_request};
    use crate::failure::FailureKind;
    use crate::gates::Gates;
    use crate::ledger::DeploymentOutcome;
    use crate::name::FunctionName;
    use crate::release::Manifest;
    use crate::settings::{FunctionSettings, TrafficGate};

    fn gate(run: &str) -> Vec<TrafficGate> {
        let text = format!(
            "runtime = \"provided.al2023\"\n[build]\nwith = \"cargo\"\n[[before_traffic]]\nname = \"asks\"\nrun = \"{run}\"\n"
        );
        FunctionSettings::parse(Path::new("lambda-src/a/function.toml"), &text).unwrap().before_traffic
    }

    fn gates(function: &FunctionName, run: &str, of_stack: Option<&str>) -> Gates {
        Gates {
            functions: BTreeMap::from([(function.clone(), gate(run))]),
            stack: of_stack.map(gate).unwrap_or_default(),
            search_path: "/bin:/usr/bin".into(),
        }
    }

    /// A gate of one function, and one of the stack, keep all of the stack's new versions from traffic.
    #[tokio::test]
    async fn gate_that_fails_moves_no_alias_and_the_next_run_asks_it_again() {
        for (of_function, of_stack) in [("false", None), ("true", Some("false"))] {
            let mut scene = Scene::new(false);
            scene.deploy_new_releases().await;
            let aliases = scene.lambda.aliases();
            let releases: BTreeMap<FunctionName, Manifest> = scene
                .functions
                .clone()
                .into_iter()
                .map(|function| (function.clone(), scene.release_of(&function, None)))
                .collect();
            let second = scene.functions[1].clone();
            let request = deploy_request(releases);
            let mut stack = scene.stack(true);
            stack.gates = gates(&second, of_function, of_stack);
            let failure = deliver(&stack, &request).await.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::VerificationFailed);
            assert!(failure.report().body.unwrap().contains("gate \"asks\""), "the gate is named");
            assert_eq!(scene.lambda.aliases(), aliases);
            let ended = scene.last_ended().await.unwrap();
            assert_eq!(ended.outcome, DeploymentOutcome::VerificationFailed);
            assert!(ended.serves.values().all(|serving| serving.release.to_string() == "1.0.0"));

            let mut stack = scene.stack(true);
            stack.gates = gates(&second, "true", of_stack.map(|_| "true"));
            let delivered = deliver(&stack, &request).await.unwrap();
            let checks = delivered.verifications.iter().flat_map(|verification| &verification.checks);
            let asked = checks.filter(|check| check.name.contains("gate")).count();
            assert_eq!(asked, 1 + usize::from(of_stack.is_some()));
            assert_ne!(scene.lambda.aliases(), aliases);
            // Nothing gets traffic: nothing is asked.
            let mut stack = scene.stack(true);
            stack.gates = gates(&second, "false", None);
            assert!(deliver(&stack, &request).await.unwrap().unchanged);
        }
    }
}

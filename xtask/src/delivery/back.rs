//! Rollback: the alias first, so that traffic is back within a second; then Terraform is brought to agree, from the
//! configuration that is applied; then the release that was left is held.

mod choose;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use choose::{Back, BackOrder, choose_back};

use super::execute::{self, configuration_key};
use super::skip::Current;
use super::{Delivered, Site, settle};
use crate::failure::{self, Failure, Kind as FailureKind, Outcome};
use crate::ledger::{Choice, Ended, Hold, Kind, OutcomeWord, Serving, Started};
use crate::name::{Digest, FunctionName};
use crate::plan::{self, Applied, Change, Configuration};
use crate::release::Manifest;
use crate::rollout::{self, Evidence};
use crate::verification;
use crate::words;

/// Takes functions back.
pub(crate) async fn roll_back(
    site: &Site,
    last: &Ended,
    back: &BTreeMap<FunctionName, Back>,
) -> Outcome<Delivered> {
    show(site, last, back);
    if !site
        .approver
        .approve("Move live traffic now?")
        .map_err(|failure| failure.unchanged("Nothing was changed."))?
    {
        return Err(Failure::refused("not approved").unchanged("Nothing was changed."));
    }
    // From the ledger alone: moving traffic back needs neither a manifest nor the artifact's bytes.
    let will = last.serves.iter().map(|(function, serving)| match back.get(function) {
        Some(back) => (function.clone(), choice(&back.to, Some(back.to.lambda_version.clone()))),
        None => (function.clone(), choice(serving, None)),
    });
    let started = site.started(Kind::Rollback, Some(last), will.collect());
    site.ledger.begin(&started).await?;
    let lease = site.keep_lease(started.deployment);
    let mut ended = Ended::of(&started, Some(last), OutcomeWord::RolledBack, site.clock.now());
    let result = run(site, &started, last, back, &mut ended).await;
    drop(lease);
    ended.at = site.clock.now();
    let changes = match result {
        Ok(changes) => changes,
        Err(failure) => return Err(record_failure(site, &started, last, failure).await),
    };
    site.ledger.end(&ended).await?;
    Ok(Delivered {
        environment: site.environment.clone(),
        stack: site.stack.clone(),
        deployment: Some(started.deployment),
        unchanged: false,
        plan_skipped: false,
        changes,
        functions: ended
            .serves
            .iter()
            .map(|(function, serving)| (function.clone(), serving.release.clone()))
            .collect(),
        verifications: Vec::new(),
    })
}

/// Closes a rollback that failed, with what is served now, and returns the failure to be told.
async fn record_failure(site: &Site, started: &Started, last: &Ended, failure: Failure) -> Failure {
    let record = async {
        let mut ended = settle::as_it_is(site, started, Some(last), OutcomeWord::TerraformPending).await?;
        let moved = ended.serves != started.serves;
        if !moved {
            ended.outcome = OutcomeWord::Failed;
        }
        ended.why = Some(failure.message().to_owned());
        site.ledger.end(&ended).await?;
        Ok::<_, Failure>(moved)
    };
    match record.await {
        Ok(true) => failure.unchanged("Traffic is back on the earlier release, and stays there. Terraform does not agree yet: the ledger says `terraform pending`."),
        Ok(false) => failure,
        // The ledger stays open: the next command compares the aliases with both sides and closes it.
        Err(second) => failure.detail("and then", second.message().to_owned()),
    }
}

/// Moves the aliases, then brings Terraform to agree. `ended` says at each moment what is served.
async fn run(
    site: &Site,
    started: &Started,
    last: &Ended,
    back: &BTreeMap<FunctionName, Back>,
    ended: &mut Ended,
) -> Outcome<Vec<Change>> {
    let mut gone = BTreeSet::new();
    for (function, back) in back {
        site.interrupt.check()?;
        if move_alias(site, function, back).await? {
            let mut serving = Serving { newest_version: back.from.newest_version.clone(), ..back.to.clone() };
            (serving.since, serving.since_at) = (started.deployment, site.clock.now());
            ended.serves.insert(function.clone(), serving);
            if back.from.release != back.to.release && ended.holds(function, &back.from.release).is_none() {
                ended.holds.push(Hold {
                    function: function.clone(),
                    release: back.from.release.clone(),
                    deployment: started.deployment,
                });
            }
            ended.holds.retain(|hold| hold.function != *function || hold.release != back.to.release);
        } else {
            gone.insert(function.clone());
        }
    }
    let moved: Vec<String> = back
        .iter()
        .filter(|(function, _)| !gone.contains(*function))
        .map(|(function, back)| format!("{function} {}", back.to.release))
        .collect();
    if !moved.is_empty() {
        site.progress
            .note(format!("          traffic is on {}. Bringing Terraform to agree.", words::list(moved)));
    }
    // Only now: traffic does not wait for whoever is at work in this folder.
    let lock = site.lock_work().await?;
    let releases = &releases(site, last, back).await?;
    let configuration = applied_configuration(site, &lock, last, releases).await?;
    let planned = site.infrastructure.plan(&configuration).await?;
    plan::refuse_protected(&site.stack, &site.stack_settings.protect, &planned)?;
    refuse_others(site, &planned, back).await?;
    let applied = if planned.is_empty() {
        site.infrastructure.outputs(&configuration).await?
    } else {
        site.infrastructure.apply(&configuration, &planned).await?
    };
    for function in &gone {
        through_terraform(site, started, function, releases, &applied, ended).await?;
    }
    let outputs = execute::outputs_of(site, &applied, releases)?;
    for (function, serving) in &mut ended.serves {
        if let Some(output) = outputs.get(function) {
            serving.newest_version = output.version.clone();
        }
    }
    let current = Current::read(site, &configuration).await?;
    ended.inputs = plan::input_digests(&configuration.inputs);
    (ended.plan_inputs, ended.state) = (current.plan_inputs, current.state);
    Ok(planned.changes)
}

/// Makes the ledger's note of what served before.
fn choice(serving: &Serving, lambda_version: Option<String>) -> Choice {
    Choice {
        release: serving.release.clone(),
        digest: serving.digest,
        code_sha256: serving.code_sha256.clone(),
        commit: serving.commit.clone(),
        lambda_version,
    }
}

/// Reads the releases that Terraform is to agree with: what comes back, and what stays.
async fn releases(
    site: &Site,
    last: &Ended,
    back: &BTreeMap<FunctionName, Back>,
) -> Outcome<BTreeMap<FunctionName, Manifest>> {
    let mut releases = BTreeMap::new();
    for (function, serving) in &last.serves {
        let release = back.get(function).map_or(&serving.release, |back| &back.to.release);
        let manifest = site.catalogue.manifest(function, release).await?;
        site.check_trust(&manifest).await?;
        site.check_bytes(&manifest).await?;
        releases.insert(function.clone(), manifest);
    }
    Ok(releases)
}

/// Points a function's alias to the version that served before; tells whether that version still exists.
async fn move_alias(site: &Site, function: &FunctionName, back: &Back) -> Outcome<bool> {
    let to = &back.to;
    let step = site.progress.step("rollout", format!("{function} {} -> {}", to.alias, to.lambda_version));
    let (active, configuration) =
        verification::await_active(&site.functions, &to.function_name, &to.lambda_version, &site.interrupt)
            .await?;
    let Some(configuration) = configuration else {
        step.done("gone");
        site.progress.note(format!(
            "          Lambda version {} of {function} no longer exists: {} goes through Terraform.",
            to.lambda_version, to.release
        ));
        return Ok(false);
    };
    let digest = Digest::from_bytes(configuration.digest());
    if !active.passed || configuration.code_sha256 != to.code_sha256 || digest != to.config_digest {
        step.failed("refused");
        return Err(Failure::new(
            FailureKind::VerificationFailed,
            format!("Lambda version {} of `{function}` is not what the ledger recorded", to.lambda_version),
        )
        .detail("recorded", format!("{} {}", to.code_sha256, to.config_digest.short()))
        .detail(
            "found",
            format!(
                "{} {} {}",
                configuration.code_sha256,
                digest.short(),
                configuration.state.unwrap_or_default()
            ),
        )
        .unchanged("No alias was moved.")
        .hint(format!(
            "deploy the release instead: cargo xtask deploy {function} --env {} --version {}",
            site.environment, to.release
        )));
    }
    let moved = rollout::point(
        &site.functions,
        &to.function_name,
        &to.alias,
        &to.lambda_version,
        Evidence::Served(to),
    )
    .await?;
    step.done_as(format!("{function} {} {} -> {}", to.alias, moved.from, moved.to), "serving");
    Ok(true)
}

/// Verifies and rolls out a release whose old version number no longer exists.
async fn through_terraform(
    site: &Site,
    started: &Started,
    function: &FunctionName,
    releases: &BTreeMap<FunctionName, Manifest>,
    applied: &Applied,
    ended: &mut Ended,
) -> Outcome<()> {
    let outputs = execute::outputs_of(site, applied, releases)?;
    let verified =
        execute::verify(site, &releases[function], &outputs[function], &applied.outputs, None).await?;
    if !verified.passed() {
        return Err(verification::failure(site.environment.as_str(), std::slice::from_ref(&verified)));
    }
    execute::roll_out(site, function, &outputs[function], &verified).await?;
    let left = started.serves.get(function).map(|serving| serving.release.clone());
    ended.serves.insert(
        function.clone(),
        execute::serving(site, started, &releases[function], &outputs[function], &verified)?,
    );
    ended.holds.extend(left.map(|release| Hold {
        function: function.clone(),
        release,
        deployment: started.deployment,
    }));
    Ok(())
}

/// Takes the configuration that is applied from the environment's store.
pub(super) async fn applied_configuration(
    site: &Site,
    lock: &plan::WorkLock,
    last: &Ended,
    releases: &BTreeMap<FunctionName, Manifest>,
) -> Outcome<Configuration> {
    let Some(digest) = last.configuration else {
        let inputs = site.inputs(&site.root).await?;
        return site.configure(lock, &site.root, releases, inputs);
    };
    let key = configuration_key(&digest);
    let stored = site.store.get(&key).await?.ok_or_else(|| {
        Failure::failed(format!("the configuration that is applied is missing: {}/{key}", site.store.place()))
            .hint("restore that object; deploying anew writes it again")
    })?;
    if Digest::of(&stored.bytes) != digest {
        return Err(Failure::failed(format!(
            "{}/{key} holds other bytes than its name says",
            site.store.place()
        ))
        .hint("restore the object's first version"));
    }
    let folder = site.work.join("configurations");
    std::fs::create_dir_all(&folder).map_err(|error| failure::io("create", &folder, error))?;
    let zip = folder.join(format!("{}.zip", &digest.hex()[..16]));
    std::fs::write(&zip, &stored.bytes).map_err(|error| failure::io("write", &zip, error))?;
    let root = folder.join(&digest.hex()[..16]);
    plan::unpack_sources(&zip, &root)?;
    let inputs = site.inputs(&root).await?;
    site.configure(lock, &root, releases, inputs)
}

/// Refuses a plan that would touch more than the named functions.
async fn refuse_others(
    site: &Site,
    planned: &plan::Planned,
    back: &BTreeMap<FunctionName, Back>,
) -> Outcome<()> {
    if planned.changes.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = back.values().map(|back| back.to.function_name.clone()).collect();
    let state =
        plan::state_mark(site.store.as_ref(), &site.stack).await?.map(|(_, state)| state).unwrap_or_default();
    let others = plan::refuse_unnamed(planned, &state, &names);
    if others.is_empty() {
        return Ok(());
    }
    let _ = std::fs::remove_file(&planned.file);
    Err(Failure::refused(format!(
        "bringing Terraform to agree would touch more than {}",
        words::list(back.keys().map(FunctionName::as_str))
    ))
    .body(others.join("\n"))
    .hint(format!(
        "something was changed outside Terraform: look with cargo xtask plan --env {}, then deploy",
        site.environment
    )))
}

fn show(site: &Site, last: &Ended, back: &BTreeMap<FunctionName, Back>) {
    let now = site.clock.now();
    let mut text = String::new();
    for (function, back) in back {
        let resumed = if back.resumed { "carrying on with an unfinished rollback" } else { "verified" };
        text.push_str(&format!(
            "{} runs   {function} {}   deployment {}, {}, by {}\nback to{}   {function} {}   deployment {}, {resumed}, Lambda version {}\n",
            site.environment,
            back.from.release,
            last.deployment,
            words::age(last.at, now),
            last.by,
            " ".repeat((site.environment.as_str().len() + 5).saturating_sub(7)),
            back.to.release,
            back.deployment,
            back.to.lambda_version,
        ));
    }
    site.progress.block(text);
}

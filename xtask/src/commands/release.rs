//! `release`: build, check, version and publish what changed; with `--env`, deploy it there.

mod cutting;
mod pythons;
mod statements;

use std::collections::BTreeMap;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use self::statements::ReleaseContext;
use super::{Answer, delivered_text};
use crate::app::{Account, AppContext};
use crate::checks::{self, Checks};
use crate::delivery::{self, Delivered, DeployRequest};
use crate::digest::Digest;
use crate::emulator;
use crate::failure::{self, Failure, Result};
use crate::format;
use crate::ledger::DeploymentKind;
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::release::{self, Bump, Choice, Manifest, Request};
use crate::settings::BuildSettings;
use crate::source::{Repository, Source};

/// Arguments of `release`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The functions; all whose inputs changed where none is named.
    functions: Vec<FunctionName>,
    /// The environment to deploy to; without it the release is only cut and published.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
    /// Exactly this version.
    #[arg(long, conflicts_with = "bump")]
    version: Option<Version>,
    /// This far from the newest version, instead of what the commits say.
    #[arg(long, value_enum)]
    bump: Option<Bump>,
    /// Cut a new release even where the inputs are unchanged.
    #[arg(long)]
    force: bool,
    /// Plan even where nothing can have changed.
    #[arg(long)]
    plan: bool,
    /// Let a release come back that a rollback left.
    #[arg(long)]
    lift_hold: bool,
}

/// What releasing came to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The releases, new or reused.
    pub(crate) releases: Vec<Released>,
    /// What was delivered where.
    pub(crate) deliveries: Vec<Delivered>,
}

/// One release.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Released {
    /// The function.
    pub(crate) function: FunctionName,
    /// The version.
    pub(crate) version: Version,
    /// Whether it was cut now.
    pub(crate) new: bool,
    /// SHA-256 of the artifact.
    pub(crate) sha256: Digest,
    /// The commit that it was built from.
    pub(crate) commit: String,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let begun = Instant::now();
    let functions = match &arguments.env {
        Some(environment) => app.functions_in(environment, &arguments.functions)?,
        None => app.functions(&arguments.functions)?,
    };
    if let (Some(version), true) = (&arguments.version, functions.len() > 1) {
        return Err(Failure::usage(format!("--version {version} is for one function"))
            .hint(format!("name it: {}", format::list(functions.iter().map(FunctionName::as_str)))));
    }
    let stacks = stacks(app, &arguments, &functions)?;
    let repository = app.repository()?;
    repository.checkout()?;
    let account = open(app, &arguments, &functions).await?;
    if !stacks.is_empty() {
        // Missed only after the publishing, it would leave a release that was never tried.
        app.terraform().version().await?;
    }
    let catalogue = match &account {
        Some(account) => account.catalogue.clone(),
        None => app.catalogue(None).await?,
    };
    let request =
        Request { version: arguments.version.clone(), bump: arguments.bump, force: arguments.force };
    let mut chosen = Vec::new();
    for function in &functions {
        let source = Source::look(&app.project, &repository, function)?;
        let choice = release::choose(
            &catalogue,
            &repository,
            function,
            app.project.function(function)?,
            &source,
            &request,
        )
        .await?;
        chosen.push((function.clone(), source, choice));
    }
    refuse_dirty(app, &arguments, &chosen)?;
    let builds_rust = chosen
        .iter()
        .any(|(function, _, choice)| matches!(choice, Choice::New { .. }) && is_rust(app, function));
    let signer = statements::signer(app, &arguments, account.as_ref(), &chosen).await?;
    check(app, &repository, &functions, builds_rust).await?;
    let press = ReleaseContext { repository: &repository, catalogue: &catalogue, signer };
    let mut manifests = Vec::new();
    let mut releases = Vec::new();
    for (function, manifest, new) in cutting::cut_all(app, &press, &chosen, arguments.force).await? {
        if !account.as_ref().is_some_and(|account| account.emulated) && !manifest.source.dirty {
            mirror(app, &repository, &manifest);
        }
        releases.push(Released {
            function,
            version: manifest.version.clone(),
            new,
            sha256: manifest.artifact.sha256,
            commit: manifest.source.commit.clone(),
        });
        manifests.push(manifest);
    }
    if account.as_ref().is_some_and(|account| account.emulated) {
        pythons::ready(app, &catalogue, &manifests).await?;
    }
    let (mut deliveries, mut failure) = (Vec::new(), None);
    if let (Some(environment), Some(account)) = (&arguments.env, &account) {
        let request = |functions: Vec<FunctionName>| DeployRequest {
            kind: DeploymentKind::Release,
            releases: manifests
                .iter()
                .filter(|manifest| functions.contains(&manifest.function))
                .map(|manifest| (manifest.function.clone(), manifest.clone()))
                .collect(),
            lift_hold: arguments.lift_hold,
            always_plan: arguments.plan,
        };
        let requests = stacks.into_iter().map(|(stack, functions)| (stack, request(functions))).collect();
        let planned = app.stack_deliveries(account, environment, requests)?;
        let results = delivery::deliver_all(&planned, &app.interrupt).await;
        (deliveries, failure) = (results.delivered, results.failure);
        if deliveries.is_empty()
            && let Some(failure) = failure
        {
            return Err(failure);
        }
    }
    let text = if deliveries.is_empty() {
        let line = |released: &Released| {
            format!(
                "{} {} {} {}\n",
                released.function,
                released.version,
                released.sha256,
                if released.new { "released" } else { "unchanged" }
            )
        };
        releases.iter().map(line).collect::<String>()
    } else {
        deliveries.iter().map(|delivered| delivered_text(app, delivered, begun)).collect()
    };
    Ok(Answer::new(&Report { releases, deliveries }, text)?.with_failure(failure))
}

/// Returns the stacks to deliver to, with the functions that are meant there: all of the environment where no function is
/// named, those without functions included.
fn stacks(
    app: &AppContext,
    arguments: &Arguments,
    functions: &[FunctionName],
) -> Result<BTreeMap<StackName, Vec<FunctionName>>> {
    let Some(environment) = &arguments.env else { return Ok(BTreeMap::new()) };
    let mut stacks: BTreeMap<_, _> = app.stacks_of(functions)?.into_iter().collect();
    if arguments.functions.is_empty() {
        for stack in app.project.stacks_in(environment)?.into_keys() {
            stacks.entry(stack).or_default();
        }
    }
    Ok(stacks)
}

/// Opens the environment's account; where the local one must be started anyway, the Rust builder is made meanwhile.
async fn open(
    app: &AppContext,
    arguments: &Arguments,
    functions: &[FunctionName],
) -> Result<Option<Account>> {
    let Some(environment) = &arguments.env else {
        return Ok(None);
    };
    let emulated = app.project.environment(environment)?.is_emulated();
    let empty = emulated
        && !matches!(
            emulator::find(&emulator::folder(&app.project)).await,
            Ok(slipway_local::Status::Running(_))
        );
    if empty && functions.iter().any(|function| is_rust(app, function)) {
        let builder = app.rust_builder();
        let (account, _) = futures::try_join!(app.account(environment), builder.ensure())?;
        return Ok(Some(account));
    }
    app.account(environment).await.map(Some)
}

/// Refuses what a protected environment would refuse in the end, before anything is built or published.
fn refuse_dirty(
    app: &AppContext,
    arguments: &Arguments,
    chosen: &[(FunctionName, Source, Choice)],
) -> Result<()> {
    let Some(environment) = &arguments.env else { return Ok(()) };
    if !app.project.environment(environment)?.protected {
        return Ok(());
    }
    match chosen.iter().find(|(_, source, choice)| source.dirty && matches!(choice, Choice::New { .. })) {
        None => Ok(()),
        Some((function, ..)) => Err(Failure::refused(format!(
            "{environment} is protected and the inputs of `{function}` have changes that are not committed"
        ))
        .unchanged("Nothing was built, published or deployed.")
        .hint("commit them, or put them aside with git stash")),
    }
}

fn is_rust(app: &AppContext, function: &FunctionName) -> bool {
    app.project
        .functions
        .get(function)
        .is_some_and(|settings| matches!(settings.build, BuildSettings::Cargo { .. }))
}

/// Runs the checks; what a build needs is made ready meanwhile. Where one of them fails the other is ended as Ctrl-C would
/// end it, and waited for: nothing goes on in the background.
async fn check(
    app: &AppContext,
    repository: &Repository,
    functions: &[FunctionName],
    builds_rust: bool,
) -> Result<()> {
    let (checks_heed, stop_checks) = app.interrupt.stoppable();
    let (builder_heeds, stop_builder) = app.interrupt.stoppable();
    let checks = Checks {
        project: &app.project,
        repository,
        logs: app.logs(),
        progress: &app.progress,
        interrupt: &checks_heed,
        beside: Some(&stop_builder),
    };
    let builder = app.rust_builder().with_interrupt(builder_heeds);
    let checking = async {
        let reports = checks.run_for(functions).await;
        let failure = match reports {
            Ok(reports) => checks::failure(&reports),
            Err(failure) => Some(failure),
        };
        failure.iter().for_each(|_| stop_builder.stop());
        failure
    };
    let preparing = async {
        let failure = if builds_rust { builder.ensure().await.err() } else { None };
        failure.iter().for_each(|_| stop_checks.stop());
        failure
    };
    let (checked, prepared) = futures::join!(checking, preparing);
    // Whoever was ended for the other's sake says only that it was interrupted.
    let mut failures: Vec<Failure> = checked.into_iter().chain(prepared).collect();
    let own = failures.iter().position(|failure| failure.kind() != failure::FailureKind::Interrupted);
    match (own, failures.is_empty()) {
        (_, true) => Ok(()),
        (own, false) => Err(failures.swap_remove(own.unwrap_or_default())),
    }
}

/// Writes the tag that mirrors a release; the catalogue decides, so a tag that cannot be written is only told.
fn mirror(app: &AppContext, repository: &Repository, manifest: &Manifest) {
    let name = format!("{}{}", release::tag_prefix(&manifest.function), manifest.version);
    if let Err(failure) = repository.tag(
        &name,
        &manifest.source.commit,
        &format!("{} {}\n\nartifact {}", manifest.function, manifest.version, manifest.artifact.sha256),
    ) {
        app.progress
            .note(format!("tag       {name} was not written: {failure} (repair with cargo xtask tags)"));
    }
}

//! `release`: build, check, version and publish what changed; with `--env`, deploy it there.

use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, delivered_text};
use crate::artifact::{self, Artifact, Workshop};
use crate::checks::{self, Checks};
use crate::delivery::{self, Delivered, Order};
use crate::emulator;
use crate::failure::{Failure, Outcome};
use crate::ledger::Kind;
use crate::name::{Digest, EnvironmentName, FunctionName, Version};
use crate::progress::Unit;
use crate::release::{
    self, ArtifactRecord, Built, Bump, Catalogue, Choice, Manifest, Published, Request, SmokeRecord,
    SourceRecord,
};
use crate::settings::{BuildSettings, Place};
use crate::source::{Repository, Source};
use crate::words;
use crate::world::{Account, World};

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
pub(crate) async fn run(world: &World, arguments: Arguments) -> Outcome<Answer> {
    let begun = Instant::now();
    let functions = world.functions(&arguments.functions)?;
    if let (Some(version), true) = (&arguments.version, functions.len() > 1) {
        return Err(Failure::usage(format!("--version {version} is for one function"))
            .hint(format!("name it: {}", words::list(functions.iter().map(FunctionName::as_str)))));
    }
    let stacks = arguments.env.as_ref().map(|_| world.stacks_of(&functions)).transpose()?.unwrap_or_default();
    let repository = world.repository()?;
    repository.checkout()?;
    let account = open(world, &arguments, &functions).await?;
    if !stacks.is_empty() {
        // Missed only after the publishing, it would leave a release that was never tried.
        world.terraform().version().await?;
    }
    let catalogue = match &account {
        Some(account) => account.catalogue.clone(),
        None => world.catalogue(None).await?,
    };
    let request =
        Request { version: arguments.version.clone(), bump: arguments.bump, force: arguments.force };
    let mut chosen = Vec::new();
    for function in &functions {
        let source = Source::look(&world.project, &repository, function)?;
        let choice = release::choose(
            &catalogue,
            &repository,
            function,
            world.project.function(function)?,
            &source,
            &request,
        )
        .await?;
        chosen.push((function.clone(), source, choice));
    }
    refuse_dirty(world, &arguments, &chosen)?;
    let builds_rust = chosen
        .iter()
        .any(|(function, _, choice)| matches!(choice, Choice::New { .. }) && is_rust(world, function));
    check(world, &repository, builds_rust).await?;
    let mut manifests = Vec::new();
    let mut releases = Vec::new();
    for (function, source, choice) in chosen {
        let (manifest, new) =
            cut(world, &repository, &catalogue, &function, &source, choice, arguments.force).await?;
        if !account.as_ref().is_some_and(|account| account.emulated) && !manifest.source.dirty {
            mirror(world, &repository, &manifest);
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
    let mut deliveries = Vec::new();
    if let (Some(environment), Some(account)) = (&arguments.env, &account) {
        for (stack, functions) in stacks {
            let site = world.site(account, environment, &stack)?;
            let targets = manifests
                .iter()
                .filter(|manifest| functions.contains(&manifest.function))
                .map(|manifest| (manifest.function.clone(), manifest.clone()))
                .collect();
            let order = Order {
                kind: Kind::Release,
                targets,
                lift_hold: arguments.lift_hold,
                always_plan: arguments.plan,
            };
            deliveries.push(delivery::deliver(&site, &order).await?);
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
        deliveries.iter().map(|delivered| delivered_text(delivered, begun)).collect()
    };
    Answer::new(&Report { releases, deliveries }, text)
}

/// Opens the environment's account; where the local one must be started anyway, the Rust builder is made meanwhile.
async fn open(world: &World, arguments: &Arguments, functions: &[FunctionName]) -> Outcome<Option<Account>> {
    let Some(environment) = &arguments.env else {
        return Ok(None);
    };
    let emulated = matches!(world.project.environment(environment)?.place, Place::Emulated);
    let empty = emulated
        && !matches!(
            emulator::find(&emulator::folder(&world.project)).await,
            Ok(slipway_local::Status::Running(_))
        );
    if empty && functions.iter().any(|function| is_rust(world, function)) {
        let builder = world.rust_builder();
        let (account, _) = futures::try_join!(world.account(environment), builder.ensure())?;
        return Ok(Some(account));
    }
    world.account(environment).await.map(Some)
}

/// Refuses what a protected environment would refuse in the end, before anything is built or published.
fn refuse_dirty(
    world: &World,
    arguments: &Arguments,
    chosen: &[(FunctionName, Source, Choice)],
) -> Outcome<()> {
    let Some(environment) = &arguments.env else { return Ok(()) };
    if !world.project.environment(environment)?.protected {
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

fn is_rust(world: &World, function: &FunctionName) -> bool {
    world
        .project
        .functions
        .get(function)
        .is_some_and(|settings| matches!(settings.build, BuildSettings::Cargo { .. }))
}

/// Runs the checks; what a build needs is made ready meanwhile.
async fn check(world: &World, repository: &Repository, builds_rust: bool) -> Outcome<()> {
    let checks = Checks {
        project: &world.project,
        repository,
        logs: world.logs(),
        progress: &world.progress,
        interrupt: &world.interrupt,
    };
    let builder = world.rust_builder();
    let ready = async { if builds_rust { builder.ensure().await.map(drop) } else { Ok(()) } };
    let (reports, ()) = futures::try_join!(checks.run(&[], false), ready)?;
    checks::failure(&reports).map_or(Ok(()), Err)
}

/// Cuts a release, or takes the one that has these inputs already.
async fn cut(
    world: &World,
    repository: &Repository,
    catalogue: &Catalogue,
    function: &FunctionName,
    source: &Source,
    choice: Choice,
    again: bool,
) -> Outcome<(Manifest, bool)> {
    let (version, why, asked) = match choice {
        Choice::Reuse(manifest) => return Ok((*manifest, false)),
        Choice::New { version, why, asked } => (version, why, asked),
    };
    world.interrupt.check()?;
    let progress = &world.progress.scope(function.as_str());
    let place = source.branch.as_deref().unwrap_or("detached");
    progress.note(format!("{function:9} {why}: {version}   ({place} {})", &source.commit[..7]));
    let workshop = Workshop {
        project: &world.project,
        surroundings: &world.surroundings,
        repository,
        rust: &world.rust_builder(),
        progress,
    };
    let artifact = artifact::build(&workshop, function, source, again).await?;
    world.interrupt.check()?;
    let zip = artifact.path(&artifact::folder(&world.project, function, &source.inputs_digest));
    let manifest = manifest(world, function, &version, source, &artifact)?;
    let step = progress.counted_step(
        "publish",
        format!("{function} {version}  {}", artifact.sha256.short()),
        artifact.size,
        Unit::Bytes,
    );
    match release::publish(catalogue, manifest, &zip, asked, &step).await {
        Ok(published) => {
            let new = matches!(published, Published::New(_));
            let manifest = published.manifest().clone();
            step.done_as(
                format!("{function} {}  {}", manifest.version, artifact.sha256.short()),
                if new { "new" } else { "there" },
            );
            Ok((manifest, new))
        }
        Err(failure) => {
            step.failed("failed");
            Err(failure)
        }
    }
}

fn manifest(
    world: &World,
    function: &FunctionName,
    version: &Version,
    source: &Source,
    artifact: &Artifact,
) -> Outcome<Manifest> {
    let settings = world.project.function(function)?;
    let unsealed = Manifest {
        schema: "slipway.release/1".into(),
        function: function.clone(),
        version: version.clone(),
        package: settings.package,
        architecture: settings.architecture.clone(),
        runtime: settings.runtime.clone(),
        handler: settings.handler.clone(),
        artifact: ArtifactRecord {
            sha256: artifact.sha256,
            code_sha256: artifact.sha256.base64(),
            size: artifact.size,
            unpacked_size: artifact.unpacked_size,
            content_digest: artifact.content_digest,
            key: release::artifact_key(&artifact.sha256),
        },
        source: SourceRecord {
            repository: source.repository.clone(),
            commit: source.commit.clone(),
            dirty: source.dirty,
            committed_at: source.committed_at,
            inputs_digest: source.inputs_digest,
        },
        built: Built {
            tools: artifact.tools.clone(),
            by: world.surroundings.by(),
            at: world.clock.now(),
            run_url: world.surroundings.run_url(),
        },
        smoke: settings.smoke.iter().map(SmokeRecord::from).collect(),
        seal: Digest::from_bytes([0; 32]),
    };
    Ok(unsealed.sealed())
}

/// Writes the tag that mirrors a release; the catalogue decides, so a tag that cannot be written is only told.
fn mirror(world: &World, repository: &Repository, manifest: &Manifest) {
    let name = format!("{}{}", release::tag_prefix(&manifest.function), manifest.version);
    if let Err(failure) = repository.tag(
        &name,
        &manifest.source.commit,
        &format!("{} {}\n\nartifact {}", manifest.function, manifest.version, manifest.artifact.sha256),
    ) {
        world
            .progress
            .note(format!("tag       {name} was not written: {failure} (repair with cargo xtask tags)"));
    }
}

//! `release`: build, check, version and publish what changed; with `--env`, deploy it there.

use std::collections::BTreeMap;
use std::time::Instant;

use futures::FutureExt as _;
use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::{Account, AppContext};
use crate::delivery::{self, Delivered, DeployRequest, Intent, StackDelivery};
use crate::digest::Digest;
use crate::emulator::{self, Interpreters};
use crate::failure::{Failure, Result};
use crate::format;
use crate::ledger::{self, DeploymentKind, Ledger};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::output::{deliveries_text, markdown};
use crate::plan;
use crate::ports::side_by_side;
use crate::publication::{self, FunctionRelease, LedgerReleases};
use crate::release::{Manifest, RecordedReleases, ReleaseCandidate, VersionBump, VersionRequest};
use crate::settings::{BuildSettings, PackageType};

/// Arguments of `release`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The functions; all whose inputs changed where none is named.
    functions: Vec<FunctionName>,
    /// The environment to deploy to; without it the release is only published.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
    /// Exactly this version.
    #[arg(long, conflicts_with = "bump")]
    version: Option<Version>,
    /// The newest version with this number raised, instead of what the commits say.
    #[arg(long, value_enum)]
    bump: Option<VersionBump>,
    /// Build and create a new release even if the inputs are unchanged.
    #[arg(long)]
    force: bool,
    /// Publish what `build` built in another job of this pipeline: the digest that it printed. Builds and checks nothing.
    #[arg(long, value_name = "DIGEST", conflicts_with = "force")]
    prebuilt: Option<Digest>,
    /// Plan even where nothing can have changed.
    #[arg(long)]
    plan: bool,
    /// Allow a release that a rollback put on hold.
    #[arg(long)]
    lift_hold: bool,
    /// Bring it past the environment that this one is promoted from: it must descend from what runs there.
    #[arg(long, requires = "env")]
    hotfix: bool,
    /// Go on although this commit, which serves there, is not in the release; may be repeated.
    #[arg(long, value_name = "COMMIT", requires = "env")]
    allow_loss: Vec<String>,
}

/// The result of `release`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The releases, new or reused.
    pub(crate) releases: Vec<Released>,
    /// The deliveries, one for each stack.
    pub(crate) deliveries: Vec<Delivered>,
}

/// One release.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Released {
    /// The function.
    pub(crate) function: FunctionName,
    /// The version.
    pub(crate) version: Version,
    /// Whether it was published now.
    pub(crate) new: bool,
    /// SHA-256 of the artifact.
    pub(crate) sha256: Digest,
    /// The commit that it was built from.
    pub(crate) commit: String,
}

impl From<&FunctionRelease> for Released {
    fn from(FunctionRelease { manifest, new }: &FunctionRelease) -> Self {
        Self {
            function: manifest.function.clone(),
            version: manifest.version.clone(),
            new: *new,
            sha256: manifest.artifact.sha256,
            commit: manifest.source.commit.clone(),
        }
    }
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let begun = Instant::now();
    let functions = match &arguments.env {
        Some(environment) => app.project.functions_in(environment, &arguments.functions)?,
        None => app.project.named_functions(&arguments.functions)?,
    };
    if let (Some(version), true) = (&arguments.version, functions.len() > 1) {
        return Err(Failure::usage(format!("--version {version} is for one function"))
            .hint(format!("name it: {}", format::list(functions.iter().map(FunctionName::as_str)))));
    }
    if let Some(environment) = &arguments.env {
        let intent = Intent::of_arguments(arguments.hotfix, &arguments.allow_loss);
        delivery::refuse_other_route(environment, app.project.environment(environment)?, &intent.route)?;
    }
    let stacks = stacks(app, &arguments, &functions)?;
    refuse_long_names(app, &arguments, &functions, &stacks)?;
    let repository = app.repository()?;
    repository.head()?;
    if let Some(environment) = &arguments.env {
        // Whatever the files show must be found before publishing: else a release is left that was never deployed.
        app.check_stack_files(environment, stacks.keys())?;
    }
    let account = open_account(app, &arguments, &functions).await?;
    if !stacks.is_empty() {
        // A missing Terraform must be found before publishing: else a release is left that was never deployed.
        app.terraform().version().await?;
    }
    let catalogue = match &account {
        Some(account) => account.catalogue.clone(),
        None => app.catalogue(None).await?,
    };
    let emulated = account.as_ref().is_some_and(|account| account.emulated);
    let (builders, signing_keys) = (app.builders(), app.signing_keys(emulated));
    let identity = app.run_identity(emulated);
    let build = app.build_context(&repository, &builders);
    let recorded = match (&account, &arguments.env) {
        // Reading a ledger takes more calls than reading a manifest.
        (Some(account), Some(environment)) if functions.len() > 4 * stacks.len() => {
            recorded_releases(account, environment, stacks.keys()).await
        }
        _ => RecordedReleases::new(),
    };
    let ledgers: Vec<Ledger> = match (&account, &arguments.env) {
        (Some(account), Some(environment)) => {
            stacks.keys().map(|stack| account.ledger(environment, stack)).collect()
        }
        _ => Vec::new(),
    };
    let deployed = || deployed_releases(&ledgers).boxed_local();
    let refuse = |candidates| {
        let target = arguments.env.as_ref().zip(account.as_ref());
        refuse_candidates(app, target, &arguments, &stacks, candidates).boxed_local()
    };
    let mut context = app.publication_context(
        build,
        &catalogue,
        (&signing_keys, &identity),
        arguments.env.as_ref(),
        account.as_ref(),
        LedgerReleases { recorded, deployed: &deployed, refuse: &refuse },
    )?;
    context.prebuilt = arguments.prebuilt;
    let request =
        VersionRequest { version: arguments.version.clone(), bump: arguments.bump, force: arguments.force };
    let published = publication::publish(&context, &functions, &request).await?;
    let releases: Vec<Released> = published.iter().map(Released::from).collect();
    let manifests: Vec<Manifest> = published.into_iter().map(|release| release.manifest).collect();
    if emulated {
        let interpreters = Interpreters {
            project: &app.project,
            catalogue: &catalogue,
            uv: build.uv,
            interrupt: &app.interrupt,
            progress: &app.progress,
        };
        interpreters.ensure(&manifests).await?;
    }
    let (mut deliveries, mut failure) = (Vec::new(), None);
    if let (Some(environment), Some(account)) = (&arguments.env, &account) {
        let requests = deploy_requests(&arguments, stacks, &manifests);
        let stacks: Vec<StackDelivery> = app.stack_deliveries(account, environment, requests)?;
        let results = delivery::deliver_all(&stacks, &app.interrupt).await;
        (deliveries, failure) = (results.delivered, results.failure);
        if deliveries.is_empty()
            && let Some(failure) = failure
        {
            return Err(failure);
        }
    }
    let text = if deliveries.is_empty() {
        releases.iter().map(released_line).collect::<String>()
    } else {
        deliveries_text(&deliveries, begun.elapsed(), app.project.stacks.len() > 1)
    };
    let summary = match &arguments.env {
        Some(environment) => markdown::deliveries("release", environment, &deliveries),
        None => markdown::releases(manifests.iter().zip(releases.iter().map(|released| released.new))),
    };
    // Whether there is something to attest: an unchanged function's artifact was attested by the run that published it.
    let is_new_zip =
        |(manifest, released): (&Manifest, &Released)| released.new && manifest.package == PackageType::Zip;
    let new_zips = manifests.iter().zip(&releases).any(is_new_zip);
    let report = Report { releases, deliveries };
    let output = CommandOutput::new(&report, text)?.with_failure(failure).with_summary(summary);
    Ok(output.with_step_output("new_zips", new_zips.to_string()))
}

/// Returns the releases that the stacks' ledgers name. A ledger that cannot be read, or is another project's, is left out: the
/// delivery reads it again and refuses it.
async fn recorded_releases(
    account: &Account,
    environment: &EnvironmentName,
    stacks: impl Iterator<Item = &StackName>,
) -> RecordedReleases {
    let heads = stacks.map(async |stack| Ok(account.ledger(environment, stack).head().await.ok()));
    let heads = side_by_side(heads).await.unwrap_or_default();
    let serving = heads.into_iter().flatten().filter_map(|head| head.last).flat_map(|last| last.serves);
    serving.map(|(function, serving)| (function, (serving.release, serving.digest))).collect()
}

/// Reads the releases that were deployed according to some ledgers, each with the deployment that names it.
async fn deployed_releases(ledgers: &[Ledger]) -> Result<BTreeMap<(FunctionName, Version), String>> {
    let read = ledgers.iter().map(async |ledger| {
        let known = ledger::known_releases(&ledger.history(DEPLOYMENTS).await?);
        let named = |number: u64| format!("deployment {number} of {}", ledger.name());
        Ok(known
            .into_iter()
            .map(move |(release, known)| (release, named(known.deployment)))
            .collect::<Vec<_>>())
    });
    Ok(side_by_side(read).await?.into_iter().flatten().collect())
}

/// Refuses releases that the environment would refuse for their commits, while nothing is built or published yet.
async fn refuse_candidates(
    app: &AppContext,
    target: Option<(&EnvironmentName, &Account)>,
    arguments: &Arguments,
    stacks: &BTreeMap<StackName, Vec<FunctionName>>,
    candidates: Vec<ReleaseCandidate>,
) -> Result<()> {
    let Some((environment, account)) = target else { return Ok(()) };
    let intent = Intent::of_arguments(arguments.hotfix, &arguments.allow_loss);
    for (stack, functions) in stacks {
        let is_run = |candidate: &&ReleaseCandidate| functions.contains(&candidate.function);
        let candidates: Vec<ReleaseCandidate> = candidates.iter().filter(is_run).cloned().collect();
        if !candidates.is_empty() {
            let stack = app.environment_stack(account, environment, stack)?;
            delivery::refuse_early(&stack, &candidates, &intent).await?;
        }
    }
    Ok(())
}

/// How many deployments of a stack are searched for a version.
const DEPLOYMENTS: usize = 500;

/// Returns the stacks to deliver to, each with its functions that are released; where no function is named, all stacks of the
/// environment, also those without functions.
fn stacks(
    app: &AppContext,
    arguments: &Arguments,
    functions: &[FunctionName],
) -> Result<BTreeMap<StackName, Vec<FunctionName>>> {
    let Some(environment) = &arguments.env else { return Ok(BTreeMap::new()) };
    let mut stacks: BTreeMap<_, _> = app.project.stacks_of(functions)?.into_iter().collect();
    if arguments.functions.is_empty() {
        for stack in app.project.stacks_in(environment)?.into_keys() {
            stacks.entry(stack).or_default();
        }
    }
    Ok(stacks)
}

/// Refuses a name that AWS will not take, before anything is built; without an environment, notes
/// those in every environment.
fn refuse_long_names(
    app: &AppContext,
    arguments: &Arguments,
    functions: &[FunctionName],
    stacks: &BTreeMap<StackName, Vec<FunctionName>>,
) -> Result<()> {
    if let Some(environment) = &arguments.env {
        return plan::refuse_long_names(&app.project, environment, stacks.keys());
    }
    for environment in app.project.environments.keys() {
        for found in plan::long_names(&app.project, environment)? {
            if app.project.stacks[&found.stack].functions.iter().any(|function| functions.contains(function))
            {
                app.progress.note(format!("names  {}", found.failure(environment).message()));
            }
        }
    }
    Ok(())
}

/// Opens the environment's account. While a local environment starts, the Rust builder is prepared.
async fn open_account(
    app: &AppContext,
    arguments: &Arguments,
    functions: &[FunctionName],
) -> Result<Option<Account>> {
    let Some(environment) = &arguments.env else {
        return Ok(None);
    };
    let emulated = app.project.environment(environment)?.is_emulated();
    let starts = emulated
        && !matches!(
            emulator::find(&emulator::folder(&app.project)).await,
            Ok(slipway_local::Status::Running(_))
        );
    let is_rust = |function: &FunctionName| {
        let settings = app.project.functions.get(function);
        settings.is_some_and(|settings| matches!(settings.build, BuildSettings::Cargo { .. }))
    };
    if starts && functions.iter().any(is_rust) {
        let builder = app.rust_builder();
        let (account, _) = futures::try_join!(app.account(environment), builder.ensure())?;
        return Ok(Some(account));
    }
    app.account(environment).await.map(Some)
}

/// Returns one request for each stack, with the releases of its functions.
fn deploy_requests(
    arguments: &Arguments,
    stacks: BTreeMap<StackName, Vec<FunctionName>>,
    manifests: &[Manifest],
) -> BTreeMap<StackName, DeployRequest> {
    let request = |functions: Vec<FunctionName>| DeployRequest {
        kind: DeploymentKind::Release,
        releases: manifests
            .iter()
            .filter(|manifest| functions.contains(&manifest.function))
            .map(|manifest| (manifest.function.clone(), manifest.clone()))
            .collect(),
        lift_hold: arguments.lift_hold,
        always_plan: arguments.plan,
        intent: Intent::of_arguments(arguments.hotfix, &arguments.allow_loss),
    };
    stacks.into_iter().map(|(stack, functions)| (stack, request(functions))).collect()
}

fn released_line(released: &Released) -> String {
    let Released { function, version, sha256, .. } = released;
    format!("{function} {version} {sha256} {}\n", if released.new { "released" } else { "unchanged" })
}

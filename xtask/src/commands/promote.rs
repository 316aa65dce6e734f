//! `promote`: bring to an environment what serves verified in the one before it. Never builds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::{Account, AppContext, Saved, refuse_long_life};
use crate::delivery::promotion::{
    self, ChangedMember, VerifiedStack, refuse_changed, refuse_changed_since, verified_stack,
};
use crate::delivery::{
    self, Delivered, DeployRequest, EnvironmentStack, Intent, PlanToSave, Route, StackDelivery, StackPlan,
    StackPreview,
};
use crate::failure::{Failure, Result};
use crate::ledger::DeploymentKind;
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::output::{Promoted, deliveries_text, markdown, promotion_text};
use crate::plan;
use crate::settings::{StackSettings, parse_duration};

/// Arguments of `promote`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The functions; without them everything that the stacks run.
    functions: Vec<FunctionName>,
    /// The environment that it serves verified in; the one that `promote_from` names by default.
    #[arg(long)]
    from: Option<EnvironmentName>,
    /// The environment that it is brought to.
    #[arg(long)]
    to: EnvironmentName,
    /// A release that served verified there before, of one function.
    #[arg(long)]
    version: Option<Version>,
    /// Leave out a function or a stack, as where it changed since it was verified; may be repeated.
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
    /// Say what would change, and change nothing.
    #[arg(long, conflicts_with = "save")]
    dry_run: bool,
    /// Change nothing and keep the plan, so that exactly it can be approved and applied elsewhere: deploy --plan ID.
    #[arg(long)]
    save: bool,
    /// How long the saved plan may be applied, at most 7 days.
    #[arg(long, requires = "save", value_parser = parse_duration, default_value = "24h", value_name = "TIME")]
    expires: Duration,
    /// Allow a release that a rollback put on hold.
    #[arg(long)]
    lift_hold: bool,
    /// Go on although this commit, which serves there, is not in the release; may be repeated.
    #[arg(long, value_name = "COMMIT")]
    allow_loss: Vec<String>,
}

/// The result of `promote`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// What it would change, or changed.
    #[serde(flatten)]
    pub(crate) promoted: Promoted,
    /// Whether nothing was to be changed (`--dry-run`).
    pub(crate) dry_run: bool,
    /// The saved plan; `null` where none was asked for, or where nothing would change.
    pub(crate) saved: Option<Saved>,
    /// The deliveries, one for each stack.
    pub(crate) deliveries: Vec<Delivered>,
}

/// One stack of a promotion.
struct Member {
    from: EnvironmentStack,
    verified: VerifiedStack,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let begun = Instant::now();
    refuse_long_life(arguments.expires)?;
    let from = earlier(app, &arguments)?;
    let to = &arguments.to;
    let wanted = wanted(app, &arguments)?;
    let (source, target) = (app.reading_account(&from).await?, app.account(to).await?);
    refuse_other_store(&from, &source, to, &target)?;
    let members = members(app, &arguments, &from, (&source, &target), wanted).await?;
    let deliveries = deliveries(app, &arguments, &target, &members)?;
    plan::refuse_long_names(&app.project, to, deliveries.iter().map(|delivery| delivery.stack.name()))?;
    refuse_changed_dependents(app, &from, (&source, &target), &deliveries).await?;
    let mut promoted = Promoted::new(from.clone(), to.clone());
    let mut losses = Vec::new();
    for StackDelivery { stack, request } in &deliveries {
        let last = stack.ledger.head().await?.last;
        if let (Some(member), Some(request)) = (members.get(stack.name()), request) {
            for (function, serving) in &member.verified.serves {
                let before = last.as_ref().and_then(|last| last.serves.get(function));
                let of = (stack.name(), function);
                promoted
                    .functions
                    .push(promotion::difference(&stack.catalogue, &stack.root, of, before, serving).await?);
            }
            promoted.unsettled.extend(promotion::unsettled(stack, last.as_ref(), &member.verified).await?);
            let files = member.verified.differing_files(stack).await?;
            if !files.is_empty() {
                promoted.files.insert(stack.name().clone(), files);
            }
            let candidates = delivery::candidates(&request.releases)?;
            let (lost, notes) = delivery::losses(stack, &candidates, last.as_ref()).await?;
            promoted.notes.extend(notes);
            losses.push((stack, lost));
        }
    }
    let mut to_save = Vec::new();
    for StackDelivery { stack, request } in &deliveries {
        let Some(request) = request else {
            promoted.dependents.push(stack.name().clone());
            continue;
        };
        let versions =
            request.releases.iter().map(|(function, manifest)| (function.clone(), manifest.version.clone()));
        match delivery::preview(stack, &versions.collect(), arguments.save.then(|| request.intent.clone()))
            .await?
        {
            StackPreview::Planned(previewed) => {
                promoted.plan(previewed.plan);
                to_save.extend(previewed.to_save.filter(|plan| plan.does_something));
            }
            StackPreview::WaitsFor(upstream) => drop(promoted.waiting.insert(stack.name().clone(), upstream)),
        }
    }
    let text = promotion_text(&promoted);
    if arguments.dry_run {
        // A refusal that would follow is said, too.
        for (stack, lost) in &losses {
            if let Err(refused) = delivery::refuse_losses(stack, lost, &arguments.allow_loss) {
                promoted.refused.push(refused.to_string());
            }
        }
        let text = promotion_text(&promoted);
        let summary = with_plans(&promoted);
        let report = Report { promoted, dry_run: true, saved: None, deliveries: Vec::new() };
        return Ok(CommandOutput::new(&report, text)?.with_summary(summary));
    }
    app.progress.block(text);
    for (stack, lost) in &losses {
        delivery::refuse_losses(stack, lost, &arguments.allow_loss)?;
    }
    if arguments.save {
        return save(app, &arguments, &target, &deliveries, to_save, promoted).await;
    }
    if promoted.is_empty() {
        let text = format!("{to} already has what serves verified in {from}. Nothing was changed.\n");
        let summary = markdown::promotion(&promoted, &[]);
        let report = Report { promoted, dry_run: false, saved: None, deliveries: Vec::new() };
        return Ok(CommandOutput::new(&report, text)?.with_summary(summary));
    }
    match app.approver().approve(&format!("Promote from {from} to {to}?")) {
        Ok(true) => {}
        Ok(false) => return Err(Failure::refused("not approved").unchanged("Nothing was changed.")),
        Err(failure) => return Err(failure.unchanged("Nothing was changed.")),
    }
    if arguments.version.is_none() {
        for (stack, member) in &members {
            refuse_changed_since(&member.from, stack, member.verified.from.deployment).await?;
        }
    }
    let deliveries = with_approval(deliveries, &promoted.plans);
    let results = delivery::deliver_all(&deliveries, &app.interrupt).await;
    if results.delivered.is_empty()
        && let Some(failure) = results.failure
    {
        return Err(failure);
    }
    let text = deliveries_text(&results.delivered, begun.elapsed(), app.project.stacks.len() > 1);
    let summary = markdown::promotion(&promoted, &results.delivered);
    let report = Report { promoted, dry_run: false, saved: None, deliveries: results.delivered };
    Ok(CommandOutput::new(&report, text)?.with_failure(results.failure).with_summary(summary))
}

/// Saves the plans of a promotion, which `deploy --plan` then applies.
async fn save(
    app: &AppContext,
    arguments: &Arguments,
    target: &Account,
    deliveries: &[StackDelivery],
    to_save: Vec<PlanToSave>,
    promoted: Promoted,
) -> Result<CommandOutput> {
    let to = &arguments.to;
    let mut summary = with_plans(&promoted);
    let first = deliveries.first().filter(|_| !to_save.is_empty());
    let (saved, text) = match first {
        Some(delivery) => {
            let target_of_plan = delivery::plan_target(&delivery.stack);
            let saved = app
                .save_plan(target, to, arguments.expires, target_of_plan, to_save, &promoted.plans)
                .await?;
            summary.push_str(&markdown::saved_plan(&saved.id, saved.expires, &saved.apply));
            let text = saved.text(app.clock.now());
            (Some(saved), text)
        }
        None if promoted.unsettled.is_empty() => {
            (None, format!("Nothing was saved: nothing would change in {to}.\n"))
        }
        None => {
            let command = format!("cargo xtask promote --to {to}");
            (
                None,
                format!(
                    "Nothing was saved: no plan changes anything in {to}. What does not serve verified there is verified by {command}.\n"
                ),
            )
        }
    };
    let id = saved.as_ref().map(|saved| saved.id.clone());
    let report = Report { promoted, dry_run: false, saved, deliveries: Vec::new() };
    let output = CommandOutput::new(&report, text)?.with_summary(summary);
    Ok(id.into_iter().fold(output, |output, id| output.with_step_output("plan", id)))
}

/// Renders a promotion that is not applied yet, with every change: who approves it sees nothing else.
fn with_plans(promoted: &Promoted) -> String {
    markdown::promotion(promoted, &[]) + &markdown::plans(&promoted.to, &promoted.plans, &promoted.waiting)
}

/// Returns the environment to promote from.
fn earlier(app: &AppContext, arguments: &Arguments) -> Result<EnvironmentName> {
    let to = &arguments.to;
    let settings = app.project.environment(to)?;
    let from = match (&arguments.from, &settings.promote_from) {
        (Some(from), Some(wanted)) if from != wanted => {
            return Err(Failure::refused(format!(
                "{to} takes only what is promoted from {wanted}, not from {from}"
            ))
            .unchanged("Nothing was changed.")
            .hint(format!("cargo xtask promote --to {to}")));
        }
        (Some(from), _) | (None, Some(from)) => from.clone(),
        (None, None) => {
            return Err(Failure::usage(format!("{to} has no `promote_from`, so --from has to be named")).hint(
                format!("add promote_from to terraform/environments/{to}/environment.toml, or name it: --from <env>"),
            ));
        }
    };
    app.project.environment(&from)?;
    if from == *to {
        return Err(Failure::usage(format!("{to} cannot be promoted to itself")));
    }
    Ok(from)
}

/// Returns the stacks to promote, each with its functions.
fn wanted(app: &AppContext, arguments: &Arguments) -> Result<BTreeMap<StackName, Vec<FunctionName>>> {
    if arguments.version.is_some() && arguments.functions.len() != 1 {
        return Err(
            Failure::usage("--version is for one function").hint("name it: cargo xtask promote hello …")
        );
    }
    let stacks: BTreeMap<StackName, StackSettings> = app.project.stacks_in(&arguments.to)?;
    let without: BTreeSet<&str> = arguments.without.iter().map(String::as_str).collect();
    for name in &without {
        let function = app.project.functions.keys().any(|function| function.as_str() == *name);
        if !function && !stacks.keys().any(|stack| stack.as_str() == *name) {
            return Err(Failure::usage(format!(
                "--without {name}: no function or stack of {} has this name",
                arguments.to
            )));
        }
    }
    let named = app.project.functions_in(&arguments.to, &arguments.functions)?;
    let mut wanted: BTreeMap<StackName, Vec<FunctionName>> = BTreeMap::new();
    for (stack, functions) in app.project.stacks_of(&named)? {
        let left: Vec<FunctionName> =
            functions.into_iter().filter(|function| !without.contains(function.as_str())).collect();
        if !left.is_empty() {
            wanted.insert(stack, left);
        }
    }
    if arguments.functions.is_empty() {
        // Stacks without functions are a part of the set: their files were verified with the others.
        let empty = stacks.into_iter().filter(|(_, settings)| settings.functions.is_empty());
        wanted.extend(empty.map(|(stack, _)| (stack, Vec::new())));
    }
    wanted.retain(|stack, _| !without.contains(stack.as_str()));
    if wanted.is_empty() {
        return Err(Failure::usage(format!("nothing is left to promote to {}", arguments.to)));
    }
    Ok(wanted)
}

/// Refuses environments whose releases are in different stores: the bytes would be others.
fn refuse_other_store(
    from: &EnvironmentName,
    source: &Account,
    to: &EnvironmentName,
    target: &Account,
) -> Result<()> {
    let (one, other) = (source.catalogue.store().place(), target.catalogue.store().place());
    if one == other {
        return Ok(());
    }
    Err(Failure::refused(format!("the releases of {from} and {to} are in different stores"))
        .detail(from.to_string(), one)
        .detail(to.to_string(), other)
        .unchanged("Nothing was changed.")
        .hint(format!("publish it for {to}: cargo xtask release")))
}

/// Reads the set; refuses one of which a member changed since it was verified.
async fn members(
    app: &AppContext,
    arguments: &Arguments,
    from: &EnvironmentName,
    (source, target): (&Account, &Account),
    wanted: BTreeMap<StackName, Vec<FunctionName>>,
) -> Result<BTreeMap<StackName, Member>> {
    let enabled = app.project.stacks_in(from)?;
    let (mut members, mut changed) = (BTreeMap::new(), Vec::new());
    for (stack, functions) in wanted {
        if !enabled.contains_key(&stack) {
            let why = format!("{from} does not run it");
            changed.push(ChangedMember { member: stack.to_string(), why, hint: None });
            continue;
        }
        let from = app.environment_stack(source, from, &stack)?;
        let to = app.environment_stack(target, &arguments.to, &stack)?;
        let (verified, other) = verified_stack(&from, &to, &functions, arguments.version.as_ref()).await?;
        changed.extend(other);
        if let Some(verified) = verified {
            members.insert(stack, Member { from, verified });
        }
    }
    refuse_changed(from, &changed)?;
    Ok(members)
}

/// Returns a delivery for each stack, in their order.
fn deliveries(
    app: &AppContext,
    arguments: &Arguments,
    target: &Account,
    members: &BTreeMap<StackName, Member>,
) -> Result<Vec<StackDelivery>> {
    let request = |member: &Member| DeployRequest {
        kind: DeploymentKind::Deploy,
        releases: member.verified.releases.clone(),
        lift_hold: arguments.lift_hold,
        always_plan: false,
        intent: Intent {
            route: Route::Promotion(member.verified.from.clone()),
            allow_loss: arguments.allow_loss.clone(),
            approved: None,
        },
    };
    let requests = members.iter().map(|(stack, member)| (stack.clone(), request(member))).collect();
    let without: BTreeSet<&str> = arguments.without.iter().map(String::as_str).collect();
    let mut deliveries = app.stack_deliveries(target, &arguments.to, requests)?;
    // A stack that uses another's outputs is applied with its own files: only as asked.
    deliveries
        .retain(|delivery| delivery.request.is_some() || !without.contains(delivery.stack.name().as_str()));
    Ok(deliveries)
}

/// Refuses stacks that take a value of a promoted one, if their files are not those that were verified: they would be applied.
async fn refuse_changed_dependents(
    app: &AppContext,
    from: &EnvironmentName,
    (source, target): (&Account, &Account),
    deliveries: &[StackDelivery],
) -> Result<()> {
    let enabled = app.project.stacks_in(from)?;
    let mut changed = Vec::new();
    for delivery in deliveries.iter().filter(|delivery| delivery.request.is_none()) {
        let stack = delivery.stack.name();
        if !enabled.contains_key(stack) {
            let why = format!("{from} does not run it, and it takes a value of what is promoted");
            changed.push(ChangedMember { member: stack.to_string(), why, hint: None });
            continue;
        }
        let earlier = app.environment_stack(source, from, stack)?;
        let later = app.environment_stack(target, delivery.stack.environment(), stack)?;
        changed.extend(verified_stack(&earlier, &later, &[], None).await?.1);
    }
    refuse_changed(from, &changed)
}

/// Takes the changes that were shown as approved.
fn with_approval(deliveries: Vec<StackDelivery>, plans: &[StackPlan]) -> Vec<StackDelivery> {
    let approved = |mut delivery: StackDelivery| {
        if let Some(request) = &mut delivery.request {
            let plan = plans.iter().find(|plan| plan.stack == *delivery.stack.name());
            request.intent.approved = plan.map(|plan| plan.changes.clone());
        }
        delivery
    };
    deliveries.into_iter().map(approved).collect()
}

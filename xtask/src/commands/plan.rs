//! `plan`: show what deploying would change, and change nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::{Account, AppContext, Saved, refuse_long_life};
use crate::delivery::{self, Intent, StackPlan, StackPreview};
use crate::failure::{Failure, FailureKind, Result};
use crate::format;
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::output::markdown;
use crate::plan;
use crate::publication::{self, NextReleases};
use crate::settings::{self, StackSettings, parse_duration};

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The function of --version; without it all are planned with the releases that they serve.
    function: Option<FunctionName>,
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// Plan with this release of the function.
    #[arg(long)]
    version: Option<Version>,
    /// Exit with 4 if there are changes.
    #[arg(long)]
    exit_code: bool,
    /// Print the plan for a review, as markdown: addresses, actions and attribute paths, never values.
    #[arg(long)]
    markdown: bool,
    /// Plan with the releases that serve verified in this environment.
    #[arg(long, value_name = "ENV", conflicts_with = "version")]
    from: Option<EnvironmentName>,
    /// Keep the plan, so that exactly it can be approved and applied elsewhere: deploy --plan ID.
    #[arg(long)]
    save: bool,
    /// How long the saved plan may be applied, at most 7 days.
    #[arg(long, requires = "save", value_parser = parse_duration, default_value = "24h", value_name = "TIME")]
    expires: Duration,
}

/// The plans of an environment's stacks.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// Whether anything would change.
    pub(crate) changes_present: bool,
    /// By stack.
    pub(crate) stacks: Vec<StackPlan>,
    /// Stacks that cannot be planned yet, each with the stack whose outputs it waits for.
    pub(crate) waiting: BTreeMap<StackName, StackName>,
    /// The saved plan; `null` where none was asked for, or where nothing would change.
    pub(crate) saved: Option<Saved>,
    /// What releasing this commit here would bring: with `--markdown` or a summary of the job, else `null`.
    pub(crate) releases: Option<NextReleases>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let environment = &arguments.env;
    app.project.environment(environment)?;
    refuse_long_life(arguments.expires)?;
    let named = if arguments.version.is_some() || arguments.function.is_some() {
        Some(app.project.one_function(arguments.function.as_ref())?)
    } else {
        None
    };
    let enabled = app.project.stacks_in(environment)?;
    let planned = enabled
        .iter()
        .filter(|(_, stack)| named.as_ref().is_none_or(|function| stack.functions.contains(function)));
    plan::refuse_long_names(&app.project, environment, planned.map(|(name, _)| name))?;
    let versions = match (&named, &arguments.version, &arguments.from) {
        (Some(function), Some(version), _) => BTreeMap::from([(function.clone(), version.clone())]),
        (named, _, Some(from)) => serving_in(app, from, &enabled, named.as_ref()).await?,
        _ => BTreeMap::new(),
    };
    let account = app.account(environment).await?;
    let (mut stacks, mut waiting, mut to_save) = (Vec::new(), BTreeMap::new(), Vec::new());
    let mut target = None;
    for name in settings::apply_order(&enabled) {
        if named.as_ref().is_some_and(|function| !enabled[&name].functions.contains(function)) {
            continue;
        }
        let stack = app.environment_stack(&account, environment, &name)?;
        target = Some(delivery::plan_target(&stack));
        match delivery::preview(&stack, &versions, arguments.save.then(Intent::default)).await? {
            StackPreview::Planned(previewed) => {
                stacks.push(previewed.plan);
                to_save.extend(previewed.to_save.filter(|plan| plan.does_something));
            }
            StackPreview::WaitsFor(upstream) => {
                waiting.insert(name, upstream);
            }
        }
    }
    let changes_present = stacks.iter().any(|plan| !plan.is_empty());
    let failure = (arguments.exit_code && changes_present).then(|| {
        let count = stacks.iter().map(|plan| plan.changes.len()).sum();
        let message = format!("{} present in {environment}", format::plural(count, "change"));
        Failure::new(FailureKind::ChangesPresent, message)
            .unchanged("Nothing was changed: --exit-code asked for this exit code.")
    });
    let saved = match target.filter(|_| !to_save.is_empty()) {
        Some(target) => {
            Some(app.save_plan(&account, environment, arguments.expires, target, to_save, &stacks).await?)
        }
        None => None,
    };
    report_later_plans(app, &enabled, &stacks, saved.as_ref());
    let mut text = text(environment, &stacks, &waiting);
    match &saved {
        Some(saved) => text.push_str(&saved.text(app.clock.now())),
        None if arguments.save => {
            text.push_str(&format!("Nothing was saved: nothing would change in {environment}.\n"));
        }
        None => {}
    }
    let releases = match arguments.markdown || !app.process_env.summary_files().is_empty() {
        true => {
            Some(releases_to_review(app, &account, environment, (&enabled, named.as_ref()), &versions).await)
        }
        false => None,
    };
    let mut summary = markdown::plans(environment, &stacks, &waiting);
    summary.extend(releases.iter().map(markdown::next_releases));
    if let Some(saved) = &saved {
        summary.push_str(&markdown::saved_plan(&saved.id, saved.expires, &saved.apply));
    }
    let text = if arguments.markdown { summary.clone() } else { text };
    let report =
        Report { environment: environment.clone(), changes_present, stacks, waiting, saved, releases };
    let id = report.saved.as_ref().map(|saved| saved.id.clone());
    let output = CommandOutput::new(&report, text)?.with_failure(failure).with_summary(summary);
    Ok(id.into_iter().fold(output, |output, id| output.with_step_output("plan", id)))
}

/// Returns what releasing this commit to the environment would bring. An environment that is promoted to gets no other releases
/// than those that were named. Why it cannot be known is part of the result: a plan does not need it.
async fn releases_to_review(
    app: &AppContext,
    account: &Account,
    environment: &EnvironmentName,
    (enabled, only): (&BTreeMap<StackName, StackSettings>, Option<&FunctionName>),
    named: &BTreeMap<FunctionName, Version>,
) -> NextReleases {
    let read = async {
        let (mut functions, mut serves) = (Vec::new(), BTreeMap::new());
        let promoted = app.project.environment(environment)?.promote_from.is_some();
        for (stack, settings) in enabled {
            let last = account.ledger(environment, stack).head().await?.last;
            let serving = last.into_iter().flat_map(|last| last.serves);
            serves.extend(serving.map(|(function, serving)| (function, serving.release)));
            let is_asked = |function: &&FunctionName| {
                only.is_none_or(|only| only == *function) && (!promoted || named.contains_key(*function))
            };
            functions.extend(settings.functions.iter().filter(is_asked).cloned());
        }
        let (repository, builders) = (app.repository()?, app.builders());
        let context = app.build_context(&repository, &builders);
        publication::next_releases(&context, &account.catalogue, &functions, &serves, named).await
    };
    read.await.unwrap_or_else(|failure| {
        app.progress.note(format!("releases  not known: {failure}"));
        NextReleases { not_known: Some(failure.to_string()), ..NextReleases::default() }
    })
}

/// Returns the releases that serve verified in another environment, of the functions that this one runs.
async fn serving_in(
    app: &AppContext,
    from: &EnvironmentName,
    enabled: &BTreeMap<StackName, StackSettings>,
    named: Option<&FunctionName>,
) -> Result<BTreeMap<FunctionName, Version>> {
    app.project.environment(from)?;
    let account = app.reading_account(from).await?;
    let mut versions = BTreeMap::new();
    for (name, stack) in enabled {
        let functions =
            stack.functions.iter().filter(|function| named.is_none_or(|named| named == *function));
        let functions: Vec<&FunctionName> = functions.collect();
        if functions.is_empty() {
            continue;
        }
        let last = account.ledger(from, name).head().await?.last;
        for function in functions {
            match last.as_ref().and_then(|last| last.verified(function)) {
                Some(serving) => {
                    versions.insert(function.clone(), serving.release.clone());
                }
                None => app.progress.note(format!(
                    "          {function} does not serve verified in {from}: it is planned with what it serves"
                )),
            }
        }
    }
    Ok(versions)
}

/// Reports saved stacks that take outputs which the same plan changes: their part is stale once those are applied.
fn report_later_plans(
    app: &AppContext,
    enabled: &BTreeMap<StackName, StackSettings>,
    plans: &[StackPlan],
    saved: Option<&Saved>,
) {
    let changes_outputs =
        |stack: &StackName| plans.iter().any(|plan| plan.stack == *stack && plan.outputs_change);
    for stack in saved.into_iter().flat_map(|saved| &saved.stacks) {
        let inputs = enabled.get(stack).into_iter().flat_map(|settings| settings.inputs.values());
        if let Some(from) = inputs.map(|from| &from.stack).find(|from| changes_outputs(from)) {
            app.progress.note(format!(
                "          {stack} takes outputs of {from}, which this plan changes: if its values change with them, {stack} is refused and has to be planned again"
            ));
        }
    }
}

/// Renders each stack with its changes.
fn text(
    environment: &EnvironmentName,
    stacks: &[StackPlan],
    waiting: &BTreeMap<StackName, StackName>,
) -> String {
    let mut text = String::new();
    for (stack, upstream) in waiting {
        text.push_str(&format!(
            "{stack} in {environment}  waits for `{upstream}`, which is not applied there\n"
        ));
    }
    for plan in stacks {
        let summary = match (plan.changes.is_empty(), plan.outputs_change) {
            (true, false) => "no changes".to_owned(),
            (true, true) => format!("{} (outputs only)", plan.summary),
            (false, _) => plan.summary.clone(),
        };
        text.push_str(&format!("{} in {environment}  {summary}\n", plan.stack));
        text.push_str(&plan::changes_text(&plan.changes, true));
        if !plan.destroys.is_empty() {
            let names: String =
                plan.destroys.iter().map(|address| format!(" --allow-destroy '{address}'")).collect();
            text.push_str(&format!("  deploying it needs:{names}\n"));
        }
        for loss in &plan.losses {
            text.push_str(&format!("  {}\n", loss.what));
            text.extend(loss.commits.iter().map(|commit| format!("    would be lost: {commit}\n")));
            text.push_str(&format!("  deploying it needs: {}\n", loss.accepted_by));
        }
        if !plan.drift.is_empty() {
            let drift = plan::changes_text(&plan.drift, true);
            text.push_str(&format!("  changed outside Terraform:\n{drift}"));
        }
    }
    text
}

//! `deploy`: deploy an existing release to an environment. Never builds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::delivery::{self, ApprovedPlan, Delivered, DeployRequest, Intent, StackCommit, StackDelivery};
use crate::failure::{Failure, FailureKind, Result};
use crate::format;
use crate::ledger::DeploymentKind;
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::output::{deliveries_text, markdown};
use crate::plan;
use crate::saved_plans::{self, PlanId};
use crate::settings;

/// Arguments of `deploy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The function; may be left out if the project has only one.
    #[arg(conflicts_with = "stack")]
    function: Option<FunctionName>,
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// The release.
    #[arg(long, required_unless_present_any = ["stack", "plan"], conflicts_with = "stack")]
    version: Option<Version>,
    /// Apply this stack's files with the releases that it serves.
    #[arg(long)]
    stack: Option<StackName>,
    /// Apply exactly this saved plan; without an id: plan even if nothing can have changed.
    #[arg(long, value_name = "ID", num_args = 0..=1)]
    plan: Option<Option<PlanId>>,
    /// Deploy a release although a rollback left it.
    #[arg(long)]
    lift_hold: bool,
    /// Bring it past the environment that this one is promoted from: it must descend from what runs there.
    #[arg(long)]
    hotfix: bool,
    /// Go on although this commit, which serves there, is not in the release; may be repeated.
    #[arg(long, value_name = "COMMIT")]
    allow_loss: Vec<String>,
}

/// Result of a deployment.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The stack, and the stacks that take a changed value from it.
    pub(crate) deliveries: Vec<Delivered>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let begun = Instant::now();
    let environment = &arguments.env;
    app.project.environment(environment)?;
    if let Some(Some(id)) = &arguments.plan {
        return deploy_saved(app, &arguments, id, begun).await;
    }
    let (stack, named) = match (&arguments.stack, &arguments.version) {
        (None, Some(version)) => {
            let function = app.project.one_function(arguments.function.as_ref())?;
            (app.project.stack_of(&function)?.clone(), Some((function, version)))
        }
        (stack, _) => {
            let named = stack.clone().ok_or_else(|| {
                Failure::usage("nothing to deploy is named").hint(
                    "name a release with --version, a stack with --stack, or a saved plan with --plan ID",
                )
            });
            (named?, None)
        }
    };
    app.project.stack_in(environment, &stack)?;
    plan::refuse_long_names(&app.project, environment, [&stack])?;
    let intent = Intent::of_arguments(arguments.hotfix, &arguments.allow_loss);
    delivery::refuse_other_route(environment, app.project.environment(environment)?, &intent.route)?;
    let account = app.account(environment).await?;
    let mut releases = BTreeMap::new();
    if let Some((function, version)) = named {
        let manifest = account.catalogue.manifest(&function, version).await?;
        releases.insert(function, manifest);
    }
    let request = DeployRequest {
        kind: DeploymentKind::Deploy,
        releases,
        lift_hold: arguments.lift_hold,
        always_plan: arguments.plan.is_some(),
        intent,
    };
    let deliveries = app.stack_deliveries(&account, environment, BTreeMap::from([(stack, request)]))?;
    finish(app, environment, &deliveries, begun).await
}

/// Delivers, and returns what was done.
async fn finish(
    app: &AppContext,
    environment: &EnvironmentName,
    deliveries: &[StackDelivery],
    begun: Instant,
) -> Result<CommandOutput> {
    let results = delivery::deliver_all(deliveries, &app.interrupt).await;
    if results.delivered.is_empty()
        && let Some(failure) = results.failure
    {
        return Err(failure);
    }
    let text = deliveries_text(&results.delivered, begun.elapsed(), app.project.stacks.len() > 1);
    let summary = markdown::deliveries("deploy", environment, &results.delivered);
    let report = Report { deliveries: results.delivered };
    Ok(CommandOutput::new(&report, text)?.with_failure(results.failure).with_summary(summary))
}

/// Applies a saved plan: its stacks alone, with its releases.
async fn deploy_saved(
    app: &AppContext,
    arguments: &Arguments,
    id: &PlanId,
    begun: Instant,
) -> Result<CommandOutput> {
    let environment = &arguments.env;
    if arguments.function.is_some() || arguments.version.is_some() || arguments.stack.is_some() {
        return Err(Failure::usage(
            "a saved plan is applied as it is: it names its stacks and releases itself",
        )
        .hint(format!("cargo xtask deploy --env {environment} --plan {id}")));
    }
    let account = app.account(environment).await?;
    let loaded = saved_plans::load(account.state.as_ref(), environment, id).await?;
    let document = &loaded.document;
    let from = document.run_url.as_deref().map(|url| format!(", {url}")).unwrap_or_default();
    let caller = document.caller.as_deref().map(|arn| format!(" ({arn})")).unwrap_or_default();
    app.progress.note(format!(
        "plan      {} of {environment}, made {} by {}{caller}{from}",
        loaded.id,
        format::age(document.at, app.clock.now()),
        document.by
    ));
    let enabled = app.project.stacks_in(environment)?;
    let mut deliveries = Vec::new();
    for saved in &document.stacks {
        if !enabled.contains_key(&saved.stack) {
            return Err(Failure::new(
                FailureKind::PlanStale,
                format!(
                    "the saved plan {} changes `{}`, which {environment} does not run here",
                    loaded.id, saved.stack
                ),
            )
            .unchanged("Nothing was applied.")
            .hint(format!("plan again: cargo xtask plan --env {environment} --save")));
        }
        let mut stack = app.environment_stack(&account, environment, &saved.stack)?;
        let approved = ApprovedPlan::new(loaded.clone(), saved.clone());
        if !stack.environment_settings.protected {
            // The files are those of the saved plan. A protected environment takes only files that this clone has, too.
            let (commit, dirty) = approved.commit();
            stack.commit = commit.map(|commit| StackCommit {
                commit: commit.to_owned(),
                dirty,
                uncommitted: Vec::new(),
            });
        }
        let request = approved.request(&stack, arguments.lift_hold, &arguments.allow_loss).await?;
        stack.rules.approved = Some(Arc::new(approved));
        deliveries.push(StackDelivery { stack, request: Some(request) });
    }
    let later =
        settings::downstream(&enabled, &document.stacks.iter().map(|saved| saved.stack.clone()).collect());
    let later = later.into_iter().filter(|stack| document.stacks.iter().all(|saved| saved.stack != *stack));
    let later: Vec<String> = later.map(|stack| format!("`{stack}`")).collect();
    if !later.is_empty() {
        app.progress.note(format!(
            "          {} may take values that this plan changes, and is not part of it: cargo xtask plan --env {environment} shows what follows",
            format::list(later)
        ));
    }
    finish(app, environment, &deliveries, begun).await
}

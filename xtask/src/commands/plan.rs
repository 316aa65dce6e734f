//! `plan`: show what deploying would change, and change nothing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::delivery::{self, StackPlan, StackPreview};
use crate::failure::{Failure, FailureKind, Result};
use crate::format;
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::output::markdown;
use crate::plan;
use crate::settings;

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
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let environment = &arguments.env;
    app.project.environment(environment)?;
    let named = if arguments.version.is_some() || arguments.function.is_some() {
        Some(app.project.one_function(arguments.function.as_ref())?)
    } else {
        None
    };
    let versions = named.clone().zip(arguments.version).into_iter().collect();
    let account = app.account(environment).await?;
    let (mut stacks, mut waiting) = (Vec::new(), BTreeMap::new());
    let enabled = app.project.stacks_in(environment)?;
    for name in settings::apply_order(&enabled) {
        if named.as_ref().is_some_and(|function| !enabled[&name].functions.contains(function)) {
            continue;
        }
        let stack = app.environment_stack(&account, environment, &name)?;
        match delivery::preview(&stack, &versions).await? {
            StackPreview::Planned(plan) => stacks.push(plan),
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
    let text = text(environment, &stacks, &waiting);
    let summary = markdown::plans(environment, &stacks, &waiting);
    let report = Report { environment: environment.clone(), changes_present, stacks, waiting };
    Ok(CommandOutput::new(&report, text)?.with_failure(failure).with_summary(summary))
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
        if !plan.drift.is_empty() {
            let drift = plan::changes_text(&plan.drift, true);
            text.push_str(&format!("  changed outside Terraform:\n{drift}"));
        }
    }
    text
}

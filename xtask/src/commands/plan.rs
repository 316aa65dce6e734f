//! `plan`: show what deploying would change, and change nothing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Answer, one_function};
use crate::app::AppContext;
use crate::delivery::{self, DeployRequest, EnvironmentStack};
use crate::failure::{Failure, FailureKind, Result};
use crate::format;
use crate::ledger::DeploymentKind;
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::plan::{self, Change};
use crate::settings;

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The function that --version is meant for; all are planned as they are served where none is named.
    function: Option<FunctionName>,
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// Plan as if this release of the function were deployed.
    #[arg(long)]
    version: Option<Version>,
    /// Exit with 4 where there are changes.
    #[arg(long)]
    exit_code: bool,
}

/// What plans would change.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// Whether anything would change.
    pub(crate) changes_present: bool,
    /// By stack.
    pub(crate) stacks: Vec<StackPlan>,
    /// Stacks that cannot be planned yet, with the stack whose outputs they wait for.
    pub(crate) waiting: BTreeMap<StackName, StackName>,
}

/// What one stack's plan would change.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StackPlan {
    /// The stack.
    pub(crate) stack: StackName,
    /// `+1 ~0 -0`.
    pub(crate) summary: String,
    /// Addresses and actions.
    pub(crate) changes: Vec<Change>,
    /// What changed outside Terraform.
    pub(crate) drift: Vec<Change>,
    /// Whether outputs would change.
    pub(crate) outputs_change: bool,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    app.project.environment(&arguments.env)?;
    let mut asked = BTreeMap::new();
    if arguments.version.is_some() || arguments.function.is_some() {
        asked.insert(one_function(app, arguments.function.as_ref())?, arguments.version.clone());
    }
    let account = app.account(&arguments.env).await?;
    let mut stacks = Vec::new();
    let mut waiting = BTreeMap::new();
    let here = app.project.stacks_in(&arguments.env)?;
    for name in &settings::apply_order(&here) {
        let settings = &here[name];
        if !asked.is_empty() && !settings.functions.iter().any(|function| asked.contains_key(function)) {
            continue;
        }
        let environment_stack = app.environment_stack(&account, &arguments.env, name)?;
        if let Some(upstream) = missing(&environment_stack).await? {
            waiting.insert(name.clone(), upstream);
            continue;
        }
        let served = environment_stack.ledger.head().await?.last.map(|last| last.serves).unwrap_or_default();
        let mut releases = BTreeMap::new();
        for function in &settings.functions {
            let version = asked.get(function).cloned().flatten();
            let manifest = match version {
                Some(version) => Some(account.catalogue.manifest(function, &version).await?),
                None if served.contains_key(function) => None,
                None => Some(account.catalogue.newest(function).await?.ok_or_else(|| {
                    Failure::usage(format!(
                        "`{function}` has no release yet, so there is nothing to plan with in {}",
                        arguments.env
                    ))
                    .hint(format!("cargo xtask release {function} --env {}", arguments.env))
                })?),
            };
            releases.extend(manifest.map(|manifest| (function.clone(), manifest)));
        }
        let request =
            DeployRequest { kind: DeploymentKind::Deploy, releases, lift_hold: true, always_plan: true };
        let planned = delivery::preview(&environment_stack, &request).await?;
        stacks.push(StackPlan {
            stack: name.clone(),
            summary: planned.summary(),
            outputs_change: planned.outputs_change,
            drift: planned.relevant_drift(),
            changes: planned.changes,
        });
    }
    let changes_present = stacks.iter().any(|stack| !stack.changes.is_empty() || stack.outputs_change);
    let mut text = String::new();
    for (stack, upstream) in &waiting {
        text.push_str(&format!(
            "{stack} in {}  waits for `{upstream}`, which is not applied there\n",
            arguments.env
        ));
    }
    for stack in &stacks {
        let outputs = if stack.outputs_change && stack.changes.is_empty() { " (outputs only)" } else { "" };
        text.push_str(&format!(
            "{} in {}  {}{outputs}\n",
            stack.stack,
            arguments.env,
            if stack.changes.is_empty() && !stack.outputs_change {
                "no changes"
            } else {
                stack.summary.as_str()
            }
        ));
        text.push_str(&plan::changes_text(&stack.changes, true));
        if !stack.drift.is_empty() {
            text.push_str(&format!(
                "  changed outside Terraform:\n{}",
                plan::changes_text(&stack.drift, true)
            ));
        }
    }
    let present = (arguments.exit_code && changes_present).then(|| {
        let count = stacks.iter().map(|stack| stack.changes.len()).sum();
        Failure::new(
            FailureKind::ChangesPresent,
            format!("{} present in {}", format::plural(count, "change"), arguments.env),
        )
        .unchanged("Nothing was changed: --exit-code asks to be told.")
    });
    Ok(Answer::new(&Report { environment: arguments.env, changes_present, stacks, waiting }, text)?
        .with_failure(present))
}

/// Returns a stack whose outputs a stack takes in and that is not applied yet.
async fn missing(environment_stack: &EnvironmentStack) -> Result<Option<StackName>> {
    for from in environment_stack.settings.inputs.values() {
        if plan::read_state(environment_stack.store.as_ref(), &from.stack).await?.is_none() {
            return Ok(Some(from.stack.clone()));
        }
    }
    Ok(None)
}

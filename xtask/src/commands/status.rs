//! `status`: what runs where, and whether it is what the ledger says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::{Account, AppContext};
use crate::failure::Result;
use crate::format::age;
use crate::ledger::{self, DeploymentOutcome, Holder, Ledger, Serving};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::output::Table;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// One environment; all where left out.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
}

/// What runs where.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// By environment.
    pub(crate) environments: BTreeMap<EnvironmentName, EnvironmentStatus>,
}

/// What runs in one environment.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct EnvironmentStatus {
    /// Whether it could be looked at.
    pub(crate) reached: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// By function.
    pub(crate) functions: BTreeMap<FunctionName, FunctionStatus>,
    /// What somebody should look at.
    pub(crate) warnings: Vec<String>,
}

/// What one function runs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FunctionStatus {
    /// The stack.
    pub(crate) stack: StackName,
    /// The release that the ledger says is served.
    pub(crate) release: Version,
    /// The commit that it was built from.
    pub(crate) commit: String,
    /// The Lambda version that the ledger says is served.
    pub(crate) lambda_version: String,
    /// The Lambda version that the alias points to.
    pub(crate) alias_version: Option<String>,
    /// The newest Lambda version, where Terraform stands.
    pub(crate) newest_version: String,
    /// Whether it was verified.
    pub(crate) verified: bool,
    /// Whether alias and configuration are as the ledger says.
    pub(crate) as_recorded: bool,
    /// The newest deployment's number.
    pub(crate) deployment: u64,
    /// How the newest deployment ended.
    pub(crate) outcome: DeploymentOutcome,
    /// Since when this release serves.
    #[schemars(with = "String")]
    pub(crate) since: jiff::Timestamp,
    /// Who made the newest deployment.
    pub(crate) by: String,
    /// Releases that are held.
    pub(crate) held: Vec<Version>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    if let Some(environment) = &arguments.env {
        app.project.environment(environment)?;
    }
    let wanted: Vec<&EnvironmentName> = app
        .project
        .environments
        .keys()
        .filter(|name| arguments.env.as_ref().is_none_or(|wanted| wanted == *name))
        .collect();
    let looks = wanted.iter().map(|environment| look(app, environment));
    let environments: BTreeMap<EnvironmentName, EnvironmentStatus> =
        wanted.iter().map(|name| (*name).clone()).zip(futures::future::join_all(looks).await).collect();
    let text =
        if arguments.env.is_some() { in_detail(app, &environments) } else { overview(app, &environments) };
    Answer::new(&Report { environments }, text)
}

/// Looks at an environment; one that cannot be reached is told as such, and does not hide the others.
async fn look(app: &AppContext, environment: &EnvironmentName) -> EnvironmentStatus {
    let mut status = EnvironmentStatus::default();
    match app.account_if_there(environment).await {
        Ok(None) => status.why = Some("not running".into()),
        Ok(Some(account)) => match fill(app, environment, &account, &mut status).await {
            Ok(()) => status.reached = true,
            Err(failure) => status.why = Some(failure.to_string()),
        },
        Err(failure) => status.why = Some(failure.to_string()),
    }
    status
}

async fn fill(
    app: &AppContext,
    environment: &EnvironmentName,
    account: &Account,
    status: &mut EnvironmentStatus,
) -> Result<()> {
    for stack in app.project.stacks.keys() {
        let ledger = Ledger::new(account.state.clone(), environment.clone(), stack.clone());
        let head = ledger.head().await?;
        if let Some(open) = &head.open {
            let state =
                if ledger::is_alive(open, &Holder::here(), &ledger.lease(), app.clock.as_ref()).await? {
                    "is under way"
                } else {
                    "was cut off: the next command closes it, or cargo xtask recover"
                };
            status.warnings.push(format!(
                "deployment {} of {stack} ({}) by {} {state}",
                open.deployment,
                open.describe(),
                open.by
            ));
        }
        let Some(last) = head.last else { continue };
        if last.outcome == DeploymentOutcome::TerraformPending {
            status.warnings.push(format!("{stack} in {environment}: traffic is back, Terraform does not agree yet: cargo xtask rollback --env {environment} carries on"));
        }
        for (function, serving) in &last.serves {
            let (alias, as_recorded) = compare(account, serving).await?;
            if alias.as_deref() != Some(serving.lambda_version.as_str()) {
                status.warnings.push(format!(
                    "{function} in {environment}: the alias points to {}, the ledger says {}. Somebody moved it by hand: cargo xtask recover --env {environment}",
                    alias.as_deref().unwrap_or("nothing"),
                    serving.lambda_version
                ));
            } else if !as_recorded {
                status.warnings.push(format!(
                    "{function} in {environment}: version {} is not configured as it was verified",
                    serving.lambda_version
                ));
            }
            status.functions.insert(
                function.clone(),
                FunctionStatus {
                    stack: stack.clone(),
                    release: serving.release.clone(),
                    commit: serving.commit.clone(),
                    lambda_version: serving.lambda_version.clone(),
                    alias_version: alias,
                    newest_version: serving.newest_version.clone(),
                    verified: serving.verified,
                    as_recorded,
                    deployment: last.deployment,
                    outcome: last.outcome,
                    since: serving.since_at,
                    by: last.by.clone(),
                    held: last
                        .holds
                        .iter()
                        .filter(|hold| hold.function == *function)
                        .map(|hold| hold.release.clone())
                        .collect(),
                },
            );
        }
    }
    Ok(())
}

/// Returns where the alias points, and whether it and the configuration behind it are as recorded.
async fn compare(account: &Account, serving: &Serving) -> Result<(Option<String>, bool)> {
    let (alias, published) = futures::try_join!(
        account.functions.alias(&serving.function_name, &serving.alias),
        account.functions.published(&serving.function_name, &serving.lambda_version)
    )?;
    let agrees = published.is_some_and(|published| {
        published.code_sha256 == serving.code_sha256 && published.digest() == serving.config_digest
    });
    let plain = serving.matches(alias.as_ref());
    Ok((alias.map(|alias| alias.version), agrees && plain))
}

fn overview(app: &AppContext, environments: &BTreeMap<EnvironmentName, EnvironmentStatus>) -> String {
    let mut table = Table::new(
        std::iter::once("function".to_owned()).chain(environments.keys().map(ToString::to_string)),
    );
    for function in app.project.functions.keys() {
        let cell = |status: &EnvironmentStatus| match (status.functions.get(function), &status.why) {
            (Some(found), _) => {
                let held = if found.held.is_empty() {
                    String::new()
                } else {
                    format!(
                        "  held: {}",
                        found.held.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                    )
                };
                format!(
                    "{}  live {}{}{held}",
                    found.release,
                    found.alias_version.as_deref().unwrap_or("–"),
                    if found.as_recorded { "" } else { " ⚠" }
                )
            }
            (None, Some(_)) => "?".to_owned(),
            (None, None) => "–".to_owned(),
        };
        table.row(std::iter::once(function.to_string()).chain(environments.values().map(cell)));
    }
    let mut text = table.render("");
    for (environment, status) in environments {
        if let Some(why) = &status.why {
            text.push_str(&format!("? {environment}: {why}\n"));
        }
        status.warnings.iter().for_each(|warning| text.push_str(&format!("⚠ {warning}\n")));
    }
    text
}

fn in_detail(app: &AppContext, environments: &BTreeMap<EnvironmentName, EnvironmentStatus>) -> String {
    let mut text = String::new();
    for (environment, status) in environments {
        if let Some(why) = &status.why {
            text.push_str(&format!("{environment}: {why}\n"));
            continue;
        }
        let mut table = Table::new([
            "function",
            "release",
            "live",
            "newest",
            "commit",
            "since",
            "deployment",
            "by",
            "verified",
            "held",
        ]);
        for (function, found) in &status.functions {
            let held = found.held.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            table.row([
                function.to_string(),
                found.release.to_string(),
                found.alias_version.clone().unwrap_or_else(|| "–".into()),
                found.newest_version.clone(),
                found.commit.chars().take(7).collect(),
                age(found.since, app.clock.now()),
                format!("{} {}", found.deployment, found.outcome.text()),
                found.by.clone(),
                if found.verified { "yes".into() } else { "no".into() },
                if held.is_empty() { "–".into() } else { held },
            ]);
        }
        text.push_str(&if table.is_empty() {
            format!("Nothing was deployed to {environment} yet.\n")
        } else {
            table.render("")
        });
        status.warnings.iter().for_each(|warning| text.push_str(&format!("⚠ {warning}\n")));
    }
    text
}

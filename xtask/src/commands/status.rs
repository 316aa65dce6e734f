//! `status`: what runs where, and whether it is what the ledger says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::{Failure, Result};
use crate::format::{age, list};
use crate::ledger::Holder;
use crate::name::{EnvironmentName, FunctionName};
use crate::output::Table;
use crate::settings::EnvironmentAccount;
use crate::status::{EnvironmentAccess, EnvironmentStatus, FunctionStatus};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// One environment; without it all.
    #[arg(long, short)]
    env: Option<EnvironmentName>,
}

/// What runs where.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// By environment.
    pub(crate) environments: BTreeMap<EnvironmentName, EnvironmentStatus>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    if let Some(environment) = &arguments.env {
        app.project.environment(environment)?;
    }
    let names = app.project.environments.keys();
    let names: Vec<&EnvironmentName> =
        names.filter(|name| arguments.env.as_ref().is_none_or(|wanted| wanted == *name)).collect();
    let read = names.iter().map(|environment| read(app, environment));
    let (mut environments, mut failures) = (BTreeMap::new(), Vec::new());
    for (name, status) in names.iter().zip(futures::future::join_all(read).await) {
        let status = status.unwrap_or_else(|failure| {
            let status = EnvironmentStatus::not_read(failure.to_string());
            failures.push(failure);
            status
        });
        environments.insert((*name).clone(), status);
    }
    // Among all environments, one that cannot be read does not hide the others.
    let failure = arguments.env.is_some().then(|| failures.pop()).flatten();
    let now = app.clock.now();
    let text = if failure.is_some() {
        String::new()
    } else if arguments.env.is_some() {
        details(&environments, now)
    } else {
        overview(app.project.functions.keys(), &environments)
    };
    Ok(CommandOutput::new(&Report { environments }, text)?.with_failure(failure))
}

/// Reads an environment's status.
async fn read(app: &AppContext, environment: &EnvironmentName) -> Result<EnvironmentStatus> {
    if let Some(EnvironmentAccount::Cloud(cloud)) =
        app.project.environments.get(environment).map(|settings| &settings.account)
        && !app.has_credentials()
    {
        let message = format!(
            "no credentials for account {} (sign in: aws sso login, or set AWS_PROFILE)",
            cloud.account
        );
        return Err(Failure::failed(message));
    }
    let Some(account) = app.reading_account_if_there(environment).await? else {
        return Ok(EnvironmentStatus::not_read("not running"));
    };
    let stacks = app.project.stacks.keys();
    let unsaved = stacks.map(|stack| (stack.clone(), app.unsaved_states(environment, stack))).collect();
    let access = EnvironmentAccess {
        reads_states: account.reads_states,
        environment,
        store: &account.state,
        project: &account.project,
        functions: &account.functions,
        unsaved: &unsaved,
        here: Holder::here(),
    };
    access.read(app.project.stacks.keys()).await
}

/// Renders a table of functions and environments, and a line for each environment that was not read.
fn overview<'a>(
    functions: impl Iterator<Item = &'a FunctionName>,
    environments: &BTreeMap<EnvironmentName, EnvironmentStatus>,
) -> String {
    let read = || environments.iter().filter(|(_, status)| status.reached);
    let header = std::iter::once("function".to_owned()).chain(read().map(|(name, _)| name.to_string()));
    let mut table = Table::new(header);
    for function in functions {
        let cells = read().map(|(_, status)| status.functions.get(function).map_or("–".to_owned(), cell));
        table.row(std::iter::once(function.to_string()).chain(cells));
    }
    let mut text = if read().next().is_some() { table.render("") } else { String::new() };
    let not_read =
        environments.iter().filter_map(|(name, status)| Some((name.as_str(), status.why.as_ref()?)));
    let width = not_read.clone().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (environment, why) in not_read {
        text.push_str(&format!("? {environment:width$}  {}\n", one_line(why)));
    }
    environments.values().for_each(|status| text.push_str(&warnings(status)));
    text
}

/// Renders what an environment runs of a function: `1.4.1  live 7 ⚠  held: 1.5.0`.
fn cell(status: &FunctionStatus) -> String {
    let held = held(status).map_or(String::new(), |held| format!("  held: {held}"));
    let live = status.alias_version.as_deref().unwrap_or("–");
    format!("{}  live {live}{}{held}", status.release, if status.as_recorded { "" } else { " ⚠" })
}

/// Renders everything about each environment's functions.
fn details(environments: &BTreeMap<EnvironmentName, EnvironmentStatus>, now: jiff::Timestamp) -> String {
    let mut text = String::new();
    for (environment, status) in environments {
        if let Some(why) = &status.why {
            text.push_str(&format!("{environment}  {}\n", one_line(why)));
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
            table.row([
                function.to_string(),
                found.release.to_string(),
                found.alias_version.clone().unwrap_or_else(|| "–".into()),
                found.newest_version.clone(),
                found.commit.chars().take(7).collect(),
                age(found.since, now),
                format!("{} {}", found.deployment, found.outcome.text()),
                found.by.clone(),
                if found.verified { "yes".into() } else { "no".into() },
                held(found).unwrap_or_else(|| "–".into()),
            ]);
        }
        if table.is_empty() && !status.warnings.is_empty() {
            text.push_str(&format!("No release that the ledger knows serves in {environment}.\n"));
        } else if table.is_empty() {
            text.push_str(&format!("Nothing was deployed to {environment} yet.\n"));
        } else {
            text.push_str(&table.render(""));
        }
        text.push_str(&warnings(status));
    }
    text
}

fn held(status: &FunctionStatus) -> Option<String> {
    (!status.held.is_empty()).then(|| list(status.held.iter().map(ToString::to_string)))
}

fn warnings(status: &EnvironmentStatus) -> String {
    status.warnings.iter().map(|warning| format!("⚠ {warning}\n")).collect()
}

/// Joins the lines of a message.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::DeploymentOutcome;

    fn environments() -> BTreeMap<EnvironmentName, EnvironmentStatus> {
        let hello = FunctionStatus {
            stack: "hello".parse().unwrap(),
            release: "0.1.0".parse().unwrap(),
            commit: "8a05e13c".into(),
            lambda_version: "1".into(),
            alias_version: Some("1".into()),
            newest_version: "3".into(),
            verified: true,
            as_recorded: true,
            deployment: 3,
            outcome: DeploymentOutcome::RolledBack,
            since: jiff::Timestamp::UNIX_EPOCH,
            by: "ada@workshop".into(),
            held: vec!["0.2.0".parse().unwrap()],
        };
        let mut local = EnvironmentStatus { reached: true, ..EnvironmentStatus::default() };
        local.functions.insert("hello".parse().unwrap(), hello);
        local.warnings.push("look at this".into());
        let dev = EnvironmentStatus::not_read("no credentials for account 222222222222 (sign in: …)");
        let prod = EnvironmentStatus::not_read("refused:\n  in two lines");
        [("dev", dev), ("local", local), ("prod", prod)]
            .into_iter()
            .map(|(name, status)| (name.parse().unwrap(), status))
            .collect()
    }

    #[test]
    fn overview_has_a_column_for_what_was_read_and_a_line_for_what_was_not() {
        let functions: [FunctionName; 2] = ["hello".parse().unwrap(), "invoice".parse().unwrap()];
        insta::assert_snapshot!(overview(functions.iter(), &environments()), @r"
        function   local
        hello      0.1.0  live 1  held: 0.2.0
        invoice    –
        ? dev   no credentials for account 222222222222 (sign in: …)
        ? prod  refused: in two lines
        ⚠ look at this
        ");
    }

    #[test]
    fn overview_without_a_readable_environment_has_no_table() {
        let mut environments = environments();
        environments.retain(|name, _| name.as_str() == "dev");
        let functions: [FunctionName; 1] = ["hello".parse().unwrap()];
        let text = overview(functions.iter(), &environments);
        assert_eq!(text, "? dev  no credentials for account 222222222222 (sign in: …)\n");
    }

    #[test]
    fn details_show_each_environment_in_turn() {
        insta::assert_snapshot!(details(&environments(), jiff::Timestamp::UNIX_EPOCH), @r"
        dev  no credentials for account 222222222222 (sign in: …)
        function   release   live   newest   commit    since      deployment      by             verified   held
        hello      0.1.0     1      3        8a05e13   just now   3 rolled back   ada@workshop   yes        0.2.0
        ⚠ look at this
        prod  refused: in two lines
        ");
    }
}

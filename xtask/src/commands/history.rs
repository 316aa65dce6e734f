//! `history`: list an environment's deployments, newest first.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::Result;
use crate::format::{age, plural};
use crate::ledger::{DeploymentKind, Ended, Origin, Serving};
use crate::name::{EnvironmentName, FunctionName};
use crate::output::Table;
use crate::saved_plans::PlanId;

/// Arguments of `history`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// The number of deployments.
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

/// An environment's deployments.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// Newest first.
    pub(crate) deployments: Vec<Ended>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    app.project.environment(&arguments.env)?;
    let (mut by_stack, mut failure) = (Vec::new(), None);
    if let Some(account) = app.reading_account_if_there(&arguments.env).await? {
        for stack in app.project.stacks.keys() {
            let ledger = account.ledger(&arguments.env, stack);
            let (history, broken) = ledger.examined_history(arguments.limit).await?;
            failure = failure.or_else(|| broken.first().map(|link| ledger.broken_chain(link)));
            by_stack.push(history);
        }
    }
    let deployments = newest_first(by_stack, arguments.limit);
    let mut table = Table::new(["deployment", "stack", "what", "outcome", "serves", "when", "by"]);
    for ended in &deployments {
        let kind = match ended.kind {
            DeploymentKind::Release => "release",
            DeploymentKind::Deploy => "deploy",
            DeploymentKind::Rollback => "rollback",
            DeploymentKind::Destroy => "destroy",
        };
        table.row([
            ended.deployment.to_string(),
            ended.stack.to_string(),
            match &ended.plan {
                Some(plan) => {
                    format!("{} (plan {})", origin_text(kind, ended.origin.as_ref()), PlanId::of(&plan.id))
                }
                None => origin_text(kind, ended.origin.as_ref()),
            },
            ended.outcome.text().into(),
            serves(ended.deployment, &ended.serves),
            age(ended.at, app.clock.now()),
            ended.by.clone(),
        ]);
    }
    let text = if table.is_empty() {
        format!("Nothing was deployed to {} yet.\n", arguments.env)
    } else {
        table.render("")
    };
    Ok(CommandOutput::new(&Report { environment: arguments.env, deployments }, text)?.with_failure(failure))
}

/// Says what a deployment was: its command, or where its releases came from.
fn origin_text(kind: &str, origin: Option<&Origin>) -> String {
    let Some(origin) = origin else { return kind.to_owned() };
    let mut text = match (&origin.promoted_from, origin.hotfix) {
        (Some(from), _) => format!("promote from {}", from.environment),
        (None, true) => format!("{kind} (hotfix)"),
        (None, false) => kind.to_owned(),
    };
    let lost: usize = origin.lost.values().map(Vec::len).sum();
    if lost > 0 {
        text.push_str(&format!(", loses {}", plural(lost, "commit")));
    }
    text
}

/// Merges the deployments of several stacks, each newest first. A stack's own are in the order of their numbers; those of
/// different stacks in that of the store's clock, whatever the clocks of the machines said.
fn newest_first(by_stack: Vec<Vec<(i64, Ended)>>, limit: usize) -> Vec<Ended> {
    let mut stacks: Vec<_> = by_stack.into_iter().map(|entries| entries.into_iter().peekable()).collect();
    let mut merged = Vec::new();
    while merged.len() < limit {
        let newest = stacks
            .iter_mut()
            .filter_map(|entries| {
                let (written, ended) = entries.peek()?;
                // Within one second of the store's, the entries' own time.
                Some(((*written, ended.at), entries))
            })
            .max_by_key(|(time, _)| *time);
        let Some((_, ended)) = newest.and_then(|(_, entries)| entries.next()) else { break };
        merged.push(ended);
    }
    merged
}

/// How many functions a line names.
const NAMED: usize = 3;

/// Returns what serves after a deployment. Of many functions, those whose release came with it are named first.
fn serves(deployment: u64, serves: &BTreeMap<FunctionName, Serving>) -> String {
    let mut functions: Vec<_> = serves.iter().collect();
    if functions.is_empty() {
        return "–".into();
    }
    if functions.len() > NAMED {
        functions.sort_by_key(|(_, serving)| serving.since != deployment);
    }
    let mut named: Vec<String> = functions
        .iter()
        .take(NAMED)
        .map(|(function, serving)| match &serving.alias_elsewhere {
            Some(elsewhere) => format!("{function} {} (alias on {elsewhere})", serving.release),
            None => format!("{function} {} ({})", serving.release, serving.lambda_version),
        })
        .collect();
    named.extend((functions.len() > NAMED).then(|| format!("{} more", functions.len() - NAMED)));
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deployments_are_in_the_order_of_their_numbers_and_of_the_stores_clock() {
        let entry: Ended = serde_json::from_str(include_str!("../ledger/stored/release.ended.json")).unwrap();
        let entry = |deployment, stack: &str, at: &str, written: i64| {
            let at = at.parse().unwrap();
            (written, Ended { deployment, stack: stack.parse().unwrap(), at, ..entry.clone() })
        };
        // The second machine's clock is a day ahead, the third's a day behind.
        let fast = vec![
            entry(2, "fast", "2026-11-29T10:00:00Z", 300),
            entry(1, "fast", "2026-12-01T10:00:00Z", 100),
        ];
        let real = vec![entry(1, "real", "2026-11-30T10:00:00Z", 200)];
        let order: Vec<String> = newest_first(vec![fast, real], 9)
            .iter()
            .map(|ended| format!("{} {}", ended.stack, ended.deployment))
            .collect();
        assert_eq!(order, ["fast 2", "real 1", "fast 1"]);
    }

    #[test]
    fn deployment_says_by_which_way_its_releases_came_and_what_was_lost() {
        let mut origin = Origin { hotfix: true, ..Origin::default() };
        assert_eq!(origin_text("deploy", None), "deploy");
        assert_eq!(origin_text("release", Some(&origin)), "release (hotfix)");
        origin.lost.insert("a".parse().unwrap(), vec!["1".into(), "2".into()]);
        origin.promoted_from =
            Some(crate::ledger::PromotedFrom { environment: "dev".parse().unwrap(), deployment: 3 });
        assert_eq!(origin_text("deploy", Some(&origin)), "promote from dev, loses 2 commits");
    }

    #[test]
    fn of_many_functions_those_that_a_deployment_changed_are_named_first() {
        let entry: serde_json::Value =
            serde_json::from_str(include_str!("../ledger/stored/release.ended.json")).unwrap();
        let serving = entry["serves"].as_object().unwrap().values().next().unwrap().clone();
        let serving: Serving = serde_json::from_value(serving).unwrap();
        let mut functions = BTreeMap::new();
        assert_eq!(serves(7, &functions), "–");
        let elsewhere = Serving { alias_elsewhere: Some("5".into()), ..serving.clone() };
        let text = serves(7, &BTreeMap::from([("a".parse().unwrap(), elsewhere)]));
        assert!(text.ends_with("(alias on 5)"), "{text}");
        for name in ["a", "b", "c", "d", "e"] {
            let since = if name == "d" { 7 } else { 1 };
            functions.insert(name.parse().unwrap(), Serving { since, ..serving.clone() });
            if name == "c" {
                assert!(serves(7, &functions).contains(", c "));
            }
        }
        let text = serves(7, &functions);
        assert!(text.starts_with("d ") && text.contains(", a ") && text.ends_with(", 2 more"), "{text}");
    }
}

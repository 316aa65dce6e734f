//! `notes`: what an environment serves that the next one lacks. Changes nothing.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::delivery::promotion;
use crate::failure::{Failure, Result};
use crate::name::EnvironmentName;
use crate::output::{EnvironmentNotes, markdown, notes_text};

/// Arguments of `notes`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment that has more.
    #[arg(long, short)]
    env: EnvironmentName,
    /// Print markdown, as for a release page.
    #[arg(long)]
    markdown: bool,
}

/// What an environment has that the next ones lack.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// For each environment whose `promote_from` is this one.
    pub(crate) next: Vec<EnvironmentNotes>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let environment = &arguments.env;
    app.project.environment(environment)?;
    let next: Vec<&EnvironmentName> = app
        .project
        .environments
        .iter()
        .filter(|(_, settings)| settings.promote_from.as_ref() == Some(environment))
        .map(|(name, _)| name)
        .collect();
    if next.is_empty() {
        return Err(Failure::usage(format!("no environment is promoted from {environment}")).hint(format!(
            "promote_from = \"{environment}\" in an environment.toml says which one comes next"
        )));
    }
    let mut report = Report { environment: environment.clone(), next: Vec::new() };
    for to in next {
        report.next.push(read(app, environment, to).await?);
    }
    let summary: String = report.next.iter().map(markdown::notes).collect();
    let text =
        if arguments.markdown { summary.clone() } else { report.next.iter().map(notes_text).collect() };
    Ok(CommandOutput::new(&report, text)?.with_summary(summary))
}

/// Compares two environments by their ledgers.
async fn read(app: &AppContext, from: &EnvironmentName, to: &EnvironmentName) -> Result<EnvironmentNotes> {
    let not_running = |environment: &EnvironmentName| {
        Failure::failed(format!("{environment} is not running, so nothing is known of it"))
            .hint(format!("cargo xtask release --env {environment}"))
    };
    let source = app.reading_account_if_there(from).await?.ok_or_else(|| not_running(from))?;
    let target = app.reading_account_if_there(to).await?.ok_or_else(|| not_running(to))?;
    let mut notes = EnvironmentNotes::new(from.clone(), to.clone());
    for (stack, settings) in app.project.stacks_in(to)? {
        let (ours, theirs) = futures::join!(async { source.ledger(from, &stack).head().await }, async {
            target.ledger(to, &stack).head().await
        });
        let (ours, theirs) = (ours?.last, theirs?.last);
        for function in &settings.functions {
            let serves = |last: &Option<crate::ledger::Ended>| {
                last.as_ref().and_then(|last| last.serves.get(function)).cloned()
            };
            let Some(after) = serves(&ours) else { continue };
            let root = &app.project.root;
            let of = (&stack, function);
            let before = serves(&theirs);
            let difference =
                promotion::difference(&source.catalogue, root, of, before.as_ref(), &after).await?;
            notes.add(difference);
        }
    }
    Ok(notes)
}

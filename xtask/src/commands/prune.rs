//! `prune`: remove old Lambda versions, zips, images and saved plans that nothing needs; without --apply only say which.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::{Account, AppContext};
use crate::failure::{Failure, Result};
use crate::format::plural;
use crate::name::EnvironmentName;
use crate::prune::{self, Needed, PruneItem, PrunePlan, Pruner, StackToPrune};

/// Arguments of `prune`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// How many earlier verified releases of each function stay, besides the serving one.
    #[arg(long)]
    keep: usize,
    /// Remove it, after asking; without this option it is only listed.
    #[arg(long)]
    apply: bool,
}

/// What was or would be removed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// Whether it was removed, and not only listed.
    pub(crate) applied: bool,
    /// What is removed and what stays.
    #[serde(flatten)]
    pub(crate) plan: PrunePlan,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<CommandOutput> {
    let environment = &arguments.env;
    let settings = app.project.environment(environment)?;
    if arguments.keep == 0 && settings.protected {
        return Err(Failure::usage(format!("--keep 0 would leave nothing to roll back to in {environment}"))
            .hint("keep at least 1"));
    }
    let account = app.account_if_there(environment).await?.ok_or_else(|| {
        Failure::failed(format!("{environment} is not running")).hint("start it: cargo xtask local up")
    })?;
    // All stacks of the project: one that is disabled here may serve still.
    let stacks: Vec<StackToPrune> = app
        .project
        .stacks
        .keys()
        .map(|stack| StackToPrune { stack: stack.clone(), ledger: account.ledger(environment, stack) })
        .collect();
    let pruner = Pruner {
        environment,
        stacks: &stacks,
        store: account.state.as_ref(),
        functions: account.functions.as_ref(),
        catalogue: &account.catalogue,
        keep: arguments.keep,
        now: app.clock.now(),
        progress: &app.progress,
    };
    let plan = pruner.plan(others(app, environment, &account, arguments.keep).await).await?;
    let mut text = text(&plan, arguments.apply);
    let mut failure = None;
    if arguments.apply && !plan.remove.is_empty() {
        app.progress.block(text.clone());
        let question =
            format!("Remove {} of {environment}? They do not come back.", plural(plan.remove.len(), "thing"));
        match app.approver().approve(&question) {
            Ok(true) => {}
            Ok(false) => return Err(Failure::refused("not approved").unchanged("Nothing was removed.")),
            Err(failure) => return Err(failure.unchanged("Nothing was removed.")),
        }
        match pruner.apply(&plan).await {
            Ok(removed) => text = format!("{} of {environment} removed.\n", plural(removed, "thing")),
            Err(failed) => failure = Some(failed),
        }
    }
    let report = Report { environment: environment.clone(), applied: arguments.apply, plan };
    Ok(CommandOutput::new(&report, text)?.with_failure(failure))
}

/// Reads what the other environments of the same releases need; says which one could not be read.
async fn others(
    app: &AppContext,
    environment: &EnvironmentName,
    own: &Account,
    keep: usize,
) -> std::result::Result<Needed, String> {
    let mut needed = Needed::default();
    if own.emulated {
        return Ok(needed);
    }
    let others = app.project.environments_of_store(None);
    for other in others.into_iter().filter(|other| *other != environment) {
        let read = async {
            let account = app.account(other).await?;
            let mut needed = Needed::default();
            for stack in app.project.stacks.keys() {
                needed.extend(prune::needed(&account.ledger(other, stack), other, keep).await?);
            }
            needed.add_plans(account.state.as_ref(), other, app.clock.now()).await?;
            Ok::<_, Failure>(needed)
        };
        needed.extend(read.await.map_err(|failure| format!("{other}: {failure}"))?);
    }
    Ok(needed)
}

/// Renders what is removed and what stays.
fn text(plan: &PrunePlan, applies: bool) -> String {
    let line = |verb: &str, item: &PruneItem| {
        format!("{verb:8} {:14} {}   ({})\n", item.kind.word(), item.name, item.why)
    };
    let mut text: String = plan.remove.iter().map(|item| line("remove", item)).collect();
    text.extend(plan.keep.iter().map(|item| line("keep", item)));
    for untouched in &plan.untouched {
        text.push_str(&format!("keep     {untouched}\n"));
    }
    match (plan.remove.len(), applies) {
        (0, _) => text.push_str("Nothing to remove.\n"),
        (count, false) => text.push_str(&format!(
            "{} would be removed: the same with --apply removes it.\n",
            plural(count, "thing")
        )),
        (_, true) => {}
    }
    text
}

//! `history`: list an environment's deployments, newest first.

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::AppContext;
use crate::failure::Result;
use crate::format::age;
use crate::ledger::{DeploymentKind, Ended};
use crate::name::EnvironmentName;
use crate::output::Table;

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
    let mut deployments = Vec::new();
    if let Some(account) = app.account_if_there(&arguments.env).await? {
        for stack in app.project.stacks.keys() {
            deployments.extend(account.ledger(&arguments.env, stack).history(arguments.limit).await?);
        }
    }
    deployments.sort_by(|a, b| b.at.cmp(&a.at).then(b.deployment.cmp(&a.deployment)));
    deployments.truncate(arguments.limit);
    let mut table = Table::new(["deployment", "stack", "what", "outcome", "serves", "when", "by"]);
    for ended in &deployments {
        let kind = match ended.kind {
            DeploymentKind::Release => "release",
            DeploymentKind::Deploy => "deploy",
            DeploymentKind::Rollback => "rollback",
            DeploymentKind::Destroy => "destroy",
        };
        let serves: Vec<String> = ended
            .serves
            .iter()
            .map(|(function, serving)| format!("{function} {} ({})", serving.release, serving.lambda_version))
            .collect();
        let serves = if serves.is_empty() { "–".to_owned() } else { serves.join(", ") };
        table.row([
            ended.deployment.to_string(),
            ended.stack.to_string(),
            kind.into(),
            ended.outcome.text().into(),
            serves,
            age(ended.at, app.clock.now()),
            ended.by.clone(),
        ]);
    }
    let text = if table.is_empty() {
        format!("Nothing was deployed to {} yet.\n", arguments.env)
    } else {
        table.render("")
    };
    CommandOutput::new(&Report { environment: arguments.env, deployments }, text)
}

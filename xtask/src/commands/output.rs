//! `output`: the outputs of an environment's stacks, as text, JSON or dotenv lines. Sensitive values are never printed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::CommandOutput;
use crate::app::{Account, AppContext};
use crate::failure::{Failure, Result};
use crate::github::{self, GithubRepository, GithubVariable};
use crate::name::{EnvironmentName, StackName};
use crate::output::{OutputFormat, dotenv};
use crate::plan::{self, Output};

/// Arguments of `output`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// The stack; without it all.
    #[arg(long)]
    stack: Option<StackName>,
    /// Set the variables of the repository's environment on GitHub that each stack.toml's [github] names.
    #[arg(long, conflicts_with = "name")]
    github: bool,
    /// One output; only its value is printed.
    name: Option<String>,
}

/// The outputs of stacks.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// By stack and name.
    pub(crate) stacks: BTreeMap<StackName, BTreeMap<String, Output>>,
    /// The variables that were set on GitHub.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) github: Vec<GithubVariable>,
}

/// Runs the command.
pub(crate) async fn run(
    app: &AppContext,
    arguments: Arguments,
    format: OutputFormat,
) -> Result<CommandOutput> {
    app.project.environment(&arguments.env)?;
    if let Some(stack) = &arguments.stack {
        app.project.stack_in(&arguments.env, stack)?;
    }
    let account = app.account_if_there(&arguments.env).await?.ok_or_else(|| {
        Failure::failed(format!("{} is not running, so it has no outputs", arguments.env))
            .hint(format!("cargo xtask release --env {}", arguments.env))
    })?;
    let mut stacks = BTreeMap::new();
    for name in app
        .project
        .stacks_in(&arguments.env)?
        .keys()
        .filter(|name| arguments.stack.as_ref().is_none_or(|wanted| wanted == *name))
    {
        let applied = plan::read_outputs(account.state.as_ref(), name).await?.unwrap_or_default();
        let mut outputs = applied.outputs;
        outputs
            .values_mut()
            .filter(|output| output.sensitive)
            .for_each(|output| output.value = serde_json::Value::Null);
        stacks.insert(name.clone(), outputs);
    }
    if arguments.github {
        let variables = set_on_github(app, &account, &arguments.env, &stacks).await?;
        let text: String =
            variables.iter().map(|one| format!("{} = {}  {}\n", one.name, one.value, one.done)).collect();
        let report = Report { environment: arguments.env, stacks, github: variables };
        return CommandOutput::new(&report, text);
    }
    if let Some(wanted) = &arguments.name {
        stacks.values_mut().for_each(|outputs| outputs.retain(|name, _| name == wanted));
        if stacks.values().all(BTreeMap::is_empty) {
            return Err(Failure::usage(format!("no stack in {} has an output `{wanted}`", arguments.env))
                .hint("cargo xtask output --env … lists all"));
        }
    }
    let text = match format {
        OutputFormat::Dotenv => dotenv(
            stacks
                .values()
                .flatten()
                .map(|(name, output)| (name.as_str(), Some(&output.value).filter(|_| !output.sensitive))),
        ),
        _ => text(&stacks, arguments.name.is_some()),
    };
    CommandOutput::new(&Report { environment: arguments.env, stacks, github: Vec::new() }, text)
}

/// Sets the GitHub variables that the stacks name.
async fn set_on_github(
    app: &AppContext,
    account: &Account,
    environment: &EnvironmentName,
    outputs: &BTreeMap<StackName, BTreeMap<String, Output>>,
) -> Result<Vec<GithubVariable>> {
    let wanted = github::wanted_variables(environment, &app.project.stacks, outputs)?;
    let remote = app.repository()?.head()?.repository;
    let repository = GithubRepository::find(&app.process_env, remote.as_deref())?;
    repository.set_variables(&account.services, environment, &wanted).await
}

/// Renders a line for each output: `stack.name = value`, or the value alone.
fn text(stacks: &BTreeMap<StackName, BTreeMap<String, Output>>, value_only: bool) -> String {
    let mut text = String::new();
    for (stack, outputs) in stacks {
        for (name, output) in outputs {
            let value = match (&output.value, output.sensitive) {
                (_, true) => "(sensitive)".to_owned(),
                (serde_json::Value::String(value), _) => value.clone(),
                (value, _) => value.to_string(),
            };
            text.push_str(&if value_only {
                format!("{value}\n")
            } else {
                format!("{stack}.{name} = {value}\n")
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_hides_sensitive_values_and_may_show_the_value_alone() {
        let output = |value: serde_json::Value, sensitive| Output { value, sensitive };
        let outputs = BTreeMap::from([
            ("ids".to_owned(), output(serde_json::json!(["a"]), false)),
            ("token".to_owned(), output(serde_json::Value::Null, true)),
        ]);
        let stacks = BTreeMap::from([("hello".parse().unwrap(), outputs)]);
        assert_eq!(text(&stacks, false), "hello.ids = [\"a\"]\nhello.token = (sensitive)\n");
        assert_eq!(text(&stacks, true), "[\"a\"]\n(sensitive)\n");
    }
}

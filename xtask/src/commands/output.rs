//! `output`: what an environment's stacks put out, as text, JSON or dotenv lines. Sensitive values are never printed.

mod github;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use self::github::{Repository, Variable};
use super::Answer;
use crate::app::{Account, AppContext};
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, StackName};
use crate::output::OutputFormat;
use crate::plan::Infrastructure as _;
use crate::plan::{Inputs, Output};

/// Arguments of `output`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The environment.
    #[arg(long, short)]
    env: EnvironmentName,
    /// The stack; all where left out.
    #[arg(long)]
    stack: Option<StackName>,
    /// Set the variables of the repository's environment on GitHub, as each stack.toml's [github] says.
    #[arg(long, conflicts_with = "name")]
    github: bool,
    /// One output, printed alone.
    name: Option<String>,
}

/// What stacks put out.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// By stack and name.
    pub(crate) stacks: BTreeMap<StackName, BTreeMap<String, Output>>,
    /// What was set on GitHub.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) github: Vec<Variable>,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments, format: OutputFormat) -> Result<Answer> {
    app.project.environment(&arguments.env)?;
    if let Some(stack) = &arguments.stack {
        app.project.stack_in(&arguments.env, stack)?;
    }
    let account = app.account_if_there(&arguments.env).await?.ok_or_else(|| {
        Failure::failed(format!("{} does not run, so it has no outputs", arguments.env))
            .hint(format!("cargo xtask release --env {}", arguments.env))
    })?;
    let mut stacks = BTreeMap::new();
    for name in app
        .project
        .stacks_in(&arguments.env)?
        .keys()
        .filter(|name| arguments.stack.as_ref().is_none_or(|wanted| wanted == *name))
    {
        let environment_stack = app.environment_stack(&account, &arguments.env, name)?;
        let configuration = environment_stack.configure(
            &environment_stack.lock_work().await?,
            &environment_stack.root,
            &BTreeMap::new(),
            Inputs::new(),
        )?;
        let mut outputs = app.terraform().outputs(&configuration).await?.outputs;
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
        return Answer::new(&report, text);
    }
    if let Some(wanted) = &arguments.name {
        stacks.values_mut().for_each(|outputs| outputs.retain(|name, _| name == wanted));
        if stacks.values().all(BTreeMap::is_empty) {
            return Err(Failure::usage(format!("no stack in {} puts out `{wanted}`", arguments.env))
                .hint("cargo xtask output --env … lists all"));
        }
    }
    let text = match format {
        OutputFormat::Dotenv => dotenv(&stacks),
        _ => plain(&stacks, arguments.name.is_some()),
    };
    Answer::new(&Report { environment: arguments.env, stacks, github: Vec::new() }, text)
}

/// Sets the variables that stacks name, from what they put out.
async fn set_on_github(
    app: &AppContext,
    account: &Account,
    environment: &EnvironmentName,
    stacks: &BTreeMap<StackName, BTreeMap<String, Output>>,
) -> Result<Vec<Variable>> {
    let mut wanted = BTreeMap::new();
    for (stack, outputs) in stacks {
        for (variable, name) in &app.project.stacks[stack].github {
            let output = outputs.get(name).ok_or_else(|| {
                Failure::usage(format!(
                    "terraform/stacks/{stack}/stack.toml: [github] names `{name}`, which is not put out in {environment}"
                ))
                .unchanged("Nothing was set.")
            })?;
            if output.sensitive {
                return Err(Failure::refused(format!(
                    "`{name}` of {stack} is sensitive: a variable shows it to everybody"
                ))
                .unchanged("Nothing was set.")
                .hint("make it a secret of the environment on GitHub by hand"));
            }
            let value = match &output.value {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            if wanted.insert(variable.clone(), value).is_some() {
                return Err(Failure::usage(format!("two stacks set `{variable}` on GitHub")));
            }
        }
    }
    if wanted.is_empty() {
        return Err(Failure::usage("no stack says what is set on GitHub")
            .hint("add [github] to a stack.toml, as in API_BASE_URL = \"api_url\""));
    }
    let remote = app.repository()?.head()?.repository;
    Repository::find(&app.process_env, remote.as_deref())?.set(&account.services, environment, &wanted).await
}

fn plain(stacks: &BTreeMap<StackName, BTreeMap<String, Output>>, bare: bool) -> String {
    let mut text = String::new();
    for (stack, outputs) in stacks {
        for (name, output) in outputs {
            let value = match (&output.value, output.sensitive) {
                (_, true) => "(sensitive)".to_owned(),
                (serde_json::Value::String(value), _) => value.clone(),
                (value, _) => value.to_string(),
            };
            text.push_str(&if bare { format!("{value}\n") } else { format!("{stack}.{name} = {value}\n") });
        }
    }
    text
}

/// Writes `NAME='value'` lines; objects and lists as JSON, sensitive ones left out with a remark.
fn dotenv(stacks: &BTreeMap<StackName, BTreeMap<String, Output>>) -> String {
    let mut text = String::new();
    for (name, output) in stacks.values().flatten() {
        let key: String =
            name.to_uppercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        if output.sensitive {
            text.push_str(&format!("# {key} is sensitive and not printed\n"));
            continue;
        }
        let value = match &output.value {
            serde_json::Value::String(value) => value.clone(),
            other => other.to_string(),
        };
        text.push_str(&format!("{key}='{}'\n", value.replace('\'', "'\\''")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotenv_lines_survive_quotes_and_leave_secrets_out() {
        let output = |value: serde_json::Value, sensitive| Output { value, sensitive };
        let outputs = BTreeMap::from([
            ("api-url".to_owned(), output("it's".into(), false)),
            ("functions".to_owned(), output(serde_json::json!({"a": 1}), false)),
            ("token".to_owned(), output(serde_json::Value::Null, true)),
        ]);
        let stacks = BTreeMap::from([("hello".parse().unwrap(), outputs)]);
        assert_eq!(
            dotenv(&stacks),
            "API_URL='it'\\''s'\nFUNCTIONS='{\"a\":1}'\n# TOKEN is sensitive and not printed\n"
        );
        assert!(plain(&stacks, false).contains("hello.token = (sensitive)"));
    }
}

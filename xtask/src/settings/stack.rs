//! `terraform/stacks/<stack>/stack.toml`: the functions that a stack runs, and the stacks that it depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use super::file;
use super::traffic_gate::{self, TrafficGate};
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, FunctionName, StackName};

/// A stack's settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct StackSettings {
    /// The functions that the stack runs.
    pub(crate) functions: Vec<FunctionName>,
    /// Stacks that must be applied before this one.
    pub(crate) after: Vec<StackName>,
    /// Resource addresses, with `*` as wildcard, that no plan may delete or replace.
    pub(crate) protect: Vec<String>,
    /// Patterns of further files that the stack reads, relative to its folder; `None` without the key.
    pub(crate) files: Option<Vec<String>>,
    /// Outputs of other stacks, by the variable that each is passed to.
    pub(crate) inputs: BTreeMap<String, StackOutput>,
    /// Further ones in single environments; `in_environment` adds them to `inputs`.
    pub(crate) environment_inputs: BTreeMap<EnvironmentName, BTreeMap<String, StackOutput>>,
    /// Outputs that set variables of the GitHub environment, by the variable's name.
    pub(crate) github: BTreeMap<String, String>,
    /// Commands that decide whether any new version of the stack gets traffic.
    pub(crate) before_traffic: Vec<TrafficGate>,
}

/// One output of one stack, written `<stack>.<output>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StackOutput {
    /// The stack.
    pub(crate) stack: StackName,
    /// The output's name.
    pub(crate) output: String,
}

impl std::fmt::Display for StackOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.stack, self.output)
    }
}

/// `stack.toml` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StackFile {
    #[serde(default)]
    functions: Vec<FunctionName>,
    #[serde(default)]
    after: Vec<StackName>,
    #[serde(default)]
    protect: Vec<String>,
    files: Option<Vec<String>>,
    #[serde(default)]
    inputs: BTreeMap<String, String>,
    #[serde(default)]
    environments: BTreeMap<EnvironmentName, InEnvironment>,
    #[serde(default)]
    github: BTreeMap<String, String>,
    #[serde(default)]
    before_traffic: Vec<TrafficGate>,
}

/// What `stack.toml` says of one environment. It is here and not in environment.toml, because these files are kept with a
/// deployment: a rollback takes the inputs that it was applied with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InEnvironment {
    #[serde(default)]
    inputs: BTreeMap<String, String>,
}

/// Variables that Slipway sets itself.
const OWN_VARIABLES: [&str; 2] = ["environment", "releases"];

impl StackSettings {
    /// Reads a stack's settings.
    pub(super) fn load(root: &Path, relative: &Path) -> Result<Self> {
        let raw: StackFile = file::load(root, relative)?;
        let wrong = |message: String| Failure::usage(format!("{}: {message}", relative.display()));
        let inputs = outputs(relative, &raw.inputs, "[inputs]")?;
        let environment_inputs = raw
            .environments
            .iter()
            .map(|(environment, settings)| {
                let table = format!("[environments.{environment}.inputs]");
                Ok((environment.clone(), outputs(relative, &settings.inputs, &table)?))
            })
            .collect::<Result<_>>()?;
        // https://docs.github.com/en/actions/how-tos/write-workflows/choose-what-workflows-do/use-variables
        let fits = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
                && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
                && !name.starts_with("GITHUB_")
        };
        if let Some(name) = raw.github.keys().find(|name| !fits(name)) {
            return Err(wrong(format!("`{name}` under [github] is not a valid name of a GitHub variable"))
                .hint("upper-case letters, digits and underscores, not beginning with GITHUB_"));
        }
        if let Some(message) = traffic_gate::mistake(&raw.before_traffic) {
            return Err(wrong(message));
        }
        let StackFile { functions, after, protect, files, github, before_traffic, .. } = raw;
        Ok(Self { functions, after, protect, files, inputs, environment_inputs, github, before_traffic })
    }

    /// Reads the settings in a copy of a stack's files; copies of earlier versions have no `stack.toml`.
    pub(crate) fn load_from_copy(root: &Path, stack: &StackName) -> Result<Self> {
        let relative = Path::new("terraform/stacks").join(stack.as_str()).join("stack.toml");
        if root.join(&relative).is_file() { Self::load(root, &relative) } else { Ok(Self::default()) }
    }

    /// Returns the settings with the inputs that the stack takes in this environment alone.
    pub(crate) fn in_environment(mut self, environment: &EnvironmentName) -> Self {
        if let Some(inputs) = self.environment_inputs.get(environment) {
            self.inputs.extend(inputs.clone());
        }
        self
    }

    /// Returns the stacks that must be applied before this one.
    pub(crate) fn upstream(&self) -> BTreeSet<StackName> {
        self.after.iter().chain(self.inputs.values().map(|from| &from.stack)).cloned().collect()
    }
}

/// Reads a table of inputs of the file `relative`.
fn outputs(
    relative: &Path,
    entries: &BTreeMap<String, String>,
    table: &str,
) -> Result<BTreeMap<String, StackOutput>> {
    let wrong = |message: String| Failure::usage(format!("{}: {message}", relative.display()));
    let mut inputs = BTreeMap::new();
    for (variable, from) in entries {
        if OWN_VARIABLES.contains(&variable.as_str()) {
            return Err(wrong(format!("{table} names `{variable}`, which Slipway sets itself")));
        }
        let (stack, output) =
            from.split_once('.').filter(|(_, output)| !output.is_empty()).ok_or_else(|| {
                wrong(format!("`{variable} = \"{from}\"` under {table} must be \"<stack>.<output>\""))
                    .hint("such as subnet_ids = \"network.private_subnet_ids\"")
            })?;
        let stack = stack.parse().map_err(|error| wrong(format!("`{variable}` under {table}: {error}")))?;
        inputs.insert(variable.clone(), StackOutput { stack, output: output.to_owned() });
    }
    Ok(inputs)
}

//! The project's settings files and the process environment, read once into plain values.
//!
//! In: the working folder, the process environment and the project's files. Out: [`Project`], with every function,
//! stack and environment by the name of its folder. This is the only module that reads environment variables.
//! Goes wrong: no project around the folder, a malformed file (reported with line, key and allowed values), an unknown
//! name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

mod bucket_owner;
mod build_variables;
mod builder;
mod ci_provider;
mod environment;
mod environment_names;
mod file;
mod function;
mod key_prefix;
mod plan_policy;
mod process_environment;
mod project;
mod selection;
mod stack;
mod stack_graph;
#[cfg(test)]
mod tests;
mod traffic_gate;

pub(crate) use builder::{BuilderKind, BuilderSettings};
pub(crate) use environment::{CloudAccount, EnvironmentAccount, EnvironmentSettings, ProvenanceClaims};
pub(crate) use file::parse_duration;
pub(crate) use function::{
    BaseReference, BuildSettings, DeploymentTests, FunctionSettings, ImageSettings, PackageType, SmokeTest,
    name_in_artifact, placeholders, source_path,
};
pub(crate) use plan_policy::PlanSettings;
pub(crate) use process_environment::ProcessEnvironment;
pub(crate) use project::{CheckSettings, ProjectSettings, Severity, StoreSettings, TestSettings};
pub(crate) use stack::{StackOutput, StackSettings};
pub(crate) use stack_graph::{apply_order, downstream};
pub(crate) use traffic_gate::TrafficGate;

use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, FunctionName, StackName, nearest};

/// The settings of a project: functions, stacks and environments by name.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// The repository folder that holds `pipelines/project.toml`.
    pub(crate) root: PathBuf,
    /// `pipelines/project.toml`.
    pub(crate) settings: ProjectSettings,
    /// `lambda-src/<function>/function.toml`.
    pub(crate) functions: BTreeMap<FunctionName, FunctionSettings>,
    /// `terraform/stacks/<stack>/stack.toml`.
    pub(crate) stacks: BTreeMap<StackName, StackSettings>,
    /// `terraform/environments/<environment>/environment.toml`.
    pub(crate) environments: BTreeMap<EnvironmentName, EnvironmentSettings>,
}

const PROJECT_FILE: &str = "pipelines/project.toml";

impl Project {
    /// Loads the project that contains a folder.
    pub(crate) fn load(from: &Path) -> Result<Self> {
        let root = from.ancestors().find(|folder| folder.join(PROJECT_FILE).is_file()).ok_or_else(|| {
            Failure::usage(format!(
                "no project here: neither {} nor a folder above it has {PROJECT_FILE}",
                from.display()
            ))
            .hint("run this inside the repository; to add Slipway to one: https://github.com/slipway/slipway/blob/main/docs/adopting.md")
        })?;
        let root = root.to_path_buf();
        let mut settings: ProjectSettings = file::load(&root, Path::new(PROJECT_FILE))?;
        settings.builders = builder::trusted(&settings.builders)?;
        let functions = load_folders(&root, "lambda-src", "function.toml", FunctionSettings::load)?;
        let stacks = load_folders(&root, "terraform/stacks", "stack.toml", StackSettings::load)?;
        let environments =
            load_folders(&root, "terraform/environments", "environment.toml", EnvironmentSettings::load)?;
        let project = Self { root, settings, functions, stacks, environments };
        project.check_references()?;
        Ok(project)
    }

    /// Returns a function's settings; the failure of an unknown name suggests the nearest ones.
    pub(crate) fn function(&self, name: &FunctionName) -> Result<&FunctionSettings> {
        self.functions.get(name).ok_or_else(|| {
            unknown_name(
                "function",
                name.as_str(),
                self.functions.keys().map(FunctionName::as_str),
                "lambda-src/<function>/function.toml",
            )
        })
    }

    /// Returns an environment's settings; the failure of an unknown name suggests the nearest ones.
    pub(crate) fn environment(&self, name: &EnvironmentName) -> Result<&EnvironmentSettings> {
        self.environments.get(name).ok_or_else(|| {
            unknown_name(
                "environment",
                name.as_str(),
                self.environments.keys().map(EnvironmentName::as_str),
                "terraform/environments/<environment>/environment.toml",
            )
        })
    }

    /// Returns the stack that runs a function; fails where none does.
    pub(crate) fn stack_of(&self, function: &FunctionName) -> Result<&StackName> {
        self.stacks.iter().find(|(_, stack)| stack.functions.contains(function)).map(|(name, _)| name).ok_or_else(|| {
            Failure::usage(format!("no stack runs the function `{function}`"))
                .hint(format!("add it to `functions` in terraform/stacks/<stack>/stack.toml, as in functions = [\"{function}\"]"))
        })
    }

    /// Returns the environment whose own store a command reads: the named one, or the emulated one of a project without
    /// `[store]`; nothing where the project's store is read.
    pub(crate) fn store_environment<'a>(
        &'a self,
        named: Option<&'a EnvironmentName>,
    ) -> Option<&'a EnvironmentName> {
        let emulated = || self.environments.iter().find(|(_, settings)| settings.is_emulated());
        named.or_else(|| emulated().map(|(name, _)| name).filter(|_| self.settings.store.is_none()))
    }

    /// Lists the environments whose releases come from a store: the one that owns it, or all that use the project's store.
    pub(crate) fn environments_of_store<'a>(
        &'a self,
        owner: Option<&'a EnvironmentName>,
    ) -> Vec<&'a EnvironmentName> {
        match owner {
            Some(owner) => vec![owner],
            None => {
                let shared = self.environments.iter().filter(|(_, settings)| !settings.is_emulated());
                shared.map(|(name, _)| name).collect()
            }
        }
    }

    /// Returns the folder of Slipway's own files, `target/slipway`.
    pub(crate) fn work_folder(&self) -> PathBuf {
        self.root.join("target/slipway")
    }
}

/// Returns the failure of an unknown name, with the nearest known ones; `file` is where a new one would be defined.
fn unknown_name<'a>(what: &str, wanted: &str, known: impl Iterator<Item = &'a str>, file: &str) -> Failure {
    let near = nearest(wanted, known, 5);
    let failure = Failure::usage(format!("unknown {what} `{wanted}`"));
    if near.is_empty() {
        failure.hint(format!("this project has none yet: add {file}"))
    } else {
        failure.hint(format!("{what}s here: {}", near.join(", ")))
    }
}

/// Loads `<parent>/<name>/<file>` of every folder that has one, by the folder's name.
fn load_folders<N, S>(
    root: &Path,
    parent: &str,
    file_name: &str,
    load: impl Fn(&Path, &Path) -> Result<S>,
) -> Result<BTreeMap<N, S>>
where
    N: std::str::FromStr<Err = crate::name::NameError> + Ord,
{
    let mut found = BTreeMap::new();
    let Ok(entries) = root.join(parent).read_dir() else {
        return Ok(found);
    };
    for entry in entries.flatten() {
        let relative = Path::new(parent).join(entry.file_name()).join(file_name);
        if !root.join(&relative).is_file() {
            continue;
        }
        let text = entry.file_name().to_string_lossy().into_owned();
        let name =
            text.parse::<N>().map_err(|error| Failure::usage(format!("{}: {error}", relative.display())))?;
        found.insert(name, load(root, &relative)?);
    }
    Ok(found)
}

//! `[build]` of a function's settings: how its code is built.
//!
//! In: the table and the function's runtime. Out: [`BuildSettings`]. Goes wrong: a path outside the function's folder, a
//! runtime that does not fit the build, a handler in the form of another runtime.

use std::path::{Component, Path};
use std::time::Duration;

use serde::Deserialize;

use super::super::file;
use super::super::project::CommandLines;
use crate::runtime::{Runtime, RuntimeFamily};

/// The minor version of the oldest Python that `with = "python"` builds for: functions can no longer be created with an
/// older one ([Lambda runtimes](https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html)).
const OLDEST_PYTHON: u32 = 10;

/// How a function is built.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, tag = "with", rename_all = "snake_case")]
pub(crate) enum BuildSettings {
    /// A Rust binary, built by cargo-lambda.
    Cargo {
        /// The binary's name; the package's name by default.
        binary: Option<String>,
        /// The Cargo package, anywhere in the workspace; the function's name by default.
        package: Option<String>,
        /// Features of the package to build with, besides its default ones.
        #[serde(default)]
        features: Vec<String>,
        /// Files to put beside the binary, as globs relative to the function's folder; each keeps its path below that folder.
        #[serde(default)]
        include: Vec<String>,
        /// Further files that change the bytes, as globs relative to the project.
        #[serde(default)]
        inputs: Vec<String>,
        /// Names of environment variables that reach the build; their values are inputs.
        #[serde(default)]
        env: Vec<String>,
    },
    /// Python sources, with wheels from a lock file.
    Python {
        /// Folders and files, relative to the function's folder, or to the project after a leading slash; each is put at the
        /// artifact's root under its last name.
        sources: Vec<String>,
        /// The lock file, relative to the function's folder; `requirements.lock` by default, where it exists.
        lock: Option<String>,
        /// Further files that change the bytes, as globs relative to the project.
        #[serde(default)]
        inputs: Vec<String>,
        /// Files of the artifact that the preflight ignores, as globs.
        #[serde(default)]
        allow: Vec<String>,
    },
    /// A command that fills a folder.
    Command {
        /// The command, split by a shell's quoting rules and run without a shell; or several, run in order.
        run: CommandLines,
        /// The folder that it fills, relative to the function's folder; Slipway empties it first.
        output: String,
        /// The time limit of all commands together.
        #[serde(deserialize_with = "file::duration", default = "ten_minutes")]
        within: Duration,
        /// Further files that change the bytes, as globs relative to the project.
        #[serde(default)]
        inputs: Vec<String>,
        /// Names of environment variables that reach the command; their values are inputs.
        #[serde(default)]
        env: Vec<String>,
        /// Commands that print the versions of the tools that the command uses; what they print is an input.
        #[serde(default)]
        tools: Vec<String>,
        /// Files of the artifact that the preflight ignores, as globs.
        #[serde(default)]
        allow: Vec<String>,
    },
}

impl BuildSettings {
    /// Returns the globs of further inputs.
    pub(crate) fn inputs(&self) -> &[String] {
        match self {
            Self::Cargo { inputs, .. } | Self::Python { inputs, .. } | Self::Command { inputs, .. } => inputs,
        }
    }

    /// Returns the names of the environment variables that reach the build.
    pub(crate) fn env(&self) -> &[String] {
        match self {
            Self::Cargo { env, .. } | Self::Command { env, .. } => env,
            Self::Python { .. } => &[],
        }
    }

    /// Returns the globs of the artifact's files that the preflight ignores.
    pub(crate) fn allow(&self) -> &[String] {
        match self {
            Self::Cargo { .. } => &[],
            Self::Python { allow, .. } | Self::Command { allow, .. } => allow,
        }
    }

    /// Lists the paths of a Python function's sources, relative to the project; `folder` is the function's.
    pub(crate) fn source_paths(&self, folder: &Path) -> Vec<String> {
        match self {
            Self::Python { sources, .. } => sources.iter().map(|path| source_path(folder, path)).collect(),
            Self::Cargo { .. } | Self::Command { .. } => Vec::new(),
        }
    }

    /// Checks the table by itself and against the runtime.
    ///
    /// # Errors
    /// The mistake, and how to correct it.
    pub(super) fn check(&self, runtime: &Runtime) -> Result<(), (String, Option<String>)> {
        match self {
            Self::Cargo { .. } if !runtime.is_custom() => {
                Err((format!("a Rust function needs `runtime = \"provided.al2023\"`, not `{runtime}`"), None))
            }
            Self::Cargo { .. } => Ok(()),
            Self::Python { sources, lock, .. } => {
                let listed = Runtime::LISTED.iter().filter(|listed| is_buildable_python(listed));
                let allowed: Vec<&str> = listed.map(Runtime::as_str).collect();
                if !allowed.contains(&runtime.as_str()) {
                    return Err((
                        format!("with = \"python\" needs a Python runtime, not `{runtime}`"),
                        Some(format!("allowed here: {}", allowed.join(", "))),
                    ));
                }
                if sources.is_empty() {
                    return Err((
                        "`sources` is empty".into(),
                        Some("name the folder of your package, as in sources = [\"src/ingest\"]".into()),
                    ));
                }
                sources.iter().try_for_each(|path| check_source(path))?;
                let mut names: Vec<(&str, &String)> =
                    sources.iter().filter_map(|path| Some((name_in_artifact(path)?, path))).collect();
                names.sort_unstable();
                if let Some([(name, first), (_, second)]) =
                    names.windows(2).find(|pair| pair[0].0 == pair[1].0)
                {
                    return Err((
                        format!(
                            "`{first}` and `{second}` in `sources` would both be `{name}` in the artifact"
                        ),
                        Some("rename one of the two folders: each source keeps its last name".into()),
                    ));
                }
                lock.as_ref().map_or(Ok(()), |lock| check_inside("lock", lock))
            }
            Self::Command { run, output, .. } => {
                if run.lines().is_empty() {
                    return Err(("`run` is empty".into(), None));
                }
                check_inside("output", output)
            }
        }
    }
}

fn is_buildable_python(runtime: &Runtime) -> bool {
    let minor = runtime.python_version().and_then(|version| version.strip_prefix("3.")?.parse().ok());
    minor.is_some_and(|minor: u32| minor >= OLDEST_PYTHON)
}

/// Returns the path of a source relative to the project; `folder` is the function's.
pub(crate) fn source_path(folder: &Path, source: &str) -> String {
    match source.strip_prefix('/') {
        Some(shared) => shared.to_owned(),
        None => folder.join(source).to_string_lossy().into_owned(),
    }
}

/// Returns the name of a source at the artifact's root.
pub(crate) fn name_in_artifact(path: &str) -> Option<&str> {
    Path::new(path).file_name().and_then(|name| name.to_str())
}

/// Refuses a source that is below neither the function's folder nor the project's.
fn check_source(path: &str) -> Result<(), (String, Option<String>)> {
    if is_below(path.strip_prefix('/').unwrap_or(path)) {
        return Ok(());
    }
    Err((
        format!("`sources` names {path:?}, which is not a path below the function's folder"),
        Some(
            "write it relative to the folder of function.toml, without . and ..; for a folder that functions share, \
             relative to the project with a leading slash, as in \"/lambda-src/common\""
                .into(),
        ),
    ))
}

fn is_below(path: &str) -> bool {
    let mut parts = Path::new(path).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// Refuses a path that is not below the function's folder.
fn check_inside(key: &str, path: &str) -> Result<(), (String, Option<String>)> {
    if is_below(path) {
        return Ok(());
    }
    Err((
        format!("`{key}` names {path:?}, which is not a path below the function's folder"),
        Some("write it relative to the folder of function.toml, without . and ..".into()),
    ))
}

/// Returns what is wrong with a handler for a runtime.
///
/// The forms are those of each runtime's page, such as
/// [Python's](https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html).
pub(super) fn handler_mistake(runtime: &Runtime, handler: &str) -> Option<String> {
    if handler.trim().is_empty() {
        return Some("`handler` is empty".into());
    }
    let identifier = |part: &str| {
        part.chars().all(|c| c.is_alphanumeric() || c == '_') && !part.starts_with(|c: char| c.is_numeric())
    };
    // The runtime imports the module by its name, whatever characters its file's name has: hyphens are common.
    let module = |module: &str| {
        let mut parts = module.strip_prefix('/').unwrap_or(module).split(['.', '/']);
        parts.all(|part| !part.is_empty() && !part.contains(char::is_whitespace))
    };
    let python = |handler: &str| {
        handler
            .rsplit_once('.')
            .is_some_and(|(path, name)| module(path) && !name.is_empty() && identifier(name))
    };
    (runtime.family() == Some(RuntimeFamily::Python) && !python(handler))
        .then(|| format!("`handler = \"{handler}\"` is not a valid Python handler"))
}

/// Returns a hint with an example of a runtime's handler.
pub(super) fn handler_example(runtime: &Runtime) -> &'static str {
    match runtime.family() {
        Some(RuntimeFamily::Python) => "write module.function, as in handler = \"ingest.app.handle\"",
        Some(RuntimeFamily::Node) => "write file.export, as in handler = \"index.handler\"",
        _ => "see the page on that runtime in Lambda's documentation",
    }
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

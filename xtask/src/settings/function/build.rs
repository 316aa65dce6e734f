//! `[build]` of a function's settings: how its bytes are made.
//!
//! In: the table, and the runtime beside it. Out: [`BuildSettings`]. Goes wrong: a path that leaves the function's
//! folder, a runtime that the way of building cannot serve, a handler of another runtime's form.

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
    /// A Rust binary, through cargo-lambda.
    Cargo {
        /// The binary's name; the package's name where left out.
        binary: Option<String>,
        /// The Cargo package; the function's name where left out.
        package: Option<String>,
        /// Further files that change the bytes, as globs relative to the project.
        #[serde(default)]
        inputs: Vec<String>,
    },
    /// Python sources, with wheels from a lock.
    Python {
        /// Folders and files, relative to the function's folder; each lies at the artifact's top by its last name.
        sources: Vec<String>,
        /// The hashed requirements, relative to the function's folder; `requirements.lock` where there is one.
        lock: Option<String>,
        /// Further files that change the bytes, as globs relative to the project.
        #[serde(default)]
        inputs: Vec<String>,
        /// Files of the artifact that the preflight is to let pass, as globs.
        #[serde(default)]
        allow: Vec<String>,
    },
    /// A command that fills a folder.
    Command {
        /// The command, split by a shell's quoting rules and run without a shell; or several, run in order.
        run: CommandLines,
        /// The folder that it fills, relative to the function's folder; emptied before.
        output: String,
        /// The time limit of all commands results.
        #[serde(deserialize_with = "file::duration", default = "ten_minutes")]
        within: Duration,
        /// Further files that change the bytes, as globs relative to the project.
        #[serde(default)]
        inputs: Vec<String>,
        /// Files of the artifact that the preflight is to let pass, as globs.
        #[serde(default)]
        allow: Vec<String>,
    },
}

impl BuildSettings {
    /// Returns the extra input globs.
    pub(crate) fn inputs(&self) -> &[String] {
        match self {
            Self::Cargo { inputs, .. } | Self::Python { inputs, .. } | Self::Command { inputs, .. } => inputs,
        }
    }

    /// Returns the globs of the artifact's files that the preflight lets pass.
    pub(crate) fn allow(&self) -> &[String] {
        match self {
            Self::Cargo { .. } => &[],
            Self::Python { allow, .. } | Self::Command { allow, .. } => allow,
        }
    }

    /// Checks the table for itself and against the runtime; a mistake comes with what to do about it.
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
                for path in sources {
                    inside("sources", path)?;
                }
                let mut names: Vec<&str> = sources.iter().filter_map(|path| name_in_artifact(path)).collect();
                names.sort_unstable();
                if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                    return Err((
                        format!(
                            "two of `sources` end with `{}`, and so would lie at the same place of the artifact",
                            pair[0]
                        ),
                        None,
                    ));
                }
                lock.as_ref().map_or(Ok(()), |lock| inside("lock", lock))
            }
            Self::Command { run, output, .. } => {
                if run.lines().is_empty() {
                    return Err(("`run` is empty".into(), None));
                }
                inside("output", output)
            }
        }
    }
}

fn is_buildable_python(runtime: &Runtime) -> bool {
    let minor = runtime.python_version().and_then(|version| version.strip_prefix("3.")?.parse().ok());
    minor.is_some_and(|minor: u32| minor >= OLDEST_PYTHON)
}

/// Returns the name under which a source lies in the artifact.
pub(crate) fn name_in_artifact(path: &str) -> Option<&str> {
    Path::new(path).file_name().and_then(|name| name.to_str())
}

/// Refuses a path that is not below the function's folder.
fn inside(key: &str, path: &str) -> Result<(), (String, Option<String>)> {
    let mut parts = Path::new(path).components().peekable();
    if parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_))) {
        return Ok(());
    }
    Err((
        format!("`{key}` names {path:?}, which is no path below the function's folder"),
        Some("write it relative to the folder of function.toml, without . and ..".into()),
    ))
}

/// Says what is wrong with a handler for a runtime, if anything.
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
    let python = |handler: &str| {
        handler.contains('.') && handler.split(['.', '/']).all(|part| !part.is_empty() && identifier(part))
    };
    (runtime.family() == Some(RuntimeFamily::Python) && !python(handler))
        .then(|| format!("`handler = \"{handler}\"` is no module and function of Python's"))
}

/// Shows what a runtime's handler looks like.
pub(super) fn handler_example(runtime: &Runtime) -> &'static str {
    match runtime.family() {
        Some(RuntimeFamily::Python) => "write module.function, as in handler = \"ingest.app.handle\"",
        Some(RuntimeFamily::Node) => "write file.export, as in handler = \"index.handler\"",
        _ => "write it as Lambda's page on that runtime says",
    }
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

//! A function that a command of the project builds.
//!
//! In: the command lines and the folder that they fill. Out: a tree of the files in that folder. Goes wrong: a program is
//! missing, fails or takes too long; the folder stays empty; it contains files that git tracks, which emptying would delete.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use slipway_archive::Tree;

use super::BuildContext;
use crate::exec::{self, Program, RunOptions};
use crate::failure::{self, Failure, Result};
use crate::format;
use crate::name::FunctionName;
use crate::progress::Step;
use crate::settings::FunctionSettings;
use crate::source::Source;

/// The settings of a build by command.
pub(super) struct CommandBuild<'a> {
    /// The command lines, in order.
    pub(super) run: &'a [String],
    /// The folder that they fill, relative to the function's.
    pub(super) output: &'a str,
    /// The time limit of all of them together.
    pub(super) time_limit: Duration,
}

/// Runs a function's commands and collects the files that they made.
pub(super) async fn build(
    context: &BuildContext<'_>,
    function: &FunctionName,
    settings: &FunctionSettings,
    source: &Source,
    build: &CommandBuild<'_>,
    step: &Step,
) -> Result<(Tree, BTreeMap<String, String>)> {
    let folder = context.project.root.join(&settings.folder);
    let output = folder.join(build.output);
    let relative = settings.folder.join(build.output);
    if let Some(file) = context.repository.tracked_file_below(&relative.to_string_lossy())? {
        return Err(Failure::usage(format!(
            "`output = \"{}\"` of `{function}` is emptied before each build, and git tracks {file}",
            build.output
        ))
        .unchanged("Nothing was built or deleted.")
        .hint("name a folder that contains only what the command makes, and add it to .gitignore"));
    }
    match std::fs::remove_dir_all(&output) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failure::io("empty", &output, error));
        }
        _ => std::fs::create_dir_all(&output).map_err(|error| failure::io("create", &output, error))?,
    }
    let epoch = super::source_date_epoch(context, source)?.to_string();
    let begun = Instant::now();
    for line in build.run {
        let program = program(function, settings, line, &folder)?.env("SOURCE_DATE_EPOCH", &epoch);
        let options = RunOptions {
            time_limit: Some(build.time_limit.saturating_sub(begun.elapsed())),
            ..RunOptions::default()
        };
        let ended = exec::run(&program, &options, context.interrupt, &mut |_, line| step.line(line))
            .await
            .map_err(|failure| failure.unchanged("Nothing was published."))?;
        if ended.timed_out {
            return Err(Failure::failed(format!(
                "building `{function}` took longer than {}: `{line}` was stopped",
                format::seconds(build.time_limit)
            ))
            .body(ended.tail.join("\n"))
            .unchanged("Nothing was published.")
            .hint("raise `within` in [build] of its function.toml"));
        }
        if !ended.success() {
            return Err(exec::exit_failure(&program, &ended).unchanged("Nothing was published."));
        }
    }
    let packed = |error: slipway_archive::Error| {
        let leads_outside = matches!(error, slipway_archive::Error::LinkEscapes { .. });
        let failure = Failure::failed(format!("the output of `{function}`'s command cannot be packed"))
            .caused_by(error)
            .unchanged("Nothing was published.");
        match leads_outside {
            true => failure.hint("let the command copy what the link leads to: bundle the code into one file, or use `pnpm deploy --prod` (its links stay inside its folder), `npm ci --install-links`, cp -RL"),
            false => failure,
        }
    };
    let tree = Tree::from_folder(&output).map_err(packed)?;
    if tree.is_empty() {
        return Err(Failure::failed(format!(
            "the command of `{function}` left no file in {}",
            relative.display()
        ))
        .detail("command", build.run.join(" && "))
        .unchanged("Nothing was published.")
        .hint("`output` in [build] is the folder that the command fills"));
    }
    Ok((tree, BTreeMap::new()))
}

/// Builds one command line.
fn program(
    function: &FunctionName,
    settings: &FunctionSettings,
    line: &str,
    folder: &std::path::Path,
) -> Result<Program> {
    let words = shlex::split(line).filter(|words| !words.is_empty()).ok_or_else(|| {
        Failure::usage(format!(
            "lambda-src/{function}/function.toml: `run` has a command line that cannot be split: {line}"
        ))
    })?;
    Ok(Program::new(&words[0], folder)
        .args(&words[1..])
        .env("SLIPWAY_FUNCTION", function.as_str())
        .env("SLIPWAY_ARCHITECTURE", settings.architecture.as_str())
        .env("SLIPWAY_RUNTIME", settings.runtime.as_str()))
}

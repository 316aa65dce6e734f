//! A function that a command of the project builds.
//!
//! In: the command lines and the folder that they fill. Out: a tree of the files in that folder. Goes wrong: a program is
//! missing, fails or takes too long; the folder stays empty; git tracks files in it, which would be no inputs.
//!
//! The commands run in a copy of the function's inputs, in the same layout below another folder, and with no variables but
//! those of the machine and the declared ones. A file or variable that is not an input is missing there, rather than unnoticed.

mod input_copy;

use std::path::Path;
use std::time::{Duration, Instant};

use slipway_archive::Tree;

pub(super) use self::input_copy::InputCopy;
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

/// Runs a function's commands and collects the files that they made; they lie in the copy of its inputs.
pub(super) async fn build(
    context: &BuildContext<'_>,
    function: &FunctionName,
    settings: &FunctionSettings,
    source: &Source,
    build: &CommandBuild<'_>,
    step: &Step,
) -> Result<(Tree, InputCopy)> {
    let relative = settings.folder.join(build.output);
    if let Some(file) = context.repository.tracked_file_below(&relative.to_string_lossy())? {
        return Err(Failure::usage(format!(
            "`output = \"{}\"` of `{function}` is not part of the function's inputs, and git tracks {file}",
            build.output
        ))
        .unchanged("Nothing was built.")
        .hint("name a folder that contains only what the command makes, and add it to .gitignore"));
    }
    let copy = InputCopy::make(&context.project.root, function, &source.inputs)?;
    let folder = copy.folder().join(&settings.folder);
    let output = folder.join(build.output);
    std::fs::create_dir_all(&output).map_err(|error| failure::io("create", &output, error))?;
    let epoch = super::SOURCE_DATE_EPOCH.to_string();
    let begun = Instant::now();
    for line in build.run {
        let program = program(context, function, settings, line, &folder)?.env("SOURCE_DATE_EPOCH", &epoch);
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
            return Err(exec::exit_failure(&program, &ended).unchanged("Nothing was published.").hint(
                "the command runs in a copy of the function's inputs: what it needs besides them is declared under [build] with inputs, env and tools",
            ));
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
    Ok((tree, copy))
}

/// Builds one command line.
fn program(
    context: &BuildContext<'_>,
    function: &FunctionName,
    settings: &FunctionSettings,
    line: &str,
    folder: &Path,
) -> Result<Program> {
    let words = shlex::split(line).filter(|words| !words.is_empty()).ok_or_else(|| {
        Failure::usage(format!(
            "lambda-src/{function}/function.toml: `run` has a command line that cannot be split: {line}"
        ))
    })?;
    let program = Program::new(&words[0], folder).args(&words[1..]).clean_env();
    let variables = context.process_env.for_builds(settings.build.env());
    let program = variables.into_iter().fold(program, |program, (name, value)| program.env(name, value));
    Ok(program
        .env("SLIPWAY_FUNCTION", function.as_str())
        .env("SLIPWAY_ARCHITECTURE", settings.architecture.as_str())
        .env("SLIPWAY_RUNTIME", settings.runtime.as_str()))
}

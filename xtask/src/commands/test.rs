//! `test`: the repository's own tests, in the groups that `pipelines/project.toml` names.
//!
//! A group whose programs are missing is left out, and named; with CI=true that is a failure.

use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use super::Answer;
use crate::app::AppContext;
use crate::exec::find_program;
use crate::exec::{self, Conduct, OnSignal, Output, Program};
use crate::failure::{Failure, FailureKind, Result};
use crate::format::{list, seconds};
use crate::output::Table;
use crate::settings::TestSettings;
use crate::tools::install::{ALL, Tool};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The groups; all where none is named.
    groups: Vec<String>,
}

/// What the tests came to.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Report {
    /// One for each group.
    pub(crate) groups: Vec<GroupReport>,
}

/// One group.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GroupReport {
    /// Its name.
    pub(crate) name: String,
    /// What became of it.
    pub(crate) verdict: Verdict,
    /// Programs that are missing.
    pub(crate) missing: Vec<String>,
    /// Milliseconds.
    pub(crate) took_ms: u64,
}

/// What became of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// All passed.
    Passed,
    /// Some did not.
    Failed,
    /// It was not run.
    LeftOut,
}

/// Runs the command.
pub(crate) async fn run(app: &AppContext, arguments: Arguments) -> Result<Answer> {
    let all = &app.project.settings.tests;
    if let Some(unknown) = arguments.groups.iter().find(|name| !all.contains_key(*name)) {
        return Err(Failure::usage(format!("unknown group of tests `{unknown}`"))
            .hint(format!("groups in pipelines/project.toml: {}", list(all.keys()))));
    }
    let mut chosen: Vec<(&String, &TestSettings)> = all
        .iter()
        .filter(|(name, settings)| match arguments.groups.as_slice() {
            [] => !settings.by_name,
            named => named.contains(name),
        })
        .collect();
    chosen.sort_by_key(|(name, settings)| (settings.order, (*name).clone()));
    let path = app.process_env.get("PATH").unwrap_or_default();
    let mut groups = Vec::new();
    for (name, settings) in chosen {
        let missing: Vec<String> =
            settings.needs.iter().filter(|program| find_program(program, path).is_none()).cloned().collect();
        let begun = Instant::now();
        let verdict = if missing.is_empty() { group(app, name, settings).await? } else { Verdict::LeftOut };
        groups.push(GroupReport {
            name: name.clone(),
            verdict,
            missing,
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }
    let mut table = Table::new(["tests", "verdict", "took", ""]);
    for group in &groups {
        let (verdict, why) = match group.verdict {
            Verdict::Passed => ("passed", String::new()),
            Verdict::Failed => ("FAILED", String::new()),
            Verdict::LeftOut => ("left out", format!("missing: {}", list(&group.missing))),
        };
        table.row([
            group.name.clone(),
            verdict.into(),
            seconds(std::time::Duration::from_millis(group.took_ms)),
            why,
        ]);
    }
    let names = |verdict| {
        groups
            .iter()
            .filter(|group| group.verdict == verdict)
            .map(|group| group.name.clone())
            .collect::<Vec<_>>()
    };
    let (failed, left_out) = (names(Verdict::Failed), names(Verdict::LeftOut));
    let failure = if !failed.is_empty() {
        Some(Failure::new(FailureKind::ChecksFailed, format!("tests failed: {}", list(&failed))))
    } else if !left_out.is_empty() && app.process_env.ci() {
        Some(
            Failure::new(
                FailureKind::ChecksFailed,
                format!("tests were left out, which CI=true does not allow: {}", list(&left_out)),
            )
            .hint("install what is missing: cargo xtask doctor"),
        )
    } else {
        None
    };
    Ok(Answer::new(&Report { groups }, table.render(""))?.with_failure(failure))
}

async fn group(app: &AppContext, name: &str, settings: &TestSettings) -> Result<Verdict> {
    prepare(app, settings).await?;
    let mut environment = settings.env.clone();
    environment.insert("SLIPWAY_TOOLS".into(), app.tools.folder().display().to_string());
    if let Some(moto) = app.tools.find(Tool::Moto) {
        environment.insert("SLIPWAY_MOTO_SERVER".into(), moto.display().to_string());
    }
    for line in settings.run.lines() {
        let words = shlex::split(line)
            .filter(|words| !words.is_empty())
            .ok_or_else(|| Failure::usage(format!("[tests.{name}]: cannot be split: {line}")))?;
        app.console.tell(&format!("tests     {name}: {line}"));
        let program = Program::new(&words[0], app.project.root.join(&settings.folder)).args(&words[1..]);
        let program = environment.iter().fold(program, |program, (name, value)| program.env(name, value));
        let conduct =
            Conduct { output: Output::Pipes, within: None, on_signal: OnSignal::Forward, stdin: None };
        let ended =
            exec::run(&program, &conduct, &app.interrupt, &mut |_| {}, &mut |_, line| app.console.tell(line))
                .await?;
        if ended.interrupted {
            return Err(crate::interrupt::interrupted());
        }
        if !ended.success() {
            return Ok(Verdict::Failed);
        }
    }
    Ok(Verdict::Passed)
}

async fn prepare(app: &AppContext, settings: &TestSettings) -> Result<()> {
    for name in &settings.tools {
        if name == "rust-builder" {
            app.rust_builder().ensure().await?;
            continue;
        }
        let tool = ALL.into_iter().find(|tool| tool.name() == name).ok_or_else(|| {
            Failure::usage(format!("pipelines/project.toml: `tools` names `{name}`"))
                .hint("allowed here: uv, zig, moto, rust-builder")
        })?;
        app.tools.ensure(tool).await?;
    }
    Ok(())
}

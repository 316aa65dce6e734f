//! Checks: commands that must pass before anything is written. In: their settings. Out: a report for each.
//!
//! They run in parallel, and each keeps its output in a file. A missing program is a failed check with a hint, unless the check's
//! `only_with` names the program: then the check is left out, and named with the reason. A check that passed on the same files, with the same settings and programs, does not run again on this machine,
//! except for a run that signs or that releases for a protected environment.

mod junit;
mod marks;
mod skipped;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use self::junit::junit;
use self::marks::PassedChecks;
use crate::command_lines::{CommandLineOutput, CommandLines, FailedLine, FailedLineReason};
use crate::digest::{Digest, DigestBuilder};
use crate::exec::find_program;
use crate::failure::{self, Failure, FailureKind, Result};
use crate::format;
use crate::graph::{self, Task};
use crate::interrupt::{Interrupt, Stop};
use crate::name::{FunctionName, nearest};
use crate::progress::Progress;
use crate::settings::{CheckSettings, ProcessEnvironment, Project};
use crate::source::Repository;
use crate::tools::install::{Tool, Tools};

/// Result of one check.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct CheckReport {
    /// Its name.
    pub(crate) name: String,
    /// Whether it passed.
    pub(crate) passed: bool,
    /// Whether it passed in an earlier run on the same files and did not run again.
    pub(crate) remembered: bool,
    /// Why it did not run on this machine, if it was left out. It did not pass then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left_out: Option<String>,
    /// Its command lines.
    pub(crate) run: Vec<String>,
    /// How many of its tests were skipped, by the summaries that its programs printed.
    pub(crate) skipped_tests: u64,
    /// Milliseconds.
    pub(crate) took_ms: u64,
    /// The file that keeps its output.
    pub(crate) log: Option<String>,
    /// Why it failed, in a sentence.
    pub(crate) why: Option<String>,
    /// What to do.
    pub(crate) hint: Option<String>,
    /// The last lines of its output, if it failed.
    pub(crate) tail: Vec<String>,
}

impl CheckReport {
    /// Returns whether it ran and did not pass.
    pub(crate) fn failed(&self) -> bool {
        !self.passed && self.left_out.is_none()
    }

    /// Returns how it ended, in a few words.
    pub(crate) fn verdict(&self) -> String {
        let ended = match (&self.left_out, self.passed) {
            (Some(_), _) => "left out",
            (None, true) => "passed",
            (None, false) => "failed",
        };
        let skipped = format::plural(usize::try_from(self.skipped_tests).unwrap_or(usize::MAX), "test");
        if self.skipped_tests == 0 { ended.to_owned() } else { format!("{ended}, {skipped} skipped") }
    }
}

/// What running checks needs.
pub(crate) struct Checks<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// The repository, whose files are checked.
    pub(crate) repository: &'a Repository,
    /// The environment, on whose PATH the programs of the checks are found, and whose credentials no check sees.
    pub(crate) process_env: &'a ProcessEnvironment,
    /// The tools that checks may name.
    pub(crate) tools: &'a Tools,
    /// The folder where output is kept.
    pub(crate) logs: PathBuf,
    /// Where events go.
    pub(crate) progress: &'a Progress,
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
    /// Stops other work as soon as a check failed.
    pub(crate) stop_on_failure: Option<&'a Stop>,
}

/// How many checks run at once: most of them use all cores.
const AT_ONCE: usize = 2;

/// How long a check runs before a console without bars says that it is running.
const ANNOUNCED_AFTER: Duration = Duration::from_secs(5);

impl Checks<'_> {
    /// Runs the named checks, or all. Checks that passed on these files run, too.
    pub(crate) async fn run(&self, names: &[String]) -> Result<Vec<CheckReport>> {
        let all = &self.project.settings.checks;
        for name in names {
            if !all.contains_key(name) {
                let near = nearest(name, all.keys().map(String::as_str), 5).join(", ");
                return Err(Failure::usage(format!("unknown check `{name}`"))
                    .hint(format!("checks in pipelines/project.toml: {near}")));
            }
        }
        let chosen = all.iter().filter(|(name, _)| names.is_empty() || names.contains(name)).collect();
        self.run_chosen(chosen, &PassedChecks::default()).await
    }

    /// Runs the checks that must pass before these functions are released. With `trust_marks`, those that passed on these
    /// files in an earlier run of this machine are left out.
    pub(crate) async fn run_for(
        &self,
        functions: &[FunctionName],
        trust_marks: bool,
    ) -> Result<Vec<CheckReport>> {
        let all = self.project.settings.checks.iter();
        let chosen = all.filter(|(_, check)| check.before_release && concerns(check, functions)).collect();
        let before = if trust_marks { self.passed_checks() } else { PassedChecks::default() };
        self.run_chosen(chosen, &before).await
    }

    async fn run_chosen(
        &self,
        chosen: Vec<(&String, &CheckSettings)>,
        before: &PassedChecks,
    ) -> Result<Vec<CheckReport>> {
        let tree = self.tree()?;
        let passed_before =
            |name: &str, settings: &CheckSettings| before.passed.contains(&self.mark(name, settings, &tree));
        let known: Vec<&str> = chosen
            .iter()
            .filter(|(name, settings)| passed_before(name, settings))
            .map(|(name, _)| name.as_str())
            .collect();
        if known.len() == chosen.len() {
            return Ok(chosen.iter().map(|(name, settings)| remembered(name, settings)).collect());
        }
        if !known.is_empty() {
            self.progress.note(format!("check     passed before on these files: {}", known.join(", ")));
        }
        std::fs::create_dir_all(&self.logs).map_err(|error| failure::io("create", &self.logs, error))?;
        let tasks = chosen.iter().map(|(name, settings)| {
            let known = passed_before(name, settings);
            let work = async move {
                match self.missing_program(settings) {
                    Some(program) => Ok(self.leave_out(name, settings, program)),
                    None if known => Ok(remembered(name, settings)),
                    None => self.run_one(name, settings).await,
                }
            };
            Task::new((*name).clone(), BTreeSet::new(), work)
        });
        let results = graph::run(tasks.collect(), AT_ONCE, self.interrupt).await;
        let mut reports = Vec::new();
        for (_, result) in results {
            reports.push(result.into_result()?);
        }
        let mut passed = self.passed_checks();
        for (report, (name, settings)) in reports.iter().zip(&chosen) {
            if report.passed {
                passed.passed.insert(self.mark(name, settings, &tree));
            }
        }
        self.remember(&passed);
        Ok(reports)
    }

    /// Returns the first program of `only_with` that is not on the check's PATH.
    fn missing_program<'s>(&self, settings: &'s CheckSettings) -> Option<&'s str> {
        let own = settings.env.get("PATH").map(String::as_str);
        let path = own.or(self.process_env.get("PATH")).unwrap_or_default();
        let missing = |program: &&String| find_program(program, path).is_none();
        settings.only_with.iter().find(missing).map(String::as_str)
    }

    /// Reports a check as left out because a program is missing.
    fn leave_out(&self, name: &str, settings: &CheckSettings, program: &str) -> CheckReport {
        let why = format!("`{program}` is not on the PATH");
        self.progress.note(format!("check     left out: {name}, because {why}"));
        CheckReport { passed: false, left_out: Some(why), ..blank(name, settings) }
    }

    async fn run_one(&self, name: &str, settings: &CheckSettings) -> Result<CheckReport> {
        let log = self.logs.join(format!("check-{name}.log"));
        let mut output = String::new();
        let step = self.progress.step("check", name);
        let started = Instant::now();
        let lines = self.command_lines(name, settings).await?;
        let mut keep = |line: CommandLineOutput<'_>| match line {
            CommandLineOutput::Command(line) => output.push_str(&format!("$ {line}\n")),
            CommandLineOutput::Line(line) => {
                output.push_str(&format!("{line}\n"));
                step.line(line);
            }
        };
        let failed = step.announced_after(ANNOUNCED_AFTER, lines.run(self.interrupt, &mut keep)).await?;
        let report = CheckReport {
            log: Some(log.display().to_string()),
            took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            skipped_tests: skipped::skipped_tests(&output),
            ..blank(name, settings)
        };
        std::fs::write(&log, output).map_err(|error| failure::io("write", &log, error))?;
        let Some(failed) = failed else {
            step.done(report.verdict());
            return Ok(report);
        };
        self.stop_on_failure.iter().for_each(|stop| stop.stop());
        step.failed("failed");
        let hint = settings.hint.clone().or_else(|| hint(name, &failed));
        Ok(CheckReport { passed: false, why: Some(failed.why()), hint, tail: failed.tail, ..report })
    }

    async fn command_lines(&self, name: &str, settings: &CheckSettings) -> Result<CommandLines> {
        let data = self.project.work_folder().join("checks").join(name).display().to_string();
        let variables = [
            ("TF_DATA_DIR", data.as_str()),
            ("TF_IN_AUTOMATION", "1"),
            ("CHECKPOINT_DISABLE", "1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).into_iter();
        let withheld = self.process_env.credential_names();
        let withheld = withheld.filter(|name| !settings.credentials.iter().any(|allowed| allowed == name));
        let mut env: Vec<(String, Option<String>)> =
            withheld.map(|name| (name.to_owned(), None)).chain(variables).collect();
        let mut folders = Vec::new();
        for tool in &settings.tools {
            let tool = Tool::named(tool, &format!("pipelines/project.toml: [checks.{name}]"))?;
            let program = self.tools.ensure(tool).await?;
            folders.extend(program.parent().map(|folder| folder.display().to_string()));
        }
        if !folders.is_empty() {
            folders.push(self.process_env.get("PATH").unwrap_or_default().to_owned());
            env.push(("PATH".to_owned(), Some(folders.join(":"))));
        }
        env.extend(settings.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))));
        Ok(CommandLines {
            owner: format!("the check `{name}`"),
            lines: settings.run.lines().to_vec(),
            folder: self.project.root.join(&settings.folder),
            env,
            time_limit: Some(settings.within),
            ..CommandLines::default()
        })
    }

    /// Hashes the whole work tree: what the checks read.
    fn tree(&self) -> Result<Digest> {
        let tree = self.repository.work_tree(&[String::new()])?;
        let mut digest = DigestBuilder::new("slipway.tree/1");
        for (path, content) in &tree.files {
            digest.part(path, content.to_text());
        }
        Ok(digest.finish())
    }
}

/// Returns what to do about a check that failed, unless its settings say it.
fn hint(name: &str, failed: &FailedLine) -> Option<String> {
    match &failed.reason {
        FailedLineReason::ProgramMissing(failure) => failure.report().hint,
        FailedLineReason::TimedOut(_) => Some(format!("raise `within` of [checks.{name}]")),
        FailedLineReason::Exited(_) => None,
    }
}

/// Returns the failure of checks that did not pass.
pub(crate) fn failure(reports: &[CheckReport]) -> Option<Failure> {
    let failed: Vec<&CheckReport> = reports.iter().filter(|report| report.failed()).collect();
    if failed.is_empty() {
        return None;
    }
    let names = format::list(failed.iter().map(|report| report.name.as_str()));
    let mut body = String::new();
    for report in &failed {
        body.push_str(&format!("{}: {}\n", report.name, report.why.as_deref().unwrap_or("failed")));
        report.tail.iter().rev().take(12).rev().for_each(|line| body.push_str(&format!("  {line}\n")));
        if let Some(hint) = &report.hint {
            body.push_str(&format!("  -> {hint}\n"));
        }
    }
    let logs: BTreeMap<&str, &str> =
        failed.iter().filter_map(|report| Some((report.name.as_str(), report.log.as_deref()?))).collect();
    let failure = Failure::new(
        FailureKind::ChecksFailed,
        format!("{} did not pass: {names}", format::plural(failed.len(), "check")),
    )
    .body(body.trim_end().to_owned())
    .unchanged("Nothing was published or deployed.")
    .hint("repair it and run the same command again; checks that passed do not run again on the same files");
    Some(logs.into_iter().fold(failure, |failure, (name, log)| failure.detail(name, log)))
}

fn blank(name: &str, settings: &CheckSettings) -> CheckReport {
    CheckReport {
        name: name.to_owned(),
        passed: true,
        remembered: false,
        left_out: None,
        run: settings.run.lines().to_vec(),
        skipped_tests: 0,
        took_ms: 0,
        log: None,
        why: None,
        hint: None,
        tail: Vec::new(),
    }
}

/// Returns whether a check must pass before one of these functions is released.
fn concerns(check: &CheckSettings, functions: &[FunctionName]) -> bool {
    check.functions.is_empty() || check.functions.iter().any(|function| functions.contains(function))
}

fn remembered(name: &str, settings: &CheckSettings) -> CheckReport {
    CheckReport { remembered: true, ..blank(name, settings) }
}

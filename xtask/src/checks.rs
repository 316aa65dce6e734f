//! Checks: commands that must pass before anything is written. In: their settings. Out: a verdict for each.
//!
//! They run in parallel; each keeps its output. A missing program is a failed check with a hint, never a skipped one.
//! A check that passed on exactly this tree, as it is now defined, is not run again on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestBuilder};
use crate::exec::{self, Conduct, OnSignal, Output, Program};
use crate::failure::{self, Failure, FailureKind, Result};
use crate::format;
use crate::graph::{self, Task};
use crate::interrupt::{Interrupt, Stop};
use crate::name::{FunctionName, nearest};
use crate::progress::Progress;
use crate::settings::{CheckSettings, Project};
use crate::source::Repository;

/// What one check came to.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct CheckReport {
    /// Its name.
    pub(crate) name: String,
    /// Whether it passed.
    pub(crate) passed: bool,
    /// Whether this was known from an earlier run on the same tree.
    pub(crate) remembered: bool,
    /// Its command lines.
    pub(crate) run: Vec<String>,
    /// Milliseconds.
    pub(crate) took_ms: u64,
    /// The file that keeps its output.
    pub(crate) log: Option<String>,
    /// Why it failed, in a sentence.
    pub(crate) why: Option<String>,
    /// What to do.
    pub(crate) hint: Option<String>,
    /// Its last lines, where it failed.
    pub(crate) tail: Vec<String>,
}

/// What running checks needs.
pub(crate) struct Checks<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// The repository, whose tree is what is checked.
    pub(crate) repository: &'a Repository,
    /// Where output is kept.
    pub(crate) logs: PathBuf,
    /// Where events go.
    pub(crate) progress: &'a Progress,
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
    /// What runs beside them and is ended once one of them has failed.
    pub(crate) beside: Option<&'a Stop>,
}

#[derive(Default, Serialize, Deserialize)]
struct Memory {
    /// Digests of check and tree that passed.
    passed: BTreeSet<String>,
}

/// How many checks run at once: each is a program that uses all cores where it can.
const AT_ONCE: usize = 2;

impl Checks<'_> {
    /// Runs the named checks, or all. Those that passed on this very tree are run too.
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
        self.run_chosen(chosen, true).await
    }

    /// Runs what must pass before these functions are released; what passed on this very tree is not run again.
    pub(crate) async fn run_for(&self, functions: &[FunctionName]) -> Result<Vec<CheckReport>> {
        let chosen =
            self.project.settings.checks.iter().filter(|(_, check)| concerns(check, functions)).collect();
        self.run_chosen(chosen, false).await
    }

    async fn run_chosen(
        &self,
        chosen: Vec<(&String, &CheckSettings)>,
        fresh: bool,
    ) -> Result<Vec<CheckReport>> {
        let tree = self.tree()?;
        let memory_file = self.project.work_folder().join("checks.json");
        let mut memory: Memory = std::fs::read(&memory_file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let known = |name: &str, settings: &CheckSettings| {
            !fresh && memory.passed.contains(&mark(name, settings, &tree).hex())
        };
        if chosen.iter().all(|(name, settings)| known(name, settings)) {
            // Nothing is waited for, so nothing is told.
            return Ok(chosen.iter().map(|(name, settings)| remembered(name, settings)).collect());
        }
        let names: Vec<&str> = chosen.iter().map(|(name, _)| name.as_str()).collect();
        let step = self.progress.slow_step("checks", names.join(" · "));
        std::fs::create_dir_all(&self.logs).map_err(|error| failure::io("create", &self.logs, error))?;
        let tasks = chosen.iter().map(|(name, settings)| {
            let known = known(name, settings);
            let work = async move {
                if known { Ok(remembered(name, settings)) } else { self.one(name, settings).await }
            };
            Task::new((*name).clone(), BTreeSet::new(), work)
        });
        let results = graph::run(tasks.collect(), AT_ONCE, self.interrupt).await;
        let mut reports = Vec::new();
        for (_, result) in results {
            reports.push(result.outcome()?);
        }
        for (report, (name, settings)) in reports.iter().zip(&chosen) {
            if report.passed {
                memory.passed.insert(mark(name, settings, &tree).hex());
            }
        }
        // Only a saving of time: where it cannot be kept, the checks run again.
        let _ = serde_json::to_vec(&memory).map(|bytes| std::fs::write(&memory_file, bytes));
        let failed = reports.iter().filter(|report| !report.passed).count();
        if failed == 0 {
            step.done(format!("{} passed", reports.len()));
        } else {
            step.failed(format!("{failed} failed"));
        }
        Ok(reports)
    }

    async fn one(&self, name: &str, settings: &CheckSettings) -> Result<CheckReport> {
        let begun = Instant::now();
        let log = self.logs.join(format!("check-{name}.log"));
        let mut report = blank(name, settings);
        report.log = Some(log.display().to_string());
        let mut kept = String::new();
        for line in settings.run.lines() {
            let left = settings.within.saturating_sub(begun.elapsed());
            match self.command(name, settings, line, left, &mut kept).await? {
                Ok(()) => {}
                Err((why, hint, tail)) => {
                    self.beside.iter().for_each(|stop| stop.stop());
                    report.passed = false;
                    report.why = Some(why);
                    report.hint = settings.hint.clone().or(hint);
                    report.tail = tail;
                    break;
                }
            }
        }
        report.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        std::fs::write(&log, kept).map_err(|error| failure::io("write", &log, error))?;
        Ok(report)
    }

    /// Runs one command line; the inner error is the check's own failure.
    async fn command(
        &self,
        name: &str,
        settings: &CheckSettings,
        line: &str,
        within: Duration,
        kept: &mut String,
    ) -> Result<Result<(), (String, Option<String>, Vec<String>)>> {
        let words = shlex::split(line).filter(|words| !words.is_empty());
        let Some(words) = words else {
            return Err(Failure::usage(format!(
                "pipelines/project.toml: the check `{name}` has a command line that cannot be split: {line}"
            )));
        };
        let program = Program::new(&words[0], self.project.root.join(&settings.folder)).args(&words[1..]);
        let data = self.project.work_folder().join("checks").join(name);
        let program =
            program.env("TF_DATA_DIR", data).env("TF_IN_AUTOMATION", "1").env("CHECKPOINT_DISABLE", "1");
        let program = settings.env.iter().fold(program, |program, (name, value)| program.env(name, value));
        kept.push_str(&format!("$ {line}\n"));
        let conduct = Conduct {
            output: Output::Pipes,
            within: Some(within),
            on_signal: OnSignal::Forward,
            stdin: None,
        };
        let ended = exec::run(&program, &conduct, self.interrupt, &mut |_| {}, &mut |_, line| {
            kept.push_str(line);
            kept.push('\n');
        })
        .await;
        match ended {
            Ok(ended) if ended.interrupted => Err(crate::interrupt::interrupted()),
            Ok(ended) if ended.success() => Ok(Ok(())),
            Ok(ended) if ended.timed_out => Ok(Err((
                format!("took longer than {}", format::seconds(settings.within)),
                Some(format!("raise `within` of [checks.{name}]")),
                ended.tail,
            ))),
            Ok(ended) => Ok(Err((
                format!(
                    "`{line}` {}",
                    ended
                        .code
                        .map_or("was ended by a signal".to_owned(), |code| format!("exited with {code}"))
                ),
                None,
                ended.tail,
            ))),
            Err(failure) if exec::is_missing(&failure) => {
                Ok(Err((failure.message().to_owned(), failure.report().hint, Vec::new())))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Hashes the whole work tree: what the checks look at.
    fn tree(&self) -> Result<Digest> {
        let tree = self.repository.work_tree(&[String::new()])?;
        let mut digest = DigestBuilder::new("slipway.tree/1");
        for (path, content) in &tree.files {
            digest.part(path, format!("{} {}", content.blob, content.executable));
        }
        Ok(digest.finish())
    }
}

/// Makes the failure of checks that did not pass.
pub(crate) fn failure(reports: &[CheckReport]) -> Option<Failure> {
    let failed: Vec<&CheckReport> = reports.iter().filter(|report| !report.passed).collect();
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
    .hint("repair it and run the same command again; checks that passed are not run again on the same tree");
    Some(logs.into_iter().fold(failure, |failure, (name, log)| failure.detail(name, log)))
}

fn mark(name: &str, settings: &CheckSettings, tree: &Digest) -> Digest {
    let mut digest = DigestBuilder::new("slipway.check/1");
    digest.part("name", name);
    settings.run.lines().iter().for_each(|line| digest.part("run", line));
    digest.part("folder", settings.folder.to_string_lossy().as_bytes());
    settings.env.iter().for_each(|(name, value)| digest.part(name, value));
    digest.part("tree", tree.bytes());
    digest.finish()
}

fn blank(name: &str, settings: &CheckSettings) -> CheckReport {
    CheckReport {
        name: name.to_owned(),
        passed: true,
        remembered: false,
        run: settings.run.lines().to_vec(),
        took_ms: 0,
        log: None,
        why: None,
        hint: None,
        tail: Vec::new(),
    }
}

/// Tells whether a check must pass before one of these functions is released.
fn concerns(check: &CheckSettings, functions: &[FunctionName]) -> bool {
    check.functions.is_empty() || check.functions.iter().any(|function| functions.contains(function))
}

fn remembered(name: &str, settings: &CheckSettings) -> CheckReport {
    CheckReport { remembered: true, ..blank(name, settings) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_runs_for_the_functions_that_it_names_or_for_all() {
        let check = |text: &str| toml::from_str::<CheckSettings>(text).unwrap();
        let hello: FunctionName = "hello".parse().unwrap();
        let other: FunctionName = "other".parse().unwrap();
        let for_hello = check("run = \"true\"\nfunctions = [\"hello\"]");
        assert!(concerns(&for_hello, &[other.clone(), hello]));
        assert!(!concerns(&for_hello, std::slice::from_ref(&other)));
        assert!(!concerns(&for_hello, &[]));
        assert!(concerns(&check("run = \"true\""), &[other]));
    }
}

//! Runs command lines from settings files in order until one fails: checks, groups of tests, test suites.
//!
//! In: the lines, split by a shell's quoting rules and run without a shell; folder, environment and time limit. Out: the
//! line that failed and why, if one did. Errors: a line that cannot be split, a program that cannot be started although
//! it exists, a signal.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::exec::{self, Program, RunOptions};
use crate::interrupt::{self, Interrupt};
use slipway_values::failure::{Failure, Result};
use slipway_values::format;

/// Command lines and how they run.
#[derive(Debug, Clone, Default)]
pub struct CommandLines {
    /// What they belong to, for messages: ``the check `clippy` ``.
    pub owner: String,
    /// The lines, in order.
    pub lines: Vec<String>,
    /// The working folder.
    pub folder: PathBuf,
    /// Environment variables; `None` removes one.
    pub env: Vec<(String, Option<String>)>,
    /// Programs that are not on the PATH, by the first word of a line.
    pub programs: BTreeMap<String, PathBuf>,
    /// The time limit of all lines together.
    pub time_limit: Option<Duration>,
}

/// What running command lines prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandLineOutput<'a> {
    /// A command line starts.
    Command(&'a str),
    /// A line of its output, of either stream.
    Line(&'a str),
}

/// The command line that failed; the lines after it did not run.
#[derive(Debug)]
pub struct FailedLine {
    /// The line.
    pub line: String,
    /// Why it failed.
    pub reason: FailedLineReason,
    /// The last lines of its output, oldest first.
    pub tail: Vec<String>,
}

/// Why a command line failed.
#[derive(Debug)]
pub enum FailedLineReason {
    /// Its program does not exist.
    ProgramMissing(Failure),
    /// All lines together exceeded this time limit.
    TimedOut(Duration),
    /// Its exit code; `None` if a signal killed it.
    Exited(Option<i32>),
}

impl FailedLine {
    /// Returns the reason in one sentence.
    pub fn why(&self) -> String {
        match &self.reason {
            FailedLineReason::ProgramMissing(failure) => failure.message().to_owned(),
            FailedLineReason::TimedOut(limit) => format!("took longer than {}", format::seconds(*limit)),
            FailedLineReason::Exited(code) => format!("`{}` {}", self.line, exec::exit_text(*code)),
        }
    }
}

impl CommandLines {
    /// Runs the lines until one fails; returns the one that did.
    pub async fn run(
        &self,
        interrupt: &Interrupt,
        on_output: &mut (dyn FnMut(CommandLineOutput<'_>) + Send),
    ) -> Result<Option<FailedLine>> {
        let started = Instant::now();
        let programs: Vec<Program> =
            self.lines.iter().map(|line| self.program(line)).collect::<Result<_>>()?;
        for (line, program) in self.lines.iter().zip(&programs) {
            let time_limit = self.time_limit.map(|limit| limit.saturating_sub(started.elapsed()));
            on_output(CommandLineOutput::Command(line));
            let options = RunOptions { time_limit, ..RunOptions::default() };
            let print = &mut |_, line: &str| on_output(CommandLineOutput::Line(line));
            let (reason, tail) = match exec::run(program, &options, interrupt, print).await {
                Ok(result) if result.interrupted => return Err(interrupt::interrupted()),
                Ok(result) if result.success() => continue,
                Ok(result) if result.timed_out => {
                    (FailedLineReason::TimedOut(self.time_limit.unwrap_or_default()), result.tail)
                }
                Ok(result) => (FailedLineReason::Exited(result.code), result.tail),
                Err(failure) if exec::is_program_missing(&failure) => {
                    (FailedLineReason::ProgramMissing(failure), Vec::new())
                }
                Err(failure) => return Err(failure),
            };
            return Ok(Some(FailedLine { line: line.clone(), reason, tail }));
        }
        Ok(None)
    }

    /// Splits a line and makes its program.
    fn program(&self, line: &str) -> Result<Program> {
        let words = shlex::split(line).filter(|words| !words.is_empty()).ok_or_else(|| {
            Failure::usage(format!("a command line of {} is empty or has an open quote: {line}", self.owner))
        })?;
        let program = match self.programs.get(&words[0]) {
            Some(path) => Program::new(path, &self.folder),
            None => Program::new(&words[0], &self.folder),
        };
        Ok(self.env.iter().fold(program.args(&words[1..]), |program, (name, value)| match value {
            Some(value) => program.env(name, value),
            None => program.without_env(name),
        }))
    }
}

#[cfg(test)]
mod tests {
    use slipway_values::failure::FailureKind;

    use super::*;

    fn lines(lines: &[&str]) -> CommandLines {
        CommandLines {
            owner: "the check `demo`".into(),
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            folder: ".".into(),
            ..CommandLines::default()
        }
    }

    async fn run(lines: &CommandLines) -> (Result<Option<FailedLine>>, Vec<String>) {
        let mut printed = Vec::new();
        let mut print = |output: CommandLineOutput<'_>| {
            printed.push(match output {
                CommandLineOutput::Command(line) => format!("$ {line}"),
                CommandLineOutput::Line(line) => line.to_owned(),
            });
        };
        let result = lines.run(&Interrupt::never(), &mut print).await;
        (result, printed)
    }

    #[tokio::test]
    async fn lines_run_in_order_with_quotes_and_without_a_shell() {
        let (result, printed) = run(&lines(&["echo 'a  b' $HOME", "echo second"])).await;
        assert!(result.unwrap().is_none());
        assert_eq!(printed, ["$ echo 'a  b' $HOME", "a  b $HOME", "$ echo second", "second"]);
    }

    #[tokio::test]
    async fn first_failed_line_ends_the_run_with_its_last_output() {
        let (result, printed) = run(&lines(&["sh -c 'echo why; exit 3'", "echo never"])).await;
        let failed = result.unwrap().unwrap();
        assert_eq!(failed.why(), "`sh -c 'echo why; exit 3'` exited with 3");
        assert_eq!(failed.tail, ["why"]);
        assert!(!printed.contains(&"never".to_owned()), "{printed:?}");
    }

    #[tokio::test]
    async fn time_limit_counts_for_all_lines_together() {
        let limit = Some(Duration::from_millis(400));
        let two = CommandLines { time_limit: limit, ..lines(&["sleep 0.2", "sleep 5"]) };
        let (result, _) = run(&two).await;
        let failed = result.unwrap().unwrap();
        assert_eq!((failed.line.as_str(), failed.why().as_str()), ("sleep 5", "took longer than 0.4 s"));
    }

    #[tokio::test]
    async fn missing_program_is_a_reason_with_its_failure() {
        let (result, _) = run(&lines(&["no-such-program-here --version"])).await;
        let failed = result.unwrap().unwrap();
        assert_eq!(failed.why(), "the program `no-such-program-here` was not found");
        let FailedLineReason::ProgramMissing(failure) = failed.reason else { panic!("{:?}", failed.reason) };
        assert!(failure.report().hint.unwrap().starts_with("install no-such-program-here"));
    }

    #[tokio::test]
    async fn line_with_an_open_quote_fails_before_any_line_runs() {
        let (result, printed) = run(&lines(&["echo first", "echo 'open"])).await;
        let failure = result.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Usage);
        assert_eq!(
            failure.message(),
            "a command line of the check `demo` is empty or has an open quote: echo 'open"
        );
        assert_eq!(printed, Vec::<String>::new());
    }

    #[tokio::test]
    async fn variables_are_set_or_removed_and_programs_substituted() {
        let mut two = lines(&["shell -c 'echo $A ${HOME-removed}'"]);
        two.env = vec![("A".into(), Some("1".into())), ("HOME".into(), None)];
        two.programs = BTreeMap::from([("shell".to_owned(), PathBuf::from("/bin/sh"))]);
        let (result, printed) = run(&two).await;
        assert!(result.unwrap().is_none());
        assert_eq!(printed[1], "1 removed");
    }

    #[tokio::test]
    async fn stopped_run_is_interrupted() {
        let (interrupt, stop) = Interrupt::never().stoppable();
        stop.stop();
        let failure = lines(&["true"]).run(&interrupt, &mut |_| {}).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Interrupted);
    }
}

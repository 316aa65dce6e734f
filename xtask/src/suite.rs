//! Runs a function's own test suite against a deployment: `cargo xtask verify --full`.
//!
//! In: the suite's command lines and environment from function.toml, the stack's outputs, the address. Out: a report with
//! the failing tests. Errors: a value for the environment that is missing, a program that cannot be started, a signal.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;

use crate::command_lines::{CommandLineOutput, CommandLines, FailedLineReason};
use crate::failure::{Failure, FailureKind, Result};
use crate::format;
use crate::interrupt::Interrupt;
use crate::name::FunctionName;
use crate::plan::Applied;
use crate::ports::Services;
use crate::progress::Progress;
use crate::settings::DeploymentTests;
use crate::verification::{SecretMask, Values};

/// A function's suite.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Suite")]
pub(crate) struct SuiteReport {
    /// The function.
    pub(crate) function: FunctionName,
    /// Whether it passed.
    pub(crate) passed: bool,
    /// Milliseconds.
    pub(crate) took_ms: u64,
    /// Where it failed: the failing tests as pytest names them, or else the last lines of the output.
    pub(crate) failures: Vec<String>,
}

/// What every suite of an environment uses.
pub(crate) struct Suites<'a> {
    /// The project's folder, where the command lines run.
    pub(crate) root: &'a Path,
    /// The environment variables of the account's credentials and endpoints; an empty value removes one.
    pub(crate) variables: &'a [(String, String)],
    /// The region.
    pub(crate) region: &'a str,
    /// The account's secrets.
    pub(crate) services: &'a Arc<dyn Services>,
    /// uv's executable, for lines that begin with `uv`.
    pub(crate) uv: Option<PathBuf>,
    /// Where the suite's output goes, line by line.
    pub(crate) print: &'a (dyn Fn(&str) + Sync),
    /// Where events go.
    pub(crate) progress: &'a Progress,
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
}

/// Returns whether a suite's command lines need uv.
pub(crate) fn uses_uv(tests: &DeploymentTests) -> bool {
    tests.run.lines().iter().any(|line| line.split_whitespace().next() == Some("uv"))
}

/// Returns whether a suite can run without the function's address. Of two functions behind one address only the function
/// that serves there has it.
pub(crate) fn needs_address(tests: &DeploymentTests) -> bool {
    tests.env.values().any(|value| value.contains("${url}"))
}

impl Suites<'_> {
    /// Runs a function's suite.
    pub(crate) async fn run(
        &self,
        function: &FunctionName,
        tests: &DeploymentTests,
        applied: &Applied,
        address: Option<&str>,
    ) -> Result<SuiteReport> {
        let (env, secrets) = self.environment(tests, applied, address).await?;
        let lines = CommandLines {
            owner: format!("the deployment tests of `{function}`"),
            lines: tests.run.lines().to_vec(),
            folder: self.root.to_path_buf(),
            env,
            programs: self.uv.iter().map(|path| ("uv".to_owned(), path.clone())).collect(),
            time_limit: Some(tests.within),
        };
        let step = self.progress.slow_step("suite", function.to_string());
        let started = Instant::now();
        let mut failures = Vec::new();
        let failed = lines
            .run(self.interrupt, &mut |output| {
                if let CommandLineOutput::Line(line) = output {
                    let line = secrets.mask(line);
                    (self.print)(&line);
                    if is_failing_test(&line) {
                        failures.push(line);
                    }
                }
            })
            .await?;
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let passed = failed.is_none();
        match failed {
            None => {
                step.done("passed");
                failures.clear();
            }
            Some(failed) => {
                step.failed("failed");
                if failures.is_empty() {
                    failures = failed.tail.iter().map(|line| secrets.mask(line)).collect();
                }
                if let FailedLineReason::ProgramMissing(failure) = failed.reason {
                    return Err(failure);
                }
            }
        }
        Ok(SuiteReport { function: function.clone(), passed, took_ms, failures })
    }

    /// Returns the suite's environment variables: the account's, then the suite's own with their values filled in. And the secrets
    /// among them.
    async fn environment(
        &self,
        tests: &DeploymentTests,
        applied: &Applied,
        address: Option<&str>,
    ) -> Result<(Vec<(String, Option<String>)>, SecretMask)> {
        let mut values = Values::new(&applied.outputs, self.services);
        if let Some(address) = address {
            values.set("url", &address.into());
        }
        // Python's SDK reads the region from AWS_DEFAULT_REGION only.
        let region = ("AWS_DEFAULT_REGION".to_owned(), self.region.to_owned());
        let mut variables: Vec<(String, String)> =
            self.variables.iter().cloned().chain(std::iter::once(region)).collect();
        for (name, value) in &tests.env {
            variables.push((name.clone(), values.fill(value).await?));
        }
        // Terraform takes an empty AWS_PROFILE for none; other programs look for a profile without a name.
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name, Some(value).filter(|value| !value.is_empty())))
            .collect();
        Ok((variables, values.secrets().clone()))
    }
}

/// Returns the failure of suites that did not pass.
pub(crate) fn failure(environment: &str, suites: &[SuiteReport]) -> Option<Failure> {
    let failed = || suites.iter().filter(|suite| !suite.passed);
    failed().next()?;
    let names = format::list(failed().map(|suite| suite.function.as_str()));
    let failure = Failure::new(
        FailureKind::VerificationFailed,
        format!("the suite of {names} failed in {environment}"),
    )
    .unchanged("What serves was not changed: a suite rolls nothing back.");
    let lines: Vec<&str> = failed().flat_map(|suite| &suite.failures).map(String::as_str).collect();
    Some(if lines.is_empty() { failure } else { failure.body(lines.join("\n")) })
}

/// Returns whether a line of pytest's summary names a test that failed or could not be set up.
fn is_failing_test(line: &str) -> bool {
    ["FAILED ", "ERROR "].iter().any(|word| line.strip_prefix(word).is_some_and(|rest| rest.contains("::")))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::fakes::FakeServices;

    fn suite(text: &str) -> DeploymentTests {
        toml::from_str(text).unwrap()
    }

    async fn run(tests: &DeploymentTests, address: Option<&str>) -> (Result<SuiteReport>, Vec<String>) {
        let services: Arc<dyn Services> = Arc::new(FakeServices::default());
        let printed = Mutex::new(Vec::new());
        let suites = Suites {
            root: Path::new("."),
            variables: &[("AWS_PROFILE".to_owned(), String::new())],
            region: "eu-central-1",
            services: &services,
            uv: Some("/bin/echo".into()),
            print: &|line| printed.lock().unwrap().push(line.to_owned()),
            progress: &Progress::silent(),
            interrupt: &Interrupt::never(),
        };
        let report = suites.run(&"hello".parse().unwrap(), tests, &Applied::default(), address).await;
        (report, printed.into_inner().unwrap())
    }

    #[tokio::test]
    async fn suite_gets_region_address_and_its_own_variables() {
        let tests = suite(
            r#"run = "sh -c 'echo $BASE_URL $AWS_DEFAULT_REGION ${AWS_PROFILE-no profile}'"
               env = { BASE_URL = "${url}api" }"#,
        );
        let (report, printed) = run(&tests, Some("http://here/")).await;
        assert!(report.unwrap().passed);
        assert_eq!(printed, ["http://here/api eu-central-1 no profile"]);
        assert!(needs_address(&tests) && !uses_uv(&tests));
    }

    #[tokio::test]
    async fn uv_is_run_from_the_tool_folder() {
        let tests = suite("run = \"uv run pytest\"");
        let (report, printed) = run(&tests, None).await;
        assert!(report.unwrap().passed && uses_uv(&tests) && !needs_address(&tests));
        assert_eq!(printed, ["run pytest"]);
    }

    #[tokio::test]
    async fn failing_tests_are_named_and_other_output_only_without_them() {
        let pytest = "echo 'FAILED tests/test_a.py::test_one - assert'; echo 'ERROR: no such thing'; exit 1";
        let (report, _) = run(&suite(&format!("run = \"\"\"sh -c \"{pytest}\" \"\"\"")), None).await;
        let report = report.unwrap();
        assert_eq!(report.failures, ["FAILED tests/test_a.py::test_one - assert"]);
        let failure = failure("dev", &[report]).unwrap();
        assert_eq!(failure.message(), "the suite of hello failed in dev");
        assert_eq!(failure.kind(), FailureKind::VerificationFailed);

        let (report, _) = run(&suite("run = \"sh -c 'echo broken; exit 2'\""), None).await;
        assert_eq!(report.unwrap().failures, ["broken"]);
    }

    #[tokio::test]
    async fn missing_program_is_an_error_and_passed_suites_are_no_failure() {
        let (report, _) = run(&suite("run = \"no-such-program-here\""), None).await;
        assert_eq!(report.unwrap_err().message(), "the program `no-such-program-here` was not found");
        let (report, _) = run(&suite("run = \"true\""), None).await;
        assert!(failure("dev", &[report.unwrap()]).is_none());
    }
}

//! Policies: commands of the project that judge a plan before anybody is asked, such as conftest, OPA or a script.
//!
//! In: a plan as JSON, without sensitive values, and the command lines of `[plan] policy`. Out: nothing. Errors: a refusal
//! (exit code 6) with what the command said, where it does not exit with 0, takes too long, or does not exist.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command_lines::{CommandLines, FailedLineReason};
use crate::failure::{self, Failure, Result};
use crate::interrupt::Interrupt;
use crate::name::{EnvironmentName, StackName};
use crate::progress::Progress;
use crate::settings::PlanSettings;

/// The name of the plan's file in a command line.
const PLACEHOLDER: &str = "{plan}";

/// A policy with the settings file that names it.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// The file, for messages.
    pub(crate) file: String,
    /// Its `[plan]`.
    pub(crate) settings: PlanSettings,
}

/// Where policies run.
pub(crate) struct PolicyRun<'a> {
    /// The project's folder.
    pub(crate) root: &'a Path,
    /// The stack's work folder, for the plan's file.
    pub(crate) work: &'a Path,
    /// The stack.
    pub(crate) stack: &'a StackName,
    /// The environment.
    pub(crate) environment: &'a EnvironmentName,
    /// Receives progress events.
    pub(crate) progress: &'a Progress,
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
}

/// The plan's file, which is deleted with this value.
struct PlanFile(PathBuf);

impl Drop for PlanFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl PlanFile {
    /// Writes a file that only its owner can read.
    fn write(work: &Path, plan: &Value) -> Result<Self> {
        let path = work.join("policy-plan.json");
        // One that a killed run left.
        let _ = std::fs::remove_file(&path);
        let file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(plan.to_string().as_bytes()));
        let file = Self(path);
        written.map_err(|error| failure::io("write", &file.0, error))?;
        Ok(file)
    }
}

impl PolicyRun<'_> {
    /// Runs the policies over a plan, in order; refuses where one of them does.
    pub(crate) async fn judge(&self, policies: &[Policy], plan: &Value) -> Result<()> {
        if policies.is_empty() {
            return Ok(());
        }
        let file = PlanFile::write(self.work, plan)?;
        // Relative to the project, so that no folder's name needs quotes.
        let path = file.0.strip_prefix(self.root).unwrap_or(&file.0).display().to_string();
        for policy in policies {
            self.judge_one(policy, &path).await?;
        }
        Ok(())
    }

    async fn judge_one(&self, policy: &Policy, path: &str) -> Result<()> {
        let step = self.progress.step("policy", format!("{} in {}", self.stack, self.environment));
        let variables = [
            ("SLIPWAY_PLAN", path.to_owned()),
            ("SLIPWAY_STACK", self.stack.to_string()),
            ("SLIPWAY_ENVIRONMENT", self.environment.to_string()),
        ];
        let lines = CommandLines {
            owner: format!("`policy` in {}", policy.file),
            lines: policy
                .settings
                .policy
                .lines()
                .iter()
                .map(|line| line.replace(PLACEHOLDER, path))
                .collect(),
            folder: self.root.to_path_buf(),
            env: variables.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect(),
            time_limit: Some(policy.settings.within),
            ..CommandLines::default()
        };
        let failed = match lines.run(self.interrupt, &mut |_| {}).await {
            Ok(None) => {
                step.done("allowed");
                return Ok(());
            }
            Ok(Some(failed)) => failed,
            Err(failure) => {
                step.failed("failed");
                return Err(failure.unchanged("Nothing was applied."));
            }
        };
        step.failed("refused");
        let why = failed.why();
        let (message, hint) = match failed.reason {
            FailedLineReason::Exited(_) => (
                format!("the policy refuses the plan of `{}` in {}", self.stack, self.environment),
                "change what it names, or the policy in a commit of its own",
            ),
            FailedLineReason::TimedOut(_) => (
                format!("the policy did not judge the plan of `{}` in {}", self.stack, self.environment),
                "give it more time with `within` under [plan]",
            ),
            FailedLineReason::ProgramMissing(_) => (
                format!("the policy cannot judge the plan of `{}` in {}", self.stack, self.environment),
                "install the program: a plan that is not judged is not applied",
            ),
        };
        let failure = Failure::refused(message)
            .detail("policy", format!("{} ([plan] of {})", failed.line, policy.file))
            .detail("because", why)
            .unchanged("Nothing was applied.")
            .hint(hint);
        Err(if failed.tail.is_empty() { failure } else { failure.body(failed.tail.join("\n")) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::failure::{ErrorReport, FailureKind};

    async fn judged(line: &str, within: &str) -> (Option<ErrorReport>, bool) {
        let folder = tempfile::tempdir().unwrap();
        let settings = toml::from_str(&format!("policy = {line:?}\nwithin = {within:?}")).unwrap();
        let work = folder.path().join("work");
        std::fs::create_dir_all(&work).unwrap();
        let run = PolicyRun {
            root: folder.path(),
            work: &work,
            stack: &"hello".parse().unwrap(),
            environment: &"prod".parse().unwrap(),
            progress: &Progress::silent(),
            interrupt: &Interrupt::never(),
        };
        let policies = [Policy { file: "pipelines/project.toml".into(), settings }];
        let result = run.judge(&policies, &json!({"resource_changes": [{"address": "aws_x.y"}]})).await;
        (result.err().map(|failure| failure.report()), work.join("policy-plan.json").exists())
    }

    #[tokio::test]
    async fn policy_reads_the_plan_and_its_words_are_the_refusal() {
        assert!(judged("grep -q aws_x.y {plan}", "10s").await.0.is_none());
        let (report, left) = judged(
            "sh -c 'test $(stat -c %a $SLIPWAY_PLAN) = 600 && echo $SLIPWAY_STACK must not change in $SLIPWAY_ENVIRONMENT; exit 2'",
            "10s",
        )
        .await;
        let report = report.unwrap();
        assert_eq!(report.kind, FailureKind::Refused);
        assert_eq!(report.message, "the policy refuses the plan of `hello` in prod");
        assert_eq!(report.body.unwrap(), "hello must not change in prod");
        assert!(report.details[1].value.ends_with("exited with 2"), "{:?}", report.details);
        assert!(!left, "the plan's file is left");
    }

    #[tokio::test]
    async fn policy_that_cannot_judge_refuses() {
        for (line, within, because) in [
            ("no-such-policy-program {plan}", "10s", "was not found"),
            ("sleep 5", "1s", "took longer than 1.0 s"),
        ] {
            let report = judged(line, within).await.0.unwrap();
            assert_eq!(report.kind, FailureKind::Refused, "{line}");
            assert!(report.details[1].value.contains(because), "{:?}", report.details);
        }
    }
}

//! What the process was given: its environment variables, working folder and terminal, read once.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use super::file::parse_duration;
use crate::failure::{Failure, Result};

/// The process environment; tests make their own.
#[derive(Debug, Clone)]
pub(crate) struct ProcessEnvironment {
    variables: BTreeMap<String, String>,
    /// The working folder.
    pub(crate) folder: PathBuf,
    /// Whether stdin and stderr are a terminal, so that a question can be asked and lines redrawn.
    pub(crate) interactive: bool,
    /// The path of the running executable.
    pub(crate) executable: PathBuf,
}

impl ProcessEnvironment {
    /// Reads the environment of this process.
    #[expect(clippy::disallowed_methods, reason = "the one door through which the environment is read")]
    pub(crate) fn read() -> Result<Self> {
        let folder = std::env::current_dir()
            .map_err(|error| Failure::failed("the working folder cannot be read").caused_by(error))?;
        let executable = std::env::current_exe().map_err(|error| {
            Failure::failed("the path of this executable cannot be read").caused_by(error)
        })?;
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Self {
            variables,
            folder,
            interactive: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            executable,
        })
    }

    /// Returns a variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns the same environment with one variable set.
    pub(crate) fn with_variable(&self, name: &str, value: impl Into<String>) -> Self {
        let mut other = self.clone();
        other.variables.insert(name.to_owned(), value.into());
        other
    }

    /// Returns every variable whose name begins with a prefix.
    pub(crate) fn variables_with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.variables
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Tells whether this runs in continuous integration (`CI=true`).
    pub(crate) fn ci(&self) -> bool {
        self.get("CI").is_some_and(|value| value != "false" && value != "0")
    }

    /// Returns who runs this: the CI run's actor or the user of this machine.
    pub(crate) fn actor(&self) -> String {
        let user = self.user();
        let user = || user.as_str();
        if let Some(actor) = self.get("GITHUB_ACTOR") {
            return format!("{actor} (GitHub run {})", self.get("GITHUB_RUN_ID").unwrap_or("?"));
        }
        if let (Some(job), Some(number)) = (self.get("JOB_NAME"), self.get("BUILD_NUMBER")) {
            return format!("{} (Jenkins {job} {number})", self.get("BUILD_USER_ID").unwrap_or(user()));
        }
        format!("{}@{}", user(), self.host())
    }

    /// Returns the user's name: from the environment, or as the system knows this process's user.
    fn user(&self) -> String {
        let named = self.get("USER").or(self.get("LOGNAME")).map(str::to_owned);
        named.or_else(system_user).unwrap_or_else(|| "unknown".into())
    }

    /// Returns the address of the CI run, where there is one.
    pub(crate) fn run_url(&self) -> Option<String> {
        if let (Some(server), Some(repository), Some(run)) =
            (self.get("GITHUB_SERVER_URL"), self.get("GITHUB_REPOSITORY"), self.get("GITHUB_RUN_ID"))
        {
            return Some(format!("{server}/{repository}/actions/runs/{run}"));
        }
        self.get("BUILD_URL").map(str::to_owned)
    }

    /// Returns who builds, as a URI: the CI service's workflow or job, or this user and machine.
    pub(crate) fn builder(&self) -> String {
        let server = self.get("GITHUB_SERVER_URL").unwrap_or("https://github.com");
        if let Some(workflow) = self.get("GITHUB_WORKFLOW_REF") {
            return format!("{server}/{workflow}");
        }
        if let Some(job) = self.get("JOB_URL") {
            return job.to_owned();
        }
        format!("terminal://{}@{}", self.user(), self.host())
    }

    /// Returns the ref that CI builds, such as `refs/heads/main`, where it says so.
    pub(crate) fn git_ref(&self) -> Option<String> {
        let branch = || self.get("BRANCH_NAME").map(|branch| format!("refs/heads/{branch}"));
        self.get("GITHUB_REF").map(str::to_owned).or_else(branch)
    }

    /// Returns the CI workflow: GitHub's file below the repository, or Jenkins's job.
    pub(crate) fn workflow(&self) -> Option<String> {
        // owner/repository/.github/workflows/release.yml@refs/heads/main
        let file = self.get("GITHUB_WORKFLOW_REF").map(|workflow| {
            let path = workflow.split('@').next().unwrap_or(workflow);
            path.splitn(3, '/').nth(2).unwrap_or(path).to_owned()
        });
        file.or_else(|| self.get("JOB_NAME").map(str::to_owned))
    }

    /// Returns this machine's name.
    pub(crate) fn host(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    /// Returns after how long a first signal is followed up by itself (`SLIPWAY_GRACE`).
    pub(crate) fn grace(&self) -> Result<Option<Duration>> {
        self.get("SLIPWAY_GRACE")
            .map(|text| {
                parse_duration(text).map_err(|message| Failure::usage(format!("SLIPWAY_GRACE: {message}")))
            })
            .transpose()
    }

    /// Returns the fixed time that stands for now (`SLIPWAY_NOW`, RFC 3339), for tests and rebuilds.
    pub(crate) fn fixed_now(&self) -> Result<Option<jiff::Timestamp>> {
        self.get("SLIPWAY_NOW")
            .map(|text| {
                text.parse().map_err(|error: jiff::Error| {
                    Failure::usage(format!("SLIPWAY_NOW: `{text}` is no RFC 3339 time")).caused_by(error)
                })
            })
            .transpose()
    }
}

/// Looks this process's user up in `/etc/passwd`.
fn system_user() -> Option<String> {
    let id = rustix::process::getuid().as_raw().to_string();
    let known = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = known.lines().find(|line| line.split(':').nth(2) == Some(id.as_str()))?;
    line.split(':').next().map(str::to_owned)
}

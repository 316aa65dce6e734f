//! The environment of this process: its variables, working folder and terminal, read once.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use super::ci_provider::{CiProvider, CiRun};
use super::file::parse_duration;
use crate::credentials;
use crate::failure::{Failure, Result};

/// What this process was started with.
#[derive(Debug, Clone)]
pub(crate) struct ProcessEnvironment {
    variables: Variables,
    /// What the continuous integration system says about this run, where one runs it.
    ci_run: Option<CiRun>,
    /// The working folder.
    pub(crate) folder: PathBuf,
    /// Whether stdin and stderr are a terminal, so that questions can be asked and lines redrawn.
    pub(crate) interactive: bool,
    /// The path of the running executable.
    pub(crate) executable: PathBuf,
}

/// Environment variables; one that is set to an empty text counts as not set.
#[derive(Debug, Clone)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Returns a variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns whether `CI` says that this is continuous integration.
    pub(super) fn is_ci(&self) -> bool {
        self.get("CI").is_some_and(|value| value != "false" && value != "0")
    }

    /// Returns the name of the system user: from the variables, or from `/etc/passwd`.
    fn user(&self) -> String {
        let named = self.get("USER").or(self.get("LOGNAME")).map(str::to_owned);
        named.or_else(system_user).unwrap_or_else(|| "unknown".into())
    }
}

#[cfg(test)]
impl From<&[(&str, &str)]> for Variables {
    fn from(set: &[(&str, &str)]) -> Self {
        Self(set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}

/// The variables that name files for a run's summary: GitHub's, and one for other CI systems and for later jobs.
const SUMMARY_FILES: [&str; 2] = ["GITHUB_STEP_SUMMARY", "SLIPWAY_SUMMARY"];

impl ProcessEnvironment {
    /// Returns the files that a run's summary is appended to.
    pub(crate) fn summary_files(&self) -> Vec<PathBuf> {
        SUMMARY_FILES.into_iter().filter_map(|name| self.get(name)).flat_map(std::env::split_paths).collect()
    }

    /// Reads the environment of this process.
    #[expect(clippy::disallowed_methods, reason = "the only place that reads environment variables")]
    pub(crate) fn read() -> Result<Self> {
        let folder = std::env::current_dir()
            .map_err(|error| Failure::failed("the working folder cannot be read").caused_by(error))?;
        let executable = std::env::current_exe().map_err(|error| {
            Failure::failed("the path of this executable cannot be read").caused_by(error)
        })?;
        let variables = Variables(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        );
        Ok(Self {
            ci_run: CiProvider::detect(&variables)
                .map(|provider| provider.run(&variables, &variables.user())),
            variables,
            folder,
            interactive: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            executable,
        })
    }

    /// Makes an environment of some variables alone, for tests.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let variables = Variables::from(variables);
        Self {
            ci_run: CiProvider::detect(&variables)
                .map(|provider| provider.run(&variables, &variables.user())),
            variables,
            folder: PathBuf::from("/"),
            interactive: false,
            executable: PathBuf::from("/xtask"),
        }
    }

    /// Returns a variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name)
    }

    /// Returns cargo's own folder: that of `CARGO_HOME`, or `.cargo` in the user's.
    pub(crate) fn cargo_home(&self) -> Option<PathBuf> {
        self.folder_of("CARGO_HOME", ".cargo")
    }

    /// Returns the folder of Rust's toolchains: that of `RUSTUP_HOME`, or `.rustup` in the user's.
    pub(crate) fn rustup_home(&self) -> Option<PathBuf> {
        self.folder_of("RUSTUP_HOME", ".rustup")
    }

    fn folder_of(&self, variable: &str, in_home: &str) -> Option<PathBuf> {
        let in_home = || self.get("HOME").map(|home| PathBuf::from(home).join(in_home));
        self.get(variable).map(PathBuf::from).or_else(in_home)
    }

    /// Returns a copy with one variable set.
    pub(crate) fn with_variable(&self, name: &str, value: impl Into<String>) -> Self {
        let mut other = self.clone();
        other.variables.0.insert(name.to_owned(), value.into());
        other
    }

    /// Returns every variable whose name begins with a prefix.
    pub(crate) fn variables_with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.variables
            .0
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the names of the variables that hold credentials or lead to some.
    pub(crate) fn credential_names(&self) -> impl Iterator<Item = &str> {
        self.variables.0.keys().map(String::as_str).filter(|name| credentials::is_credential(name))
    }

    /// Returns whether this runs in continuous integration (`CI=true`).
    pub(crate) fn ci(&self) -> bool {
        self.variables.is_ci()
    }

    /// Returns who runs this: the actor of the CI run, or `<user>@<host>`.
    pub(crate) fn actor(&self) -> String {
        self.of_ci_run(|run| &run.actor).unwrap_or_else(|| self.user_at_host())
    }

    /// Returns the address of the CI run, where there is one.
    pub(crate) fn run_url(&self) -> Option<String> {
        self.of_ci_run(|run| &run.url)
    }

    /// Returns who builds where no token proves it, as a URI that says so: this user and host, at a terminal or in a CI job.
    pub(crate) fn unverified_builder(&self) -> String {
        let scheme = if self.ci_run.is_some() || self.ci() { "unverified" } else { "terminal" };
        format!("{scheme}://{}", self.user_at_host())
    }

    fn of_ci_run(&self, value: impl Fn(&CiRun) -> &Option<String>) -> Option<String> {
        self.ci_run.as_ref().and_then(|run| value(run).clone())
    }

    fn user_at_host(&self) -> String {
        let host = rustix::system::uname();
        format!("{}@{}", self.variables.user(), host.nodename().to_string_lossy())
    }

    /// Returns how long the run waits after the first signal before it acts as if there was a second
    /// (`SLIPWAY_GRACE`).
    pub(crate) fn grace(&self) -> Result<Option<Duration>> {
        self.get("SLIPWAY_GRACE")
            .map(|text| {
                parse_duration(text).map_err(|message| Failure::usage(format!("SLIPWAY_GRACE: {message}")))
            })
            .transpose()
    }

    /// Returns the fixed time that is used as the present (`SLIPWAY_NOW`, RFC 3339), for tests and rebuilds.
    pub(crate) fn fixed_now(&self) -> Result<Option<jiff::Timestamp>> {
        self.get("SLIPWAY_NOW")
            .map(|text| {
                text.parse().map_err(|error: jiff::Error| {
                    Failure::usage(format!("SLIPWAY_NOW: `{text}` is not a valid RFC 3339 time"))
                        .caused_by(error)
                })
            })
            .transpose()
    }
}

/// Returns the name of this process's user in `/etc/passwd`.
fn system_user() -> Option<String> {
    let id = rustix::process::getuid().as_raw().to_string();
    let known = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = known.lines().find(|line| line.split(':').nth(2) == Some(id.as_str()))?;
    line.split(':').next().map(str::to_owned)
}

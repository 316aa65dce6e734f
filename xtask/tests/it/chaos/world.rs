//! A project that goes through faults: its commands, what each of them means, and what has to be true after it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::super::support::EchoProject;
use super::super::support::echo;
use super::super::support::process::{Finished, Running};
use super::super::support::proxy::Proxy;
use super::super::support::skip::Missing;
use super::super::support::test_run::TestRun;

/// Which stack the project has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    /// `terraform_data` alone: its function's versions exist already.
    Plain,
    /// The repository's module for a function, with the AWS provider.
    Provider,
}

/// A command, by what a person means with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// Other code as the next version.
    Release,
    /// The same code again.
    ReleaseAgain,
    /// Back to what served before.
    Rollback,
    /// Back to a release that served some time ago.
    RollbackTo,
    /// An earlier release, also if it is held.
    Deploy,
    Plan,
    Status,
    Verify,
    Recover,
}

impl Command {
    /// Those that deploy most often.
    pub const ALL: [Self; 14] = [
        Self::Release,
        Self::Release,
        Self::Release,
        Self::ReleaseAgain,
        Self::Rollback,
        Self::RollbackTo,
        Self::Deploy,
        Self::Rollback,
        Self::RollbackTo,
        Self::Deploy,
        Self::Plan,
        Self::Status,
        Self::Verify,
        Self::Recover,
    ];
}

/// A command line, and the release that has to serve when it succeeded.
#[derive(Debug, Clone)]
pub struct Intent {
    pub arguments: Vec<String>,
    pub serves: String,
    /// Whether it deploys: it may then end with another deployment's exit code where somebody else does.
    pub deploys: bool,
}

/// A project behind a proxy.
pub struct World {
    pub project: EchoProject,
    pub proxy: Proxy,
    pub stack: Stack,
    /// The function's name.
    pub function: &'static str,
    pub known: Known,
}

/// What is known of a project without asking Slipway.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The release that serves; `None` before the first.
    pub serving: Option<String>,
    /// What served verified, the newest last.
    pub served: Vec<String>,
    held: BTreeSet<String>,
    /// Whether the end of the newest deployment was lost, with what it said about verification.
    end_lost: Cell<bool>,
    /// Whether the last deployment was a release, so that a plain rollback undoes it.
    pub after_release: bool,
    /// How many releases there were.
    releases: usize,
    /// How often the release that serves changed.
    pub changes: usize,
    /// Each release's digest as it was first seen.
    pub digests: BTreeMap<String, String>,
    /// The state's lineage as it was first seen.
    pub lineage: Option<String>,
}

/// A resource that is replaced with each commit, by a program that takes a moment. A rollback plans the files that were applied
/// last: it stays.
const SLOW: &str = r#"
resource "terraform_data" "slow" {
  triggers_replace = 0

  provisioner "local-exec" {
    command = "sleep 1"
  }
}
"#;

/// A sensitive value of the stack.
const PASSWORD_VARIABLE: &str = r#"
variable "password" {
  type      = string
  sensitive = true
}

resource "terraform_data" "password" {
  input = var.password
}
"#;

/// Planted as a sensitive value: it may be in the stack's values and in its state, and is never printed.
pub const PASSWORD: &str = "planted-password-4713";
/// Planted in the environment of each command: it is nowhere.
pub const TOKEN: &str = "planted-token-4714";

const ECHO_STACK: &str = "terraform/stacks/echo/main.tf";

impl World {
    /// Creates a project without a release.
    pub fn new(stack: Stack) -> Result<Self, Missing> {
        let test_run = TestRun::shared()?;
        let (project, function) = match stack {
            Stack::Plain => (EchoProject::new()?, "echo"),
            Stack::Provider => (EchoProject::with_provider(test_run), "hello"),
        };
        if stack == Stack::Plain {
            let text = std::fs::read_to_string(project.folder.join(ECHO_STACK)).expect("the stack");
            project.write(ECHO_STACK, &(text + SLOW + PASSWORD_VARIABLE));
            let path = "terraform/environments/local/echo.tfvars";
            let values = std::fs::read_to_string(project.folder.join(path)).expect("the stack's values");
            project.write(path, &format!("{values}password = \"{PASSWORD}\"\n"));
            project.commit("build: a slow resource");
        }
        let proxy = Proxy::to(project.emulator_port());
        Ok(Self { project, proxy, stack, function, known: Known::default() })
    }

    /// Writes what a command is about, and returns its command line; another command where it makes no sense yet.
    pub fn intend(&mut self, command: Command, random: &mut fastrand::Rng) -> Intent {
        let serving = self.known.serving.clone().unwrap_or_default();
        let earlier: Vec<String> = self
            .known
            .served
            .iter()
            .filter(|release| **release != serving && !self.known.held.contains(*release))
            .cloned()
            .collect();
        let local = ["--env", "local"];
        let head = self.project.head();
        let (words, serves, deploys): (Vec<&str>, String, bool) = match command {
            Command::Rollback if self.known.after_release && !earlier.is_empty() => {
                let before = earlier.last().cloned().unwrap_or_default();
                (vec!["rollback", "--yes"], before, true)
            }
            Command::RollbackTo | Command::Rollback if !earlier.is_empty() => {
                let target = &earlier[random.usize(..earlier.len())];
                (vec!["rollback", self.function, "--yes", "--to", target], target.clone(), true)
            }
            Command::Deploy if !self.known.served.is_empty() => {
                let target = &self.known.served[random.usize(..self.known.served.len())];
                let words = vec!["deploy", self.function, "--yes", "--lift-hold", "--version", target];
                // An earlier release goes back on purpose.
                let words = [words, vec!["--allow-loss", &head]].concat();
                (words, target.clone(), true)
            }
            Command::ReleaseAgain if self.known.after_release => (vec!["release", "--yes"], serving, true),
            Command::Plan if self.known.after_release => (vec!["plan"], serving, false),
            Command::Status if self.known.serving.is_some() => (vec!["status"], serving, false),
            Command::Verify if self.known.serving.is_some() => {
                (vec!["verify", self.function], serving, false)
            }
            Command::Recover if self.known.serving.is_some() => (vec!["recover", "--yes"], serving, false),
            _ => {
                self.known.releases += 1;
                self.change_code();
                let version = format!("0.{}.0", self.known.releases);
                let arguments = ["release", "--yes", "--version", &version, "--env", "local"];
                return Intent {
                    arguments: arguments.map(str::to_owned).to_vec(),
                    serves: version,
                    deploys: true,
                };
            }
        };
        let arguments = words.into_iter().chain(local).map(str::to_owned).collect();
        Intent { arguments, serves, deploys }
    }

    /// Starts a command through the proxy.
    pub fn start(&self, arguments: &[String]) -> Running {
        self.start_within(&[], arguments, &[])
    }

    /// Starts a command through the proxy and through a program, with further variables.
    pub fn start_within(
        &self,
        wrapper: &[&str],
        arguments: &[String],
        variables: &[(&str, &str)],
    ) -> Running {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let url = self.proxy.url();
        let variables = [&[("SLIPWAY_LOCAL_EMULATOR", &*url), ("GITHUB_TOKEN", TOKEN)], variables].concat();
        self.project.start_within(wrapper, &words, &variables)
    }

    pub fn run(&self, arguments: &[&str]) -> Finished {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        self.start(&arguments).wait()
    }

    fn change_code(&self) {
        let number = self.known.releases;
        let path = format!("lambda-src/{}/src/main.rs", self.function);
        let source = match self.stack {
            // Two codes were built for all tests.
            Stack::Plain if number % 2 == 1 => echo::SOURCE.to_owned(),
            Stack::Plain => echo::second(echo::SOURCE),
            Stack::Provider => echo::SOURCE.replace("\"one\"", &format!("\"number {number}\"")),
        };
        self.project.write(&path, &source);
        if self.stack == Stack::Plain {
            let text = std::fs::read_to_string(self.project.folder.join(ECHO_STACK)).expect("the stack");
            let replaced = |number: usize| format!("triggers_replace = {number}\n");
            self.project.write(ECHO_STACK, &text.replace(&replaced(number - 1), &replaced(number)));
        }
        self.project.commit(&format!("feat: number {number}"));
    }
}

impl Known {
    /// Notes that a command did what it meant.
    pub fn note(&mut self, intent: &Intent) {
        let before = self.serving.replace(intent.serves.clone());
        let served_before = before.clone();
        self.changes += usize::from(before.as_ref() != Some(&intent.serves));
        let word = intent.arguments[0].as_str();
        match word {
            "rollback" => {
                self.held.extend(before.filter(|before| *before != intent.serves));
                self.after_release = false;
            }
            "deploy" => {
                self.held.remove(&intent.serves);
                self.after_release = false;
            }
            "release" => self.after_release = true,
            _ => {}
        }
        self.served.retain(|release| *release != intent.serves);
        self.served.push(intent.serves.clone());
        // Nobody knows any more that it was verified: a rollback does not go back to it.
        if self.end_lost.take()
            && let Some(lost) = served_before.filter(|lost| *lost != intent.serves)
        {
            self.served.retain(|release| *release != lost);
            self.after_release = false;
        }
    }

    /// Returns whether the end of the newest deployment was lost while this command ran.
    pub fn lost_an_end(&self) -> bool {
        self.end_lost.get()
    }

    /// Notes that the end of the newest deployment was lost, and that it was closed by what serves.
    pub fn lose_end(&self) {
        self.end_lost.set(true);
    }
}

//! A sandbox with the echo project, whose local environment is stopped when it is dropped.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::account::Objects;
use super::commands::RELEASE;
use super::echo::{self, Template};
use super::machine::repository;
use super::sandbox::{Sandbox, copy};
use super::skip::Missing;
use super::test_run::TestRun;

/// A sandbox with the echo project.
pub struct EchoProject {
    sandbox: Sandbox,
}

/// What commands change in Slipway's own folder; `local` belongs to the running gateway.
const CHANGED_BY_COMMANDS: [&str; 4] = ["artifacts", "checks.json", "runs", "terraform"];

/// A saved state of a project and its account.
pub struct Checkpoint {
    objects: Objects,
    alias: String,
    files: PathBuf,
}

impl std::ops::Deref for EchoProject {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl EchoProject {
    /// Creates a project whose function has a published version for each of the two codes.
    pub fn new() -> Result<Self, Missing> {
        let test_run = TestRun::shared()?;
        let template = echo::template(test_run);
        let sandbox = Sandbox::new(test_run);
        copy(&template.folder, &sandbox.folder);
        sandbox.write("terraform/environments/local/echo.tfvars", &versions(template));
        sandbox.commit("build: name the versions of each code");
        let zips: Vec<&[u8]> = template.zips.iter().map(Vec::as_slice).collect();
        sandbox.account.create_function("echo", &zips);
        Ok(Self { sandbox })
    }

    /// Creates a project with a second environment, `staging`, that is promoted to from `local` and runs a function of its own.
    pub fn with_staging() -> Result<Self, Missing> {
        let project = Self::new()?;
        let template = echo::template(project.test_run);
        let zips: Vec<&[u8]> = template.zips.iter().map(Vec::as_slice).collect();
        project.account.create_function("staging", &zips);
        let folder = "terraform/environments/staging";
        project.write(&format!("{folder}/environment.toml"), "emulated = true\npromote_from = \"local\"\n");
        project.write(&format!("{folder}/echo.tfvars"), &versions(template));
        let path = "terraform/stacks/echo/main.tf";
        let stack = fs::read_to_string(project.folder.join(path)).expect("the stack");
        let own = "${var.environment.name}-echo\"";
        assert!(stack.contains(own), "{stack}");
        let name = "local-${var.environment.name == \"local\" ? \"echo\" : var.environment.name}\"";
        project.write(path, &stack.replace(own, name));
        project.commit("build: a second environment");
        Ok(project)
    }

    /// Creates a project of which two releases were deployed, one after the other.
    pub fn released_twice() -> Result<Self, Missing> {
        let project = Self::new()?;
        project.run(&RELEASE).exits(0);
        project.change_code();
        project.run(&RELEASE).exits(0);
        Ok(project)
    }

    /// Creates a project with the repository's own module and its stack `hello`, which run a function named `hello`.
    pub fn with_provider(test_run: &'static TestRun) -> Self {
        let sandbox = Sandbox::new(test_run);
        echo::write(&sandbox.folder, "hello");
        for folder in ["terraform/modules/lambda-function", "terraform/stacks/hello"] {
            sandbox.copy_from_repository(folder);
        }
        sandbox.write("terraform/environments/local/environment.toml", "emulated = true\n");
        let values = "terraform/environments/local/hello.tfvars";
        sandbox.write(values, &fs::read_to_string(repository().join(values)).expect("the stack's values"));
        sandbox.commit("build: add the stack");
        Self { sandbox }
    }

    /// Creates a second folder with the same project and the same account, as on another machine.
    pub fn second_checkout(&self) -> Self {
        let parent = self.test_run.folder.join(format!("{}-second", self.account.id));
        let sandbox = Sandbox::within(self.test_run, self.account.clone(), &parent);
        copy(&self.folder, &sandbox.folder);
        Self { sandbox }
    }

    /// Changes the function to its second code, in a commit that asks for the next minor version.
    pub fn change_code(&self) {
        self.change_code_of("echo");
    }

    /// Changes the function with this name to its second code.
    pub fn change_code_of(&self, function: &str) {
        let path = format!("lambda-src/{function}/src/main.rs");
        self.write(&path, &echo::second(echo::SOURCE));
        self.commit("feat: say two");
    }

    /// Makes the project's repository as shallow as a clone of depth 1.
    pub fn make_shallow(&self) {
        let git = self.folder.join(".git");
        let head = git2::Repository::open(&self.folder)
            .and_then(|repository| Ok(repository.head()?.peel_to_commit()?.id()))
            .expect("a commit");
        fs::write(git.join("shallow"), format!("{head}\n")).expect("the list of shallow commits");
    }

    /// Removes the built artifacts.
    pub fn remove_artifacts(&self) {
        let _ = fs::remove_dir_all(self.folder.join("target/slipway/artifacts"));
    }

    /// Saves everything that a command may change.
    pub fn checkpoint(&self) -> Checkpoint {
        let files = self.home.join(format!("checkpoint-{}", self.next_number()));
        fs::create_dir_all(&files).expect("a folder for a checkpoint");
        let work = self.folder.join("target/slipway");
        for name in CHANGED_BY_COMMANDS {
            let from = work.join(name);
            if from.is_dir() {
                copy(&from, &files.join(name));
            } else if from.is_file() {
                fs::copy(&from, files.join(name)).expect("a copy");
            }
        }
        Checkpoint { objects: self.account.objects(), alias: self.account.alias("echo"), files }
    }

    /// Restores everything that a command may have changed.
    pub fn restore(&self, checkpoint: &Checkpoint) {
        self.account.restore_objects(&checkpoint.objects);
        self.account.move_alias("echo", &checkpoint.alias);
        let work = self.folder.join("target/slipway");
        for name in CHANGED_BY_COMMANDS {
            let (from, to) = (checkpoint.files.join(name), work.join(name));
            if to.is_dir() {
                fs::remove_dir_all(&to).expect("a folder to remove");
            } else if to.is_file() {
                fs::remove_file(&to).expect("a file to remove");
            }
            if from.is_dir() {
                copy(&from, &to);
            } else if from.is_file() {
                fs::copy(&from, &to).expect("a copy");
            }
        }
    }

    /// Lists the processes that carry the mark of this project's local environment.
    pub fn server_processes(&self) -> Vec<String> {
        let mark = format!("SLIPWAY_LOCAL_SERVER_OF={}", self.folder.join("target/slipway/local").display());
        let processes = fs::read_dir("/proc").expect("the processes of this machine");
        processes
            .flatten()
            .filter(|process| {
                fs::read(process.path().join("environ")).is_ok_and(|environment| {
                    environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
                })
            })
            .map(|process| process.file_name().to_string_lossy().into_owned())
            .collect()
    }
}

impl Drop for EchoProject {
    fn drop(&mut self) {
        let stopped = self.local_down();
        // While a test panics, its own message counts.
        if !std::thread::panicking() {
            let stopped = stopped.exits(0);
            let left = self.server_processes();
            assert!(left.is_empty(), "servers are left: {left:?} after {stopped}");
        }
    }
}

/// Returns the zips of the function's two codes.
pub fn zips(test_run: &'static TestRun) -> Vec<&'static [u8]> {
    echo::template(test_run).zips.iter().map(Vec::as_slice).collect()
}

fn versions(template: &Template) -> String {
    let mut text = "versions = {\n".to_owned();
    for (index, zip) in template.zips.iter().enumerate() {
        let code = BASE64_STANDARD.encode(Sha256::digest(zip));
        text.push_str(&format!("  \"{code}\" = \"{}\"\n", index + 1));
    }
    text.push_str("}\n");
    text
}

//! A sealed world: a project's folder, a home, an account, and the executable run among them with nothing else of this
//! machine's environment.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::account::{Account, Objects};
use super::echo::{self, Template};
use super::guard::{self, Run};
use super::process::{self, Finished, Running};
use super::surroundings::repository;

/// A folder for a project, a home, an account.
pub struct Sealed {
    pub project: PathBuf,
    pub home: PathBuf,
    pub account: Account,
    run: &'static Run,
    number: AtomicU64,
}

/// A sealed world whose gateway ends with it.
pub struct Ending(pub Sealed);

impl std::ops::Deref for Ending {
    type Target = Sealed;

    fn deref(&self) -> &Sealed {
        &self.0
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let ended = self.0.down();
        // While a test panics, its own words are what counts, and what the emulator said.
        if std::thread::panicking() {
            let faults = self.0.run.faults();
            let _ = writeln!(std::io::stderr(), "the emulator's log, without what went well:\n{faults}");
        } else {
            ended.exits(0);
        }
    }
}

/// A sealed world with the echo project, whose gateway ends with it.
pub struct World {
    sealed: Sealed,
}

/// What of Slipway's own folder a command may change; `local` is the running gateway's.
const WORK: [&str; 4] = ["artifacts", "checks.json", "runs", "terraform"];

/// Where a world stood.
pub struct Checkpoint {
    objects: Objects,
    alias: String,
    kept: PathBuf,
}

impl std::ops::Deref for World {
    type Target = Sealed;

    fn deref(&self) -> &Sealed {
        &self.sealed
    }
}

impl Sealed {
    /// Makes an empty world.
    pub fn new(run: &'static Run) -> Self {
        let account = Account::new(run);
        let folder = run.folder.join(&account.id);
        Self::within(run, account, &folder)
    }

    fn within(run: &'static Run, account: Account, folder: &Path) -> Self {
        let (project, home) = (folder.join("project"), folder.join("home"));
        for folder in [&project, &home] {
            fs::create_dir_all(folder).expect("a world's folder");
        }
        Self { project, home, account, run, number: AtomicU64::new(1) }
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).wait()
    }

    /// Starts a command.
    pub fn start(&self, arguments: &[&str]) -> Running {
        self.start_with(arguments, &[])
    }

    /// Starts a command with further environment variables.
    pub fn start_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Running {
        self.start_within(&[], arguments, more)
    }

    /// Starts a command through a program that runs it, such as `unshare`, given with its arguments.
    pub fn start_within(&self, wrapper: &[&str], arguments: &[&str], more: &[(&str, &str)]) -> Running {
        let machine = self.run.machine;
        let whole: Vec<&str> =
            wrapper.iter().chain([&env!("CARGO_BIN_EXE_xtask")]).chain(arguments).copied().collect();
        let mut command = process::command(Path::new(whole[0]));
        command
            .args(&whole[1..])
            .current_dir(&self.project)
            .env("PATH", &machine.path)
            .env("HOME", &self.home)
            .env("USER", "ada")
            .env("CARGO_HOME", &machine.cargo_home)
            .env("RUSTUP_HOME", &machine.rustup_home)
            .env("SLIPWAY_TOOLS", &machine.tools)
            .env("SLIPWAY_LOCAL_EMULATOR", self.run.url())
            .env("SLIPWAY_LOCAL_ACCOUNT", &self.account.id)
            .envs(machine.terraform_settings.as_ref().map(|file| ("TF_CLI_CONFIG_FILE", file)))
            .envs(more.iter().copied());
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let log = self.home.join(format!("{number:04}"));
        let what = format!("xtask {}", arguments.join(" "));
        Running::start(command, what, &log, self.project.join("target/slipway/runs"))
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: &str) {
        echo::write_file(&self.project.join(path), text);
    }

    /// Copies a folder of this repository into the project.
    pub fn take(&self, folder: &str) {
        copy(&repository().join(folder), &self.project.join(folder));
    }

    /// Commits everything and returns the commit.
    pub fn commit(&self, message: &str) -> String {
        commit(&self.project, message)
    }

    /// The port of the emulated AWS.
    pub fn port(&self) -> u16 {
        self.run.port
    }

    /// Stops what the world started.
    pub fn down(&self) -> Finished {
        self.run(&["local", "down"])
    }
}

impl World {
    /// Makes a world whose function has a published version for each of the two codes, or nothing where tests are left
    /// out.
    pub fn new() -> Option<Self> {
        let run = guard::run()?;
        let template = echo::template(run);
        let sealed = Sealed::new(run);
        copy(&template.folder, &sealed.project);
        sealed.write("terraform/environments/local/echo.tfvars", &versions(template));
        sealed.commit("build: name the versions of each code");
        let zips: Vec<&[u8]> = template.zips.iter().map(Vec::as_slice).collect();
        sealed.account.publish("echo", &zips);
        Some(Self { sealed })
    }

    /// Makes a world with the repository's own module and its stack `hello`, which run a function named `hello`.
    pub fn with_provider(run: &'static Run) -> Self {
        let sealed = Sealed::new(run);
        echo::write(&sealed.project, "hello");
        for folder in ["terraform/modules/lambda-function", "terraform/stacks/hello"] {
            sealed.take(folder);
        }
        sealed.write("terraform/environments/local/environment.toml", "emulated = true\n");
        let values = "terraform/environments/local/hello.tfvars";
        sealed.write(values, &fs::read_to_string(repository().join(values)).expect("the stack's values"));
        sealed.commit("build: add the stack");
        Self { sealed }
    }

    /// Makes a second folder with the same project, whose local environment is the same account: another machine.
    pub fn twin(&self) -> Self {
        let folder = self.run.folder.join(format!("{}-twin", self.account.id));
        let sealed = Sealed::within(self.run, self.account.clone(), &folder);
        copy(&self.project, &sealed.project);
        Self { sealed }
    }

    /// Changes the function to its second code, in a commit that asks for the next minor version.
    pub fn second_code(&self) {
        self.second_code_of("echo");
    }

    /// The same, of the function with this name.
    pub fn second_code_of(&self, function: &str) {
        let path = format!("lambda-src/{function}/src/main.rs");
        self.write(&path, &echo::second(echo::SOURCE));
        self.commit("feat: say two");
    }

    /// Makes the project's repository as shallow as a clone of depth 1.
    pub fn cut_history(&self) {
        let git = self.project.join(".git");
        let head = git2::Repository::open(&self.project)
            .and_then(|repository| Ok(repository.head()?.peel_to_commit()?.id()))
            .expect("a commit");
        fs::write(git.join("shallow"), format!("{head}\n")).expect("the end of history");
    }

    /// Forgets what was built.
    pub fn forget_artifacts(&self) {
        let _ = fs::remove_dir_all(self.project.join("target/slipway/artifacts"));
    }

    /// Keeps where everything stands that a command may change.
    pub fn checkpoint(&self) -> Checkpoint {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let kept = self.home.join(format!("checkpoint-{number}"));
        fs::create_dir_all(&kept).expect("a folder for a checkpoint");
        let work = self.project.join("target/slipway");
        for name in WORK {
            let from = work.join(name);
            if from.is_dir() {
                copy(&from, &kept.join(name));
            } else if from.is_file() {
                fs::copy(&from, kept.join(name)).expect("a copy");
            }
        }
        Checkpoint { objects: self.account.objects(), alias: self.account.alias("echo"), kept }
    }

    /// Takes everything back to where it stood.
    pub fn go_back_to(&self, checkpoint: &Checkpoint) {
        self.account.restore(&checkpoint.objects);
        self.account.point("echo", &checkpoint.alias);
        let work = self.project.join("target/slipway");
        for name in WORK {
            let (from, to) = (checkpoint.kept.join(name), work.join(name));
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

    /// Lists the processes that carry this world's mark.
    pub fn servers(&self) -> Vec<String> {
        let mark = format!("SLIPWAY_LOCAL_SERVER_OF={}", self.project.join("target/slipway/local").display());
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

impl Drop for World {
    fn drop(&mut self) {
        let ended = self.down();
        // While a test panics, its own words are what counts.
        if !std::thread::panicking() {
            let ended = ended.exits(0);
            assert!(self.servers().is_empty(), "servers are left: {:?} after {ended}", self.servers());
        }
    }
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

/// Makes a folder a git repository with everything in its first commit.
pub fn repository_in(folder: &Path) {
    let mut options = git2::RepositoryInitOptions::new();
    options.initial_head("main");
    git2::Repository::init_opts(folder, &options).expect("a repository");
    commit(folder, "feat: begin");
}

fn commit(folder: &Path, message: &str) -> String {
    let repository = git2::Repository::open(folder).expect("a repository");
    let mut index = repository.index().expect("its index");
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).expect("all files in the index");
    index.write().expect("the index on disk");
    let tree = repository.find_tree(index.write_tree().expect("a tree")).expect("that tree");
    // A fixed time, so that commits are the same in every run.
    let ada = git2::Signature::new("Ada", "ada@example.com", &git2::Time::new(1_790_000_000, 0))
        .expect("a signature");
    let parent = repository.head().ok().map(|head| head.peel_to_commit().expect("a commit"));
    let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
    repository.commit(Some("HEAD"), &ada, &ada, message, &tree, &parents).expect("a commit").to_string()
}

/// Copies a folder, without what Terraform made in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        // What Terraform made in somebody's work tree is not the stack's.
        if entry.file_name() == ".terraform" {
            continue;
        }
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().expect("a file's type").is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
    }
}

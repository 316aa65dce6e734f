//! A sandbox: a project's folder, a home and an account, in which the executable runs with nothing else of this machine's
//! environment.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::account::Account;
use super::echo;
use super::machine::repository;
use super::process::{self, Finished, Running};
use super::test_run::TestRun;

/// A project's folder, a home and an account.
pub struct Sandbox {
    /// The project's folder.
    pub folder: PathBuf,
    pub home: PathBuf,
    pub account: Account,
    pub test_run: &'static TestRun,
    number: AtomicU64,
}

/// A sandbox whose local environment is stopped when it is dropped.
pub struct AutoStop(pub Sandbox);

impl std::ops::Deref for AutoStop {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.0
    }
}

impl Drop for AutoStop {
    fn drop(&mut self) {
        let stopped = self.0.local_down();
        // While a test panics, its own message counts, and the emulator's errors.
        if std::thread::panicking() {
            let errors = self.0.test_run.emulator_errors();
            let _ = writeln!(std::io::stderr(), "the emulator's log, without successful requests:\n{errors}");
        } else {
            stopped.exits(0);
        }
    }
}

impl Sandbox {
    /// Creates an empty sandbox.
    pub fn new(test_run: &'static TestRun) -> Self {
        let account = Account::new(test_run);
        let folder = test_run.folder.join(&account.id);
        Self::within(test_run, account, &folder)
    }

    /// Creates a sandbox for an account, in a folder of the test run's.
    pub fn within(test_run: &'static TestRun, account: Account, parent: &Path) -> Self {
        let (folder, home) = (parent.join("project"), parent.join("home"));
        for folder in [&folder, &home] {
            fs::create_dir_all(folder).expect("a sandbox's folder");
        }
        Self { folder, home, account, test_run, number: AtomicU64::new(1) }
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
    pub fn start_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        self.start_within(&[], arguments, variables)
    }

    /// Runs a command with an administrator's credentials for an account.
    pub fn run_as_administrator_of(&self, account: &Account, arguments: &[&str]) -> Finished {
        let variables = account.administrator_variables();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.start_with(arguments, &variables).wait()
    }

    /// Starts a command through a program that runs it, such as `unshare`, given with its arguments.
    pub fn start_within(&self, wrapper: &[&str], arguments: &[&str], variables: &[(&str, &str)]) -> Running {
        let machine = self.test_run.machine;
        let words: Vec<&str> =
            wrapper.iter().chain([&env!("CARGO_BIN_EXE_xtask")]).chain(arguments).copied().collect();
        let mut command = process::command(Path::new(words[0]));
        command
            .args(&words[1..])
            .current_dir(&self.folder)
            .env("PATH", &machine.path)
            .env("HOME", &self.home)
            .env("USER", "ada")
            .env("CARGO_HOME", &machine.cargo_home)
            .env("RUSTUP_HOME", &machine.rustup_home)
            .env("SLIPWAY_TOOLS", &machine.tools)
            .env("SLIPWAY_LOCAL_EMULATOR", self.test_run.url())
            .env("SLIPWAY_LOCAL_ACCOUNT", &self.account.id)
            .envs(machine.terraform_settings.as_ref().map(|file| ("TF_CLI_CONFIG_FILE", file)))
            .envs(variables.iter().copied());
        let log = self.home.join(format!("{:04}", self.next_number()));
        let command_line = format!("xtask {}", arguments.join(" "));
        Running::start(command, command_line, &log, self.folder.join("target/slipway/runs"))
    }

    /// Returns a number that no other file of this sandbox has.
    pub(super) fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: &str) {
        echo::write_file(&self.folder.join(path), text);
    }

    /// Copies a folder of this repository into the project.
    pub fn copy_from_repository(&self, folder: &str) {
        copy(&repository().join(folder), &self.folder.join(folder));
    }

    /// Commits everything and returns the commit.
    pub fn commit(&self, message: &str) -> String {
        commit(&self.folder, message)
    }

    /// Returns the commit that is checked out.
    pub fn head(&self) -> String {
        let repository = git2::Repository::open(&self.folder).expect("a repository");
        repository.head().and_then(|head| head.peel_to_commit()).expect("a commit").id().to_string()
    }

    /// Checks out a commit as a new branch.
    pub fn branch(&self, name: &str, commit: &str) {
        let git = git2::Repository::open(&self.folder).expect("a repository");
        let id = git2::Oid::from_str(commit).expect("a commit's id");
        git.branch(name, &git.find_commit(id).expect("that commit"), true).expect("a branch");
        self.check_out(name);
    }

    /// Checks out a branch.
    pub fn check_out(&self, branch: &str) {
        let git = git2::Repository::open(&self.folder).expect("a repository");
        git.set_head(&format!("refs/heads/{branch}")).expect("that branch");
        git.checkout_head(Some(git2::build::CheckoutBuilder::new().force())).expect("its files");
    }

    /// The port of the emulated AWS.
    pub fn emulator_port(&self) -> u16 {
        self.test_run.port
    }

    /// Stops the local environment.
    pub fn local_down(&self) -> Finished {
        self.run(&["local", "down"])
    }
}

/// Makes a folder a git repository with everything in its first commit.
pub fn init_repository(folder: &Path) {
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

/// Copies a folder, without what Terraform and Python leave in it; a link stays a link.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        if [".terraform", "__pycache__"].iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().expect("a file's type");
        if kind.is_symlink() {
            // A copy over an earlier one.
            let _ = fs::remove_file(&to);
            std::os::unix::fs::symlink(fs::read_link(&from).expect("a link"), &to).expect("a link");
        } else if kind.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
    }
}

/// Lists the files below a folder, without those behind links to folders.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

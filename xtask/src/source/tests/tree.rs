//! The project of these tests: one Rust function over two crates, in a git repository of its own.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;

use crate::digest::Digest;
use crate::failure::Failure;
use crate::name::FunctionName;
use crate::settings::{ProcessEnvironment, Project};
use crate::source::{Repository, Source};

/// A project in a git repository of its own, removed in the end.
pub(crate) struct Tree {
    pub(super) folder: tempfile::TempDir,
    /// The project's folder inside the repository, or nothing.
    below: &'static str,
    /// How many commits were made: each is a day later than the one before.
    days: Cell<i64>,
}

pub(super) const HELLO: &str = "lambda-src/hello";

impl Tree {
    /// Makes a project with one function, committed.
    pub(crate) fn new() -> Self {
        Self::below("")
    }

    pub(super) fn below(below: &'static str) -> Self {
        let tree = Self::without_repository(below);
        let mut options = git2::RepositoryInitOptions::new();
        // Without a template's sample hooks.
        options.initial_head("main").external_template(false);
        git2::Repository::init_opts(tree.folder.path(), &options).unwrap();
        tree.commit("feat: begin");
        tree
    }

    pub(super) fn without_repository(below: &'static str) -> Self {
        let tree = Self { folder: tempfile::tempdir().unwrap(), below, days: Cell::new(0) };
        tree.write_project();
        tree
    }

    fn write_project(&self) {
        for (path, text) in [
            ("pipelines/project.toml", "schema = 1\nname = \"shop\"\n"),
            (
                "lambda-src/hello/function.toml",
                "runtime = \"provided.al2023\"\n[build]\nwith = \"cargo\"\ninputs = [\"data/*.json\"]\n",
            ),
            (
                "lambda-src/hello/Cargo.toml",
                "[package]\nname = \"hello\"\n[dependencies]\nshared = { path = \"../../crates/shared\" }\nextra.workspace = true\n[dev-dependencies]\nother = { path = \"../../crates/other\" }\n",
            ),
            ("lambda-src/hello/src/main.rs", "fn main() {}\n"),
            ("lambda-src/hello/src/word.rs", "\n"),
            (
                "crates/shared/Cargo.toml",
                "[package]\nname = \"shared\"\n[dependencies]\ndeep = { path = \"../deep\" }\n",
            ),
            ("crates/shared/src/lib.rs", ""),
            ("crates/deep/Cargo.toml", "[package]\nname = \"deep\"\n[dependencies]\nitoa = \"1\"\n"),
            ("crates/deep/src/lib.rs", ""),
            ("crates/extra/Cargo.toml", "[package]\nname = \"extra\"\n[features]\nrc = []\n"),
            ("crates/extra/src/lib.rs", ""),
            ("crates/other/Cargo.toml", "[package]\nname = \"other\"\n"),
            ("crates/other/src/lib.rs", ""),
            ("vendor/itoa/Cargo.toml", "[package]\nname = \"itoa\"\nversion = \"1.0.0\"\n"),
            ("vendor/itoa/src/lib.rs", ""),
            ("vendor/itoa/.cargo-checksum.json", "{\"files\":{},\"package\":null}"),
            ("Cargo.toml", MANIFEST),
            ("Cargo.lock", LOCK),
            ("rust-toolchain.toml", "[toolchain]\nchannel = \"1.95\"\n"),
            (".cargo/config.toml", CONFIG),
            (".gitignore", "target/\n*.ignored\n"),
            ("data/greetings.json", "{}\n"),
            ("README.md", "# Shop\n"),
        ] {
            self.write(path, text);
        }
    }

    /// Returns the project's folder.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join(self.below)
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(super) fn replace(&self, path: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.root().join(path)).unwrap();
        assert!(text.contains(from), "{path} has no {from}");
        self.write(path, &text.replace(from, to));
    }

    /// Runs git in the repository and returns its output.
    #[expect(clippy::disallowed_methods, reason = "tests look at repositories as git itself makes them")]
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.folder.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "Ada")))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "ada@example.com")))
            .output()
            .expect("git");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits everything; returns the commit.
    pub(crate) fn commit(&self, message: &str) -> String {
        // Without a process for each step, of which these tests would need hundreds.
        let git = git2::Repository::open(self.folder.path()).unwrap();
        let mut index = git.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.update_all(["*"], None).unwrap();
        index.write().unwrap();
        let tree = git.find_tree(index.write_tree().unwrap()).unwrap();
        let time = git2::Time::new(1_793_534_400 + 86_400 * self.days.get(), 0);
        self.days.set(self.days.get() + 1);
        let ada = git2::Signature::new("Ada", "ada@example.com", &time).unwrap();
        let parent = git.head().ok().map(|head| head.peel_to_commit().unwrap());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        git.commit(Some("HEAD"), &ada, &ada, message, &tree, &parents).unwrap().to_string()
    }

    /// Reads the project's settings.
    pub(crate) fn project(&self) -> Project {
        Project::load(&self.root()).unwrap()
    }

    /// Opens the repository.
    pub(crate) fn repository(&self) -> Repository {
        Repository::open(&self.root()).unwrap()
    }

    /// Reads the source of the function `hello`.
    pub(crate) fn source(&self) -> Source {
        Source::read(&self.project(), &process_env(), &self.repository(), &hello()).unwrap()
    }

    pub(super) fn digest(&self) -> Digest {
        self.source().inputs_digest
    }

    pub(super) fn failure(&self) -> Failure {
        Repository::open(&self.root())
            .and_then(|repository| Source::read(&self.project(), &process_env(), &repository, &hello()))
            .expect_err("no source here")
    }
}

/// The variables of this machine: cargo runs for real.
pub(crate) fn process_env() -> ProcessEnvironment {
    ProcessEnvironment::read().unwrap()
}

pub(crate) fn hello() -> FunctionName {
    "hello".parse().unwrap()
}

const MANIFEST: &str = "[workspace]\nmembers = [\"lambda-src/*\", \"crates/*\"]\nexclude = [\"lambda-src/hello-two\"]\nresolver = \"3\"\n[workspace.package]\nedition = \"2024\"\n[workspace.dependencies]\nextra = { path = \"crates/extra\" }\nunused = \"1\"\n[profile.release]\nlto = true\n";

const CONFIG: &str =
    "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"vendor\"\n";

const LOCK: &str = r#"version = 4

[[package]]
name = "deep"
version = "0.0.0"
dependencies = [
 "itoa",
]

[[package]]
name = "extra"
version = "0.0.0"

[[package]]
name = "hello"
version = "0.0.0"
dependencies = [
 "extra",
 "other",
 "shared",
]

[[package]]
name = "itoa"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"

[[package]]
name = "other"
version = "0.0.0"

[[package]]
name = "shared"
version = "0.0.0"
dependencies = [
 "deep",
]
"#;

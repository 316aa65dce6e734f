//! A project with one stack in a repository of git.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::*;

/// A project with the stack `s`, in a repository.
pub(super) struct ProjectFolder(tempfile::TempDir);

pub(super) const MAIN: &str = "terraform {\n  backend \"s3\" {}\n}\nvariable \"releases\" {}\nvariable \"timeout\" {\n  default = 3\n}\noutput \"functions\" {\n  value = {}\n}\n";

impl ProjectFolder {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        project.git(&["init", "--quiet"]);
        project.write("terraform/stacks/s/main.tf", MAIN);
        files.iter().for_each(|(path, text)| project.write(path, text));
        project
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(super) fn link(&self, path: &str, target: &str) {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    #[expect(clippy::disallowed_methods, reason = "a repository for a test")]
    pub(super) fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b"];
        let done =
            Command::new("git").args(identity).args(arguments).current_dir(self.path()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    pub(super) fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "x"]);
    }

    pub(super) fn read_with(&self, extra: Option<&[String]>) -> Result<StackSources> {
        StackSources::read(self.path(), &"s".parse().unwrap(), &"local".parse().unwrap(), extra)
    }

    pub(super) fn read(&self) -> StackSources {
        self.read_with(None).unwrap()
    }

    /// Returns message and hint of the failure to read.
    pub(super) fn refusal(&self) -> String {
        let failure = self.read_with(None).unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Usage, "{failure}");
        format!("{failure} | {}", failure.report().hint.unwrap_or_default())
    }

    /// Returns the paths of the files in the copy.
    pub(super) fn copy_of(&self, sources: &StackSources) -> std::path::PathBuf {
        working_copy::of_sources(sources, &self.path().join("target/work"), false).unwrap()
    }
}

pub(super) fn names(sources: &StackSources) -> Vec<&str> {
    sources.files.keys().map(String::as_str).collect()
}

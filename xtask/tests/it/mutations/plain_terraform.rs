//! Terraform without Slipway: it plans a copy of the repository, or of what the ledger keeps, with the state that Slipway left.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::EchoProject;
use crate::support::process::{self, Finished};

/// A folder of its own in which Terraform plans.
pub struct PlainTerraform<'a> {
    project: &'a EchoProject,
    folder: PathBuf,
}

impl<'a> PlainTerraform<'a> {
    pub fn new(project: &'a EchoProject) -> Self {
        Self { project, folder: project.home.join("plain-terraform") }
    }

    /// The folders of programs, those of this repository first.
    pub fn path(&self) -> String {
        format!("{}:{}", self.project.home.join("bin").display(), self.project.test_run.machine.path)
    }

    /// Plans the folder; the error is what Terraform would do after a command that succeeded.
    pub fn has_nothing_to_do(&self, finished: &Finished) -> Result<(), String> {
        match self.plan() {
            (0, _) => Ok(()),
            (2, plan) => {
                Err(format!("the command says that it is done, and Terraform plans:\n{plan}\n{finished}"))
            }
            (code, plan) => Err(format!(
                "the command succeeds, and plain Terraform exits with {code}:\n{plan}\n{finished}"
            )),
        }
    }

    /// Copies the files that git lists into the folder.
    pub fn copy_what_git_lists(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        let root = &self.project.folder;
        let list =
            self.program("git", root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).1;
        for path in list.split('\0').filter(|path| !path.is_empty()) {
            let (from, to) = (root.join(path), self.folder.join(path));
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            // Links are followed: outside the repository Terraform would read the same file.
            if from.is_file() {
                fs::copy(from, to).expect("a copy");
            }
        }
    }

    /// Unpacks the files of the newest deployment, as the ledger keeps them, into the folder.
    pub fn copy_what_the_ledger_keeps(&self) {
        let _ = fs::remove_dir_all(&self.folder);
        fs::create_dir_all(&self.folder).expect("a folder");
        let account = &self.project.account;
        let [_, bucket] = account.buckets();
        // The keys count down: the newest entry is the first.
        let mut keys = account.keys(&bucket);
        keys.sort();
        let is_end = |key: &&String| key.starts_with("ledger/echo/") && key.ends_with(".ended.json");
        let newest = keys.iter().find(is_end).expect("an entry of the ledger");
        let entry: Value = serde_json::from_slice(&account.object(&bucket, newest)).expect("an entry");
        let digest = entry["configuration"].as_str().expect("a digest").replace(':', "/");
        let zip = self.project.home.join("kept.zip");
        fs::write(&zip, account.object(&bucket, &format!("configurations/{digest}.zip"))).expect("a zip");
        let (zip, to) = (zip.to_string_lossy(), self.folder.to_string_lossy());
        let unpacked = self.program("python3", &self.project.home, &["-m", "zipfile", "-e", &zip, &to]);
        assert_eq!(unpacked.0, 0, "{}", unpacked.1);
    }

    /// Plans the folder; returns the exit code and the output.
    fn plan(&self) -> (i32, String) {
        let stack = self.folder.join("terraform/stacks/echo");
        let [_, bucket] = self.project.account.buckets();
        fs::write(self.folder.join("state"), self.project.account.object(&bucket, "echo.tfstate"))
            .expect("the state");
        fs::write(
            stack.join("zz_plain_override.tf"),
            "terraform {\n  backend \"local\" {\n    path = \"../../../state\"\n  }\n}\n",
        )
        .expect("another backend");
        let init = self.program("terraform", &stack, &["init", "-input=false", "-no-color"]);
        if init.0 != 0 {
            return init;
        }
        let values = self.project.folder.join("target/slipway/terraform/local/echo/slipway.tfvars.json");
        let values = format!("-var-file={}", values.display());
        let mut arguments = vec!["plan", "-input=false", "-no-color", "-detailed-exitcode", "-lock=false"];
        if stack.join("../../environments/local/echo.tfvars").exists() {
            arguments.push("-var-file=../../environments/local/echo.tfvars");
        }
        arguments.push(&values);
        self.program("terraform", &stack, &arguments)
    }

    /// Runs a program of the machine; returns its exit code and what it printed.
    pub fn program(&self, name: &str, folder: &Path, arguments: &[&str]) -> (i32, String) {
        let output = process::command(Path::new(name))
            .args(arguments)
            .current_dir(folder)
            .env("PATH", self.path())
            .env("HOME", &self.project.home)
            .output()
            .expect(name);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout) + &text(&output.stderr))
    }
}

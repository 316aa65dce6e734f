//! The generated repository: a Python function with a submodule, a function that a command builds from files inside and
//! outside its folder, a variable and a tool, and an image with its base.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::change::Change;
use super::{Tally, oracle, rust_project};
use crate::support::TestRun;
use crate::support::base_images::base_images;
use crate::support::process;
use crate::support::sandbox::{Sandbox, copy};

/// A repository, what surrounds it, and every artifact that was made of it.
pub struct BuildWorld {
    sandbox: Sandbox,
    /// The project's folder.
    pub folder: PathBuf,
    /// Variables of the builds.
    pub variables: Vec<(String, String)>,
    /// What was found so far.
    pub tally: Tally,
    /// Inputs digest -> artifact, for each function.
    artifacts: BTreeMap<(String, String), String>,
    functions: &'static [&'static str],
    submodule: PathBuf,
    number: u32,
    refused_in_a_row: u32,
}

/// The functions that build in no time.
pub const QUICK: &[&str] = &["snake", "maker", "framed"];
/// Where the base of the image lies in the project.
const BASE: &str = "bases/libc";
/// The function that takes a compiler.
pub const RUST: &[&str] = &["rusty"];

/// Writes all that it finds into its output: names, contents, modes, variables, and what the tool does.
const BUILD: &str = r#"import os, stat, subprocess, sys
found = []
for place in (".", "../../data"):
    for folder, folders, files in os.walk(place):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            if path.startswith("./dist"):
                continue
            text = open(path, "rb").read() if os.path.exists(path) else b"nothing"
            kind = "link" if os.path.islink(path) else str(bool(os.lstat(path).st_mode & stat.S_IXUSR))
            found.append(f"{path} {kind} {text!r}")
found += [f"{name}={value}" for name, value in sorted(os.environ.items()) if name in ("MAKER_FLAVOUR", "UNDECLARED", "LANG", "TZ")]
found.append(subprocess.run(["maker-tool", "make"], capture_output=True, text=True, check=True).stdout)
open("dist/out.txt", "w").write("\n".join(found))
open("dist/out.js", "w").write("exports.handler = async () => 1;\n")
"#;

impl BuildWorld {
    /// Makes a repository with everything committed.
    pub fn new(test_run: &'static TestRun, functions: &'static [&'static str]) -> Self {
        let sandbox = Sandbox::new(test_run);
        let folder = sandbox.folder.clone();
        let submodule = sandbox.home.join("library");
        let mut world = Self {
            sandbox,
            folder,
            variables: Vec::new(),
            tally: Tally::default(),
            artifacts: BTreeMap::new(),
            functions,
            submodule,
            number: 0,
            refused_in_a_row: 0,
        };
        world.write_files();
        world
    }

    fn write_files(&mut self) {
        for (path, text) in [
            ("pipelines/project.toml", "schema = 1\nname = \"shop\"\n"),
            (".gitignore", "/target/\ndist/\n"),
            (".gitattributes", "*.rev filter=rev\n"),
            ("lambda-src/snake/src/snake/turned.rev", "content of a filter\n"),
            ("README.md", "# Shop\n"),
            (
                "lambda-src/snake/function.toml",
                "runtime = \"python3.12\"\nhandler = \"snake.app.handle\"\n[build]\nwith = \"python\"\nsources = [\"src/snake\", \"vendor\"]\nallow = [\"**\"]\n",
            ),
            ("lambda-src/snake/src/snake/app.py", "def handle(event, context):\n    return 1\n"),
            ("lambda-src/snake/src/snake/data.json", "{\"a\": 1}\n"),
            ("lambda-src/snake/src/snake/deep/er.py", "WORD = 1\n"),
            (
                "lambda-src/maker/function.toml",
                "runtime = \"nodejs22.x\"\nhandler = \"out.handler\"\n[build]\nwith = \"command\"\nrun = [\"python3 build.py\", \"sh run.sh\"]\noutput = \"dist\"\ninputs = [\"data/*.json\"]\nenv = [\"MAKER_FLAVOUR\"]\ntools = [\"maker-tool --version\"]\nallow = [\"**\"]\n",
            ),
            ("lambda-src/maker/build.py", BUILD),
            ("lambda-src/maker/run.sh", "cp -RL src dist/copied || true\n"),
            ("lambda-src/maker/src/one.txt", "one 1\n"),
            ("lambda-src/maker/src/two.txt", "two 2\n"),
            ("data/shared.json", "{\"shared\": 1}\n"),
            ("data/more.json", "{\"more\": 1}\n"),
            ("data/other.txt", "not declared 1\n"),
        ] {
            self.sandbox.write(path, text);
        }
        self.copy_base();
        self.write_image(0);
        self.sandbox.write(
            "lambda-src/framed/make.sh",
            "#!/bin/sh\ncp page.txt dist/page.txt; cp make.sh dist/bootstrap; chmod +x dist/bootstrap\n",
        );
        self.sandbox.write("lambda-src/framed/page.txt", "page 1\n");
        rust_project::write(&self.sandbox);
        self.write_tool(0);
        let submodule = self.submodule.to_string_lossy().into_owned();
        fs::create_dir_all(&self.submodule).expect("the submodule's origin");
        fs::write(self.submodule.join("lib.py"), "WORD = 1\n").expect("a file");
        fs::write(self.submodule.join("lib.rs"), "pub const WORD: &str = \"submodule 1\";\n")
            .expect("a file");
        self.git_at(&submodule, &["init", "--quiet"]);
        self.git_at(&submodule, &["add", "--all"]);
        self.git_at(&submodule, &["commit", "--quiet", "--message", "x"]);
        let git = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            assert!(self.git(&arguments).0, "{arguments:?}");
        };
        git(&["init", "--quiet"]);
        git(&["config", "filter.rev.clean", "rev"]);
        git(&["config", "filter.rev.smudge", "rev"]);
        git(&["submodule", "--quiet", "add", &submodule, "lambda-src/snake/vendor"]);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message", "feat: begin"]);
    }

    /// Makes a change.
    pub fn make(&mut self, change: &Change) {
        change.apply(self);
        self.tally.changes += 1;
    }

    /// Builds every function, and compares.
    pub fn check(&mut self) -> Result<(), String> {
        for &function in self.functions {
            let built = match self.build(&["build", function, "--output", "json"]) {
                Ok(built) => built,
                Err(reason) => {
                    self.tally.refuse(&reason);
                    self.refused_in_a_row += 1;
                    continue;
                }
            };
            self.refused_in_a_row = 0;
            let forced = match self.build(&["build", function, "--force", "--output", "json"]) {
                Ok(forced) => forced,
                // A variable that was kept out decides nothing about an artifact that exists.
                Err(reason) if reason.starts_with("the variable ") => continue,
                Err(reason) => {
                    return Err(format!("`build {function}` succeeds, and fails with --force: {reason}"));
                }
            };
            let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
            let (inputs, artifact) = (text(&forced, "inputs_digest"), text(&forced, "sha256"));
            self.tally.compared += 1;
            if text(&built, "inputs_digest") != inputs {
                return Err(format!("two builds of `{function}` in a row have other inputs"));
            }
            if text(&built, "sha256") != artifact {
                return Err(format!(
                    "`build {function}` took an artifact for built that a forced build makes differently: inputs {inputs}"
                ));
            }
            let key = (function.to_owned(), inputs.clone());
            match self.artifacts.get(&key) {
                Some(known) if *known != artifact => {
                    return Err(format!(
                        "the inputs {inputs} of `{function}` made {known} before and make {artifact} now"
                    ));
                }
                Some(_) => {}
                None => {
                    self.tally.other_results +=
                        usize::from(!self.artifacts.values().any(|known| *known == artifact));
                    self.artifacts.insert(key, artifact);
                }
            }
            let dirty = forced["dirty"].as_bool().unwrap_or_default();
            let expected = oracle::dirty(self, function);
            if dirty != expected.is_some() {
                let changed =
                    self.run(&["inputs", function, "--output", "json"]).map(|data| data["changed"].clone());
                return Err(format!("`{function}` has the changes {changed:?}, and git says {expected:?}"));
            }
        }
        Ok(())
    }

    /// Puts everything back that keeps builds from being made.
    pub fn restore_after_refusals(&mut self) {
        if self.refused_in_a_row < 6 {
            return;
        }
        self.refused_in_a_row = 0;
        let git = |words: &[&str]| self.git(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        git(&["config", "core.autocrlf", "false"]);
        let (_, first) = git(&["rev-list", "--max-parents=0", "HEAD"]);
        let (_, files) = git(&["ls-files"]);
        for flag in ["--no-assume-unchanged", "--no-skip-worktree"] {
            for file in files.lines() {
                git(&["update-index", flag, "--", file]);
            }
        }
        git(&["read-tree", "--empty"]);
        git(&["reset", "--quiet", "--hard", first.trim()]);
        git(&["clean", "--quiet", "-d", "--force"]);
        git(&["submodule", "--quiet", "update", "--init", "--force"]);
        git(&["-C", "lambda-src/snake/vendor", "clean", "--quiet", "-d", "--force"]);
    }

    /// Builds; the first line of the message where that was refused.
    fn build(&self, arguments: &[&str]) -> Result<Value, String> {
        self.run(arguments).map(|data| data["artifacts"][0].clone())
    }

    /// Runs a command; returns the data of its document, or its message.
    fn run(&self, arguments: &[&str]) -> Result<Value, String> {
        let path =
            format!("{}:{}", self.sandbox.home.join("bin").display(), self.sandbox.test_run.machine.path);
        let mut variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let cargo_home = self.sandbox.home.join("cargo").to_string_lossy().into_owned();
        variables.extend([("PATH", path.as_str()), ("CARGO_HOME", cargo_home.as_str())]);
        let finished = self.sandbox.start_with(arguments, &variables).wait();
        if finished.code == Some(0) {
            return Ok(finished.json()["data"].clone());
        }
        assert!(matches!(finished.code, Some(1 | 2 | 6)), "{finished}");
        Err(finished.json()["error"]["message"].as_str().unwrap_or_default().to_owned())
    }

    /// Runs git in the project; returns whether it succeeded, and its output.
    pub fn git(&self, arguments: &[String]) -> (bool, String) {
        let folder = self.folder.to_string_lossy().into_owned();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.git_at(&folder, &arguments)
    }

    fn git_at(&self, folder: &str, arguments: &[&str]) -> (bool, String) {
        let output = process::command(std::path::Path::new("git"))
            .args(["-C", folder, "-c", "protocol.file.allow=always"])
            .args(arguments)
            .env("PATH", &self.sandbox.test_run.machine.path)
            .env("HOME", &self.sandbox.home)
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "Ada")))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "ada@example.com")))
            .output()
            .expect("git");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Commits everything that is not ignored.
    pub fn commit(&self) {
        for arguments in [["add", "--all", "", ""], ["commit", "--quiet", "--message", "feat: x"]] {
            let arguments: Vec<String> = arguments
                .iter()
                .filter(|argument| !argument.is_empty())
                .map(|text| (*text).to_owned())
                .collect();
            self.git(&arguments);
        }
    }

    /// Changes the submodule: a commit in it, another commit checked out, or nothing but a file.
    pub fn change_submodule(&mut self, number: u32) {
        let folder = self.folder.join("lambda-src/snake/vendor");
        if !folder.join(".git").exists() {
            return;
        }
        let place = folder.to_string_lossy().into_owned();
        match number {
            0 => {
                self.git_at(&place, &["checkout", "--quiet", "--force", "HEAD~1"]);
            }
            1 => {
                let _ = fs::write(folder.join("untracked.py"), "WORD = 0\n");
            }
            _ => {
                self.number += 1;
                let number = self.number;
                let _ = fs::write(folder.join("lib.py"), format!("WORD = {number}\n"));
                let text = format!("pub const WORD: &str = \"submodule {number}\";\n");
                let _ = fs::write(folder.join("lib.rs"), text);
                self.git_at(&place, &["commit", "--quiet", "--all", "--message", "more"]);
            }
        }
    }

    /// Copies the images' base into the repository.
    fn copy_base(&self) {
        copy(&base_images(self.sandbox.test_run).libc.layout, &self.folder.join(BASE));
    }

    /// Writes the settings of the image.
    pub fn write_image(&self, number: u32) {
        let digest = &base_images(self.sandbox.test_run).libc.digest;
        let text = format!(
            "runtime = \"provided.al2023\"\npackage = \"image\"\n[build]\nwith = \"command\"\nrun = [\"sh make.sh\"]\noutput = \"dist\"\nallow = [\"**\"]\n[image]\nbase = \"oci:{BASE}@{digest}\"\nentrypoint = [\"/var/task/bootstrap\"]\n[image.env]\nNUMBER = \"{number}\"\n"
        );
        self.sandbox.write("lambda-src/framed/function.toml", &text);
    }

    /// Changes a byte of the largest file of the images' base, or puts the base back.
    pub fn change_base(&self, spoil: bool) {
        self.copy_base();
        if !spoil {
            return;
        }
        let blobs = fs::read_dir(self.folder.join(BASE).join("blobs/sha256")).expect("the base's blobs");
        let largest = blobs.flatten().max_by_key(|blob| blob.metadata().map_or(0, |data| data.len()));
        let largest = largest.expect("a blob").path();
        let mut bytes = fs::read(&largest).expect("a blob");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(largest, bytes).expect("another blob");
    }

    /// Writes cargo's configuration in its own folder.
    pub fn write_cargo_configuration(&self, number: u32) {
        let folder = self.sandbox.home.join("cargo");
        fs::create_dir_all(&folder).expect("cargo's folder");
        let text = format!("[build]\nrustflags = [\"-Cdebuginfo={number}\"]\n[net]\nretry = {number}\n");
        fs::write(folder.join("config.toml"), text).expect("cargo's configuration");
    }

    /// Writes the tool that the command runs.
    pub fn write_tool(&self, number: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        let file = self.sandbox.home.join("bin/maker-tool");
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder for programs");
        let text = format!(
            "#!/bin/sh\ncase \"$1\" in\n--version) echo maker-tool {number} ;;\n*) echo made by {number} ;;\nesac\n"
        );
        // Beside its place first: a program that runs cannot be written.
        let part = file.with_extension("part");
        fs::write(&part, text).expect("the tool");
        fs::set_permissions(&part, fs::Permissions::from_mode(0o755)).expect("the tool's mode");
        fs::rename(part, file).expect("the tool in its place");
    }
}

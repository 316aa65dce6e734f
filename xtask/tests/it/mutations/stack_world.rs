//! A repository whose stack reads files in many ways. After each change it is released; then plain Terraform plans the whole
//! repository, without Slipway, and must find nothing to do.

use std::fs;
use std::path::Path;

use super::Tally;
use super::plain_terraform::PlainTerraform;
use crate::support::EchoProject;
use crate::support::echo;
use crate::support::process::Finished;

/// The project, and what surrounds its releases.
pub struct StackWorld {
    project: EchoProject,
    variables: Vec<(String, String)>,
    /// What was found so far.
    pub tally: Tally,
    code_is_second: bool,
    refused_in_a_row: u32,
}

/// A change of what a stack is planned from, or of what might decide a plan.
#[derive(Debug, Clone)]
pub enum StackChange {
    /// Writes a file, whether it exists or not.
    Write(&'static str, u32),
    /// Writes a file of the same size with the same times.
    WriteUnseen(&'static str),
    Delete(&'static str),
    Rename(&'static str, &'static str),
    Chmod(&'static str),
    /// Makes a file a link.
    Link(&'static str, &'static str),
    /// Has git ignore a pattern.
    Ignore(&'static str),
    Commit,
    /// Changes the function's code.
    Code,
    Variable(&'static str, &'static str),
    /// Puts another Terraform first on the PATH, which says another version and plans with another value.
    Terraform(u32),
    /// Names the newest commit.
    Tag(&'static str),
    /// Takes the newest deployment back.
    Rollback,
}

const FILES: [&str; 13] = [
    "terraform/stacks/echo/note.txt",
    "terraform/stacks/echo/template.tpl",
    "terraform/stacks/echo/deep/data.json",
    "terraform/stacks/echo/extra.tf",
    "terraform/stacks/echo/more.tf.json",
    "terraform/shared/linked.tf",
    "terraform/shared/tags.tf",
    "terraform/policies/policy.json",
    "terraform/policies/undeclared.json",
    "terraform/modules/inner/main.tf",
    "terraform/modules/inner/text.txt",
    "terraform/environments/local/echo.tfvars",
    "README.md",
];

const NEW_FILES: [&str; 7] = [
    "terraform/stacks/echo/override.tf",
    "terraform/stacks/echo/new.tf",
    "terraform/stacks/echo/new.auto.tfvars",
    "terraform/stacks/echo/deep/new.json",
    "terraform/modules/inner/new.tf",
    "terraform/policies/new.json",
    "terraform/stacks/echo/terraform.tfvars",
];

const VARIABLES: [(&str, &str); 9] = [
    ("TF_VAR_word", "from the shell"),
    ("TF_VAR_machine", "from the shell"),
    ("TF_CLI_ARGS_plan", "-destroy"),
    ("TF_CLI_ARGS_plan", "-target=terraform_data.note"),
    ("TF_CLI_ARGS_apply", "-parallelism=1"),
    ("TF_CLI_ARGS_init", "-upgrade"),
    ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
    ("AWS_USE_FIPS_ENDPOINT", "true"),
    ("TF_WORKSPACE", "other"),
];

impl StackChange {
    /// Returns a random change.
    pub fn random(random: &mut fastrand::Rng) -> Self {
        let file = FILES[random.usize(..FILES.len())];
        let new = NEW_FILES[random.usize(..NEW_FILES.len())];
        let number = random.u32(1..60);
        match random.u32(..50) {
            0..=15 => Self::Write(file, number),
            16..=19 => Self::WriteUnseen(file),
            20..=25 => Self::Write(new, number),
            26..=28 => Self::Delete(new),
            29 => Self::Delete(file),
            30 => Self::Rename(file, new),
            31..=32 => Self::Chmod(file),
            33..=35 => Self::Link(
                "terraform/stacks/echo/linked.tf",
                ["../../shared/linked.tf", "../../shared/other.tf", "/etc/hostname"][random.usize(..3)],
            ),
            36..=37 => {
                Self::Ignore(["override.tf", "*.auto.tfvars", "new.*", "!override.tf"][random.usize(..4)])
            }
            38..=41 => Self::Commit,
            42..=43 => Self::Code,
            44 => Self::Terraform(random.u32(..3)),
            45 if number.is_multiple_of(4) => Self::Tag(["echo-v9.0.0", "v1.2.3"][random.usize(..2)]),
            45..=46 => {
                let (name, value) = VARIABLES[random.usize(..VARIABLES.len())];
                Self::Variable(name, value)
            }
            47 => Self::Variable("", ""),
            _ => Self::Rollback,
        }
    }
}

impl StackWorld {
    /// Makes a project that is released.
    pub fn new() -> Self {
        let project = EchoProject::new().expect("an echo project");
        for file in FILES.iter().filter(|file| !file.ends_with("echo.tfvars")) {
            project.write(file, &text_of(file, 0));
        }
        project.write(
            "terraform/shared/other.tf",
            "resource \"terraform_data\" \"linked\" {\n  input = \"other\"\n}\n",
        );
        project.write(
            "terraform/stacks/echo/stack.toml",
            "functions = [\"echo\"]\nfiles = [\"../../policies/policy.json\"]\n",
        );
        for name in ["linked.tf", "tags.tf"] {
            let link = project.folder.join("terraform/stacks/echo").join(name);
            std::os::unix::fs::symlink(format!("../../shared/{name}"), link).expect("a link");
        }
        project.commit("feat: files of every kind");
        Self {
            project,
            variables: Vec::new(),
            tally: Tally::default(),
            code_is_second: false,
            refused_in_a_row: 0,
        }
    }

    /// Makes a change.
    pub fn make(&mut self, change: &StackChange) -> Result<(), String> {
        self.tally.changes += 1;
        let at = |path: &str| self.project.folder.join(path);
        match change {
            StackChange::Write(path, number) => {
                let text = if path.ends_with("echo.tfvars") {
                    let text = fs::read_to_string(at(path)).unwrap_or_default();
                    let known: Vec<&str> = text.lines().filter(|line| !line.starts_with("word")).collect();
                    format!("{}\nword = \"tfvars {number}\"\n", known.join("\n"))
                } else {
                    text_of(path, *number)
                };
                // Through links, as an editor writes.
                if fs::create_dir_all(at(path).parent().expect("a folder")).is_ok() {
                    let _ = fs::write(at(path), text);
                }
            }
            StackChange::WriteUnseen(path) => write_unseen(&at(path)),
            StackChange::Delete(path) => {
                let _ = fs::remove_file(at(path));
            }
            StackChange::Rename(from, to) => {
                let _ = fs::rename(at(from), at(to));
            }
            StackChange::Chmod(path) => {
                use std::os::unix::fs::PermissionsExt as _;
                let _ = fs::set_permissions(at(path), fs::Permissions::from_mode(0o755));
            }
            StackChange::Link(path, target) => {
                let _ = fs::remove_file(at(path));
                let _ = std::os::unix::fs::symlink(target, at(path));
            }
            StackChange::Ignore(pattern) => {
                let text = fs::read_to_string(at(".gitignore")).unwrap_or_default();
                self.project.write(".gitignore", &format!("{text}{pattern}\n"));
            }
            StackChange::Commit => {
                self.project.commit("feat: x");
            }
            StackChange::Code => {
                self.code_is_second = !self.code_is_second;
                let source = echo::SOURCE.to_owned();
                let source = if self.code_is_second { echo::second(&source) } else { source };
                self.project.write("lambda-src/echo/src/main.rs", &source);
                self.project.commit("feat: other code");
            }
            StackChange::Variable("", _) => self.variables.clear(),
            StackChange::Variable(name, value) => {
                self.variables.retain(|(known, _)| known != name);
                self.variables.push(((*name).to_owned(), (*value).to_owned()));
            }
            StackChange::Terraform(number) => self.write_terraform(*number),
            StackChange::Tag(name) => {
                self.terraform().program("git", &self.project.folder, &["tag", "--force", name]);
            }
            StackChange::Rollback => return self.roll_back(),
        }
        Ok(())
    }

    /// Releases, and has plain Terraform look for what was missed.
    pub fn check(&mut self) -> Result<(), String> {
        let variables = self.variables();
        let release = ["release", "--env", "local", "--yes", "--output", "json"];
        let finished = self.start(&release, &variables);
        if finished.code != Some(0) {
            let message = finished.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
            let loud = matches!(finished.code, Some(1 | 2 | 5 | 6)) && !message.is_empty();
            assert!(loud, "{finished}");
            self.tally.refuse(&message);
            self.refused_in_a_row += 1;
            return Ok(());
        }
        self.refused_in_a_row = 0;
        self.tally.compared += 1;
        let unchanged = finished.json()["data"].to_string().contains("\"unchanged\":true");
        self.tally.other_results += usize::from(!unchanged);
        let terraform = self.terraform();
        terraform.copy_what_git_lists();
        terraform.has_nothing_to_do(&finished)
    }

    /// Puts everything back that keeps releases from being made.
    pub fn restore_after_refusals(&mut self) {
        if self.refused_in_a_row < 4 {
            return;
        }
        self.refused_in_a_row = 0;
        self.variables.clear();
        self.write_terraform(0);
        let git = |arguments: &[&str]| self.terraform().program("git", &self.project.folder, arguments).1;
        let begin = git(&["rev-list", "--max-count=1", "--grep=files of every kind", "HEAD"]);
        git(&["rm", "-r", "--cached", "--force", "--quiet", "."]);
        git(&["checkout", "--quiet", "--force", begin.trim(), "--", "."]);
        git(&["clean", "--quiet", "-d", "--force"]);
        self.code_is_second = false;
        self.project.commit("feat: begin again");
    }

    fn terraform(&self) -> PlainTerraform<'_> {
        PlainTerraform::new(&self.project)
    }

    /// The variables that surround a release.
    fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn start(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
        let path = self.terraform().path();
        let variables: Vec<_> = variables.iter().copied().chain([("PATH", path.as_str())]).collect();
        self.project.start_with(arguments, &variables).wait()
    }

    /// Writes a Terraform that calls the machine's with a value of its own; with 0, none.
    fn write_terraform(&self, number: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        let file = self.project.home.join("bin/terraform");
        let _ = fs::remove_file(&file);
        if number == 0 {
            return;
        }
        let path = &self.project.test_run.machine.path;
        let text = format!(
            "#!/bin/sh\nexport PATH={path}\nif [ \"$1\" = version ]; then\n  terraform \"$@\" | sed 's/\"terraform_version\": \"[^\"]*\"/\"terraform_version\": \"1.90.{number}\"/'\nelse\n  TF_VAR_machine=\"terraform {number}\" exec terraform \"$@\"\nfi\n"
        );
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder for programs");
        fs::write(&file, text).expect("a program");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// Rolls back where there is something to go back to; that must end well, and leave nothing to plan.
    fn roll_back(&mut self) -> Result<(), String> {
        let finished = self.start(&["rollback", "--env", "local", "--yes"], &[]);
        match finished.code {
            Some(0) => {
                self.tally.compared += 1;
                let terraform = self.terraform();
                terraform.copy_what_the_ledger_keeps();
                terraform.has_nothing_to_do(&finished)
            }
            // Nothing to go back to.
            Some(2 | 6) => {
                self.tally.refuse(&finished.stderr);
                Ok(())
            }
            _ => Err(format!("{finished}")),
        }
    }
}

/// Returns the content of a file for a number.
fn text_of(path: &str, number: u32) -> String {
    let resource = |name: &str, input: &str| {
        format!("resource \"terraform_data\" \"{name}\" {{\n  input = {input}\n}}\n")
    };
    let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name {
        "extra.tf" => {
            let policy = if number % 7 == 3 { "undeclared" } else { "policy" };
            format!(
                "variable \"word\" {{\n  type    = string\n  default = \"default {number}\"\n}}\nvariable \"machine\" {{\n  type    = string\n  default = \"this one\"\n}}\n{}{}{}{}{}module \"inner\" {{\n  source = \"../../modules/inner\"\n  word   = var.word\n}}\n",
                resource("note", "file(\"${path.module}/note.txt\")"),
                resource("machine", "\"${var.machine} ${jsonencode(local.tags)}\""),
                resource("template", "templatefile(\"${path.module}/template.tpl\", { word = var.word })"),
                resource("policy", &format!("file(\"${{path.module}}/../../policies/{policy}.json\")")),
                resource(
                    "data",
                    "[for name in fileset(path.module, \"deep/*\") : filesha256(\"${path.module}/${name}\")]"
                ),
            )
        }
        "main.tf" => format!(
            "variable \"word\" {{\n  type = string\n}}\n{}",
            resource(
                "inner",
                &format!("\"${{var.word}} {number} ${{file(\"${{path.module}}/text.txt\")}}\"")
            ),
        ),
        "more.tf.json" => {
            format!(
                "{{\"resource\": {{\"terraform_data\": {{\"json\": {{\"input\": \"json {number}\"}}}}}}}}\n"
            )
        }
        "tags.tf" => format!("locals {{\n  tags = {{ number = \"{number}\" }}\n}}\n"),
        "linked.tf" => resource("linked", &format!("\"linked {number}\"")),
        "override.tf" => resource("note", &format!("\"override {number}\"")),
        "new.tf" => resource("new", &format!("\"new {number}\"")),
        name if name.ends_with("tfvars") => format!("word = \"{name} {number}\"\n"),
        "template.tpl" => format!("template {number} of ${{word}}\n"),
        _ => format!("text {number}\n"),
    }
}

/// Changes a digit of a file and puts its times back.
fn write_unseen(path: &Path) {
    if let (Ok(mut bytes), Ok(metadata)) = (fs::read(path), path.metadata())
        && let Some(byte) = bytes.iter_mut().rev().find(|byte| byte.is_ascii_digit())
        && !path.ends_with("echo.tfvars")
    {
        *byte = if *byte == b'9' { b'0' } else { *byte + 1 };
        let _ = fs::write(path, bytes);
        if let (Ok(time), Ok(file)) = (metadata.modified(), fs::File::options().write(true).open(path)) {
            let _ = file.set_modified(time);
        }
    }
}

//! Terraform's modules, each alone on the emulated AWS: created, changed, inspected and destroyed by the real provider.
//!
//! In: `terraform/modules/<noun>/tests/emulator`, run on a copy of all modules, behind a gateway, in one account. Out:
//! nothing in that account, nothing in the repository. Goes wrong: an assertion, a resource that is not destroyed, a
//! module without such tests; the failure names the module and has Terraform's output.

mod plain_terraform;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::json;

use super::support::account::Account;
use super::support::machine::{Machine, repository};
use super::support::process::{Finished, command};
use super::support::sandbox::{AutoStop, Sandbox};
use super::support::{Running, TestRun};
use crate::require;

/// Modules that cannot run on the emulator, and why.
const EXCLUDED: [(&str, &str); 1] = [("budget", "moto answers 500 to every call about budgets")];
/// The slowest module, because of the emulator's own waits: it is started first.
const SLOWEST: &str = "kinesis-stream";
/// Tests that run at the same time: mostly they wait.
const PARALLEL: usize = 4;
/// A module's tests on the emulator, and the files that are added to the module for them.
const TESTS: &str = "tests/emulator";
const DESTROYABLE: &str = "tests/emulator/destroyable";
/// The prefix of all names that they create.
const PREFIX: &str = "slipway-modules";

/// Shared by all runs of Terraform.
struct Fixture {
    sandbox: AutoStop,
    machine: &'static Machine,
    modules: PathBuf,
    environment: BTreeMap<&'static str, String>,
}

#[test]
fn every_module_creates_changes_and_destroys_its_resources() {
    let test_run = require!(TestRun::shared());
    let all = folders(&repository().join("terraform/modules"));
    let mut tested = tested(&all).unwrap_or_else(|problem| panic!("{problem}"));
    tested.sort_by_key(|module| module != SLOWEST);

    let fixture = Fixture::new(AutoStop(Sandbox::new(test_run)), test_run.machine);
    let waiting = Mutex::new(VecDeque::from(tested));
    let next = || waiting.lock().expect("the waiting modules").pop_front();
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..PARALLEL {
            threads.spawn(|| {
                while let Some(module) = next() {
                    if let Err(failure) = fixture.test(&module) {
                        failures.lock().expect("the failures").push(format!("{module}: {failure}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("the failures");
    assert!(failures.is_empty(), "{} of the modules failed\n{}", failures.len(), failures.join("\n"));
    assert_eq!(remaining(&fixture.sandbox.account), Vec::<String>::new(), "something is left");
}

/// Returns the modules with tests on the emulator, or an error that names the modules that lack them or should not have
/// them.
fn tested(all: &[PathBuf]) -> Result<Vec<String>, String> {
    let name = |folder: &PathBuf| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (with, without): (Vec<&PathBuf>, Vec<&PathBuf>) = all
        .iter()
        .partition(|folder| folder.join(TESTS).join(format!("{}.tftest.hcl", name(folder))).is_file());
    let without: Vec<String> = without.into_iter().map(name).collect();
    let excused: Vec<String> = EXCLUDED.iter().map(|(name, _)| (*name).to_owned()).collect();
    if without != excused {
        return Err(format!(
            "modules without {TESTS}/<module>.tftest.hcl: {without:?}; excused are {EXCLUDED:?}"
        ));
    }
    Ok(with.into_iter().map(name).collect())
}

impl Fixture {
    fn new(sandbox: AutoStop, machine: &'static Machine) -> Self {
        sandbox.write("pipelines/project.toml", "schema = 1\nname = \"slipway\"\n");
        sandbox.write("terraform/environments/local/environment.toml", "emulated = true\n");
        let up = sandbox.run(&["local", "up", "--output", "json"]).exits(0).json();
        let gateway = up["data"]["gateway"]["url"].as_str().expect("the gateway's address").to_owned();

        // A copy: `init` writes into the folders, and resources with prevent_destroy are destroyed here.
        sandbox.copy_from_repository("terraform/modules");
        let modules = sandbox.folder.join("terraform/modules");
        for module in folders(&modules) {
            for file in files(&module.join(DESTROYABLE)) {
                fs::copy(&file, module.join(file.file_name().expect("a file's name"))).expect("a copy");
            }
        }

        let mut environment: BTreeMap<_, _> = sandbox.account.administrator_variables().into_iter().collect();
        environment.insert("AWS_ENDPOINT_URL", gateway);
        environment.insert("AWS_REGION", "eu-central-1".to_owned());
        environment.extend(machine.terraform_settings.clone().map(|file| ("TF_CLI_CONFIG_FILE", file)));
        for (name, value) in [("CHECKPOINT_DISABLE", "1"), ("TF_IN_AUTOMATION", "1"), ("GOGC", "300")] {
            environment.insert(name, value.to_owned());
        }
        Self { sandbox, machine, modules, environment }
    }

    fn test(&self, module: &str) -> Result<(), String> {
        let tests = format!("-test-directory={TESTS}");
        let init = self.terraform(module, &["init", "-backend=false", "-input=false", "-no-color", &tests]);
        if init.code != Some(0) {
            return Err(init.to_string());
        }
        let test = self.terraform(module, &["test", "-no-color", &tests]);
        // Terraform succeeds without any run too; with a single run nothing would have been changed.
        let passed = passed(&test.stdout).unwrap_or(0);
        if test.code != Some(0) || passed < 2 || test.stdout.contains("left the following resources") {
            return Err(format!("{passed} runs passed in {test}"));
        }
        Ok(())
    }

    fn terraform(&self, module: &str, arguments: &[&str]) -> Finished {
        let mut terraform = command(Path::new("terraform"));
        terraform
            .args(arguments)
            .current_dir(self.modules.join(module))
            .env("PATH", &self.machine.path)
            .env("HOME", &self.sandbox.home)
            .env("TF_DATA_DIR", self.sandbox.home.join("data").join(module))
            .envs(&self.environment);
        let log = self.sandbox.home.join(format!("{}-{}", module.replace('/', "-"), arguments[0]));
        let command_line = format!("terraform {}", arguments.join(" "));
        Running::start(terraform, command_line, &log, self.sandbox.home.join("no-runs"))
            .with_long_timeout()
            .wait()
    }
}

/// Reads the number of passed runs from the last line of a successful test.
fn passed(stdout: &str) -> Option<usize> {
    let (_, rest) = stdout.rsplit_once("Success! ")?;
    rest.split_once(" passed, 0 failed.")?.0.parse().ok()
}

/// Lists what the services of an account still have with the modules' prefix.
fn remaining(account: &Account) -> Vec<String> {
    let listed = |list: &str, text: String| text.contains(PREFIX).then(|| format!("{list}: {text}"));
    let targets = [
        ("dynamodb", "DynamoDB_20120810.ListTables", "1.0"),
        ("ecr", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories", "1.1"),
        ("kinesis", "Kinesis_20131202.ListStreams", "1.1"),
        ("kms", "TrentService.ListAliases", "1.1"),
        ("logs", "Logs_20140328.DescribeLogGroups", "1.1"),
        ("secretsmanager", "secretsmanager.ListSecrets", "1.1"),
    ]
    .map(|(service, target, version)| {
        listed(target, account.call_json(service, target, version, &json!({})).to_string())
    });
    let forms = [
        ("ec2", "DescribeVpcs", "2016-11-15"),
        ("iam", "ListRoles", "2010-05-08"),
        ("iam", "ListPolicies", "2010-05-08"),
        ("monitoring", "DescribeAlarms", "2010-08-01"),
        ("sns", "ListTopics", "2010-03-31"),
    ]
    .map(|(service, action, version)| {
        let body = format!("Action={action}&Version={version}&Scope=Local");
        let content = "application/x-www-form-urlencoded";
        let response = account.call(service, "POST", "/", content, body.as_bytes());
        assert_eq!(response.status, 200, "{action}: {}", response.text());
        listed(action, response.text())
    });
    let paths = [("s3", "/"), ("lambda", "/2015-03-31/functions"), ("apigateway", "/v2/apis")].map(
        |(service, path)| {
            let response = account.call(service, "GET", path, "application/json", b"");
            assert_eq!(response.status, 200, "{service} {path}: {}", response.text());
            listed(path, response.text())
        },
    );
    targets.into_iter().chain(forms).chain(paths).flatten().collect()
}

fn folders(of: &Path) -> Vec<PathBuf> {
    entries(of).into_iter().filter(|path| path.is_dir()).collect()
}

fn files(of: &Path) -> Vec<PathBuf> {
    entries(of).into_iter().filter(|path| path.is_file()).collect()
}

/// Lists the entries of a folder, by name; none if there is no such folder.
fn entries(of: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(of).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

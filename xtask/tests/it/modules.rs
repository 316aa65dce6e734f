//! Terraform's modules, each by itself on the emulated AWS: made, changed, looked at and destroyed by the real provider.
//!
//! In: `terraform/modules/<noun>/tests/emulator`, run on a copy of all modules, behind a gateway, in one account. Out:
//! nothing in that account, nothing in the repository. Goes wrong: an assertion, a resource that is not destroyed, a
//! module without such tests; the failure names the module and has Terraform's words.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::json;

use super::support::Running;
use super::support::account::Account;
use super::support::guard;
use super::support::process::{Finished, command};
use super::support::surroundings::{Surroundings, repository};
use super::support::world::{Ending, Sealed};

/// Modules that cannot run there, and why.
const WITHOUT: [(&str, &str); 1] = [("budget", "moto answers 500 to every call about budgets")];
/// The one that takes longest, for the emulator's own waits: it is begun first.
const SLOWEST: &str = "kinesis-stream";
/// Tests that run at the same time: mostly they wait.
const AT_ONCE: usize = 4;
/// Where a module keeps its tests on the emulator, and what is laid beside its files for them.
const TESTS: &str = "tests/emulator";
const DESTROYABLE: &str = "tests/emulator/destroyable";
/// What the name of everything begins with that they make.
const PREFIX: &str = "slipway-modules";

/// What each run of Terraform shares.
struct Bench {
    world: Ending,
    machine: &'static Surroundings,
    modules: PathBuf,
    environment: BTreeMap<&'static str, String>,
}

#[test]
fn each_makes_changes_and_destroys_what_it_is_for() {
    let Some(run) = guard::run() else { return };
    let all = folders(&repository().join("terraform/modules"));
    let mut tested = tested(&all).unwrap_or_else(|problem| panic!("{problem}"));
    tested.sort_by_key(|module| module != SLOWEST);

    let bench = Bench::new(Ending(Sealed::new(run)), run.machine);
    let waiting = Mutex::new(VecDeque::from(tested));
    let next = || waiting.lock().expect("the modules that wait").pop_front();
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                while let Some(module) = next() {
                    if let Err(failure) = bench.test(&module) {
                        failures.lock().expect("the failures").push(format!("{module}: {failure}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("the failures");
    assert!(failures.is_empty(), "{} of the modules failed\n{}", failures.len(), failures.join("\n"));
    assert_eq!(left(&bench.world.account), Vec::<String>::new(), "something is left");
}

/// Returns the modules with tests on the emulator, or says which should have some, or should have none.
fn tested(all: &[PathBuf]) -> Result<Vec<String>, String> {
    let name = |folder: &PathBuf| folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (with, without): (Vec<&PathBuf>, Vec<&PathBuf>) = all
        .iter()
        .partition(|folder| folder.join(TESTS).join(format!("{}.tftest.hcl", name(folder))).is_file());
    let without: Vec<String> = without.into_iter().map(name).collect();
    let excused: Vec<String> = WITHOUT.iter().map(|(name, _)| (*name).to_owned()).collect();
    if without != excused {
        return Err(format!(
            "modules without {TESTS}/<module>.tftest.hcl: {without:?}; excused are {WITHOUT:?}"
        ));
    }
    Ok(with.into_iter().map(name).collect())
}

impl Bench {
    fn new(world: Ending, machine: &'static Surroundings) -> Self {
        world.write("pipelines/project.toml", "schema = 1\nname = \"slipway\"\n");
        world.write("terraform/environments/local/environment.toml", "emulated = true\n");
        let up = world.run(&["local", "up", "--output", "json"]).exits(0).json();
        let gateway = up["data"]["gateway"]["url"].as_str().expect("the gateway's address").to_owned();

        // A copy: `init` writes beside the files, and what must never be destroyed is destroyed here.
        world.take("terraform/modules");
        let modules = world.project.join("terraform/modules");
        for module in folders(&modules) {
            for file in files(&module.join(DESTROYABLE)) {
                fs::copy(&file, module.join(file.file_name().expect("a file's name"))).expect("a copy");
            }
        }

        let mut environment: BTreeMap<_, _> = world.account.administrator().into_iter().collect();
        environment.insert("AWS_ENDPOINT_URL", gateway);
        environment.insert("AWS_REGION", "eu-central-1".to_owned());
        environment.extend(machine.terraform_settings.clone().map(|file| ("TF_CLI_CONFIG_FILE", file)));
        for (name, value) in [("CHECKPOINT_DISABLE", "1"), ("TF_IN_AUTOMATION", "1"), ("GOGC", "300")] {
            environment.insert(name, value.to_owned());
        }
        Self { world, machine, modules, environment }
    }

    fn test(&self, module: &str) -> Result<(), String> {
        let tests = format!("-test-directory={TESTS}");
        let init = self.terraform(module, &["init", "-backend=false", "-input=false", "-no-color", &tests]);
        if init.code != Some(0) {
            return Err(init.to_string());
        }
        let test = self.terraform(module, &["test", "-no-color", &tests]);
        // Without a run Terraform is content as well; with a single one nothing would have been changed.
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
            .env("HOME", &self.world.home)
            .env("TF_DATA_DIR", self.world.home.join("data").join(module))
            .envs(&self.environment);
        let log = self.world.home.join(format!("{module}-{}", arguments[0]));
        let what = format!("terraform {}", arguments.join(" "));
        Running::start(terraform, what, &log, self.world.home.join("no-runs")).patiently().wait()
    }
}

/// Reads how many runs passed from the last line of a test that went well.
fn passed(told: &str) -> Option<usize> {
    let (_, rest) = told.rsplit_once("Success! ")?;
    rest.split_once(" passed, 0 failed.")?.0.parse().ok()
}

/// Lists what the services of an account still have under the modules' names.
fn left(account: &Account) -> Vec<String> {
    let listed = |what: &str, text: String| text.contains(PREFIX).then(|| format!("{what}: {text}"));
    let targets = [
        ("dynamodb", "DynamoDB_20120810.ListTables", "1.0"),
        ("ecr", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories", "1.1"),
        ("kinesis", "Kinesis_20131202.ListStreams", "1.1"),
        ("kms", "TrentService.ListAliases", "1.1"),
        ("logs", "Logs_20140328.DescribeLogGroups", "1.1"),
        ("secretsmanager", "secretsmanager.ListSecrets", "1.1"),
    ]
    .map(|(service, target, version)| {
        listed(target, account.target(service, target, version, &json!({})).to_string())
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
        let answer = account.call(service, "POST", "/", content, body.as_bytes());
        assert_eq!(answer.status, 200, "{action}: {}", answer.text());
        listed(action, answer.text())
    });
    let paths = [("s3", "/"), ("lambda", "/2015-03-31/functions"), ("apigateway", "/v2/apis")].map(
        |(service, path)| {
            let answer = account.call(service, "GET", path, "application/json", b"");
            assert_eq!(answer.status, 200, "{service} {path}: {}", answer.text());
            listed(path, answer.text())
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

/// Lists what lies in a folder, by name; nothing where there is no such folder.
fn entries(of: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(of).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries
}

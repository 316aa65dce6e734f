//! Python functions and functions with a build command: built, refused, released.
//!
//! Packages come from the machine's index or, where there is none, from uv's cache.

mod interpreter;
mod packing;
mod requirements;

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::support::TestRun;
use super::support::echo::SMALLEST_STACK;
use super::support::machine::repository;
use super::support::process::Finished;
use super::support::python::{local_python_runtime, package_index_variables};
use super::support::sandbox::{AutoStop, Sandbox, copy, init_repository};
use crate::require;

const PROJECT: &str = "schema = 1\nname = \"shop\"\n";
const FOLDER: &str = "lambda-src/invoice";
/// The function of these tests: like the repository's own, but with a package that has native code.
const FUNCTION: &str = "xtask/tests/it/python/invoice";

/// A project in a sandbox with one Python function and no Rust.
struct Shop {
    sandbox: AutoStop,
    variables: Vec<(String, String)>,
}

impl std::ops::Deref for Shop {
    type Target = AutoStop;

    fn deref(&self) -> &AutoStop {
        &self.sandbox
    }
}

impl Shop {
    fn new(test_run: &'static TestRun) -> Self {
        let sandbox = AutoStop(Sandbox::new(test_run));
        sandbox.write("pipelines/project.toml", PROJECT);
        sandbox.write(".gitignore", "/target/\n**/.terraform/\ndist/\n");
        copy(&repository().join(FUNCTION), &sandbox.folder.join(FOLDER));
        init_repository(&sandbox.folder);
        Self { sandbox, variables: package_index_variables() }
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.sandbox.start_with(arguments, &variables).wait()
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.folder.join(FOLDER).join(file);
        let text = fs::read_to_string(&path).expect("a file of the function");
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(path, text.replace(from, to)).expect("the file");
    }

    /// Writes a file of the function.
    fn write_source(&self, file: &str, text: &str) {
        self.write(&format!("{FOLDER}/{file}"), text);
    }

    /// Replaces the function by one with a build command, with only these settings.
    fn set_build_command(&self, runtime: &str, build: &str) {
        let folder = self.folder.join(FOLDER);
        fs::remove_dir_all(&folder).expect("the function's folder");
        self.write_source("function.toml", &format!("{runtime}\n[build]\nwith = \"command\"\n{build}\n"));
    }

    /// Builds the function and returns its artifact from the JSON document.
    fn build(&self) -> Value {
        let document = self.run(&["build", "invoice", "--output", "json"]).exits(0).json();
        document["data"]["artifacts"][0].clone()
    }

    /// Builds the function and unpacks its zip.
    fn build_and_unpack(&self) -> tempfile::TempDir {
        let built = self.build();
        let to = tempfile::tempdir().expect("a folder");
        let zip = Path::new(built["path"].as_str().expect("the zip's path"));
        slipway_archive::unpack_zip(zip, to.path()).expect("the zip's files");
        to
    }
}

#[test]
fn zips_of_both_architectures_are_identical_from_two_folders() {
    let test_run = require!(TestRun::shared());
    let (one, mut two) = (Shop::new(test_run), Shop::new(test_run));
    // Its own cache, so that nothing of the first build is used.
    let cache = two.home.join("uv-cache").display().to_string();
    two.variables.retain(|(name, _)| name != "UV_CACHE_DIR");
    two.variables.push(("UV_CACHE_DIR".into(), cache));
    for (architecture, machine) in [("x86_64", 62_u8), ("arm64", 183)] {
        for shop in [&one, &two] {
            let other = if architecture == "arm64" { "x86_64" } else { "arm64" };
            let settings =
                fs::read_to_string(repository().join(FUNCTION).join("function.toml")).expect("settings");
            shop.write_source("function.toml", &settings.replace(other, architecture));
        }
        let (first, second) = (one.build(), two.build());
        for name in ["sha256", "content_digest", "inputs_digest", "size"] {
            assert_eq!(first[name], second[name], "{architecture} {name}");
        }
        let files = one.build_and_unpack();
        let native: Vec<_> = fs::read_dir(files.path().join("pydantic_core"))
            .expect("pydantic_core")
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".so"))
            .collect();
        assert_eq!(native.len(), 1);
        let bytes = fs::read(native[0].path()).expect("the library");
        assert_eq!(bytes[18], machine, "{architecture}");
        assert!(files.path().join("invoice/app.py").is_file());
        let noise = ["bin", ".lock", "tests", "requirements.lock"];
        assert!(noise.iter().all(|name| !files.path().join(name).exists()));
    }
}

#[test]
fn lock_file_follows_the_requirements() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    shop.run(&["lock", "invoice"]).exits(0).says("is up to date: 5 packages.");
    shop.write_source("requirements.in", "typing-extensions==4.12.0\n");
    let refused = shop.run(&["build"]).exits(2).says("lambda-src/invoice/requirements.lock is out of date");
    assert!(refused.stderr.contains("hint: cargo xtask lock invoice"), "{refused}");
    let locked = shop.run(&["lock", "invoice", "--output", "json"]).exits(0).json();
    assert_eq!(locked["data"]["changed"]["typing-extensions"]["to"], "4.12.0");
    assert!(locked["data"]["removed"]["pydantic"].is_string(), "{locked}");
    assert_eq!(locked["data"]["packages"], 1);
    // Code that imports pydantic, which is removed now, fails only when it is called: a build cannot know.
    shop.build();

    fs::remove_file(shop.folder.join(FOLDER).join("requirements.lock")).expect("the lock");
    shop.run(&["build"]).exits(2).says("which does not exist");
    shop.edit("function.toml", "lock = \"requirements.lock\"\n", "");
    shop.run(&["build"]).exits(2).says("has requirements, but there is no requirements.lock beside it");
    fs::remove_file(shop.folder.join(FOLDER).join("requirements.in")).expect("the requirements");
    let alone = shop.build_and_unpack();
    assert!(
        alone.path().join("invoice/app.py").is_file() && !alone.path().join("typing_extensions.py").exists()
    );
}

#[test]
fn cached_packages_are_installed_without_network() {
    let test_run = require!(TestRun::shared());
    let mut shop = Shop::new(test_run);
    let online = shop.build();
    shop.variables.retain(|(name, _)| name == "UV_CACHE_DIR");
    shop.variables.push(("HTTPS_PROXY".into(), "http://127.0.0.1:9".into()));
    shop.variables.push(("UV_HTTP_RETRIES".into(), "0".into()));
    // Variables that would change uv's index or its choice of packages do not reach it.
    shop.variables.push(("UV_NO_BINARY".into(), "1".into()));
    shop.variables.push(("UV_EXCLUDE_NEWER".into(), "2000-01-01".into()));
    let offline = shop.run(&["build", "--force", "--output", "json"]).exits(0).json();
    assert_eq!(offline["data"]["artifacts"][0]["sha256"], online["sha256"]);
}

#[test]
fn package_without_a_wheel_is_named_in_the_error() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    shop.edit("function.toml", "x86_64", "arm64");
    shop.write_source("requirements.in", "pywin32==311\n");
    shop.run(&["lock", "invoice"]).exits(0);
    shop.run(&["build"]).exits(2).says("pywin32 311 has no wheel for Python 3.11 on arm64");
}

#[test]
fn source_and_dependency_with_the_same_path_are_refused() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    shop.write_source("src/typing_extensions.py", "x = 1\n");
    shop.edit("function.toml", "[\"src/invoice\"]", "[\"src/invoice\", \"src/typing_extensions.py\"]");
    shop.run(&["build"]).exits(2).says(
        "the source lambda-src/invoice/src/typing_extensions.py and typing_extensions 4.16.0 both contain `typing_extensions.py`",
    );
    shop.edit("function.toml", "src/typing_extensions.py", "src/no_such.py");
    shop.run(&["build"]).exits(2).says("names `src/no_such.py`, but git lists no file there");
    shop.edit("function.toml", ", \"src/no_such.py\"", "");
    std::os::unix::fs::symlink("/etc/passwd", shop.folder.join(FOLDER).join("src/invoice/users"))
        .expect("a link");
    shop.run(&["build"]).exits(6).says("src/invoice/users is a link to /etc/passwd");
}

#[test]
fn preflight_reports_all_problems_at_once_before_anything_is_published() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    shop.write_source("src/invoice/.env", "TOKEN=1\n");
    shop.write_source("src/invoice/app.py", "");
    let refused = shop.run(&["release", "--env", "local", "--yes"]);
    // Without a stack there is nowhere to deploy to; without --env the release is cut and published.
    assert_eq!(refused.code, Some(2), "{refused}");
    let refused = shop
        .run(&["build"])
        .exits(6)
        .says("the preflight of `invoice` found 2 problems")
        .says("invoice/.env: is a file of environment variables")
        .says("handler invoice.app.handle: invoice/app.py is empty (0 bytes)");
    assert!(refused.stderr.contains("Nothing was packed or published."), "{refused}");
    shop.edit("function.toml", "lock =", "allow = [\"invoice/.env\"]\nlock =");
    shop.run(&["build"]).exits(6).says("found 1 problem");
    shop.write_source("src/invoice/app.py", "def handle(event, _context):\n    return event\n");
    shop.build();
}

#[test]
fn libraries_for_another_architecture_are_refused() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    shop.edit("function.toml", "x86_64", "arm64");
    let arm64 = shop.build_and_unpack();
    shop.set_build_command(
        "runtime = \"python3.11\"\nhandler = \"invoice.app.handle\"",
        "run = \"cp -R vendor/. dist\"\noutput = \"dist\"",
    );
    copy(arm64.path(), &shop.folder.join(FOLDER).join("vendor"));
    shop.run(&["build"])
        .exits(6)
        .says("found 1 problem")
        .says("-linux-gnu.so: is built for arm64, but the function's architecture is x86_64");
}

#[test]
fn build_command_fills_the_output_folder() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    let runtime = "runtime = \"nodejs22.x\"\nhandler = \"index.handler\"\narchitecture = \"arm64\"";
    shop.set_build_command(
        runtime,
        "run = [\"python3 build.py 'a name'\", \"cp index.mjs dist/\"]\noutput = \"dist\"\nwithin = \"20s\"",
    );
    shop.write_source("index.mjs", "export const handler = async (event) => event;\n");
    shop.write_source(
        "build.py",
        "import os, sys\nassert os.listdir('dist') == []\nnames = ('SOURCE_DATE_EPOCH', 'SLIPWAY_ARCHITECTURE', 'SLIPWAY_FUNCTION', 'SLIPWAY_RUNTIME')\n\
         open('dist/made', 'w').write(' '.join([sys.argv[1], *(os.environ[name] for name in names)]))\n",
    );
    shop.commit("feat: a command");
    let first = shop.build();
    let files = shop.build_and_unpack();
    let made = fs::read_to_string(files.path().join("made")).expect("what was made");
    assert_eq!(made, "a name 315532800 arm64 invoice nodejs22.x");
    assert!(files.path().join("index.mjs").is_file());
    // The command's output, and a file added to it, are removed before the next run; neither is an input.
    shop.write_source("dist/left", "over");
    let again = shop.run(&["build", "--force", "--output", "json"]).exits(0).json();
    for name in ["sha256", "inputs_digest", "dirty"] {
        assert_eq!(again["data"]["artifacts"][0][name], first[name], "{name}");
    }
    // Even if git does not ignore the folder.
    shop.write(".gitignore", "/target/\n");
    let seen = shop.build();
    assert_eq!((&seen["inputs_digest"], &seen["dirty"]), (&first["inputs_digest"], &Value::from(false)));

    let refused = |build: &str| {
        shop.set_build_command(runtime, build);
        shop.run(&["build"])
    };
    refused("run = \"true\"\noutput = \"dist\"")
        .exits(1)
        .says("the command of `invoice` left no file in lambda-src/invoice/dist");
    refused("run = \"sh -c 'exit 3'\"\noutput = \"dist\"").exits(1).says("exited with 3");
    refused("run = \"sleep 60\"\noutput = \"dist\"\nwithin = \"200ms\"")
        .exits(1)
        .says("took longer than 0.2 s");
    refused("run = \"no-such-program\"\noutput = \"dist\"")
        .exits(1)
        .says("the program `no-such-program` was not found");
    refused("run = \"ln -s /etc/passwd dist/users\"\noutput = \"dist\"")
        .exits(1)
        .says("points outside the tree");
    refused("run = \"true\"\noutput = \"src\"");
    shop.write_source("src/kept", "x");
    shop.commit("feat: a source");
    shop.run(&["build"]).exits(2).says("git tracks lambda-src/invoice/src/kept");
    assert!(shop.folder.join(FOLDER).join("src/kept").is_file());
}

#[test]
fn python_function_is_released_locally_and_answers() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    let runtime = local_python_runtime(&test_run.machine.path);
    shop.edit("function.toml", "python3.11", &runtime);
    if runtime != "python3.11" {
        shop.run(&["lock", "invoice"]).exits(0);
    }
    for folder in ["terraform/modules/lambda-function", "terraform/stacks/invoice"] {
        copy(&repository().join(folder), &shop.folder.join(folder));
    }
    shop.write("terraform/environments/local/environment.toml", "emulated = true\n");
    let values = "terraform/environments/local/invoice.tfvars";
    shop.write(values, &fs::read_to_string(repository().join(values)).expect("the stack's values"));
    shop.commit("build: add the stack");
    let release = ["release", "--env", "local", "--yes"];
    shop.run(&release).exits(0).says("2 smoke events").says("invoice 0.1.0 serves in local.");
    let again = shop.run(&release).exits(0).says("already serve");
    assert!(!again.ran_step("build") && !again.ran_step("plan"), "{again}");
    let event = r#"{"lines":[{"description":"Ink","quantity":2,"unit_price":"0.50"}]}"#;
    let invoked = shop.run(&["local", "invoke", "--event", event]).exits(0);
    let result: Value = serde_json::from_str(&invoked.stdout).expect("JSON");
    assert_eq!(result, serde_json::json!({ "net": "1.00", "tax": "0.00", "total": "1.00" }));
}

#[test]
fn failure_of_one_function_leaves_the_others_published() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run);
    shop.write("terraform/environments/local/environment.toml", "emulated = true\n");
    shop.write("terraform/stacks/shop/stack.toml", "functions = [\"broken\", \"invoice\"]\n");
    shop.write("terraform/stacks/shop/main.tf", SMALLEST_STACK);
    let settings = |source: &str| {
        format!(
            "runtime = \"python3.13\"\nhandler = \"app.handle\"\n[build]\nwith = \"python\"\nsources = [\"{source}\"]\n"
        )
    };
    shop.write("lambda-src/broken/app.py", "def handle(event, context):\n    return event\n");
    shop.write("lambda-src/broken/function.toml", &settings("src"));
    shop.commit("feat: two functions");
    shop.run(&["release", "--env", "local", "--yes"])
        .exits(2)
        .says("broken could not be released")
        .says("git lists no file there")
        .says("invoice 0.1.0 is in the store; nothing was deployed.");
    let versions = |function: &str| {
        let document =
            shop.run(&["releases", function, "--env", "local", "--output", "json"]).exits(0).json();
        document["data"]["total"].clone()
    };
    assert_eq!((versions("invoice"), versions("broken")), (1.into(), 0.into()));
    shop.write("lambda-src/broken/function.toml", &settings("app.py"));
    shop.commit("fix: the source");
    let again = shop.run(&["release", "--env", "local", "--yes"]);
    let built: Vec<Value> = again
        .events()
        .into_iter()
        .filter(|event| event["label"] == "build" && event["event"] == "started")
        .collect();
    assert_eq!(built.len(), 1, "only the repaired one is built: {again}");
    assert_eq!((versions("invoice"), versions("broken")), (1.into(), 1.into()));
}

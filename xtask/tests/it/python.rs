//! Python functions and functions that a command builds: built, refused, released.
//!
//! Packages come from the machine's index or, where there is none, from uv's cache. Two functions with one name cannot be:
//! the folder is the name.

mod interpreter;

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::support::guard::{self, Run};
use super::support::process::Finished;
use super::support::surroundings::repository;
use super::support::world::{Ending, Sealed, repository_in};

const PROJECT: &str = "schema = 1\nname = \"shop\"\n";
const FOLDER: &str = "lambda-src/invoice";
/// The function of these tests: like the repository's own, with a package that has native code.
const FUNCTION: &str = "xtask/tests/it/python/invoice";

/// A sealed project with one Python function and nothing of Rust's.
struct Shop {
    sealed: Ending,
    network: Vec<(String, String)>,
}

impl std::ops::Deref for Shop {
    type Target = Ending;

    fn deref(&self) -> &Ending {
        &self.sealed
    }
}

impl Shop {
    fn new(run: &'static Run) -> Self {
        let sealed = Ending(Sealed::new(run));
        sealed.write("pipelines/project.toml", PROJECT);
        sealed.write(".gitignore", "/target/\n**/.terraform/\ndist/\n");
        copy(&repository().join(FUNCTION), &sealed.project.join(FOLDER));
        repository_in(&sealed.project);
        Self { sealed, network: network() }
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let network: Vec<(&str, &str)> =
            self.network.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.sealed.start_with(arguments, &network).wait()
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.project.join(FOLDER).join(file);
        let text = fs::read_to_string(&path).expect("a file of the function");
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(path, text.replace(from, to)).expect("the file");
    }

    fn own(&self, file: &str, text: &str) {
        self.write(&format!("{FOLDER}/{file}"), text);
    }

    /// Makes a function that a command builds, of nothing but these settings.
    fn command(&self, runtime: &str, build: &str) {
        let folder = self.project.join(FOLDER);
        fs::remove_dir_all(&folder).expect("the function's folder");
        self.own("function.toml", &format!("{runtime}\n[build]\nwith = \"command\"\n{build}\n"));
    }

    /// Builds the function and returns what is told of it.
    fn built(&self) -> Value {
        let document = self.run(&["build", "invoice", "--output", "json"]).exits(0).json();
        document["data"]["artifacts"][0].clone()
    }

    /// Builds the function and unpacks its zip.
    fn unpacked(&self) -> tempfile::TempDir {
        let built = self.built();
        let to = tempfile::tempdir().expect("a folder");
        let zip = Path::new(built["path"].as_str().expect("the zip's path"));
        slipway_archive::unpack_zip(zip, to.path()).expect("the zip's files");
        to
    }
}

#[test]
fn both_architectures_and_the_same_bytes_from_two_folders() {
    let Some(run) = guard::run() else { return };
    let (one, mut two) = (Shop::new(run), Shop::new(run));
    // A cache of its own: nothing that the first left is used.
    let cache = two.home.join("uv-cache").display().to_string();
    two.network.retain(|(name, _)| name != "UV_CACHE_DIR");
    two.network.push(("UV_CACHE_DIR".into(), cache));
    for (architecture, machine) in [("x86_64", 62_u8), ("arm64", 183)] {
        for shop in [&one, &two] {
            let other = if architecture == "arm64" { "x86_64" } else { "arm64" };
            let settings =
                fs::read_to_string(repository().join(FUNCTION).join("function.toml")).expect("settings");
            shop.own("function.toml", &settings.replace(other, architecture));
        }
        let (first, second) = (one.built(), two.built());
        for name in ["sha256", "content_digest", "inputs_digest", "size"] {
            assert_eq!(first[name], second[name], "{architecture} {name}");
        }
        let files = one.unpacked();
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
fn a_lock_follows_what_is_asked_for() {
    let Some(run) = guard::run() else { return };
    let shop = Shop::new(run);
    shop.run(&["lock", "invoice"]).exits(0).says("is up to date: 5 packages.");
    shop.own("requirements.in", "typing-extensions==4.12.0\n");
    let refused = shop.run(&["build"]).exits(2).says("lambda-src/invoice/requirements.lock is out of date");
    assert!(refused.stderr.contains("hint: cargo xtask lock invoice"), "{refused}");
    let locked = shop.run(&["lock", "invoice", "--output", "json"]).exits(0).json();
    assert_eq!(locked["data"]["changed"]["typing-extensions"]["to"], "4.12.0");
    assert!(locked["data"]["removed"]["pydantic"].is_string(), "{locked}");
    assert_eq!(locked["data"]["packages"], 1);
    // pydantic is gone, and what imports it would only fail when called: nothing that a build can know.
    shop.built();

    fs::remove_file(shop.project.join(FOLDER).join("requirements.lock")).expect("the lock");
    shop.run(&["build"]).exits(2).says("which does not exist");
    shop.edit("function.toml", "lock = \"requirements.lock\"\n", "");
    shop.run(&["build"]).exits(2).says("has requirements, but there is no requirements.lock beside it");
    fs::remove_file(shop.project.join(FOLDER).join("requirements.in")).expect("the requirements");
    let alone = shop.unpacked();
    assert!(
        alone.path().join("invoice/app.py").is_file() && !alone.path().join("typing_extensions.py").exists()
    );
}

#[test]
fn what_a_cache_holds_needs_no_network() {
    let Some(run) = guard::run() else { return };
    let mut shop = Shop::new(run);
    let online = shop.built();
    shop.network.retain(|(name, _)| name == "UV_CACHE_DIR");
    shop.network.push(("HTTPS_PROXY".into(), "http://127.0.0.1:9".into()));
    shop.network.push(("UV_HTTP_RETRIES".into(), "0".into()));
    // What would send uv elsewhere, or choose otherwise, does not reach it.
    shop.network.push(("UV_NO_BINARY".into(), "1".into()));
    shop.network.push(("UV_EXCLUDE_NEWER".into(), "2000-01-01".into()));
    let offline = shop.run(&["build", "--force", "--output", "json"]).exits(0).json();
    assert_eq!(offline["data"]["artifacts"][0]["sha256"], online["sha256"]);
}

#[test]
fn a_package_without_a_wheel_is_named() {
    let Some(run) = guard::run() else { return };
    let shop = Shop::new(run);
    shop.edit("function.toml", "x86_64", "arm64");
    shop.own("requirements.in", "pywin32==311\n");
    shop.run(&["lock", "invoice"]).exits(0);
    shop.run(&["build"]).exits(2).says("pywin32 311 has no wheel for Python 3.11 on arm64");
}

#[test]
fn a_source_and_a_dependency_cannot_share_a_place() {
    let Some(run) = guard::run() else { return };
    let shop = Shop::new(run);
    shop.own("src/typing_extensions.py", "x = 1\n");
    shop.edit("function.toml", "[\"src/invoice\"]", "[\"src/invoice\", \"src/typing_extensions.py\"]");
    shop.run(&["build"]).exits(2).says(
        "the source lambda-src/invoice/src/typing_extensions.py and typing_extensions 4.16.0 both contain `typing_extensions.py`",
    );
    shop.edit("function.toml", "src/typing_extensions.py", "src/no_such.py");
    shop.run(&["build"]).exits(2).says("names `src/no_such.py`, but git lists no file there");
    shop.edit("function.toml", ", \"src/no_such.py\"", "");
    std::os::unix::fs::symlink("/etc/passwd", shop.project.join(FOLDER).join("src/invoice/users"))
        .expect("a link");
    shop.run(&["build"]).exits(6).says("src/invoice/users is a link to /etc/passwd");
}

#[test]
fn the_preflight_tells_everything_at_once_and_before_anything_is_published() {
    let Some(run) = guard::run() else { return };
    let shop = Shop::new(run);
    shop.own("src/invoice/.env", "TOKEN=1\n");
    shop.own("src/invoice/app.py", "");
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
    shop.own("src/invoice/app.py", "def handle(event, _context):\n    return event\n");
    shop.built();
}

#[test]
fn libraries_of_another_machine_are_refused() {
    let Some(run) = guard::run() else { return };
    let shop = Shop::new(run);
    shop.edit("function.toml", "x86_64", "arm64");
    let arm64 = shop.unpacked();
    shop.command(
        "runtime = \"python3.11\"\nhandler = \"invoice.app.handle\"",
        "run = \"cp -R vendor/. dist\"\noutput = \"dist\"",
    );
    copy(arm64.path(), &shop.project.join(FOLDER).join("vendor"));
    shop.run(&["build"])
        .exits(6)
        .says("found 1 problem")
        .says("-linux-gnu.so: is built for arm64, but the function's architecture is x86_64");
}

#[test]
fn a_command_fills_a_folder() {
    let Some(run) = guard::run() else { return };
    let shop = Shop::new(run);
    let runtime = "runtime = \"nodejs22.x\"\nhandler = \"index.handler\"\narchitecture = \"arm64\"";
    shop.command(
        runtime,
        "run = [\"python3 build.py 'a name'\", \"cp index.mjs dist/\"]\noutput = \"dist\"\nwithin = \"20s\"",
    );
    shop.own("index.mjs", "export const handler = async (event) => event;\n");
    shop.own(
        "build.py",
        "import os, sys\nassert os.listdir('dist') == []\nnames = ('SOURCE_DATE_EPOCH', 'SLIPWAY_ARCHITECTURE', 'SLIPWAY_FUNCTION', 'SLIPWAY_RUNTIME')\n\
         open('dist/made', 'w').write(' '.join([sys.argv[1], *(os.environ[name] for name in names)]))\n",
    );
    shop.commit("feat: a command");
    let first = shop.built();
    let files = shop.unpacked();
    let made = fs::read_to_string(files.path().join("made")).expect("what was made");
    assert_eq!(made, "a name 1790000000 arm64 invoice nodejs22.x");
    assert!(files.path().join("index.mjs").is_file());
    // What it left, and a file put beside it, are gone before the next run; neither is an input.
    shop.own("dist/left", "over");
    let again = shop.run(&["build", "--force", "--output", "json"]).exits(0).json();
    for name in ["sha256", "inputs_digest", "dirty"] {
        assert_eq!(again["data"]["artifacts"][0][name], first[name], "{name}");
    }
    // Even where git does not ignore it.
    shop.write(".gitignore", "/target/\n");
    let seen = shop.built();
    assert_eq!((&seen["inputs_digest"], &seen["dirty"]), (&first["inputs_digest"], &Value::from(false)));

    let refused = |build: &str| {
        shop.command(runtime, build);
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
    shop.own("src/kept", "x");
    shop.commit("feat: a source");
    shop.run(&["build"]).exits(2).says("git tracks lambda-src/invoice/src/kept");
    assert!(shop.project.join(FOLDER).join("src/kept").is_file());
}

#[test]
fn released_to_the_local_environment_and_answering() {
    let Some(run) = guard::run() else { return };
    let shop = Shop::new(run);
    let here = python_here(&run.machine.path);
    shop.edit("function.toml", "python3.11", &here);
    if here != "python3.11" {
        shop.run(&["lock", "invoice"]).exits(0);
    }
    for folder in ["terraform/modules/lambda-function", "terraform/stacks/invoice"] {
        copy(&repository().join(folder), &shop.project.join(folder));
    }
    shop.write("terraform/environments/local/environment.toml", "emulated = true\n");
    let values = "terraform/environments/local/invoice.tfvars";
    shop.write(values, &fs::read_to_string(repository().join(values)).expect("the stack's values"));
    shop.commit("build: add the stack");
    let release = ["release", "--env", "local", "--yes"];
    shop.run(&release).exits(0).says("2 smoke events").says("invoice 0.1.0 serves in local.");
    let again = shop.run(&release).exits(0).says("already serve");
    assert!(!again.did("build") && !again.did("plan"), "{again}");
    let event = r#"{"lines":[{"description":"Ink","quantity":2,"unit_price":"0.50"}]}"#;
    let answer = shop.run(&["local", "invoke", "--event", event]).exits(0);
    let answer: Value = serde_json::from_str(&answer.stdout).expect("an answer");
    assert_eq!(answer, serde_json::json!({ "net": "1.00", "tax": "0.00", "total": "1.00" }));
}

/// Returns the runtime of this machine's python3, which runs functions locally: native wheels must be made for it.
pub(super) fn python_here(path: &str) -> String {
    let output = super::support::process::command(Path::new("python3"))
        .args(["-c", "import sys; print('python%d.%d' % sys.version_info[:2])"])
        .env("PATH", path)
        .output()
        .expect("python3");
    String::from_utf8(output.stdout).expect("a version").trim().to_owned()
}

/// Returns what uv needs to reach this machine's index, and its cache.
#[expect(clippy::disallowed_methods, reason = "a sealed world has no network settings of its own")]
pub(super) fn network() -> Vec<(String, String)> {
    let names =
        ["SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "NO_PROXY", "UV_DEFAULT_INDEX", "UV_INDEX_URL"];
    let mut found: Vec<(String, String)> =
        names.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
    let cache = std::env::var("UV_CACHE_DIR")
        .ok()
        .or_else(|| Some(format!("{}/.cache/uv", std::env::var("HOME").ok()?)))
        .expect("a home");
    found.push(("UV_CACHE_DIR".into(), cache));
    found
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if [".terraform", "__pycache__"].iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if from.is_dir() { copy(&from, &to) } else { fs::copy(&from, &to).map(drop).expect("a copy") }
    }
}

#[test]
fn one_functions_failure_leaves_the_others_published() {
    let Some(run) = guard::run() else { return };
    let shop = Shop::new(run);
    shop.write("terraform/environments/local/environment.toml", "emulated = true\n");
    shop.write("terraform/stacks/shop/stack.toml", "functions = [\"broken\", \"invoice\"]\n");
    shop.write("terraform/stacks/shop/main.tf", "variable \"releases\" {\n  type = any\n}\n");
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
        let told = shop.run(&["releases", function, "--env", "local", "--output", "json"]).exits(0).json();
        told["data"]["total"].clone()
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

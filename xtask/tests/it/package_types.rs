//! All package types in one project, with the real AWS provider: a Rust zip, a Python zip with native wheels, a Rust image
//! and a Python image; released, run, verified, changed and rolled back.

use std::fs;

use serde_json::{Value, json};

use super::base_images::blob_in;
use super::support::TestRun;
use super::support::base_images::{MARKER_FILE, base_images};
use super::support::commands::RELEASE;
use super::support::echo;
use super::support::machine::repository;
use super::support::process::Finished;
use super::support::python::{local_python_runtime, package_index_variables};
use super::support::registry::Registry;
use super::support::sandbox::{AutoStop, Sandbox, copy, init_repository};
use super::support::settings_files::write_local_project;
use crate::require;

const FUNCTIONS: [&str; 4] = ["echo", "echo-image", "prices", "prices-image"];
const KEY: &str = "keys/release.key";
const ENVIRONMENT: &str = "terraform/environments/local/environment.toml";

/// A project in a sandbox, with a signing key.
pub(super) struct Shop {
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
    /// Creates a project with these functions and one stack, whose main.tf is given.
    pub(super) fn new(test_run: &'static TestRun, functions: &[&str], main: &str) -> Self {
        let sandbox = AutoStop(Sandbox::new(test_run));
        let named = functions.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        write_local_project(&sandbox, "echo", "*.key\n");
        sandbox.write("terraform/stacks/shop/stack.toml", &format!("functions = [{named}]\n"));
        sandbox.write("terraform/stacks/shop/main.tf", main);
        init_repository(&sandbox.folder);
        let mut variables = package_index_variables();
        variables.push(("SLIPWAY_SIGNING_KEY".into(), KEY.into()));
        Self { sandbox, variables }
    }

    /// Runs a command with a signing key and the package index.
    fn run_signed(&self, arguments: &[&str]) -> Finished {
        let variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.start_with(arguments, &variables).wait()
    }

    /// Invokes a function in the local environment.
    fn invoke(&self, function: &str, event: &Value) -> Value {
        let event = event.to_string();
        let invoked = self.run(&["local", "invoke", function, "--event", &event]).exits(0);
        serde_json::from_str(&invoked.stdout).unwrap_or_else(|error| panic!("{error} in {invoked}"))
    }

    /// The blobs of the local registry, with their lengths.
    pub(super) fn blobs(&self) -> Vec<(String, u64)> {
        let folder = self.folder.join("target/slipway/local/registry/blobs/sha256");
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let blob = |entry: fs::DirEntry| {
            let length = entry.metadata().expect("a blob").len();
            (entry.file_name().to_string_lossy().into_owned(), length)
        };
        let mut blobs: Vec<_> = entries.flatten().map(blob).collect();
        blobs.sort();
        blobs
    }

    /// The digests of an image's layers in the local registry.
    fn layers(&self, function: &str, version: &str) -> Vec<String> {
        let digest = self.manifest(function, version)["artifact"]["code_sha256"].clone();
        let blobs = self.folder.join("target/slipway/local/registry/blobs/sha256");
        let bytes = fs::read(blobs.join(digest.as_str().expect("a digest"))).expect("the image's manifest");
        let image: Value = serde_json::from_slice(&bytes).expect("an image's manifest");
        let layers = image["layers"].as_array().expect("layers");
        layers.iter().map(|layer| layer["digest"].as_str().expect("a digest").to_owned()).collect()
    }

    /// Reads the manifest of a release.
    fn manifest(&self, function: &str, version: &str) -> Value {
        let [artifacts, _] = self.account.buckets();
        let bytes = self.account.object(&artifacts, &format!("releases/{function}/{version}.json"));
        serde_json::from_slice(&bytes).expect("a manifest")
    }

    fn write_prices(&self, function: &str, says: &str) {
        let place =
            if function == "prices" { "None".to_owned() } else { format!("open({MARKER_FILE:?}).read()") };
        let text = include_str!("package_types/prices.py")
            .replace("PLACE", &place)
            .replace("SAYS", &format!("{says:?}"));
        self.write(&format!("lambda-src/{function}/src/prices/app.py"), &text);
    }
}

/// Creates a project with all four functions, whose environment requires signatures.
fn four_functions(test_run: &'static TestRun, registry: &Registry) -> Shop {
    let shop = Shop::new(test_run, &FUNCTIONS, include_str!("package_types/main.tf"));
    for file in ["terraform.tf", "providers.tf", "variables.tf", ".terraform.lock.hcl"] {
        let path = format!("terraform/stacks/hello/{file}");
        let text = fs::read_to_string(repository().join(path)).expect("a file of the stack");
        shop.write(&format!("terraform/stacks/shop/{file}"), &text.replace("hello", "echo"));
    }
    copy(&repository().join("terraform/modules"), &shop.folder.join("terraform/modules"));
    write_rust_functions(&shop, registry);
    write_python_functions(&shop, test_run, registry);
    shop.run(&["key", "new", KEY]).exits(0);
    shop.write(
        ENVIRONMENT,
        "emulated = true\nsignatures = \"required\"\ntrusted_keys = [\"keys/release.pub.pem\"]\n",
    );
    shop.commit("feat: four functions");
    shop
}

/// Writes the two Rust functions, which share their source.
fn write_rust_functions(shop: &Shop, registry: &Registry) {
    let toolchain = fs::read_to_string(repository().join("rust-toolchain.toml")).expect("a toolchain");
    shop.write("rust-toolchain.toml", &toolchain);
    shop.write("Cargo.toml", include_str!("package_types/workspace.toml"));
    let mut lock = "version = 4\n".to_owned();
    for name in ["echo", "echo-image"] {
        lock.push_str(&format!("\n[[package]]\nname = {name:?}\nversion = \"0.0.0\"\n"));
        let folder = format!("lambda-src/{name}");
        let package =
            format!("[package]\nname = {name:?}\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n");
        shop.write(&format!("{folder}/Cargo.toml"), &package);
        shop.write(&format!("{folder}/src/main.rs"), echo::SOURCE);
        let image = format!("\n[image]\nbase = \"{}\"\n", registry.libc());
        let (kind, image) = if name == "echo" { ("zip", "") } else { ("image", image.as_str()) };
        let settings = format!(
            "runtime = \"provided.al2023\"\npackage = \"{kind}\"\n\n[build]\nwith = \"cargo\"\n{image}\n[[smoke]]\nname = \"echoes\"\n\
             event = {{ word = \"hello\" }}\nexpect = {{ says = \"one\", event = {{ word = \"hello\" }} }}\nwithin = \"30s\"\n"
        );
        shop.write(&format!("{folder}/function.toml"), &settings.replace("says = \"one\", ", ""));
    }
    shop.write("Cargo.lock", &lock);
}

/// Writes the two Python functions, which share their source and their lock file.
fn write_python_functions(shop: &Shop, test_run: &'static TestRun, registry: &Registry) {
    let bases = base_images(test_run);
    let base = registry.name("lambda/python", &bases.python.digest);
    for (name, runtime, table) in [
        ("prices", local_python_runtime(&test_run.machine.path), String::new()),
        (
            "prices-image",
            bases.runtime.clone(),
            format!("package = \"image\"\n\n[image]\nbase = \"{base}\"\n"),
        ),
    ] {
        shop.write(&format!("lambda-src/{name}/requirements.in"), "pydantic==2.11.7\n");
        let settings = format!(
            "runtime = \"{runtime}\"\nhandler = \"prices.app.handle\"\n{table}\n[build]\nwith = \"python\"\nsources = [\"src/prices\"]\n\
             \n[[smoke]]\nname = \"multiplies\"\nevent = {{ quantity = 3, price = \"1.25\" }}\n\
             expect = {{ total = \"3.75\" }}\nwithin = \"30s\"\n\n[[smoke]]\nname = \"refuses words\"\nevent = {{ quantity = \"many\", price = \"1\" }}\n\
             expect_error = \"ValidationError\"\nwithin = \"30s\"\n"
        );
        shop.write(&format!("lambda-src/{name}/function.toml"), &settings);
        shop.write(&format!("lambda-src/{name}/src/prices/__init__.py"), "");
        shop.write_prices(name, "one");
    }
    for name in ["prices", "prices-image"] {
        shop.run_signed(&["lock", name]).exits(0);
    }
}

#[test]
fn rust_and_python_zips_and_images_are_released_verified_changed_and_rolled_back() {
    let test_run = require!(TestRun::shared());
    let mut registry = require!(Registry::start(test_run));
    let shop = four_functions(test_run, &registry);

    let first = shop.run_signed(&RELEASE).exits(0);
    let order = json!({ "quantity": 2, "price": "0.50" });
    for function in FUNCTIONS {
        let first = &first;
        assert!(first.stdout.contains(&format!("{function} 0.1.0")), "{function} in {first}");
        let smoke = if function.starts_with("echo") { "smoke \"echoes\"" } else { "2 smoke events" };
        let verified = format!("{function} version 1: code ok · configuration ok · {smoke}");
        assert!(first.stderr.contains(&verified), "`{verified}` in {first}");
        assert_eq!(shop.account.alias(function), "1");
    }
    for function in ["echo", "echo-image"] {
        assert_eq!(shop.invoke(function, &order), json!({ "says": "one", "event": order }));
    }
    assert_eq!(
        shop.invoke("prices", &order),
        json!({ "total": "1.00", "says": "one", "own": true, "place": null })
    );
    // The marker file of the base: the image runs with its own root.
    assert_eq!(
        shop.invoke("prices-image", &order),
        json!({ "total": "1.00", "says": "one", "own": true, "place": "python" })
    );

    for function in FUNCTIONS {
        let verified = shop.run(&["verify-release", function, "0.1.0", "--env", "local"]).exits(0);
        assert!(verified.stdout.ends_with(&format!("{function} 0.1.0 passes every check.\n")), "{verified}");
        for check in ["manifest", "artifact", "sbom", "envelope", "subjects", "signature for local"] {
            assert!(verified.stdout.contains(&format!("ok   {check}")), "{check} in {verified}");
        }
    }

    let (objects, blobs) = (shop.account.objects(), shop.blobs());
    let again = shop.run(&RELEASE).exits(0).says("already serve");
    for step in ["build", "publish", "plan", "apply", "verify", "rollout"] {
        assert!(!again.ran_step(step), "{step} in {again}");
    }
    assert!(shop.account.objects() == objects, "the second run wrote something");
    assert_eq!(shop.blobs(), blobs);

    // From here on no base can be fetched; the cached ones suffice for both builds of each function.
    registry.stop();
    let verified = shop.run_signed(&["build", "--verify", "--output", "json"]).exits(0).json();
    let verified = verified["data"]["verified"].as_array().expect("what was built twice");
    assert_eq!(verified.len(), FUNCTIONS.len());
    for one in verified {
        assert_eq!((&one["same"], &one["sha256"][0]), (&true.into(), &one["sha256"][1]), "{one}");
    }

    let size = shop.manifest("prices-image", "0.1.0")["artifact"]["size"].as_u64().expect("a size");
    shop.write_prices("prices-image", "two");
    shop.commit("feat: say two");
    let second =
        shop.run_signed(&RELEASE).exits(0).says("prices-image 0.2.0 serves in local, 3 others as before.");
    let (before, after) = (shop.layers("prices-image", "0.1.0"), shop.layers("prices-image", "0.2.0"));
    let [python, dependencies, code] = &before[..] else { panic!("the layers of {before:?}") };
    assert_eq!((&after[0], &after[1], after.len()), (python, dependencies, 3));
    assert_ne!(&after[2], code);
    assert_eq!(second.calls("GetBlob", "") + second.calls("GetManifest", "lambda/"), 0, "{second}");
    // These include config, SBOM, attestation and manifests.
    let new: u64 = shop.blobs().iter().filter(|blob| !blobs.contains(blob)).map(|(_, length)| length).sum();
    assert!(new > 0 && new * 100 < size, "{new} bytes of {size} were uploaded");
    assert_eq!(shop.invoke("prices-image", &order)["says"], "two");
    for function in ["echo", "echo-image", "prices"] {
        assert_eq!(shop.account.alias(function), "1", "{function} did not change");
    }

    shop.run(&["rollback", "prices-image", "--env", "local", "--yes"])
        .exits(0)
        .says("prices-image 0.1.0 serves in local again.");
    assert_eq!(shop.account.alias("prices-image"), "1");
    assert_eq!(shop.invoke("prices-image", &order)["says"], "one");
    shop.run(&["verify-release", "prices-image", "0.2.0", "--env", "local"]).exits(0);
    let image = shop.folder.join("target/slipway/local/registry/repositories/echo/prices-image/_referrers");
    let attached: Vec<usize> = fs::read_dir(image)
        .expect("the image's referrers")
        .flatten()
        .map(|subject| fs::read_dir(subject.path()).expect("a subject").count())
        .collect();
    assert_eq!(attached, [2, 2], "SBOM and attestation of each of two releases");
    // Change one byte of the code layer of the second release in the registry.
    let layer = shop.folder.join("target/slipway/local/registry/blobs/sha256").join(newest_layer(&shop));
    let whole = fs::read(&layer).expect("a layer");
    let mut bytes = whole.clone();
    *bytes.last_mut().expect("a byte") ^= 1;
    fs::write(&layer, bytes).expect("the layer");
    shop.run(&["verify-release", "prices-image", "0.2.0", "--env", "local"]).exits(6).says("WRONG");
    fs::write(&layer, whole).expect("the layer");
    shop.run(&["verify-release", "prices-image", "0.2.0", "--env", "local"]).exits(0);
    old_images_are_pruned(&shop);
}

/// Prunes: the image that serves and the one on hold stay; one that nothing needs goes with everything beside it.
fn old_images_are_pruned(shop: &Shop) {
    shop.write_prices("prices-image", "three");
    shop.commit("feat: say three");
    shop.run_signed(&RELEASE).exits(0).says("prices-image 0.3.0 serves in local");
    let tags = shop.folder.join("target/slipway/local/registry/repositories/echo/prices-image/_tags");
    let image = |version: &str| fs::read_to_string(tags.join(version)).ok();
    let beside =
        |digest: &str, suffix: &str| tags.join(format!("{}.{suffix}", digest.trim().replace(':', "-")));
    let (first, third) = (image("0.1.0").expect("an image"), image("0.3.0").expect("an image"));
    assert!(beside(&first, "sig").is_file() && beside(&first, "att").is_file());
    let prune = ["prune", "--env", "local", "--keep", "1"];
    let listed = shop.run(&prune).exits(0);
    assert!(!listed.stdout.contains("remove   image"), "the one before may be wanted: {listed}");
    let prune = ["prune", "--env", "local", "--keep", "0"];
    // Lambda fetches an image again for a version that somebody points an alias to.
    let serves = shop.account.alias("prices-image");
    shop.account.move_alias("prices-image", "1");
    let moved = shop.run(&prune).exits(0).says("prices-image 0.1.0   (a Lambda version that stays runs it)");
    assert!(!moved.stdout.contains("remove   image"), "{moved}");
    shop.account.move_alias("prices-image", &serves);
    let listed = shop.run(&prune).exits(0).says("remove   image          prices-image 0.1.0");
    assert!(listed.stdout.contains("keep     image          prices-image 0.2.0   (is on hold"), "{listed}");
    assert!(listed.stdout.contains("keep     image          prices-image 0.3.0   (serves"), "{listed}");
    assert!(listed.stdout.contains("keep     image          echo-image 0.1.0   (serves"), "{listed}");
    assert!(image("0.1.0").is_some(), "a dry run removed it");

    shop.run(&[&prune[..], &["--apply", "--yes"]].concat()).exits(0);
    assert_eq!(
        (image("0.1.0"), beside(&first, "sig").exists(), beside(&first, "att").exists()),
        (None, false, false)
    );
    assert!(image("0.2.0").is_some() && image("0.3.0").is_some() && beside(&third, "sig").is_file());
    shop.run(&prune).exits(0).says("Nothing to remove.");
    let order = json!({ "quantity": 2, "price": "0.50" });
    assert_eq!(shop.invoke("prices-image", &order)["says"], "three");
    shop.run(&["verify-release", "prices-image", "0.3.0", "--env", "local"]).exits(0);
}

/// Returns the hex digest of the last layer in the second release of the Python image.
fn newest_layer(shop: &Shop) -> String {
    let document =
        shop.run(&["releases", "prices-image", "--env", "local", "--output", "json"]).exits(0).json();
    let image = document["data"]["releases"][0]["artifact"]["sha256"].as_str().expect("a digest").to_owned();
    let blobs = shop.folder.join("target/slipway/local/registry");
    let manifest = blob_in(&blobs, &image.into());
    let layer = manifest["layers"].as_array().expect("layers").last().expect("a layer")["digest"].clone();
    layer.as_str().expect("a digest").trim_start_matches("sha256:").to_owned()
}

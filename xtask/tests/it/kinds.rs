//! All kinds of artifacts in one project, with the real AWS provider: a Rust zip, a Python zip with native wheels, a Rust
//! image and a Python image, released, run, verified, changed and taken back; and base images that cannot be used.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::python::{copy, network, python_here};
use super::support::base::{self, MARK};
use super::support::echo;
use super::support::guard::{self, Run};
use super::support::process::Finished;
use super::support::registry::{Lie, Registry, free_port, liar};
use super::support::surroundings::repository;
use super::support::world::{Ending, Sealed, repository_in};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];
const FUNCTIONS: [&str; 4] = ["echo", "echo-image", "prices", "prices-image"];
const KEY: &str = "keys/release.key";
const ENVIRONMENT: &str = "terraform/environments/local/environment.toml";

/// A sealed project whose gateway ends with it.
struct Shop {
    sealed: Ending,
    variables: Vec<(String, String)>,
}

impl std::ops::Deref for Shop {
    type Target = Ending;

    fn deref(&self) -> &Ending {
        &self.sealed
    }
}

impl Shop {
    /// Makes a project with one stack, which runs these functions with the repository's own module, or with nothing.
    fn new(run: &'static Run, functions: &[&str], main: &str) -> Self {
        let sealed = Ending(Sealed::new(run));
        let named = functions.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        sealed.write("pipelines/project.toml", "schema = 1\nname = \"echo\"\n");
        sealed.write(".gitignore", "/target/\n**/.terraform/\n*.key\n");
        sealed.write("terraform/stacks/shop/stack.toml", &format!("functions = [{named}]\n"));
        sealed.write("terraform/stacks/shop/main.tf", main);
        sealed.write(ENVIRONMENT, "emulated = true\n");
        repository_in(&sealed.project);
        let mut variables = network();
        variables.push(("SLIPWAY_SIGNING_KEY".into(), KEY.into()));
        Self { sealed, variables }
    }

    /// Runs a command with a signing key and the network's settings.
    fn signed(&self, arguments: &[&str]) -> Finished {
        let variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.start_with(arguments, &variables).wait()
    }

    /// Asks a function through what serves.
    fn answer(&self, function: &str, event: &Value) -> Value {
        let event = event.to_string();
        let told = self.run(&["local", "invoke", function, "--event", &event]).exits(0);
        serde_json::from_str(&told.stdout).unwrap_or_else(|error| panic!("{error} in {told}"))
    }

    /// The blobs of the local registry, with their lengths.
    fn blobs(&self) -> Vec<(String, u64)> {
        let folder = self.project.join("target/slipway/local/registry/blobs/sha256");
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let blob = |entry: fs::DirEntry| {
            let length = entry.metadata().expect("a blob").len();
            (entry.file_name().to_string_lossy().into_owned(), length)
        };
        let mut blobs: Vec<_> = entries.flatten().map(blob).collect();
        blobs.sort();
        blobs
    }

    /// The digests of an image's layers, as the local registry has them.
    fn layers(&self, function: &str, version: &str) -> Vec<String> {
        let digest = self.manifest(function, version)["artifact"]["code_sha256"].clone();
        let blobs = self.project.join("target/slipway/local/registry/blobs/sha256");
        let bytes = fs::read(blobs.join(digest.as_str().expect("a digest"))).expect("the image's manifest");
        let image: Value = serde_json::from_slice(&bytes).expect("an image's manifest");
        let layers = image["layers"].as_array().expect("layers");
        layers.iter().map(|layer| layer["digest"].as_str().expect("a digest").to_owned()).collect()
    }

    /// Reads a release's manifest.
    fn manifest(&self, function: &str, version: &str) -> Value {
        let [artifacts, _] = self.account.buckets();
        let bytes = self.account.object(&artifacts, &format!("releases/{function}/{version}.json"));
        serde_json::from_slice(&bytes).expect("a manifest")
    }

    fn prices(&self, function: &str, says: &str) {
        let place = if function == "prices" { "None".to_owned() } else { format!("open({MARK:?}).read()") };
        let text =
            include_str!("kinds/prices.py").replace("PLACE", &place).replace("SAYS", &format!("{says:?}"));
        self.write(&format!("lambda-src/{function}/src/prices/app.py"), &text);
    }
}

/// Writes all four functions and has the environment demand signatures.
fn four_kinds(run: &'static Run, registry: &Registry) -> Shop {
    let shop = Shop::new(run, &FUNCTIONS, include_str!("kinds/main.tf"));
    for file in ["terraform.tf", "providers.tf", "variables.tf", ".terraform.lock.hcl"] {
        let path = format!("terraform/stacks/hello/{file}");
        let text = fs::read_to_string(repository().join(path)).expect("a file of the stack");
        shop.write(&format!("terraform/stacks/shop/{file}"), &text.replace("hello", "echo"));
    }
    copy(&repository().join("terraform/modules"), &shop.project.join("terraform/modules"));
    rust(&shop, registry);
    python(&shop, run, registry);
    shop.run(&["key", "new", KEY]).exits(0);
    shop.write(
        ENVIRONMENT,
        "emulated = true\nsignatures = \"required\"\ntrusted_keys = [\"keys/release.pub.pem\"]\n",
    );
    shop.commit("feat: four functions");
    shop
}

/// Writes the two Rust functions, with one source.
fn rust(shop: &Shop, registry: &Registry) {
    let toolchain = fs::read_to_string(repository().join("rust-toolchain.toml")).expect("a toolchain");
    shop.write("rust-toolchain.toml", &toolchain);
    shop.write("Cargo.toml", include_str!("kinds/workspace.toml"));
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

/// Writes the two Python functions, with one source and one lock.
fn python(shop: &Shop, run: &'static Run, registry: &Registry) {
    let bases = base::bases(run);
    let base = registry.name("lambda/python", &bases.python.digest);
    for (name, runtime, table) in [
        ("prices", python_here(&run.machine.path), String::new()),
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
        shop.prices(name, "one");
    }
    for name in ["prices", "prices-image"] {
        shop.signed(&["lock", name]).exits(0);
    }
}

#[test]
fn four_kinds_are_released_in_one_command_verified_changed_and_taken_back() {
    let Some(run) = guard::run() else { return };
    let Some(mut registry) = Registry::start(run) else { return };
    let shop = four_kinds(run, &registry);

    let first = shop.signed(&RELEASE).exits(0);
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
        assert_eq!(shop.answer(function, &order), json!({ "says": "one", "event": order }));
    }
    assert_eq!(
        shop.answer("prices", &order),
        json!({ "total": "1.00", "says": "one", "own": true, "place": null })
    );
    // The word that only the base has: the image runs with its own root.
    assert_eq!(
        shop.answer("prices-image", &order),
        json!({ "total": "1.00", "says": "one", "own": true, "place": "python" })
    );

    for function in FUNCTIONS {
        let told = shop.run(&["verify-release", function, "0.1.0", "--env", "local"]).exits(0);
        assert!(told.stdout.ends_with(&format!("{function} 0.1.0 holds.\n")), "{told}");
        for check in ["manifest", "artifact", "sbom", "envelope", "subjects", "signature for local"] {
            assert!(told.stdout.contains(&format!("ok   {check}")), "{check} in {told}");
        }
    }

    let (objects, blobs) = (shop.account.objects(), shop.blobs());
    let again = shop.run(&RELEASE).exits(0).says("already serves");
    for step in ["build", "publish", "plan", "apply", "verify", "rollout"] {
        assert!(!again.did(step), "{step} in {again}");
    }
    assert!(shop.account.objects() == objects, "the second run wrote something");
    assert_eq!(shop.blobs(), blobs);

    // From here on no base can be fetched; what was fetched does for both builds of each.
    registry.stop();
    let verified = shop.signed(&["build", "--verify", "--output", "json"]).exits(0).json();
    let verified = verified["data"]["verified"].as_array().expect("what was built twice");
    assert_eq!(verified.len(), FUNCTIONS.len());
    for one in verified {
        assert_eq!((&one["same"], &one["sha256"][0]), (&true.into(), &one["sha256"][1]), "{one}");
    }

    let size = shop.manifest("prices-image", "0.1.0")["artifact"]["size"].as_u64().expect("a size");
    shop.prices("prices-image", "two");
    shop.commit("feat: say two");
    let second = shop.signed(&RELEASE).exits(0).says("prices-image 0.2.0 serves in local.");
    let (before, after) = (shop.layers("prices-image", "0.1.0"), shop.layers("prices-image", "0.2.0"));
    let [python, dependencies, code] = &before[..] else { panic!("the layers of {before:?}") };
    assert_eq!((&after[0], &after[1], after.len()), (python, dependencies, 3));
    assert_ne!(&after[2], code);
    assert_eq!(second.calls("GetBlob", "") + second.calls("GetManifest", "lambda/"), 0, "{second}");
    // Config, SBOM, attestation and manifests are among them.
    let new: u64 = shop.blobs().iter().filter(|blob| !blobs.contains(blob)).map(|(_, length)| length).sum();
    assert!(new > 0 && new * 100 < size, "{new} bytes of {size} were uploaded");
    assert_eq!(shop.answer("prices-image", &order)["says"], "two");
    for function in ["echo", "echo-image", "prices"] {
        assert_eq!(shop.account.alias(function), "1", "{function} did not change");
    }

    shop.run(&["rollback", "prices-image", "--env", "local", "--yes"])
        .exits(0)
        .says("prices-image 0.1.0 serves in local again.");
    assert_eq!(shop.account.alias("prices-image"), "1");
    assert_eq!(shop.answer("prices-image", &order)["says"], "one");
    shop.run(&["verify-release", "prices-image", "0.2.0", "--env", "local"]).exits(0);
    let image = shop.project.join("target/slipway/local/registry/repositories/echo/prices-image/_referrers");
    let attached: Vec<usize> = fs::read_dir(image)
        .expect("the image's referrers")
        .flatten()
        .map(|subject| fs::read_dir(subject.path()).expect("a subject").count())
        .collect();
    assert_eq!(attached, [2, 2], "SBOM and attestation of each of two releases");
    // One byte of one layer of the registry's: the code that the second release brought.
    let layer = shop.project.join("target/slipway/local/registry/blobs/sha256").join(newest_layer(&shop));
    let whole = fs::read(&layer).expect("a layer");
    let mut bytes = whole.clone();
    *bytes.last_mut().expect("a byte") ^= 1;
    fs::write(&layer, bytes).expect("the layer");
    shop.run(&["verify-release", "prices-image", "0.2.0", "--env", "local"]).exits(6).says("WRONG");
    fs::write(&layer, whole).expect("the layer");
    shop.run(&["verify-release", "prices-image", "0.2.0", "--env", "local"]).exits(0);
}

/// Writes a Python function without dependencies on a base; its own build is a moment.
fn lean(shop: &Shop, runtime: &str, base: &str) {
    lean_as(shop, "lean", runtime, base);
}

fn lean_as(shop: &Shop, name: &str, runtime: &str, base: &str) {
    let settings = format!(
        "runtime = \"{runtime}\"\nhandler = \"prices.app.handle\"\npackage = \"image\"\n\n[build]\nwith = \"python\"\n\
         sources = [\"src/prices\"]\n\n[image]\nbase = \"{base}\"\n"
    );
    shop.write(&format!("lambda-src/{name}/function.toml"), &settings);
    let code = "def handle(event, _context):\n    return event\n";
    shop.write(&format!("lambda-src/{name}/src/prices/app.py"), code);
}

const NO_PROVIDER: &str = "terraform {\n  backend \"s3\" {}\n}\n";

#[test]
fn a_base_that_cannot_be_used_publishes_nothing() {
    let Some(run) = guard::run() else { return };
    let Some(registry) = Registry::start(run) else { return };
    let shop = Shop::new(run, &["lean"], NO_PROVIDER);
    let bases = base::bases(run);
    let python = &bases.python;
    let digest = &python.digest;
    let lying = |lie| format!("127.0.0.1:{}/lambda/python@{digest}", liar(python, lie));
    let unreachable = format!("127.0.0.1:{}/lambda/python@{digest}", free_port());
    let missing = registry.name("lambda/python", &format!("sha256:{}", "0".repeat(64)));
    let (index, foreign) =
        (registry.foreign_index(), registry.name("lambda/provided", &bases.foreign.digest));
    let bare = registry.libc();
    let tag = registry.name("lambda/python", "").replace('@', "");
    let (manifests, blobs) = (lying(Lie::Manifest), lying(Lie::Blob));
    for (base, code, words) in [
        (unreachable.as_str(), 1, [unreachable.as_str(), "cannot be fetched"]),
        (&missing, 1, [&missing, "does not exist"]),
        (&index, 1, [&index, "no image for linux/amd64; it has linux/arm64"]),
        (&foreign, 1, [&foreign, "is for linux/arm64, and linux/amd64 is wanted"]),
        (&manifests, 1, [&manifests, "does not answer what it was asked for"]),
        (&blobs, 1, [&blobs, "does not answer what it was asked for"]),
        (&bare, 6, [&bare, "has no entrypoint: nothing in it would call the handler"]),
        (&tag, 2, [&tag, "has no digest: a tag can be moved"]),
    ] {
        lean(&shop, &bases.runtime, base);
        let refused = shop.run(&RELEASE).exits(code);
        for words in words {
            assert!(refused.stderr.contains(words), "`{words}` in {refused}");
        }
        assert!(!refused.did("publish") && !refused.did("plan"), "{refused}");
    }
    let [artifacts, _] = shop.account.buckets();
    assert_eq!(shop.account.keys(&artifacts), Vec::<String>::new(), "nothing was published");
    assert_eq!(shop.blobs(), Vec::new());
    // Nothing of the lies was kept: the honest registry's base is fetched and used.
    lean(&shop, &bases.runtime, &registry.name("lambda/python", digest));
    shop.run(&["build"]).exits(0);
}

#[test]
fn functions_on_one_base_fetch_it_once() {
    let Some(run) = guard::run() else { return };
    let Some(registry) = Registry::start(run) else { return };
    let functions = ["one", "three", "two"];
    let shop = Shop::new(run, &functions, NO_PROVIDER);
    let bases = base::bases(run);
    for function in functions {
        lean_as(&shop, function, &bases.runtime, &registry.name("lambda/python", &bases.python.digest));
    }
    // The stack runs nothing, so that this is where it ends; by then all are published.
    let told = shop.run(&RELEASE).exits(2).says("declares no variable `releases`");
    assert_eq!(told.stderr.matches(" new ").count(), 3, "{told}");
    assert_eq!(told.calls("GetBlob", ""), 2, "config and layer: {told}");
}

#[test]
fn a_base_on_disk_is_kept_and_held_against_its_digest() {
    let Some(run) = guard::run() else { return };
    let shop = Shop::new(run, &["lean"], NO_PROVIDER);
    let bases = base::bases(run);
    copy(&bases.python.layout, &shop.project.join("bases/python"));
    lean(&shop, &bases.runtime, &format!("oci:bases/python@{}", bases.python.digest));
    let built = shop.run(&["build", "--output", "json"]).exits(0).json();
    let built = &built["data"]["artifacts"][0];
    let layout = Path::new(built["path"].as_str().expect("the layout's folder"));
    let index: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).expect("an index")).expect("JSON");
    assert_eq!(index["manifests"][0]["digest"], built["sha256"]);
    let manifest = blob_in(layout, &built["sha256"]);
    let layers = manifest["layers"].as_array().expect("layers");
    // The base's and our own: all of them are in the layout.
    assert!(layers.len() >= 2, "{manifest}");
    for layer in layers {
        let digest = layer["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
        let bytes = fs::read(layout.join("blobs/sha256").join(digest)).expect("a layer");
        assert_eq!(hex::encode(Sha256::digest(bytes)), digest);
    }
    // Another byte in the layer: what was kept is used while it is there, and then nothing.
    let blobs = shop.project.join("bases/python/blobs/sha256");
    let largest = fs::read_dir(&blobs)
        .expect("the layout's blobs")
        .flatten()
        .max_by_key(|entry| entry.metadata().expect("a blob").len())
        .expect("a blob")
        .path();
    let mut bytes = fs::read(&largest).expect("the layer");
    *bytes.last_mut().expect("a byte") ^= 1;
    fs::write(&largest, bytes).expect("the layer");
    shop.run(&["build", "--force"]).exits(0);
    fs::remove_dir_all(shop.project.join("target/slipway/bases")).expect("the kept base");
    shop.run(&["build", "--force"]).exits(1).says("has other bytes than its digest says");
    assert!(!Path::new(&shop.project.join("target/slipway/local")).exists(), "a build needs no environment");
}

/// Reads a JSON blob of a layout.
fn blob_in(layout: &Path, digest: &Value) -> Value {
    let hex = digest.as_str().expect("a digest").trim_start_matches("sha256:");
    let bytes = fs::read(layout.join("blobs/sha256").join(hex)).expect("a blob");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Returns the hex digest of the topmost layer of the Python image's second release.
fn newest_layer(shop: &Shop) -> String {
    let told = shop.run(&["releases", "prices-image", "--env", "local", "--output", "json"]).exits(0).json();
    let image = told["data"]["releases"][0]["artifact"]["sha256"].as_str().expect("a digest").to_owned();
    let blobs = shop.project.join("target/slipway/local/registry");
    let manifest = blob_in(&blobs, &image.into());
    let layer = manifest["layers"].as_array().expect("layers").last().expect("a layer")["digest"].clone();
    layer.as_str().expect("a digest").trim_start_matches("sha256:").to_owned()
}

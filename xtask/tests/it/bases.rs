//! Base images: one that cannot be used publishes nothing and is named, one that can is fetched once and kept by its digest.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::kinds::Shop;
use super::python::copy;
use super::support::base;
use super::support::guard;
use super::support::registry::{Lie, Registry, free_port, liar};

const RELEASE: [&str; 4] = ["release", "--env", "local", "--yes"];

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
        (&foreign, 1, [&foreign, "is for linux/arm64, not for linux/amd64"]),
        (&manifests, 1, [&manifests, "sent other bytes than requested"]),
        (&blobs, 1, [&blobs, "sent other bytes than requested"]),
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
    shop.run(&["build", "--force"]).exits(1).says("does not have the bytes of its digest");
    assert!(!Path::new(&shop.project.join("target/slipway/local")).exists(), "a build needs no environment");
}

/// Reads a JSON blob of a layout.
pub(super) fn blob_in(layout: &Path, digest: &Value) -> Value {
    let hex = digest.as_str().expect("a digest").trim_start_matches("sha256:");
    let bytes = fs::read(layout.join("blobs/sha256").join(hex)).expect("a blob");
    serde_json::from_slice(&bytes).expect("JSON")
}

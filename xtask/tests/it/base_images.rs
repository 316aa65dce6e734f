//! Base images: an unusable one is named and nothing is published; a usable one is fetched once and cached by its digest.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::package_types::Shop;
use super::support::TestRun;
use super::support::base_images::base_images;
use super::support::commands::RELEASE;
use super::support::echo::SMALLEST_STACK;
use super::support::registry::{Corruption, Registry, corrupting_registry, free_port};
use super::support::sandbox::copy;
use crate::require;

/// Writes a Python function without dependencies on a base; it builds quickly.
fn write_small_function(shop: &Shop, runtime: &str, base: &str) {
    write_named_function(shop, "small", runtime, base);
}

fn write_named_function(shop: &Shop, name: &str, runtime: &str, base: &str) {
    let settings = format!(
        "runtime = \"{runtime}\"\nhandler = \"prices.app.handle\"\npackage = \"image\"\n\n[build]\nwith = \"python\"\n\
         sources = [\"src/prices\"]\n\n[image]\nbase = \"{base}\"\n"
    );
    shop.write(&format!("lambda-src/{name}/function.toml"), &settings);
    let code = "def handle(event, _context):\n    return event\n";
    shop.write(&format!("lambda-src/{name}/src/prices/app.py"), code);
}

#[test]
fn unusable_base_image_publishes_nothing() {
    let test_run = require!(TestRun::shared());
    let registry = require!(Registry::start(test_run));
    let shop = Shop::new(test_run, &["small"], SMALLEST_STACK);
    let bases = base_images(test_run);
    let python = &bases.python;
    let digest = &python.digest;
    let corrupting = |what| format!("127.0.0.1:{}/lambda/python@{digest}", corrupting_registry(python, what));
    let unreachable = format!("127.0.0.1:{}/lambda/python@{digest}", free_port());
    let missing = registry.name("lambda/python", &format!("sha256:{}", "0".repeat(64)));
    let (index, arm64) = (registry.arm64_index(), registry.name("lambda/provided", &bases.arm64.digest));
    let bare = registry.libc();
    let tag = registry.name("lambda/python", "").replace('@', "");
    let (manifests, blobs) = (corrupting(Corruption::Manifest), corrupting(Corruption::Blob));
    for (base, code, words) in [
        (unreachable.as_str(), 1, [unreachable.as_str(), "cannot be fetched"]),
        (&missing, 1, [&missing, "does not exist"]),
        (&index, 1, [&index, "no image for linux/amd64; it has linux/arm64"]),
        (&arm64, 1, [&arm64, "is for linux/arm64, not for linux/amd64"]),
        (&manifests, 1, [&manifests, "sent other bytes than requested"]),
        (&blobs, 1, [&blobs, "sent other bytes than requested"]),
        (&bare, 6, [&bare, "has no entrypoint: nothing in it would call the handler"]),
        (&tag, 2, [&tag, "has no digest: a tag can be moved"]),
    ] {
        write_small_function(&shop, &bases.runtime, base);
        let refused = shop.run(&RELEASE).exits(code);
        for words in words {
            assert!(refused.stderr.contains(words), "`{words}` in {refused}");
        }
        assert!(!refused.ran_step("publish") && !refused.ran_step("plan"), "{refused}");
    }
    let [artifacts, _] = shop.account.buckets();
    assert_eq!(shop.account.keys(&artifacts), Vec::<String>::new(), "nothing was published");
    assert_eq!(shop.blobs(), Vec::new());
    // Nothing of the wrong bytes was cached: the base of the other registry is fetched and used.
    write_small_function(&shop, &bases.runtime, &registry.name("lambda/python", digest));
    shop.run(&["build"]).exits(0);
}

#[test]
fn base_image_shared_by_functions_is_fetched_once() {
    let test_run = require!(TestRun::shared());
    let registry = require!(Registry::start(test_run));
    let functions = ["one", "three", "two"];
    let shop = Shop::new(test_run, &functions, SMALLEST_STACK);
    let bases = base_images(test_run);
    for function in functions {
        write_named_function(
            &shop,
            function,
            &bases.runtime,
            &registry.name("lambda/python", &bases.python.digest),
        );
    }
    // The stack runs no function, so that the release fails here; by then all functions are published.
    let failed = shop.run(&RELEASE).exits(6).says("does not contain");
    assert_eq!(failed.stderr.matches(" new ").count(), 3, "{failed}");
    assert_eq!(failed.calls("GetBlob", ""), 2, "config and layer: {failed}");
}

#[test]
fn base_image_on_disk_is_cached_and_checked_against_its_digest() {
    let test_run = require!(TestRun::shared());
    let shop = Shop::new(test_run, &["small"], SMALLEST_STACK);
    let bases = base_images(test_run);
    copy(&bases.python.layout, &shop.folder.join("bases/python"));
    write_small_function(&shop, &bases.runtime, &format!("oci:bases/python@{}", bases.python.digest));
    let built = shop.run(&["build", "--output", "json"]).exits(0).json();
    let built = &built["data"]["artifacts"][0];
    let layout = Path::new(built["path"].as_str().expect("the layout's folder"));
    let index: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).expect("an index")).expect("JSON");
    assert_eq!(index["manifests"][0]["digest"], built["sha256"]);
    let manifest = blob_in(layout, &built["sha256"]);
    let layers = manifest["layers"].as_array().expect("layers");
    // The layers of the base and our own: all of them are in the layout.
    assert!(layers.len() >= 2, "{manifest}");
    for layer in layers {
        let digest = layer["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
        let bytes = fs::read(layout.join("blobs/sha256").join(digest)).expect("a layer");
        assert_eq!(hex::encode(Sha256::digest(bytes)), digest);
    }
    // Another byte in the layer: the cached base is used as long as it exists, and then the build fails.
    let blobs = shop.folder.join("bases/python/blobs/sha256");
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
    fs::remove_dir_all(shop.folder.join("target/slipway/bases")).expect("the cached base");
    shop.run(&["build", "--force"]).exits(1).says("does not have the bytes of its digest");
    assert!(
        !Path::new(&shop.folder.join("target/slipway/local")).exists(),
        "a build needs no local environment"
    );
}

/// Reads a JSON blob of a layout.
pub(super) fn blob_in(layout: &Path, digest: &Value) -> Value {
    let hex = digest.as_str().expect("a digest").trim_start_matches("sha256:");
    let bytes = fs::read(layout.join("blobs/sha256").join(hex)).expect("a blob");
    serde_json::from_slice(&bytes).expect("JSON")
}

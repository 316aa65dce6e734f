//! This repository in a world, as a clone of it would be, and what lies in the states of its stacks.
//!
//! In: this repository's work tree; states as Terraform keeps them. Out: files, and resources by their addresses.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use super::guard::Run;
use super::surroundings::repository;
use super::world::{Sealed, copy, repository_in};
use crate::python::network;

/// The repository's stacks.
pub const STACKS: [&str; 6] = ["bucket-api", "hello", "invoice", "network", "stream-pipeline", "tracer"];

/// The functions that run without a base image.
const FUNCTIONS: [&str; 5] = ["bucket-api-zip", "hello", "invoice", "stream-ingest", "tracer"];
/// Where artifacts are kept by the digests of their inputs.
const BUILT: &str = "target/slipway/artifacts";
/// Where the tests keep them.
const KEPT: &str = "target/slipway/tests-artifacts";
/// How functions are built for release, and how for tests.
const CAREFUL: &str = "lto = \"thin\"\ncodegen-units = 1\n";
const QUICK: &str = "opt-level = 0\nlto = false\ncodegen-units = 16\n";

/// Copies what a clone of this repository holds.
fn whole_repository(to: &Path) {
    let from = repository();
    let git = git2::Repository::open(from).expect("this repository");
    let mut statuses = git2::StatusOptions::new();
    statuses.include_untracked(true).recurse_untracked_dirs(true).include_unmodified(true);
    for entry in git.statuses(Some(&mut statuses)).expect("this repository's files").iter() {
        let path = entry.path().expect("a name in UTF-8").to_owned();
        let source = from.join(&path);
        // A file that was removed and not committed, or a folder's own entry.
        if !source.is_file() {
            continue;
        }
        let target = to.join(&path);
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        std::fs::copy(&source, &target).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

/// Makes a world's project this repository as a clone would be, to be committed there. The functions that it runs are
/// built, once for all tests and kept for the next run: not as fast and small as a release has them.
pub fn clone_into(world: &Sealed, run: &'static Run) {
    static BUILT_ONCE: OnceLock<()> = OnceLock::new();
    BUILT_ONCE.get_or_init(|| {
        let builder = Sealed::new(run);
        copy_quick(&builder.project);
        repository_in(&builder.project);
        let network = network();
        let network: Vec<(&str, &str)> =
            network.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let arguments = [["build"].as_slice(), &FUNCTIONS].concat();
        builder.start_with(&arguments, &network).patiently().wait().exits(0);
        leave_built(&builder.project);
    });
    copy_quick(&world.project);
}

/// Leaves what a clone built to other tests and runs.
pub fn leave_built(from: &Path) {
    copy(&from.join(BUILT), &repository().join(KEPT));
}

fn copy_quick(to: &Path) {
    whole_repository(to);
    let path = to.join("Cargo.toml");
    let manifest = std::fs::read_to_string(&path).expect("the workspace's manifest");
    assert!(manifest.contains(CAREFUL), "the release profile is another one: {manifest}");
    std::fs::write(path, manifest.replacen(CAREFUL, QUICK, 1)).expect("the workspace's manifest");
    // The project without its checks, which run elsewhere.
    let path = to.join("pipelines/project.toml");
    let project = std::fs::read_to_string(&path).expect("the project's settings");
    let (head, _) = project.split_once("[checks.").expect("the project's checks");
    std::fs::write(path, head).expect("the project's settings");
    let kept = repository().join(KEPT);
    if kept.is_dir() {
        copy(&kept, &to.join(BUILT));
    }
}

/// Finds what a state manages: attributes by address.
pub fn resources(state: &Value) -> BTreeMap<String, Value> {
    let text = |resource: &Value, name: &str| resource[name].as_str().unwrap_or_default().to_owned();
    let managed = state["resources"].as_array().into_iter().flatten();
    managed
        .filter(|resource| resource["mode"] == "managed")
        .flat_map(|resource| {
            let module = text(resource, "module");
            let module = if module.is_empty() { module } else { format!("{module}.") };
            let address = format!("{module}{}.{}", text(resource, "type"), text(resource, "name"));
            let instances = resource["instances"].as_array().cloned().unwrap_or_default();
            instances.into_iter().map(move |instance| {
                let key = instance.get("index_key").map(|key| format!("[{key}]")).unwrap_or_default();
                (format!("{address}{key}"), instance["attributes"].clone())
            })
        })
        .collect()
}

/// Takes a resource's type out of its address.
pub fn kind(address: &str) -> &str {
    let unkeyed = address.strip_suffix(']').and_then(|rest| Some(rest.rsplit_once('[')?.0));
    let mut parts = unkeyed.unwrap_or(address).rsplit('.');
    parts.nth(1).unwrap_or_default()
}

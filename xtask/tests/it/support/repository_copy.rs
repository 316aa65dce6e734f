//! A copy of this repository in a sandbox, like a clone of it, and the resources in the states of its stacks.
//!
//! In: this repository's work tree; states as Terraform keeps them. Out: files, and resources by their addresses.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use super::machine::repository;
use super::python::package_index_variables;
use super::sandbox::{Sandbox, copy, init_repository};
use super::test_run::TestRun;

/// The repository's stacks.
pub const STACKS: [&str; 6] = ["bucket-api", "hello", "invoice", "network", "stream-pipeline", "tracer"];

/// The functions that run without a base image.
const FUNCTIONS: [&str; 5] = ["bucket-api-zip", "hello", "invoice", "stream-ingest", "tracer"];
/// Where a project has its artifacts, by the digests of their inputs.
const ARTIFACTS: &str = "target/slipway/artifacts";
/// Where the tests keep artifacts from run to run.
const KEPT_ARTIFACTS: &str = "target/slipway/tests-artifacts";
/// How functions are built for a release, and how for these tests.
const RELEASE_PROFILE: &str = "lto = \"thin\"\ncodegen-units = 1\n";
const FAST_PROFILE: &str = "opt-level = 0\nlto = false\ncodegen-units = 16\n";

/// Copies the files that a clone of this repository has, and untracked ones.
fn copy_repository(to: &Path) {
    let from = repository();
    let git = git2::Repository::open(from).expect("this repository");
    let mut statuses = git2::StatusOptions::new();
    statuses.include_untracked(true).recurse_untracked_dirs(true).include_unmodified(true);
    for entry in git.statuses(Some(&mut statuses)).expect("this repository's files").iter() {
        let path = entry.path().expect("a name in UTF-8").to_owned();
        let source = from.join(&path);
        // A removed file, or a folder.
        if !source.is_file() {
            continue;
        }
        let target = to.join(&path);
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        std::fs::copy(&source, &target).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

/// Copies this repository into a sandbox, where the test commits it. Its functions are built once for all tests, with a
/// faster profile than a release has, and kept for the next run.
pub fn copy_repository_into(sandbox: &Sandbox, test_run: &'static TestRun) {
    static BUILT_ONCE: OnceLock<()> = OnceLock::new();
    BUILT_ONCE.get_or_init(|| {
        let builder = Sandbox::new(test_run);
        copy_with_fast_profile(&builder.folder);
        init_repository(&builder.folder);
        let variables = package_index_variables();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let arguments = [["build"].as_slice(), &FUNCTIONS].concat();
        builder.start_with(&arguments, &variables).with_long_timeout().wait().exits(0);
        keep_artifacts(&builder.folder);
    });
    copy_with_fast_profile(&sandbox.folder);
}

/// Keeps the artifacts of a copy for other tests and runs.
pub fn keep_artifacts(from: &Path) {
    copy(&from.join(ARTIFACTS), &repository().join(KEPT_ARTIFACTS));
}

fn copy_with_fast_profile(to: &Path) {
    copy_repository(to);
    let path = to.join("Cargo.toml");
    let manifest = std::fs::read_to_string(&path).expect("the workspace's manifest");
    assert!(manifest.contains(RELEASE_PROFILE), "the release profile has changed: {manifest}");
    std::fs::write(path, manifest.replacen(RELEASE_PROFILE, FAST_PROFILE, 1))
        .expect("the workspace's manifest");
    // The checks are tested elsewhere.
    let path = to.join("pipelines/project.toml");
    let project = std::fs::read_to_string(&path).expect("the project's settings");
    let (head, _) = project.split_once("[checks.").expect("the project's checks");
    std::fs::write(path, head).expect("the project's settings");
    let kept = repository().join(KEPT_ARTIFACTS);
    if kept.is_dir() {
        copy(&kept, &to.join(ARTIFACTS));
    }
}

/// Returns the managed resources of a state: attributes by address.
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

/// Returns the type of a resource from its address.
pub fn resource_type(address: &str) -> &str {
    let unkeyed = address.strip_suffix(']').and_then(|rest| Some(rest.rsplit_once('[')?.0));
    let mut parts = unkeyed.unwrap_or(address).rsplit('.');
    parts.nth(1).unwrap_or_default()
}

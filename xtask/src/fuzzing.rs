//! What the fuzz targets in `xtask/fuzz` call: each function reads bytes as production reads them, with every check that follows.
//!
//! In: any bytes. Out: nothing. Bytes that are refused are refused by a failure, which is dropped here. A panic is a defect, and
//! so is a value that is read differently after it was written. The tests replay each target's corpus, `xtask/fuzz/corpus`;
//! the targets for zips and layers are in the crates that read them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::artifact;
use crate::ledger;
use crate::name::{FunctionName, StackName};
use crate::partition::Partition;
use crate::plan::{
    Change, ContractFunction, ContractFunctions, DestructionGuard, Planned, SavedPlan, adoption_candidates,
    changes_alias, changes_summary, changes_text, check_contract, created_functions, creates_function,
    instance_ids, refuse_removal_of_serving, reviewed_changes, reviewed_drift, unrelated_addresses,
    without_sensitive,
};
use crate::release::{self, SmokeRecord};
use crate::runtime::Runtime;
use crate::settings::{FunctionSettings, placeholders};
use crate::source::{PythonLock, PythonRequirements};
use crate::tools::terraform;

/// Reads a release's manifest.
pub fn release_manifest(bytes: &[u8]) {
    release::fuzzing::manifest(bytes);
}

/// Reads a DSSE envelope and the statement in it.
pub fn envelope(bytes: &[u8]) {
    release::fuzzing::envelope(bytes);
}

/// Reads a ledger entry: `started` and `ended`.
pub fn ledger_entry(bytes: &[u8]) {
    ledger::fuzzing::entry(bytes);
}

/// Reads the stream of `terraform plan -json` or `apply -json`, and the guards on what it would change.
pub fn plan_stream(bytes: &[u8]) {
    let (changes, applied) = terraform::fuzzing::stream(bytes);
    // Bytes that no stack's output has are refused.
    let _ = applied.functions();
    judge(changes, &Value::Null);
}

/// Reads the JSON of a plan (`terraform show -json`), and the same document as a state.
pub fn plan_json(bytes: &[u8]) {
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else { return };
    let places = check_contract(&stack(), &functions(), &document);
    assert!(places.is_err() || places.is_ok_and(|places| places.len() <= functions().len()));
    created_functions(&document);
    let reviewed = reviewed_changes(&document);
    assert_eq!(reviewed, reviewed_changes(&document));
    reviewed_drift(&document);
    without_sensitive(&document);
    adoption_candidates(&document, "111111111111", Partition::Aws);
    let changes = instance_ids(&document).into_keys().map(|address| Change {
        address,
        action: crate::plan::Action::Replace,
        reason: Some("cannot_update".into()),
    });
    judge(changes.collect(), &document);
}

fn stack() -> StackName {
    "echo".parse().expect("a name")
}

fn functions() -> ContractFunctions {
    let function = |name: &str, package_type, serving: Option<&str>| {
        let serving = serving.map(|alias| (format!("{name}-prod"), alias.to_owned()));
        (name.parse::<FunctionName>().expect("a name"), ContractFunction { package_type, serving })
    };
    BTreeMap::from([function("echo", "Zip", Some("live")), function("hello", "Image", None)])
}

/// Guards changes and shows them, as before an apply.
fn judge(changes: Vec<Change>, state: &Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let planned = Planned {
        changes,
        drift: Vec::new(),
        outputs_change: false,
        file: SavedPlan::create(folder.path()).expect("a file"),
        warnings: Vec::new(),
    };
    let protect = ["aws_dynamodb_table.*".to_owned(), "aws_s3_bucket.a[0]".to_owned()];
    // What is refused is refused: only a panic is wrong.
    let guard = DestructionGuard {
        stack: &stack(),
        environment: &"prod".parse().expect("a name"),
        is_protected: true,
        protect: &protect,
        allowed: &[],
    };
    let _ = guard.check(&planned);
    let _ = refuse_removal_of_serving(&stack(), &functions(), &planned, state);
    unrelated_addresses(&planned, state, &["echo-prod".to_owned()]);
    changes_alias(&planned);
    creates_function(&planned);
    changes_summary(&planned.changes);
    changes_text(&planned.changes, true);
}

/// Reads a `function.toml`.
pub fn function_toml(bytes: &[u8]) {
    let path = Path::new("lambda-src/echo/function.toml");
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(settings) = FunctionSettings::parse(path, text) else { return };
    settings.build.source_paths(&settings.folder);
    settings.smoke.iter().for_each(|smoke| {
        let record = serde_json::to_string(&SmokeRecord::from(smoke)).expect("JSON");
        placeholders(&record);
    });
}

/// Reads the RECORD of an installed distribution, and its METADATA.
pub fn wheel_record(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    artifact::fuzz_record(&text);
    release::sbom::fuzz_metadata(&text);
}

/// The files that [`requirements`] writes.
const REQUIREMENTS: [&str; 8] = [
    "requirements.in",
    "pyproject.toml",
    "requirements.lock",
    "more.in",
    "requirements.txt",
    "uv.lock",
    "setup.cfg",
    "Pipfile",
];

/// Reads the requirements of a Python function, and its lock. A line `=== <file>` begins each file of its folder.
pub fn requirements(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let folder = tempfile::tempdir().expect("a folder");
    for part in format!("\n{text}").split("\n=== ") {
        let (name, content) = part.split_once('\n').unwrap_or((part, ""));
        if REQUIREMENTS.contains(&name) {
            std::fs::write(folder.path().join(name), content).expect("a file");
        }
    }
    let function = "echo".parse().expect("a name");
    let requirements = PythonRequirements::read(folder.path(), &Runtime::Python313, None);
    let requirements = requirements.ok().flatten();
    if let Some(requirements) = &requirements {
        requirements.missing_lock(&function);
    }
    let Ok(Some(lock)) = PythonLock::read(folder.path(), None) else { return };
    let checked = lock.check(&function, requirements.as_ref());
    let (packages, pins) = (lock.packages(), lock.pins());
    assert!(pins.len() <= packages.len());
    if checked.is_ok() {
        lock.check_lines(&function).expect("lines that were checked once");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::links::repository;

    type Target = (&'static str, fn(&[u8]));

    /// The targets of this crate.
    const TARGETS: &[Target] = &[
        ("envelope", envelope),
        ("function_toml", function_toml),
        ("ledger_entry", ledger_entry),
        ("plan_json", plan_json),
        ("plan_stream", plan_stream),
        ("release_manifest", release_manifest),
        ("requirements", requirements),
        ("wheel_record", wheel_record),
    ];

    /// The targets of other crates, whose tests replay their corpora.
    const ELSEWHERE: [&str; 2] = ["layer", "zip"];

    /// Returns the files in a target's corpus, by name.
    fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
        let folder = repository().join("xtask/fuzz/corpus").join(target);
        let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries
            .map(|entry| {
                let path = entry.unwrap().path();
                (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
            })
            .collect()
    }

    #[test]
    fn corpora_are_replayed_without_a_panic() {
        let mut panicked = Vec::new();
        for (target, read) in TARGETS {
            let corpus = corpus(target);
            assert!(!corpus.is_empty(), "{target} has no corpus");
            for (name, bytes) in corpus {
                if std::panic::catch_unwind(|| read(&bytes)).is_err() {
                    panicked.push(format!("xtask/fuzz/corpus/{target}/{name}"));
                }
            }
        }
        assert_eq!(panicked, Vec::<String>::new());
    }

    #[test]
    fn corpora_hold_what_is_accepted_not_only_what_is_refused() {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let any = |target: &str, accepts: &dyn Fn(&[u8]) -> bool| {
            assert!(corpus(target).values().any(|bytes| accepts(bytes)), "{target}: nothing is accepted");
        };
        any("function_toml", &|bytes| {
            FunctionSettings::parse(Path::new("a/b/function.toml"), &text(bytes)).is_ok()
        });
        any("plan_stream", &|bytes| !terraform::fuzzing::stream(bytes).0.is_empty());
        any("plan_json", &|bytes| {
            serde_json::from_slice(bytes)
                .is_ok_and(|plan| check_contract(&stack(), &functions(), &plan).is_ok())
        });
        any("release_manifest", &|bytes| {
            bytes == include_bytes!("release/tests/stored/releases/echo/1.2.3.json")
        });
        any("ledger_entry", &|bytes| bytes == include_bytes!("ledger/stored/release.ended.json"));
    }

    #[test]
    fn every_target_has_a_program_a_corpus_and_a_replay() {
        let fuzz = repository().join("xtask/fuzz");
        let names = |folder: &str| -> BTreeSet<String> {
            let entries = fuzz.join(folder).read_dir().unwrap();
            entries
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
                .collect()
        };
        let replayed: BTreeSet<String> =
            TARGETS.iter().map(|(name, _)| *name).chain(ELSEWHERE).map(str::to_owned).collect();
        assert_eq!(names("fuzz_targets"), replayed);
        assert_eq!(names("corpus"), replayed);
        let manifest: toml::Table =
            std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap().parse().unwrap();
        let bins = manifest["bin"].as_array().unwrap();
        let bins: BTreeSet<String> =
            bins.iter().map(|bin| bin["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(bins, replayed);
    }

    #[test]
    fn targets_read_with_the_versions_that_are_shipped() {
        let versions = |lock: &str| -> BTreeMap<String, BTreeSet<String>> {
            let lock: toml::Table =
                std::fs::read_to_string(repository().join(lock)).unwrap().parse().unwrap();
            let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for package in lock["package"].as_array().unwrap() {
                let text = |key: &str| package[key].as_str().unwrap().to_owned();
                versions.entry(text("name")).or_default().insert(text("version"));
            }
            versions
        };
        let shipped = versions("Cargo.lock");
        for (name, fuzzed) in versions("xtask/fuzz/Cargo.lock") {
            let Some(shipped) = shipped.get(&name) else { continue };
            assert!(
                fuzzed.is_subset(shipped),
                "{name}: {fuzzed:?} is fuzzed, {shipped:?} is shipped: cp Cargo.lock xtask/fuzz/ && cargo metadata --manifest-path xtask/fuzz/Cargo.toml"
            );
        }
    }
}

//! Has cargo compile again what changed in content.
//!
//! cargo goes by time stamps: a source file with other bytes and an older time stamp counts as compiled, as after an unpacked
//! archive or a restored cache, and a vendored package counts as unchanged whatever its files hold. So what each package was
//! compiled from is recorded by content in the target folder, and cargo is made to forget a package whose record differs.
//!
//! In: a build's target folder and inputs, then the units that it compiled. Out: no fingerprints of packages that changed,
//! and `compiled-from/<package>.json`. Goes wrong: a file cannot be read, written or removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use crate::digest::DigestBuilder;
use crate::failure::{self, Failure, Result};
use crate::source::FileContent;
use crate::tools::cargo::CompiledUnit;

/// The inputs: project-relative path -> content.
type Inputs = BTreeMap<String, FileContent>;

/// What a package was compiled from: an input, or a folder of inputs with a slash at its end -> its content.
type CompiledFrom = BTreeMap<String, String>;

const RECORDS: &str = "compiled-from";

/// Packages without a record that this process has had forgotten, by their target folder: what it compiles of them since then
/// is compiled from its own inputs.
static FORGOTTEN: LazyLock<Mutex<BTreeSet<(PathBuf, String)>>> = LazyLock::new(Mutex::default);

/// Makes cargo forget each local package whose inputs are not those of its record, or that has no record.
pub(super) async fn forget_changed(root: &Path, target: &Path, inputs: &Inputs) -> Result<()> {
    let mut changed = BTreeSet::new();
    for package in local_packages(root, inputs)? {
        match read(target, &package)? {
            Some(record) if is_current(root, &record, inputs) => {}
            Some(_) => {
                changed.insert(package);
            }
            None => {
                let mut forgotten = FORGOTTEN.lock().unwrap_or_else(PoisonError::into_inner);
                if forgotten.insert((target.to_path_buf(), package.clone())) {
                    changed.insert(package);
                }
            }
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    for package in &changed {
        remove_if_there(&record_file(target, package), |path| std::fs::remove_file(path))?;
    }
    for folder in fingerprint_folders(target)? {
        let fingerprints: Vec<PathBuf> = entries(&folder)?
            .into_iter()
            .filter(|path| package_of_fingerprint(path).is_some_and(|package| changed.contains(package)))
            .collect();
        if fingerprints.is_empty() {
            continue;
        }
        let _lock = cargo_lock(&folder).await?;
        for fingerprint in fingerprints {
            remove_if_there(&fingerprint, |path| std::fs::remove_dir_all(path))?;
        }
    }
    Ok(())
}

/// Records what the packages of a build were compiled from.
pub(super) fn remember(root: &Path, target: &Path, inputs: &Inputs, units: &[CompiledUnit]) -> Result<()> {
    let root = root.canonicalize().map_err(|error| failure::io("read", root, error))?;
    let mut compiled: BTreeMap<&str, CompiledFrom> = BTreeMap::new();
    for unit in units {
        let whole_package = unit.watches_package.then_some(&unit.folder);
        for file in unit.files.iter().chain(whole_package) {
            let Ok(file) = file.canonicalize() else { continue };
            let Some(path) = file.strip_prefix(&root).ok().and_then(Path::to_str) else { continue };
            let path = if file.is_dir() { format!("{path}/") } else { path.to_owned() };
            if let Some(content) = content_of(&path, inputs) {
                compiled.entry(name_of(&unit.package)).or_default().insert(path, content);
            }
        }
    }
    if compiled.is_empty() {
        return Ok(());
    }
    let folder = target.join(RECORDS);
    std::fs::create_dir_all(&folder).map_err(|error| failure::io("create", &folder, error))?;
    // Builds of other functions add to the same records.
    let lock = folder.join("lock");
    let lock = File::create(&lock).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(|error| failure::io("lock", &folder, error))?;
    for (package, files) in compiled {
        let mut record = read(target, package)?.unwrap_or_default();
        record.extend(files);
        let path = record_file(target, package);
        let text = serde_json::to_vec_pretty(&record).map_err(|error| {
            Failure::defect("what a package was compiled from cannot be written as JSON").caused_by(error)
        })?;
        let part = path.with_extension("part");
        std::fs::write(&part, text)
            .and_then(|()| std::fs::rename(&part, &path))
            .map_err(|error| failure::io("write", &path, error))?;
    }
    Ok(())
}

/// Returns whether all files of a record that are among the inputs are as recorded. A file that exists and is not an input of
/// this build is one of another's.
fn is_current(root: &Path, record: &CompiledFrom, inputs: &Inputs) -> bool {
    record.iter().all(|(path, recorded)| match content_of(path, inputs) {
        Some(content) => content == *recorded,
        None => root.join(path).exists(),
    })
}

fn content_of(path: &str, inputs: &Inputs) -> Option<String> {
    if !path.ends_with('/') {
        return inputs.get(path).map(FileContent::to_text);
    }
    let mut digest = DigestBuilder::new("slipway.compiled-from/1");
    let mut files = inputs.iter().filter(|(file, _)| path == "/" || file.starts_with(path)).peekable();
    files.peek()?;
    files.for_each(|(file, content)| {
        digest.part(file, content.to_text());
    });
    Some(digest.finish().to_string())
}

/// Returns the names of the packages whose manifests are among the inputs.
fn local_packages(root: &Path, inputs: &Inputs) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let is_manifest = |path: &&String| path.rsplit('/').next() == Some("Cargo.toml");
    for path in inputs.keys().filter(is_manifest) {
        let file = root.join(path);
        let text = std::fs::read_to_string(&file).map_err(|error| failure::io("read", &file, error))?;
        // cargo itself refuses a manifest that cannot be read.
        let manifest: toml::Table = toml::from_str(&text).unwrap_or_default();
        let name = manifest.get("package").and_then(|package| package.get("name"));
        names.extend(name.and_then(toml::Value::as_str).map(str::to_owned));
    }
    Ok(names)
}

/// Returns the package's name in cargo's id of it:
/// <https://doc.rust-lang.org/cargo/reference/pkgid-spec.html>.
fn name_of(id: &str) -> &str {
    let (url, fragment) = id.rsplit_once('#').unwrap_or((id, ""));
    match fragment.split_once('@') {
        Some((name, _)) => name,
        // Without a name in it, the id's last folder is named like the package.
        None => url.trim_end_matches('/').rsplit('/').next().unwrap_or(url),
    }
}

fn record_file(target: &Path, package: &str) -> PathBuf {
    target.join(RECORDS).join(format!("{package}.json"))
}

/// Reads a package's record; nothing if there is none, or one that cannot be understood.
fn read(target: &Path, package: &str) -> Result<Option<CompiledFrom>> {
    let path = record_file(target, package);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure::io("read", &path, error)),
    }
}

/// Lists cargo's folders of fingerprints: one for each profile, and for each target that is not the machine's own.
fn fingerprint_folders(target: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for profile in entries(target)? {
        folders.push(profile.join(".fingerprint"));
        folders.extend(entries(&profile)?.into_iter().map(|below| below.join(".fingerprint")));
    }
    folders.retain(|folder| folder.is_dir());
    Ok(folders)
}

/// Returns the package of a folder `<package>-<hash>`.
fn package_of_fingerprint(path: &Path) -> Option<&str> {
    Some(path.file_name()?.to_str()?.rsplit_once('-')?.0)
}

/// Lists a folder; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    match folder.read_dir() {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(failure::io("read", folder, error)),
    }
}

/// Waits until no cargo compiles into the folder above one of fingerprints, and keeps others from it.
async fn cargo_lock(fingerprints: &Path) -> Result<Option<File>> {
    let path = fingerprints.with_file_name(".cargo-lock");
    let Ok(file) = File::options().write(true).open(&path) else { return Ok(None) };
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(TryLockError::Error(error)) => return Err(failure::io("lock", &path, error)),
        }
    }
}

fn remove_if_there(path: &Path, remove: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    match remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failure::io("remove", path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileKind;

    /// A target folder that cargo compiled two packages into, for the machine and for another target.
    fn target() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("target/slipway/cargo");
        for place in ["release", "x86_64-unknown-linux-gnu/release"] {
            for package in ["shared", "shared-more", "registry"] {
                std::fs::create_dir_all(target.join(place).join(format!(".fingerprint/{package}-0123")))
                    .unwrap();
            }
            std::fs::write(target.join(place).join(".cargo-lock"), "").unwrap();
        }
        for package in ["shared", "shared-more"] {
            let folder = root.path().join("crates").join(package);
            std::fs::create_dir_all(folder.join("data")).unwrap();
            std::fs::write(folder.join("Cargo.toml"), format!("[package]\nname = \"{package}\"\n")).unwrap();
            std::fs::write(folder.join("lib.rs"), "1").unwrap();
            std::fs::write(folder.join("data/one.txt"), "1").unwrap();
        }
        std::fs::write(root.path().join("words.txt"), "1").unwrap();
        (root, target)
    }

    fn inputs(root: &Path) -> Inputs {
        let mut inputs = Inputs::new();
        for entry in walkdir::WalkDir::new(root) {
            let entry = entry.unwrap();
            let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap();
            if entry.file_type().is_file() && !path.starts_with("target/") {
                let bytes = std::fs::read(entry.path()).unwrap();
                inputs.insert(path.to_owned(), FileContent::of(&bytes, FileKind::Plain));
            }
        }
        inputs
    }

    fn unit(root: &Path, package: &str, files: &[&str]) -> CompiledUnit {
        let folder = root.join("crates").join(package);
        CompiledUnit {
            package: format!("path+file://{}#0.1.0", folder.display()),
            files: files.iter().map(|file| root.join(file)).collect(),
            variables: BTreeMap::new(),
            watched_variables: Vec::new(),
            watches_package: false,
            folder,
        }
    }

    fn known(target: &Path) -> BTreeSet<String> {
        let folders = fingerprint_folders(target).unwrap();
        assert_eq!(folders.len(), 2);
        let of = |folder: &PathBuf| -> BTreeSet<String> {
            let names = entries(folder).unwrap();
            names.iter().filter_map(|path| package_of_fingerprint(path)).map(str::to_owned).collect()
        };
        assert_eq!(of(&folders[0]), of(&folders[1]));
        of(&folders[0])
    }

    async fn forget(root: &Path, target: &Path) -> BTreeSet<String> {
        forget_changed(root, target, &inputs(root)).await.unwrap();
        known(target)
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test]
    async fn packages_without_a_record_are_forgotten_once() {
        let (root, target) = target();
        assert_eq!(forget(root.path(), &target).await, names(&["registry"]));
        // What this process compiles now is from these inputs, whatever other functions are built beside it.
        std::fs::create_dir_all(target.join("release/.fingerprint/shared-0123")).unwrap();
        std::fs::create_dir_all(target.join("x86_64-unknown-linux-gnu/release/.fingerprint/shared-0123"))
            .unwrap();
        assert_eq!(forget(root.path(), &target).await, names(&["registry", "shared"]));
    }

    #[tokio::test]
    async fn package_is_forgotten_if_a_file_that_it_was_compiled_from_changed() {
        let (root, target) = target();
        let (root, all) = (root.path(), names(&["registry", "shared", "shared-more"]));
        let shared = unit(root, "shared", &["crates/shared/lib.rs", "words.txt"]);
        let more = unit(root, "shared-more", &["crates/shared-more/lib.rs", "crates/shared-more/data"]);
        remember(root, &target, &inputs(root), &[shared, more]).unwrap();
        assert_eq!(forget(root, &target).await, all);
        // Not what the packages were compiled from.
        std::fs::write(root.join("crates/shared/data/one.txt"), "2").unwrap();
        assert_eq!(forget(root, &target).await, all);
        std::fs::write(root.join("crates/shared-more/data/two.txt"), "a new file").unwrap();
        assert_eq!(forget(root, &target).await, names(&["registry", "shared"]));
        std::fs::remove_file(root.join("words.txt")).unwrap();
        assert_eq!(forget(root, &target).await, names(&["registry"]));
    }

    #[tokio::test]
    async fn records_of_several_functions_add_up_and_other_functions_files_are_left_alone() {
        let (root, target) = target();
        let (root, all) = (root.path(), names(&["registry", "shared", "shared-more"]));
        let mut whole = unit(root, "shared", &[]);
        whole.watches_package = true;
        let more = unit(root, "shared-more", &["crates/shared-more/lib.rs"]);
        remember(root, &target, &inputs(root), &[more, whole]).unwrap();
        let words = unit(root, "shared", &["words.txt"]);
        remember(root, &target, &inputs(root), &[words]).unwrap();
        let mut others = inputs(root);
        others.remove("words.txt");
        forget_changed(root, &target, &others).await.unwrap();
        assert_eq!(known(&target), all, "words.txt is an input of another function");
        std::fs::write(root.join("crates/shared/data/one.txt"), "2").unwrap();
        assert_eq!(forget(root, &target).await, names(&["registry", "shared-more"]));
    }

    #[test]
    fn names_are_read_from_each_form_of_an_id() {
        assert_eq!(name_of("path+file:///a/crates/shared#0.1.0"), "shared");
        assert_eq!(name_of("path+file:///a/crates/folder#name@0.1.0"), "name");
        assert_eq!(name_of("registry+https://github.com/rust-lang/crates.io-index#thing@1.0.0"), "thing");
    }
}

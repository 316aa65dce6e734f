//! A Python function: its sources, and below them the wheels that its lock pins.
//!
//! In: sources as git lists them, the lock, runtime and architecture. Out: a tree that is the same on every machine.
//! Goes wrong: a source that does not exist, a package without a wheel, two files with the same path.
//!
//! Files that differ by machine are left out: compiled bytecode, scripts with an interpreter's path in them, and an
//! installer's own records ([recording installs](https://packaging.python.org/en/latest/specifications/recording-installed-packages/)).

mod lock;
mod sources;

#[cfg(test)]
pub(crate) use lock::VersionChange;
pub(crate) use lock::{LockUpdate, update_lock};

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use slipway_archive::{Error, Tree};

use super::{BuildContext, CollectedFiles};
use crate::digest::Digest;
use crate::failure::{self, Failure, Result};
use crate::progress::Step;
use crate::settings::FunctionSettings;
use crate::source::{PythonLock, PythonRequirements, Source};
use crate::tools::install::Tool;
use crate::tools::uv::{LockedPackages, WheelPlatform};

/// The folder beside the artifact in which its files are prepared.
pub(super) const PREPARED: &str = "prepared";

/// Files that an installer writes into a distribution's folder and no importer reads.
const INSTALLER_FILES: [&str; 5] = ["RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"];

/// Collects a Python function's files.
pub(super) async fn build(
    context: &BuildContext<'_>,
    settings: &FunctionSettings,
    source: &Source,
    sources: &[String],
    lock: Option<&str>,
    folder: &Path,
    step: &Step,
) -> Result<CollectedFiles> {
    let root = &context.project.root;
    let prepared = folder.join(PREPARED);
    if prepared.exists() {
        std::fs::remove_dir_all(&prepared).map_err(|error| failure::io("remove", &prepared, error))?;
    }
    let mut tree = Tree::new();
    // Name in the artifact -> the source's path.
    let own = sources::collect(root, settings, source, sources, &prepared.join("sources"), &mut tree)?;
    let (mut tools, mut dependencies) = (BTreeMap::new(), BTreeSet::new());
    let function_folder = root.join(&settings.folder);
    let found = PythonLock::read(&function_folder, lock)?;
    refuse_other_lock(source, found.as_ref())?;
    if let Some(lock) = found
        && !lock.packages().is_empty()
    {
        let installed = prepared.join("packages");
        let target = WheelPlatform::new(&settings.runtime, settings.architecture)?;
        let named = lock.path.strip_prefix(&function_folder).ok().and_then(Path::to_str);
        let requirements = PythonRequirements::read(&function_folder, &settings.runtime, named)?;
        let indexes = requirements.map(|requirements| requirements.indexes).unwrap_or_default();
        let packages = LockedPackages {
            folder: &function_folder,
            lock: &lock.path,
            index_lines: &indexes.lines,
            index_options: &indexes.options,
        };
        context.uv.install(&packages, &target, &installed, step).await?;
        // What uv read from the disk is what was hashed.
        let read = PythonLock { text: read_text(&lock.path)?, ..lock.clone() };
        refuse_other_lock(source, Some(&read))?;
        refuse_missing(&lock, &installed)?;
        let owners = FileOwners::read(&installed)?;
        owners.refuse_overlaps()?;
        remove_machine_files(&installed)?;
        let packages = Tree::from_folder(&installed).map_err(cannot_pack)?;
        for entry in packages.iter() {
            let Some(path) = entry.path() else { continue };
            tree.add_file(entry.name(), entry.executable(), path)
                .map_err(|error| path_conflict(error, entry.name(), &own, &owners))?;
            dependencies.insert(entry.name().to_owned());
        }
        tools.insert("uv".to_owned(), Tool::Uv.version().to_owned());
    }
    Ok(CollectedFiles { tree, dependencies, tools, _copy: None })
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| failure::io("read", path, error))
}

/// Refuses another lock than the one that the inputs digest was made from.
fn refuse_other_lock(source: &Source, lock: Option<&PythonLock>) -> Result<()> {
    let now = lock.map(|lock| Digest::of(&lock.text).to_string());
    if source.inputs.parts.get("lock") == now.as_ref() {
        return Ok(());
    }
    Err(Failure::failed(
        "the lock is not the one that the inputs digest was made from: it changed during the build",
    )
    .unchanged("Nothing was built.")
    .hint("run it again"))
}

/// Refuses an installation that lacks a package which the lock pins for every platform.
fn refuse_missing(lock: &PythonLock, installed: &Path) -> Result<()> {
    let comparable = |name: &str| name.to_ascii_lowercase().replace(['-', '.'], "_");
    let entries = installed.read_dir().map_err(|error| failure::io("read", installed, error))?;
    let found: BTreeSet<String> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(comparable(name.strip_suffix(".dist-info")?.split('-').next()?))
        })
        .collect();
    match lock.packages().iter().find(|pin| pin.everywhere && !found.contains(&comparable(&pin.name))) {
        Some(pin) => Err(Failure::failed(format!(
            "{} {} is pinned in {} and was not installed",
            pin.name,
            pin.version,
            lock.path.display()
        ))
        .unchanged("Nothing was built.")),
        None => Ok(()),
    }
}

/// Removes the files that differ by machine.
fn remove_machine_files(installed: &Path) -> Result<()> {
    let remove = |path: &Path| {
        let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(failure::io("remove", path, error))
            }
            _ => Ok(()),
        }
    };
    for name in [".lock", "bin"] {
        remove(&installed.join(name))?;
    }
    let mut found = Vec::new();
    let mut walk = walkdir::WalkDir::new(installed).min_depth(1).into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry
            .map_err(|error| Failure::failed("the installed packages cannot be read").caused_by(error))?;
        let name = entry.file_name().to_string_lossy();
        if entry.file_type().is_dir() && name == "__pycache__" {
            walk.skip_current_dir();
            found.push(entry.into_path());
            continue;
        }
        let of_distribution = entry.depth() == 2
            && entry
                .path()
                .parent()
                .is_some_and(|parent| parent.extension().is_some_and(|extension| extension == "dist-info"));
        if name.ends_with(".pyc") || (of_distribution && INSTALLER_FILES.contains(&name.as_ref())) {
            found.push(entry.into_path());
        }
    }
    found.iter().try_for_each(|path| remove(path))
}

/// The distributions that contain each file, as their RECORD lists them.
#[derive(Default)]
struct FileOwners {
    /// Name in the artifact -> distribution and digest of the content.
    files: BTreeMap<String, Vec<(String, String)>>,
}

impl FileOwners {
    fn read(installed: &Path) -> Result<Self> {
        let mut owners = Self::default();
        let entries = installed.read_dir().map_err(|error| failure::io("read", installed, error))?;
        let mut folders: Vec<std::ffi::OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
        folders.sort();
        for name in folders {
            let folder = name.to_string_lossy();
            let Some(distribution) = folder.strip_suffix(".dist-info") else { continue };
            let record = installed.join(&name).join("RECORD");
            match std::fs::read_to_string(&record) {
                Ok(record) => owners.add(distribution, &record)?,
                // Nothing says which files it has, so that none of them can be compared.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(failure::io("read", &record, error)),
            }
        }
        Ok(owners)
    }

    /// Adds the files of a distribution, `name-version`, by its RECORD: lines of path, hash and size, as CSV. Rule:
    /// <https://packaging.python.org/en/latest/specifications/recording-installed-packages/>.
    fn add(&mut self, distribution: &str, record: &str) -> Result<()> {
        let owner = distribution.replacen('-', " ", 1);
        let mut lines =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(record.as_bytes());
        for line in lines.records() {
            let line = line.map_err(|error| {
                Failure::failed(format!("{distribution}.dist-info/RECORD cannot be read as CSV"))
                    .caused_by(error)
            })?;
            let (Some(path), Some(hash)) = (line.get(0), line.get(1)) else { continue };
            if path.starts_with("..") || path.starts_with("bin/") || path.ends_with(".pyc") {
                continue;
            }
            self.files.entry(path.to_owned()).or_default().push((owner.clone(), hash.to_owned()));
        }
        Ok(())
    }

    /// Refuses two distributions that contain one file with different contents: which one stays would be chance.
    fn refuse_overlaps(&self) -> Result<()> {
        for (file, owners) in &self.files {
            if let [first, rest @ ..] = owners.as_slice()
                && let Some(other) = rest.iter().find(|other| other.1 != first.1)
            {
                return Err(Failure::usage(format!("{} and {} both contain `{file}`", first.0, other.0))
                    .unchanged("Nothing was built.")
                    .hint("they cannot be installed together: remove one of them from the requirements"));
            }
        }
        Ok(())
    }

    /// Returns the distribution that contains a file, for messages.
    fn distribution_of(&self, file: &str) -> String {
        let owner = self.files.get(file).and_then(|owners| owners.first());
        owner.map_or_else(|| "a package in the lock".to_owned(), |(distribution, _)| distribution.clone())
    }
}

/// Reads the RECORD of two distributions, for `crate::fuzzing`.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_record(text: &str) {
    let mut owners = FileOwners::default();
    if owners.add("a-1", text).is_ok() {
        owners.add("b_c-2", text).expect("a RECORD that was read once");
        // Refused at most: whether that is right depends on the hashes.
        let _ = owners.refuse_overlaps();
        owners.files.keys().for_each(|file| assert_eq!(owners.distribution_of(file), "a 1"));
    }
}

fn cannot_pack(error: Error) -> Failure {
    Failure::failed("the function's files cannot be packed").caused_by(error).unchanged("Nothing was built.")
}

/// Makes the failure of a dependency that contains a file of the function's sources; it names both.
fn path_conflict(error: Error, name: &str, own: &BTreeMap<String, String>, owners: &FileOwners) -> Failure {
    let other = match &error {
        Error::Duplicate { .. } => own.get(name),
        Error::FileIsFolder { file, below } => own.get(file).or_else(|| own.get(below)),
        _ => None,
    };
    let Some(other) = other else { return cannot_pack(error) };
    Failure::usage(format!("the source {other} and {} both contain `{name}`", owners.distribution_of(name)))
        .unchanged("Nothing was built.")
        .hint("rename the package in `sources`: only one of the two could be imported")
}

#[cfg(test)]
mod tests;

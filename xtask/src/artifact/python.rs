//! A Python function: its sources, and below them the wheels that its lock pins.
//!
//! In: sources as git knows them, the lock, runtime and architecture. Out: a tree that is the same wherever it is made.
//! Goes wrong: a source that is not there, a package without a wheel, two files that want the same place.
//!
//! What differs by machine is left out: compiled bytecode, scripts with an interpreter's path in them, and what an installer
//! notes about itself ([recording installs](https://packaging.python.org/en/latest/specifications/recording-installed-packages/)).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use slipway_archive::{Error, Tree};

use super::{Made, Workshop};
use crate::failure::{self, Failure, Result};
use crate::progress::Step;
use crate::settings::{FunctionSettings, name_in_artifact};
use crate::source::{self, Source};
use crate::tools::install::Tool;
use crate::tools::uv::Target;

/// The folder beside the artifact in which packages are installed.
pub(super) const DEPENDENCIES: &str = "dependencies";

/// What an installer writes into a distribution's folder and no importer reads.
const NOTES: [&str; 5] = ["RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"];

/// Gathers a Python function's files.
pub(super) async fn build(
    workshop: &Workshop<'_>,
    settings: &FunctionSettings,
    source: &Source,
    sources: &[String],
    lock: Option<&str>,
    folder: &Path,
    step: &Step,
) -> Result<Made> {
    let root = &workshop.project.root;
    let mut tree = Tree::new();
    // Name in the artifact -> the source's path.
    let mut own = BTreeMap::new();
    for path in sources {
        for (name, path, executable) in files_of(settings, source, path)? {
            plain(root, &settings.folder, &path)?;
            tree.add_file(&name, executable, root.join(&path)).map_err(cannot_pack)?;
            own.insert(name, path);
        }
    }
    let (mut tools, mut dependencies) = (BTreeMap::new(), BTreeSet::new());
    if let Some(lock) = source::lock(&root.join(&settings.folder), lock)?
        && !lock.pins().is_empty()
    {
        let installed = folder.join(DEPENDENCIES);
        if installed.exists() {
            std::fs::remove_dir_all(&installed).map_err(|error| failure::io("remove", &installed, error))?;
        }
        let target = Target::new(&settings.runtime, settings.architecture)?;
        workshop.uv.install(&lock.path, &target, &installed, step).await?;
        let owners = Owners::read(&installed)?;
        owners.refuse_overlaps()?;
        normalise(&installed)?;
        let packages = Tree::from_folder(&installed).map_err(cannot_pack)?;
        for entry in packages.iter() {
            let Some(path) = entry.path() else { continue };
            tree.add_file(entry.name(), entry.executable(), path)
                .map_err(|error| clash(error, entry.name(), &own, &owners))?;
            dependencies.insert(entry.name().to_owned());
        }
        tools.insert("uv".to_owned(), Tool::Uv.version().to_owned());
    }
    Ok(Made { tree, dependencies, tools })
}

/// Lists one source's files: name in the artifact, project-relative path, executable.
fn files_of(settings: &FunctionSettings, source: &Source, path: &str) -> Result<Vec<(String, String, bool)>> {
    let place = settings.folder.join(path);
    let top = name_in_artifact(path).unwrap_or(path);
    let mut found = Vec::new();
    for (file, content) in &source.inputs.files {
        let Ok(below) = Path::new(file).strip_prefix(&place) else { continue };
        let below = below.to_string_lossy();
        if below.ends_with(".pyc") || below.split('/').any(|part| part == "__pycache__") {
            continue;
        }
        let name = if below.is_empty() { top.to_owned() } else { format!("{top}/{below}") };
        found.push((name, file.clone(), content.executable));
    }
    if found.is_empty() {
        return Err(Failure::usage(format!(
            "`sources` in {}/function.toml names `{path}`, and there is no file that git knows of",
            settings.folder.display()
        ))
        .unchanged("Nothing was built.")
        .hint("check the path, and that git does not ignore it: git check-ignore --verbose <path>"));
    }
    Ok(found)
}

/// Refuses a link that leads out of the function's folder: what lies there is no input, so it would change unseen.
fn plain(root: &Path, folder: &Path, path: &str) -> Result<()> {
    let full = root.join(path);
    let metadata = full.symlink_metadata().map_err(|error| failure::io("read", &full, error))?;
    if !metadata.is_symlink() {
        return Ok(());
    }
    let target = full.canonicalize().map_err(|error| failure::io("follow the link", &full, error))?;
    let folder = root.join(folder);
    let folder = folder.canonicalize().map_err(|error| failure::io("read", &folder, error))?;
    if target.starts_with(&folder) && target.is_file() {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "{path} is a link to {}, which is no file of the function's folder",
        target.display()
    ))
    .unchanged("Nothing was built.")
    .hint("replace the link by what it points to"))
}

/// Takes away what differs by machine.
fn normalise(installed: &Path) -> Result<()> {
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
        if name.ends_with(".pyc") || (of_distribution && NOTES.contains(&name.as_ref())) {
            found.push(entry.into_path());
        }
    }
    found.iter().try_for_each(|path| remove(path))
}

/// Which distributions bring which files, as their RECORD says.
#[derive(Default)]
struct Owners {
    /// Name in the artifact -> distribution and digest of the content.
    files: BTreeMap<String, Vec<(String, String)>>,
}

impl Owners {
    fn read(installed: &Path) -> Result<Self> {
        let mut owners = Self::default();
        let entries = installed.read_dir().map_err(|error| failure::io("read", installed, error))?;
        let mut folders: Vec<std::ffi::OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
        folders.sort();
        for name in folders {
            let folder = name.to_string_lossy();
            let Some(distribution) = folder.strip_suffix(".dist-info") else { continue };
            let distribution = distribution.replacen('-', " ", 1);
            let record = installed.join(&name).join("RECORD");
            // CSV without a header: path, hash, size.
            let rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_path(&record);
            let Ok(mut rows) = rows else { continue };
            for row in rows.byte_records() {
                let row = row.map_err(|error| {
                    Failure::failed(format!("cannot read {}", record.display())).caused_by(error)
                })?;
                let field = |at| row.get(at).map(String::from_utf8_lossy);
                let (Some(path), Some(hash)) = (field(0), field(1)) else { continue };
                if path.starts_with("..") || path.starts_with("bin/") || path.ends_with(".pyc") {
                    continue;
                }
                owners
                    .files
                    .entry(path.into_owned())
                    .or_default()
                    .push((distribution.clone(), hash.into_owned()));
            }
        }
        Ok(owners)
    }

    /// Refuses two distributions that bring one file with two contents: which one is left would be chance.
    fn refuse_overlaps(&self) -> Result<()> {
        for (file, brought) in &self.files {
            if let [first, rest @ ..] = brought.as_slice()
                && let Some(other) = rest.iter().find(|other| other.1 != first.1)
            {
                return Err(Failure::usage(format!("{} and {} both bring `{file}`", first.0, other.0))
                    .unchanged("Nothing was built.")
                    .hint(
                        "they cannot be installed side by side: leave one of them out of the requirements",
                    ));
            }
        }
        Ok(())
    }

    fn of(&self, file: &str) -> String {
        let brought = self.files.get(file).and_then(|brought| brought.first());
        brought.map_or_else(|| "a package of the lock".to_owned(), |(distribution, _)| distribution.clone())
    }
}

fn cannot_pack(error: Error) -> Failure {
    Failure::failed("the function's files cannot be packed").caused_by(error).unchanged("Nothing was built.")
}

/// Names both sides where a dependency wants a source's place.
fn clash(error: Error, name: &str, own: &BTreeMap<String, String>, owners: &Owners) -> Failure {
    let other = match &error {
        Error::Duplicate { .. } => own.get(name),
        Error::FileIsFolder { file, below } => own.get(file).or_else(|| own.get(below)),
        _ => None,
    };
    let Some(other) = other else { return cannot_pack(error) };
    Failure::usage(format!("the source {other} and {} both bring `{name}`", owners.of(name)))
        .unchanged("Nothing was built.")
        .hint("rename the source's package: one of the two could not be imported")
}

#[cfg(test)]
mod tests;

//! The proof that bytes depend on the source alone: a function built twice, in two folders, with two CARGO_HOMEs.
//!
//! In: the work tree as it is, with what is not committed. Out: both artifacts and how they differ. Goes wrong: whatever
//! a build does. Each build begins with nothing compiled, in a copy of the repository far from this one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::difference::Content;
use super::{Artifact, Difference, Workshop, build, folder};
use crate::digest::Digest;
use crate::failure::{self, Result};
use crate::name::FunctionName;
use crate::settings::{ProcessEnvironment, Project};
use crate::source::{Repository, Source};

/// What building twice came to.
pub(crate) struct Twice {
    /// The digests of both.
    pub(crate) sha256: [Digest; 2],
    /// How their contents differ.
    pub(crate) difference: Difference,
}

impl Twice {
    /// Tells whether both are the same bytes.
    pub(crate) fn same(&self) -> bool {
        self.sha256[0] == self.sha256[1]
    }
}

/// Builds a function in two copies of the work tree.
pub(crate) async fn build_twice(workshop: &Workshop<'_>, function: &FunctionName) -> Result<Twice> {
    let commit = workshop.repository.checkout()?.commit;
    let home = cargo_home(workshop.process_env);
    // Names of different length, so that a path in the bytes moves everything behind it.
    let places = [place("slipway-first-")?, place("slipway-in-another-folder-")?];
    let mut built = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let process_env = match (index, &home) {
            (1, Some(home)) => {
                let other = place.path().join("cargo-home");
                lend(home, &other)?;
                workshop.process_env.with_variable("CARGO_HOME", other.display().to_string())
            }
            _ => workshop.process_env.clone(),
        };
        let root = workshop.repository.replicate(&commit, &place.path().join("source"))?;
        workshop.repository.carry_changes(&root)?;
        built.push(build_in(workshop, &root, &process_env, function).await?);
    }
    let contents = built
        .iter()
        .map(|elsewhere: &Elsewhere| elsewhere.content(function, &BTreeMap::new()))
        .collect::<Result<Vec<_>>>()?;
    let [(first, first_content), (second, second_content)] = &contents[..] else {
        return Err(failure::Failure::defect("two builds gave another number of artifacts"));
    };
    Ok(Twice { sha256: [*first, *second], difference: Difference::between(first_content, second_content)? })
}

/// A function built in another folder.
pub(crate) struct Elsewhere {
    /// What was built.
    pub(crate) artifact: Artifact,
    project: Project,
    folder: PathBuf,
}

impl Elsewhere {
    /// Returns the digest and what is compared; `labels` are an image's.
    pub(crate) fn content(
        &self,
        function: &FunctionName,
        labels: &BTreeMap<String, String>,
    ) -> Result<(Digest, Content)> {
        content(&self.project, function, &self.artifact, &self.folder, labels)
    }
}

/// Returns an artifact's digest and what is compared of it.
pub(crate) fn content(
    project: &Project,
    function: &FunctionName,
    artifact: &Artifact,
    folder: &Path,
    labels: &BTreeMap<String, String>,
) -> Result<(Digest, Content)> {
    Ok(match super::image(project, function, artifact, folder, labels)? {
        Some(image) => (image.digest, Content::Image(image.manifest)),
        None => (artifact.sha256, Content::Zip(artifact.path(folder))),
    })
}

/// Builds a function of the project in another folder.
pub(crate) async fn build_in(
    workshop: &Workshop<'_>,
    root: &Path,
    process_env: &ProcessEnvironment,
    function: &FunctionName,
) -> Result<Elsewhere> {
    let project = Project::load(root)?;
    let repository = Repository::open(&project.root)?;
    let source = Source::look(&project, &repository, function)?;
    lend_bases(workshop.project, &project)?;
    let there = Workshop { project: &project, process_env, repository: &repository, ..*workshop };
    let artifact = build(&there, function, &source, true).await?;
    let folder = folder(&project, function, &source.inputs_digest);
    Ok(Elsewhere { artifact, folder, project })
}

/// Lets another project use the bases that were fetched for this one: they are the same bytes wherever they lie.
fn lend_bases(from: &Project, to: &Project) -> Result<()> {
    let (from, to) = (super::image::bases(from), super::image::bases(to));
    if !from.is_dir() {
        return Ok(());
    }
    let parent = to.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)
        .and_then(|()| std::os::unix::fs::symlink(&from, &to))
        .map_err(|error| failure::io("link", &to, error))
}

fn place(prefix: &str) -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir()
        .map_err(|error| failure::io("create", &std::env::temp_dir(), error))
}

fn cargo_home(process_env: &ProcessEnvironment) -> Option<PathBuf> {
    process_env
        .get("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| process_env.get("HOME").map(|home| Path::new(home).join(".cargo")))
        .filter(|home| home.is_dir())
}

/// Makes a CARGO_HOME that has downloaded what another one has, and unpacks and compiles all of it anew.
fn lend(from: &Path, to: &Path) -> Result<()> {
    for part in ["registry/index", "registry/cache", "git/db", "config.toml", "credentials.toml"] {
        let (from, to) = (from.join(part), to.join(part));
        if from.exists() {
            let parent = to.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(parent).map_err(|error| failure::io("create", parent, error))?;
            std::os::unix::fs::symlink(&from, &to).map_err(|error| failure::io("link", &to, error))?;
        }
    }
    Ok(())
}

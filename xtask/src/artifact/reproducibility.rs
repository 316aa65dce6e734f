//! Reproducible builds: the same source gives the same bytes, whatever folder and CARGO_HOME it is built in.
//!
//! In: the work tree with changes that are not committed, or a commit that is checked out elsewhere. Out: the digests of
//! both builds and how their contents differ. Goes wrong: a build fails. Each build starts with nothing compiled, in a copy
//! of the repository in another folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::difference::ArtifactContent;
use super::{Artifact, BuildContext, Difference, build, cache_folder};
use crate::digest::Digest;
use crate::failure::{self, Failure, Result};
use crate::name::FunctionName;
use crate::settings::{ProcessEnvironment, Project};
use crate::source::{Repository, Source};

/// Two builds of the same source.
pub(crate) struct TwoBuilds {
    /// The digests of both.
    pub(crate) sha256: [Digest; 2],
    /// How their contents differ.
    pub(crate) difference: Difference,
}

impl TwoBuilds {
    /// Returns whether both are the same bytes.
    pub(crate) fn are_identical(&self) -> bool {
        self.sha256[0] == self.sha256[1]
    }
}

/// Builds a function in two copies of the work tree, the second with a CARGO_HOME of its own.
pub(crate) async fn build_twice(context: &BuildContext<'_>, function: &FunctionName) -> Result<TwoBuilds> {
    let commit = context.repository.head()?.commit;
    let home = context.process_env.cargo_home().filter(|home| home.is_dir());
    // Names of different length, so that a path in the bytes moves everything behind it.
    let folders = [temporary_folder("slipway-first-")?, temporary_folder("slipway-in-another-folder-")?];
    let mut built = Vec::new();
    for (index, folder) in folders.iter().enumerate() {
        let process_env = match (index, &home) {
            (1, Some(home)) => {
                let other = folder.path().join("cargo-home");
                share_cargo_downloads(home, &other)?;
                context.process_env.with_variable("CARGO_HOME", other.display().to_string())
            }
            _ => context.process_env.clone(),
        };
        let root = context.repository.check_out_copy(&commit, &folder.path().join("source"))?;
        context.repository.copy_changes_to(&root)?;
        built.push(build_replica(context, &root, &process_env, function).await?);
    }
    let contents = built
        .iter()
        .map(|replica: &ReplicaBuild| replica.content(function, &BTreeMap::new()))
        .collect::<Result<Vec<_>>>()?;
    let [(first, first_content), (second, second_content)] = &contents[..] else {
        return Err(Failure::defect("two builds gave another number of artifacts"));
    };
    Ok(TwoBuilds {
        sha256: [*first, *second],
        difference: Difference::between(first_content, second_content)?,
    })
}

/// A function built in a copy of the repository.
pub(crate) struct ReplicaBuild {
    /// The artifact.
    pub(crate) artifact: Artifact,
    project: Project,
    folder: PathBuf,
}

impl ReplicaBuild {
    /// Returns the digest and the content to compare; `labels` are an image's.
    pub(crate) fn content(
        &self,
        function: &FunctionName,
        labels: &BTreeMap<String, String>,
    ) -> Result<(Digest, ArtifactContent)> {
        content(&self.project, function, &self.artifact, &self.folder, labels)
    }
}

/// Returns an artifact's digest and the content to compare; `labels` are an image's.
pub(crate) fn content(
    project: &Project,
    function: &FunctionName,
    artifact: &Artifact,
    folder: &Path,
    labels: &BTreeMap<String, String>,
) -> Result<(Digest, ArtifactContent)> {
    Ok(match super::image_with_labels(project, function, artifact, folder, labels)? {
        Some(image) => (image.digest, ArtifactContent::Image(image.manifest)),
        None => (artifact.sha256, ArtifactContent::Zip(artifact.path(folder))),
    })
}

/// Builds a function of a copy of the project; `root` is the project's folder in the copy.
pub(crate) async fn build_replica(
    context: &BuildContext<'_>,
    root: &Path,
    process_env: &ProcessEnvironment,
    function: &FunctionName,
) -> Result<ReplicaBuild> {
    let project = Project::load(root)?;
    let repository = Repository::open(&project.root)?;
    let source = Source::read(&project, process_env, &repository, function)?;
    share_base_images(context.project, &project)?;
    let replica = BuildContext { project: &project, process_env, repository: &repository, ..*context };
    let artifact = build(&replica, function, &source, true).await?;
    let folder = cache_folder(&project, function, &source.inputs_digest);
    Ok(ReplicaBuild { artifact, folder, project })
}

/// Lets a copy of the project use the base images that were downloaded for this one: their digests name their bytes.
fn share_base_images(from: &Project, to: &Project) -> Result<()> {
    let (from, to) = (super::image::base_images(from), super::image::base_images(to));
    if !from.is_dir() {
        return Ok(());
    }
    let parent = to.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)
        .and_then(|()| std::os::unix::fs::symlink(&from, &to))
        .map_err(|error| failure::io("link", &to, error))
}

fn temporary_folder(prefix: &str) -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir()
        .map_err(|error| failure::io("create", &std::env::temp_dir(), error))
}

/// Makes a CARGO_HOME with the downloads of another one; cargo unpacks and compiles all of them again.
fn share_cargo_downloads(from: &Path, to: &Path) -> Result<()> {
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

//! Git tags of releases, `<function>-v<version>`. The catalogue decides which versions exist; tags only mirror it.

use super::catalogue::Catalogue;
use super::manifest::Manifest;
use crate::failure::Result;
use crate::name::FunctionName;
use crate::source::Repository;

/// The tags of the releases in a catalogue, after missing ones were written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ReleaseTags {
    /// All that exist now.
    pub(crate) present: Vec<String>,
    /// Those of them that are new.
    pub(crate) written: Vec<String>,
    /// Those that could not be written: their commits are not in this clone, or another commit has the tag.
    pub(crate) left_out: Vec<String>,
}

/// Returns the prefix of a function's release tags.
pub(super) fn prefix(function: &FunctionName) -> String {
    format!("{function}-v")
}

/// Writes the tag of a release at its commit; returns the tag's name, and whether it is new.
pub(crate) fn write_tag(repository: &Repository, manifest: &Manifest) -> (String, Result<bool>) {
    let Manifest { function, version, .. } = manifest;
    let name = format!("{}{version}", prefix(function));
    let message = format!("{function} {version}\n\nartifact {}", manifest.artifact.sha256);
    let written = repository.tag(&name, &manifest.source.commit, &message);
    (name, written)
}

/// Writes the missing tags of some functions' releases; releases of a dirty tree have none.
pub(crate) async fn write_missing_tags(
    catalogue: &Catalogue,
    repository: &Repository,
    functions: &[FunctionName],
) -> Result<ReleaseTags> {
    let mut tags = ReleaseTags::default();
    for function in functions {
        let prefix = prefix(function);
        let present = repository.tags(&prefix)?;
        let versions = catalogue.versions(function).await?;
        for version in versions.into_iter().filter(|version| !version.is_dirty()) {
            if present.contains_key(&version.to_string()) {
                tags.present.push(format!("{prefix}{version}"));
                continue;
            }
            let manifest = catalogue.manifest(function, &version).await?;
            match write_tag(repository, &manifest) {
                (name, Ok(_)) => {
                    tags.written.push(name.clone());
                    tags.present.push(name);
                }
                (name, Err(_)) => tags.left_out.push(name),
            }
        }
    }
    Ok(tags)
}

//! Git tags of releases, `<function>-v<version>`. The catalogue decides which versions exist; tags only mirror it.

use std::collections::BTreeMap;

use super::catalogue::Catalogue;
use super::manifest::Manifest;
use crate::failure::{Failure, Result};
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

/// The line of a tag's message that names its project. Tags of earlier versions have none.
const PROJECT_LINE: &str = "project ";

/// Returns the prefix of a function's release tags.
pub(super) fn prefix(catalogue: &Catalogue, function: &FunctionName) -> String {
    format!("{}{function}-v", catalogue.tag_prefix())
}

/// Lists a function's release tags: version -> commit. Tags that name another project of this repository are left out.
pub(super) fn own_tags(
    catalogue: &Catalogue,
    repository: &Repository,
    function: &FunctionName,
) -> Result<BTreeMap<String, String>> {
    let prefix = prefix(catalogue, function);
    let mut tags = repository.tags(&prefix)?;
    if let Some(own) = catalogue.project() {
        tags.retain(|version, _| {
            project_of(repository, &format!("{prefix}{version}")).is_none_or(|name| name == own)
        });
    }
    Ok(tags)
}

/// Returns the project that a tag's message names.
fn project_of(repository: &Repository, tag: &str) -> Option<String> {
    let message = repository.tag_message(tag)?;
    message.lines().find_map(|line| line.strip_prefix(PROJECT_LINE)).map(|name| name.trim().to_owned())
}

/// Writes the tag of a release at its commit; returns the tag's name, and whether it is new. A tag of another project is
/// refused.
pub(crate) fn write_tag(
    catalogue: &Catalogue,
    repository: &Repository,
    manifest: &Manifest,
) -> (String, Result<bool>) {
    let Manifest { function, version, .. } = manifest;
    let name = format!("{}{version}", prefix(catalogue, function));
    let mut message = format!("{function} {version}\n\nartifact {}", manifest.artifact.sha256);
    if let Some(own) = catalogue.project() {
        if let Some(other) = project_of(repository, &name).filter(|other| other != own) {
            let refused = Failure::refused(format!(
                "the tag {name} is one of the project {other}, and this is {own}"
            ))
            .unchanged(
                "The tag was not moved; the catalogue decides which versions exist, tags only mirror it.",
            )
            .hint(format!(
                "tag_prefix = \"{own}/\" in pipelines/project.toml gives this project tags of its own"
            ));
            return (name, Err(refused));
        }
        message.push_str(&format!("\n{PROJECT_LINE}{own}"));
    }
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
        let prefix = prefix(catalogue, function);
        let present = own_tags(catalogue, repository, function)?;
        let versions = catalogue.versions(function).await?;
        for version in versions.into_iter().filter(|version| !version.is_dirty()) {
            if present.contains_key(&version.to_string()) {
                tags.present.push(format!("{prefix}{version}"));
                continue;
            }
            let manifest = catalogue.manifest(function, &version).await?;
            match write_tag(catalogue, repository, &manifest) {
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

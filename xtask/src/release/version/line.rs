//! Lines of releases: which release the checked-out history continues, which numbers are free after it, and which releases of
//! other lines it lacks.
//!
//! In: a function's manifests and HEAD's history. A release is in that history if HEAD descends from its commit, or if what the
//! commit changed is there (a squash, a rebase, a cherry-pick). The newest such release is the base of the next version,
//! although another line may have newer ones: a repair of 0.1.0 is 0.1.1 also where 0.3.0 exists. Goes wrong: no number is
//! free between the base and the releases of the other lines.

use std::collections::BTreeMap;

use futures::future::try_join_all;

use super::{VersionBump, bumped, short};
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::{FunctionName, Version};
use crate::release::catalogue::Catalogue;
use crate::release::inputs_record::InputsRecord;
use crate::release::manifest::Manifest;
use crate::source::{Containment, Repository};

/// How many manifests are read at once.
const AT_ONCE: usize = 16;

/// How many releases of other lines are named.
const NAMED: usize = 5;

/// A function's releases, seen from HEAD.
pub(super) struct ReleaseLines {
    /// The highest version of all.
    pub(super) newest: Manifest,
    /// Whether HEAD's history has the highest version.
    pub(super) newest_containment: Containment,
    /// The highest version that is in HEAD's history.
    pub(super) base: Option<Base>,
    /// Lower versions that are not in it, newest first: repairs of earlier lines that were not brought here.
    pub(super) lacking: Vec<Manifest>,
    /// All versions, those of dirty trees left out.
    versions: Vec<Version>,
}

/// The release that a history continues.
pub(super) struct Base {
    /// Its manifest.
    pub(super) manifest: Manifest,
    /// The commits after this one are not in the release.
    pub(super) since: String,
    /// How it came into this history, where not by its own commit.
    pub(super) how: Option<String>,
}

impl ReleaseLines {
    /// Finds the base of the next version, and what HEAD lacks.
    pub(super) async fn read(
        catalogue: &Catalogue,
        repository: &Repository,
        function: &FunctionName,
        paths: &[String],
        newest: Manifest,
    ) -> Result<Self> {
        let mut versions = catalogue.versions(function).await?;
        versions.retain(|version| !version.is_dirty());
        let newest_containment = repository.head_contains(&newest.source.commit, paths)?;
        let mut base = Base::of(&newest, &newest_containment);
        if base.is_none() {
            let older: Vec<&Version> = versions.iter().filter(|known| **known < newest.version).collect();
            'search: for some in older.chunks(AT_ONCE) {
                for manifest in manifests(catalogue, function, some).await? {
                    base = Base::of(&manifest, &repository.head_contains(&manifest.source.commit, paths)?);
                    if base.is_some() {
                        break 'search;
                    }
                }
            }
        }
        let lacking = match &base {
            Some(base) => lacking(catalogue, repository, function, paths, base, &versions).await?,
            None => Vec::new(),
        };
        Ok(Self { newest, newest_containment, base, lacking, versions })
    }

    /// Returns whether the commit of the highest version is not in this clone, so that nothing can be said of its changes.
    pub(super) fn newest_is_missing(&self) -> bool {
        self.newest_containment == Containment::Missing
    }

    /// Returns the version after the base that no release has: the next patch number that is free, or the next minor or
    /// major number if no release of another line has begun it.
    pub(super) fn free_version(
        &self,
        function: &FunctionName,
        base: &Version,
        bump: VersionBump,
    ) -> Result<Version> {
        let mut next = bumped(base, bump);
        if bump == VersionBump::Patch {
            while self.versions.contains(&next) {
                next = bumped(&next, VersionBump::Patch);
            }
            return Ok(next);
        }
        let begun = |version: &&Version| {
            let ((major, minor, _), (next_major, next_minor, _)) = (version.numbers(), next.numbers());
            *version > base && major == next_major && (bump == VersionBump::Major || minor == next_minor)
        };
        let Some(taken) = self.versions.iter().find(begun) else { return Ok(next) };
        let level = if bump == VersionBump::Minor { "minor" } else { "major" };
        let free = bumped(&self.newest.version, bump);
        let newest = &self.newest.source.commit;
        let first = match self.newest_is_missing() {
            true => {
                format!("fetch its commit, which may be merged here by a squash: git fetch origin {newest}")
            }
            false => format!("merge or rebase onto the commit of {}", self.newest.version),
        };
        Err(Failure::refused(format!(
            "`{function}` needs a new {level} version after {base}, and {taken} is a release that is not in this history"
        ))
        .detail("newest here", base.to_string())
        .detail("newest of all", format!("{} at commit {}", self.newest.version, short(newest)))
        .unchanged("Nothing was built or published.")
        .hint(format!("{first}; or name the version: cargo xtask release {function} --version {free}")))
    }
}

impl Base {
    /// Returns a release as base if HEAD's history has it.
    fn of(manifest: &Manifest, containment: &Containment) -> Option<Self> {
        let base = |since: &String, how| Some(Self { manifest: manifest.clone(), since: since.clone(), how });
        match containment {
            Containment::Ancestor => base(&manifest.source.commit, None),
            Containment::Equivalent { commit } => {
                base(commit, Some(format!("which is here as commit {}", short(commit))))
            }
            Containment::Merged { base: since } => {
                base(since, Some(format!("whose changes are here; counted since commit {}", short(since))))
            }
            Containment::Absent { .. } | Containment::Missing => None,
        }
    }
}

/// Returns the release of the same inputs with the highest version, where there is one.
pub(super) async fn with_inputs(
    catalogue: &Catalogue,
    function: &FunctionName,
    inputs: &Digest,
) -> Result<Option<Manifest>> {
    // Each release stores this record before its manifest, so that without it there is nothing to look for.
    if !InputsRecord::exists(catalogue, inputs).await? {
        return Ok(None);
    }
    let mut versions = catalogue.versions(function).await?;
    versions.retain(|version| !version.is_dirty());
    for some in versions.iter().collect::<Vec<_>>().chunks(AT_ONCE) {
        let found = manifests(catalogue, function, some).await?.into_iter();
        if let Some(same) = found.into_iter().find(|manifest| manifest.source.inputs_digest == *inputs) {
            return Ok(Some(same));
        }
    }
    Ok(None)
}

/// Says that a release of another line is not in this history.
pub(super) fn lacking_note(manifest: &Manifest) -> String {
    let Manifest { version, source, .. } = manifest;
    format!(
        "{version}'s commit {} is not in this history: what it repaired is missing here unless it was done again",
        short(&source.commit)
    )
}

/// Lists the releases below the base that are not in HEAD's history, newest first.
///
/// Of each minor line the highest version is looked at, and then the next one as long as they are missing. A commit that this
/// clone does not have counts only if its release is later than the base: after a history was rewritten, no old one is here.
async fn lacking(
    catalogue: &Catalogue,
    repository: &Repository,
    function: &FunctionName,
    paths: &[String],
    base: &Base,
    versions: &[Version],
) -> Result<Vec<Manifest>> {
    let mut lines: BTreeMap<(u64, u64), Vec<&Version>> = BTreeMap::new();
    for version in versions.iter().filter(|version| **version < base.manifest.version) {
        let (major, minor, _) = version.numbers();
        lines.entry((major, minor)).or_default().push(version);
    }
    let mut open: Vec<Vec<&Version>> = lines.into_values().rev().collect();
    let mut lacking = Vec::new();
    while !open.is_empty() && lacking.len() < NAMED {
        let mut next = Vec::new();
        for some in open.chunks(AT_ONCE) {
            let heads: Vec<&Version> = some.iter().filter_map(|line| line.first().copied()).collect();
            for (manifest, line) in manifests(catalogue, function, &heads).await?.into_iter().zip(some) {
                let is_absent = match repository.head_contains(&manifest.source.commit, paths)? {
                    Containment::Absent { .. } => true,
                    Containment::Missing => manifest.built.at > base.manifest.built.at,
                    _ => false,
                };
                if is_absent {
                    next.extend((line.len() > 1).then(|| line[1..].to_vec()));
                    lacking.push(manifest);
                }
            }
        }
        open = next;
    }
    lacking.sort_by(|a, b| b.version.cmp(&a.version));
    lacking.truncate(NAMED);
    Ok(lacking)
}

/// Reads some releases' manifests side by side, in the order of their versions. Each version was listed, so that one
/// whose manifest is gone is an error.
async fn manifests(
    catalogue: &Catalogue,
    function: &FunctionName,
    versions: &[&Version],
) -> Result<Vec<Manifest>> {
    try_join_all(versions.iter().map(|version| catalogue.manifest(function, version))).await
}

//! The next version of a function: as requested, by a bump, or from the Conventional Commits that changed the inputs.

mod commits;
mod line;

use self::commits::{ChangeLevel, ChangeSummary, summarise};
use self::line::ReleaseLines;
use super::catalogue::Catalogue;
use super::manifest::Manifest;
use super::tags;
use crate::failure::{Failure, Result};
use crate::format::plural;
use crate::name::{FunctionName, Version};
use crate::settings::FunctionSettings;
use crate::source::{Containment, Repository, Source};

/// The number of a version that is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum VersionBump {
    /// 1.4.2 -> 1.4.3.
    Patch,
    /// 1.4.2 -> 1.5.0.
    Minor,
    /// 1.4.2 -> 2.0.0.
    Major,
}

/// The options of the command line that decide the version.
#[derive(Debug, Clone, Default)]
pub(crate) struct VersionRequest {
    /// Exactly this version.
    pub(crate) version: Option<Version>,
    /// The newest version with this number raised.
    pub(crate) bump: Option<VersionBump>,
    /// A new version even if the inputs are unchanged.
    pub(crate) force: bool,
}

/// The version to release.
#[derive(Debug, Clone)]
pub(crate) enum VersionChoice {
    /// An existing release with the same inputs.
    Reuse {
        /// Its manifest.
        manifest: Box<Manifest>,
        /// The newest release, where that is another one.
        newest: Option<Version>,
    },
    /// A new version.
    New {
        /// The version.
        version: Version,
        /// Why it is this one, such as `1 change since 0.1.0`.
        reason: String,
        /// Whether exactly this version was requested.
        exact: bool,
        /// What else the author should know: releases of other lines that are not in this history.
        notes: Vec<String>,
    },
}

impl VersionChoice {
    /// Returns whether a new version is to be released.
    pub(crate) fn is_new(&self) -> bool {
        matches!(self, Self::New { .. })
    }
}

/// Chooses between an existing release and the next version.
pub(crate) async fn choose_version(
    catalogue: &Catalogue,
    repository: &Repository,
    function: &FunctionName,
    settings: &FunctionSettings,
    source: &Source,
    request: &VersionRequest,
) -> Result<VersionChoice> {
    if let Some(version) = &request.version {
        return requested_version(catalogue, function, source, version).await;
    }
    let newest = catalogue.newest(function).await?;
    if !request.force && request.bump.is_none() {
        if let Some(newest) = &newest
            && newest.source.inputs_digest == source.inputs_digest
        {
            return Ok(VersionChoice::Reuse { manifest: Box::new(newest.clone()), newest: None });
        }
        if let Some(newest) = &newest
            && let Some(same) = line::with_inputs(catalogue, function, &source.inputs_digest).await?
        {
            let newest = Some(newest.version.clone());
            return Ok(VersionChoice::Reuse { manifest: Box::new(same), newest });
        }
    }
    let context = VersionContext { catalogue, repository, function, settings, source };
    let next = context.next(newest, request.bump).await?;
    if !source.dirty {
        let NextVersion { version, reason, notes } = next;
        return Ok(VersionChoice::New { version, reason, exact: false, notes });
    }
    let version = next.version.dirty(&source.inputs_digest);
    match catalogue.find(function, &version).await? {
        Some(same) if same.source.inputs_digest == source.inputs_digest => {
            Ok(VersionChoice::Reuse { manifest: Box::new(same), newest: None })
        }
        _ => Ok(VersionChoice::New {
            version,
            reason: format!("{}, with changes that are not committed", next.reason),
            exact: false,
            notes: next.notes,
        }),
    }
}

async fn requested_version(
    catalogue: &Catalogue,
    function: &FunctionName,
    source: &Source,
    version: &Version,
) -> Result<VersionChoice> {
    if let Some(existing) = catalogue.find(function, version).await?
        && existing.source.inputs_digest == source.inputs_digest
    {
        return Ok(VersionChoice::Reuse { manifest: Box::new(existing), newest: None });
    }
    if source.dirty {
        return Err(Failure::refused(format!("`{function}` {version} would be a release that no commit can rebuild: the function's inputs have changes that are not committed"))
            .unchanged("Nothing was built or published.")
            .hint(format!("commit first, or leave out --version: the release is then named {}", version.dirty(&source.inputs_digest))));
    }
    let (reason, notes) = ("requested".into(), Vec::new());
    Ok(VersionChoice::New { version: version.clone(), reason, exact: true, notes })
}

/// The next version, why it is this one, and what else the author should know.
struct NextVersion {
    version: Version,
    reason: String,
    notes: Vec<String>,
}

/// What the next version of a function is chosen from.
struct VersionContext<'a> {
    catalogue: &'a Catalogue,
    repository: &'a Repository,
    function: &'a FunctionName,
    settings: &'a FunctionSettings,
    source: &'a Source,
}

impl VersionContext<'_> {
    /// Returns the version after the newest release that HEAD has, or after the newest tag.
    async fn next(&self, newest: Option<Manifest>, bump: Option<VersionBump>) -> Result<NextVersion> {
        let Some(newest) = newest else { return self.after_tag(bump) };
        if !self.repository.head_descends_from(&newest.source.commit)? {
            refuse_shallow(self.repository, self.function, &newest.source.commit)?;
        }
        let paths = &self.source.inputs.paths;
        let lines = ReleaseLines::read(self.catalogue, self.repository, self.function, paths, newest).await?;
        let Some(base) = &lines.base else { return self.after_unrelated(&lines, bump) };
        let summary = summarise(&self.repository.changes(Some(&base.since), paths)?);
        let version = &base.manifest.version;
        let level = bump.or(bump_for(&summary, version)).unwrap_or(VersionBump::Patch);
        let next = match self.source.dirty {
            // It names the inputs as well, so it never is that of another release.
            true => bumped(version, level),
            false => lines.free_version(self.function, version, level)?,
        };
        let mut reason = reason(&summary, version, bump.is_some());
        if let Some(how) = &base.how {
            reason = format!("{reason} ({how})");
        }
        if lines.newest.version != *version {
            let place = if lines.newest_is_missing() { "clone" } else { "history" };
            reason = format!("{reason}, as {} is not in this {place}", lines.newest.version);
        }
        let notes = lines.lacking.iter().map(line::lacking_note).collect();
        Ok(NextVersion { version: next, reason, notes })
    }

    /// Continues the newest release's number although HEAD has no release: neither its commit nor another one's.
    fn after_unrelated(&self, lines: &ReleaseLines, bump: Option<VersionBump>) -> Result<NextVersion> {
        let version = &lines.newest.version;
        let reason = match &lines.newest_containment {
            Containment::Absent { base: Some(base) } => {
                let changes = self.repository.changes(Some(base), &self.source.inputs.paths)?;
                let summary = summarise(&changes);
                let level = bump.or(bump_for(&summary, version)).unwrap_or(VersionBump::Patch);
                return Ok(NextVersion {
                    version: bumped(version, level),
                    reason: format!(
                        "{} since the branch of {version} began; {version} itself is not in this history",
                        plural(summary.commits, "change")
                    ),
                    notes: Vec::new(),
                });
            }
            // The history was rewritten: the catalogue's number still counts, its commit does not.
            _ => format!("changed since {version} (its commit is no longer in the history)"),
        };
        let version = bumped(version, bump.unwrap_or(VersionBump::Patch));
        Ok(NextVersion { version, reason, notes: Vec::new() })
    }

    /// Returns the version after the highest release tag that HEAD descends from, or the first version.
    fn after_tag(&self, bump: Option<VersionBump>) -> Result<NextVersion> {
        let next = |version, reason| Ok(NextVersion { version, reason, notes: Vec::new() });
        let Some((version, commit)) = newest_tag(self.catalogue, self.repository, self.function)? else {
            return next(self.settings.first_version.clone(), "first release".into());
        };
        let changes = self.repository.changes(Some(&commit), &self.source.inputs.paths)?;
        if changes.is_empty() && bump.is_none() && !self.source.dirty {
            let tag = format!("{}{version}", tags::prefix(self.catalogue, self.function));
            return next(version, format!("as tagged {tag}"));
        }
        let summary = summarise(&changes);
        let level = bump.or(bump_for(&summary, &version)).unwrap_or(VersionBump::Patch);
        next(bumped(&version, level), reason(&summary, &version, bump.is_some()))
    }
}

/// Explains a version: `2 changes since 0.1.0`, and how many of the commits say no type, unless `--bump` decides.
fn reason(summary: &ChangeSummary, version: &Version, is_requested: bool) -> String {
    let since = match summary.commits {
        0 => "changed inputs".to_owned(),
        count => plural(count, "change"),
    };
    let untyped = match (summary.untyped, summary.commits) {
        _ if is_requested => String::new(),
        (0, _) => String::new(),
        (1, 1) => " that says no type".to_owned(),
        (untyped, all) if untyped == all => format!(", all {untyped} say no type"),
        (1, _) => ", 1 says no type".to_owned(),
        (untyped, _) => format!(", {untyped} say no type"),
    };
    format!("{since} since {version}{untyped}")
}

/// Returns the highest release tag that HEAD descends from.
fn newest_tag(
    catalogue: &Catalogue,
    repository: &Repository,
    function: &FunctionName,
) -> Result<Option<(Version, String)>> {
    let tags = tags::own_tags(catalogue, repository, function)?;
    let mut versions: Vec<(Version, String)> =
        tags.into_iter().filter_map(|(name, commit)| Some((name.parse().ok()?, commit))).collect();
    versions.sort();
    for (version, commit) in versions.into_iter().rev() {
        if repository.head_descends_from(&commit)? {
            return Ok(Some((version, commit)));
        }
    }
    Ok(None)
}

fn refuse_shallow(repository: &Repository, function: &FunctionName, commit: &str) -> Result<()> {
    if !repository.is_shallow() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "this is a shallow clone, and the commit of `{function}`'s newest release, {}, is not in it",
        short(commit)
    ))
    .unchanged("Nothing was built or published.")
    .hint("git fetch --unshallow (in GitHub Actions: fetch-depth: 0), or name the version with --version"))
}

/// Returns the bump that commits require, where one of them says its type.
fn bump_for(summary: &ChangeSummary, version: &Version) -> Option<VersionBump> {
    // Before 1.0.0 a breaking change raises the minor number: https://semver.org/#spec-item-4
    Some(match (summary.level?, version.numbers().0) {
        (ChangeLevel::Breaking, 0) | (ChangeLevel::Feature, _) => VersionBump::Minor,
        (ChangeLevel::Breaking, _) => VersionBump::Major,
        (ChangeLevel::Other, _) => VersionBump::Patch,
    })
}

/// Returns the first hex digits of a commit's id.
fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// Returns a version with a number raised; a pre-release becomes its release.
pub(super) fn bumped(version: &Version, bump: VersionBump) -> Version {
    let (major, minor, patch) = version.numbers();
    if !version.is_release() {
        return Version::new(major, minor, patch);
    }
    match bump {
        VersionBump::Major => Version::new(major + 1, 0, 0),
        VersionBump::Minor => Version::new(major, minor + 1, 0),
        VersionBump::Patch => Version::new(major, minor, patch + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conventional_commits_decide_the_bump() {
        let bump = |level, version: &str| {
            let summary = ChangeSummary { commits: 1, untyped: 0, level };
            bump_for(&summary, &version.parse().unwrap())
        };
        assert_eq!(bump(Some(ChangeLevel::Other), "1.0.0"), Some(VersionBump::Patch));
        assert_eq!(bump(Some(ChangeLevel::Feature), "1.0.0"), Some(VersionBump::Minor));
        assert_eq!(bump(Some(ChangeLevel::Feature), "0.3.1"), Some(VersionBump::Minor));
        assert_eq!(bump(Some(ChangeLevel::Breaking), "1.0.0"), Some(VersionBump::Major));
        assert_eq!(bump(Some(ChangeLevel::Breaking), "0.3.1"), Some(VersionBump::Minor));
        assert_eq!(bump(None, "1.0.0"), None);
    }

    #[test]
    fn reason_says_how_many_commits_say_no_type() {
        let reason = |commits, untyped, requested| {
            let summary = ChangeSummary { commits, untyped, level: None };
            reason(&summary, &Version::new(0, 1, 0), requested)
        };
        assert_eq!(reason(0, 0, false), "changed inputs since 0.1.0");
        assert_eq!(reason(1, 0, false), "1 change since 0.1.0");
        assert_eq!(reason(1, 1, false), "1 change since 0.1.0 that says no type");
        assert_eq!(reason(2, 2, false), "2 changes since 0.1.0, all 2 say no type");
        assert_eq!(reason(3, 1, false), "3 changes since 0.1.0, 1 says no type");
        assert_eq!(reason(4, 2, false), "4 changes since 0.1.0, 2 say no type");
        assert_eq!(reason(4, 2, true), "4 changes since 0.1.0");
    }

    #[test]
    fn bump_raises_one_number_and_resets_those_after_it() {
        let next = |version: &str, bump| bumped(&version.parse().unwrap(), bump).to_string();
        assert_eq!(next("1.4.2", VersionBump::Patch), "1.4.3");
        assert_eq!(next("1.4.2", VersionBump::Minor), "1.5.0");
        assert_eq!(next("1.4.2", VersionBump::Major), "2.0.0");
        assert_eq!(next("1.5.0-rc.1", VersionBump::Patch), "1.5.0");
    }
}

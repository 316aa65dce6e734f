//! The next version of a function: as requested, by a bump, or from the Conventional Commits that changed the inputs.

use git_conventional::Commit;

use super::catalogue::Catalogue;
use super::manifest::Manifest;
use super::tags;
use crate::failure::{Failure, Result};
use crate::name::{FunctionName, Version};
use crate::settings::FunctionSettings;
use crate::source::{CommitMessage, Repository, Source};

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
    Reuse(Box<Manifest>),
    /// A new version.
    New {
        /// The version.
        version: Version,
        /// Why it is this one, such as `1 change since 0.1.0`.
        reason: String,
        /// Whether exactly this version was requested.
        exact: bool,
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
    let newest = catalogue.newest(function).await?;
    if let Some(version) = &request.version {
        return requested_version(catalogue, function, source, version).await;
    }
    if let Some(newest) = &newest
        && !request.force
        && request.bump.is_none()
        && newest.source.inputs_digest == source.inputs_digest
    {
        return Ok(VersionChoice::Reuse(Box::new(newest.clone())));
    }
    let (next, reason) = next_version(repository, function, settings, source, newest.as_ref(), request.bump)?;
    if !source.dirty {
        return Ok(VersionChoice::New { version: next, reason, exact: false });
    }
    let version = next.dirty(&source.inputs_digest);
    match catalogue.find(function, &version).await? {
        Some(same) if same.source.inputs_digest == source.inputs_digest => {
            Ok(VersionChoice::Reuse(Box::new(same)))
        }
        _ => Ok(VersionChoice::New {
            version,
            reason: format!("{reason}, with changes that are not committed"),
            exact: false,
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
        return Ok(VersionChoice::Reuse(Box::new(existing)));
    }
    if source.dirty {
        return Err(Failure::refused(format!("`{function}` {version} would be a release that no commit can rebuild: the function's inputs have changes that are not committed"))
            .unchanged("Nothing was built or published.")
            .hint(format!("commit first, or leave out --version: the release is then named {}", version.dirty(&source.inputs_digest))));
    }
    Ok(VersionChoice::New { version: version.clone(), reason: "requested".into(), exact: true })
}

/// Returns the version after the newest release or tag, and the reason for it.
fn next_version(
    repository: &Repository,
    function: &FunctionName,
    settings: &FunctionSettings,
    source: &Source,
    newest: Option<&Manifest>,
    bump: Option<VersionBump>,
) -> Result<(Version, String)> {
    let base = match newest {
        Some(manifest) if repository.head_descends_from(&manifest.source.commit) => {
            Some((manifest.version.clone(), manifest.source.commit.clone()))
        }
        Some(manifest) => {
            refuse_shallow(repository, function, &manifest.source.commit)?;
            // The history was rewritten: the catalogue's number still counts, its commit does not.
            let level = bump.unwrap_or(VersionBump::Patch);
            return Ok((
                bumped(&manifest.version, level),
                format!("changed since {} (its commit is no longer in the history)", manifest.version),
            ));
        }
        None => newest_tag(repository, function)?,
    };
    let Some((version, commit)) = base else {
        return Ok((settings.first_version.clone(), "first release".into()));
    };
    let changes = repository.changes(Some(&commit), &source.inputs.paths)?;
    let bump_of_commits = || commits_bump(&changes, &version);
    let level = bump.or_else(bump_of_commits).unwrap_or(VersionBump::Patch);
    if newest.is_none() && changes.is_empty() && bump.is_none() && !source.dirty {
        return Ok((version.clone(), format!("as tagged {}{version}", tags::prefix(function))));
    }
    let count = match changes.len() {
        0 => "changed inputs".to_owned(),
        count => crate::format::plural(count, "change"),
    };
    Ok((bumped(&version, level), format!("{count} since {version}")))
}

/// Returns the highest release tag that HEAD descends from.
fn newest_tag(repository: &Repository, function: &FunctionName) -> Result<Option<(Version, String)>> {
    let tags = repository.tags(&tags::prefix(function))?;
    let mut versions: Vec<(Version, String)> =
        tags.into_iter().filter_map(|(name, commit)| Some((name.parse().ok()?, commit))).collect();
    versions.sort();
    Ok(versions.into_iter().rev().find(|(_, commit)| repository.head_descends_from(commit)))
}

fn refuse_shallow(repository: &Repository, function: &FunctionName, commit: &str) -> Result<()> {
    if !repository.is_shallow() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "this is a shallow clone, and the commit of `{function}`'s newest release, {}, is not in it",
        &commit[..commit.len().min(7)]
    ))
    .unchanged("Nothing was built or published.")
    .hint("git fetch --unshallow (in GitHub Actions: fetch-depth: 0), or name the version with --version"))
}

/// Returns the largest bump that Conventional Commits among some commits require.
fn commits_bump(commits: &[CommitMessage], version: &Version) -> Option<VersionBump> {
    commits
        .iter()
        .filter_map(|commit| Commit::parse(commit.message.trim()).ok())
        .map(|commit| commit_bump(&commit, version))
        .max()
}

fn commit_bump(commit: &Commit<'_>, version: &Version) -> VersionBump {
    // Before 1.0.0 a breaking change raises the minor number: https://semver.org/#spec-item-4
    match (commit.breaking(), version.numbers().0) {
        (true, 0) => VersionBump::Minor,
        (true, _) => VersionBump::Major,
        (false, _) if commit.type_() == git_conventional::Type::FEAT => VersionBump::Minor,
        (false, _) => VersionBump::Patch,
    }
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

    fn bump_for(messages: &[&str], version: &str) -> Option<VersionBump> {
        let commits: Vec<CommitMessage> = messages
            .iter()
            .map(|message| CommitMessage { commit: String::new(), message: (*message).to_owned() })
            .collect();
        commits_bump(&commits, &version.parse().unwrap())
    }

    #[test]
    fn conventional_commits_decide_the_bump() {
        assert_eq!(bump_for(&["fix: a"], "1.0.0"), Some(VersionBump::Patch));
        assert_eq!(bump_for(&["fix: a", "feat(hello): b\n"], "1.0.0"), Some(VersionBump::Minor));
        assert_eq!(bump_for(&["feat!: a"], "1.0.0"), Some(VersionBump::Major));
        assert_eq!(bump_for(&["refactor: a\n\nBREAKING CHANGE: b"], "1.0.0"), Some(VersionBump::Major));
        assert_eq!(bump_for(&["feat!: a"], "0.3.1"), Some(VersionBump::Minor));
        assert_eq!(bump_for(&["update things"], "1.0.0"), None);
        assert_eq!(bump_for(&["update things", "chore: tidy"], "1.0.0"), Some(VersionBump::Patch));
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

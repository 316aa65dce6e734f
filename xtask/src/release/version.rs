//! Which version comes next: asked for, bumped, or told by the Conventional Commits that touched the inputs.

use git_conventional::Commit;

use super::catalogue::Catalogue;
use super::manifest::Manifest;
use crate::failure::{Failure, Result};
use crate::name::{FunctionName, Version};
use crate::settings::FunctionSettings;
use crate::source::{Change, Repository, Source};

/// How far a version moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Bump {
    /// 1.4.2 -> 1.4.3.
    Patch,
    /// 1.4.2 -> 1.5.0.
    Minor,
    /// 1.4.2 -> 2.0.0.
    Major,
}

/// What was asked for on the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// Exactly this version.
    pub(crate) version: Option<Version>,
    /// This far from the newest.
    pub(crate) bump: Option<Bump>,
    /// A new release even if the inputs are unchanged.
    pub(crate) force: bool,
}

/// What is to be released.
#[derive(Debug, Clone)]
pub(crate) enum Choice {
    /// A release that exists already has these inputs.
    Reuse(Box<Manifest>),
    /// A new version, and why it is that one.
    New {
        /// The version.
        version: Version,
        /// In words, such as `1 change since 0.1.0`.
        why: String,
        /// Whether exactly this version was asked for.
        asked: bool,
    },
}

/// Returns the prefix of a function's release tags.
pub(crate) fn tag_prefix(function: &FunctionName) -> String {
    format!("{function}-v")
}

/// Chooses between reusing a release and cutting the next version.
pub(crate) async fn choose(
    catalogue: &Catalogue,
    repository: &Repository,
    function: &FunctionName,
    settings: &FunctionSettings,
    source: &Source,
    request: &Request,
) -> Result<Choice> {
    let newest = catalogue.newest(function).await?;
    if let Some(version) = &request.version {
        return asked_for(catalogue, function, source, version).await;
    }
    if let Some(newest) = &newest
        && !request.force
        && request.bump.is_none()
        && newest.source.inputs_digest == source.inputs_digest
    {
        return Ok(Choice::Reuse(Box::new(newest.clone())));
    }
    let (next, why) = next(repository, function, settings, source, newest.as_ref(), request.bump)?;
    if !source.dirty {
        return Ok(Choice::New { version: next, why, asked: false });
    }
    let version = next.dirty(&source.inputs_digest);
    match catalogue.find(function, &version).await? {
        Some(same) if same.source.inputs_digest == source.inputs_digest => Ok(Choice::Reuse(Box::new(same))),
        _ => Ok(Choice::New {
            version,
            why: format!("{why}, with changes that are not committed"),
            asked: false,
        }),
    }
}

async fn asked_for(
    catalogue: &Catalogue,
    function: &FunctionName,
    source: &Source,
    version: &Version,
) -> Result<Choice> {
    if let Some(existing) = catalogue.find(function, version).await?
        && existing.source.inputs_digest == source.inputs_digest
    {
        return Ok(Choice::Reuse(Box::new(existing)));
    }
    if source.dirty {
        return Err(Failure::refused(format!("`{function}` {version} would name bytes that no commit has: the function's inputs have changes that are not committed"))
            .unchanged("Nothing was built or published.")
            .hint(format!("commit first, or leave out --version: the bytes are then named {}", version.dirty(&source.inputs_digest))));
    }
    Ok(Choice::New { version: version.clone(), why: "asked for".into(), asked: true })
}

fn next(
    repository: &Repository,
    function: &FunctionName,
    settings: &FunctionSettings,
    source: &Source,
    newest: Option<&Manifest>,
    bump: Option<Bump>,
) -> Result<(Version, String)> {
    let base = match newest {
        Some(manifest) if repository.reaches(&manifest.source.commit) => {
            Some((manifest.version.clone(), manifest.source.commit.clone()))
        }
        Some(manifest) => {
            refuse_shallow(repository, function, &manifest.source.commit)?;
            // The commit was rewritten away: the catalogue's number still counts, its history does not.
            let level = bump.unwrap_or(Bump::Patch);
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
    let level = bump.or_else(|| level_of(&changes, &version)).unwrap_or(Bump::Patch);
    if newest.is_none() && changes.is_empty() && bump.is_none() && !source.dirty {
        return Ok((version.clone(), format!("as tagged {}{version}", tag_prefix(function))));
    }
    let count = match changes.len() {
        0 => "changed inputs".to_owned(),
        count => crate::format::plural(count, "change"),
    };
    Ok((bumped(&version, level), format!("{count} since {version}")))
}

/// Finds the highest release tag that HEAD descends from.
fn newest_tag(repository: &Repository, function: &FunctionName) -> Result<Option<(Version, String)>> {
    let tags = repository.tags(&tag_prefix(function))?;
    let mut versions: Vec<(Version, String)> =
        tags.into_iter().filter_map(|(name, commit)| Some((name.parse().ok()?, commit))).collect();
    versions.sort();
    Ok(versions.into_iter().rev().find(|(_, commit)| repository.reaches(commit)))
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

/// Returns the largest step that Conventional Commits among the changes ask for.
fn level_of(changes: &[Change], version: &Version) -> Option<Bump> {
    changes
        .iter()
        .filter_map(|change| Commit::parse(change.message.trim()).ok().map(|commit| level(&commit, version)))
        .max()
}

fn level(commit: &Commit<'_>, version: &Version) -> Bump {
    // Before 1.0.0 a breaking change moves the minor number: https://semver.org/#spec-item-4
    match (commit.breaking(), version.numbers().0) {
        (true, 0) => Bump::Minor,
        (true, _) => Bump::Major,
        (false, _) if commit.type_() == git_conventional::Type::FEAT => Bump::Minor,
        (false, _) => Bump::Patch,
    }
}

/// Moves a version; a pre-release first becomes the release that it announces.
pub(super) fn bumped(version: &Version, bump: Bump) -> Version {
    let (major, minor, patch) = version.numbers();
    if !version.is_release() {
        return Version::new(major, minor, patch);
    }
    match bump {
        Bump::Major => Version::new(major + 1, 0, 0),
        Bump::Minor => Version::new(major, minor + 1, 0),
        Bump::Patch => Version::new(major, minor, patch + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level_for(messages: &[&str], version: &str) -> Option<Bump> {
        let changes: Vec<Change> = messages
            .iter()
            .map(|message| Change { commit: String::new(), message: (*message).to_owned() })
            .collect();
        level_of(&changes, &version.parse().unwrap())
    }

    #[test]
    fn conventional_commits_decide_how_far() {
        assert_eq!(level_for(&["fix: a"], "1.0.0"), Some(Bump::Patch));
        assert_eq!(level_for(&["fix: a", "feat(hello): b\n"], "1.0.0"), Some(Bump::Minor));
        assert_eq!(level_for(&["feat!: a"], "1.0.0"), Some(Bump::Major));
        assert_eq!(level_for(&["refactor: a\n\nBREAKING CHANGE: b"], "1.0.0"), Some(Bump::Major));
        assert_eq!(level_for(&["feat!: a"], "0.3.1"), Some(Bump::Minor));
        assert_eq!(level_for(&["update things"], "1.0.0"), None);
        assert_eq!(level_for(&["update things", "chore: tidy"], "1.0.0"), Some(Bump::Patch));
    }

    #[test]
    fn bumps_move_one_number_and_reset_the_rest() {
        let next = |version: &str, bump| bumped(&version.parse().unwrap(), bump).to_string();
        assert_eq!(next("1.4.2", Bump::Patch), "1.4.3");
        assert_eq!(next("1.4.2", Bump::Minor), "1.5.0");
        assert_eq!(next("1.4.2", Bump::Major), "2.0.0");
        assert_eq!(next("1.5.0-rc.1", Bump::Patch), "1.5.0");
    }
}

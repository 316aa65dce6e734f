//! What one environment serves that another one lacks: releases, with the commits between them and their authors.

use std::collections::BTreeSet;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use crate::delivery::lineage::differing_paths;
use crate::failure::Result;
use crate::ledger::Serving;
use crate::name::{FunctionName, StackName, Version};
use crate::release::{Catalogue, ReleaseCandidate};
use crate::source::{CommitLine, Lineage, Repository};

/// How a function differs between two environments.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct FunctionDifference {
    /// The function.
    pub(crate) function: FunctionName,
    /// Its stack.
    pub(crate) stack: StackName,
    /// The release that the later environment serves; `null` if it serves none.
    pub(crate) before: Option<Version>,
    /// The release of the earlier one.
    pub(crate) release: Version,
    /// Whether they are the same release.
    pub(crate) unchanged: bool,
    /// Whether it is verified in the earlier environment.
    pub(crate) verified: bool,
    /// The commits that the later environment lacks and that changed the function's inputs, newest first.
    pub(crate) commits: Vec<CommitLine>,
    /// Their authors.
    pub(crate) authors: BTreeSet<String>,
    /// The commits that only the later environment has, such as those of a hotfix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lost: Vec<CommitLine>,
    /// Why the commits are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_known: Option<String>,
}

/// Compares what two environments serve of a function.
pub(crate) async fn difference(
    catalogue: &Catalogue,
    root: &Path,
    (stack, function): (&StackName, &FunctionName),
    before: Option<&Serving>,
    after: &Serving,
) -> Result<FunctionDifference> {
    let unchanged = before.is_some_and(|before| before.digest == after.digest);
    let mut found = FunctionDifference {
        function: function.clone(),
        stack: stack.clone(),
        before: before.map(|before| before.release.clone()),
        release: after.release.clone(),
        unchanged,
        verified: after.verified,
        commits: Vec::new(),
        authors: BTreeSet::new(),
        lost: Vec::new(),
        not_known: None,
    };
    let Some(before) = before.filter(|_| !unchanged) else { return Ok(found) };
    let paths = match catalogue.find(function, &after.release).await? {
        Some(manifest) => {
            differing_paths(catalogue, before, &ReleaseCandidate::published(&manifest)?).await?
        }
        None => Some(None),
    };
    // The same inputs were built again.
    let Some(paths) = paths else { return Ok(found) };
    let repository = match Repository::open(root) {
        Ok(repository) => repository,
        Err(failure) => {
            found.not_known = Some(failure.to_string());
            return Ok(found);
        }
    };
    match repository.commits_between(&before.commit, &after.commit, paths.as_deref())? {
        Some(commits) => found.commits = commits,
        None => {
            found.not_known = Some(format!(
                "git does not have both {} and {}: git fetch --unshallow --tags",
                before.commit, after.commit
            ));
            return Ok(found);
        }
    }
    found.authors = found.commits.iter().map(|commit| commit.author.clone()).collect();
    if let Lineage::Lacks(lost) = repository.lineage(&before.commit, &after.commit, paths.as_deref())? {
        found.lost = lost;
    }
    Ok(found)
}

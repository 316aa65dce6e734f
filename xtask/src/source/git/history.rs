//! The history of HEAD: which commits changed some paths, and whether another commit is in it, or what it changed.
//!
//! A release whose commit was squashed, rebased or cherry-picked is in the history by what it changed, although not by its
//! commit. [`Repository::head_contains`] looks for that with three tests, from the exact one to the general one.

use std::collections::BTreeSet;
use std::path::Path;

use git2::{ErrorClass, ErrorCode, MergeOptions, Oid, Sort};

use super::Repository;
use super::work_tree::is_below;
use crate::failure::{Failure, Result};

/// How many commits of the newest are looked at for folders that a clone left out.
const LOOKED_AT: usize = 1_000;

/// What a clone left out of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// Folders of earlier commits (`--filter=tree:0`).
    Folders,
    /// Earlier commits (`--depth`).
    Commits,
    /// It may be files of earlier commits (`--filter=blob:none`).
    Files,
}

/// A commit with its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitMessage {
    /// Hex id.
    pub(crate) commit: String,
    /// The whole message.
    pub(crate) message: String,
    /// Whether it has several parents: its message describes commits that are listed as well.
    pub(crate) merge: bool,
}

/// Whether HEAD's history has a commit, or what that commit changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Containment {
    /// HEAD descends from it, or is it.
    Ancestor,
    /// A commit of HEAD's history has the same content in these paths, or made the same change: it was squashed, rebased,
    /// amended or cherry-picked.
    Equivalent {
        /// That commit.
        commit: String,
    },
    /// Merging it would change nothing in these paths, and no single commit of HEAD's history explains why.
    Merged {
        /// The newest commit that both have.
        base: String,
    },
    /// HEAD's history lacks it.
    Absent {
        /// The newest commit that both have, where they have one.
        base: Option<String>,
    },
    /// This repository does not have the commit.
    Missing,
}

impl Repository {
    /// Lists the commits after `base` (all, where none is given) that changed any of the paths, newest first.
    ///
    /// Merges are listed if they brought commits that are not in `base`, so that the message of the merge counts as well.
    pub(crate) fn changes(&self, base: Option<&str>, paths: &[String]) -> Result<Vec<CommitMessage>> {
        let base = base.map(Oid::from_str).transpose().map_err(|error| self.unreadable(error))?;
        let ids = self.between(base, None)?;
        let listed: BTreeSet<Oid> = ids.iter().copied().collect();
        let mut found = Vec::new();
        for id in ids {
            let commit = self.commit(id)?;
            let merge = commit.parent_count() > 1;
            let brings_commits = || commit.parent_ids().skip(1).any(|parent| listed.contains(&parent));
            if (!merge || brings_commits()) && self.is_changed_by(&commit, paths)? {
                found.push(CommitMessage {
                    commit: commit.id().to_string(),
                    message: String::from_utf8_lossy(commit.message_bytes()).into_owned(),
                    merge,
                });
            }
        }
        Ok(found)
    }

    /// Returns the newest commit that HEAD and a revision (a branch, a tag, a commit) have in common.
    pub(crate) fn common_commit(&self, revision: &str) -> Result<String> {
        let unknown = |error: git2::Error| {
            Failure::usage(format!("`{revision}` is no commit that HEAD has anything in common with"))
                .caused_by(error)
                .unchanged("Nothing was changed.")
                .hint(if self.is_shallow() {
                    "only a part of the history was cloned: git fetch --unshallow (in GitHub Actions: fetch-depth: 0)"
                } else {
                    "name a branch, such as origin/main, or a commit"
                })
        };
        let commit = self.git.revparse_single(revision).and_then(|object| object.peel_to_commit());
        let commit = commit.map_err(unknown)?.id();
        let head = self.head_commit()?.id();
        self.git.merge_base(head, commit).map(|id| id.to_string()).map_err(unknown)
    }

    /// Returns whether a commit is in this repository and HEAD descends from it, or is it.
    pub(crate) fn head_descends_from(&self, commit: &str) -> Result<bool> {
        let Some(id) = self.known_commit(commit)? else { return Ok(false) };
        let head = self.head_commit()?.id();
        Ok(id == head || self.git.graph_descendant_of(head, id).map_err(|error| self.unreadable(error))?)
    }

    /// Returns whether HEAD's history has a commit, or what that commit changed in the paths.
    pub(crate) fn head_contains(&self, commit: &str, paths: &[String]) -> Result<Containment> {
        let Some(id) = self.known_commit(commit)? else { return Ok(Containment::Missing) };
        if self.head_descends_from(commit)? {
            return Ok(Containment::Ancestor);
        }
        self.contains_change(self.head_commit()?.id(), id, paths)
    }

    /// Returns whether the history of a commit has what another one, which it does not descend from, changed in the paths.
    pub(super) fn contains_change(&self, head: Oid, id: Oid, paths: &[String]) -> Result<Containment> {
        let head = self.commit(head)?;
        let base = match self.git.merge_base(head.id(), id) {
            Ok(base) => Some(base),
            Err(error) if error.code() == ErrorCode::NotFound => None,
            Err(error) => return Err(self.unreadable(error)),
        };
        let wanted = self.commit(id)?;
        if let Some(commit) = self.equivalent(head.id(), &wanted, base, paths)? {
            return Ok(Containment::Equivalent { commit: commit.to_string() });
        }
        let Some(base) = base else { return Ok(Containment::Absent { base: None }) };
        let base = self.commit(base)?;
        if self.is_merged(&base, &head, &wanted, paths).map_err(|error| self.unreadable(error))? {
            return Ok(Containment::Merged { base: base.id().to_string() });
        }
        Ok(Containment::Absent { base: Some(base.id().to_string()) })
    }

    /// Returns whether only a part of the history was cloned.
    pub(crate) fn is_shallow(&self) -> bool {
        self.git.is_shallow()
    }

    /// Returns what a clone left out.
    pub(crate) fn gap(&self) -> Option<Gap> {
        let partial = self.is_partial();
        // Which filter it had is not asked for: what was fetched since is there.
        if partial && self.lacks_folders().unwrap_or(true) {
            return Some(Gap::Folders);
        }
        self.is_shallow().then_some(Gap::Commits).or(partial.then_some(Gap::Files))
    }

    /// Returns whether the folder of one of the newest commits is missing.
    fn lacks_folders(&self) -> std::result::Result<bool, git2::Error> {
        let objects = self.git.odb()?;
        let mut walk = self.git.revwalk()?;
        walk.push_head()?;
        for id in walk.take(LOOKED_AT) {
            let tree = self.git.find_commit(id?)?.tree_id();
            if !objects.exists(tree) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the newest commit of a history after `base`, or `base` itself, that has a commit's content in the paths;
    /// else the one that made its change: all that it changed since `base` at once (a squash), or the newest of its changes
    /// where HEAD's history has each of them (a rebase, a cherry-pick).
    fn equivalent(
        &self,
        head: Oid,
        wanted: &git2::Commit<'_>,
        base: Option<Oid>,
        paths: &[String],
    ) -> Result<Option<Oid>> {
        let failed = |error| self.unreadable(error);
        let tree = wanted.tree().map_err(failed)?;
        let base_tree = base.map(|base| self.commit(base)?.tree().map_err(failed)).transpose()?;
        let own = self.between(base, Some(head))?;
        for id in own.iter().copied().chain(base) {
            if self.same_content(Some(&self.commit(id)?.tree().map_err(failed)?), Some(&tree), paths)? {
                return Ok(Some(id));
            }
        }
        let own = self.single_changes(&own, paths)?;
        let squashed = self.change_id(base_tree.as_ref(), &tree, paths).map_err(failed)?;
        if let Some((id, _)) = own.iter().find(|(_, change)| Some(change) == squashed.as_ref()) {
            return Ok(Some(*id));
        }
        let theirs = self.single_changes(&self.between(base, Some(wanted.id()))?, paths)?;
        let mut newest = None;
        for (_, change) in &theirs {
            let Some(found) = own.iter().position(|(_, own)| own == change) else { return Ok(None) };
            newest = Some(newest.map_or(found, |newest: usize| newest.min(found)));
        }
        Ok(newest.map(|newest| own[newest].0))
    }

    /// Returns those of some commits that changed any of the paths and are not merges, with the identity of their change.
    pub(super) fn single_changes(&self, ids: &[Oid], paths: &[String]) -> Result<Vec<(Oid, Vec<Oid>)>> {
        let failed = |error| self.unreadable(error);
        let mut changes = Vec::new();
        for id in ids {
            let commit = self.commit(*id)?;
            if commit.parent_count() > 1 || !self.is_changed_by(&commit, paths)? {
                continue;
            }
            let parent = commit.parents().next().map(|parent| parent.tree()).transpose().map_err(failed)?;
            let tree = commit.tree().map_err(failed)?;
            if let Some(change) = self.change_id(parent.as_ref(), &tree, paths).map_err(failed)? {
                changes.push((*id, change));
            }
        }
        Ok(changes)
    }

    /// Returns whether merging a commit into HEAD would change nothing in the paths.
    fn is_merged(
        &self,
        base: &git2::Commit<'_>,
        head: &git2::Commit<'_>,
        wanted: &git2::Commit<'_>,
        paths: &[String],
    ) -> Result<bool, git2::Error> {
        let own = head.tree()?;
        let mut options = MergeOptions::new();
        options.find_renames(false);
        let merged = self.git.merge_trees(&base.tree()?, &own, &wanted.tree()?, Some(&options))?;
        let places = self.places(paths);
        // Conflicts are among the differences.
        let difference = self.git.diff_tree_to_index(Some(&own), Some(&merged), None)?;
        let changes = |file: git2::DiffFile<'_>| {
            file.path_bytes().is_some_and(|path| is_below(&String::from_utf8_lossy(path), &places))
        };
        Ok(!difference.deltas().any(|delta| changes(delta.old_file()) || changes(delta.new_file())))
    }

    /// Identifies what changes some paths from one tree to another, by git's patch ids, so that the same change on top of
    /// something else has the same id. Nothing where nothing changes.
    fn change_id(
        &self,
        from: Option<&git2::Tree<'_>>,
        to: &git2::Tree<'_>,
        paths: &[String],
    ) -> Result<Option<Vec<Oid>>, git2::Error> {
        let mut ids = Vec::new();
        for place in self.places(paths) {
            let mut options = git2::DiffOptions::new();
            options.disable_pathspec_match(true);
            if !place.is_empty() {
                options.pathspec(&place);
            }
            let difference = self.git.diff_tree_to_tree(from, Some(to), Some(&mut options))?;
            if difference.deltas().len() > 0 {
                ids.push(difference.patchid(None)?);
            }
        }
        Ok((!ids.is_empty()).then_some(ids))
    }

    /// Returns whether a commit changed any of the paths against its first parent.
    pub(super) fn is_changed_by(&self, commit: &git2::Commit<'_>, paths: &[String]) -> Result<bool> {
        let failed = |error| self.unreadable(error);
        let tree = commit.tree().map_err(failed)?;
        let parent = commit.parents().next().map(|parent| parent.tree()).transpose().map_err(failed)?;
        Ok(!self.same_content(parent.as_ref(), Some(&tree), paths)?)
    }

    /// Returns whether two trees have the same content in the paths. Comparing the entries of each path is far cheaper than a
    /// diff of the whole trees.
    fn same_content(
        &self,
        one: Option<&git2::Tree<'_>>,
        other: Option<&git2::Tree<'_>>,
        paths: &[String],
    ) -> Result<bool> {
        for path in self.places(paths) {
            let same = match path.is_empty() {
                true => one.map(git2::Tree::id) == other.map(git2::Tree::id),
                false => self.entry(one, &path)? == self.entry(other, &path)?,
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns what a tree has under a path. A folder that a partial clone left out is an error: the path may be in it.
    fn entry(&self, tree: Option<&git2::Tree<'_>>, path: &str) -> Result<Option<(Oid, i32)>> {
        let Some(tree) = tree else { return Ok(None) };
        match tree.get_path(Path::new(path)) {
            Ok(entry) => Ok(Some((entry.id(), entry.filemode()))),
            Err(error) if error.class() == ErrorClass::Tree && error.code() == ErrorCode::NotFound => {
                Ok(None)
            }
            Err(error) => Err(self.unreadable(error)),
        }
    }

    /// Returns project-relative paths relative to the repository, without a slash at the end.
    fn places(&self, paths: &[String]) -> Vec<String> {
        let full = paths.iter().map(|path| format!("{}{path}", self.prefix));
        full.map(|path| path.trim_end_matches('/').to_owned()).collect()
    }

    /// Lists the commits of a history (HEAD's, where none is given) that are not in `base`'s, newest first.
    pub(super) fn between(&self, base: Option<Oid>, to: Option<Oid>) -> Result<Vec<Oid>> {
        self.walk(base, to)?.map(|id| id.map_err(|error| self.unreadable(error))).collect()
    }

    fn walk(&self, base: Option<Oid>, to: Option<Oid>) -> Result<git2::Revwalk<'_>> {
        let failed = |error| self.unreadable(error);
        let mut walk = self.git.revwalk().map_err(failed)?;
        walk.set_sorting(Sort::TOPOLOGICAL).map_err(failed)?;
        match to {
            Some(to) => walk.push(to),
            None => walk.push_head(),
        }
        .map_err(failed)?;
        if let Some(base) = base {
            walk.hide(base).map_err(failed)?;
        }
        Ok(walk)
    }

    fn head_commit(&self) -> Result<git2::Commit<'_>> {
        self.git.head().and_then(|head| head.peel_to_commit()).map_err(|error| self.unreadable(error))
    }

    pub(super) fn commit(&self, id: Oid) -> Result<git2::Commit<'_>> {
        self.git.find_commit(id).map_err(|error| self.unreadable(error))
    }

    /// Returns a commit's id where this repository has the commit.
    pub(super) fn known_commit(&self, commit: &str) -> Result<Option<Oid>> {
        let Ok(id) = Oid::from_str(commit) else { return Ok(None) };
        match self.git.find_commit(id) {
            Ok(_) => Ok(Some(id)),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(self.unreadable(error)),
        }
    }

    /// Explains why the history cannot be walked: an object that a partial clone left out is named with what fetches it.
    pub(super) fn unreadable(&self, error: git2::Error) -> Failure {
        let failure = Failure::failed("the git history cannot be walked");
        if error.code() != ErrorCode::NotFound || !self.is_partial() {
            return failure.caused_by(error);
        }
        failure
            .caused_by(error)
            .detail("repository", "a partial clone that lacks folders of earlier commits (--filter=tree:0)")
            .hint("fetch them: git fetch --refetch --filter=blob:none")
    }

    /// Returns whether this is a clone that left out objects.
    fn is_partial(&self) -> bool {
        let Ok(config) = self.git.config() else { return false };
        let Ok(entries) = config.entries(Some(r"^remote\..*\.(promisor|partialclonefilter)$")) else {
            return false;
        };
        let mut found = false;
        let _ = entries.for_each(|_| found = true);
        found
    }
}

//! Two releases' commits compared: what the later one has that the earlier one lacks, and what it would lose.
//!
//! In: two commits, and the paths that count. Out: [`Lineage`], and lists of commits with author and subject. A commit that was
//! squashed, rebased or cherry-picked is not lost. Errors: git's objects cannot be read; a commit that this repository does not
//! have is an answer, not an error.

use std::collections::BTreeSet;

use git2::Oid;
use schemars::JsonSchema;
use serde::Serialize;

use super::Repository;
use super::history::Containment;
use crate::failure::Result;

/// A commit, as people name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(crate) struct CommitLine {
    /// 40 hex characters.
    pub(crate) commit: String,
    /// The author's name.
    pub(crate) author: String,
    /// The first line of its message.
    pub(crate) subject: String,
}

impl std::fmt::Display for CommitLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", short(&self.commit), self.author, self.subject)
    }
}

/// How the history of one commit contains another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lineage {
    /// It has everything.
    Contains,
    /// It lacks these commits, newest first.
    Lacks(Vec<CommitLine>),
    /// This repository does not have the commit, or not what connects the two.
    Unknown(String),
}

/// Returns the first characters of a commit's id.
fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

impl Repository {
    /// Returns whether the history of `to` has what `from`'s changed in the paths (in all files, where none is given).
    pub(crate) fn lineage(&self, from: &str, to: &str, paths: Option<&[String]>) -> Result<Lineage> {
        let everything = [String::new()];
        let paths = paths.unwrap_or(&everything);
        let (Some(wanted), Some(head)) = (self.known_commit(from)?, self.known_commit(to)?) else {
            let missing = if self.known_commit(from)?.is_none() { from } else { to };
            return Ok(Lineage::Unknown(missing.to_owned()));
        };
        if self.descends(head, wanted)? {
            return Ok(Lineage::Contains);
        }
        let base = match self.contains_change(head, wanted, paths)? {
            Containment::Absent { base } => base,
            Containment::Missing => return Ok(Lineage::Unknown(from.to_owned())),
            _ => return Ok(Lineage::Contains),
        };
        // Without the commits that connect the two, nothing can be said of either.
        if base.is_none() && self.is_shallow() {
            return Ok(Lineage::Unknown(from.to_owned()));
        }
        let theirs = self.between(Some(head), Some(wanted))?;
        let base = base.and_then(|base| Oid::from_str(&base).ok());
        let own: BTreeSet<Vec<Oid>> = self
            .single_changes(&self.between(base, Some(head))?, paths)?
            .into_iter()
            .map(|(_, change)| change)
            .collect();
        let lost =
            self.single_changes(&theirs, paths)?.into_iter().filter(|(_, change)| !own.contains(change));
        let mut lost: Vec<Oid> = lost.map(|(id, _)| id).collect();
        if lost.is_empty() {
            // What is lost is in a merge: in how its conflicts were resolved.
            lost = theirs;
        }
        Ok(Lineage::Lacks(lost.into_iter().map(|id| self.line(id)).collect::<Result<_>>()?))
    }

    /// Lists the commits of `to`'s history that `from`'s lacks and that changed any of the paths, newest first, without merges;
    /// `None` where this repository does not have both.
    pub(crate) fn commits_between(
        &self,
        from: &str,
        to: &str,
        paths: Option<&[String]>,
    ) -> Result<Option<Vec<CommitLine>>> {
        let (Some(from), Some(to)) = (self.known_commit(from)?, self.known_commit(to)?) else {
            return Ok(None);
        };
        if self.is_shallow() && !self.descends(to, from)? && self.merge_base(to, from)?.is_none() {
            return Ok(None);
        }
        let mut found = Vec::new();
        for id in self.between(Some(from), Some(to))? {
            let commit = self.commit(id)?;
            let changes = |paths: &[String]| self.is_changed_by(&commit, paths);
            if commit.parent_count() < 2 && paths.map_or(Ok(true), changes)? {
                found.push(self.line(id)?);
            }
        }
        Ok(Some(found))
    }

    /// Returns whether a commit descends from another, or is it; `None` where this repository does not have both.
    pub(crate) fn descends_from(&self, commit: &str, ancestor: &str) -> Result<Option<bool>> {
        match (self.known_commit(commit)?, self.known_commit(ancestor)?) {
            (Some(commit), Some(ancestor)) => self.descends(commit, ancestor).map(Some),
            _ => Ok(None),
        }
    }

    /// Returns whether the commit whose id begins with a text, of at least seven characters, is another one or descends from it.
    pub(crate) fn covers(&self, beginning: &str, commit: &str) -> Result<bool> {
        let is_id = beginning.len() >= 7 && beginning.bytes().all(|byte| byte.is_ascii_hexdigit());
        let found = is_id.then(|| self.git.find_object_by_prefix(beginning, Some(git2::ObjectType::Commit)));
        let Some(Ok(found)) = found else { return Ok(false) };
        Ok(self.descends_from(&found.id().to_string(), commit)? == Some(true))
    }

    fn descends(&self, commit: Oid, ancestor: Oid) -> Result<bool> {
        let descends = self.git.graph_descendant_of(commit, ancestor);
        Ok(commit == ancestor || descends.map_err(|error| self.unreadable(error))?)
    }

    fn merge_base(&self, one: Oid, other: Oid) -> Result<Option<Oid>> {
        match self.git.merge_base(one, other) {
            Ok(base) => Ok(Some(base)),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(self.unreadable(error)),
        }
    }

    fn line(&self, id: Oid) -> Result<CommitLine> {
        let commit = self.commit(id)?;
        let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
        let author = commit.author();
        Ok(CommitLine {
            commit: id.to_string(),
            author: printable(&String::from_utf8_lossy(author.name_bytes())),
            subject: printable(message.trim_start().lines().next().unwrap_or_default()),
        })
    }
}

/// Returns what somebody else wrote without what a terminal would interpret.
fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tests::Tree;

    const FILE: &str = "lambda-src/hello/src/main.rs";
    const OTHER: &str = "notes/page.txt";

    fn subjects(lineage: Lineage) -> Vec<String> {
        match lineage {
            Lineage::Lacks(commits) => commits.into_iter().map(|commit| commit.subject).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commit_of_another_line_is_lost_unless_it_was_picked_or_touches_nothing_that_counts() {
        let tree = Tree::new();
        tree.write(FILE, "fn a() {}\n\n\n\n\n\n\nfn b() {}\n");
        let first = tree.commit("feat: begin");
        tree.git(&["checkout", "--quiet", "-b", "hotfix"]);
        tree.write(FILE, "fn a() { mended(); }\n\n\n\n\n\n\nfn b() {}\n");
        let fix = tree.commit("fix: \u{1b}[31ma\n\nWhy.");
        tree.write(OTHER, "more\n");
        let page = tree.commit("docs: a page");
        tree.git(&["checkout", "--quiet", "main"]);
        tree.write(FILE, "fn a() {}\n\n\n\n\n\n\nfn b() { more(); }\n");
        let main = tree.commit("feat: b");

        let repository = tree.repository();
        let lineage =
            |from: &str, to: &str, paths: Option<&[String]>| repository.lineage(from, to, paths).unwrap();
        let paths = [FILE.to_owned()];
        assert_eq!(lineage(&first, &main, None), Lineage::Contains);
        assert_eq!(subjects(lineage(&page, &main, None)), ["docs: a page", "fix: [31ma"]);
        assert_eq!(subjects(lineage(&page, &main, Some(&paths))), ["fix: [31ma"]);
        assert_eq!(subjects(lineage(&main, &first, Some(&paths))), ["feat: b"], "an older commit");
        let unknown = "0123456789012345678901234567890123456789";
        assert_eq!(lineage(unknown, &main, None), Lineage::Unknown(unknown.into()));
        assert_eq!(repository.descends_from(&main, &first).unwrap(), Some(true));
        assert_eq!(repository.descends_from(&main, &fix).unwrap(), Some(false));
        assert_eq!(repository.descends_from(&main, unknown).unwrap(), None);

        tree.git(&["cherry-pick", &fix]);
        let picked = tree.git(&["rev-parse", "HEAD"]);
        assert_eq!(lineage(&page, &picked, Some(&paths)), Lineage::Contains);
        assert_eq!(subjects(lineage(&page, &picked, None)), ["docs: a page"]);
    }

    #[test]
    fn commits_between_are_those_that_changed_the_paths() {
        let tree = Tree::new();
        let first = tree.commit("feat: begin");
        tree.write(FILE, "fn a() {}\n");
        tree.commit("feat: a");
        tree.write(OTHER, "a page\n");
        let last = tree.commit("docs: a page");
        let repository = tree.repository();
        let between = |paths: Option<&[String]>| {
            let found = repository.commits_between(&first, &last, paths).unwrap().unwrap();
            found.into_iter().map(|commit| commit.subject).collect::<Vec<_>>()
        };
        assert_eq!(between(None), ["docs: a page", "feat: a"]);
        assert_eq!(between(Some(&[FILE.to_owned()])), ["feat: a"]);
        assert_eq!(repository.commits_between("no commit", &last, None).unwrap(), None);
    }
}

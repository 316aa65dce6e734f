//! What commit messages say about a version: Conventional Commits, as authors write them and as hosts rewrite them.
//!
//! In: the messages of the commits that changed a function's inputs, newest first. Out: the largest change that they name, and
//! how many name none. Squash commits (`* feat: …` lines), merge commits of GitHub, GitLab, Bitbucket, Azure DevOps and Gitea,
//! and reverts are understood. Rules: <https://www.conventionalcommits.org/en/v1.0.0/>.

use git_conventional::{Commit, Type};

use crate::source::CommitMessage;

/// The kind of change that a commit message names, from the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ChangeLevel {
    /// `fix:` or any other type that is not a feature.
    Other,
    /// `feat:`.
    Feature,
    /// `feat!:`, or a footer `BREAKING CHANGE: …`.
    Breaking,
}

/// What some commits say about the next version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChangeSummary {
    /// The commits, without merges.
    pub(super) commits: usize,
    /// Those of them whose message has no type.
    pub(super) untyped: usize,
    /// The largest change that a message names, where one does.
    pub(super) level: Option<ChangeLevel>,
}

/// The types that a line of a body may begin with. A subject may have any type; in a body, `Reviewed-by: …` is not one.
const KNOWN_TYPES: [&str; 11] =
    ["build", "chore", "ci", "docs", "feat", "fix", "perf", "refactor", "revert", "style", "test"];

/// Summarises the messages of some commits, newest first.
///
/// A commit that a later one of them reverts counts as a change and not as a feature, and a revert that is itself reverted has
/// no effect.
pub(super) fn summarise(commits: &[CommitMessage]) -> ChangeSummary {
    let mut summary = ChangeSummary { commits: 0, untyped: 0, level: None };
    let mut reverted: Vec<String> = Vec::new();
    for CommitMessage { commit, message, merge } in commits {
        let mut level = level_of(message);
        if reverted.iter().any(|start| commit.starts_with(start.as_str())) {
            level = level.map(|_| ChangeLevel::Other);
        } else {
            reverted.extend(reverted_by(message));
        }
        summary.level = summary.level.max(level);
        if !merge {
            summary.commits += 1;
            summary.untyped += usize::from(level.is_none());
        }
    }
    summary
}

/// Returns the change that a message names, or nothing where it has no type.
pub(super) fn level_of(message: &str) -> Option<ChangeLevel> {
    let mut lines = message.lines().map(str::trim_end).skip_while(|line| line.trim().is_empty());
    let subject = lines.next().unwrap_or_default().trim();
    let body: Vec<&str> = lines.collect();
    let (subject, host_merge) = without_host(subject);
    let in_body = body.iter().filter_map(|line| {
        let line = line.trim_start();
        match line.strip_prefix("* ").or_else(|| line.strip_prefix("- ")) {
            Some(item) => level_of_line(item, true),
            // The message of a host's merge or squash begins with a line of the host; the author's lines follow.
            None if host_merge => level_of_line(line, true),
            None => None,
        }
    });
    let footer = body.iter().any(|line| is_breaking_footer(line)).then_some(ChangeLevel::Breaking);
    level_of_line(subject, false).max(in_body.max()).max(footer)
}

/// Returns the commits that a message says it reverts, as `git revert` writes it, or as a footer `Refs:` of a `revert:` commit.
fn reverted_by(message: &str) -> Vec<String> {
    let subject = message.trim_start().lines().next().unwrap_or_default();
    let is_revert = subject.starts_with("Revert ") || has_type(subject, "revert");
    if !is_revert {
        return Vec::new();
    }
    let named = message.lines().filter_map(|line| {
        let line = line.trim();
        line.strip_prefix("This reverts commit ").or_else(|| line.strip_prefix("Refs: "))
    });
    let words = named.flat_map(|text| text.split([' ', ',', '.']).map(str::to_owned).collect::<Vec<_>>());
    words.filter(|word| word.len() >= 7 && word.bytes().all(|byte| byte.is_ascii_hexdigit())).collect()
}

/// Removes what a host writes before an author's title; returns the rest, and whether the title may follow in the body.
fn without_host(subject: &str) -> (&str, bool) {
    // Azure DevOps: `Merged PR 42: feat: x`. Bitbucket Data Center: `Pull request #42: feat: x`.
    for start in ["Merged PR ", "Pull request #"] {
        if let Some((number, title)) = subject.strip_prefix(start).and_then(|rest| rest.split_once(": "))
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            return (title, true);
        }
    }
    // Gitea and Forgejo: `Merge pull request 'feat: x' (#42) from topic into main`.
    if let Some((title, _)) =
        subject.strip_prefix("Merge pull request '").and_then(|rest| rest.rsplit_once("' ("))
    {
        return (title, true);
    }
    // GitHub, GitLab, git itself, Bitbucket Cloud.
    let merges = ["Merge pull request #", "Merge branch '", "Merge remote-tracking branch '", "Merged in "];
    (subject, merges.iter().any(|start| subject.starts_with(start)))
}

/// Returns the change that one line names: a Conventional Commit's header, or a revert of one.
fn level_of_line(line: &str, known_types_only: bool) -> Option<ChangeLevel> {
    if let Some(title) = line.strip_prefix("Revert \"") {
        return match title.strip_prefix("Revert \"") {
            // What is taken back twice is there again. Git's word for it since 2.43 is `Reapply`.
            Some(title) => level_of_line(title, false).or(Some(ChangeLevel::Other)),
            None => Some(ChangeLevel::Other),
        };
    }
    if let Some(title) = line.strip_prefix("Reapply \"") {
        return level_of_line(title, false).or(Some(ChangeLevel::Other));
    }
    let commit = Commit::parse(line.trim()).ok()?;
    if known_types_only && !KNOWN_TYPES.iter().any(|known| commit.type_() == *known) {
        return None;
    }
    Some(match (commit.breaking(), commit.type_() == Type::FEAT) {
        (true, _) => ChangeLevel::Breaking,
        (false, true) => ChangeLevel::Feature,
        (false, false) => ChangeLevel::Other,
    })
}

fn has_type(line: &str, wanted: &str) -> bool {
    Commit::parse(line.trim()).is_ok_and(|commit| commit.type_() == wanted)
}

/// Returns whether a line is a footer for a breaking change. A blank line before it is not required: git does not keep one
/// apart, and a break that is overlooked is worse than one too many.
fn is_breaking_footer(line: &str) -> bool {
    let line = line.trim_start().trim_start_matches(['*', '-']).trim_start();
    ["BREAKING CHANGE: ", "BREAKING-CHANGE: ", "BREAKING CHANGE #", "BREAKING-CHANGE #"]
        .iter()
        .any(|token| line.starts_with(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    use ChangeLevel::{Breaking, Feature, Other};

    fn summary(messages: &[(&str, &str)]) -> ChangeSummary {
        let commits: Vec<CommitMessage> = messages
            .iter()
            .map(|(commit, message)| CommitMessage {
                commit: (*commit).to_owned(),
                message: (*message).to_owned(),
                merge: false,
            })
            .collect();
        summarise(&commits)
    }

    #[test]
    fn subject_names_the_change_whatever_follows_it() {
        for (message, level) in [
            ("fix: a", Some(Other)),
            ("chore: tidy", Some(Other)),
            ("feat(hello): b\n", Some(Feature)),
            ("Feat: upper", Some(Feature)),
            ("\n\nfeat: after blank lines", Some(Feature)),
            ("feat: rounding\nas the accountants ask", Some(Feature)),
            ("feat: with CRLF\r\nas the accountants ask\r\n", Some(Feature)),
            ("feat!: a", Some(Breaking)),
            ("feat(api)!: a", Some(Breaking)),
            ("feat: x (#42)", Some(Feature)),
            ("update things", None),
            ("fixup! feat: x", None),
            ("Fix the feat: it was wrong", None),
            ("", None),
        ] {
            assert_eq!(level_of(message), level, "{message:?}");
        }
    }

    #[test]
    fn breaking_footer_counts_with_and_without_a_blank_line() {
        for message in [
            "refactor: a\n\nBREAKING CHANGE: b",
            "fix: totals\nBREAKING CHANGE: fields renamed",
            "fix: totals\r\nBREAKING-CHANGE: fields renamed\r\n",
            "fix: totals\n\nlong text\nBREAKING CHANGE: at its end\nReviewed-by: Ada",
            "totals\n\nBREAKING CHANGE: no type before it",
            "Topic (#7)\n\n* fix: totals\n\n  BREAKING CHANGE: indented by the host",
        ] {
            assert_eq!(level_of(message), Some(Breaking), "{message:?}");
        }
        for message in
            ["fix: a\n\nThis is no BREAKING CHANGE: nothing breaks", "fix: a\n\nbreaking change: b"]
        {
            assert_eq!(level_of(message), Some(Other), "{message:?}");
        }
    }

    #[test]
    fn squash_commit_counts_the_commits_that_it_lists() {
        for (message, level) in [
            ("Orders by day (#42)\n\n* feat!: fields renamed\n\n* fix: totals", Some(Breaking)),
            ("fix: totals (#42)\n\n* fix: totals\n\n* feat(api): rounding", Some(Feature)),
            ("Merge orders\n\n- feat: rounding\n- wip", Some(Feature)),
            ("fix: totals\n\nFacts:\n* note: this is a list\n* more", Some(Other)),
            ("Orders by day (#42)\n\n* wip\n* more", None),
            ("Orders by day\n\nfeat: this line is text of the author", None),
            ("Orders (#43)\n\n* Revert \"feat!: x\"", Some(Other)),
        ] {
            assert_eq!(level_of(message), level, "{message:?}");
        }
    }

    #[test]
    fn merge_and_squash_messages_of_the_common_hosts_are_understood() {
        for (message, level) in [
            ("Merged PR 42: feat!: fields renamed\n\nRelated work items: #7", Some(Breaking)),
            ("Merged PR 42: Orders by day\n\nfeat: rounding", Some(Feature)),
            ("Merge pull request #42 from shop/topic\n\nfeat: rounding", Some(Feature)),
            ("Merge pull request 'feat: rounding' (#42) from topic into main", Some(Feature)),
            ("Merged in topic (pull request #1)\n\nfeat: rounding\n\nApproved-by: Ada", Some(Feature)),
            ("Merged in topic (pull request #1)\n\nTopic\n\nApproved-by: Ada", None),
            (
                "Pull request #12: feat!: a\n\nMerge in SHOP/api from topic to main\n\n* commit 'ab':\n  fix: b",
                Some(Breaking),
            ),
            (
                "Merge branch 'topic' into 'main'\n\nfeat: rounding\n\nSee merge request shop/api!42",
                Some(Feature),
            ),
            ("Merge branch 'main' into topic", None),
        ] {
            assert_eq!(level_of(message), level, "{message:?}");
        }
    }

    #[test]
    fn revert_takes_back_the_feature_of_the_commit_that_it_names() {
        assert_eq!(level_of("Revert \"feat!: x\"\n\nThis reverts commit 0a1b2c3d4e."), Some(Other));
        assert_eq!(level_of("revert: feat: x"), Some(Other));
        assert_eq!(level_of("revert!: x"), Some(Breaking));
        assert_eq!(level_of("Reapply \"feat: x\""), Some(Feature));
        assert_eq!(level_of("Revert \"Revert \"feat: x\"\""), Some(Feature));
        let feature = ("aaaaaaa1", "feat!: x");
        let revert = ("bbbbbbb2", "Revert \"feat!: x\"\n\nThis reverts commit aaaaaaa1.");
        assert_eq!(summary(&[revert, feature]).level, Some(Other));
        let again = ("ccccccc3", "Revert \"Revert \"feat!: x\"\"\n\nThis reverts commit bbbbbbb2.");
        assert_eq!(summary(&[again, revert, feature]).level, Some(Breaking));
        let angular = ("ddddddd4", "revert: the fields\n\nRefs: aaaaaaa1");
        assert_eq!(summary(&[angular, feature]).level, Some(Other));
        assert_eq!(summary(&[("eeeeeee5", "fix: see\n\nRefs: aaaaaaa1"), feature]).level, Some(Breaking));
    }

    #[test]
    fn summary_counts_commits_that_say_no_type_and_merges_only_by_what_they_say() {
        let plain =
            |message: &str, merge| CommitMessage { commit: "1".into(), message: message.into(), merge };
        let commits = [
            plain("wip", false),
            plain("Merge pull request #1 from shop/topic\n\nfeat: rounding", true),
            plain("more", false),
            plain("fix: totals", false),
        ];
        assert_eq!(summarise(&commits), ChangeSummary { commits: 3, untyped: 2, level: Some(Feature) });
        assert_eq!(summarise(&[]), ChangeSummary { commits: 0, untyped: 0, level: None });
    }
}

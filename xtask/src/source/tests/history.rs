//! Whether HEAD's history has a commit, or what it changed, in repositories that git itself made.

use super::tree::{HELLO, Tree};
use crate::source::{Containment, Gap, Repository};

const MAIN: &str = "lambda-src/hello/src/main.rs";
const LINES: &str = "fn a() {}\n\n\n\n\n\n\nfn b() {}\n\n\n\n\n\n\nfn c() {}\n";

fn containment(tree: &Tree, commit: &str) -> Containment {
    tree.repository().head_contains(commit, &[HELLO.to_owned()]).unwrap()
}

/// Begins with a commit of three functions far apart, so that changes of them do not conflict.
fn begin() -> (Tree, String) {
    let tree = Tree::new();
    tree.write(MAIN, LINES);
    let first = tree.commit("feat: begin");
    (tree, first)
}

fn edit(tree: &Tree, name: &str, message: &str) -> String {
    tree.replace(MAIN, &format!("fn {name}() {{}}"), &format!("fn {name}() {{ done(); }}"));
    tree.commit(message)
}

#[test]
fn squashed_branch_is_equivalent_to_the_squash_also_on_top_of_other_changes() {
    let (tree, first) = begin();
    tree.git(&["checkout", "--quiet", "-b", "topic"]);
    edit(&tree, "a", "feat: a");
    let topic = edit(&tree, "b", "feat: b");
    tree.git(&["checkout", "--quiet", "main"]);
    assert_eq!(containment(&tree, &topic), Containment::Absent { base: Some(first.clone()) });

    tree.git(&["merge", "--quiet", "--squash", "topic"]);
    let squash = tree.commit("feat: a and b (#1)");
    assert_eq!(containment(&tree, &topic), Containment::Equivalent { commit: squash.clone() });
    edit(&tree, "c", "fix: c");
    assert_eq!(containment(&tree, &topic), Containment::Equivalent { commit: squash });

    // The same where another change came before the squash, so that no commit has the branch's content.
    tree.git(&["reset", "--quiet", "--hard", &first]);
    edit(&tree, "c", "fix: c");
    tree.git(&["merge", "--quiet", "--squash", "topic"]);
    let squash = tree.commit("feat: a and b (#1)");
    assert_eq!(containment(&tree, &topic), Containment::Equivalent { commit: squash });
}

#[test]
fn rebased_and_cherry_picked_commits_are_equivalent_and_a_part_of_them_is_not() {
    let (tree, first) = begin();
    tree.git(&["checkout", "--quiet", "-b", "topic"]);
    let one = edit(&tree, "a", "feat: a");
    let topic = edit(&tree, "b", "feat: b");
    tree.git(&["checkout", "--quiet", "main"]);
    edit(&tree, "c", "fix: c");
    tree.git(&["cherry-pick", &topic]);
    assert_eq!(containment(&tree, &topic), Containment::Absent { base: Some(first) }, "without a");
    tree.git(&["cherry-pick", &one]);
    let picked = tree.git(&["rev-parse", "HEAD"]);
    assert_eq!(containment(&tree, &topic), Containment::Equivalent { commit: picked });
}

#[test]
fn squash_that_was_edited_is_found_by_merging() {
    let (tree, first) = begin();
    tree.git(&["checkout", "--quiet", "-b", "topic"]);
    let topic = edit(&tree, "a", "feat: a");
    tree.git(&["checkout", "--quiet", "main"]);
    tree.git(&["merge", "--quiet", "--squash", "topic"]);
    // Edited before it was committed, so that its change is another one.
    edit(&tree, "b", "feat: a, and b (#1)");
    assert_eq!(containment(&tree, &topic), Containment::Merged { base: first });
    let objects = tree.git(&["count-objects"]);
    containment(&tree, &topic);
    assert_eq!(tree.git(&["count-objects"]), objects, "looking writes nothing");
}

#[test]
fn amended_commit_is_equivalent_and_an_unknown_one_is_missing() {
    let (tree, _) = begin();
    let before = edit(&tree, "a", "feat: a");
    tree.git(&["commit", "--quiet", "--amend", "--message", "feat!: a"]);
    let amended = tree.git(&["rev-parse", "HEAD"]);
    assert_ne!(before, amended);
    assert_eq!(containment(&tree, &before), Containment::Equivalent { commit: amended.clone() });
    assert_eq!(containment(&tree, &amended), Containment::Ancestor);
    assert_eq!(containment(&tree, &"0".repeat(40)), Containment::Missing);
    tree.git(&["checkout", "--quiet", "--orphan", "other"]);
    tree.write(MAIN, "fn other() {}\n");
    tree.commit("feat: unrelated");
    assert_eq!(containment(&tree, &amended), Containment::Absent { base: None });
}

#[test]
fn history_that_a_partial_clone_left_out_is_an_error_with_the_command_that_fetches_it() {
    let (tree, first) = begin();
    edit(&tree, "a", "feat: a");
    tree.write("README.md", "elsewhere\n");
    tree.commit("docs: elsewhere");
    tree.git(&["config", "uploadpack.allowFilter", "true"]);
    let (from, to) = (format!("file://{}", tree.root().display()), tree.root().join("clone"));
    tree.git(&["clone", "--quiet", "--filter=tree:0", &from, &to.to_string_lossy()]);
    let repository = Repository::open(&to).unwrap();
    let paths = [HELLO.to_owned()];
    let failure = repository.changes(Some(&first), &paths).unwrap_err();
    let hint = failure.report().hint.unwrap_or_default();
    assert!(hint.contains("git fetch --refetch --filter=blob:none"), "{failure}: {hint}");
    assert_eq!(repository.gap(), Some(Gap::Folders));
    let filter = "--filter=blob:none";
    tree.git(&["-C", &to.to_string_lossy(), "fetch", "--quiet", "--refetch", filter]);
    let repository = Repository::open(&to).unwrap();
    assert_eq!(repository.gap(), Some(Gap::Files));
    assert!(repository.changes(Some(&first), &paths).is_ok());
    assert_eq!(tree.repository().gap(), None);
}

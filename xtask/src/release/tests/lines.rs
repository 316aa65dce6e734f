//! Versions where the newest release is not in the checked-out history: squashed branches, repairs of earlier releases.

use super::{Releases, VersionRequest, bump, details};
use crate::failure::FailureKind;
use crate::release::VersionBump;
use crate::source::tests::Tree;

const MAIN: &str = "lambda-src/hello/src/main.rs";

/// Writes the function's code and commits it.
fn commit(tree: &Tree, code: &str, message: &str) -> String {
    tree.write(MAIN, &format!("fn main() {{ {code} }}\n"));
    tree.commit(message)
}

async fn chosen(releases: &Releases, tree: &Tree) -> String {
    releases.chosen(tree, VersionRequest::default()).await
}

/// Releases 0.1.0, 0.2.0 and 0.3.0 on `main`; checks out the commit of 0.1.0 as `hotfix`.
async fn hotfix_of_the_first_of_three(releases: &Releases) -> Tree {
    let tree = Tree::new();
    let first = commit(&tree, "one", "feat: one");
    releases.release(&tree, "0.1.0").await;
    commit(&tree, "two", "feat: two");
    releases.release(&tree, "0.2.0").await;
    commit(&tree, "three", "feat: three");
    releases.release(&tree, "0.3.0").await;
    tree.git(&["checkout", "--quiet", "-b", "hotfix", &first]);
    tree
}

#[tokio::test]
async fn squash_merged_release_is_the_base_of_what_follows() {
    let (releases, tree) = (Releases::new(), Tree::new());
    releases.release(&tree, "0.1.0").await;
    tree.git(&["checkout", "--quiet", "-b", "topic"]);
    commit(&tree, "a", "feat: a");
    releases.release(&tree, "0.2.0").await;
    tree.git(&["checkout", "--quiet", "main"]);
    tree.git(&["merge", "--quiet", "--squash", "topic"]);
    let squash = tree.commit("feat: a (#1)");
    assert_eq!(chosen(&releases, &tree).await, "reuse 0.2.0");
    commit(&tree, "b", "feat!: b");
    let here = format!("which is here as commit {}", &squash[..7]);
    assert_eq!(chosen(&releases, &tree).await, format!("0.3.0: 1 change since 0.2.0 ({here})"));
    tree.git(&["reset", "--quiet", "--hard", &squash]);
    commit(&tree, "c", "fix: c");
    assert_eq!(chosen(&releases, &tree).await, format!("0.2.1: 1 change since 0.2.0 ({here})"));
    // A squash that changes more than the branch did: what came since the two parted counts.
    tree.git(&["reset", "--quiet", "--hard", "HEAD~2"]);
    let parted = tree.git(&["rev-parse", "--short=7", "HEAD"]);
    tree.git(&["merge", "--quiet", "--squash", "topic"]);
    tree.write("crates/shared/src/lib.rs", "fn more() {}\n");
    tree.commit("feat!: a, and more (#1)");
    assert_eq!(
        chosen(&releases, &tree).await,
        format!("0.3.0: 1 change since 0.2.0 (whose changes are here; counted since commit {parted})")
    );
}

#[tokio::test]
async fn repair_of_an_earlier_release_continues_its_own_line() {
    let releases = Releases::new();
    let tree = hotfix_of_the_first_of_three(&releases).await;
    assert_eq!(chosen(&releases, &tree).await, "reuse 0.1.0 although 0.3.0 is newer");
    commit(&tree, "repaired", "fix: one");
    let reason = "1 change since 0.1.0, as 0.3.0 is not in this history";
    assert_eq!(chosen(&releases, &tree).await, format!("0.1.1: {reason}"));
    releases.release(&tree, "0.1.1").await;
    assert_eq!(chosen(&releases, &tree).await, "reuse 0.1.1 although 0.3.0 is newer");

    // Another repair of 0.1.0, beside the first one: the number is taken.
    tree.git(&["checkout", "--quiet", "-b", "other", "HEAD~1"]);
    let other = commit(&tree, "repaired otherwise", "fix: one");
    assert_eq!(chosen(&releases, &tree).await, format!("0.1.2: {reason}"));

    // Changes that are not committed are named by their inputs as well.
    tree.write(MAIN, "fn main() { more }\n");
    assert!(chosen(&releases, &tree).await.starts_with("0.1.1-dirty."));
    tree.git(&["checkout", "--quiet", "--force", &other]);
}

#[tokio::test]
async fn version_of_an_earlier_line_is_refused_where_its_number_is_taken() {
    let releases = Releases::new();
    let tree = hotfix_of_the_first_of_three(&releases).await;
    commit(&tree, "more", "feat: more");
    for request in [VersionRequest::default(), bump(VersionBump::Minor)] {
        let failure = releases.choose(&tree, request).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        let text = details(&failure);
        assert!(
            text.starts_with("`hello` needs a new minor version after 0.1.0, and 0.2.0 is a release"),
            "{text}"
        );
        assert!(text.contains("cargo xtask release hello --version 0.4.0"), "{text}");
    }
    assert!(releases.chosen(&tree, bump(VersionBump::Patch)).await.starts_with("0.1.1: "));
    assert!(releases.chosen(&tree, bump(VersionBump::Major)).await.starts_with("1.0.0: "));
}

#[tokio::test]
async fn newest_release_whose_commit_is_not_in_the_clone_is_named_with_what_fetches_it() {
    let (releases, tree) = (Releases::new(), Tree::new());
    releases.release(&tree, "0.1.0").await;
    tree.git(&["checkout", "--quiet", "-b", "topic"]);
    let topic = commit(&tree, "a", "feat: a");
    releases.release(&tree, "0.2.0").await;
    tree.git(&["checkout", "--quiet", "main"]);
    tree.git(&["branch", "--quiet", "--delete", "--force", "topic"]);
    tree.git(&["reflog", "expire", "--expire=now", "--all"]);
    tree.git(&["gc", "--quiet", "--prune=now"]);
    commit(&tree, "b", "fix: b");
    assert_eq!(chosen(&releases, &tree).await, "0.1.1: 1 change since 0.1.0, as 0.2.0 is not in this clone");
    commit(&tree, "c", "feat: c");
    let failure = releases.choose(&tree, VersionRequest::default()).await.unwrap_err();
    assert!(details(&failure).contains(&format!("git fetch origin {topic}")), "{failure}");
}

#[tokio::test]
async fn later_line_names_the_repair_that_it_lacks_until_it_has_it() {
    let releases = Releases::new();
    let tree = hotfix_of_the_first_of_three(&releases).await;
    tree.write("crates/deep/src/lib.rs", "fn repaired() {}\n");
    let repair = tree.commit("fix: deep");
    releases.release(&tree, "0.1.1").await;
    tree.git(&["checkout", "--quiet", "main"]);
    assert_eq!(chosen(&releases, &tree).await, "reuse 0.3.0", "nothing changed, nothing to say");
    commit(&tree, "four", "fix: four");
    assert_eq!(
        chosen(&releases, &tree).await,
        format!(
            "0.3.1: 1 change since 0.3.0; 0.1.1's commit {} is not in this history: what it repaired is missing here \
             unless it was done again",
            &repair[..7]
        )
    );
    tree.git(&["cherry-pick", &repair]);
    assert_eq!(chosen(&releases, &tree).await, "0.3.1: 2 changes since 0.3.0");
}

#[tokio::test]
async fn history_without_any_release_continues_the_newest_number() {
    let (releases, tree) = (Releases::new(), Tree::new());
    let begin = tree.git(&["rev-parse", "HEAD"]);
    tree.git(&["checkout", "--quiet", "-b", "topic"]);
    commit(&tree, "a", "feat: a");
    releases.release(&tree, "0.1.0").await;
    tree.git(&["checkout", "--quiet", "-b", "beside", &begin]);
    commit(&tree, "b", "feat: b");
    assert_eq!(
        chosen(&releases, &tree).await,
        "0.2.0: 1 change since the branch of 0.1.0 began; 0.1.0 itself is not in this history"
    );
}

#[tokio::test]
async fn revert_to_the_inputs_of_an_earlier_release_takes_it_again() {
    let (releases, tree) = (Releases::new(), Tree::new());
    commit(&tree, "one", "feat: one");
    releases.release(&tree, "0.1.0").await;
    commit(&tree, "two", "feat: two");
    releases.release(&tree, "0.2.0").await;
    tree.git(&["revert", "--no-edit", "HEAD"]);
    assert_eq!(chosen(&releases, &tree).await, "reuse 0.1.0 although 0.2.0 is newer");
    let force = VersionRequest { force: true, ..VersionRequest::default() };
    assert_eq!(releases.chosen(&tree, force).await, "0.2.1: 1 change since 0.2.0");
}

//! Repositories as other people have them: files that git converts, hides or leaves out, and repositories inside repositories.

use std::path::PathBuf;

use super::tree::{HELLO, Tree};
use crate::source::Repository;
use crate::source::git::WorkTree;

const MAIN: &str = "lambda-src/hello/src/main.rs";

fn look(tree: &Tree) -> WorkTree {
    Repository::open(&tree.root()).unwrap().work_tree(&[HELLO.to_owned()]).unwrap()
}

fn main_of(tree: &Tree) -> PathBuf {
    tree.root().join(MAIN)
}

#[test]
fn edit_that_keeps_size_and_time_is_a_change() {
    let tree = Tree::new();
    let before = look(&tree);
    let time = main_of(&tree).metadata().unwrap().modified().unwrap();
    tree.git(&["status"]);
    tree.write(MAIN, "fn main() [}\n");
    let file = std::fs::File::options().write(true).open(main_of(&tree)).unwrap();
    file.set_modified(time).unwrap();
    let after = look(&tree);
    assert_eq!(after.changed, [MAIN]);
    assert_ne!(after.files[MAIN], before.files[MAIN]);
}

#[test]
fn index_flags_hide_no_change() {
    for flag in ["--assume-unchanged", "--skip-worktree"] {
        let tree = Tree::new();
        tree.git(&["update-index", flag, MAIN]);
        let unchanged = look(&tree);
        assert!(unchanged.changed.is_empty() && unchanged.hidden.is_empty(), "{flag}: {unchanged:?}");
        tree.write(MAIN, "fn main() { hidden() }\n");
        assert_eq!(tree.git(&["status", "--porcelain"]), "", "git shows nothing");
        let found = look(&tree);
        assert_eq!(found.changed, [MAIN], "{flag}");
        assert!(found.hidden.contains_key(MAIN), "{flag}");
        assert_ne!(found.files[MAIN], unchanged.files[MAIN]);
    }
}

#[test]
fn file_that_a_sparse_checkout_left_out_is_named() {
    let tree = Tree::new();
    tree.git(&["sparse-checkout", "set", "--no-cone", "/*", "!/lambda-src/hello/src/main.rs"]);
    assert!(!main_of(&tree).exists());
    let found = look(&tree);
    assert_eq!(found.left_out, [MAIN]);
    assert!(found.changed.is_empty());
}

#[test]
fn line_endings_of_this_machine_are_named_and_hashed() {
    let tree = Tree::new();
    let before = look(&tree);
    tree.git(&["config", "core.autocrlf", "true"]);
    std::fs::remove_file(main_of(&tree)).unwrap();
    tree.git(&["checkout", "--", MAIN]);
    assert_eq!(std::fs::read(main_of(&tree)).unwrap(), b"fn main() {}\r\n");
    assert_eq!(tree.git(&["status", "--porcelain"]), "");
    let found = look(&tree);
    assert!(found.changed.is_empty(), "clean, as git says");
    assert!(found.converted[MAIN].contains("core.autocrlf"), "{:?}", found.converted);
    assert_ne!(found.files[MAIN], before.files[MAIN], "the digest is that of the bytes on disk");
}

#[test]
fn line_endings_that_the_commit_asks_for_are_as_committed() {
    let tree = Tree::new();
    tree.write(".gitattributes", "main.rs text eol=crlf\n");
    tree.commit("x");
    std::fs::remove_file(main_of(&tree)).unwrap();
    tree.git(&["checkout", "--", MAIN]);
    assert_eq!(std::fs::read(main_of(&tree)).unwrap(), b"fn main() {}\r\n");
    let found = look(&tree);
    assert!(found.changed.is_empty() && found.converted.is_empty(), "{found:?}");
    // An editor's other line endings: git says clean, a checkout writes other bytes.
    tree.write(MAIN, "fn main() {\r\n}\r\n");
    tree.commit("x");
    assert!(look(&tree).converted.is_empty());
    tree.write(MAIN, "fn main() {\n}\r\n");
    tree.git(&["add", MAIN]);
    assert_eq!(tree.git(&["status", "--porcelain"]), "");
    let found = look(&tree);
    assert!(found.changed.is_empty());
    assert!(found.converted[MAIN].contains("eol"), "{:?}", found.converted);
}

#[test]
fn first_of_several_converted_files_that_differs_is_named() {
    let tree = Tree::new();
    tree.write(".gitattributes", "*.txt text eol=crlf\n");
    let names = ["a.txt", "b and c.txt", "d.txt"].map(|name| format!("lambda-src/hello/src/{name}"));
    for name in &names {
        tree.write(name, "one\r\ntwo\r\n");
    }
    std::os::unix::fs::symlink("a.txt", tree.root().join("lambda-src/hello/src/link.txt")).unwrap();
    tree.commit("x");
    let found = look(&tree);
    assert!(found.changed.is_empty() && found.converted.is_empty(), "{found:?}");
    for name in &names[1..] {
        tree.write(name, "one\ntwo\r\n");
    }
    tree.git(&["add", "--all"]);
    assert_eq!(tree.git(&["status", "--porcelain"]), "");
    let found = look(&tree);
    assert!(found.changed.is_empty());
    assert_eq!(found.converted.keys().collect::<Vec<_>>(), [&names[1]]);
}

#[test]
fn line_feeds_are_as_committed_and_other_line_endings_are_named() {
    let tree = Tree::new();
    tree.write(".gitattributes", "* text=auto eol=lf\n");
    tree.commit("x");
    let found = look(&tree);
    assert!(found.changed.is_empty() && found.converted.is_empty(), "{found:?}");
    // Git says clean, as it would commit line feeds; a checkout writes other bytes.
    tree.write(MAIN, "fn main() {}\r\n");
    tree.git(&["add", MAIN]);
    assert_eq!(tree.git(&["status", "--porcelain"]), "");
    let found = look(&tree);
    assert!(found.changed.is_empty());
    assert!(found.converted[MAIN].contains("eol"), "{:?}", found.converted);
    tree.write(MAIN, "fn main() { }\n");
    assert_eq!(look(&tree).changed, [MAIN]);
}

/// With an attribute that is unset nothing converts the file: its bytes decide, whatever git's index says of it.
#[test]
fn file_whose_attributes_are_unset_is_compared_by_its_bytes() {
    for attributes in ["-filter", "-text eol=lf", "-crlf", "-text -filter -ident -working-tree-encoding"] {
        let tree = Tree::new();
        tree.write(".gitattributes", &format!("main.rs {attributes}\n"));
        // Git then trusts size and time.
        tree.git(&["config", "core.trustctime", "false"]);
        tree.git(&["config", "core.checkStat", "minimal"]);
        let file = std::fs::File::options().write(true).open(main_of(&tree)).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        file.set_modified(long_ago).unwrap();
        tree.git(&["add", "--all"]);
        tree.git(&["commit", "--quiet", "--message", "x"]);
        assert!(look(&tree).changed.is_empty(), "{attributes}");
        tree.write(MAIN, "fn main() []\n");
        let file = std::fs::File::options().write(true).open(main_of(&tree)).unwrap();
        file.set_modified(long_ago).unwrap();
        assert_eq!(tree.git(&["status", "--porcelain"]), "", "git does not see it");
        assert_eq!(look(&tree).changed, [MAIN], "{attributes}");
    }
}

/// Git's index notes times, which stay as they are when an attribute comes or goes.
#[test]
fn filter_that_came_after_the_commit_makes_the_file_differ() {
    let tree = Tree::new();
    tree.git(&["config", "filter.rev.clean", "rev"]);
    tree.git(&["config", "filter.rev.smudge", "rev"]);
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let file = std::fs::File::options().write(true).open(main_of(&tree)).unwrap();
    file.set_modified(long_ago).unwrap();
    tree.git(&["add", "--all"]);
    assert!(look(&tree).changed.is_empty());
    tree.write(".gitattributes", "*.rs filter=rev\n");
    assert_eq!(tree.git(&["status", "--porcelain", "--untracked-files=no"]), "", "git goes by the time");
    assert_eq!(look(&tree).changed, [MAIN], "a checkout elsewhere writes it through the filter");
}

#[test]
fn file_behind_a_filter_is_clean_as_git_says() {
    let tree = Tree::new();
    tree.write(".gitattributes", "*.rs filter=rev\n");
    tree.git(&["config", "filter.rev.clean", "rev"]);
    tree.git(&["config", "filter.rev.smudge", "rev"]);
    tree.git(&["add", "--all"]);
    // By its times git would take the committed file for unchanged, and leave the filter out.
    tree.git(&["add", "--renormalize", "."]);
    tree.git(&["commit", "--quiet", "--message", "x"]);
    std::fs::remove_file(main_of(&tree)).unwrap();
    tree.git(&["checkout", "--", MAIN]);
    let before = look(&tree);
    assert!(before.changed.is_empty(), "{:?}", before.changed);
    // Another time on the same bytes: git runs the filter again.
    tree.write(MAIN, "fn main() {}\n");
    let found = look(&tree);
    assert!(found.changed.is_empty(), "{:?}", found.changed);
    tree.write(MAIN, "fn main() { 1 }\n");
    let found = look(&tree);
    assert_eq!(found.changed, [MAIN]);
    assert_ne!(found.files[MAIN], before.files[MAIN]);
}

/// Adds a repository of one file as the submodule `libs/shared` below the function; returns its origin.
fn with_submodule(tree: &Tree) -> tempfile::TempDir {
    let origin = tempfile::tempdir().unwrap();
    let inner = git2::Repository::init(origin.path()).unwrap();
    std::fs::write(origin.path().join("lib.rs"), "one").unwrap();
    let mut index = inner.index().unwrap();
    index.add_path(std::path::Path::new("lib.rs")).unwrap();
    let id = index.write_tree().unwrap();
    let ada = git2::Signature::new("Ada", "ada@example.com", &git2::Time::new(1_793_534_400, 0)).unwrap();
    inner.commit(Some("HEAD"), &ada, &ada, "one", &inner.find_tree(id).unwrap(), &[]).unwrap();
    let url = origin.path().to_string_lossy().into_owned();
    let add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url];
    tree.git(&[&add[..], &["lambda-src/hello/libs/shared"]].concat());
    tree.git(&["commit", "--quiet", "--all", "--message", "feat: a submodule"]);
    origin
}

#[test]
fn submodule_counts_with_its_commit_and_its_changes() {
    let tree = Tree::new();
    let _origin = with_submodule(&tree);
    let file = "lambda-src/hello/libs/shared/lib.rs";
    let clean = look(&tree);
    assert!(clean.changed.is_empty(), "{clean:?}");
    assert!(clean.files.contains_key(file));
    tree.write(file, "two");
    let edited = look(&tree);
    assert_eq!(edited.changed, [file]);
    assert_ne!(edited.files[file], clean.files[file]);
    let folder = "lambda-src/hello/libs/shared";
    tree.git(&["-C", folder, "commit", "--quiet", "--all", "--message", "two"]);
    let moved = look(&tree);
    assert_eq!(moved.changed, [folder]);
    tree.git(&["commit", "--quiet", "--all", "--message", "the other word"]);
    let committed = look(&tree);
    assert!(committed.changed.is_empty(), "{:?}", committed.changed);
    assert_eq!(committed.files[file], edited.files[file]);
    // A folder inside the submodule is found as well.
    let inside = tree.repository().work_tree(&[file.to_owned()]).unwrap();
    assert_eq!(inside.files.keys().collect::<Vec<_>>(), [file]);
    tree.git(&["submodule", "--quiet", "deinit", "--force", "--all"]);
    assert_eq!(look(&tree).missing_submodules, [folder]);
}

#[test]
fn repository_in_a_folder_that_is_no_submodule_is_named() {
    let tree = Tree::new();
    tree.git(&["init", "--quiet", "lambda-src/hello/vendor"]);
    tree.write("lambda-src/hello/vendor/x.rs", "");
    tree.git(&["-C", "lambda-src/hello/vendor", "add", "x.rs"]);
    tree.git(&["-C", "lambda-src/hello/vendor", "commit", "--quiet", "--message", "x"]);
    assert_eq!(look(&tree).embedded, ["lambda-src/hello/vendor/"]);
}

#[test]
fn split_and_sparse_indexes_give_the_same_files() {
    let plain = Tree::new();
    let clean = look(&plain);
    type Arrange = fn(&Tree);
    let indexes: [(&str, Arrange); 2] = [
        ("split", |tree| {
            tree.git(&["update-index", "--split-index"]);
        }),
        ("sparse", |tree| {
            tree.write("elsewhere/deep/x", "x");
            tree.commit("x");
            tree.git(&[
                "sparse-checkout",
                "set",
                "--cone",
                "--sparse-index",
                "lambda-src",
                "crates",
                "vendor",
            ]);
        }),
    ];
    for (name, arrange) in indexes {
        let tree = Tree::new();
        arrange(&tree);
        let index = git2::Repository::open(tree.root()).unwrap().index();
        assert!(index.is_err(), "{name}: libgit2 reads this index, so the test shows nothing");
        let found = look(&tree);
        assert_eq!((&found.files, &found.changed), (&clean.files, &clean.changed), "{name}");
        tree.write(MAIN, "fn main() { 1 }\n");
        tree.write("lambda-src/hello/src/new.rs", "");
        let found = look(&tree);
        assert_eq!(found.changed, [MAIN, "lambda-src/hello/src/new.rs"], "{name}");
        tree.git(&["update-index", "--assume-unchanged", MAIN]);
        assert!(look(&tree).hidden.contains_key(MAIN), "{name}");
    }
}

#[test]
fn formats_that_are_not_read_are_refused_by_name() {
    // As `git init --ref-format=reftable` writes it; an older git does not have that option.
    let reftable = Tree::new();
    let extension = "[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefstorage = reftable\n";
    std::fs::write(reftable.root().join(".git/config"), extension).unwrap();
    let sha256 = Tree::without_repository("");
    sha256.git(&["init", "--quiet", "--object-format=sha256"]);
    sha256.git(&["add", "--all"]);
    sha256.git(&["commit", "--quiet", "--message", "x"]);
    for (tree, words, hint) in
        [(reftable, "reftable", "git refs migrate"), (sha256, "SHA-256", "fast-export")]
    {
        let failure = tree.failure();
        assert!(failure.message().contains(words), "{failure}");
        assert!(failure.report().hint.is_some_and(|text| text.contains(hint)), "{words}");
    }
}

#[test]
fn worktree_of_a_repository_is_read_like_the_repository() {
    let tree = Tree::new();
    let outside = tempfile::tempdir().unwrap();
    let elsewhere = outside.path().join("worktree");
    tree.git(&["worktree", "add", "--quiet", &elsewhere.to_string_lossy(), "HEAD"]);
    let found = Repository::open(&elsewhere).unwrap().work_tree(&[HELLO.to_owned()]).unwrap();
    assert_eq!(found.files, look(&tree).files);
    assert!(found.changed.is_empty());
}

#[test]
fn copy_has_submodules_filtered_files_and_changes() {
    let tree = Tree::new();
    let _origin = with_submodule(&tree);
    tree.write(".gitattributes", "*.rev filter=rev\n");
    tree.git(&["config", "filter.rev.clean", "rev"]);
    tree.git(&["config", "filter.rev.smudge", "rev"]);
    tree.write("lambda-src/hello/word.rev", "drow\n");
    tree.git(&["add", "--all"]);
    tree.git(&["commit", "--quiet", "--message", "x"]);
    let copy = |name: &str| {
        let to = tree.root().join("target").join(name);
        let root = tree.repository().check_out_copy(&tree.git(&["rev-parse", "HEAD"]), &to).unwrap();
        tree.repository().copy_changes_to(&root).unwrap();
        Repository::open(&root).unwrap().work_tree(&[HELLO.to_owned()]).unwrap().files
    };
    assert_eq!(copy("committed"), look(&tree).files);
    let inner = "lambda-src/hello/libs/shared";
    tree.write(&format!("{inner}/lib.rs"), "two");
    assert_eq!(copy("changed"), look(&tree).files);
    tree.git(&["-C", inner, "commit", "--quiet", "--all", "--message", "two"]);
    assert_eq!(copy("moved"), look(&tree).files);
}

#[test]
fn ignored_file_that_was_removed_from_the_index_is_gone() {
    let tree = Tree::new();
    tree.write("lambda-src/hello/notes.ignored", "x");
    tree.git(&["add", "--force", "lambda-src/hello/notes.ignored"]);
    tree.git(&["commit", "--quiet", "--message", "x"]);
    assert!(look(&tree).files.contains_key("lambda-src/hello/notes.ignored"));
    tree.git(&["rm", "--quiet", "--cached", "lambda-src/hello/notes.ignored"]);
    let found = look(&tree);
    assert!(!found.files.contains_key("lambda-src/hello/notes.ignored"));
    assert_eq!(found.changed, ["lambda-src/hello/notes.ignored"]);
}

/// A pattern for folders does not match a link to a folder: gitignore(5).
#[test]
fn link_to_a_folder_is_not_ignored_by_a_pattern_for_folders() {
    let tree = Tree::new();
    tree.write(".gitignore", "target/\ngenerated/\n");
    tree.commit("x");
    let link = tree.root().join("lambda-src/hello/generated");
    std::os::unix::fs::symlink("../../crates", link).unwrap();
    assert_eq!(look(&tree).changed, ["lambda-src/hello/generated"]);
}

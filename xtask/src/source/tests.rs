//! Sources in real git repositories, made for each test.

mod tree;

use std::time::Instant;

use self::tree::HELLO;
pub(crate) use self::tree::{Tree, hello};
use super::Repository;
use crate::failure::FailureKind;

#[test]
fn without_a_repository_or_a_commit_there_is_no_source() {
    let tree = Tree::without_repository("");
    let failure = tree.failure();
    assert_eq!(failure.kind(), FailureKind::Usage);
    assert!(failure.message().starts_with("no git repository around"), "{failure}");
    tree.git(&["init", "--quiet"]);
    let failure = tree.failure();
    assert_eq!(failure.kind(), FailureKind::Usage);
    assert_eq!(failure.message(), "this repository has no commit yet");
    assert!(failure.report().hint.is_some());
}

#[test]
fn a_bare_repository_is_refused() {
    let tree = Tree::new();
    tree.git(&["clone", "--quiet", "--bare", ".", "bare.git"]);
    let failure = Repository::open(&tree.root().join("bare.git")).err().expect("a bare repository");
    assert!(failure.message().contains("bare"), "{failure}");
}

#[test]
fn a_source_says_where_it_stands() {
    let tree = Tree::new();
    tree.git(&["remote", "add", "origin", "https://ada:secret@example.com/shop.git"]);
    let source = tree.look();
    assert_eq!(source.commit, tree.git(&["rev-parse", "HEAD"]));
    assert_eq!(source.branch.as_deref(), Some("main"));
    assert_eq!(source.committed_at.to_string(), "2026-11-01T12:00:00Z");
    assert_eq!(source.repository.as_deref(), Some("https://example.com/shop.git"));
    assert!(!source.dirty);
    tree.git(&["checkout", "--quiet", "--detach"]);
    let detached = tree.look();
    assert_eq!((detached.branch, detached.commit), (None, source.commit));
    assert_eq!(detached.inputs_digest, source.inputs_digest);
}

/// A change of the tree.
type Edit = fn(&Tree);

#[test]
fn every_kind_of_change_to_an_input_makes_it_dirty() {
    let main = "lambda-src/hello/src/main.rs";
    let changes: [(&str, Edit); 8] = [
        ("modified", |tree| tree.write("lambda-src/hello/src/main.rs", "fn main() { }\n")),
        ("modified, same size", |tree| tree.write("lambda-src/hello/src/main.rs", "fn main() []\n")),
        ("staged", |tree| {
            tree.write("lambda-src/hello/src/main.rs", "fn main() { }\n");
            tree.git(&["add", "--all"]);
        }),
        ("staged, then put back in the tree alone", |tree| {
            tree.write("lambda-src/hello/src/main.rs", "fn main() { }\n");
            tree.git(&["add", "--all"]);
            tree.write("lambda-src/hello/src/main.rs", "fn main() {}\n");
        }),
        ("deleted", |tree| std::fs::remove_file(tree.root().join("lambda-src/hello/src/main.rs")).unwrap()),
        ("untracked", |tree| tree.write("lambda-src/hello/src/new.rs", "")),
        ("untracked in a new folder", |tree| tree.write("lambda-src/hello/src/deep/er/new.rs", "")),
        ("an untracked extra input", |tree| tree.write("data/more.json", "{}")),
    ];
    let clean = Tree::new().digest();
    for (what, change) in changes {
        let tree = Tree::new();
        assert!(tree.root().join(main).is_file());
        change(&tree);
        let source = tree.look();
        assert!(source.dirty, "{what}");
        // What is built is what lies in the tree, whatever is staged.
        let put_back = what.contains("put back");
        assert_eq!(source.inputs_digest == clean, put_back, "{what}");
        tree.commit("x");
        let committed = tree.look();
        assert!(!committed.dirty, "{what}, committed");
        assert_eq!(committed.inputs_digest, source.inputs_digest, "{what}, committed");
    }
}

#[test]
fn folders_whose_names_begin_alike_are_looked_at_each() {
    let tree = Tree::new();
    let files = ["a/api/f", "a/api-image/f", "a/api.d/f", "a/http/f"];
    files.iter().for_each(|path| tree.write(path, "one"));
    tree.commit("x");
    let look = || {
        let repository = Repository::open(&tree.root()).unwrap();
        repository
            .work_tree(&["a/api", "a/api-image", "a/api.d", "a/http"].map(str::to_owned))
            .unwrap()
            .changed
    };
    assert!(look().is_empty());
    for path in files {
        tree.write(path, "two");
        assert_eq!(look(), [path]);
        tree.write(path, "one");
    }
}

#[test]
fn what_is_no_input_neither_dirties_nor_changes_the_digest() {
    let changes: [(&str, Edit); 9] = [
        ("README.md", |tree| tree.write("README.md", "# Other\n")),
        ("another function", |tree| tree.write("lambda-src/hello-two/src/main.rs", "")),
        ("another crate", |tree| tree.write("crates/other/src/lib.rs", "fn x() {}")),
        ("an ignored file", |tree| tree.write("lambda-src/hello/notes.ignored", "x")),
        ("an ignored folder", |tree| tree.write("lambda-src/hello/target/x", "x")),
        ("a file that no glob names", |tree| tree.write("data/deep/x.json", "x")),
        ("a file beside a glob", |tree| tree.write("data/x.csv", "x")),
        ("the time of a file", |tree| {
            let path = tree.root().join("lambda-src/hello/src/main.rs");
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, text).unwrap();
        }),
        ("Terraform", |tree| tree.write("terraform/stacks/s/main.tf", "")),
    ];
    for (what, change) in changes {
        let tree = Tree::new();
        let before = tree.digest();
        change(&tree);
        let source = tree.look();
        assert!(!source.dirty, "{what}");
        assert_eq!(source.inputs_digest, before, "{what}");
        tree.commit("x");
        assert_eq!(tree.digest(), before, "{what}, committed");
    }
}

#[test]
fn every_input_enters_the_digest_and_nothing_else_of_the_shared_files_does() {
    let changes: [(&str, bool, Edit); 20] = [
        ("a file of the function", true, |tree| tree.write("lambda-src/hello/src/more.rs", "")),
        ("the function's settings", true, |tree| {
            tree.replace("lambda-src/hello/function.toml", "data/", "info/");
        }),
        ("a crate that it depends on", true, |tree| tree.write("crates/shared/src/lib.rs", "fn x() {}")),
        ("a crate behind that", true, |tree| tree.write("crates/deep/src/lib.rs", "fn x() {}")),
        ("a crate that it does not depend on", false, |tree| {
            tree.write("crates/other/src/lib.rs", "fn x() {}")
        }),
        ("a workspace dependency that it inherits", true, |tree| {
            tree.replace("Cargo.toml", "serde = \"1\"", "serde = { version = \"1\", features = [\"rc\"] }");
        }),
        ("a workspace dependency that it does not inherit", false, |tree| {
            tree.replace("Cargo.toml", "unused = \"1\"", "unused = \"2\"");
        }),
        ("a comment in the workspace's manifest", false, |tree| {
            tree.replace("Cargo.toml", "[profile.release]", "# quick\n[profile.release]");
        }),
        ("[profile]", true, |tree| tree.replace("Cargo.toml", "lto = true", "lto = false")),
        ("[patch]", true, |tree| {
            tree.replace(
                "Cargo.toml",
                "[profile.release]",
                "[patch.crates-io]\nserde = { git = \"x\" }\n[profile.release]",
            );
        }),
        ("[workspace.package]", true, |tree| tree.replace("Cargo.toml", "2024", "2021")),
        ("a locked package that it reaches", true, |tree| tree.replace("Cargo.lock", "1.0.200", "1.0.201")),
        ("a locked checksum behind a crate", true, |tree| tree.replace("Cargo.lock", "\"bb\"", "\"be\"")),
        ("another version of a locked package", false, |tree| tree.replace("Cargo.lock", "\"cc\"", "\"ce\"")),
        ("a locked package that it does not reach", false, |tree| {
            tree.replace("Cargo.lock", "3.0.0", "3.0.1")
        }),
        ("the toolchain", true, |tree| tree.replace("rust-toolchain.toml", "1.95", "1.96")),
        ("Cargo's configuration", true, |tree| tree.write(".cargo/config.toml", "[build]\nrustflags = []\n")),
        ("a file that a glob names", true, |tree| tree.write("data/greetings.json", "{ }\n")),
        ("an executable bit", true, |tree| {
            use std::os::unix::fs::PermissionsExt as _;
            let path = tree.root().join("lambda-src/hello/src/main.rs");
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("a name", true, |tree| {
            let folder = tree.root().join("lambda-src/hello/src");
            std::fs::create_dir(folder.join("bin")).unwrap();
            std::fs::rename(folder.join("main.rs"), folder.join("bin/main.rs")).unwrap();
        }),
    ];
    let tree = Tree::new();
    let clean = tree.digest();
    for (what, enters, change) in changes {
        let tree = Tree::new();
        assert_eq!(tree.digest(), clean, "the digest is the same in another folder");
        change(&tree);
        assert_eq!(tree.digest() != clean, enters, "{what}");
        tree.commit("x");
        assert_eq!(tree.digest() != clean, enters, "{what}, committed");
    }
}

#[test]
fn a_lock_file_that_does_not_know_the_function_and_a_crate_outside_are_told() {
    let tree = Tree::new();
    tree.replace("Cargo.lock", "name = \"hello\"", "name = \"goodbye\"");
    let failure = tree.failure();
    assert_eq!(failure.message(), "Cargo.lock does not know the package `hello`");
    let tree = Tree::new();
    tree.replace("lambda-src/hello/Cargo.toml", "../../crates/shared", "../../../elsewhere");
    let failure = tree.failure();
    assert!(failure.message().contains("`shared` lies outside the repository"), "{failure}");
    let tree = Tree::new();
    std::fs::remove_file(tree.root().join("Cargo.lock")).unwrap();
    assert!(tree.failure().report().hint.is_some_and(|hint| hint.contains("commit Cargo.lock")));
}

#[test]
fn commits_count_for_the_paths_that_they_touch() {
    let tree = Tree::new();
    let first = tree.git(&["rev-parse", "HEAD"]);
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 1; }\n");
    let touched = tree.commit("fix: one\n\nbody");
    tree.write("README.md", "elsewhere\n");
    tree.commit("docs: elsewhere");
    tree.git(&["checkout", "--quiet", "-b", "side", &first]);
    tree.write("crates/shared/src/lib.rs", "fn side() {}\n");
    let side = tree.commit("feat: side");
    tree.git(&["checkout", "--quiet", "main"]);
    tree.git(&["merge", "--quiet", "--no-ff", "--message", "merge", "side"]);
    let repository = tree.repository();
    let paths = tree.look().inputs.paths;
    let changes = repository.changes(Some(&first), &paths).unwrap();
    let mut commits: Vec<&str> = changes.iter().map(|change| change.commit.as_str()).collect();
    commits.sort_unstable();
    let mut expected = [touched.as_str(), side.as_str()];
    expected.sort_unstable();
    assert_eq!(commits, expected, "neither what lies elsewhere nor the merge itself");
    assert!(changes.iter().any(|change| change.message.trim() == "fix: one\n\nbody"));
    let hello = vec![HELLO.to_owned()];
    assert_eq!(repository.changes(Some(&first), &hello).unwrap().len(), 1);
    assert_eq!(repository.changes(None, &hello).unwrap().len(), 2);
    let time = tree.git(&["show", "--no-patch", "--format=%cI", &touched]);
    let time: jiff::Timestamp = time.parse().unwrap();
    assert_eq!(repository.last_touched(&hello).unwrap(), time);
    assert!(repository.reaches(&first) && repository.reaches(&side));
    tree.git(&["checkout", "--quiet", &first]);
    assert!(!tree.repository().reaches(&side));
    assert!(!tree.repository().reaches(&"0".repeat(40)) && !tree.repository().reaches("no commit"));
}

#[test]
fn a_project_may_lie_in_a_folder_of_its_repository() {
    let tree = Tree::below("services/shop");
    assert_eq!(tree.digest(), Tree::new().digest(), "paths are the project's");
    std::fs::write(tree.folder.path().join("elsewhere.txt"), "x").unwrap();
    std::fs::create_dir_all(tree.folder.path().join(HELLO)).unwrap();
    std::fs::write(tree.folder.path().join(HELLO).join("namesake.rs"), "x").unwrap();
    assert!(!tree.look().dirty, "what lies outside the project is none of its own");
    tree.commit("feat: elsewhere");
    let repository = tree.repository();
    assert_eq!(repository.changes(None, &tree.look().inputs.paths).unwrap().len(), 1);
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 2; }\n");
    let source = tree.look();
    assert!(source.dirty);
    assert_eq!(repository.work_tree(&[HELLO.to_owned()]).unwrap().changed, ["lambda-src/hello/src/main.rs"]);
}

#[test]
fn tags_are_annotated_written_once_and_never_moved() {
    let tree = Tree::new();
    let repository = tree.repository();
    let first = tree.git(&["rev-parse", "HEAD"]);
    assert!(repository.tag("hello-v0.1.0", &first, "hello 0.1.0").unwrap());
    assert!(!repository.tag("hello-v0.1.0", &first, "hello 0.1.0").unwrap(), "it is there");
    assert_eq!(tree.git(&["cat-file", "-t", "hello-v0.1.0"]), "tag");
    let second = tree.commit("feat: more");
    let failure = repository.tag("hello-v0.1.0", &second, "hello 0.1.0").unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    tree.git(&["tag", "hello-v0.2.0"]);
    tree.git(&["tag", "hello-two-v9.0.0"]);
    let tags = repository.tags("hello-v").unwrap();
    assert_eq!(
        tags.into_iter().collect::<Vec<_>>(),
        [("0.1.0".to_owned(), first), ("0.2.0".to_owned(), second)]
    );
}

#[test]
fn a_shallow_clone_knows_that_it_is_one() {
    let tree = Tree::new();
    tree.commit("feat: more");
    assert!(!tree.repository().is_shallow());
    let (from, to) = (format!("file://{}", tree.folder.path().display()), tree.root().join("clone"));
    tree.git(&["clone", "--quiet", "--depth=1", &from, &to.to_string_lossy()]);
    assert!(Repository::open(&to).unwrap().is_shallow());
}

#[test]
fn a_link_is_its_target_and_a_file_name_may_be_anything() {
    let tree = Tree::new();
    let link = |target: &str| {
        let path = tree.root().join("lambda-src/hello/link");
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(target, path).unwrap();
        tree.digest()
    };
    let (one, two) = (link("a"), link("b"));
    assert_ne!(one, two);
    tree.commit("x");
    assert_eq!(tree.digest(), two, "committed or not");
    tree.write("lambda-src/hello/grüße und [klammern].txt", "x");
    let dirty = tree.look();
    assert!(dirty.dirty);
    tree.commit("x");
    assert_eq!(tree.digest(), dirty.inputs_digest);
}

/// The look is on every command's way: its time may grow with what changed, not with the repository.
#[test]
fn a_look_at_a_repository_of_many_files_takes_moments() {
    let tree = Tree::new();
    for folder in 0..50 {
        for file in 0..40 {
            tree.write(&format!("elsewhere/{folder}/{file}.txt"), "some text\n");
        }
    }
    tree.commit("many");
    tree.digest();
    let begun = Instant::now();
    tree.digest();
    let took = begun.elapsed();
    assert!(took.as_secs_f64() < 5.0, "{took:?} for 2,000 files");
}

/// This repository's own functions over HTTP: a change of what they have in common is a change of each.
#[test]
fn a_crate_that_functions_share_is_an_input_of_each_of_them() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let project = crate::settings::Project::load(&root).unwrap();
    let repository = Repository::open(&root).unwrap();
    for function in ["tracer", "bucket-api-zip", "bucket-api-image"] {
        let source = super::Source::look(&project, &repository, &function.parse().unwrap()).unwrap();
        let shared = "lambda-src/http-function/src/event.rs";
        assert!(source.inputs.files.contains_key(shared), "{function} without {shared}");
    }
}

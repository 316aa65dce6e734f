//! Sources in real git repositories, made for each test.

mod cargo_layouts;
mod git_layouts;
mod history;
mod tree;

use std::time::Instant;

use self::tree::HELLO;
pub(crate) use self::tree::{Tree, hello, process_env};
use super::{Gap, Repository};
use crate::failure::FailureKind;

#[test]
fn source_needs_a_repository_with_a_commit() {
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
fn bare_repository_is_refused() {
    let tree = Tree::new();
    tree.git(&["clone", "--quiet", "--bare", ".", "bare.git"]);
    let failure = Repository::open(&tree.root().join("bare.git")).err().expect("a bare repository");
    assert!(failure.message().contains("bare"), "{failure}");
}

#[test]
fn source_has_commit_branch_time_and_remote() {
    let tree = Tree::new();
    tree.git(&["remote", "add", "origin", "https://ada:secret@example.com/shop.git"]);
    let source = tree.source();
    assert_eq!(source.commit, tree.git(&["rev-parse", "HEAD"]));
    assert_eq!(source.branch.as_deref(), Some("main"));
    assert_eq!(source.committed_at.to_string(), "2026-11-01T12:00:00Z");
    assert_eq!(source.repository.as_deref(), Some("https://example.com/shop.git"));
    assert!(!source.dirty);
    tree.git(&["checkout", "--quiet", "--detach"]);
    let detached = tree.source();
    assert_eq!((detached.branch, detached.commit), (None, source.commit));
    assert_eq!(detached.inputs_digest, source.inputs_digest);
}

/// A change of the work tree.
type Edit = fn(&Tree);

#[test]
fn inputs_are_dirty_after_any_kind_of_change() {
    let main = "lambda-src/hello/src/main.rs";
    let changes: [(&str, Edit); 9] = [
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
        ("deleted", |tree| std::fs::remove_file(tree.root().join("lambda-src/hello/src/word.rs")).unwrap()),
        ("an extra input, deleted", |tree| {
            std::fs::remove_file(tree.root().join("data/greetings.json")).unwrap();
        }),
        ("untracked", |tree| tree.write("lambda-src/hello/src/new.rs", "")),
        ("untracked in a new folder", |tree| tree.write("lambda-src/hello/src/deep/er/new.rs", "")),
        ("an untracked extra input", |tree| tree.write("data/more.json", "{}")),
    ];
    let clean = Tree::new().digest();
    for (what, change) in changes {
        let tree = Tree::new();
        assert!(tree.root().join(main).is_file());
        change(&tree);
        let source = tree.source();
        assert!(source.dirty, "{what}");
        // The work tree is built, whatever is staged.
        let put_back = what.contains("put back");
        assert_eq!(source.inputs_digest == clean, put_back, "{what}");
        tree.commit("x");
        let committed = tree.source();
        assert!(!committed.dirty, "{what}, committed");
        assert_eq!(committed.inputs_digest, source.inputs_digest, "{what}, committed");
    }
}

#[test]
fn changes_are_found_in_folders_whose_names_begin_alike() {
    let tree = Tree::new();
    let files = ["a/api/f", "a/api-image/f", "a/api.d/f", "a/http/f"];
    files.iter().for_each(|path| tree.write(path, "one"));
    tree.commit("x");
    let changed = || {
        let repository = Repository::open(&tree.root()).unwrap();
        repository
            .work_tree(&["a/api", "a/api-image", "a/api.d", "a/http"].map(str::to_owned))
            .unwrap()
            .changed
    };
    assert!(changed().is_empty());
    for path in files {
        tree.write(path, "two");
        assert_eq!(changed(), [path]);
        tree.write(path, "one");
    }
}

#[test]
fn files_that_are_not_inputs_do_not_change_the_digest() {
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
        let source = tree.source();
        assert!(!source.dirty, "{what}");
        assert_eq!(source.inputs_digest, before, "{what}");
        tree.commit("x");
        assert_eq!(tree.digest(), before, "{what}, committed");
    }
}

#[test]
fn digest_covers_every_input_and_only_the_parts_of_shared_files_that_count() {
    let changes: [(&str, bool, Edit); 17] = [
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
            tree.replace("Cargo.toml", "\"crates/extra\" }", "\"crates/extra\", features = [\"rc\"] }");
        }),
        ("a workspace dependency that it does not inherit", false, |tree| {
            tree.replace("Cargo.toml", "unused = \"1\"", "unused = \"2\"");
        }),
        ("a comment in the workspace's manifest", false, |tree| {
            tree.replace("Cargo.toml", "[profile.release]", "# quick\n[profile.release]");
        }),
        ("[profile]", true, |tree| tree.replace("Cargo.toml", "lto = true", "lto = false")),
        ("a package that only its tests use", false, |tree| {
            tree.write("crates/other/src/lib.rs", "fn test_helper() {}");
        }),
        ("a vendored package", true, |tree| tree.write("vendor/itoa/src/lib.rs", "fn edited() {}")),
        ("[workspace.package]", true, |tree| tree.replace("Cargo.toml", "2024", "2021")),
        ("the toolchain", true, |tree| tree.replace("rust-toolchain.toml", "1.95", "1.96")),
        ("Cargo's configuration", true, |tree| {
            tree.replace(
                ".cargo/config.toml",
                "[source.crates-io]",
                "[build]\nrustflags = []\n[source.crates-io]",
            );
        }),
        ("a file that a glob names", true, |tree| tree.write("data/greetings.json", "{ }\n")),
        ("an executable bit", true, |tree| {
            use std::os::unix::fs::PermissionsExt as _;
            let path = tree.root().join("lambda-src/hello/src/main.rs");
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("a name", true, |tree| {
            let folder = tree.root().join("lambda-src/hello/src");
            std::fs::rename(folder.join("word.rs"), folder.join("words.rs")).unwrap();
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
fn commits_are_listed_by_the_paths_that_they_change() {
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
    let paths = tree.source().inputs.paths;
    let changes = repository.changes(Some(&first), &paths).unwrap();
    let own = changes.iter().filter(|change| !change.merge);
    let mut commits: Vec<&str> = own.map(|change| change.commit.as_str()).collect();
    commits.sort_unstable();
    let mut expected = [touched.as_str(), side.as_str()];
    expected.sort_unstable();
    assert_eq!(commits, expected, "no commits elsewhere");
    let merges: Vec<&str> =
        changes.iter().filter(|change| change.merge).map(|change| change.message.trim()).collect();
    assert_eq!(merges, ["merge"], "it brought one of them");
    let after_side = repository.changes(Some(&side), &paths).unwrap();
    assert!(after_side.iter().all(|change| !change.merge), "what it brought was released before");
    assert!(changes.iter().any(|change| change.message.trim() == "fix: one\n\nbody"));
    let hello = vec![HELLO.to_owned()];
    assert_eq!(repository.changes(Some(&first), &hello).unwrap().len(), 1, "the merge brought nothing there");
    assert_eq!(repository.changes(None, &hello).unwrap().len(), 2);
    assert!(repository.head_descends_from(&first).unwrap() && repository.head_descends_from(&side).unwrap());
    tree.git(&["checkout", "--quiet", &first]);
    assert!(!tree.repository().head_descends_from(&side).unwrap());
    assert!(
        !tree.repository().head_descends_from(&"0".repeat(40)).unwrap()
            && !tree.repository().head_descends_from("no commit").unwrap()
    );
}

#[test]
fn project_may_be_in_a_folder_of_its_repository() {
    let tree = Tree::below("services/shop");
    assert_eq!(tree.digest(), Tree::new().digest(), "paths are the project's");
    std::fs::write(tree.folder.path().join("elsewhere.txt"), "x").unwrap();
    std::fs::create_dir_all(tree.folder.path().join(HELLO)).unwrap();
    std::fs::write(tree.folder.path().join(HELLO).join("namesake.rs"), "x").unwrap();
    assert!(!tree.source().dirty, "files outside the project are not inputs");
    tree.commit("feat: elsewhere");
    let repository = tree.repository();
    assert_eq!(repository.changes(None, &tree.source().inputs.paths).unwrap().len(), 1);
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 2; }\n");
    let source = tree.source();
    assert!(source.dirty);
    assert_eq!(repository.work_tree(&[HELLO.to_owned()]).unwrap().changed, ["lambda-src/hello/src/main.rs"]);
}

#[test]
fn tags_are_annotated_and_never_moved() {
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
fn shallow_clone_is_recognized() {
    let tree = Tree::new();
    tree.commit("feat: more");
    assert!(!tree.repository().is_shallow());
    assert_eq!(tree.repository().gap(), None);
    let (from, to) = (format!("file://{}", tree.folder.path().display()), tree.root().join("clone"));
    tree.git(&["clone", "--quiet", "--depth=1", &from, &to.to_string_lossy()]);
    let clone = Repository::open(&to).unwrap();
    assert!(clone.is_shallow());
    assert_eq!(clone.gap(), Some(Gap::Commits));
}

#[test]
fn links_are_hashed_by_target_and_file_names_may_have_any_character() {
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
    let dirty = tree.source();
    assert!(dirty.dirty);
    tree.commit("x");
    assert_eq!(tree.digest(), dirty.inputs_digest);
}

/// Every command reads the inputs: the time may grow with what changed, not with the repository.
#[test]
fn reading_inputs_is_fast_in_a_repository_of_many_files() {
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

/// This repository's functions over HTTP share a crate: its change is a change of each of them.
#[test]
fn shared_crate_is_an_input_of_each_function_that_uses_it() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let project = crate::settings::Project::load(&root).unwrap();
    let repository = Repository::open(&root).unwrap();
    for function in ["tracer", "bucket-api-zip", "bucket-api-image"] {
        let source =
            super::Source::read(&project, &process_env(), &repository, &function.parse().unwrap()).unwrap();
        let shared = "lambda-src/http-function/src/event.rs";
        assert!(source.inputs.files.contains_key(shared), "{function} without {shared}");
    }
}

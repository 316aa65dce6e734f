//! Cargo projects as other people have them: where the sources of a binary come from is what cargo says.

use super::tree::{Tree, hello, process_env};
use crate::source::Source;

/// Returns whether a change of a file changes the digest of `hello`.
fn counts(tree: &Tree, path: &str) -> bool {
    let before = tree.digest();
    tree.write(path, "pub fn edited() {}\n");
    let after = tree.digest();
    before != after
}

#[test]
fn package_that_a_patch_takes_from_the_project_is_an_input() {
    for file in ["Cargo.toml", ".cargo/config.toml"] {
        let tree = Tree::new();
        tree.write("patched/itoa/Cargo.toml", "[package]\nname = \"itoa\"\nversion = \"1.0.0\"\n");
        tree.write("patched/itoa/src/lib.rs", "");
        let text = std::fs::read_to_string(tree.root().join(file)).unwrap();
        tree.write(file, &format!("{text}[patch.crates-io]\nitoa = {{ path = \"{}patched/itoa\" }}\n", ""));
        tree.replace("Cargo.toml", "exclude = [", "exclude = [\"patched\", ");
        tree.replace(
            "Cargo.lock",
            "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n",
            "",
        );
        assert!(counts(&tree, "patched/itoa/src/lib.rs"), "{file}");
        assert!(!counts(&tree, "vendor/itoa/src/lib.rs"), "{file}: it is not compiled any more");
        let source = tree.source();
        let reason = source.inputs.reason("patched/itoa/src/lib.rs");
        assert_eq!(reason, Some("the package `itoa`, which `hello` is compiled with"));
    }
}

#[test]
fn source_files_outside_the_packages_folder_are_inputs() {
    let tree = Tree::new();
    tree.write("src/main.rs", "mod word;\nfn main() {}\n");
    tree.write("src/word.rs", "");
    let manifest = "lambda-src/hello/Cargo.toml";
    let text = std::fs::read_to_string(tree.root().join(manifest)).unwrap();
    tree.write(manifest, &format!("{text}[[bin]]\nname = \"hello\"\npath = \"../../src/main.rs\"\n"));
    assert!(counts(&tree, "src/main.rs"));
    assert!(counts(&tree, "src/word.rs"));
}

#[test]
fn links_are_followed_inside_the_project_and_refused_outside_it() {
    let tree = Tree::new();
    tree.write("shared/word.rs", "one");
    let link = tree.root().join("lambda-src/hello/src/linked.rs");
    std::os::unix::fs::symlink("../../../shared/word.rs", &link).unwrap();
    tree.commit("x");
    assert!(!tree.source().dirty);
    assert!(counts(&tree, "shared/word.rs"));
    assert!(tree.source().dirty);
    assert!(
        tree.source().inputs.paths.contains(&"shared/word.rs".to_owned()),
        "commits to it are the function's"
    );
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(outside.path(), &link).unwrap();
    let failure = tree.failure();
    assert!(failure.message().starts_with("lambda-src/hello/src/linked.rs is a link to "), "{failure}");
    assert!(failure.message().ends_with(", outside the project"), "{failure}");
}

#[test]
fn package_of_the_function_may_lie_anywhere_in_the_workspace() {
    let tree = Tree::new();
    let settings = "lambda-src/hello/function.toml";
    tree.write(
        "crates/other/Cargo.toml",
        "[package]\nname = \"other\"\n[features]\nlambda = []\n[[bin]]\nname = \"create\"\nrequired-features = [\"lambda\"]\n",
    );
    tree.write("crates/other/src/bin/create.rs", "fn main() {}");
    std::fs::remove_file(tree.root().join("lambda-src/hello/Cargo.toml")).unwrap();
    tree.replace("Cargo.toml", "\"lambda-src/*\", ", "");
    tree.replace("Cargo.lock", "[[package]]\nname = \"hello\"\nversion = \"0.0.0\"\ndependencies = [\n \"extra\",\n \"other\",\n \"shared\",\n]\n\n", "");
    let with = |keys: &str| {
        tree.write(settings, &format!("runtime = \"provided.al2023\"\n[build]\nwith = \"cargo\"\n{keys}"));
        Source::read(&tree.project(), &process_env(), &tree.repository(), &hello())
    };
    let message = |keys: &str| {
        let failure = with(keys).unwrap_err();
        let report = failure.report();
        format!("{} / {}", report.message, report.hint.unwrap_or_default())
    };
    assert!(message("").starts_with("the workspace has no package `hello` / "), "{}", message(""));
    let failure = message("package = \"other\"\n");
    assert!(
        failure.starts_with("the package `other` has no binary `other` / name it with binary"),
        "{failure}"
    );
    let failure = message("package = \"other\"\nbinary = \"create\"\n");
    assert!(failure.starts_with("the binary `create` of `other` requires the features lambda"), "{failure}");
    assert!(failure.ends_with("features = [\"lambda\"]"), "{failure}");
    let failure = message("package = \"other\"\nbinary = \"create\"\nfeatures = [\"lamda\"]\n");
    assert!(failure.starts_with("the package `other` has no feature `lamda`"), "{failure}");
    with("package = \"other\"\nbinary = \"create\"\nfeatures = [\"lambda\"]\n").unwrap();
    assert!(counts(&tree, "crates/other/src/bin/create.rs"));
    // Settings of cargo-lambda that Slipway does not read.
    for (file, before, table, key) in [
        ("crates/other/Cargo.toml", "[features]", "package.metadata.lambda.deploy", "include"),
        ("crates/other/Cargo.toml", "[features]", "package.metadata.lambda.bin.create.deploy", "include"),
        ("Cargo.toml", "[workspace]", "workspace.metadata.lambda.build", "features"),
    ] {
        let text = format!("[{table}]\n{key} = [\"x\"]\n{before}");
        tree.replace(file, before, &text);
        let failure = message("package = \"other\"\nbinary = \"create\"\nfeatures = [\"lambda\"]\n");
        assert!(failure.contains(&format!("[{table}] {key}, which Slipway does not read")), "{failure}");
        assert!(
            failure.contains(&format!("write {key} = [\"…\"] under [build] in function.toml")),
            "{failure}"
        );
        tree.replace(file, &text, before);
    }
    with("package = \"other\"\nbinary = \"create\"\nfeatures = [\"lambda\"]\n").unwrap();
}

#[test]
fn configuration_outside_the_project_counts_where_it_decides_bytes() {
    let tree = Tree::below("services/shop");
    let above = tree.folder.path().join(".cargo/config.toml");
    let clean = tree.digest();
    let with = |text: &str| {
        std::fs::create_dir_all(above.parent().unwrap()).unwrap();
        std::fs::write(&above, text).unwrap();
        tree.digest()
    };
    assert_eq!(with("[net]\nretry = 7\n[alias]\nx = \"check\"\n"), clean);
    let flags = with("[build]\nrustflags = [\"-C\", \"opt-level=0\"]\n");
    assert_ne!(flags, clean);
    assert_ne!(with("[build]\nrustflags = [\"-C\", \"opt-level=1\"]\n"), flags);
}

#[test]
fn declared_variables_are_inputs_by_their_digest() {
    let tree = Tree::new();
    tree.replace(
        "lambda-src/hello/function.toml",
        "with = \"cargo\"\n",
        "with = \"cargo\"\nenv = [\"API_BASE\"]\n",
    );
    let digest = |process_env: &crate::settings::ProcessEnvironment| {
        Source::read(&tree.project(), process_env, &tree.repository(), &hello()).unwrap()
    };
    let unset = digest(&process_env());
    let set = digest(&process_env().with_variable("API_BASE", "https://secret"));
    assert_ne!(unset.inputs_digest, set.inputs_digest);
    assert_eq!(unset.inputs.parts["variable API_BASE"], "not set");
    assert!(!format!("{:?}", set.inputs.parts).contains("secret"));
    let undeclared = digest(&process_env().with_variable("OTHER", "x").with_variable("RUSTFLAGS", "-g"));
    assert_eq!(undeclared.inputs_digest, unset.inputs_digest, "it does not reach the build");
}

#[test]
fn inputs_that_this_machine_has_in_another_form_are_refused_with_the_command_that_helps() {
    let tree = Tree::new();
    let main = "lambda-src/hello/src/main.rs";
    let refusal = |tree: &Tree| {
        let report = tree.failure().report();
        format!("{} / {}", report.message, report.hint.unwrap_or_default())
    };
    tree.git(&["config", "core.autocrlf", "true"]);
    std::fs::remove_file(tree.root().join(main)).unwrap();
    tree.git(&["checkout", "--", main]);
    let text = refusal(&tree);
    assert!(
        text.starts_with("lambda-src/hello/src/main.rs is not as a checkout of the commit writes it"),
        "{text}"
    );
    assert!(text.contains("git config core.autocrlf false"), "{text}");

    let tree = Tree::new();
    tree.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    tree.write(
        "lambda-src/hello/model.bin",
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    );
    tree.commit("x");
    let text = refusal(&tree);
    assert!(text.contains("model.bin is a Git LFS pointer") && text.ends_with("git lfs pull"), "{text}");

    let tree = Tree::new();
    tree.git(&["sparse-checkout", "set", "--no-cone", "/*", "!/crates/shared/src/"]);
    let text = refusal(&tree);
    assert!(
        text.contains("cargo cannot resolve") || text.contains("left out crates/shared/src/lib.rs"),
        "{text}"
    );
}

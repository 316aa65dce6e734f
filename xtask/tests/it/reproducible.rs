//! Builds with the same bytes from another folder, another home and another cargo home, and rebuilt releases.

use sha2::{Digest as _, Sha256};

use super::support::EchoProject;
use super::support::sandbox::init_repository;
use crate::require;

#[test]
fn build_in_another_folder_and_cargo_home_has_the_same_bytes() {
    let project = require!(EchoProject::new());
    let kept = project.run(&["build", "--output", "json"]).exits(0).json();
    project.remove_artifacts();
    let cargo_home = project.home.join("cargo");
    let cargo_home = cargo_home.to_str().expect("a path in UTF-8");
    let built = project
        .start_with(&["build", "--force", "--output", "json"], &[("CARGO_HOME", cargo_home)])
        .wait()
        .exits(0);
    assert!(
        built
            .events()
            .iter()
            .any(|event| event["text"].as_str().is_some_and(|text| text.contains("Compiling echo"))),
        "nothing was compiled: {built}"
    );
    let built = built.json();
    let [kept, built] = [&kept, &built].map(|document| &document["data"]["artifacts"][0]);
    for name in ["sha256", "content_digest", "inputs_digest", "size"] {
        assert_eq!(kept[name], built[name], "{name}");
    }
    let zip = std::fs::read(built["path"].as_str().expect("the zip's path")).expect("the zip");
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&zip)));
    assert_eq!(built["sha256"], digest);
}

#[test]
fn release_is_rebuilt_identically_and_its_differences_are_explained() {
    let project = require!(EchoProject::new());
    project.run(&["release", "--env", "local", "--yes"]).exits(0);
    project.change_code();
    project.run(&["release", "--env", "local", "--yes"]).exits(0).says("echo 0.2.0 serves in local.");

    let explained = project.run(&["explain", "echo", "0.1.0", "0.2.0", "--env", "local"]).exits(0);
    for words in ["other bytes", "~ lambda-src/echo/src/main.rs", "tools     the same", "~ bootstrap"] {
        assert!(explained.stdout.contains(words), "no `{words}` in {explained}");
    }
    project
        .run(&["explain", "echo", "0.2.0", "--work-tree", "--env", "local"])
        .exits(0)
        .says("the same bytes")
        .says("inputs    the same");

    // Rebuilt from the commit, while the work tree has other code.
    project.run(&["rebuild", "echo", "0.1.0", "--env", "local"]).exits(0).says("the same bytes, sha256:");
    project.run(&["rebuild", "echo", "0.9.0", "--env", "local"]).exits(2).says("`echo` has no release 0.9.0");
}

#[test]
fn release_without_its_commit_cannot_be_rebuilt() {
    let project = require!(EchoProject::new());
    project.run(&["release", "--env", "local", "--yes"]).exits(0);
    let [artifacts, _] = project.account.buckets();
    // The history was rewritten, and git collected the old commits.
    std::fs::remove_dir_all(project.folder.join(".git")).expect("the repository");
    init_repository(&project.folder);
    let before = project.account.keys(&artifacts);
    project
        .run(&["rebuild", "echo", "0.1.0", "--env", "local"])
        .exits(1)
        .says("is not in this repository")
        .says("git fetch origin");
    assert_eq!(project.account.keys(&artifacts), before);
}

//! The same bytes from another folder, another home and another cargo home.

use super::support::World;
use sha2::{Digest as _, Sha256};

#[test]
fn another_folder_and_cargo_home_give_the_same_bytes() {
    let Some(world) = World::new() else { return };
    let kept = world.run(&["build", "--output", "json"]).exits(0).json();
    world.forget_artifacts();
    let cargo_home = world.home.join("cargo");
    let cargo_home = cargo_home.to_str().expect("a path in UTF-8");
    let built = world
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
fn a_release_is_built_again_and_its_difference_explained() {
    let Some(world) = World::new() else { return };
    world.run(&["release", "--env", "local", "--yes"]).exits(0);
    world.second_code();
    world.run(&["release", "--env", "local", "--yes"]).exits(0).says("echo 0.2.0 serves in local.");

    let told = world.run(&["explain", "echo", "0.1.0", "0.2.0", "--env", "local"]).exits(0);
    for words in ["other bytes", "~ lambda-src/echo/src/main.rs", "tools     the same", "~ bootstrap"] {
        assert!(told.stdout.contains(words), "no `{words}` in {told}");
    }
    world
        .run(&["explain", "echo", "0.2.0", "--work-tree", "--env", "local"])
        .exits(0)
        .says("the same bytes")
        .says("inputs    the same");

    // From the commit, with today's work tree another one.
    world.run(&["rebuild", "echo", "0.1.0", "--env", "local"]).exits(0).says("the same bytes, sha256:");
    world.run(&["rebuild", "echo", "0.9.0", "--env", "local"]).exits(2).says("`echo` has no release 0.9.0");
}

#[test]
fn a_release_whose_commit_is_gone_is_not_built_again() {
    let Some(world) = World::new() else { return };
    world.run(&["release", "--env", "local", "--yes"]).exits(0);
    let [artifacts, _] = world.account.buckets();
    // The history was rewritten, and what was there is collected.
    std::fs::remove_dir_all(world.project.join(".git")).expect("the repository");
    super::support::world::repository_in(&world.project);
    let before = world.account.keys(&artifacts);
    world
        .run(&["rebuild", "echo", "0.1.0", "--env", "local"])
        .exits(1)
        .says("is not in this repository")
        .says("git fetch origin");
    assert_eq!(world.account.keys(&artifacts), before);
}

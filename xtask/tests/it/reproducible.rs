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

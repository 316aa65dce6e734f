//! Publishing many functions: how many rounds of calls that takes, and what is read for each.

use super::*;

/// A scene with some functions that are released, and that a ledger names.
async fn released(functions: usize) -> (Scene, Vec<String>) {
    let mut scene = Scene::new();
    let names: Vec<String> = (0..functions).map(|number| format!("f{number:03}")).collect();
    names.iter().for_each(|name| scene.write_function(name, CODE));
    scene.tree.commit("feat: functions");
    let releases = scene.publish_all(&names).await;
    scene.recorded = releases
        .iter()
        .map(|FunctionRelease { manifest, .. }| {
            (manifest.function.clone(), (manifest.version.clone(), manifest.digest().unwrap()))
        })
        .collect();
    (scene, names)
}

impl Scene {
    async fn publish_all(&self, names: &[String]) -> Vec<FunctionRelease> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.publish_functions(&names, VersionRequest::default()).await.unwrap()
    }

    /// Publishes again, and returns the releases, how many rounds of calls that took, and how many calls.
    async fn publish_again(&self, names: &[String]) -> (Vec<FunctionRelease>, usize, u64) {
        self.faults.arm(None);
        let (releases, rounds) = self.faults.count_rounds(self.publish_all(names)).await;
        assert!(releases.iter().all(|release| !release.new));
        (releases, rounds, self.faults.calls())
    }
}

#[tokio::test]
async fn rounds_of_calls_do_not_grow_with_the_number_of_functions() {
    let mut rounds = Vec::new();
    for functions in [3, 30] {
        let (mut scene, names) = released(functions).await;
        // Without a ledger's word each manifest is read in each run.
        let recorded = std::mem::take(&mut scene.recorded);
        let (_, unproven, calls) = scene.publish_again(&names).await;
        assert!(calls > names.len() as u64);
        scene.recorded = recorded;
        scene.publish_again(&names).await;
        let (_, proven, _) = scene.publish_again(&names).await;
        rounds.push((unproven, proven));
    }
    assert_eq!(rounds, [(2, 1), (2, 1)]);
}

#[tokio::test]
async fn manifest_of_the_ledger_is_read_again_only_if_its_object_or_its_copy_changed() {
    let (mut scene, names) = released(10).await;
    let (first, _, calls) = scene.publish_again(&names).await;
    assert_eq!(calls, 11, "a listing, and each manifest");
    let (again, _, calls) = scene.publish_again(&names).await;
    assert_eq!(calls, 1, "the listing");
    let manifests = |releases: &[FunctionRelease]| -> Vec<Manifest> {
        releases.iter().map(|release| release.manifest.clone()).collect()
    };
    assert_eq!(manifests(&again), manifests(&first));

    // A copy with other bytes proves nothing.
    let folder = scene.tree.root().join("target/slipway/manifests");
    let copies: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(copies.len(), 10);
    let other = std::fs::read(&copies[1]).unwrap();
    std::fs::write(&copies[0], other).unwrap();
    let (again, _, calls) = scene.publish_again(&names).await;
    assert_eq!(calls, 2);
    assert_eq!(manifests(&again), manifests(&first));

    // An object that was replaced is what the run goes on with, so that the delivery can refuse it.
    let mut replaced = first[0].manifest.clone();
    replaced.handler = "app.other".into();
    let key = Manifest::key(&replaced.function, &replaced.version);
    scene.store.set(&key, replaced.sealed().bytes().unwrap());
    for _ in 0..2 {
        let (again, _, calls) = scene.publish_again(&names).await;
        assert_eq!(calls, 2);
        assert_eq!(again[0].manifest.handler, "app.other");
    }

    // What no ledger names is always read.
    scene.recorded.remove(&first[1].manifest.function);
    let (_, _, calls) = scene.publish_again(&names).await;
    assert_eq!(calls, 3);
}

#[tokio::test]
async fn functions_that_are_read_together_have_the_inputs_that_each_has_alone() {
    let scene = Scene::new();
    for name in ["api", "api-image", "b"] {
        scene.write_function(name, CODE);
    }
    scene.tree.write("shared/tool.py", "x = 1\n");
    scene.tree.write(
        "lambda-src/b/function.toml",
        &SETTINGS.replace("[build]\n", "[build]\ninputs = [\"shared/**\"]\n"),
    );
    scene.tree.commit("feat: three");
    scene.tree.write("lambda-src/api/src/new.py", "untracked");
    scene.tree.write("lambda-src/api-image/src/app.py", "changed");
    std::fs::remove_file(scene.tree.root().join("lambda-src/b/src/app.py")).unwrap();
    let functions: Vec<FunctionName> =
        ["ingest", "api", "api-image", "b"].iter().map(|name| name.parse().unwrap()).collect();
    scene
        .with_context(async |context| {
            let BuildContext { project, process_env, repository, .. } = context.build;
            let together = Source::read_all(project, process_env, repository, &functions).unwrap();
            for (function, together) in functions.iter().zip(together) {
                let alone = Source::read(project, process_env, repository, function).unwrap();
                assert_eq!(together.inputs_digest, alone.inputs_digest, "{function}");
                assert_eq!(together.inputs.changed, alone.inputs.changed, "{function}");
                assert_eq!(together.dirty, alone.dirty, "{function}");
            }
        })
        .await;
}

//! Publishing Python functions of a real repository into a store in memory. They need no tool: they have no packages.

mod many_functions;
mod scene;

use self::scene::{CLOUD, CODE, SETTINGS, Scene, exactly, ingest};
use super::*;
use crate::artifact;
use crate::digest::Digest;
use crate::fakes::{FakeSigner, FakeSigningKeys};
use crate::name::Version;
use crate::release::{TrustPolicy, check_trust};

#[tokio::test]
async fn new_version_is_published_with_manifest_inputs_sbom_and_tag() {
    let scene = Scene::new();
    let FunctionRelease { manifest, new } = scene.publish(VersionRequest::default()).await.unwrap();
    assert!(new);
    assert_eq!((manifest.function.as_str(), manifest.version.to_string().as_str()), ("ingest", "0.1.0"));
    assert_eq!(
        (manifest.runtime.to_string().as_str(), manifest.handler.as_str()),
        ("python3.13", "app.handle")
    );
    assert_eq!(manifest.source.commit, scene.tree.git(&["rev-parse", "HEAD"]));
    assert!(!manifest.source.dirty);
    assert_eq!(manifest.built.by, "ada (GitHub run 7)");
    assert_eq!(manifest.built.run_url.as_deref(), Some("https://git.example/shop/shop/actions/runs/7"));
    assert!(manifest.built.tools.contains_key("compressor"), "{:?}", manifest.built.tools);
    let object = |key: &str| scene.store.objects(key).remove(key).unwrap_or_else(|| panic!("no {key}"));
    assert_eq!(Digest::of(object(&manifest.artifact.key)), manifest.artifact.sha256);
    assert_eq!(object("releases/ingest/0.1.0.json"), manifest.bytes().unwrap());
    object(&format!("inputs/sha256/{}.json", manifest.source.inputs_digest.hex()));
    let sbom = object(&release::sbom::key(&manifest.artifact.sha256));
    assert_eq!(manifest.sbom, Some(Digest::of(sbom)));
    assert_eq!(scene.tags(), ["ingest-v0.1.0"]);
    assert_eq!(scene.catalogue.zip_paths(&manifest).await.unwrap(), ["app.py"]);
}

#[tokio::test]
async fn unchanged_release_is_reused_without_a_build_or_a_key() {
    let scene = Scene::new();
    let first = scene.publish(VersionRequest::default()).await.unwrap();
    let (objects, opened) = (scene.store.objects(""), scene.keys.opened());
    std::fs::remove_dir_all(scene.tree.root().join("target/slipway/artifacts")).unwrap();
    scene.tree.write("README.md", "elsewhere");
    scene.tree.commit("docs: elsewhere");
    let second = scene.publish(VersionRequest::default()).await.unwrap();
    assert!(!second.new);
    assert_eq!(second.manifest, first.manifest);
    assert_eq!(scene.store.objects(""), objects);
    assert_eq!(scene.keys.opened(), opened);
    assert!(!scene.tree.root().join("target/slipway/artifacts").exists(), "nothing was built");
}

#[tokio::test]
async fn dirty_tree_is_refused_for_a_protected_environment_before_the_build() {
    let mut scene = Scene::new();
    scene.change_code();
    scene.environment = Some("prod".parse().unwrap());
    let failure = scene.publish(VersionRequest::default()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    let report = failure.report();
    assert_eq!(
        report.message,
        "prod is protected and the inputs of `ingest` have changes that are not committed: lambda-src/ingest/src/app.py"
    );
    assert_eq!(report.unchanged.as_deref(), Some("Nothing was built, published or deployed."));
    assert!(scene.store.objects("").is_empty());
    assert!(!scene.tree.root().join("target/slipway/artifacts").exists(), "nothing was built");

    scene.environment = Some("dev".parse().unwrap());
    let release = scene.publish(VersionRequest::default()).await.unwrap();
    assert!(release.manifest.version.is_dirty() && release.manifest.source.dirty);
    assert!(scene.tags().is_empty(), "no commit can be tagged");

    // An existing release of these very inputs is no new one: delivery judges it.
    scene.environment = Some("prod".parse().unwrap());
    assert!(!scene.publish(VersionRequest::default()).await.unwrap().new);
}

#[tokio::test]
async fn settings_that_are_not_committed_are_refused_for_a_protected_environment_before_the_build() {
    for (file, text) in [
        ("pipelines/project.toml", "schema = 1\nname = \"shop\"\n# changed\n"),
        // The protection itself is taken away.
        ("terraform/environments/prod/environment.toml", CLOUD),
    ] {
        let mut scene = Scene::new();
        scene.tree.write(file, text);
        scene.environment = Some("prod".parse().unwrap());
        let failure = scene.publish(VersionRequest::default()).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        let report = failure.report();
        assert_eq!(
            report.message,
            format!("prod is protected and {file} has changes that are not committed")
        );
        assert_eq!(report.unchanged.as_deref(), Some("Nothing was built, published or deployed."));
        assert!(scene.store.objects("").is_empty());
        scene.environment = Some("dev".parse().unwrap());
        scene.publish(VersionRequest::default()).await.unwrap();
    }
}

#[tokio::test]
async fn requested_version_that_other_bytes_have_is_refused() {
    let scene = Scene::new();
    let first = scene.publish(exactly("1.0.0")).await.unwrap();
    scene.change_code();
    scene.tree.commit("fix: two");
    let failure = scene.publish(exactly("1.0.0")).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert_eq!(failure.message(), "`ingest` 1.0.0 already exists with other bytes");
    let stored = scene.catalogue.manifest(&ingest(), &Version::new(1, 0, 0)).await.unwrap();
    assert_eq!(stored, first.manifest);
    let next = scene.publish(VersionRequest::default()).await.unwrap();
    assert_eq!(next.manifest.version.to_string(), "1.0.1");
}

/// The catalogue lost the manifest of a version that serves.
#[tokio::test]
async fn version_that_was_deployed_is_never_cut_again() {
    let mut scene = Scene::new();
    let first = scene.publish(VersionRequest::default()).await.unwrap().manifest;
    let release = (first.function.clone(), first.version.clone());
    scene.deployed.insert(release, "deployment 2 of `ingest` in dev".into());
    scene.change_code();
    scene.tree.commit("fix: two");
    scene.store.remove(&Manifest::key(&first.function, &first.version));
    let before = scene.store.objects("");
    let request = VersionRequest { version: Some(first.version.clone()), ..VersionRequest::default() };
    let failure = scene.publish(request).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    let message = format!("`ingest` {} was deployed already, and its manifest is missing", first.version);
    assert_eq!(failure.message(), message);
    let report = failure.report();
    assert_eq!(report.details[0].value, "deployment 2 of `ingest` in dev");
    let (major, minor, patch) = first.version.numbers();
    assert!(report.hint.unwrap().ends_with(&format!("--version {major}.{minor}.{}", patch + 1)));
    assert_eq!(scene.store.objects(""), before, "nothing was built or published");
}

#[tokio::test]
async fn release_is_signed_where_a_key_is_configured_and_refused_without_one_where_it_is_required() {
    let mut scene = Scene::new();
    let (signer, public) = FakeSigner::new();
    std::fs::write(scene.tree.root().join("key.pub.pem"), public.pem().unwrap()).unwrap();
    scene.write_environment("dev", "signatures = \"required\"\ntrusted_keys = [\"key.pub.pem\"]\n");
    scene.tree.commit("build: require signatures");
    scene.environment = Some("dev".parse().unwrap());
    let failure = scene.publish(VersionRequest::default()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert_eq!(failure.message(), "dev requires signatures and no signing key is configured");
    assert!(scene.store.objects("").is_empty());

    scene.keys = FakeSigningKeys::of(signer);
    let release = scene.publish(VersionRequest::default()).await.unwrap();
    let mut policy = TrustPolicy { required: true, keys: vec![public], ..TrustPolicy::default() };
    policy.claims.git_ref = Some("refs/heads/main".into());
    let environment = "dev".parse().unwrap();
    check_trust(&scene.catalogue, &release.manifest, &policy, &environment).await.unwrap();
}

#[tokio::test]
async fn run_that_signs_takes_neither_an_artifact_nor_a_check_mark_of_another_run() {
    let count = |scene: &Scene| {
        let file = scene.tree.root().join("target/count");
        std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
    };
    for signs in [true, false] {
        let mut scene = Scene::new();
        scene.tree.write(
            "pipelines/project.toml",
            "schema = 1\nname = \"shop\"\n[checks.unit]\nrun = \"sh -c 'echo run >> target/count'\"\n",
        );
        scene.tree.commit("test: count");
        std::fs::create_dir_all(scene.tree.root().join("target/slipway")).unwrap();
        // Another run left an artifact and a mark, and its release is not in the store.
        let earlier = scene.publish(VersionRequest::default()).await.unwrap().manifest;
        let left = scene.store.objects("").into_keys().collect::<Vec<_>>();
        left.iter().for_each(|key| scene.store.remove(key));
        let settings = &scene.tree.project();
        let folder = artifact::cache_folder(settings, &ingest(), &earlier.source.inputs_digest);
        let before = std::fs::metadata(folder.join("ingest.zip")).unwrap().modified().unwrap();
        assert_eq!(count(&scene), 1);
        if signs {
            scene.keys = FakeSigningKeys::of(FakeSigner::new().0);
        }
        let release = scene.publish(VersionRequest::default()).await.unwrap();
        assert!(release.new && release.manifest.artifact == earlier.artifact);
        let after = std::fs::metadata(folder.join("ingest.zip")).unwrap().modified().unwrap();
        assert_eq!(after != before, signs, "whether it was built again");
        assert_eq!(count(&scene), if signs { 2 } else { 1 }, "how often the check ran");
    }
}

#[tokio::test]
async fn failed_check_stops_before_the_build() {
    let scene = Scene::new();
    scene.tree.write(
        "pipelines/project.toml",
        "schema = 1\nname = \"shop\"\n[checks.unit]\nrun = \"sh -c 'exit 3'\"\n",
    );
    scene.tree.commit("test: fail");
    let failure = scene.publish(VersionRequest::default()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::ChecksFailed);
    assert!(scene.store.objects("").is_empty());
    assert!(!scene.tree.root().join("target/slipway/artifacts").exists(), "nothing was built");
}

#[tokio::test]
async fn failure_of_one_function_lists_those_that_are_published() {
    let scene = Scene::new();
    scene.write_function("broken", "def other(event, context):\n    pass\n");
    scene.tree.commit("feat: broken");
    let failure =
        scene.publish_functions(&["broken", "ingest"], VersionRequest::default()).await.unwrap_err();
    let report = failure.report();
    assert_eq!(report.message, "broken could not be released");
    assert_eq!(report.unchanged.as_deref(), Some("ingest 0.1.0 is in the store; nothing was deployed."));
    assert!(report.body.is_some_and(|body| body.contains("app.py has no `handle`")));
    assert_eq!(scene.store.objects("releases/").len(), 1);
}

#[tokio::test]
async fn comparison_lists_changed_inputs_and_files() {
    let scene = Scene::new();
    scene.publish(exactly("1.0.0")).await.unwrap();
    scene.change_code();
    scene.tree.commit("fix: two");
    scene.publish(exactly("1.0.1")).await.unwrap();
    let (first, second) = (Version::new(1, 0, 0), Version::new(1, 0, 1));
    let compared = compare(&scene.catalogue, &ingest(), &first, CompareWith::Version(&second)).await.unwrap();
    assert!(!compared.same);
    assert_eq!(compared.inputs.as_deref(), Some(&["~ lambda-src/ingest/src/app.py".to_owned()][..]));
    assert_eq!(compared.content.lines(9), ["~ app.py  41 B  (same size)"]);
    assert!(compared.tools.is_empty());
    let work_tree = scene
        .with_context(async |context| {
            let with = CompareWith::WorkTree(&context.build);
            compare(&scene.catalogue, &ingest(), &second, with).await
        })
        .await
        .unwrap();
    assert!(work_tree.same && work_tree.inputs.is_some_and(|inputs| inputs.is_empty()));
    assert_eq!(work_tree.to, "work tree");
}

#[tokio::test]
async fn rebuild_gives_the_same_bytes_and_refuses_what_no_commit_has() {
    let scene = Scene::new();
    let release = scene.publish(exactly("1.0.0")).await.unwrap();
    scene.change_code();
    let dirty = scene.publish(VersionRequest::default()).await.unwrap();
    let rebuild = async |version: &Version| {
        let run = async |context: &PublicationContext<'_>| {
            rebuild(&context.build, &scene.catalogue, &ingest(), version).await
        };
        scene.with_context(run).await
    };
    let rebuilt = rebuild(&release.manifest.version).await.unwrap();
    assert!(rebuilt.same, "{:?}", rebuilt.difference);
    assert_eq!(rebuilt.rebuilt, release.manifest.artifact.sha256);
    let failure = rebuild(&dirty.manifest.version).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(failure.message().ends_with("it cannot be rebuilt"), "{failure}");
}

#[tokio::test]
async fn prebuilt_artifact_is_published_by_its_digest_and_no_other() {
    let mut scene = Scene::new();
    let expected = Digest::of("another");
    scene.prebuilt = Some(expected);
    let failure = scene.publish(VersionRequest::default()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(failure.message().starts_with("`ingest` was not built before from these inputs"), "{failure}");

    let ingest = ingest();
    let built = scene
        .with_context(async |context| artifact::build_work_tree(&context.build, &ingest, false).await)
        .await
        .unwrap();
    let digest = artifact::digest_of_set([(&ingest, &built.source.inputs_digest, &built.artifact.sha256)]);
    let failure = scene.publish(VersionRequest::default()).await.unwrap_err();
    assert_eq!(failure.message(), "the artifacts are not those that were built");
    let report = failure.report();
    assert!(report.details.iter().any(|detail| detail.value == digest.to_string()), "{report:?}");
    assert!(scene.store.objects("").is_empty());

    // A check that fails does not run here: the build job ran it.
    scene.prebuilt = Some(digest);
    scene.keys = FakeSigningKeys::of(FakeSigner::new().0);
    let release = scene.publish(VersionRequest::default()).await.unwrap();
    assert_eq!(release.manifest.artifact.sha256, built.artifact.sha256);

    // Bytes that were replaced between the jobs are refused, with their record as well.
    let zip = built.artifact.path(&built.folder);
    std::fs::write(&zip, "other bytes").unwrap();
    scene.change_code();
    scene.tree.commit("fix: other code");
    let failure = scene.publish(VersionRequest::default()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
}

#[tokio::test]
async fn claims_come_from_the_token_and_from_no_variable() {
    // The scene sets GITHUB_REF and the like, as anybody could.
    let mut scene = Scene::new();
    let (signer, public) = FakeSigner::new();
    scene.keys = FakeSigningKeys::of(signer);
    let release = scene.publish(VersionRequest::default()).await.unwrap().manifest;
    let policy = |claim: &str| {
        let mut policy = TrustPolicy { required: true, keys: vec![public.clone()], ..TrustPolicy::default() };
        match claim {
            "builder" => policy.claims.builder = Some("github".into()),
            "workflow" => policy.claims.workflow = Some(".github/workflows/release.yml".into()),
            _ => policy.claims.repository = Some("https://git.example/shop/shop".into()),
        }
        policy
    };
    let dev = "dev".parse().unwrap();
    for claim in ["builder", "workflow", "repository"] {
        check_trust(&scene.catalogue, &release, &policy(claim), &dev).await.unwrap_err();
    }

    // A run that cannot prove what the environment takes builds nothing.
    let mut wanted = policy("builder");
    wanted.issuer = Some("https://ci.example".into());
    scene.policies.insert(dev.clone(), wanted.clone());
    scene.environment = Some(dev.clone());
    scene.change_code();
    scene.tree.commit("fix: two");
    let before = scene.store.objects("");
    let failure = scene.publish(VersionRequest::default()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(
        failure.message().starts_with("dev would refuse what this run builds: its claims are unverified"),
        "{failure}"
    );
    assert!(failure.report().hint.unwrap().contains("id-token: write"));
    assert_eq!(scene.store.objects(""), before);

    // A token for another commit is of another run.
    let proven = crate::identity::tests::identity();
    scene.identity.0 = Some(proven.clone());
    let failure = scene.publish(VersionRequest::default()).await.unwrap_err();
    assert!(failure.message().contains("for another commit"), "{failure}");
    assert_eq!(scene.store.objects(""), before);
    let commit = scene.tree.git(&["rev-parse", "HEAD"]).trim().to_owned();
    scene.identity.0 = Some(crate::identity::VerifiedIdentity { commit: Some(commit), ..proven });
    let release = scene.publish(VersionRequest::default()).await.unwrap().manifest;
    check_trust(&scene.catalogue, &release, &wanted, &dev).await.unwrap();
}

#[tokio::test]
async fn release_key_does_not_sign_uncommitted_changes() {
    let mut scene = Scene::new();
    scene.keys = FakeSigningKeys::of(FakeSigner::release_key());
    scene.change_code();
    let release = scene.publish(VersionRequest::default()).await.unwrap().manifest;
    assert!(release.source.dirty);
    assert!(scene.store.objects("attestations/").is_empty(), "it is not signed");
    scene.environment = Some("dev".parse().unwrap());
    scene.policies.insert("dev".parse().unwrap(), TrustPolicy { required: true, ..TrustPolicy::default() });
    scene.write_function("ingest", "def handle(event, context):\n    return 3\n");
    let failure = scene.publish(VersionRequest::default()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(failure.message().contains("does not sign uncommitted changes: ingest"), "{failure}");
    scene.tree.commit("fix: three");
    scene.publish(VersionRequest::default()).await.unwrap();
    assert_eq!(scene.store.objects("attestations/").len(), 1);
}

#[tokio::test]
async fn release_with_the_same_inputs_that_is_not_trusted_is_not_taken_as_released() {
    let mut scene = Scene::new();
    let planted = scene.publish(VersionRequest::default()).await.unwrap().manifest;
    let (signer, public) = FakeSigner::new();
    let policy = TrustPolicy { required: true, keys: vec![public], ..TrustPolicy::default() };
    scene.policies.insert("prod".parse().unwrap(), policy);
    // Without a key the run changes nothing, and says so.
    assert!(!scene.publish(VersionRequest::default()).await.unwrap().new);
    scene.keys = FakeSigningKeys::of(signer);
    let before = scene.store.objects("");
    let failure = scene.publish(VersionRequest::default()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    let expected =
        format!("`ingest` {} has the same inputs, and is not taken as released already", planted.version);
    assert!(failure.message().starts_with(&expected), "{failure}");
    assert_eq!(scene.store.objects(""), before);
    let signed = scene.publish(VersionRequest { force: true, ..VersionRequest::default() }).await.unwrap();
    assert!(signed.new && signed.manifest.version > planted.version);
    assert!(!scene.publish(VersionRequest::default()).await.unwrap().new, "the signed one is taken");
}

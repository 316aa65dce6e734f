//! Publishing Python functions of a real repository into a store in memory. They need no tool: they have no packages.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::*;
use crate::artifact;
use crate::digest::Digest;
use crate::fakes::{FakeClock, FakeSigner, FakeSigningKeys, FakeStore, Faults};
use crate::interrupt::Interrupt;
use crate::name::Version;
use crate::ports::Bases;
use crate::progress::Progress;
use crate::release::{TrustPolicy, check_trust};
use crate::settings::ProcessEnvironment;
use crate::source::tests::Tree;
use crate::tools::cargo::RustBuilder;
use crate::tools::install::Tools;
use crate::tools::uv::Uv;

const SETTINGS: &str = "runtime = \"python3.13\"\nhandler = \"app.handle\"\n[build]\nwith = \"python\"\nsources = [\"src/app.py\"]\n";
const CODE: &str = "def handle(event, context):\n    return 1\n";
const CLOUD: &str = "account = \"111111111111\"\nregion = \"eu-central-1\"\n[state]\nbucket = \"b\"\n";

/// A project with the Python function `ingest`, a store, and what publishing needs.
struct Scene {
    tree: Tree,
    store: Arc<FakeStore>,
    faults: Arc<Faults>,
    recorded: RecordedReleases,
    catalogue: Catalogue,
    keys: FakeSigningKeys,
    clock: FakeClock,
    /// The environment that the releases are for.
    environment: Option<EnvironmentName>,
}

/// A registry that no test asks.
struct NoBases;

#[async_trait]
impl Bases for NoBases {
    async fn manifest(&self, _reference: &str, _digest: &Digest) -> Result<Vec<u8>> {
        Err(Failure::defect("no base image is needed"))
    }

    async fn blob(&self, _reference: &str, _digest: &Digest, _size: u64, _to: &Path) -> Result<()> {
        Err(Failure::defect("no base image is needed"))
    }
}

impl Scene {
    fn new() -> Self {
        let tree = Tree::new();
        let faults = Arc::new(Faults::default());
        let store = FakeStore::new("artifacts", faults.clone());
        let scene = Self {
            tree,
            faults,
            recorded: RecordedReleases::new(),
            catalogue: Catalogue::new(store.clone()),
            store,
            keys: FakeSigningKeys::default(),
            clock: FakeClock::new(),
            environment: None,
        };
        scene.write_function("ingest", CODE);
        scene.write_environment("dev", "");
        scene.write_environment("prod", "protected = true\n");
        scene.tree.commit("feat: ingest");
        scene
    }

    fn write_function(&self, name: &str, code: &str) {
        self.tree.write(&format!("lambda-src/{name}/function.toml"), SETTINGS);
        self.tree.write(&format!("lambda-src/{name}/src/app.py"), code);
    }

    fn write_environment(&self, name: &str, settings: &str) {
        let file = format!("terraform/environments/{name}/environment.toml");
        self.tree.write(&file, &format!("{settings}{CLOUD}"));
    }

    fn change_code(&self) {
        self.write_function("ingest", "def handle(event, context):\n    return 2\n");
    }

    /// Calls a function with the context of a run in CI.
    async fn with_context<T>(&self, run: impl AsyncFnOnce(&PublicationContext<'_>) -> T) -> T {
        let (project, repository) = (self.tree.project(), self.tree.repository());
        let process_env = ProcessEnvironment::of(&[
            ("GITHUB_ACTOR", "ada"),
            ("GITHUB_RUN_ID", "7"),
            ("GITHUB_SERVER_URL", "https://git.example"),
            ("GITHUB_REPOSITORY", "shop/shop"),
            ("GITHUB_REF", "refs/heads/main"),
        ]);
        let (interrupt, progress) = (Interrupt::never(), Progress::silent());
        let tools = Tools::new(self.tree.root().join("target/tools"), interrupt.clone(), progress.clone());
        let context = PublicationContext {
            build: BuildContext {
                project: &project,
                process_env: &process_env,
                repository: &repository,
                rust: &RustBuilder::new(tools.clone(), interrupt.clone(), progress.clone()),
                uv: &Uv::new(tools, interrupt.clone(), std::iter::empty()),
                bases: &NoBases,
                interrupt: &interrupt,
                progress: &progress,
            },
            catalogue: &self.catalogue,
            recorded: self.recorded.clone(),
            signing_keys: &self.keys,
            clock: &self.clock,
            environment: self.environment.as_ref(),
            tags: true,
            logs: self.tree.root().join("target/logs"),
        };
        run(&context).await
    }

    async fn publish_functions(
        &self,
        names: &[&str],
        request: VersionRequest,
    ) -> Result<Vec<FunctionRelease>> {
        let functions: Vec<FunctionName> = names.iter().map(|name| name.parse().unwrap()).collect();
        self.with_context(async |context| publish(context, &functions, &request).await).await
    }

    async fn publish(&self, request: VersionRequest) -> Result<FunctionRelease> {
        Ok(self.publish_functions(&["ingest"], request).await?.remove(0))
    }

    fn tags(&self) -> Vec<String> {
        self.tree.git(&["tag"]).lines().map(str::to_owned).collect()
    }
}

fn exactly(version: &str) -> VersionRequest {
    VersionRequest { version: Some(version.parse().unwrap()), ..VersionRequest::default() }
}

fn ingest() -> FunctionName {
    "ingest".parse().unwrap()
}

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

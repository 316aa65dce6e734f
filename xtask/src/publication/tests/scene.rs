//! A project with a Python function in a real repository, a store in memory, and what publishing needs.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::digest::Digest;
use crate::fakes::{FakeClock, FakeIdentity, FakeSigningKeys, FakeStore, Faults};
use crate::interrupt::Interrupt;
use crate::ports::Bases;
use crate::progress::Progress;
use crate::publication::*;
use crate::settings::ProcessEnvironment;
use crate::source::tests::Tree;
use crate::tools::cargo::RustBuilder;
use crate::tools::install::Tools;
use crate::tools::uv::Uv;

pub(super) const SETTINGS: &str = "runtime = \"python3.13\"\nhandler = \"app.handle\"\n[build]\nwith = \"python\"\nsources = [\"src/app.py\"]\n";
pub(super) const CODE: &str = "def handle(event, context):\n    return 1\n";
pub(super) const CLOUD: &str =
    "account = \"111111111111\"\nregion = \"eu-central-1\"\n[state]\nbucket = \"b\"\n";

/// A project with the Python function `ingest`, a store, and what publishing needs.
pub(super) struct Scene {
    pub(super) tree: Tree,
    pub(super) store: Arc<FakeStore>,
    pub(super) faults: Arc<Faults>,
    pub(super) recorded: RecordedReleases,
    /// The releases that the environment's ledgers know.
    pub(super) deployed: BTreeMap<(FunctionName, Version), String>,
    pub(super) catalogue: Catalogue,
    pub(super) keys: FakeSigningKeys,
    /// What the token of the CI run proves.
    pub(super) identity: FakeIdentity,
    /// What the environments trust that require signatures.
    pub(super) policies: BTreeMap<EnvironmentName, TrustPolicy>,
    clock: FakeClock,
    /// The digest of what another job built.
    pub(super) prebuilt: Option<Digest>,
    /// The environment that the releases are for.
    pub(super) environment: Option<EnvironmentName>,
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
    pub(super) fn new() -> Self {
        let tree = Tree::new();
        let faults = Arc::new(Faults::default());
        let store = FakeStore::new("artifacts", faults.clone());
        let scene = Self {
            tree,
            faults,
            recorded: RecordedReleases::new(),
            deployed: BTreeMap::new(),
            catalogue: Catalogue::new(store.clone()),
            store,
            keys: FakeSigningKeys::default(),
            identity: FakeIdentity::default(),
            policies: BTreeMap::new(),
            clock: FakeClock::new(),
            environment: None,
            prebuilt: None,
        };
        scene.write_function("ingest", CODE);
        scene.write_environment("dev", "");
        scene.write_environment("prod", "protected = true\n");
        scene.tree.commit("feat: ingest");
        scene
    }

    pub(super) fn write_function(&self, name: &str, code: &str) {
        self.tree.write(&format!("lambda-src/{name}/function.toml"), SETTINGS);
        self.tree.write(&format!("lambda-src/{name}/src/app.py"), code);
    }

    pub(super) fn write_environment(&self, name: &str, settings: &str) {
        let file = format!("terraform/environments/{name}/environment.toml");
        let open = if settings.contains("signatures") { "" } else { "signatures = \"optional\"\n" };
        self.tree.write(&file, &format!("{open}{settings}{CLOUD}"));
    }

    pub(super) fn change_code(&self) {
        self.write_function("ingest", "def handle(event, context):\n    return 2\n");
    }

    /// Calls a function with the context of a run in CI.
    pub(super) async fn with_context<T>(&self, run: impl AsyncFnOnce(&PublicationContext<'_>) -> T) -> T {
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
            ledgers: LedgerReleases {
                recorded: self.recorded.clone(),
                deployed: &|| Box::pin(std::future::ready(Ok(self.deployed.clone()))),
                refuse: &|_| Box::pin(std::future::ready(Ok(()))),
            },
            signing_keys: &self.keys,
            identity: &self.identity,
            policies: self.policies.clone(),
            clock: &self.clock,
            environment: self.environment.as_ref(),
            tags: true,
            logs: self.tree.root().join("target/logs"),
            prebuilt: self.prebuilt,
        };
        run(&context).await
    }

    pub(super) async fn publish_functions(
        &self,
        names: &[&str],
        request: VersionRequest,
    ) -> Result<Vec<FunctionRelease>> {
        let functions: Vec<FunctionName> = names.iter().map(|name| name.parse().unwrap()).collect();
        self.with_context(async |context| publish(context, &functions, &request).await).await
    }

    pub(super) async fn publish(&self, request: VersionRequest) -> Result<FunctionRelease> {
        Ok(self.publish_functions(&["ingest"], request).await?.remove(0))
    }

    pub(super) fn tags(&self) -> Vec<String> {
        self.tree.git(&["tag"]).lines().map(str::to_owned).collect()
    }
}

pub(super) fn exactly(version: &str) -> VersionRequest {
    VersionRequest { version: Some(version.parse().unwrap()), ..VersionRequest::default() }
}

pub(super) fn ingest() -> FunctionName {
    "ingest".parse().unwrap()
}

//! The scene: one stack of two functions in an environment in memory, and the commands that are run on it, each by a
//! process of its own that is dead afterwards.

mod commands;
mod releases;
mod world;

pub(in crate::delivery) use commands::deploy_request;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::delivery::{EnvironmentStack, Machine, PlanRules};
use crate::failure::Result;
use crate::fakes::{
    FakeAccount, FakeApprover, FakeClock, FakeLambda, FakeServices, FakeStore, FakeTerraform, FakeVersion,
    Faults, MakeLock, StackFlaw,
};
use crate::interrupt::Interrupt;
use crate::ledger::{Holder, Ledger};
use crate::name::{EnvironmentName, FunctionName, StackName};
use crate::plan::{Backend, CodePlaces, PlanContext};
use crate::ports::{Approver, Functions as _};
use crate::progress::Progress;
use crate::release::{Catalogue, Manifest, TrustPolicy};
use crate::settings::{EnvironmentAccount, EnvironmentSettings, ProvenanceClaims, StackSettings};

pub(in crate::delivery) struct Scene {
    folder: tempfile::TempDir,
    pub(super) faults: Arc<Faults>,
    pub(super) artifacts: Arc<FakeStore>,
    pub(in crate::delivery) state: Arc<FakeStore>,
    pub(in crate::delivery) lambda: Arc<FakeLambda>,
    clock: Arc<FakeClock>,
    protected: bool,
    pub(super) trust: TrustPolicy,
    processes: u32,
    pub(super) memory: u32,
    pub(in crate::delivery) functions: Vec<FunctionName>,
    releases: BTreeMap<FunctionName, Vec<Manifest>>,
    /// How the stack breaks its contract.
    pub(in crate::delivery) flaw: StackFlaw,
    /// Functions that existed before the first deployment.
    pub(super) adopted: bool,
    /// The first bytes of artifacts that were replaced, by key.
    replaced: BTreeMap<String, Vec<u8>>,
    /// The state that was lost.
    lost_state: Option<Vec<u8>>,
}

/// The stack's files, as the contract asks for them.
const STACK: &str = "terraform {\n  backend \"s3\" {}\n}\nvariable \"releases\" {}\nvariable \"memory\" {}\noutput \"functions\" {\n  value = {}\n}\n";

/// An approver that does something before it says yes for the first time.
struct Meanwhile(Mutex<Option<BoxFuture<'static, ()>>>);

impl Approver for Meanwhile {
    fn approve(&self, _question: &str) -> Result<bool> {
        let meanwhile = self.0.lock().unwrap().take();
        // Nothing in memory waits.
        meanwhile.and_then(|meanwhile| meanwhile.now_or_never());
        Ok(true)
    }

    fn typed(&self, _name: &str) -> Result<bool> {
        Ok(true)
    }
}

impl Scene {
    pub(in crate::delivery) fn new(protected: bool) -> Self {
        // Where there is a folder in memory: packing waits for the disk otherwise, which is most of a sequence.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        for path in ["terraform/stacks/s", "terraform/environments/dev"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        std::fs::write(folder.path().join("terraform/stacks/s/main.tf"), STACK).unwrap();
        let faults = Arc::new(Faults::default());
        let scene = Self {
            artifacts: FakeStore::new("artifacts", faults.clone()),
            state: FakeStore::new("state", faults.clone()),
            lambda: FakeLambda::new(faults.clone()),
            clock: Arc::new(FakeClock::new()),
            functions: vec!["a".parse().unwrap(), "b".parse().unwrap()],
            releases: BTreeMap::new(),
            flaw: StackFlaw::None,
            adopted: false,
            replaced: BTreeMap::new(),
            lost_state: None,
            processes: 0,
            memory: 128,
            protected,
            trust: TrustPolicy::default(),
            folder,
            faults,
        };
        scene.write_values();
        scene
    }

    /// Makes a scene whose functions exist already, with an alias on a version that was published by hand.
    pub(in crate::delivery) fn adopted(protected: bool) -> Self {
        let mut scene = Self::new(protected);
        scene.adopted = true;
        for function in &scene.functions {
            let name = Self::function_name(function);
            let by_hand = FakeVersion {
                code_sha256: format!("by hand {function}"),
                memory: 128,
                runtime: None,
                handler: None,
                architecture: crate::architecture::Architecture::Arm64,
                state: "Active".into(),
            };
            scene.lambda.publish(&name, by_hand);
            scene.lambda.create_alias(&name);
        }
        let names: Vec<String> = scene.functions.iter().map(Self::function_name).collect();
        scene.terraform().adopt("s", &names);
        scene
    }

    /// Changes how the stack breaks its contract, in its files as well.
    pub(in crate::delivery) fn write_flaw(&mut self, flaw: StackFlaw) {
        self.flaw = flaw;
        let path = self.folder.path().join("terraform/stacks/s/main.tf");
        std::fs::write(path, format!("# {flaw:?}\n{STACK}")).unwrap();
        if self.protected {
            self.commit();
        }
    }

    /// Changes the stack's configuration.
    pub(in crate::delivery) fn write_memory(&mut self, memory: u32) {
        self.memory = memory;
        self.write_values();
    }

    /// Returns whether the functions existed before the first deployment.
    pub(in crate::delivery) fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// Moves an alias as somebody does by hand.
    pub(in crate::delivery) async fn move_alias_by_hand(&self, function: &str, version: &str) {
        let name = Self::function_name(&function.parse().unwrap());
        let now = self.lambda.alias(&name, "live").await.unwrap().unwrap();
        self.lambda.move_alias(&name, "live", version, &now.revision_id.unwrap()).await.unwrap();
    }

    /// Makes this machine's clock wrong by some seconds; the store's is not.
    pub(in crate::delivery) fn skew_clock(&self, seconds: i64) {
        self.clock.advance(seconds);
    }

    /// Makes the next plan of a stack lose the answer to its lock on the state.
    pub(in crate::delivery) fn lose_lock_answer(
        &self,
        stack: &mut EnvironmentStack,
        lock: impl FnOnce() -> String + Send + 'static,
    ) {
        let terraform = self.terraform();
        terraform.lose_lock_answer(Box::new(lock) as MakeLock);
        stack.infrastructure = terraform;
    }

    /// Runs something while the first approval of a stack is asked for.
    pub(in crate::delivery) fn while_approving(
        &self,
        stack: &mut EnvironmentStack,
        meanwhile: impl Future<Output = ()> + Send + 'static,
    ) {
        stack.approver = Arc::new(Meanwhile(Mutex::new(Some(Box::pin(meanwhile)))));
    }

    fn terraform(&self) -> Arc<FakeTerraform> {
        let account = FakeAccount {
            faults: self.faults.clone(),
            state: self.state.clone(),
            artifacts: self.artifacts.clone(),
            lambda: self.lambda.clone(),
            clock: self.clock.clone(),
        };
        FakeTerraform::new(account, self.flaw)
    }

    fn write_values(&self) {
        let path = self.folder.path().join("terraform/environments/dev/s.tfvars");
        std::fs::write(path, format!("memory = {}\n", self.memory)).unwrap();
        if self.protected {
            self.commit();
        }
    }

    /// Commits the project's files: a protected environment accepts no others.
    fn commit(&self) {
        let repository = git2::Repository::init(self.folder.path()).unwrap();
        let mut index = repository.index().unwrap();
        index.add_all(["terraform"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let author = git2::Signature::now("ada", "ada@example.com").unwrap();
        let head = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        let parents: Vec<&git2::Commit<'_>> = head.iter().collect();
        repository.commit(Some("HEAD"), &author, &author, "x", &tree, &parents).unwrap();
    }

    pub(super) fn catalogue(&self) -> Catalogue {
        Catalogue::new(self.artifacts.clone())
    }

    /// Returns what counts the calls.
    pub(in crate::delivery) fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Copies the files of stack and environment into another project's folder.
    pub(in crate::delivery) fn copy_project_to(&self, root: &std::path::Path) {
        for path in ["terraform/stacks/s/main.tf", "terraform/environments/dev/s.tfvars"] {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::copy(self.folder.path().join(path), root.join(path)).unwrap();
        }
    }

    /// Returns a function's name in Lambda.
    pub(in crate::delivery) fn function_name(function: &FunctionName) -> String {
        format!("shop-333333333333-dev-{function}")
    }

    /// Makes the stack as a new process sees it.
    pub(in crate::delivery) fn stack(&mut self, approved: bool) -> EnvironmentStack {
        self.processes += 1;
        let environment: EnvironmentName = "dev".parse().unwrap();
        let stack: StackName = "s".parse().unwrap();
        let plan = PlanContext {
            stack: stack.clone(),
            environment: environment.clone(),
            project: "shop".into(),
            work: self.folder.path().join("work"),
            backend: Backend {
                bucket: "state".into(),
                prefix: String::new(),
                region: "eu-central-1".into(),
                account: "333333333333".into(),
                lock_table: None,
                endpoint: None,
            },
            variables: Vec::new(),
            provider_lock: crate::plan::ProviderLock::Completed,
            lock_timeout: Duration::ZERO,
        };
        EnvironmentStack {
            plan: Arc::new(plan),
            environment_settings: EnvironmentSettings {
                account: EnvironmentAccount::Emulated,
                protected: self.protected,
                signatures_required: false,
                trusted_keys: Vec::new(),
                claims: ProvenanceClaims::default(),
                promote_from: None,
                plan: None,
                stacks: BTreeMap::new(),
            },
            trust: self.trust.clone(),
            settings: StackSettings { functions: self.functions.clone(), ..StackSettings::default() },
            root: self.folder.path().to_path_buf(),
            ledger: Ledger::new(self.state.clone(), environment, stack),
            store: self.state.clone(),
            catalogue: self.catalogue(),
            places: CodePlaces { bucket: "artifacts".into(), prefix: String::new(), registry: None },
            functions: self.lambda.clone(),
            services: Arc::new(FakeServices { lambda: Some(self.lambda.clone()), ..FakeServices::default() }),
            infrastructure: self.terraform(),
            approver: Arc::new(FakeApprover::new(approved)),
            clock: self.clock.clone(),
            progress: Progress::silent(),
            interrupt: Interrupt::never(),
            // No process has such a number, so that this one counts as dead for the next.
            machine: Arc::new(|| Machine { host: "here".into(), sees_all: true, terraforms: Vec::new() }),
            holder: Holder {
                host: "here".into(),
                boot: "1".into(),
                pid_namespace: Some("pid:[1]".into()),
                pid: 3_000_000_000 + self.processes,
                start_ticks: Some(1),
                since: None,
            },
            by: format!("process {}", self.processes),
            caller: None,
            run_url: None,
            gates: crate::gates::Gates::default(),
            commit: None,
            unknown_commit: None,
            accept_weaker_trust: false,
            accept_state: false,
            rules: PlanRules::default(),
            verbose: false,
        }
    }
}

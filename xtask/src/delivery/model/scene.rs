//! The scene: one stack of two functions in an environment in memory, and the commands that are run on it, each by a
//! process of its own that is dead afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::random::Random;
use super::step::{RollbackTo, Step, StepResult};
use crate::delivery::{self, Delivered, DeployRequest, EnvironmentStack, RollbackRequest};
use crate::digest::Digest;
use crate::failure::Result;
use crate::fakes::{
    FakeApprover, FakeClock, FakeLambda, FakeServices, FakeStore, FakeTerraform, FakeVersion, Fault, Faults,
    StackFlaw,
};
use crate::interrupt::Interrupt;
use crate::ledger::{DeploymentKind, Ended, Holder, Ledger};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::plan::{Backend, CodePlaces, PlanContext};
use crate::ports::Functions as _;
use crate::progress::Progress;
use crate::release::{Catalogue, Manifest, SmokeRecord, TrustPolicy, artifact_key, sample_manifest};
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
}

/// The stack's files, as the contract asks for them.
const STACK: &str = "terraform {\n  backend \"s3\" {}\n}\nvariable \"releases\" {}\nvariable \"memory\" {}\noutput \"functions\" {\n  value = {}\n}\n";

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

    /// Tells whether the functions existed before the first deployment.
    pub(in crate::delivery) fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// Makes the next release of a function answer wrongly.
    pub(in crate::delivery) fn fail_next_release(&mut self, function: &str) {
        let function: FunctionName = function.parse().unwrap();
        let next = self.release_of(&function, None);
        self.releases.get_mut(&function).unwrap().pop();
        self.lambda.bad_code.lock().unwrap().insert(next.artifact.code_sha256);
    }

    /// Removes a manifest from the store and returns its bytes.
    pub(in crate::delivery) fn remove_manifest(&self, function: &str, version: &str) -> Vec<u8> {
        let key = Manifest::key(&function.parse().unwrap(), &version.parse().unwrap());
        let bytes = self.artifacts.objects(&key).remove(&key).unwrap();
        self.artifacts.remove(&key);
        bytes
    }

    /// Puts another manifest of the same version into the store and returns the bytes of the first one.
    pub(in crate::delivery) fn replace_manifest(&self, function: &str, version: &str) -> Vec<u8> {
        let first = self.remove_manifest(function, version);
        let (function, version) = (function.parse().unwrap(), version.parse().unwrap());
        let mut other = Manifest::read(&first, &function, &version).unwrap();
        other.handler = "another".into();
        self.artifacts.set(&Manifest::key(&function, &version), other.sealed().bytes().unwrap());
        first
    }

    /// Puts a manifest back.
    pub(in crate::delivery) fn restore_manifest(&self, function: &str, version: &str, bytes: Vec<u8>) {
        let key = Manifest::key(&function.parse().unwrap(), &version.parse().unwrap());
        self.artifacts.set(&key, bytes);
    }

    /// Moves an alias as somebody does by hand.
    pub(in crate::delivery) async fn move_alias_by_hand(&self, function: &str, version: &str) {
        let name = Self::function_name(&function.parse().unwrap());
        let now = self.lambda.alias(&name, "live").await.unwrap().unwrap();
        self.lambda.move_alias(&name, "live", version, &now.revision_id.unwrap()).await.unwrap();
    }

    fn terraform(&self) -> Arc<FakeTerraform> {
        FakeTerraform::new(self.faults.clone(), self.state.clone(), self.lambda.clone(), self.flaw)
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

    pub(super) fn all_have_releases(&self) -> bool {
        self.functions
            .iter()
            .all(|function| self.releases.get(function).is_some_and(|releases| !releases.is_empty()))
    }

    /// Cuts a release; once in a while its bytes are those of an earlier one, or answer wrongly.
    pub(super) fn new_release(&mut self, function: &FunctionName, random: &mut Random) -> Manifest {
        let same = self.some_release(function, random).filter(|_| random.one_in(5));
        let manifest = self.release_of(function, same.map(|release| release.artifact.sha256));
        if !random.one_in(4) || self.releases[function].len() == 1 {
            return manifest;
        }
        let code = &manifest.artifact.code_sha256;
        // Bytes that served well do not turn bad.
        if self.releases[function].iter().filter(|release| release.artifact.code_sha256 == *code).count() == 1
        {
            self.lambda.bad_code.lock().unwrap().insert(code.clone());
        }
        manifest
    }

    /// Cuts a release of new bytes, or of the given ones.
    pub(in crate::delivery) fn release_of(
        &mut self,
        function: &FunctionName,
        bytes: Option<Digest>,
    ) -> Manifest {
        let releases = self.releases.entry(function.clone()).or_default();
        let mut manifest = sample_manifest(function.as_str(), &format!("1.{}.0", releases.len()));
        if let Some(sha256) = bytes {
            manifest.artifact.sha256 = sha256;
            manifest.artifact.code_sha256 = sha256.base64();
            manifest.artifact.key = artifact_key(&sha256);
        }
        manifest.smoke = vec![SmokeRecord {
            name: "is well".into(),
            event: serde_json::json!({}),
            request: None,
            capture: BTreeMap::new(),
            expect: Some(serde_json::json!({"well": true})),
            expect_error: None,
            within_ms: 3_000,
            safe: true,
        }];
        let manifest = manifest.sealed();
        self.artifacts.set(&manifest.artifact.key, *b"zip");
        self.artifacts.set(&Manifest::key(function, &manifest.version), manifest.bytes().unwrap());
        releases.push(manifest.clone());
        manifest
    }

    pub(super) fn some_release(&self, function: &FunctionName, random: &mut Random) -> Option<Manifest> {
        let releases = self.releases.get(function).filter(|releases| !releases.is_empty())?;
        // The newer ones more often.
        let back = random.below(releases.len()).min(random.below(releases.len()));
        Some(releases[releases.len() - 1 - back].clone())
    }

    pub(super) fn manifest(&self, function: &FunctionName, version: &Version) -> Manifest {
        let mut releases = self.releases[function].iter();
        releases.find(|release| release.version == *version).unwrap().clone()
    }

    /// Stores an attestation that nobody made.
    pub(in crate::delivery) fn break_attestation(&self, manifest: &Manifest) {
        let digest = manifest.digest().unwrap();
        self.artifacts.set(&format!("attestations/sha256/{}.dsse.json", digest.hex()), *b"broken");
    }

    /// Returns the newest release of a function.
    pub(in crate::delivery) fn newest_release(&self, function: &FunctionName) -> Manifest {
        self.releases[function].last().unwrap().clone()
    }

    /// Returns what counts the calls.
    pub(in crate::delivery) fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Returns a function's name in Lambda.
    pub(in crate::delivery) fn function_name(function: &FunctionName) -> String {
        format!("shop-333333333333-dev-{function}")
    }

    /// Runs a step; afterwards its process is dead.
    pub(super) async fn run(&mut self, step: &Step, fault: Option<(u64, Fault)>) -> StepResult {
        self.faults.arm(fault);
        let artifacts_before = self.artifacts.objects("");
        let moves_before = self.lambda.moves.lock().unwrap().len();
        let aliases_before = self.lambda.aliases();
        let faults = self.faults.clone();
        let mut chosen = BTreeMap::new();
        let outcome = match step {
            Step::Configure(memory) => {
                self.memory = *memory;
                self.write_values();
                Some(Ok(None))
            }
            Step::EditStack(flaw) => {
                self.write_flaw(*flaw);
                Some(Ok(None))
            }
            Step::DeleteOldVersions(function) => {
                self.lambda.delete_old_versions(&Self::function_name(function));
                Some(Ok(None))
            }
            Step::Wait(seconds) => {
                self.clock.advance(*seconds);
                Some(Ok(None))
            }
            Step::Deploy { targets, lift_hold, always_plan, approved } => {
                let stack = self.stack(*approved);
                let request = DeployRequest {
                    kind: DeploymentKind::Deploy,
                    releases: targets.iter().cloned().collect(),
                    lift_hold: *lift_hold,
                    always_plan: *always_plan,
                };
                let outcome = faults.run_until_crash(delivery::deliver(&stack, &request)).await;
                outcome.map(|outcome| outcome.map(Some))
            }
            Step::RollBack { functions, back, lift_hold, approved } => {
                let stack = self.stack(*approved);
                let request = RollbackRequest {
                    functions: functions.clone(),
                    to: match back {
                        RollbackTo::To(version) => Some(version.clone()),
                        _ => None,
                    },
                    to_deployment: match back {
                        RollbackTo::ToDeployment(number) => Some(*number),
                        _ => None,
                    },
                    lift_hold: *lift_hold,
                };
                faults.run_until_crash(roll_back(&stack, &request, &mut chosen)).await
            }
        };
        let (faulted_call, calls) = (self.faults.triggered_at(), self.faults.calls());
        self.faults.arm(None);
        StepResult {
            outcome,
            by: format!("process {}", self.processes),
            faulted_call,
            calls,
            aliases_before,
            aliases_after: self.lambda.aliases(),
            moves: self.lambda.moves.lock().unwrap()[moves_before..].to_vec(),
            chosen,
            wrote_artifacts: self.artifacts.objects("") != artifacts_before,
        }
    }

    /// Reads all ended deployments, newest first, as they lie in the store.
    pub(super) fn history(&self) -> Vec<Ended> {
        let entries = self.state.objects("ledger/");
        entries
            .iter()
            .filter(|(key, _)| key.ends_with(".ended.json"))
            .map(|(_, bytes)| serde_json::from_slice(bytes).unwrap())
            .collect()
    }

    /// Closes what is open, as every command does first.
    pub(super) async fn settle(&mut self) -> Result<Option<Ended>> {
        self.faults.arm(None);
        let stack = self.stack(true);
        delivery::settle(&stack).await
    }

    /// Deploys a new release of every function.
    pub(in crate::delivery) async fn deploy_new_releases(&mut self) {
        let functions = self.functions.clone();
        let releases = functions.iter().map(|function| (function.clone(), self.release_of(function, None)));
        let request = DeployRequest {
            kind: DeploymentKind::Deploy,
            releases: releases.collect(),
            lift_hold: false,
            always_plan: false,
        };
        delivery::deliver(&self.stack(true), &request).await.unwrap();
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
            services: Arc::new(FakeServices::default()),
            infrastructure: self.terraform(),
            approver: Arc::new(FakeApprover::new(approved)),
            clock: self.clock.clone(),
            progress: Progress::silent(),
            interrupt: Interrupt::never(),
            // No process has such a number, so that this one counts as dead for the next.
            holder: Holder {
                host: "here".into(),
                boot: "1".into(),
                pid_namespace: Some("pid:[1]".into()),
                pid: 3_000_000_000 + self.processes,
                start_ticks: Some(1),
                since: None,
            },
            by: format!("process {}", self.processes),
            run_url: None,
            commit: None,
            unknown_commit: None,
            accept_weaker_trust: false,
            verbose: false,
        }
    }
}

/// Does what the command `rollback` does with one stack.
async fn roll_back(
    stack: &EnvironmentStack,
    request: &RollbackRequest,
    chosen: &mut BTreeMap<FunctionName, delivery::rollback::RollbackStep>,
) -> Result<Option<Delivered>> {
    let last = delivery::settle(stack).await?;
    let choice = delivery::rollback::choose_rollback(stack, last.as_ref(), request).await?;
    chosen.clone_from(&choice.steps);
    delivery::roll_back_stack(stack, request).await.map(|done| done.delivered)
}

//! Lambda in memory: immutable numbered versions, aliases with revisions, and functions that respond correctly or not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use slipway_cloud::Logging;

use super::Faults;
use crate::architecture::Architecture;
use crate::failure::{Failure, FailureKind, Result};
use crate::ports::{Alias, FunctionConfiguration, Functions, Invocation};
use crate::runtime::Runtime;

/// Code and configuration of a version, as far as tests distinguish them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FakeVersion {
    /// The code's hash as Lambda reports it.
    pub(crate) code_sha256: String,
    /// Megabytes of memory, in place of all configuration.
    pub(crate) memory: u32,
    /// Lambda's runtime; an image has none.
    pub(crate) runtime: Option<Runtime>,
    /// Lambda's handler; an image has none.
    pub(crate) handler: Option<String>,
    /// The architecture of its code.
    pub(crate) architecture: Architecture,
    /// `Active`, `Pending`, `Inactive`, `Failed`.
    pub(crate) state: String,
}

/// One move of an alias through the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AliasMove {
    /// The function's name in Lambda.
    pub(crate) function: String,
    /// The version before.
    pub(crate) from: String,
    /// The version after.
    pub(crate) to: String,
}

#[derive(Default)]
struct Function {
    latest: Option<FakeVersion>,
    published: BTreeMap<u64, FakeVersion>,
    newest: u64,
    alias: Option<(u64, u64)>,
}

/// An account's functions; each has at most the one alias `live`.
pub(crate) struct FakeLambda {
    faults: Arc<Faults>,
    functions: Mutex<BTreeMap<String, Function>>,
    /// Code that responds wrongly.
    pub(crate) bad_code: Mutex<BTreeSet<String>>,
    /// The memory size with which every function responds wrongly.
    pub(crate) bad_memory: u32,
    /// What `invoke` returns instead of the normal response.
    pub(crate) scripted_invocation: Mutex<Option<Invocation>>,
    /// The moves of aliases through the API, oldest first.
    pub(crate) moves: Mutex<Vec<AliasMove>>,
    /// The last revision of an alias: one that is made again has another.
    revisions: AtomicU64,
    /// Event sources by id: whether they are enabled.
    pub(crate) event_sources: Mutex<BTreeMap<String, bool>>,
}

impl FakeLambda {
    /// Returns an account without functions.
    pub(crate) fn new(faults: Arc<Faults>) -> Arc<Self> {
        Arc::new(Self {
            faults,
            functions: Mutex::default(),
            bad_code: Mutex::default(),
            bad_memory: 666,
            scripted_invocation: Mutex::default(),
            moves: Mutex::default(),
            revisions: AtomicU64::default(),
            event_sources: Mutex::default(),
        })
    }

    /// Removes a function with its versions and its alias.
    pub(crate) fn delete(&self, name: &str) {
        self.functions.lock().unwrap().remove(name);
    }

    /// Updates a function's code and configuration and publishes them as a version; returns its number.
    pub(crate) fn publish(&self, name: &str, version: FakeVersion) -> u64 {
        let mut functions = self.functions.lock().unwrap();
        let function = functions.entry(name.to_owned()).or_default();
        function.newest += 1;
        function.published.insert(function.newest, version.clone());
        function.latest = Some(version);
        function.newest
    }

    /// Creates the alias, on the newest version.
    pub(crate) fn create_alias(&self, name: &str) {
        let mut functions = self.functions.lock().unwrap();
        let function = functions.get_mut(name).expect("a function before its alias");
        assert!(function.alias.is_none(), "the alias of {name} exists already");
        function.alias = Some((function.newest, self.new_revision()));
    }

    /// Moves the alias to the newest version, as a Terraform does that does not leave it alone.
    pub(crate) fn move_alias_to_newest(&self, name: &str) {
        let mut functions = self.functions.lock().unwrap();
        if let Some(function) = functions.get_mut(name)
            && let Some((version, _)) = function.alias.filter(|(version, _)| *version != function.newest)
        {
            assert!(version < function.newest);
            function.alias = Some((function.newest, self.new_revision()));
        }
    }

    /// Updates a function's code and configuration without publishing a version.
    pub(crate) fn update_latest(&self, name: &str, version: FakeVersion) {
        self.functions.lock().unwrap().entry(name.to_owned()).or_default().latest = Some(version);
    }

    /// Returns where the aliases point, by function.
    pub(crate) fn aliases(&self) -> BTreeMap<String, u64> {
        let functions = self.functions.lock().unwrap();
        let aliases = functions.iter().filter_map(|(name, function)| Some((name.clone(), function.alias?.0)));
        aliases.collect()
    }

    /// Returns the codes of all published versions.
    pub(crate) fn codes(&self) -> BTreeSet<String> {
        let functions = self.functions.lock().unwrap();
        let published = functions.values().flat_map(|function| function.published.values());
        published.map(|version| version.code_sha256.clone()).collect()
    }

    /// Changes a published version's state.
    pub(crate) fn set_state(&self, name: &str, number: u64, state: &str) {
        let mut functions = self.functions.lock().unwrap();
        let version = functions.get_mut(name).and_then(|function| function.published.get_mut(&number));
        version.expect("a published version").state = state.to_owned();
    }

    /// Returns a published version's state.
    pub(crate) fn state(&self, name: &str, number: u64) -> String {
        let functions = self.functions.lock().unwrap();
        functions[name].published[&number].state.clone()
    }

    /// Deletes all published versions but the newest and the alias's; returns how many.
    pub(crate) fn delete_old_versions(&self, name: &str) -> usize {
        let mut functions = self.functions.lock().unwrap();
        let Some(function) = functions.get_mut(name) else {
            return 0;
        };
        let before = function.published.len();
        let keep = [function.newest, function.alias.map_or(0, |(version, _)| version)];
        function.published.retain(|number, _| keep.contains(number));
        before - function.published.len()
    }

    /// Returns the code and configuration of `$LATEST`.
    pub(crate) fn latest(&self, name: &str) -> Option<FakeVersion> {
        self.functions.lock().unwrap().get(name)?.latest.clone()
    }

    /// Returns the number of the newest version.
    pub(crate) fn newest(&self, name: &str) -> Option<u64> {
        self.functions.lock().unwrap().get(name).map(|function| function.newest)
    }

    /// Returns the version that the alias points to, with its number.
    pub(crate) fn serving(&self, name: &str) -> Option<(String, FakeVersion)> {
        let functions = self.functions.lock().unwrap();
        let function = functions.get(name)?;
        let (number, _) = function.alias?;
        Some((number.to_string(), function.published.get(&number)?.clone()))
    }

    /// Returns whether a version responds correctly.
    pub(crate) fn responds_correctly(&self, version: &FakeVersion) -> bool {
        version.memory != self.bad_memory && !self.bad_code.lock().unwrap().contains(&version.code_sha256)
    }

    fn new_revision(&self) -> u64 {
        self.revisions.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn version(&self, name: &str, number: &str) -> Option<FakeVersion> {
        let functions = self.functions.lock().unwrap();
        let function = functions.get(name)?;
        let number = if number == "$LATEST" { function.newest } else { number.parse().ok()? };
        function.published.get(&number).cloned()
    }
}

#[async_trait]
impl Functions for FakeLambda {
    async fn published(&self, function: &str, version: &str) -> Result<Option<FunctionConfiguration>> {
        self.faults
            .call(&format!("published {function}:{version}"), || {
                Ok(self.version(function, version).map(|found| configuration(function, version, &found)))
            })
            .await
    }

    async fn invoke(
        &self,
        function: &str,
        version: &str,
        _event: &[u8],
        within: Duration,
    ) -> Result<Invocation> {
        self.faults
            .call(&format!("invoke {function}:{version}"), || {
                let found = self
                    .version(function, version)
                    .ok_or_else(|| Failure::failed(format!("{function}:{version} does not exist")))?;
                if found.state == "Inactive" {
                    self.set_state(function, version.parse().unwrap_or_default(), "Pending");
                }
                let scripted = self.scripted_invocation.lock().unwrap().clone();
                if scripted.as_ref().is_some_and(|scripted| scripted.took > within) {
                    let within = crate::format::seconds(within);
                    return Err(Failure::new(
                        FailureKind::VerificationFailed,
                        format!("{function}:{version} did not respond within {within}"),
                    ));
                }
                Ok(scripted.unwrap_or_else(|| Invocation {
                    status: 200,
                    function_error: None,
                    payload: json!({"well": self.responds_correctly(&found)}).to_string().into_bytes(),
                    log_tail: vec!["a line of the log".into()],
                    executed_version: Some(version.to_owned()),
                    took: Duration::from_millis(2),
                }))
            })
            .await
    }

    async fn versions(&self, function: &str) -> Result<Vec<FunctionConfiguration>> {
        self.faults
            .call(&format!("versions of {function}"), || {
                let functions = self.functions.lock().unwrap();
                let published = functions.get(function).into_iter().flat_map(|found| &found.published);
                Ok(published
                    .map(|(number, version)| configuration(function, &number.to_string(), version))
                    .collect())
            })
            .await
    }

    async fn delete_version(&self, function: &str, version: &str) -> Result<()> {
        self.faults
            .call(&format!("delete {function}:{version}"), || {
                let mut functions = self.functions.lock().unwrap();
                let found = functions.get_mut(function).expect("a function");
                let number: u64 = version.parse().expect("a version's number");
                if found.alias.is_some_and(|(points_to, _)| points_to == number) {
                    return Err(Failure::failed(format!("{function}:{version}: ResourceConflictException")));
                }
                found.published.remove(&number);
                Ok(())
            })
            .await
    }

    async fn alias(&self, function: &str, alias: &str) -> Result<Option<Alias>> {
        self.faults
            .call(&format!("alias {function}:{alias}"), || {
                let functions = self.functions.lock().unwrap();
                Ok(functions
                    .get(function)
                    .filter(|_| alias == "live")
                    .and_then(|found| found.alias)
                    .map(alias_value))
            })
            .await
    }

    async fn move_alias(&self, function: &str, alias: &str, version: &str, revision: &str) -> Result<Alias> {
        self.faults
            .call(&format!("point {function}:{alias} -> {version}"), || {
                let mut functions = self.functions.lock().unwrap();
                let found = functions.get_mut(function).expect("a function");
                let (from, current) = found.alias.expect("an alias");
                let number: u64 = version.parse().expect("a version's number");
                if revision != current.to_string() {
                    return Err(Failure::new(FailureKind::LockHeld, "the alias was moved by somebody else"));
                }
                if !found.published.contains_key(&number) {
                    return Err(Failure::failed(format!("{function}:{version} does not exist")));
                }
                let moved = (number, self.new_revision());
                found.alias = Some(moved);
                self.moves.lock().unwrap().push(AliasMove {
                    function: function.to_owned(),
                    from: from.to_string(),
                    to: version.to_owned(),
                });
                Ok(alias_value(moved))
            })
            .await
    }

    async fn event_source_enabled(&self, uuid: &str) -> Result<Option<bool>> {
        let look = || Ok(self.event_sources.lock().unwrap().get(uuid).copied());
        self.faults.call(&format!("event source {uuid}"), look).await
    }

    async fn set_event_source_enabled(&self, uuid: &str, enabled: bool) -> Result<()> {
        self.faults
            .call(&format!("switch event source {uuid}"), || {
                self.event_sources.lock().unwrap().insert(uuid.to_owned(), enabled);
                Ok(())
            })
            .await
    }
}

fn alias_value((version, revision): (u64, u64)) -> Alias {
    Alias { version: version.to_string(), weights: BTreeMap::new(), revision_id: Some(revision.to_string()) }
}

fn configuration(function: &str, number: &str, version: &FakeVersion) -> FunctionConfiguration {
    FunctionConfiguration {
        function_name: function.to_owned(),
        arn: format!("arn:aws:lambda:eu-central-1:333333333333:function:{function}:{number}"),
        version: number.to_owned(),
        code_sha256: version.code_sha256.clone(),
        runtime: version.runtime.as_ref().map(Runtime::to_string),
        handler: version.handler.clone(),
        package_type: if version.runtime.is_some() { "Zip" } else { "Image" }.into(),
        architecture: version.architecture.to_string(),
        memory_mb: version.memory,
        timeout_s: 3,
        role: "arn:aws:iam::333333333333:role/a".into(),
        environment: BTreeMap::new(),
        environment_unreadable: None,
        layers: Vec::new(),
        ephemeral_storage_mb: 512,
        subnets: Vec::new(),
        security_groups: Vec::new(),
        file_systems: Vec::new(),
        tracing: "PassThrough".into(),
        dead_letter: None,
        kms_key: None,
        image_config: None,
        snap_start: None,
        logging: Logging { group: None, format: "Text".into(), application_level: None, system_level: None },
        state: Some(version.state.clone()),
        state_reason: (version.state == "Failed").then(|| "the image is gone".into()),
        last_update_status: None,
        last_update_reason: None,
        last_modified: None,
        revision_id: None,
    }
}

//! What runs in an environment, and whether it is what the ledger says.
//!
//! In: the stacks, the environment's store and functions. Out: a status for each function that the ledger says is served,
//! with warnings. Errors: the store or Lambda cannot be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::Result;
use crate::ledger::{self, DeploymentOutcome, Ended, Head, Holder, Ledger, Serving};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::ownership::ProjectIdentity;
use crate::ports::{Alias, Clock, FunctionConfiguration, Functions, Store};

/// What runs in one environment.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct EnvironmentStatus {
    /// Whether it could be read.
    pub(crate) reached: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// By function.
    pub(crate) functions: BTreeMap<FunctionName, FunctionStatus>,
    /// What somebody should look at.
    pub(crate) warnings: Vec<String>,
}

/// What one function runs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FunctionStatus {
    /// The stack.
    pub(crate) stack: StackName,
    /// The release that the ledger says is served.
    pub(crate) release: Version,
    /// The commit that it was built from.
    pub(crate) commit: String,
    /// The Lambda version that the ledger says is served.
    pub(crate) lambda_version: String,
    /// The Lambda version that the alias points to.
    pub(crate) alias_version: Option<String>,
    /// The newest Lambda version: the one in Terraform's state.
    pub(crate) newest_version: String,
    /// Whether it was verified.
    pub(crate) verified: bool,
    /// Whether alias and configuration are as the ledger says.
    pub(crate) as_recorded: bool,
    /// The newest deployment's number.
    pub(crate) deployment: u64,
    /// How the newest deployment ended.
    pub(crate) outcome: DeploymentOutcome,
    /// Since when this release serves.
    #[schemars(with = "String")]
    pub(crate) since: jiff::Timestamp,
    /// Who made the newest deployment.
    pub(crate) by: String,
    /// Releases that are held.
    pub(crate) held: Vec<Version>,
}

/// An environment whose status is read.
pub(crate) struct EnvironmentAccess<'a> {
    /// Its name.
    pub(crate) environment: &'a EnvironmentName,
    /// Its store, which holds the ledgers.
    pub(crate) store: &'a Arc<dyn Store>,
    /// The project that the ledgers have to belong to.
    pub(crate) project: &'a ProjectIdentity,
    /// Its functions.
    pub(crate) functions: &'a Arc<dyn Functions>,
    /// This process, to tell whether an open deployment's process is alive.
    pub(crate) here: Holder,
    /// The time.
    pub(crate) clock: &'a dyn Clock,
}

impl EnvironmentStatus {
    /// Makes the status of an environment that was not read.
    pub(crate) fn not_read(why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..Self::default() }
    }
}

impl EnvironmentAccess<'_> {
    /// Reads what runs in the stacks of the environment.
    pub(crate) async fn read(&self, stacks: impl Iterator<Item = &StackName>) -> Result<EnvironmentStatus> {
        let mut status = EnvironmentStatus { reached: true, ..EnvironmentStatus::default() };
        for stack in stacks {
            let ledger = Ledger::new(self.store.clone(), self.environment.clone(), stack.clone())
                .of_project(self.project);
            let head = ledger.head().await?;
            status.warnings.extend(self.stack_warnings(&ledger, stack, &head).await?);
            let Some(last) = &head.last else { continue };
            for (function, serving) in &last.serves {
                let (found, warning) = self.function(stack, function, serving, last).await?;
                status.warnings.extend(warning);
                status.functions.insert(function.clone(), found);
            }
        }
        Ok(status)
    }

    /// Returns warnings about a stack's deployments: an open one, and a rollback that Terraform does not agree with.
    async fn stack_warnings(&self, ledger: &Ledger, stack: &StackName, head: &Head) -> Result<Vec<String>> {
        let environment = self.environment;
        let mut warnings = Vec::new();
        if let Some(open) = &head.open {
            let state = if ledger::is_alive(open, &self.here, &ledger.lease(), self.clock).await? {
                "is running"
            } else {
                "was cut off: the next command closes it, or cargo xtask recover"
            };
            warnings.push(format!(
                "deployment {} of {stack} ({}) by {} {state}",
                open.deployment,
                open.describe(),
                open.by
            ));
        }
        if let Some(unfinished) = head.last.as_ref().and_then(Ended::unfinished_rollback_text) {
            warnings.push(format!(
                "{stack} in {environment}: {unfinished}: cargo xtask rollback --env {environment} continues"
            ));
        }
        Ok(warnings)
    }

    /// Compares what a function runs with what the ledger says; a difference is a warning.
    async fn function(
        &self,
        stack: &StackName,
        function: &FunctionName,
        serving: &Serving,
        last: &Ended,
    ) -> Result<(FunctionStatus, Option<String>)> {
        let (alias, published) = futures::try_join!(
            self.functions.alias(&serving.function_name, &serving.alias),
            self.functions.published(&serving.function_name, &serving.lambda_version)
        )?;
        let warning = self.function_warning(function, serving, alias.as_ref(), published.as_ref());
        let configuration_agrees = published.is_some_and(|published| {
            published.code_sha256 == serving.code_sha256 && published.digest() == serving.config_digest
        });
        let alias_agrees = serving.matches(alias.as_ref());
        let held = last.holds.iter().filter(|hold| hold.function == *function);
        let status = FunctionStatus {
            stack: stack.clone(),
            release: serving.release.clone(),
            commit: serving.commit.clone(),
            lambda_version: serving.lambda_version.clone(),
            alias_version: alias.map(|alias| alias.version),
            newest_version: serving.newest_version.clone(),
            verified: serving.verified,
            as_recorded: configuration_agrees && alias_agrees,
            deployment: last.deployment,
            outcome: last.outcome,
            since: serving.since_at,
            by: last.by.clone(),
            held: held.map(|hold| hold.release.clone()).collect(),
        };
        Ok((status, warning))
    }

    fn function_warning(
        &self,
        function: &FunctionName,
        serving: &Serving,
        alias: Option<&Alias>,
        published: Option<&FunctionConfiguration>,
    ) -> Option<String> {
        let (environment, recorded) = (self.environment, &serving.lambda_version);
        let text = if !serving.matches(alias) {
            let points_to = alias.map_or("nothing".to_owned(), Alias::points_to);
            format!(
                "the alias points to {points_to}, the ledger says {recorded}: cargo xtask recover --env {environment}"
            )
        } else if published.is_none() {
            format!("version {recorded}, which the alias points to, does not exist")
        } else if published.is_some_and(|published| {
            published.code_sha256 != serving.code_sha256 || published.digest() != serving.config_digest
        }) {
            format!("version {recorded} is not configured as it was recorded")
        } else if !serving.verified {
            format!(
                "version {recorded} serves and was not verified: cargo xtask release --env {environment} verifies it"
            )
        } else {
            return None;
        };
        Some(format!("{function} in {environment}: {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Architecture;
    use crate::digest::Digest;
    use crate::fakes::{FakeClock, FakeLambda, FakeStore, FakeVersion as LambdaVersion};
    use crate::ledger::{DeploymentKind, Hold, PlannedRelease, SCHEMA, Started};

    const NAME: &str = "shop-dev-hello";

    struct Scene {
        store: Arc<FakeStore>,
        lambda: Arc<FakeLambda>,
    }

    impl Scene {
        /// Makes an environment whose function serves version 1 of its release 1.0.0.
        async fn serving() -> Self {
            let scene = Self {
                store: FakeStore::new("state", Default::default()),
                lambda: FakeLambda::new(Default::default()),
            };
            scene.lambda.publish(NAME, lambda_version(128));
            scene.lambda.create_alias(NAME);
            let published = scene.lambda.published(NAME, "1").await.unwrap().unwrap();
            let started = started(1);
            scene.ledger().begin(&started).await.unwrap();
            let mut ended =
                Ended::of(&started, None, DeploymentOutcome::Verified, jiff::Timestamp::UNIX_EPOCH);
            let serving = Serving {
                release: "1.0.0".parse().unwrap(),
                digest: Digest::of("manifest"),
                commit: "9040e95".into(),
                code_sha256: published.code_sha256.clone(),
                function_name: NAME.into(),
                alias: "live".into(),
                lambda_version: "1".into(),
                alias_elsewhere: None,
                alias_revision: None,
                newest_version: "1".into(),
                config_digest: published.digest(),
                verified: true,
                since: 1,
                since_at: jiff::Timestamp::UNIX_EPOCH,
            };
            ended.serves.insert("hello".parse().unwrap(), serving);
            let (function, release) = ("hello".parse().unwrap(), "0.9.0".parse().unwrap());
            ended.holds.push(Hold { function, release, deployment: 1 });
            scene.ledger().end(&ended).await.unwrap();
            scene
        }

        fn ledger(&self) -> Ledger {
            Ledger::new(self.store.clone(), "dev".parse().unwrap(), "hello".parse().unwrap())
        }

        async fn status(&self) -> EnvironmentStatus {
            let (environment, stack) = ("dev".parse().unwrap(), "hello".parse().unwrap());
            let store: Arc<dyn Store> = self.store.clone();
            let functions: Arc<dyn Functions> = self.lambda.clone();
            let project = ProjectIdentity::new("shop", None, |_| true);
            let access = EnvironmentAccess {
                project: &project,
                environment: &environment,
                store: &store,
                functions: &functions,
                here: Holder::here(),
                clock: &FakeClock::new(),
            };
            access.read([&stack].into_iter()).await.unwrap()
        }
    }

    fn lambda_version(memory: u32) -> LambdaVersion {
        LambdaVersion {
            code_sha256: "code".into(),
            memory,
            runtime: None,
            handler: None,
            architecture: Architecture::Arm64,
            state: "Active".into(),
        }
    }

    /// A deployment that a process on this machine began which is dead by now.
    fn started(deployment: u64) -> Started {
        let dead = Holder { pid: u32::MAX, start_ticks: Some(1), ..Holder::here() };
        let choice = PlannedRelease {
            release: "1.0.0".parse().unwrap(),
            digest: Digest::of("manifest"),
            code_sha256: "code".into(),
            commit: "9040e95".into(),
            lambda_version: None,
        };
        Started {
            trust: None,
            schema: SCHEMA.into(),
            deployment,
            stack: "hello".parse().unwrap(),
            environment: "dev".parse().unwrap(),
            kind: DeploymentKind::Release,
            serves: BTreeMap::new(),
            will: BTreeMap::from([("hello".parse().unwrap(), choice)]),
            by: "ada".into(),
            run_url: None,
            holder: dead,
            at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[tokio::test]
    async fn function_that_is_as_recorded_has_no_warning() {
        let status = Scene::serving().await.status().await;
        assert!(status.reached && status.warnings.is_empty(), "{status:?}");
        let hello = &status.functions[&"hello".parse().unwrap()];
        assert!(hello.as_recorded && hello.verified);
        assert_eq!(hello.alias_version.as_deref(), Some("1"));
        assert_eq!(hello.held, ["0.9.0".parse().unwrap()]);
    }

    #[tokio::test]
    async fn alias_that_was_moved_by_hand_is_a_warning() {
        let scene = Scene::serving().await;
        scene.lambda.publish(NAME, lambda_version(256));
        scene.lambda.move_alias(NAME, "live", "2", "1").await.unwrap();
        let status = scene.status().await;
        assert_eq!(
            status.warnings,
            ["hello in dev: the alias points to 2, the ledger says 1: cargo xtask recover --env dev"]
        );
        assert!(!status.functions[&"hello".parse().unwrap()].as_recorded);
    }

    #[tokio::test]
    async fn alias_with_a_second_version_is_a_warning_about_the_alias() {
        let scene = Scene::serving().await;
        let last = scene.ledger().head().await.unwrap().last.unwrap();
        let serving = &last.serves[&"hello".parse().unwrap()];
        let published = scene.lambda.published(NAME, "1").await.unwrap();
        let mut alias = scene.lambda.alias(NAME, "live").await.unwrap().unwrap();
        alias.weights.insert("2".into(), 0.1);
        let (environment, project) = ("dev".parse().unwrap(), ProjectIdentity::new("shop", None, |_| true));
        let (store, functions): (Arc<dyn Store>, Arc<dyn Functions>) =
            (scene.store.clone(), scene.lambda.clone());
        let clock = FakeClock::new();
        let access = EnvironmentAccess {
            project: &project,
            environment: &environment,
            store: &store,
            functions: &functions,
            here: Holder::here(),
            clock: &clock,
        };
        let warning = |alias: Option<&Alias>, published: Option<&FunctionConfiguration>| {
            access.function_warning(&"hello".parse().unwrap(), serving, alias, published).unwrap()
        };
        assert_eq!(
            warning(Some(&alias), published.as_ref()),
            "hello in dev: the alias points to 1 and 10 % to 2, the ledger says 1: cargo xtask recover --env dev"
        );
        alias.weights.clear();
        assert!(
            warning(Some(&alias), None).ends_with("version 1, which the alias points to, does not exist")
        );
    }

    #[tokio::test]
    async fn function_that_was_deleted_is_a_warning() {
        let scene = Scene::serving().await;
        scene.lambda.delete(NAME);
        let status = scene.status().await;
        assert!(status.warnings[0].contains("the alias points to nothing"), "{status:?}");
    }

    #[tokio::test]
    async fn deployment_that_was_cut_off_is_a_warning() {
        let scene = Scene::serving().await;
        scene.ledger().begin(&started(2)).await.unwrap();
        let status = scene.status().await;
        assert_eq!(
            status.warnings,
            [
                "deployment 2 of hello (release of hello 1.0.0) by ada was cut off: the next command closes it, or cargo xtask recover"
            ]
        );
    }

    #[tokio::test]
    async fn rollback_that_did_not_end_well_is_a_warning_however_often_it_failed() {
        let scene = Scene::serving().await;
        let outcomes = [
            DeploymentOutcome::TerraformPending,
            DeploymentOutcome::TerraformPending,
            // Earlier versions wrote this where a second rollback failed.
            DeploymentOutcome::Failed,
            DeploymentOutcome::Interrupted,
        ];
        for (deployment, outcome) in (2..).zip(outcomes) {
            let last = scene.ledger().head().await.unwrap().last;
            let mut rollback = started(deployment);
            rollback.kind = DeploymentKind::Rollback;
            rollback.serves = last.unwrap().serves;
            rollback.will.values_mut().for_each(|choice| choice.lambda_version = Some("1".into()));
            scene.ledger().begin(&rollback).await.unwrap();
            let ended = Ended::of(&rollback, None, outcome, jiff::Timestamp::UNIX_EPOCH);
            scene.ledger().end(&ended).await.unwrap();
            let status = scene.status().await;
            assert_eq!(
                status.warnings,
                [
                    "hello in dev: traffic is back on hello 1.0.0, Terraform does not agree yet: cargo xtask rollback --env dev continues"
                ],
                "{outcome:?}"
            );
        }
    }

    #[tokio::test]
    async fn version_that_serves_unverified_is_a_warning() {
        let scene = Scene::serving().await;
        let mut second = started(2);
        second.serves = scene.ledger().head().await.unwrap().last.unwrap().serves;
        second.serves.values_mut().for_each(|serving| serving.verified = false);
        scene.ledger().begin(&second).await.unwrap();
        let outcome = DeploymentOutcome::VerificationFailed;
        let ended = Ended::of(&second, None, outcome, jiff::Timestamp::UNIX_EPOCH);
        scene.ledger().end(&ended).await.unwrap();
        let status = scene.status().await;
        assert_eq!(
            status.warnings,
            [
                "hello in dev: version 1 serves and was not verified: cargo xtask release --env dev verifies it"
            ]
        );
    }
}

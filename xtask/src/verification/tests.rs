//! Verification over functions in memory: what is found about versions that are not as they should be.

mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::mask::SecretMask;
use super::smoke::{compare_response, is_subset};
use super::{Clients, Endpoint, Verification, VersionUnderTest, await_active, failure, verify};
use crate::architecture::Architecture;
use crate::digest::Digest;
use crate::failure::{FailureKind, Result};
use crate::fakes::{FakeLambda, FakeServices, FakeVersion, Fault, Faults};
use crate::interrupt::Interrupt;
use crate::plan::Output;
use crate::ports::{Functions, HttpResponse, Invocation, Services};
use crate::release::{Manifest, RequestRecord, SmokeRecord, sample_manifest};
use crate::runtime::Runtime;
use crate::settings::PackageType;

struct Bench {
    faults: Arc<Faults>,
    lambda: Arc<FakeLambda>,
    manifest: Manifest,
    services: FakeServices,
    outputs: BTreeMap<String, Output>,
    endpoint: Endpoint<'static>,
    emulated: bool,
}

impl Bench {
    /// Publishes version 1 of what a manifest says, changed by `change`.
    fn new(change: impl FnOnce(&mut FakeVersion)) -> Self {
        let faults = Arc::new(Faults::default());
        let lambda = FakeLambda::new(faults.clone());
        let mut manifest = sample_manifest("hello", "1.2.3");
        manifest.smoke = vec![smoke("is well", true), smoke("writes", false)];
        let mut version = FakeVersion {
            code_sha256: manifest.artifact.code_sha256.clone(),
            memory: 128,
            runtime: Some(manifest.runtime.clone()),
            handler: Some(manifest.handler.clone()),
            architecture: manifest.architecture,
            state: "Active".into(),
        };
        change(&mut version);
        lambda.publish("f", version);
        Self {
            faults,
            lambda,
            manifest,
            services: FakeServices::default(),
            outputs: BTreeMap::new(),
            endpoint: Endpoint::Version,
            emulated: false,
        }
    }

    async fn verify(&self, version: &str, known: Option<Digest>, protected: bool) -> Verification {
        self.try_to_verify(version, known, protected).await.unwrap()
    }

    async fn try_to_verify(
        &self,
        version: &str,
        known: Option<Digest>,
        protected: bool,
    ) -> Result<Verification> {
        let functions: Arc<dyn Functions> = self.lambda.clone();
        let services: Arc<dyn Services> = Arc::new(self.services.clone());
        let interrupt = Interrupt::never();
        let clients = Clients { functions: &functions, services: &services, interrupt: &interrupt };
        let tested = VersionUnderTest {
            manifest: &self.manifest,
            function_name: "f",
            version,
            known_configuration: known,
            protected,
            emulated: self.emulated,
            outputs: &self.outputs,
            endpoint: self.endpoint,
        };
        verify(&clients, &tested).await
    }

    /// Says what does not hold: `code: expected a, got b`.
    async fn wrong(&self) -> Vec<String> {
        let verification = self.verify("1", None, false).await;
        assert_eq!(verification.passed(), wrong(&verification).is_empty());
        wrong(&verification)
    }

    fn answers(&self, error: Option<&str>, payload: &Value, took: Duration) {
        *self.lambda.scripted_invocation.lock().unwrap() = Some(Invocation {
            status: 200,
            function_error: error.map(str::to_owned),
            payload: payload.to_string().into_bytes(),
            log_tail: vec!["a line of the log".into()],
            executed_version: Some("1".into()),
            took,
        });
    }
}

#[tokio::test]
async fn version_that_was_not_called_says_why() {
    let mut bench = Bench::new(|_| {});
    let summary = |verification: Verification| {
        assert!(verification.passed(), "{verification:?}");
        verification.summary()
    };
    bench.manifest.smoke.retain(|smoke| !smoke.safe);
    let not_safe = summary(bench.verify("1", None, true).await);
    assert_eq!(not_safe, "code ok · configuration ok · not called: no smoke event is safe");
    bench.manifest.smoke.clear();
    let none = summary(bench.verify("1", None, false).await);
    assert_eq!(none, "code ok · configuration ok · not called: there is no smoke event");

    let node = Runtime::from("nodejs22.x");
    let mut bench = Bench::new(|version| version.runtime = Some(node.clone()));
    bench.manifest.runtime = node;
    bench.emulated = true;
    let elsewhere = summary(bench.verify("1", None, false).await);
    assert!(elsewhere.ends_with("not called: the local environment does not run nodejs22.x"), "{elsewhere}");
    bench.emulated = false;
    let verification = bench.verify("1", None, false).await;
    assert!(verification.checks.iter().any(|check| check.name.starts_with("smoke")), "{verification:?}");
    assert_eq!(verification.not_called, None);
}

fn smoke(name: &str, safe: bool) -> SmokeRecord {
    SmokeRecord {
        name: name.into(),
        event: json!({}),
        request: None,
        capture: BTreeMap::new(),
        expect: Some(json!({"well": true})),
        expect_error: None,
        within_ms: 1_000,
        safe,
    }
}

fn wrong(verification: &Verification) -> Vec<String> {
    let checks = verification.checks.iter().filter(|check| !check.passed);
    checks
        .map(|check| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            format!("{}: expected {}, got {}", check.name, text(&check.expected), text(&check.got))
        })
        .collect()
}

fn looked_at(verification: &Verification) -> Vec<&str> {
    verification.checks.iter().map(|check| check.name.as_str()).collect()
}

#[tokio::test]
async fn version_as_released_passes_with_all_permitted_smoke_events() {
    let bench = Bench::new(|_| {});
    let all = bench.verify("1", None, false).await;
    assert!(all.passed());
    assert_eq!(looked_at(&all), ["active", "code", "configuration", "smoke \"is well\"", "smoke \"writes\""]);
    let safe = bench.verify("1", None, true).await;
    assert_eq!(looked_at(&safe), ["active", "code", "configuration", "smoke \"is well\""]);
    assert!(
        safe.summary().starts_with("code ok · configuration ok · smoke \"is well\" "),
        "{}",
        safe.summary()
    );
}

#[tokio::test]
async fn version_with_other_code_or_configuration_fails_and_is_not_invoked() {
    let bench = Bench::new(|version| version.code_sha256 = "other".into());
    let verification = bench.verify("1", None, false).await;
    assert_eq!(looked_at(&verification), ["active", "code", "configuration"]);
    let expected = &bench.manifest.artifact.code_sha256;
    assert_eq!(wrong(&verification), [format!("code: expected {expected}, got other")]);
    for (change, got) in [
        (
            (|version| version.runtime = Some(Runtime::Python313)) as fn(&mut FakeVersion),
            "python3.13 bootstrap x86_64",
        ),
        (|version| version.handler = Some("x".into()), "provided.al2023 x x86_64"),
        (|version| version.architecture = Architecture::Arm64, "provided.al2023 bootstrap arm64"),
    ] {
        let expected = "configuration: expected provided.al2023 bootstrap x86_64, got";
        assert_eq!(Bench::new(change).wrong().await, [format!("{expected} {got}")]);
    }
}

#[tokio::test]
async fn image_function_has_no_runtime_and_handler_to_compare() {
    let mut bench = Bench::new(|version| {
        (version.runtime, version.handler) = (None, None);
    });
    bench.manifest.package = PackageType::Image;
    assert_eq!(bench.wrong().await, Vec::<String>::new());
    bench.manifest.architecture = Architecture::Arm64;
    assert_eq!(bench.wrong().await, ["configuration: expected - - arm64, got - - x86_64"]);
}

#[tokio::test]
async fn function_of_another_package_type_fails() {
    let mut bench = Bench::new(|_| {});
    bench.manifest.package = PackageType::Image;
    assert_eq!(bench.wrong().await[0], "package type: expected Image, got Zip");
}

#[tokio::test]
async fn version_in_the_ledger_must_have_the_recorded_configuration() {
    let bench = Bench::new(|_| {});
    let digest = bench.verify("1", None, false).await.config_digest.unwrap();
    assert!(bench.verify("1", Some(digest), false).await.passed());
    let other = Digest::of("other");
    let verification = bench.verify("1", Some(other), false).await;
    assert_eq!(wrong(&verification), [format!("configuration: expected {other}, got {digest}")]);
}

#[tokio::test]
async fn missing_or_failed_version_fails() {
    let bench = Bench::new(|_| {});
    let missing = bench.verify("7", None, false).await;
    assert_eq!(wrong(&missing), ["active: expected a published version, got version 7 does not exist"]);
    assert_eq!(missing.config_digest, None);
    let bench = Bench::new(|version| version.state = "Failed".into());
    assert_eq!(bench.wrong().await, ["active: expected Active, got Failed the image is gone"]);
}

#[tokio::test]
async fn pending_version_is_waited_for_and_inactive_one_is_invoked() {
    let bench = Bench::new(|version| version.state = "Inactive".into());
    let functions: Arc<dyn Functions> = bench.lambda.clone();
    let waiting = async {
        while bench.lambda.state("f", 1) != "Pending" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bench.lambda.set_state("f", 1, "Active");
    };
    let never = Interrupt::never();
    let (found, ()) = tokio::join!(await_active(&functions, "f", "1", &never), waiting);
    let (check, configuration) = found.unwrap();
    assert!(check.passed && check.took_ms >= 400, "{check:?}");
    assert_eq!(configuration.unwrap().state.as_deref(), Some("Active"));
}

#[tokio::test]
async fn wrong_slow_or_failed_response_or_one_of_another_version_fails() {
    let bench = Bench::new(|_| {});
    let (quick, slow) = (Duration::from_millis(3), Duration::from_millis(1_500));
    bench.manifest.smoke.iter().for_each(|smoke| assert!(smoke.expect.is_some()));
    bench.answers(None, &json!({"well": false}), quick);
    let verification = bench.verify("1", None, true).await;
    assert_eq!(wrong(&verification), ["smoke \"is well\": expected {\"well\":true}, got {\"well\":false}"]);
    assert_eq!(verification.checks.last().unwrap().log, ["a line of the log"]);
    bench.answers(None, &json!({"well": true}), slow);
    let verification = bench.verify("1", None, true).await;
    assert_eq!(wrong(&verification), ["smoke \"is well\": expected a response within 1.0 s, got 1.5 s"]);
    bench.answers(Some("Unhandled"), &json!({"errorType": "Broken"}), quick);
    let verification = bench.verify("1", None, true).await;
    assert_eq!(
        wrong(&verification),
        ["smoke \"is well\": expected a response, got Unhandled error {\"errorType\":\"Broken\"}"]
    );
    bench.answers(None, &json!({"well": true}), quick);
    if let Some(answer) = bench.lambda.scripted_invocation.lock().unwrap().as_mut() {
        answer.executed_version = Some("9".into());
    }
    let verification = bench.verify("1", None, true).await;
    assert_eq!(wrong(&verification), ["smoke \"is well\": expected version 1, got version 9 responded"]);
}

#[tokio::test]
async fn expected_error_must_occur_with_its_type() {
    let mut bench = Bench::new(|_| {});
    bench.manifest.smoke = vec![SmokeRecord {
        expect: None,
        expect_error: Some("InvalidName".into()),
        ..smoke("refuses", true)
    }];
    let quick = Duration::from_millis(3);
    bench.answers(Some("Unhandled"), &json!({"errorType": "InvalidName"}), quick);
    assert!(bench.wrong().await.is_empty());
    bench.answers(Some("Unhandled"), &json!({"errorType": "Other"}), quick);
    assert_eq!(
        bench.wrong().await,
        ["smoke \"refuses\": expected the error InvalidName, got {\"errorType\":\"Other\"}"]
    );
    bench.answers(None, &json!("hello"), quick);
    assert_eq!(bench.wrong().await, ["smoke \"refuses\": expected the error InvalidName, got \"hello\""]);
}

#[tokio::test]
async fn missing_response_is_a_failed_check_and_unreachable_service_an_error() {
    let bench = Bench::new(|_| {});
    bench.answers(None, &json!({"well": true}), Duration::from_secs(60));
    let verification = bench.verify("1", None, true).await;
    let found = wrong(&verification);
    assert_eq!(
        found,
        ["smoke \"is well\": expected a response within 1.0 s, got f:1 did not respond within 2.0 s"]
    );
    // The calls are: the version's configuration, then the smoke event. A service that fails says nothing about the function.
    for call in [0, 1] {
        bench.faults.arm(Some((call, Fault::ErrorBefore)));
        let failure = bench.try_to_verify("1", None, true).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Failed, "{failure}");
    }
}

#[tokio::test]
async fn failure_names_function_version_environment_and_checks() {
    let bench = Bench::new(|version| version.code_sha256 = "other".into());
    let verification = bench.verify("1", None, true).await;
    let report = failure("prod", &[verification]).report();
    assert_eq!(report.exit_code, 5);
    assert_eq!(report.message, "`hello` version 1 in prod did not verify");
    let body = report.body.unwrap();
    assert!(body.starts_with("hello code\n  expected  ") && body.ends_with("\n  got       other"), "{body}");
}

fn expecting(expect: Option<Value>, expect_error: Option<&str>) -> SmokeRecord {
    SmokeRecord {
        name: "greets".into(),
        event: json!({}),
        request: None,
        capture: BTreeMap::new(),
        expect,
        expect_error: expect_error.map(str::to_owned),
        within_ms: 3_000,
        safe: true,
    }
}

fn verdict(smoke: &SmokeRecord, error: Option<&str>, answer: Value) -> bool {
    compare_response("smoke", smoke, error, &answer, &SecretMask::default(), Instant::now()).passed
}

#[test]
fn response_may_contain_more_than_expected_but_not_less() {
    assert!(is_subset(
        &json!({"a": 1, "b": {"c": [1, 2]}}),
        &json!({"a": 1.0, "b": {"c": [1, 2], "d": 3}, "e": 4})
    ));
    for wrong in [json!({"a": 2}), json!({"b": {"c": [1]}}), json!({"x": null}), json!([1])] {
        assert!(!is_subset(&wrong, &json!({"a": 1, "b": {"c": [1, 2]}})), "{wrong}");
    }
}

#[test]
fn expected_errors_and_responses_are_distinguished() {
    let greets = expecting(Some(json!({"greeting": "Hello Ada"})), None);
    assert!(verdict(&greets, None, json!({"greeting": "Hello Ada", "x": 1})));
    assert!(!verdict(&greets, Some("Unhandled"), json!({"greeting": "Hello Ada"})));
    assert!(!verdict(&greets, None, json!({"greeting": "Hullo"})));
    let refuses = expecting(None, Some("InvalidName"));
    assert!(verdict(&refuses, Some("Unhandled"), json!({"errorType": "InvalidName"})));
    assert!(!verdict(&refuses, Some("Unhandled"), json!({"errorType": "Other"})));
    assert!(!verdict(&refuses, None, json!({"errorType": "InvalidName"})));
    assert!(verdict(&expecting(None, None), None, json!(null)));
}

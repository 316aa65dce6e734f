//! bucket-api as a container image: the repository's own stack with its API routed to the image function, on a base that the
//! test built; released twice, rolled back to a version, routed to the zip and back; and a failing suite.

use std::fs;

use serde_json::{Value, json};

use super::{PROJECT, assert_bound_and_tagged, state};
use crate::require;
use crate::support::TestRun;
use crate::support::machine::repository;
use crate::support::process::Finished;
use crate::support::python::package_index_variables;
use crate::support::registry::Registry;
use crate::support::repository_copy::{copy_repository_into, keep_artifacts, resource_type, resources};
use crate::support::sandbox::{AutoStop, Sandbox, init_repository};

const IMAGE: &str = "bucket-api-image";
const ZIP: &str = "bucket-api-zip";
const STACK: &str = "bucket-api";
const KEY: &str = "2026/a.txt";

/// A copy of the repository in its own account, whose local environment runs both functions.
struct Shop {
    sandbox: AutoStop,
    variables: Vec<(String, String)>,
}

impl std::ops::Deref for Shop {
    type Target = AutoStop;

    fn deref(&self) -> &AutoStop {
        &self.sandbox
    }
}

impl Shop {
    fn new(test_run: &'static TestRun, registry: &Registry) -> Self {
        let shop = Self { sandbox: AutoStop(Sandbox::new(test_run)), variables: package_index_variables() };
        copy_repository_into(&shop, test_run);
        shop.write("pipelines/project.toml", PROJECT);
        shop.write(
            "terraform/environments/local/environment.toml",
            &format!("emulated = true\n\n[stacks.{STACK}]\nfunctions = [\"{ZIP}\", \"{IMAGE}\"]\n"),
        );
        registry.give_base(&shop.folder, IMAGE);
        shop.route_api_to("image");
        init_repository(&shop.folder);
        shop
    }

    /// Makes the API call the zip or the image function.
    fn route_api_to(&self, which: &str) {
        let path = format!("terraform/environments/local/{STACK}.tfvars");
        let text = fs::read_to_string(repository().join(&path)).expect("the stack's values");
        let other = text.replace("serves             = \"zip\"", &format!("serves = \"{which}\""));
        assert!(other.contains(&format!("serves = \"{which}\"")), "{other}");
        self.write(&path, &other);
    }

    /// Runs a command that builds, applies or installs.
    fn run_slow(&self, arguments: &[&str]) -> Finished {
        let variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.start_with(arguments, &variables).with_long_timeout().wait()
    }

    /// Sends a signed request to the API; returns the function behind its address, and the body.
    fn call(&self, path: &str) -> (String, Value) {
        let document = self.run(&["call", path, "--env", "local", "--output", "json"]).exits(0).json();
        let response = &document["data"];
        assert_eq!(
            (&response["status"], &response["signed_for"]),
            (&json!(200), &json!("execute-api")),
            "{document}"
        );
        (response["function"].as_str().unwrap_or_default().to_owned(), response["body"].clone())
    }

    /// Asserts that this function serves the API: its health, and the one object in the bucket.
    #[track_caller]
    fn assert_served_by(&self, function: &str, health: &Value) {
        assert_eq!(self.call("/health"), (function.to_owned(), health.clone()));
        let (by, listing) = self.call("/objects?prefix=2026/");
        let listed: Vec<_> = listing["objects"].as_array().expect("objects").iter().collect();
        assert_eq!((by.as_str(), listed.len()), (function, 1), "{listing}");
        assert_eq!((&listed[0]["key"], &listed[0]["size"]), (&json!(KEY), &json!(4)), "{listing}");
        // The API's integration calls that function; the name alone is not enough.
        let state = state(self, STACK);
        assert_bound_and_tagged(STACK, &state);
        let integration = resources(&state)
            .into_iter()
            .find(|(address, _)| resource_type(address) == "aws_apigatewayv2_integration")
            .expect("the API's integration");
        let target = integration.1["integration_uri"].as_str().unwrap_or_default();
        assert!(target.contains(&format!("-{function}:live/")), "{target}");
    }

    /// Returns the release that a function serves; its alias must match the ledger.
    fn served_release(&self, function: &str) -> Value {
        let document = self.run(&["status", "--env", "local", "--output", "json"]).exits(0).json();
        let status = &document["data"]["environments"]["local"]["functions"][function];
        assert_eq!(status["as_recorded"], true, "{document}");
        status["release"].clone()
    }
}

#[test]
fn bucket_api_image_is_released_rolled_back_and_switched_with_the_zip() {
    let test_run = require!(TestRun::shared());
    let registry = require!(Registry::start(test_run));
    let shop = Shop::new(test_run, &registry);
    let (one, two) = (json!({ "status": "ok" }), json!({ "status": "ok", "says": "two" }));

    let first = shop.run_slow(&["release", IMAGE, ZIP, "--env", "local", "--yes"]).exits(0);
    assert!(first.stdout.contains(&format!("{IMAGE} 0.1.0 and {ZIP} 0.1.0 serve in local.")), "{first}");
    let artifacts = format!("slipway-{}-artifacts", shop.account.id);
    let manifest: Value =
        serde_json::from_slice(&shop.account.object(&artifacts, &format!("releases/{IMAGE}/0.1.0.json")))
            .expect("a manifest");
    assert_eq!(manifest["package"], "image", "{manifest}");
    let key = manifest["artifact"]["key"].as_str().unwrap_or_default();
    assert!(key.starts_with(&format!("{IMAGE}@sha256:")), "{manifest}");
    keep_artifacts(&shop.folder);
    shop.account.put(&format!("slipway-{}-local-objects", shop.account.id), KEY, b"four");
    shop.assert_served_by(IMAGE, &one);
    shop.run(&["call", "/health", "--env", "local", "--unsigned"]).exits(1).says("answered 403");

    // A changed response, in the image function alone: the zip function does not change.
    let api = "lambda-src/bucket-api/src/api.rs";
    let text = fs::read_to_string(repository().join(api)).expect("the API's source");
    let changed =
        text.replace("json!({ \"status\": \"ok\" })", "json!({ \"status\": \"ok\", \"says\": \"two\" })");
    assert_ne!(changed, text);
    shop.write(api, &changed);
    shop.commit("feat: say two");
    shop.run_slow(&["release", IMAGE, "--env", "local", "--yes"])
        .exits(0)
        .says(&format!("{IMAGE} 0.2.0 and {ZIP} 0.1.0 serve in local."));
    keep_artifacts(&shop.folder);
    shop.assert_served_by(IMAGE, &two);
    assert_eq!((shop.served_release(IMAGE), shop.served_release(ZIP)), (json!("0.2.0"), json!("0.1.0")));

    let back = shop.run_slow(&["rollback", IMAGE, "--to", "0.1.0", "--env", "local", "--yes"]).exits(0);
    let back = back.says(&format!("{IMAGE} 0.1.0 serves in local again."));
    assert!(!back.ran_step("build"), "{back}");
    shop.assert_served_by(IMAGE, &one);

    // The API is routed to the zip and back, without a build.
    for (which, function) in [("zip", ZIP), ("image", IMAGE)] {
        shop.route_api_to(which);
        shop.commit("feat: route the API");
        let deployed =
            shop.run_slow(&["deploy", function, "--version", "0.1.0", "--env", "local", "--yes"]).exits(0);
        assert!(deployed.ran_step("apply") && !deployed.ran_step("build"), "{deployed}");
        shop.assert_served_by(function, &one);
    }

    // The function's own suite against the image; then with a failing test, which the error names.
    shop.run_slow(&["verify", IMAGE, "--env", "local", "--full"])
        .exits(0)
        .says(&format!("{IMAGE} in local: its suite passed"));
    shop.write(
        "tests/deployment/bucket-api/test_wrong.py",
        "def test_health_is_poor(api):\n    assert api.get(\"/health\").ok() == {\"status\": \"poor\"}\n",
    );
    let wrong = shop.run_slow(&["verify", IMAGE, "--env", "local", "--full", "--output", "json"]).exits(5);
    let error = &wrong.json()["error"];
    assert_eq!(error["message"], format!("the suite of {IMAGE} failed in local"), "{wrong}");
    let named = "FAILED tests/deployment/bucket-api/test_wrong.py::test_health_is_poor";
    assert!(error.to_string().contains(named), "{wrong}");
}

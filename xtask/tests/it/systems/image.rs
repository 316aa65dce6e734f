//! bucket-api as a container image: the repository's own stack, its API routed to the function that is an image, on a base
//! that the test made; released twice, taken back by version, routed to the zip and back. A suite that fails is told.

use std::fs;

use serde_json::{Value, json};

use super::{PROJECT, bound_and_tagged, state};
use crate::python::network;
use crate::support::clone::{clone_into, kind, leave_built, resources};
use crate::support::guard::{self, Run};
use crate::support::process::Finished;
use crate::support::registry::Registry;
use crate::support::surroundings::repository;
use crate::support::world::{Ending, Sealed, repository_in};

const IMAGE: &str = "bucket-api-image";
const ZIP: &str = "bucket-api-zip";
const STACK: &str = "bucket-api";
const KEY: &str = "2026/a.txt";

/// The repository in an account of its own, whose local environment runs both functions.
struct Shop {
    sealed: Ending,
    variables: Vec<(String, String)>,
}

impl std::ops::Deref for Shop {
    type Target = Ending;

    fn deref(&self) -> &Ending {
        &self.sealed
    }
}

impl Shop {
    fn new(run: &'static Run, registry: &Registry) -> Self {
        let shop = Self { sealed: Ending(Sealed::new(run)), variables: network() };
        clone_into(&shop, run);
        shop.write("pipelines/project.toml", PROJECT);
        shop.write(
            "terraform/environments/local/environment.toml",
            &format!("emulated = true\n\n[stacks.{STACK}]\nfunctions = [\"{ZIP}\", \"{IMAGE}\"]\n"),
        );
        let settings = format!("lambda-src/{IMAGE}/function.toml");
        let text = fs::read_to_string(repository().join(&settings)).expect("the function's settings");
        let base = |line: &str| match line.starts_with("base = ") {
            true => format!("base = \"{}\"\n", registry.libc()),
            false => format!("{line}\n"),
        };
        shop.write(&settings, &text.lines().map(base).collect::<String>());
        shop.serves("image");
        repository_in(&shop.project);
        shop
    }

    /// Has the API call the one function or the other.
    fn serves(&self, which: &str) {
        let path = format!("terraform/environments/local/{STACK}.tfvars");
        let text = fs::read_to_string(repository().join(&path)).expect("the stack's values");
        let other = text.replace("serves             = \"zip\"", &format!("serves = \"{which}\""));
        assert!(other.contains(&format!("serves = \"{which}\"")), "{other}");
        self.write(&path, &other);
    }

    /// Runs a command that builds, applies or installs.
    fn slowly(&self, arguments: &[&str]) -> Finished {
        let variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.start_with(arguments, &variables).patiently().wait()
    }

    /// Sends a signed request to the API; returns the function that has its address, and the body.
    fn ask(&self, path: &str) -> (String, Value) {
        let told = self.run(&["call", path, "--env", "local", "--output", "json"]).exits(0).json();
        let answer = &told["data"];
        assert_eq!(
            (&answer["status"], &answer["signed_for"]),
            (&json!(200), &json!("execute-api")),
            "{told}"
        );
        (answer["function"].as_str().unwrap_or_default().to_owned(), answer["body"].clone())
    }

    /// Asserts that this function answers the API, by its health and with the one object that is there.
    #[track_caller]
    fn answers(&self, function: &str, health: &Value) {
        assert_eq!(self.ask("/health"), (function.to_owned(), health.clone()));
        let (by, listing) = self.ask("/objects?prefix=2026/");
        let listed: Vec<_> = listing["objects"].as_array().expect("objects").iter().collect();
        assert_eq!((by.as_str(), listed.len()), (function, 1), "{listing}");
        assert_eq!((&listed[0]["key"], &listed[0]["size"]), (&json!(KEY), &json!(4)), "{listing}");
        // It is the API's integration that leads there, and not a name alone.
        let state = state(self, STACK);
        bound_and_tagged(STACK, &state);
        let integration = resources(&state)
            .into_iter()
            .find(|(address, _)| kind(address) == "aws_apigatewayv2_integration")
            .expect("the API's integration");
        let target = integration.1["integration_uri"].as_str().unwrap_or_default();
        assert!(target.contains(&format!("-{function}:live/")), "{target}");
    }

    /// Returns the release that a function serves, where its alias is as the ledger says.
    fn live(&self, function: &str) -> Value {
        let told = self.run(&["status", "--env", "local", "--output", "json"]).exits(0).json();
        let status = &told["data"]["environments"]["local"]["functions"][function];
        assert_eq!(status["as_recorded"], true, "{told}");
        status["release"].clone()
    }
}

#[test]
fn bucket_api_is_released_as_an_image_taken_back_and_routed_to_the_zip_and_back() {
    let Some(run) = guard::run() else { return };
    let Some(registry) = Registry::start(run) else { return };
    let shop = Shop::new(run, &registry);
    let (one, two) = (json!({ "status": "ok" }), json!({ "status": "ok", "says": "two" }));

    let first = shop.slowly(&["release", IMAGE, ZIP, "--env", "local", "--yes"]).exits(0);
    assert!(first.stdout.contains(&format!("{IMAGE} 0.1.0 and {ZIP} 0.1.0 serve in local.")), "{first}");
    let artifacts = format!("slipway-{}-artifacts", shop.account.id);
    let manifest: Value =
        serde_json::from_slice(&shop.account.object(&artifacts, &format!("releases/{IMAGE}/0.1.0.json")))
            .expect("a manifest");
    assert_eq!(manifest["package"], "image", "{manifest}");
    let key = manifest["artifact"]["key"].as_str().unwrap_or_default();
    assert!(key.starts_with(&format!("{IMAGE}@sha256:")), "{manifest}");
    leave_built(&shop.project);
    shop.account.put(&format!("slipway-{}-local-objects", shop.account.id), KEY, b"four");
    shop.answers(IMAGE, &one);
    shop.run(&["call", "/health", "--env", "local", "--unsigned"]).exits(1).says("answered 403");

    // Another answer, in the image alone: the zip stays what it is.
    let api = "lambda-src/bucket-api/src/api.rs";
    let text = fs::read_to_string(repository().join(api)).expect("the API's source");
    let changed =
        text.replace("json!({ \"status\": \"ok\" })", "json!({ \"status\": \"ok\", \"says\": \"two\" })");
    assert_ne!(changed, text);
    shop.write(api, &changed);
    shop.commit("feat: say two");
    shop.slowly(&["release", IMAGE, "--env", "local", "--yes"])
        .exits(0)
        .says(&format!("{IMAGE} 0.2.0 and {ZIP} 0.1.0 serve in local."));
    leave_built(&shop.project);
    shop.answers(IMAGE, &two);
    assert_eq!((shop.live(IMAGE), shop.live(ZIP)), (json!("0.2.0"), json!("0.1.0")));

    let back = shop.slowly(&["rollback", IMAGE, "--to", "0.1.0", "--env", "local", "--yes"]).exits(0);
    let back = back.says(&format!("{IMAGE} 0.1.0 serves in local again."));
    assert!(!back.did("build"), "{back}");
    shop.answers(IMAGE, &one);

    // The API goes to the zip and back, without a build.
    for (which, function) in [("zip", ZIP), ("image", IMAGE)] {
        shop.serves(which);
        shop.commit("feat: route the API");
        let told =
            shop.slowly(&["deploy", function, "--version", "0.1.0", "--env", "local", "--yes"]).exits(0);
        assert!(told.did("apply") && !told.did("build"), "{told}");
        shop.answers(function, &one);
    }

    // The function's own suite, against the image; then with a test that fails, which the failure names.
    shop.slowly(&["verify", IMAGE, "--env", "local", "--full"])
        .exits(0)
        .says(&format!("{IMAGE} in local: its suite passed"));
    shop.write(
        "tests/deployment/bucket-api/test_wrong.py",
        "def test_health_is_poor(api):\n    assert api.get(\"/health\").ok() == {\"status\": \"poor\"}\n",
    );
    let wrong = shop.slowly(&["verify", IMAGE, "--env", "local", "--full", "--output", "json"]).exits(5);
    let error = &wrong.json()["error"];
    assert_eq!(error["message"], format!("the suite of {IMAGE} failed in local"), "{wrong}");
    let named = "FAILED tests/deployment/bucket-api/test_wrong.py::test_health_is_poor";
    assert!(error.to_string().contains(named), "{wrong}");
}
